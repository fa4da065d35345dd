"""What the views work with: one of each per process, made after the fork."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

import redis
from flask import current_app

from api.streaming.broadcaster import Broadcaster
from api.streaming.connection_cache import ContextCache
from models.chat.prompt import ChatEncoder
from models.encryption.cipher import ContentCipher
from models.errors import InvalidRequestError, ModelNotFoundError
from models.settings import Settings
from models.store.store import Store
from models.streams.event_log import EventLog
from models.streams.unstored import UnstoredContents
from models.tables import DEFAULT_PROJECT
from worker.queue import WakeQueue

if TYPE_CHECKING:
    from models.grammars.validate import GrammarChecker

MODEL_ALIAS = "default"
"""What clients may call the first of the served models."""


@dataclass(kw_only=True)
class Services:
    """The store, the log, the queue and the model's tokenizer."""

    settings: Settings
    store: Store
    client: redis.Redis
    log: EventLog
    unstored: UnstoredContents
    broadcaster: Broadcaster
    wake_queue: WakeQueue
    encoder: ChatEncoder
    """Of the model that a request names, or of the first."""
    cipher: ContentCipher
    served: dict[str, "Services"] = field(default_factory=dict)
    """These services with the encoder of each served model, by its id."""
    context_cache: ContextCache = field(default_factory=ContextCache)

    def for_model(self, model: str | None) -> "Services":
        """These services for the model that a request names; raises a 404 for one not served."""
        name = self.encoder.model_id if model in (None, MODEL_ALIAS) else model
        if name not in self.served:
            known = ", ".join(f"'{each}'" for each in self.served)
            message = f"The model '{model}' is not served here; served: {known}."
            raise ModelNotFoundError(message, param="model")
        return self.served[str(name)]

    @cached_property
    def _grammar_checker(self) -> "GrammarChecker | None":
        if self.encoder.tokenizer is None:
            return None
        from models.grammars.validate import GrammarChecker

        return GrammarChecker(self.encoder.tokenizer)

    def check_grammar(self, grammar: str, *, param: str) -> None:
        """Raise a 400 if the served model cannot be held to a grammar."""
        if self._grammar_checker is None:
            message = f"The engine of {self.encoder.model_id} cannot constrain its output."
            raise InvalidRequestError(message, param=param, code="unsupported_parameter")
        self._grammar_checker.check(grammar, param=param)

    def close(self) -> None:
        """Stop the hub's threads and close every connection."""
        self.broadcaster.stop()
        self.wake_queue.close()
        self.store.close()
        self.client.close()


def services() -> Services:
    """The services of the app that handles the current request."""
    return cast(Services, current_app.extensions["antiphon"])


def project_id() -> str:
    """The project that the current request acts for."""
    return DEFAULT_PROJECT
