"""Log probabilities as clients see them: each token with its text and bytes."""

from collections.abc import Callable, Sequence
from functools import cached_property

from models.schemas.parts import TokenLogprob, TopLogprob
from worker.engine.interface import Logprobs, Tokenizer
from worker.parsing.text_pipeline import replace_nul


class LogprobFormatter:
    """Formats the tokens of one vocabulary; safe from any thread."""

    def __init__(self, token_texts: Callable[[], Sequence[bytes]], tokenizer: Tokenizer) -> None:
        """Defer `token_texts`, which takes a second, until the first token is formatted.

        Tokens beyond its end are decoded with the `tokenizer`.
        """
        self._load = token_texts
        self._tokenizer = tokenizer

    @cached_property
    def _texts(self) -> Sequence[bytes]:
        return self._load()

    def format(self, token_id: int, logprobs: Logprobs) -> TokenLogprob:
        """Return the drawn token, with the likeliest tokens at its position."""
        token, text = self._format_token(token_id)
        return TokenLogprob(
            token=token,
            logprob=logprobs.drawn,
            bytes=text,
            top_logprobs=[self._format_top(*top) for top in logprobs.top],
        )

    def _format_top(self, token_id: int, logprob: float) -> TopLogprob:
        token, text = self._format_token(token_id)
        return TopLogprob(token=token, logprob=logprob, bytes=text)

    def _format_token(self, token_id: int) -> tuple[str, list[int]]:
        text = (
            self._texts[token_id]
            if token_id < len(self._texts)
            else self._tokenizer.decode([token_id]).encode()
        )
        return replace_nul(text.decode(errors="replace")), list(text)
