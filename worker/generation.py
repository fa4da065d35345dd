"""One response while it is generated: tokens in, text and events out.

Touched by one thread at a time: the task thread until it is submitted, the emitter until its last
token, then the task thread again.
"""

import threading
from dataclasses import dataclass

from models.recorder import EndingCause, Recorder
from models.status import ResponseStatus
from models.stored import StoredResponse
from models.wire.response import Usage
from worker.engine import Delta, Detokenizer, FinishReason, StopMatcher, Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPipeline:
    """From tokens to text that may be shown: whole code points, and no stop string."""

    detokenizer: Detokenizer
    stop_matcher: StopMatcher

    @classmethod
    def of(cls, tokenizer: Tokenizer, stop: list[str]) -> "TextPipeline":
        """A pipeline at its beginning."""
        return cls(detokenizer=Detokenizer(tokenizer), stop_matcher=StopMatcher(stop))

    def add(self, token_id: int) -> tuple[str, bool]:
        """The text that has become sure, and whether a stop string was reached."""
        return self.stop_matcher.add(self.detokenizer.add(token_id))

    def flush(self) -> tuple[str, bool]:
        """What was held back, at the end of the tokens, and whether a stop string was in it."""
        text, is_stopped = self.stop_matcher.add(self.detokenizer.flush())
        return (text if is_stopped else text + self.stop_matcher.flush()), is_stopped


class Generation:
    """A claimed response between its submission to the engine and its end."""

    def __init__(
        self,
        stored: StoredResponse,
        recorder: Recorder,
        pipeline: TextPipeline,
        *,
        num_prompt_tokens: int,
    ) -> None:
        self.stored = stored
        self.recorder = recorder
        self.sequence_id = f"{stored.id.hex}/{stored.attempt}"
        self._num_prompt_tokens = num_prompt_tokens
        self._pipeline = pipeline
        self._writer = recorder.writer()
        self._num_generated = 0
        self._num_cached = 0
        self._cause: EndingCause | None = None
        self._ended = threading.Event()
        self.is_released = False
        """Given up by this worker: its row was handed back or fenced off."""

    @property
    def cause(self) -> EndingCause:
        """Why it ended; only after `wait`."""
        assert self._cause is not None
        return self._cause

    def restore(self, token_ids: list[int]) -> bool:
        """Take up after an earlier attempt; True if it had reached a stop string.

        Whether its tokens were all there was to generate is for the engine to say.
        """
        is_stopped = False
        self._writer.rewind()
        for token_id in token_ids:
            text, is_stopped = self._pipeline.add(token_id)
            self._add_text(text)
        self._num_generated = len(token_ids)
        if is_stopped:
            self._cause = EndingCause(status=ResponseStatus.COMPLETED, usage=self.usage())
        return is_stopped

    def advance(self, delta: Delta) -> bool:
        """Take one delta of the engine; True if it ends the generation."""
        self._num_cached = max(self._num_cached, delta.num_cached_tokens)
        is_stopped = delta.token_id is not None and self._add_token(delta.token_id)
        if not is_stopped and delta.finish_reason is not None and not self.is_released:
            is_stopped = self._flush()
        if is_stopped:
            self._cause = EndingCause(status=ResponseStatus.COMPLETED, usage=self.usage())
        elif delta.finish_reason is not None:
            self._cause = cause_of(delta, self.usage())
        return self._cause is not None

    def _add_token(self, token_id: int) -> bool:
        self._num_generated += 1
        self._writer.note([token_id])
        text, is_stopped = self._pipeline.add(token_id)
        self._add_text(text)
        return is_stopped

    def _add_text(self, text: str) -> None:
        if text:
            self._writer.add_text(text)

    def _flush(self) -> bool:
        """Nothing follows: show what was held back. The next attempt of a released one does."""
        text, is_stopped = self._pipeline.flush()
        if text:
            self._add_text(text)
        return is_stopped

    def fail(self) -> None:
        """End it for a fault of our own."""
        error = {"code": "server_error", "message": "The worker failed."}
        self._cause = EndingCause(status=ResponseStatus.FAILED, usage=self.usage(), error=error)

    def end(self) -> None:
        """Give the generation, its cause known and its events logged, back to its task."""
        self._ended.set()

    def usage(self) -> Usage:
        """The tokens so far."""
        return Usage.of(
            input_tokens=self._num_prompt_tokens,
            cached_tokens=self._num_cached,
            output_tokens=self._num_generated,
        )

    def wait(self) -> None:
        """Block until it has ended."""
        self._ended.wait()


def cause_of(delta: Delta, usage: Usage) -> EndingCause:
    """The end of a response that belongs to the end of its sequence."""
    match delta.finish_reason:
        case FinishReason.LENGTH:
            return EndingCause(
                status=ResponseStatus.INCOMPLETE,
                usage=usage,
                incomplete_details={"reason": "max_output_tokens"},
            )
        case FinishReason.ABORTED:
            return EndingCause(status=ResponseStatus.CANCELLED, usage=usage)
        case FinishReason.ERROR:
            error = {"code": "server_error", "message": delta.error or "The engine failed."}
            return EndingCause(status=ResponseStatus.FAILED, usage=usage, error=error)
        case _:
            return EndingCause(status=ResponseStatus.COMPLETED, usage=usage)
