"""Tokenizer of prompts: never holds the interpreter's lock, and stops early at texts too long."""

import os
import threading

from models.chat.control_tokens import ControlTokens
from models.errors import ContextLengthExceededError

LONG_TEXT = 1 << 16
"""Number of characters from which on texts are tokenised one at a time in each process."""
USUAL_CHARACTERS = 8
"""Characters per token that ordinary text stays below; longer prompts are sampled first."""
_FIRST_SAMPLE = 2
"""Length of the first sample in characters per token of the context."""
_MARGIN = 1.05
"""Tokens of a sample, relative to the context, that prove the whole text to be too long.

A sample ends within a word, which may then have more tokens than in the whole text.
"""

# A prompt is a batch of one. The library's pool of threads would only delay it, and a process that
# is forked after its first use would be warned about it.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class PromptTooLongError(ContextLengthExceededError):
    """The input is too long for the model's context."""

    def __init__(
        self, num_tokens: int, context_length: int, model_id: str, min_tokens: int | None = None
    ) -> None:
        """Create the error for a prompt of about `num_tokens` and at least `min_tokens` tokens."""
        self.num_tokens = num_tokens
        message = (
            f"The input is at least {min_tokens or num_tokens} tokens; the context of {model_id} "
            f"is {context_length}, and one must be left for the output."
        )
        super().__init__(message, param="input")


class PromptTokenizer:
    """Tokenizer of marked prompts for one context length."""

    def __init__(self, control: ControlTokens, model_id: str, context_length: int) -> None:
        """Wrap the tokenizer of marked text."""
        self._tokenizer = control.tokenizer
        self._max_characters = control.max_characters
        self._model_id = model_id
        self._context_length = context_length
        self._long_text_lock = threading.Lock()

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text.

        Raises `PromptTooLongError` for a text of many times the context's length, before more than
        a part of it is tokenised; texts that are a little too long are tokenised whole.
        """
        if len(text) <= LONG_TEXT:
            return self._encode(text)
        self.check_characters(len(text))
        with self._long_text_lock:
            if len(text) > self._context_length * USUAL_CHARACTERS:
                self._check_samples(text)
            return self._encode(text)

    def check_characters(self, num_characters: int) -> None:
        """Raise `PromptTooLongError` if a text is too long even if every token is the longest."""
        if self._max_characters is None or num_characters <= LONG_TEXT:
            return
        num_tokens = num_characters // self._max_characters
        if num_tokens > self._context_length:
            raise PromptTooLongError(num_tokens, self._context_length, self._model_id)

    def _check_samples(self, text: str) -> None:
        """Tokenise ever longer beginnings of the text, until one is too long or all are short."""
        num_characters = self._context_length * _FIRST_SAMPLE
        while num_characters < len(text):
            num_tokens = len(self._encode(text[:num_characters]))
            if num_tokens > self._context_length * _MARGIN:
                estimate = num_tokens * len(text) // num_characters
                raise PromptTooLongError(
                    estimate, self._context_length, self._model_id, min_tokens=num_tokens
                )
            num_characters *= 2

    def _encode(self, text: str) -> list[int]:
        # `encode` holds the interpreter's lock, and computes offsets, which nobody needs.
        [encoding] = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
        return list(encoding.ids)
