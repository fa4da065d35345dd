"""Services that the views use: one set per process, created after the fork."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

import redis
from flask import current_app

from api.access.access_log import AccessLog
from api.access.authenticator import Authenticator
from api.access.current import current_caller
from api.access.door import Door
from api.access.open_connections import OpenConnections
from api.access.sessions import Sessions
from api.dashboard.shared_views import SharedViews
from api.event_loop.loop import EventLoop
from api.http.body_budget import BodyBudget
from api.limits.project_limiter import ProjectLimiter
from api.limits.shared_streams import SharedStreams
from api.metrics.collector import MetricsCollector
from api.queueing.places import QueuePlaces
from api.streaming.archives import Archives
from api.streaming.broadcaster import Broadcaster
from api.streaming.client_disconnect import ClientGoneError, find_client_check
from api.streaming.places import Places
from api.streaming.timings import StreamTimings
from api.streaming.websocket.context_cache import ContextCache
from api.validation.image_urls import ImageUrls
from api.validation.queue_limits import QueueLimiter
from api.worker_capabilities import WorkerCapabilities
from models.access.projects import ProjectRecord
from models.chat.prompt import ChatEncoder
from models.encryption.cipher import ContentCipher
from models.engine_capabilities import EngineCapabilities
from models.errors import InvalidRequestError, ModelNotFoundError
from models.grammars.isolation.pool import AbandonedError
from models.limits.windows import Windows
from models.metrics.publisher import MetricPublisher
from models.settings import Settings
from models.store.store import Store
from models.streams.event_log import EventLog
from models.streams.unstored import UnstoredContents
from worker.queue import WakeQueue

if TYPE_CHECKING:
    from models.grammars.validate import GrammarChecker


@dataclass(kw_only=True)
class Services:
    """Store, event log, work queue and tokenizers of one server process."""

    settings: Settings
    timings: StreamTimings
    store: Store
    client: redis.Redis
    log: EventLog
    archives: Archives
    temporary_archives: Archives
    """Archives of temporary responses, which are in Redis."""
    unstored: UnstoredContents
    loop: EventLoop
    authenticator: Authenticator
    sessions: Sessions
    open_connections: OpenConnections
    access_log: AccessLog
    windows: Windows
    limiter: ProjectLimiter
    shared_streams: SharedStreams
    metrics: MetricsCollector
    metric_publisher: MetricPublisher
    door: Door
    places: Places
    body_budget: BodyBudget
    broadcaster: Broadcaster
    wake_queue: WakeQueue
    queue_places: QueuePlaces
    encoder: ChatEncoder
    """Encoder of the model that a request names, or of the first served model."""
    cipher: ContentCipher
    queue_limiter: QueueLimiter
    image_urls: ImageUrls
    worker_capabilities: WorkerCapabilities
    by_model: dict[str, "Services"] = field(default_factory=dict)
    """These services with the encoder of each served model, by model id."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Ids of served models by their other names."""
    context_cache: ContextCache = field(default_factory=ContextCache)
    shared_views: SharedViews[tuple[str, str]] = field(default_factory=SharedViews)
    """Polled parts of the dashboard: what tells whether they have changed, and their HTML."""

    def for_model(self, model: str | None, project: ProjectRecord) -> "Services":
        """Return the services of the requested model.

        Raise a 404 if it is not served, or if the project may not use it. By default it is the
        first one that the project may use.
        """
        allowed = [model_id for model_id in self.by_model if project.may_use(model_id)]
        if model is None and self.encoder.model_id not in allowed:
            model = next(iter(allowed), "")
        name = self.encoder.model_id if model is None else self.aliases.get(model, model)
        if name not in allowed:
            known = ", ".join(f"'{known}'" for known in self.model_names(project)) or "none"
            message = f"The model '{model}' is not served here; served: {known}."
            raise ModelNotFoundError(message, param="model")
        return self.by_model[name]

    def model_names(self, project: ProjectRecord) -> list[str]:
        """Return the ids and the other names of the models that a project may use."""
        names = {model_id: model_id for model_id in self.by_model} | dict(self.aliases)
        return [name for name, model_id in names.items() if project.may_use(model_id)]

    @property
    def capabilities(self) -> EngineCapabilities:
        """What every worker of the model can do."""
        return self.worker_capabilities.of_model(self.encoder.model_id)

    @property
    def context_length(self) -> int:
        """Largest number of tokens of a response, prompt included, that every worker holds."""
        return self.capabilities.limit(self.encoder.context_length)

    @property
    def media(self) -> frozenset[str]:
        """Types of the parts besides text that every worker of the model takes."""
        media = self.encoder.media
        return media if self.capabilities.reads_images else media - {"input_image"}

    @cached_property
    def _grammar_checker(self) -> "GrammarChecker | None":
        if self.encoder.tokenizer is None:
            return None
        from models.grammars.validate import GrammarChecker

        return GrammarChecker(self.encoder.tokenizer)

    def check_grammar(self, grammar: str, *, param: str) -> None:
        """Raise a 400 if the model's output cannot be constrained to a grammar."""
        if self._grammar_checker is None or not self.capabilities.constrains_output:
            message = f"The engine of {self.encoder.model_id} cannot constrain its output."
            raise InvalidRequestError(message, param=param, code="unsupported_parameter")
        try:
            self._grammar_checker.check(grammar, param=param, is_abandoned=find_client_check())
        except AbandonedError as error:
            raise ClientGoneError from error

    def warm_up(self) -> None:
        """Start to load the tokenizers for grammars, so that the first request need not wait."""
        for services in self.by_model.values():
            if services._grammar_checker is not None:
                services._grammar_checker.start_warm_up()

    def close(self) -> None:
        """Stop the loop and every thread, and close every connection."""
        self.open_connections.stop()
        self.access_log.stop()
        self.shared_streams.stop()
        self.metric_publisher.stop()
        self.loop.stop()
        self.broadcaster.stop()
        self.wake_queue.close()
        self.store.close()
        self.client.close()


def services() -> Services:
    """Return the services of the app that handles the current request."""
    return cast(Services, current_app.extensions["antiphon"])


def project_id() -> str:
    """Return the id of the project that the current request acts for."""
    return current_caller().project_id
