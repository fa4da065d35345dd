"""Control tokens of a tokenizer: only the chat template and the server itself can write them.

Content, such as a user's text or a function's output, may spell a control token (`<|im_end|>`) and
must not end a turn by it. So the tokenizer of prompts knows every control token by a mark, a secret
spelling drawn at random by each process. Chat templates and the server's own texts are written with
marks. What is spelled in content, in whatever way and wherever, is text like any other.
"""

import re
import secrets
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from models.chat.token_lengths import max_characters_per_token
from models.settings import SettingsError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WORD = re.compile(r"[\w\s▁]*")
"""Words and white space, which tokenizers also add to their vocabulary as whole tokens."""
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
"""Tokens of single bytes, which tokenizers look up by this name."""
_HTML = re.compile(
    r"</?(?:table|caption|thead|tbody|tfoot|tr|th|td|h[1-6]|blockquote|strong|em|b|i|u|s|sub|sup"
    r"|code|pre|p|a|ul|ol|li|br|hr|img|div|span)/?>"
)
"""Tags that Gemma's tokenizer, among others, has as tokens for use in ordinary text."""
_SECRET_BYTES = 10


class ControlTokens:
    """Control tokens of one tokenizer, their marks, and the tokenizer that knows only the marks."""

    def __init__(self, tokenizer: "Tokenizer", template: str) -> None:
        """Draw a mark for each control token of a tokenizer.

        An added token is a control token unless it is ordinary text: a word, white space, a byte,
        or an HTML tag that the chat template does not contain. Raises `SettingsError` if an id
        would change.
        """
        from tokenizers import Tokenizer

        config = orjson.loads(tokenizer.to_str())
        texts = [
            token["content"] for token in config["added_tokens"] if _is_control(token, template)
        ]
        self.max_characters = max_characters_per_token(config)
        """Most characters that one token stands for; None if there is no bound."""
        secret = secrets.token_hex(_SECRET_BYTES)
        # Lower case, digits and angle brackets: what normalizers of tokenizers leave as it is.
        self._marks = {text: f"<{secret}{number:05}>" for number, text in enumerate(texts)}
        self._texts = {mark: text for text, mark in self._marks.items()}
        # Where several tokens begin at one place, the longest counts, as in tokenizers.
        longest_first = sorted(map(re.escape, texts), key=len, reverse=True)
        self._pattern = re.compile("|".join(longest_first) or r"(?!)")
        self._mark_pattern = re.compile(f"<{secret}[0-9]+>")
        self.tokenizer = Tokenizer.from_str(
            orjson.dumps(rename_tokens(config, self._marks)).decode()
        )
        """Tokenizer of marked text; gives every token the id that the given tokenizer gives it."""
        self.mark = lru_cache(maxsize=1024)(self._mark)
        """Function that replaces the control tokens in text of the server's own by their marks."""
        _check_ids(tokenizer, self.tokenizer, self._marks)

    def unmark(self, text: str) -> str:
        """Return marked text as it reads with the tokens' own spelling, such as for clients."""
        return self._mark_pattern.sub(lambda found: self._texts[found[0]], text)

    def _mark(self, text: str) -> str:
        return self._pattern.sub(lambda found: self._marks[found[0]], text)


def _is_control(token: dict[str, Any], template: str) -> bool:
    text = token["content"]
    if _WORD.fullmatch(text) or _BYTE.fullmatch(text):
        return False
    return token["special"] or text in template or not _HTML.fullmatch(text)


def rename_tokens(config: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Rename tokens in the content of a `tokenizer.json`, in place, and return it.

    They keep their ids. Neither merges nor pieces of the vocabulary make a renamed token of its
    former name.
    """
    model = config["model"]
    for token in config["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(text, text): index for text, index in model["vocab"].items()}
    else:
        model["vocab"] = [[names.get(text, text), score] for text, score in model["vocab"]]
    if "merges" in model:
        prefix = model.get("continuing_subword_prefix") or ""
        model["merges"] = [pair for pair in model["merges"] if not _makes_any(pair, prefix, names)]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    # Prompts are neither cut nor filled up, and the template writes all of their tokens.
    config.update(truncation=None, padding=None, post_processor=None)
    return config


def _makes_any(pair: list[str], prefix: str, names: dict[str, str]) -> bool:
    """Return True if a merge takes or makes one of these tokens.

    `prefix` begins the tokens within a word, and is left out where they are merged.
    """
    first, second = pair
    return not names.keys().isdisjoint((first, second, first + second.removeprefix(prefix)))


def _check_ids(before: "Tokenizer", after: "Tokenizer", names: dict[str, str]) -> None:
    for text, name in names.items():
        if before.token_to_id(text) != after.token_to_id(name):
            raise SettingsError(f"the tokenizer has no fixed id for its token {text!r}")
