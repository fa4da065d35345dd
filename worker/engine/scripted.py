"""An engine without a model: a fixed script at a fixed rate, for load and chaos tests.

Loads no tensor library, so that many processes of it start fast.
"""

from collections.abc import Collection

from worker.engine.interface import (
    LOGPROB_FLOOR,
    Delta,
    FinishReason,
    GenerationRequest,
    Logprobs,
    RequestTooLargeError,
    StepListener,
)
from worker.engine.loop import EngineLoop
from worker.engine.sequence import Sequence, SequenceStatus

_CONTEXT_LENGTH = 131_072
_NUM_BYTES = 256
_WORDS = (
    *("This", " answer", " is", " scripted", ":", " no", " model", " has", " read"),
    *(" the", " prompt", ",", " and", " nothing", " in", " it", " is", " meant", ".", "\n"),
)


class ScriptedTokenizer:
    """Ids 0..255 are bytes of UTF-8, those above are the words of the script."""

    def encode(self, text: str) -> list[int]:
        """Return one id per byte."""
        return list(text.encode())

    def decode(self, token_ids: list[int]) -> str:
        """Return the text; bytes that are not UTF-8 become replacement characters."""
        return b"".join(map(_token_bytes, token_ids)).decode(errors="replace")


class ScriptedEngine(EngineLoop):
    """Gives every running sequence the next word of the script, each step.

    Prompts, sampling parameters other than `max_tokens`, and grammars have no effect. As for log
    probabilities, the script is certain: its word has 0, and those named beside it, the words that
    follow, have the least there is.
    """

    def __init__(
        self,
        *,
        num_tokens: int,
        interval_s: float,
        max_sequences: int,
        on_step: StepListener,
        text: str = "",
    ) -> None:
        """Sequences end with `STOP` after `num_tokens`; a step takes `interval_s`.

        With a `text` they say its bytes instead, and end with it. It may have several turns, with
        a form feed between: a sequence says the first that is not in its prompt.
        """
        super().__init__(on_step)
        words = list(range(_NUM_BYTES, _NUM_BYTES + len(_WORDS)))
        turns = text.encode().split(b"\f")
        self._scripts = [list(turn) for turn in turns] if text else [words]
        self._num_tokens = None if text else num_tokens
        self._interval_s = interval_s
        self._max_sequences = max_sequences
        self._sequences: dict[str, Sequence] = {}
        """In order of arrival; the first `max_sequences` run."""

    @property
    def context_length(self) -> int:
        """Most tokens, prompt included, of one sequence."""
        return _CONTEXT_LENGTH

    def _prepare(self, request: GenerationRequest) -> Sequence:
        if not request.prompt:
            raise ValueError("the prompt is empty")
        if len(request.prompt) >= _CONTEXT_LENGTH:
            raise RequestTooLargeError(f"a prompt of {len(request.prompt)} tokens is too long")
        return Sequence(request)

    def _enter(self, sequence: Sequence) -> list[Delta]:
        reason = self._finish_reason(sequence)
        if reason is not None:
            sequence.status = SequenceStatus.FINISHED
            return [sequence.delta(None, reason)]
        self._sequences[sequence.id] = sequence
        return []

    def _remove(self, sequence: Sequence) -> None:
        self._sequences.pop(sequence.id, None)
        sequence.status = SequenceStatus.FINISHED

    def _running(self) -> Collection[Sequence]:
        return list(self._sequences.values())[: self._max_sequences]

    def _step(self) -> list[Delta]:
        if self._sequences:
            self._is_stopping.wait(self._interval_s)
        return [self._append(sequence) for sequence in self._running()]

    def _append(self, sequence: Sequence) -> Delta:
        position = sequence.num_generated
        script = self._script_of(sequence)
        [token] = _words(script, position, 1)
        sequence.tokens.append(token)
        reason = self._finish_reason(sequence)
        if reason is not None:
            self._remove(sequence)
        num_top = sequence.params.num_top_logprobs
        logprobs = None if num_top is None else _logprobs(_words(script, position, num_top))
        return sequence.delta(token, reason, logprobs=logprobs)

    def _script_of(self, sequence: Sequence) -> list[int]:
        """The first turn that is not in the prompt."""
        if len(self._scripts) == 1:
            return self._scripts[0]
        prompt = bytes(each for each in sequence.tokens[: sequence.num_prompt] if each < 256)
        return next(
            (turn for turn in self._scripts if bytes(turn) not in prompt), self._scripts[-1]
        )

    def _finish_reason(self, sequence: Sequence) -> FinishReason | None:
        length = self._num_tokens or len(self._script_of(sequence))
        if sequence.num_generated >= length:
            return FinishReason.STOP
        return sequence.finish_reason(frozenset(), _CONTEXT_LENGTH)


def _words(script: list[int], position: int, count: int) -> list[int]:
    """The words of a script from a position on; it begins again after its end."""
    return [script[(position + n) % len(script)] for n in range(count)]


def _logprobs(words: list[int]) -> Logprobs:
    top = tuple((word, LOGPROB_FLOOR if n else 0.0) for n, word in enumerate(words))
    return Logprobs(0.0, top)


def _token_bytes(token_id: int) -> bytes:
    if token_id < _NUM_BYTES:
        return bytes([token_id])
    return _WORDS[(token_id - _NUM_BYTES) % len(_WORDS)].encode()
