"""Answers that a model must give, which the checker compares with what is stored."""

from dataclasses import dataclass

from worker.engine.scripted import ScriptedTokenizer

_NUM_BYTES = 256
_tokenizer = ScriptedTokenizer()


@dataclass(frozen=True, slots=True)
class Answer:
    """Text of a model's answer, up to its end or to the limit of its tokens."""

    text: str
    num_tokens: int
    is_complete: bool
    """True if it ends by itself."""


def script(num_tokens: int) -> str:
    """Return the text that the scripted engine generates in `num_tokens` tokens."""
    return _tokenizer.decode([_NUM_BYTES + number for number in range(num_tokens)])
