"""Creation of the services of one server process from its settings."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from api.access.access_log import AccessLog
from api.access.authenticator import Authenticator
from api.access.door import Door
from api.access.open_connections import OpenConnections
from api.access.sessions import Sessions
from api.event_loop.loop import EventLoop
from api.http.body_budget import BodyBudget
from api.http.forwarded import TrustedProxies
from api.limits.project_limiter import ProjectLimiter
from api.limits.shared_streams import SharedStreams
from api.metrics.collector import MetricsCollector
from api.queueing.places import QueuePlaces
from api.services import Services
from api.streaming.archives import Archives
from api.streaming.broadcaster import Broadcaster
from api.streaming.places import Places
from api.streaming.temporary import TemporaryArchives
from api.streaming.timings import StreamTimings
from api.validation.image_urls import ImageUrls, make_fetcher
from api.validation.queue_limits import QueueLimiter
from api.worker_capabilities import WorkerCapabilities
from models.access.exposure import may_be_open
from models.chat.template_encoder import load_encoder
from models.encryption.cipher import ContentCipher
from models.forecast.published import PublishedForecasts
from models.limits.exchange import Exchange
from models.limits.windows import Windows
from models.metrics.publisher import MetricPublisher
from models.metrics.table import STREAM_CLIENTS
from models.metrics.totals import GaugeValue, MetricTotals
from models.settings import Settings, SettingsError
from models.store.store import Store
from models.streams.connection import connect, connect_subscriber
from models.streams.event_log import EventLog
from models.streams.unstored import UnstoredContents
from models.tables import DEFAULT_PROJECT
from worker.queue import WakeQueue

DEFAULT_ALIAS = "default"
"""Name by which clients may request the first of the served models."""
_MIB = 1 << 20
_METRICS_TIMEOUT_S = 1.0
_LIMITS_TIMEOUT_S = 0.5
"""Seconds for an answer about limits: without one, the process decides by itself."""


def open_services(settings: Settings, timings: StreamTimings) -> Services:
    """Create the services: load the tokenizers, but open no connection yet."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    store = Store.open(
        settings.database_url,
        secret_file=settings.secret_file,
        content_keys_file=settings.content_keys_file,
    )
    client = connect(settings.redis_url)
    unstored = UnstoredContents(client, ended_ttl_s=settings.unstored_seconds)
    loop = EventLoop(settings.api_threads)
    authenticator = Authenticator(store.api_keys, store.projects, may_be_open=may_be_open(settings))
    sessions = Sessions(authenticator, store.database.vault, client)
    limits_client = connect(settings.redis_url, timeout_s=_LIMITS_TIMEOUT_S)
    shared_streams = SharedStreams(
        Exchange(limits_client),
        partial(_max_streams, authenticator),
        lambda project_id: places.num_of_project(project_id),
        authenticator.knows_limits,
        num_processes=settings.api_processes,
    )
    windows = Windows(limits_client)
    limiter = ProjectLimiter(windows, lambda: shared_streams.num_processes)
    places = Places(
        settings.api_streams, settings.api_client_streams, shared_streams.exceeded_limit
    )
    metrics_client = connect(settings.redis_url, timeout_s=_METRICS_TIMEOUT_S)
    subscriber = connect_subscriber(settings.redis_url)
    encoders = [load_encoder(model_settings) for model_settings in settings.split_by_model()]
    services = Services(
        settings=settings,
        timings=timings,
        store=store,
        client=client,
        log=EventLog(client),
        archives=Archives(store.responses),
        temporary_archives=Archives(TemporaryArchives(store.responses, unstored)),
        unstored=unstored,
        loop=loop,
        authenticator=authenticator,
        sessions=sessions,
        open_connections=OpenConnections(loop, sessions.still_valid),
        access_log=AccessLog(store.api_keys, store.audit),
        windows=windows,
        limiter=limiter,
        shared_streams=shared_streams,
        metrics=MetricsCollector(
            MetricTotals(metrics_client),
            store.queue,
            [encoder.model_id for encoder in encoders],
        ),
        metric_publisher=MetricPublisher(
            metrics_client, lambda: [GaugeValue(STREAM_CLIENTS, places.num_taken)]
        ),
        door=Door(TrustedProxies(settings.trusted_proxies), authenticator, limiter.check),
        places=places,
        body_budget=BodyBudget(settings.api_body_mib * _MIB),
        broadcaster=Broadcaster(subscriber, store.responses.statuses, loop, timings),
        wake_queue=WakeQueue(settings.redis_url),
        queue_places=QueuePlaces(
            store.forecasts,
            PublishedForecasts(metrics_client),
            is_on=settings.queue_places,
            fresh_s=timings.queue_s,
        ),
        encoder=encoders[0],
        aliases=_aliases(settings, [encoder.model_id for encoder in encoders]),
        cipher=ContentCipher(store.projects.encryption_key),
        queue_limiter=QueueLimiter(
            store.projects.num_queued,
            max_queued=settings.max_queued,
            max_queued_per_project=settings.max_queued_per_project,
        ),
        image_urls=ImageUrls(loop, make_fetcher(settings)),
        worker_capabilities=WorkerCapabilities(
            partial(store.workers.published_capabilities, DEFAULT_PROJECT)
        ),
    )
    services.open_connections.start()
    services.access_log.start()
    services.shared_streams.start()
    services.metric_publisher.start()
    services.by_model.update(
        {encoder.model_id: replace(services, encoder=encoder) for encoder in encoders}
    )
    return services


def _max_streams(authenticator: Authenticator, project_id: str) -> int | None:
    project = authenticator.known_project(project_id)
    return None if project is None else project.limits.max_streams


def _aliases(settings: Settings, served: Sequence[str]) -> dict[str, str]:
    """Return the ids of served models by their other names; raise if one is not served."""
    for alias, model in settings.model_aliases.items():
        if model not in served:
            known = ", ".join(served)
            raise SettingsError(f"ANTIPHON_MODEL_ALIASES: '{model}' is not served; served: {known}")
        if alias in served:
            raise SettingsError(f"ANTIPHON_MODEL_ALIASES: '{alias}' is itself a served model")
    return {DEFAULT_ALIAS: served[0], **settings.model_aliases}
