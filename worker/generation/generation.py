"""State of one response during generation: turns deltas into events and finds its end.

Used by one thread at a time: the task thread until submission to the engine, the emitter until the
last token, then the task thread again.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from models.recording.recorder import Recorder
from models.responses.checkpoint import Checkpoint
from models.responses.ending import EndingCause, failed_cause, incomplete_cause
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.responses.tokens import (
    GeneratedToken,
    complement,
    group_by_choice,
    without_notes,
)
from models.schemas.response import Usage
from worker.engine.interface import Delta, FinishReason
from worker.generation.output.call_counter import CallCounter
from worker.generation.output.choice import COMPLETE, Choice, FormatLogprob
from worker.generation.output.rules import PLAIN_RULES, OutputRules
from worker.parsing.text_pipeline import TextPipeline

_OVERDUE = "max_response_seconds"
"""Reason of a response that reached the maximum run time."""


class Generation:
    """Claimed response that is being generated."""

    def __init__(
        self,
        record: ResponseRecord,
        recorder: Recorder,
        pipelines: Sequence[TextPipeline],
        *,
        num_prompt_tokens: int,
        format_logprob: FormatLogprob,
        rules: OutputRules = PLAIN_RULES,
    ) -> None:
        """Create a generation with one choice for each of the `pipelines`."""
        self.record = record
        self.calls = CallCounter(rules.max_hosted, record.parameters.get("max_tool_calls"))
        """Tool calls of all choices, and those before the first token."""
        self.recorder = recorder
        self.choices = [
            Choice(
                _sequence_id(recorder, number),
                recorder.writer(number),
                pipeline,
                format_logprob=format_logprob,
                rules=rules,
                counter=self.calls,
            )
            for number, pipeline in enumerate(pipelines)
        ]
        self._numbers: dict[str, int] = {}
        """Number of each choice, by the id of its current sequence."""
        self._index_sequences()
        self.num_prompt_tokens = num_prompt_tokens
        self._tokens: list[GeneratedToken] = []
        """Tokens of all choices, in order of arrival, after the notes of what came before."""
        self._progress = (0, recorder.next_sequence_number)
        """Number of tokens that have become events, and sequence number of the next event."""
        # A checkpoint holds no summary: with one, the response is generated again from the start.
        self._can_be_replayed = record.store and recorder.is_logged and recorder.compaction is None
        self._has_open_messages = len(self.choices) == 1
        self.may_have_unwanted = False
        """True if `pop_unwanted` may have something to return."""
        self._cause: EndingCause | None = None
        self._ended = threading.Event()
        self.is_released = False
        """True if this worker has stopped it for another: handed back, or its attempt is stale."""
        self.is_overdue = False
        """True if it was stopped because it reached the maximum run time of a response."""
        self.is_interrupted = False
        """True if it must stop, even while it waits for the result of a call."""
        self.is_first_token_due = recorder.is_logged
        """True until its client could see a token, of this attempt or an earlier one."""
        self.first_token_ns = 0
        """Unix time of the first token of the turn in progress; 0 before it."""
        self.is_opening = False
        """True while calls are made that come before the first token."""
        self._began_at: float | None = None
        """Monotonic time of the first token of this attempt."""

    @property
    def run_s(self) -> float:
        """Seconds since the first token of this attempt; 0 before it."""
        return 0.0 if self._began_at is None else time.monotonic() - self._began_at

    @property
    def sequence_ids(self) -> list[str]:
        """Ids of its choices' current sequences in the engine."""
        return [choice.sequence_id for choice in self.choices]

    @property
    def num_generated(self) -> int:
        """Number of tokens, given ones and notes included."""
        return len(self._tokens)

    @property
    def waiting(self) -> list[Choice]:
        """Choices that wait for the result of a call."""
        if self._cause is not None:
            return []
        return [choice for choice in self.choices if choice.reason is None and choice.call]

    @property
    def cause(self) -> EndingCause:
        """Cause of its end; set once `wait` returns and no choice waits for a result."""
        assert self._cause is not None
        return self._cause

    @property
    def is_over(self) -> bool:
        """Return True if generation has ended and only its end remains to be written."""
        return self._ended.is_set() and self._cause is not None

    def resume(self, logged: Sequence[GeneratedToken], unlogged: Sequence[GeneratedToken]) -> bool:
        """Continue after earlier attempts; return True if they generated the whole response.

        `logged` are the tokens of events in the log, `unlogged` those that follow in a checkpoint.
        """
        self.is_first_token_due &= not (logged or unlogged)
        self.resume_logged(logged)
        if self._cause is None:
            self.resume_unlogged(unlogged)
        self._began_at = None
        return self._cause is not None

    def resume_logged(self, tokens: Sequence[GeneratedToken]) -> bool:
        """Continue after tokens whose events are recorded; return True as `advance` does."""
        found = group_by_choice(tokens)
        for number, choice in enumerate(self.choices):
            choice.resume(found.get(number, ()))
        self._index_sequences()
        self._tokens += tokens
        return self._update_cause()

    def resume_unlogged(self, tokens: Sequence[GeneratedToken]) -> bool:
        """Make the events of tokens that an earlier attempt generated and did not log.

        Return True if they end the generation. Equal tokens make equal events.
        """
        is_over = False
        for (number, is_given), group in groupby(tokens, key=_choice_and_kind):
            token_ids = [token.token_id for token in group]
            if is_given:
                given = [complement(token_id) for token_id in token_ids]
                self.add_result(self.choices[number], given)
                continue
            for token_id in token_ids:
                sequence_id = self.choices[number].sequence_id
                is_over = self.advance(Delta(sequence_id=sequence_id, token_id=token_id))
        return is_over

    def add_notes(self, token_ids: Sequence[int], *, num_calls: int = 0) -> None:
        """Add the notes of what has come before the first token, among it so many MCP calls."""
        self.calls.add("mcp_call", num_calls)
        self._tokens += [GeneratedToken(0, token_id) for token_id in token_ids]
        self._progress = (len(self._tokens), self.recorder.next_sequence_number)

    def add_result(self, choice: Choice, token_ids: Sequence[int]) -> None:
        """Insert the tokens of the result of a call into a choice that waits for it."""
        number = self.choices.index(choice)
        self._tokens += [GeneratedToken(number, complement(token_id)) for token_id in token_ids]
        choice.add_result(token_ids)
        self._index_sequences()
        self._progress = (len(self._tokens), self.recorder.next_sequence_number)

    def continue_after_calls(self) -> bool:
        """Continue after the results of calls; return True if no choice has more to generate."""
        return self._update_cause()

    def tokens_of(self, choice: Choice) -> list[int]:
        """Return all tokens of a choice, without notes; given tokens are bitwise complements."""
        found = group_by_choice(self._tokens).get(self.choices.index(choice), [])
        return without_notes(found)

    def checkpointed_record(self) -> ResponseRecord | None:
        """Return the record with a checkpoint; None if there is nothing to resume from.

        Safe from any thread: tokens are only ever appended.
        """
        num_tokens, next_number = self._progress
        if not num_tokens or not self._can_be_replayed:
            return None
        tokens = tuple(self._tokens[:num_tokens])
        checkpoint = Checkpoint(next_sequence_number=next_number, tokens=tokens)
        return replace(self.record, checkpoint=checkpoint)

    def with_usage(self, record: ResponseRecord) -> ResponseRecord:
        """Return a record of this response with its usage so far, if it has begun to generate."""
        if not self.choices:
            return record
        return replace(record, usage=self.usage().model_dump())

    def handed_back_record(self) -> ResponseRecord:
        """Return the record to hand back: with its usage so far, and a checkpoint if there is one.

        Call it once the response has stopped.
        """
        return self.with_usage(self.checkpointed_record() or self.record)

    def advance(self, delta: Delta) -> bool:
        """Process one delta; return True if no choice generates any more."""
        number = self._numbers[delta.sequence_id]
        choice = self.choices[number]
        if choice.reason is None and choice.call is None:
            self._add_token(number, delta)
        choice.advance(delta, is_released=self.is_released)
        # While this one accepts tokens, the response goes on unless it was ended from outside.
        is_over = self._cause is not None
        if is_over or choice.reason is not None or choice.call is not None:
            is_over = self._update_cause()
            self.may_have_unwanted = True
        self._progress = (len(self._tokens), self.recorder.next_sequence_number)
        return is_over

    def pop_unwanted(self) -> list[str]:
        """Return the ids of sequences that the engine should stop, each of them once."""
        unwanted = [
            choice
            for choice in self.choices
            if choice.is_generating and (self._cause is not None or not choice.is_accepting)
        ]
        for choice in unwanted:
            choice.is_generating = False
        self.may_have_unwanted = False
        return [choice.sequence_id for choice in unwanted]

    def fail(self) -> None:
        """End it because of an internal error."""
        self.may_have_unwanted = True
        self._cause = failed_cause("The worker failed.", self.usage())

    def interrupt(self) -> None:
        """End it while it waits for a result; otherwise the engine's abort does that."""
        if not self.is_released:
            for choice in self.waiting:
                choice.finish(FinishReason.ABORTED)
            self._update_cause()
        self._ended.set()

    def is_call_abandoned(self) -> bool:
        """Return True if the result of a call under way is of no use any more.

        That of a released response is: its next attempt goes on with it.
        """
        return self.recorder.is_stale or (self.is_interrupted and not self.is_released)

    def abandon(self) -> None:
        """Leave it to the attempt that has taken it over, while it waits for a result."""
        self.recorder.is_stale = self.is_released = self.is_interrupted = True

    def end(self) -> None:
        """Wake the task thread that waits; call when the events are logged."""
        self._ended.set()

    def usage(self) -> Usage:
        """Return the usage so far; the prompt and given tokens count once, as input."""
        num_given = sum(token.is_given and not token.is_of_note for token in self._tokens)
        return Usage.of(
            input_tokens=self.num_prompt_tokens + num_given,
            cached_tokens=min(self.choices[0].num_cached, self.num_prompt_tokens),
            output_tokens=sum(not token.is_given for token in self._tokens),
            reasoning_tokens=sum(choice.num_reasoning_tokens for choice in self.choices),
        )

    def wait(self) -> None:
        """Block until it has ended or waits for the results of calls."""
        self._ended.wait()

    def pause(self) -> None:
        """Make `wait` block again, while the task thread runs the calls."""
        self._ended.clear()

    def _index_sequences(self) -> None:
        self._numbers = {choice.sequence_id: n for n, choice in enumerate(self.choices)}

    def _add_token(self, number: int, delta: Delta) -> None:
        if delta.token_id is None:
            return
        self._tokens.append(GeneratedToken(number, delta.token_id))
        if self._began_at is None:
            self._began_at = time.monotonic()
        # Checkpoints hold no log probabilities: such a response is generated again from the start.
        self._can_be_replayed &= delta.logprobs is None
        if not self._has_open_messages:
            # Messages begin in order, whichever choice has the first token.
            for choice in self.choices:
                choice.open()
            self._has_open_messages = True

    def _update_cause(self) -> bool:
        """Set the cause if the response has ended; return True if no choice generates any more."""
        self._cause = self._cause or self._find_cause()
        if self._cause is None:
            return not any(choice.is_accepting for choice in self.choices)
        if len(self.choices) > 1:
            # All at the end, because a checkpoint does not record when each choice ended. Items of
            # other choices stay open and end with the status of the response.
            for choice in self.choices:
                if choice.reason in COMPLETE:
                    choice.close()
        return True

    def interrupted_cause(self) -> EndingCause:
        """Return the cause of the end of a response that was interrupted before its first token."""
        if self.is_overdue:
            return incomplete_cause(_OVERDUE)
        return EndingCause(status=ResponseStatus.CANCELLED)

    def _find_cause(self) -> EndingCause | None:
        reasons = [choice.reason for choice in self.choices]
        if FinishReason.ERROR in reasons:
            error = self.choices[reasons.index(FinishReason.ERROR)].error
            return failed_cause(error or "The engine failed.", self.usage())
        if None in reasons:
            return None
        if FinishReason.ABORTED in reasons:
            if self.is_overdue:
                return incomplete_cause(_OVERDUE, self.usage())
            return EndingCause(status=ResponseStatus.CANCELLED, usage=self.usage())
        if FinishReason.LENGTH in reasons and not self.record.is_warm_up:
            return incomplete_cause("max_output_tokens", self.usage())
        return EndingCause(status=ResponseStatus.COMPLETED, usage=self.usage())


def _choice_and_kind(token: GeneratedToken) -> tuple[int, bool]:
    return token.choice, token.is_given


def _sequence_id(recorder: Recorder, choice: int) -> str:
    """Return the sequence id of a choice; each attempt has another, and so has a summary."""
    kind = "" if recorder.is_logged else "/summary"
    return f"{recorder.record.id.hex}/{recorder.record.attempt}{kind}/{choice}"
