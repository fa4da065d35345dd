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
LEVELS = ("reasoning_effort", "thinking_effort")
"""Template keywords that take the name of an effort level."""
_WITHOUT_REASONING = frozenset({"none", "minimal"})
_NEAREST_LEVELS = {
    "none": ("low",),
    "minimal": ("low",),
    "xhigh": ("high",),
    "max": ("xhigh", "high"),
}
"""Substitutes for levels that a template does not name, of which the last is used in any case."""


class AnswerTags(NamedTuple):
    """Delimiters that a model writes before and after its answer."""

    opener: str
    closer: str
    ending: str = ""
    """Text after all answers and calls of a turn."""

    @property
    def are_tokens(self) -> bool:
        """Return True if the tags are tokens, which no answer spells."""
        return self.opener.startswith("<|")


class ThinkTags(NamedTuple):
    """Delimiters that a model writes before and after its reasoning."""

    opener: str
    closer: str


HARMONY_TAGS = ThinkTags("<|channel|>analysis<|message|>", "<|end|>")
"""Delimiters of gpt-oss, which are those of messages; its turns have a parser of their own."""
KIMI_K3_TAGS = ThinkTags("<|open|>think<|sep|>", "<|close|>think<|sep|>")

KNOWN_TAGS = (
    ThinkTags("<think>", "</think>"),
    ThinkTags("<thinking>", "</thinking>"),
    ThinkTags("<thought>", "</thought>"),
    ThinkTags("<seed:think>", "</seed:think>"),
    ThinkTags("[THINK]", "[/THINK]"),
    ThinkTags("◁think▷", "◁/think▷"),
    ThinkTags("<|begin_of_thought|>", "<|end_of_thought|>"),
    ThinkTags("<|START_THINKING|>", "<|END_THINKING|>"),
    ThinkTags("<|channel>thought", "<channel|>"),
    ThinkTags("<|inner_prefix|>", "<|inner_suffix|>"),
    KIMI_K3_TAGS,
)
"""The first is that of Qwen, DeepSeek, GLM, SmolLM and more; each other, of one model family."""

KIMI_K3_ANSWER_TAGS = AnswerTags(
    "<|open|>response<|sep|>", "<|close|>response<|sep|>", "<|close|>message<|sep|>"
)
KNOWN_ANSWER_TAGS = (
    AnswerTags("<response>", "</response>"),
    AnswerTags("<answer>", "</answer>"),
    AnswerTags("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    KIMI_K3_ANSWER_TAGS,
)
"""Those of Granite 3.2 and ERNIE, of Hunyuan, of Command, and of Kimi K3."""

_MARKS: dict[tuple[str, ...], tuple[str, ...]] = {
    HARMONY_TAGS: ("<|channel|>", "<|start|>"),
    KIMI_K3_TAGS: ("<|open|>", "<|sep|>", "<|close|>"),
    KIMI_K3_ANSWER_TAGS: ("<|open|>", "<|sep|>", "<|close|>"),
}
"""Texts that a template must all contain to use tags that it composes."""

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
        self._mark = mark
        self._message_key = next(filter(self._reads_message_key, _MESSAGE_KEYS), None)
        self.tags = find_tags(template, vocabulary)
        """Delimiters of the reasoning; None if the model is not known to reason."""
        self.answer_tags = find_answer_tags(template) if self.tags else None
        """Delimiters of the answer; None if it has none."""
        self._prompt_tags = ThinkTags(*map(mark, self.tags or KNOWN_TAGS[0]))
        self._answer_opener = mark(self.answer_tags.opener) if self.answer_tags else ""
        self._kept_tags = ThinkTags(f"<{secrets.token_hex(10)}>", f"<{secrets.token_hex(10)}>")
        """Stand-ins for the delimiters of reasoning that the template must not recognise."""

    def keywords(self, effort: str | None) -> dict[str, Any]:
        """Return the template keywords for a reasoning effort; empty if `effort` is None."""
        if effort is None:
            return {}
        keywords: dict[str, Any] = {
            name: is_reasoning_enabled(effort) for name in SWITCHES if self._mentions(name)
        }
        level = self._level(effort)
        return keywords | {name: level for name in LEVELS if self._mentions(name)}

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
        if self.tags == HARMONY_TAGS:
            prompt = self._with_messages(prompt)
        for stand_in, tag in zip(self._kept_tags, self._prompt_tags, strict=True):
            prompt = prompt.replace(stand_in, tag)
        return prompt

    def _with_messages(self, prompt: str) -> str:
        """Return a prompt of gpt-oss in which kept reasoning stands in messages of its own."""
        opener, closer = self._kept_tags
        end, answer = self._prompt_tags.closer, self._mark("<|channel|>final<|message|>")
        prompt = prompt.replace(f"{answer}{opener}\n", self._prompt_tags.opener)
        prompt = prompt.replace(f"{self._prompt_tags.opener}{opener}\n", self._prompt_tags.opener)
        prompt = prompt.replace(f"\n{closer}\n\n{end}", end)
        next_message = f"{end}{self._mark('<|start|>assistant')}{answer}"
        return prompt.replace(f"\n{closer}\n\n", next_message)

    def opens_reasoning(self, prompt: str) -> bool:
        """Return True if a prompt ends inside a reasoning block that the model continues."""
        if self.tags == KIMI_K3_TAGS:
            # Its turns begin with reasoning, whoever writes the opening tag.
            return not prompt.endswith(self._answer_opener)
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


def find_tags(template: str, vocabulary: Collection[str] = ()) -> ThinkTags | None:
    """Return the delimiters of reasoning in a chat template; None if it is not known to have any.

    `vocabulary` has the texts of the tokenizer's added tokens.
    """
    known = (HARMONY_TAGS, *KNOWN_TAGS)
    found = next((tags for tags in known if _is_in_template(tags, template)), None)
    if found is not None:
        return found
    # Tags that a template composes consist of tokens that others have, too.
    named = (tags for tags in KNOWN_TAGS if tags not in _MARKS)
    return next((tags for tags in named if tags.closer in vocabulary), None)


def find_answer_tags(template: str) -> AnswerTags | None:
    """Return the delimiters of the answers of a model that reasons; None if it writes none."""
    return next((tags for tags in KNOWN_ANSWER_TAGS if _is_in_template(tags, template)), None)


def _is_in_template(tags: ThinkTags | AnswerTags, template: str) -> bool:
    if tags in _MARKS:
        return all(mark in template for mark in _MARKS[tags])
    return any(tag in template for tag in (tags.opener, tags.closer))


def is_reasoning_enabled(effort: str | None) -> bool:
    """Return True if a model should reason at this effort."""
    return effort not in _WITHOUT_REASONING


def _prepend(tags: ThinkTags, reasoning: str, content: Any) -> Any:
    """Prepend reasoning, in its delimiters, to a message's content (text or parts)."""
    block = f"{tags.opener}\n{reasoning}\n{tags.closer}\n\n"
    if isinstance(content, list):
        return [{"type": "text", "text": block}, *content]
    return block + (content or "")
