"""One response while it is generated: the deltas of its choices in, events and its end out.

Touched by one thread at a time: the task thread until it is submitted, the emitter until its last
token, then the task thread again.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from models.recording.recorder import EndingCause, Recorder
from models.responses.checkpoint import Checkpoint
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.responses.tokens import GeneratedToken, by_choice, complement
from models.schemas.response import Usage
from worker.engine.interface import Delta, FinishReason
from worker.generation.choice import COMPLETE, PLAIN_RULES, Choice, OutputRules, Spell
from worker.parsing.text_pipeline import TextPipeline


class Generation:
    """A claimed response between its submission to the engine and its end."""

    def __init__(
        self,
        stored: ResponseRecord,
        recorder: Recorder,
        pipelines: Sequence[TextPipeline],
        *,
        num_prompt_tokens: int,
        spell: Spell,
        rules: OutputRules = PLAIN_RULES,
    ) -> None:
        """There is one choice for each of the `pipelines`."""
        self.stored = stored
        self.recorder = recorder
        self.choices = [
            Choice(
                _sequence_id(stored, number),
                recorder.writer(number),
                pipeline,
                spell=spell,
                rules=rules,
                may_call=self.may_call,
            )
            for number, pipeline in enumerate(pipelines)
        ]
        self._max_searches = rules.max_searches
        self._max_tool_calls = stored.parameters.get("max_tool_calls")
        self._num_prompt_tokens = num_prompt_tokens
        self._tokens: list[GeneratedToken] = []
        """Of all choices, as they came."""
        self._reached = (0, recorder.next_sequence_number)
        """How many of the tokens have become events, and the number of the next event."""
        self._can_be_replayed = stored.store
        self._is_open = len(self.choices) == 1
        self._cause: EndingCause | None = None
        self._ended = threading.Event()
        self.is_released = False
        """Given up by this worker: its row was handed back or fenced off."""
        self.is_overdue = False
        """Stopped because it has run for as long as any may."""
        self.is_interrupted = False
        """To be stopped, whether it generates at the moment or not."""

    @property
    def sequence_ids(self) -> list[str]:
        """The sequences of its choices in the engine."""
        return [choice.sequence_id for choice in self.choices]

    @property
    def waiting(self) -> list[Choice]:
        """The choices that go on when they are told what a search has found."""
        if self._cause is not None:
            return []
        return [choice for choice in self.choices if choice.reason is None and choice.query]

    @property
    def cause(self) -> EndingCause:
        """Why it ended; only after `wait`."""
        assert self._cause is not None
        return self._cause

    @property
    def is_over(self) -> bool:
        """Whether nothing more is generated, and only the end is still to be written."""
        return self._ended.is_set() and self._cause is not None

    def resume(self, logged: Sequence[GeneratedToken], unlogged: Sequence[GeneratedToken]) -> bool:
        """Take up after earlier attempts; True if they have come to the end."""
        self.resume_logged(logged)
        if self._cause is None:
            self.resume_unlogged(unlogged)
        return self._cause is not None

    def resume_logged(self, tokens: Sequence[GeneratedToken]) -> bool:
        """Take up after an earlier attempt, whose events are on record; True if it was over."""
        found = by_choice(tokens)
        for number, choice in enumerate(self.choices):
            choice.resume(found.get(number, ()))
        self._tokens += tokens
        return self._settle()

    def resume_unlogged(self, tokens: Sequence[GeneratedToken]) -> bool:
        """Make the events of tokens that an earlier attempt generated and no log holds.

        Returns whether they end the generation. Equal tokens make equal events.
        """
        is_over = False
        for (number, is_given), group in groupby(tokens, key=_choice_and_kind):
            token_ids = [token.token_id for token in group]
            if is_given:
                self.give(self.choices[number], [complement(each) for each in token_ids])
                continue
            for token_id in token_ids:
                sequence_id = self.choices[number].sequence_id
                is_over = self.advance(Delta(sequence_id=sequence_id, token_id=token_id))
        return is_over

    def give(self, choice: Choice, token_ids: Sequence[int]) -> None:
        """Tell a choice that waits what was found."""
        number = self.choices.index(choice)
        self._tokens += [GeneratedToken(number, complement(token_id)) for token_id in token_ids]
        choice.give(token_ids)
        self._reached = (len(self._tokens), self.recorder.next_sequence_number)

    def continue_after_search(self) -> bool:
        """Go on after all that waited were told; True if nothing is left to be generated."""
        return self._settle()

    def tokens_of(self, choice: Choice) -> list[int]:
        """All tokens of a choice, those that were given as their complements."""
        return by_choice(self._tokens).get(self.choices.index(choice), [])

    def reached(self) -> ResponseRecord | None:
        """The response with a checkpoint; None while there is nothing to go on from.

        Safe from any thread: tokens are only ever added.
        """
        num_tokens, next_number = self._reached
        if not num_tokens or not self._can_be_replayed:
            return None
        tokens = tuple(self._tokens[:num_tokens])
        checkpoint = Checkpoint(next_sequence_number=next_number, tokens=tokens)
        return replace(self.stored, checkpoint=checkpoint)

    def advance(self, delta: Delta) -> bool:
        """Take one delta of the engine; True if it ends the generation."""
        number = self.sequence_ids.index(delta.sequence_id)
        choice = self.choices[number]
        if choice.is_listening:
            self._note(number, delta)
        choice.advance(delta, is_released=self.is_released)
        is_over = self._settle()
        self._reached = (len(self._tokens), self.recorder.next_sequence_number)
        return is_over

    def take_unwanted(self) -> list[str]:
        """The sequences that the engine is to stop; each is named once."""
        unwanted = [
            choice
            for choice in self.choices
            if choice.is_generating and (self._cause is not None or not choice.is_listening)
        ]
        for choice in unwanted:
            choice.is_generating = False
        return [choice.sequence_id for choice in unwanted]

    def fail(self) -> None:
        """End it for a fault of our own."""
        self._cause = self._failed("The worker failed.")

    def interrupt(self) -> None:
        """End it while nothing generates, as its being stopped does otherwise."""
        if not self.is_released:
            for choice in self.waiting:
                choice.cut(FinishReason.ABORTED)
            self._settle()
        self._ended.set()

    def end(self) -> None:
        """Give the generation, its cause known and its events logged, back to its task."""
        self._ended.set()

    def usage(self) -> Usage:
        """The tokens so far; the prompt and what searches have found are counted once."""
        num_given = sum(token.is_given for token in self._tokens)
        return Usage.of(
            input_tokens=self._num_prompt_tokens + num_given,
            cached_tokens=min(self.choices[0].num_cached, self._num_prompt_tokens),
            output_tokens=len(self._tokens) - num_given,
            reasoning_tokens=sum(choice.num_thought for choice in self.choices),
        )

    def wait(self) -> None:
        """Block until it has ended, or waits to be told what its searches have found."""
        self._ended.wait()

    def pause(self) -> None:
        """Its task searches now; whoever waits for its end waits on."""
        self._ended.clear()

    def _note(self, number: int, delta: Delta) -> None:
        if delta.token_id is None:
            return
        self._tokens.append(GeneratedToken(number, delta.token_id))
        # Tokens alone do not tell their log probabilities: such a response is generated again.
        self._can_be_replayed &= delta.logprobs is None
        if not self._is_open:
            # In order, whichever choice is the first to speak.
            for choice in self.choices:
                choice.open()
            self._is_open = True

    def _settle(self) -> bool:
        """See whether all choices have ended, or one has ended all."""
        self._cause = self._cause or self._find_cause()
        if self._cause is None:
            return not any(choice.is_listening for choice in self.choices)
        if len(self.choices) > 1:
            # Now and not when each has ended: a checkpoint does not tell when that was. What is
            # still open when the response ends was cut off if that was.
            for choice in self.choices:
                if choice.reason in COMPLETE:
                    choice.close()
        return True

    def may_call(self, is_search: bool) -> bool:
        """Whether one more call, or search, would not be too many for all choices together."""
        num_searches = sum(choice.num_searches for choice in self.choices)
        num_calls = num_searches + sum(choice.num_calls for choice in self.choices)
        if is_search and num_searches >= self._max_searches:
            return False
        return self._max_tool_calls is None or num_calls < self._max_tool_calls

    def _find_cause(self) -> EndingCause | None:
        reasons = [choice.reason for choice in self.choices]
        if FinishReason.ERROR in reasons:
            error = self.choices[reasons.index(FinishReason.ERROR)].error
            return self._failed(error or "The engine failed.")
        if None in reasons:
            return None
        if FinishReason.ABORTED in reasons:
            if self.is_overdue:
                return self._cut("max_response_seconds")
            return EndingCause(status=ResponseStatus.CANCELLED, usage=self.usage())
        if FinishReason.LENGTH in reasons:
            return self._cut("max_output_tokens")
        return EndingCause(status=ResponseStatus.COMPLETED, usage=self.usage())

    def _cut(self, reason: str) -> EndingCause:
        return EndingCause(
            status=ResponseStatus.INCOMPLETE,
            usage=self.usage(),
            incomplete_details={"reason": reason},
        )

    def _failed(self, message: str) -> EndingCause:
        error = {"code": "server_error", "message": message}
        return EndingCause(status=ResponseStatus.FAILED, usage=self.usage(), error=error)


def _choice_and_kind(token: GeneratedToken) -> tuple[int, bool]:
    return token.choice, token.is_given


def _sequence_id(stored: ResponseRecord, choice: int) -> str:
    """Each attempt is another sequence to the engine."""
    return f"{stored.id.hex}/{stored.attempt}/{choice}"
