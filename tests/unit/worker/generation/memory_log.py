"""An in-memory event log with the return values of that in Redis, and generations that use it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import orjson

from models.encryption.cipher import ContentCipher, new_encryption_key
from models.encryption.response import ResponseCipher
from models.profile.formats.call_format import CallFormat
from models.profile.thinking import KNOWN_TAGS, ThinkTags
from models.recording.recorder import Recorder
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.responses.tokens import GeneratedToken
from models.streams.event_log import Append, AppendResult, EventLog, LoggedEvent
from tests.factories import stored_response
from worker.engine.interface import Tokenizer
from worker.engine.scripted import ScriptedTokenizer
from worker.generation.generation import Generation
from worker.generation.output.logprobs import LogprobFormatter
from worker.generation.output.rules import PLAIN_RULES, OutputRules
from worker.parsing.text_pipeline import TextPipeline
from worker.parsing.turns import TurnFormat

_KEY = new_encryption_key()
CIPHER = ContentCipher(lambda _: _KEY)


@dataclass(frozen=True, kw_only=True)
class Thinking:
    """Output parts that a model may write beside its answer."""

    tags: ThinkTags | None = KNOWN_TAGS[0]
    opens_reasoning: bool = False
    call_format: CallFormat | None = None
    functions: frozenset[str] = frozenset()
    inputs: Mapping[str, str] = field(default_factory=dict)
    rules: OutputRules = PLAIN_RULES
    turn_format: TurnFormat | None = None
    """Format of the turns, if it is not made of the others."""

    def pipeline(self, tokenizer: Tokenizer, stop: Sequence[str]) -> TextPipeline:
        turn_format = self.turn_format or TurnFormat(
            think_tags=self.tags,
            call_format=self.call_format,
            functions=self.functions,
            inputs=self.inputs,
        )
        opens_reasoning = self.opens_reasoning
        return TextPipeline(tokenizer, list(stop), turn_format, opens_reasoning=opens_reasoning)


class MemoryLog(EventLog):
    """Event log that appends as `append.lua` does and counts the round trips."""

    def __init__(self) -> None:
        self.events: dict[UUID, list[LoggedEvent]] = defaultdict(list)
        self.num_round_trips = 0
        self.is_reachable = True
        self._fences: dict[UUID, int] = {}

    def append(self, appends: Sequence[Append]) -> list[AppendResult]:
        self.num_round_trips += 1
        if not self.is_reachable:
            return [AppendResult.UNREACHABLE] * len(appends)
        return [self._append_one(append) for append in appends]

    def _append_one(self, append: Append) -> AppendResult:
        logged = self.events[append.response_id]
        if append.attempt < self._fences.get(append.response_id, 0):
            return AppendResult.STALE
        if not logged and append.events[0].sequence_number != append.first_sequence_number:
            return AppendResult.LOST
        last = logged[-1].sequence_number if logged else -1
        logged += [event for event in append.events if event.sequence_number > last]
        return AppendResult.OK

    def take_over(
        self, response_id: UUID, attempt: int, *, start: int, cipher: ResponseCipher | None = None
    ) -> list[LoggedEvent]:
        self._fences[response_id] = attempt
        return [event for event in self.events[response_id] if event.sequence_number >= start]

    def types(self, response_id: UUID) -> list[str]:
        """Return the types of the logged events, without those that begin every log."""
        return [event.type.removeprefix("response.") for event in self.events[response_id]]

    def text(self, generation: Generation) -> str:
        """Return the text that a generation has recorded so far."""
        generation.recorder.flush()
        logged = [orjson.loads(event.data) for event in self.events[generation.record.id]]
        deltas = (event for event in logged if event["type"] == "response.output_text.delta")
        return "".join(event["delta"] for event in deltas)


def claimed_response(attempt: int = 1) -> ResponseRecord:
    return stored_response(status=ResponseStatus.IN_PROGRESS, attempt=attempt)


def begin(
    log: MemoryLog,
    stored: ResponseRecord | None = None,
    *,
    stop: Sequence[str] = (),
    tokenizer: Tokenizer | None = None,
    n: int = 1,
    thinking: Thinking | None = None,
) -> Generation:
    """Return a generation as the runner makes it; tokens are bytes unless a tokenizer is given."""
    recorder = Recorder(stored or claimed_response(), log, CIPHER)
    recorder.begin()
    return _generation(recorder, stop, tokenizer or ScriptedTokenizer(), n, thinking)


def take_over(
    log: MemoryLog,
    first: Generation,
    *,
    stop: Sequence[str] = (),
    thinking: Thinking | None = None,
) -> tuple[Generation, list[GeneratedToken]]:
    """Return the next attempt at a response, and the tokens that it found in the log."""
    stored = replace(first.record, attempt=first.record.attempt + 1)
    recorder = Recorder(stored, log, CIPHER)
    tokens = recorder.take_over_log()
    recorder.begin()
    tokenizer, n = ScriptedTokenizer(), len(first.choices)
    return _generation(recorder, stop, tokenizer, n, thinking), tokens


def _generation(
    recorder: Recorder,
    stop: Sequence[str],
    tokenizer: Tokenizer,
    n: int,
    thinking: Thinking | None,
) -> Generation:
    thinking = thinking or Thinking(tags=None)
    formatter = LogprobFormatter(lambda: [bytes([byte]) for byte in range(256)], tokenizer)
    return Generation(
        recorder.record,
        recorder,
        [thinking.pipeline(tokenizer, stop) for _ in range(n)],
        num_prompt_tokens=7,
        format_logprob=formatter.format,
        rules=thinking.rules,
    )
