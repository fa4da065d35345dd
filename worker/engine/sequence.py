"""State of one sequence in an engine: its tokens, how many are computed, and when it ends."""

import collections.abc
from enum import StrEnum
from typing import TYPE_CHECKING

from worker.engine.interface import Delta, FinishReason, ForcedPrefix, GenerationRequest, Logprobs

if TYPE_CHECKING:
    from worker.engine.image_features import EncodedImage, GridPositions, PromptImages
    from worker.engine.sampling.grammar import Matcher
    from worker.engine.sampling.penalties import Penalties


class SequenceStatus(StrEnum):
    """Status of a sequence; preemption moves it from running back to waiting."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"


class Sequence:
    """A sequence in an engine.

    The block pool manages `blocks`, `digests`, `state_slot`, `snapshot` and `stops`: numbers of
    tokens after which a step has to end, because the states at this point are of use to others.
    """

    __slots__ = (
        "blocks",
        "cache_salt",
        "digests",
        "fairness_key",
        "forced_prefix",
        "grid",
        "has_long_positions",
        "id",
        "images",
        "matcher",
        "num_cached",
        "num_computed",
        "num_prompt",
        "num_published",
        "params",
        "penalties",
        "snapshot",
        "state_slot",
        "status",
        "stops",
        "tokens",
    )

    def __init__(
        self,
        request: GenerationRequest,
        matcher: "Matcher | None" = None,
        penalties: "Penalties | None" = None,
        images: "PromptImages | None" = None,
    ) -> None:
        self.id = request.sequence_id
        self.params = request.params
        self.cache_salt = request.cache_salt
        self.fairness_key = request.fairness_key
        self.matcher = matcher
        self.penalties = penalties
        self.images: collections.abc.Sequence[EncodedImage] = images.images if images else ()
        self.grid: GridPositions | None = images.grid if images else None
        self.forced_prefix: ForcedPrefix | None = request.forced_prefix
        self.tokens = [*request.prompt, *request.generated]
        self.num_prompt = len(request.prompt)
        self.has_long_positions = False
        """True once it is longer than the length up to which the model has other positions."""
        self.num_computed = 0
        self.num_cached: int | None = None
        self.num_published = 0
        self.blocks: list[int] = []
        self.state_slot: int | None = None
        self.snapshot: bytes | None = None
        self.stops: list[int] = []
        self.digests: list[bytes] = []
        self.status = SequenceStatus.WAITING

    @property
    def forced_prefix_state(self) -> tuple[ForcedPrefix | None, list[int]]:
        """Forced prefix, if any, and the tokens generated so far, up to the prefix's length."""
        if self.forced_prefix is None:
            return None, []
        end = self.num_prompt + len(self.forced_prefix.token_ids)
        return self.forced_prefix, self.tokens[self.num_prompt : end]

    @property
    def num_generated(self) -> int:
        """Number of tokens generated so far, those of earlier attempts included."""
        return len(self.tokens) - self.num_prompt

    @property
    def num_pending(self) -> int:
        """Number of tokens whose keys and values are still to be computed."""
        return len(self.tokens) - self.num_computed

    @property
    def num_until_stop(self) -> int:
        """Number of pending tokens that may be computed in one step: up to the next stop."""
        stops = (stop - self.num_computed for stop in self.stops if stop > self.num_computed)
        return min(self.num_pending, next(stops, self.num_pending))

    @property
    def is_prompt_only(self) -> bool:
        """True if it ends when its prompt is computed."""
        return not self.params.max_tokens

    @property
    def grammar_error(self) -> str | None:
        """Error of the sequence's grammar, or None."""
        return None if self.matcher is None else self.matcher.error

    def finish_reason(
        self, eos_token_ids: frozenset[int], context_length: int
    ) -> FinishReason | None:
        """Return the reason if the sequence ends at its last token, or None if it continues."""
        if not self.num_generated:
            return None
        if self.tokens[-1] in eos_token_ids and not self.params.ignore_eos:
            return FinishReason.STOP
        if self.matcher is not None and self.matcher.is_stopped:
            return FinishReason.GRAMMAR
        if self.num_generated >= self.params.max_tokens or len(self.tokens) >= context_length:
            return FinishReason.LENGTH
        return None

    def delta(
        self,
        token_id: int | None,
        finish_reason: FinishReason | None = None,
        error: str | None = None,
        logprobs: Logprobs | None = None,
    ) -> Delta:
        """Return the delta that reports this step to callers."""
        return Delta(
            sequence_id=self.id,
            token_id=token_id,
            finish_reason=finish_reason,
            error=error,
            num_cached_tokens=self.num_cached or 0,
            logprobs=logprobs,
        )
