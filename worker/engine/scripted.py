"""Engine without a model: generates a fixed script at a fixed rate, for load and chaos tests.

Loads no tensor library, so that many such processes start fast.
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
from worker.engine.loop import STEP_LIMIT_S, EngineLoop
from worker.engine.sequence import Sequence, SequenceStatus

_CONTEXT_LENGTH = 131_072
_NUM_BYTES = 256
_WORDS = (
    *("This", " answer", " is", " scripted", ":", " no", " model", " has", " read"),
    *(" the", " prompt", ",", " and", " nothing", " in", " it", " is", " meant", ".", "\n"),
)


class ScriptedTokenizer:
    """Tokenizer whose ids 0..255 are bytes of UTF-8; higher ids are words of the script."""

    def encode(self, text: str) -> list[int]:
        """Return one id per byte."""
        return list(text.encode())

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of the ids; invalid UTF-8 becomes replacement characters."""
        return b"".join(map(_token_bytes, token_ids)).decode(errors="replace")


class ScriptedEngine(EngineLoop):
    """Engine that appends the next word of the script to every running sequence, each step.

    Prompts, sampling parameters other than `max_tokens`, and grammars have no effect. The drawn
    word has log probability 0; the alternatives are the words that follow it in the script, with
    `LOGPROB_FLOOR`.
    """

    def __init__(
        self,
        *,
        num_tokens: int,
        interval_s: float,
        max_sequences: int,
        on_step: StepListener,
        text: str = "",
        step_limit_s: float = STEP_LIMIT_S,
    ) -> None:
        """Create an engine whose sequences end with `STOP` after `num_tokens` tokens.

        A step takes `interval_s` seconds. If `text` is given, sequences generate its bytes instead
        and end after the last. It may consist of several turns separated by form feeds: a sequence
        generates the first that is not in its prompt. A step that takes longer than `step_limit_s`
        seconds hangs.
        """
        super().__init__(on_step, step_limit_s=step_limit_s)
        words = list(range(_NUM_BYTES, _NUM_BYTES + len(_WORDS)))
        turns = text.encode().split(b"\f")
        self._scripts = [list(turn) for turn in turns] if text else [words]
        self._num_tokens = None if text else num_tokens
        self._interval_s = interval_s
        self._max_sequences = max_sequences
        self._sequences: dict[str, Sequence] = {}
        """Unfinished sequences by id, in order of arrival; the first `max_sequences` run."""

    @property
    def context_length(self) -> int:
        """Largest number of tokens of one sequence, prompt included."""
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
        if sequence.is_prompt_only:
            self._remove(sequence)
            return sequence.delta(None, FinishReason.LENGTH)
        position = sequence.num_generated
        script = self._find_script(sequence)
        [token] = _take_words(script, position, 1)
        sequence.tokens.append(token)
        reason = self._finish_reason(sequence)
        if reason is not None:
            self._remove(sequence)
        num_top = sequence.params.num_top_logprobs
        logprobs = None if num_top is None else _logprobs(_take_words(script, position, num_top))
        return sequence.delta(token, reason, logprobs=logprobs)

    def _find_script(self, sequence: Sequence) -> list[int]:
        """Return the first turn that is not in the prompt."""
        if len(self._scripts) == 1:
            return self._scripts[0]
        prompt = bytes(token for token in sequence.tokens[: sequence.num_prompt] if token < 256)
        return next(
            (turn for turn in self._scripts if bytes(turn) not in prompt), self._scripts[-1]
        )

    def _finish_reason(self, sequence: Sequence) -> FinishReason | None:
        length = self._num_tokens or len(self._find_script(sequence))
        if sequence.num_generated >= length:
            return FinishReason.STOP
        return sequence.finish_reason(frozenset(), _CONTEXT_LENGTH)


def _take_words(script: list[int], position: int, count: int) -> list[int]:
    """Return `count` words of the script from a position on, starting over after its end."""
    return [script[(position + n) % len(script)] for n in range(count)]


def _logprobs(words: list[int]) -> Logprobs:
    top = tuple((word, LOGPROB_FLOOR if n else 0.0) for n, word in enumerate(words))
    return Logprobs(0.0, top)


def _token_bytes(token_id: int) -> bytes:
    if token_id < _NUM_BYTES:
        return bytes([token_id])
    return _WORDS[(token_id - _NUM_BYTES) % len(_WORDS)].encode()
