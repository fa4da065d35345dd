"""Tokens and their log probabilities as clients see them: with text and bytes."""

from collections.abc import Callable, Sequence
from functools import cached_property

from models.schemas.parts import TokenLogprob, TopLogprob
from worker.engine.interface import Logprobs, Tokenizer
from worker.parsing.text_pipeline import storable


class LogprobFormatter:
    """Spells the tokens of one vocabulary; safe from any thread."""

    def __init__(self, token_texts: Callable[[], Sequence[bytes]], tokenizer: Tokenizer) -> None:
        """`token_texts` takes a second; it is called with the first token that is to be spelled.

        What it has not is what the `tokenizer` makes of it.
        """
        self._load = token_texts
        self._tokenizer = tokenizer

    @cached_property
    def _texts(self) -> Sequence[bytes]:
        return self._load()

    def spell(self, token_id: int, logprobs: Logprobs) -> TokenLogprob:
        """The token that was drawn, with the likeliest in its place."""
        token, text = self._spelled(token_id)
        return TokenLogprob(
            token=token,
            logprob=logprobs.drawn,
            bytes=text,
            top_logprobs=[self._top(*each) for each in logprobs.top],
        )

    def _top(self, token_id: int, logprob: float) -> TopLogprob:
        token, text = self._spelled(token_id)
        return TopLogprob(token=token, logprob=logprob, bytes=text)

    def _spelled(self, token_id: int) -> tuple[str, list[int]]:
        text = (
            self._texts[token_id]
            if token_id < len(self._texts)
            else self._tokenizer.decode([token_id]).encode()
        )
        return storable(text.decode(errors="replace")), list(text)
