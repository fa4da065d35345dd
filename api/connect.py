"""Open the services of one server process, as the settings say."""

from dataclasses import replace

from api.services import Services
from api.streaming.broadcaster import Broadcaster
from models.chat.template_encoder import load_encoder
from models.encryption.cipher import ContentCipher
from models.settings import Settings
from models.store.store import Store
from models.streams.connection import connect, connect_subscriber
from models.streams.event_log import EventLog
from models.streams.unstored import UnstoredContents
from worker.queue import WakeQueue

STREAM_RESERVE = 40
"""Threads that streams leave to the other requests."""


def open_services(settings: Settings) -> Services:
    """Connect nothing yet; load the tokenizer."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    store = Store.open(settings.database_url)
    client = connect(settings.redis_url)
    broadcaster = Broadcaster(
        connect_subscriber(settings.redis_url),
        store.responses.statuses,
        max_streams=settings.api_threads - STREAM_RESERVE,
    )
    encoders = [load_encoder(each) for each in settings.each_model()]
    at = Services(
        settings=settings,
        store=store,
        client=client,
        log=EventLog(client),
        unstored=UnstoredContents(client),
        broadcaster=broadcaster,
        wake_queue=WakeQueue(settings.redis_url),
        encoder=encoders[0],
        cipher=ContentCipher(store.projects.sealing_key),
    )
    at.served.update({each.model_id: replace(at, encoder=each) for each in encoders})
    return at
