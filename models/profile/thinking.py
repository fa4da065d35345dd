"""Detection of how a chat template switches reasoning on and takes earlier reasoning.

Templates have no common convention: those of Qwen and many others use `enable_thinking`, of
DeepSeek and Granite `thinking`, of gpt-oss and Mistral `reasoning_effort`.
"""

import re
import secrets
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

SWITCHES = ("enable_thinking", "thinking")
"""Template keywords that take a boolean."""
LEVEL = "reasoning_effort"
"""Template keyword that takes the name of an effort level."""
_WITHOUT_REASONING = frozenset({"none", "minimal"})
_NEAREST_LEVELS = {
    "none": ("low",),
    "minimal": ("low",),
    "xhigh": ("high",),
    "max": ("xhigh", "high"),
}
"""Substitutes for levels that a template does not name, of which the last is used in any case."""


class ThinkTags(NamedTuple):
    """Delimiters that a model writes before and after its reasoning."""

    opener: str
    closer: str


KNOWN_TAGS = (
    ThinkTags("<think>", "</think>"),
    ThinkTags("<thinking>", "</thinking>"),
    ThinkTags("<thought>", "</thought>"),
    ThinkTags("<seed:think>", "</seed:think>"),
    ThinkTags("[THINK]", "[/THINK]"),
    ThinkTags("◁think▷", "◁/think▷"),
    ThinkTags("<|begin_of_thought|>", "<|end_of_thought|>"),
)
"""The first is that of Qwen, DeepSeek, GLM, SmolLM and more; each other, of one model family."""

_MESSAGE_KEYS = ("reasoning_content", "thinking", "reasoning")


class ThinkingStyle:
    """Reasoning conventions of one chat template."""

    def __init__(
        self,
        template: str,
        vocabulary: Collection[str] = (),
        mark: Callable[[str], str] = str,
    ) -> None:
        """Detect the conventions; `vocabulary` has the texts of the tokenizer's added tokens.

        `mark` is applied to delimiters in prompts (models/chat/control_tokens.py).
        """
        self._template = template
        self._message_key = next(filter(self._reads_message_key, _MESSAGE_KEYS), None)
        known = (
            tags for tags in KNOWN_TAGS if tags.closer in template or tags.closer in vocabulary
        )
        self.tags = next(known, None)
        """Delimiters of the reasoning; None if the model is not known to reason."""
        self._prompt_tags = ThinkTags(*map(mark, self.tags or KNOWN_TAGS[0]))
        self._kept_tags = ThinkTags(f"<{secrets.token_hex(10)}>", f"<{secrets.token_hex(10)}>")
        """Stand-ins for the delimiters of reasoning that the template must not recognise."""

    def keywords(self, effort: str | None) -> dict[str, Any]:
        """Return the template keywords for a reasoning effort; empty if `effort` is None."""
        if effort is None:
            return {}
        keywords: dict[str, Any] = {
            name: is_reasoning_enabled(effort) for name in SWITCHES if self._mentions(name)
        }
        if self._mentions(LEVEL):
            keywords[LEVEL] = self._level(effort)
        return keywords

    def _level(self, effort: str) -> str:
        """Return the effort, or the nearest that the template names."""
        levels = (effort, *_NEAREST_LEVELS.get(effort, ()))
        named = (level for level in levels if re.search(rf"""(['"]){level}\1""", self._template))
        return next(named, levels[-1])

    def with_reasoning(self, message: dict[str, Any], reasoning: str | None) -> dict[str, Any]:
        """Return an assistant message with the reasoning before it, as the template takes it."""
        if not reasoning:
            return message
        if self._message_key is not None:
            return message | {self._message_key: reasoning}
        content = _prepend(self._prompt_tags, reasoning, message["content"])
        return message | {"content": content}

    def with_kept_reasoning(self, message: dict[str, Any], reasoning: str | None) -> dict[str, Any]:
        """Return an assistant message with reasoning that the template does not leave out.

        `restore_tags` must be applied to the rendered prompt.
        """
        if not reasoning:
            return message
        return message | {"content": _prepend(self._kept_tags, reasoning, message["content"])}

    def restore_tags(self, prompt: str) -> str:
        """Return a rendered prompt with the delimiters of all reasoning."""
        for stand_in, tag in zip(self._kept_tags, self._prompt_tags, strict=True):
            prompt = prompt.replace(stand_in, tag)
        return prompt

    def opens_reasoning(self, prompt: str) -> bool:
        """Return True if a prompt ends inside a reasoning block that the model continues."""
        return self.tags is not None and prompt.rstrip().endswith(self._prompt_tags.opener)

    def close_reasoning(self, prompt: str, effort: str | None) -> str:
        """Close the reasoning block that the prompt opens if the effort disables reasoning."""
        if not self.opens_reasoning(prompt) or is_reasoning_enabled(effort):
            return prompt
        return f"{prompt.rstrip()}\n\n{self._prompt_tags.closer}\n\n"

    def _mentions(self, name: str) -> bool:
        return re.search(rf"\b{name}\b", self._template) is not None

    def _reads_message_key(self, key: str) -> bool:
        """Match `message.key`, `message['key']` or `'key' in message`, for any name in `m…`."""
        pattern = rf"""\bm\w*(\.|\[['"]){key}\b|['"]{key}['"] in m"""
        return re.search(pattern, self._template) is not None


def is_reasoning_enabled(effort: str | None) -> bool:
    """Return True if a model should reason at this effort."""
    return effort not in _WITHOUT_REASONING


def _prepend(tags: ThinkTags, reasoning: str, content: Any) -> Any:
    """Prepend reasoning, in its delimiters, to a message's content (text or parts)."""
    block = f"{tags.opener}\n{reasoning}\n{tags.closer}\n\n"
    if isinstance(content, list):
        return [{"type": "text", "text": block}, *content]
    return block + (content or "")
