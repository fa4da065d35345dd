"""Claims of queued responses by the task threads of one worker."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol
from uuid import UUID

import redis

from models.metrics.measures import measure_claim
from models.responses.record import ResponseRecord
from models.store.claims import Claims
from worker.generation.retry import WriteRetrier


class HeldClaims(Protocol):
    """Claims that the task threads hold, as the registry of what runs here counts them."""

    is_closed: bool
    is_standing_by: bool

    def hold_claim(self, record: ResponseRecord) -> AbstractContextManager[None]:
        """Register a claim for the duration of the context."""

    @property
    def num_claims(self) -> int:
        """Number of claims that are held."""


class Claimer:
    """Claims responses and hands them back; safe from any thread."""

    def __init__(
        self,
        claims: Claims,
        held: HeldClaims,
        model: str,
        *,
        retrier: WriteRetrier,
        redis_away_s: float,
    ) -> None:
        """Create the claimer of a worker that serves `model`.

        `redis_away_s` is the time in seconds without claims of responses whose content is in Redis,
        after Redis was unreachable.
        """
        self._claims = claims
        self._held = held
        self._model = model
        self._retrier = retrier
        self._redis_away_s = redis_away_s
        self._lock = threading.Lock()
        """Serialises claims: what may be claimed depends on the responses that already run here."""
        self._is_isolating = False
        self._redis_away_until = 0.0
        """Monotonic time until which only responses stored in Postgres are claimed."""

    @contextmanager
    def claim(self, worker_id: UUID) -> Iterator[ResponseRecord | None]:
        """Claim the next queued response in fair order, and hold the claim while the context lasts.

        Yields None if there is none, or none may be claimed now.
        """
        with ExitStack() as stack:
            with self._lock:
                claimed = self._claim_next(worker_id)
                if claimed is not None:
                    measure_claim(claimed)
                    stack.enter_context(self._held.hold_claim(claimed))
                    if claimed.isolated:
                        stack.callback(self._end_isolation)
                        self._is_isolating = True
            yield claimed

    def hand_back(self, claimed: ResponseRecord, error: Exception) -> None:
        """Hand back a response that cannot run here because of an outage."""
        if isinstance(error, redis.RedisError):
            self._redis_away_until = time.monotonic() + self._redis_away_s
        self._retrier.run(claimed, lambda: self._claims.hand_back([claimed]))

    def _claim_next(self, worker_id: UUID) -> ResponseRecord | None:
        if self._held.is_closed or self._is_isolating:
            return None
        return self._claims.claim(
            worker_id,
            self._model,
            is_idle=self._held.num_claims == 0,
            stands_by=self._held.is_standing_by,
            # A response that needs Redis would be claimed and handed back again and again.
            only_stored=time.monotonic() < self._redis_away_until,
        )

    def _end_isolation(self) -> None:
        self._is_isolating = False
