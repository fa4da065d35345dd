"""How a chat template is told to think, and where it takes earlier thoughts: read off its text.

Templates have no common way: Qwen's and many others know `enable_thinking`, DeepSeek's and
Granite's `thinking`, gpt-oss's and Mistral's `reasoning_effort`.
"""

import re
from collections.abc import Collection
from typing import Any, NamedTuple

SWITCHES = ("enable_thinking", "thinking")
"""Keywords that are true or false."""
LEVEL = "reasoning_effort"
"""The keyword that is a word."""
_WITHOUT_THOUGHT = frozenset({"none", "minimal"})
_USUAL_LEVELS = {"none": "low", "minimal": "low", "xhigh": "high"}
"""What templates that do not name a level know in its place."""


class ThinkTags(NamedTuple):
    """What a model writes before and after a thought."""

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
"""Of Qwen, DeepSeek, GLM, SmolLM and many more; the others each of one family of models."""

_MESSAGE_KEYS = ("reasoning_content", "thinking", "reasoning")


class ThinkingStyle:
    """What one template understands of thinking."""

    def __init__(self, template: str, vocabulary: Collection[str] = ()) -> None:
        """`vocabulary`: the tokens that were added to those of the text."""
        self._template = template
        self._message_key = next(filter(self._reads_of_messages, _MESSAGE_KEYS), None)
        known = (
            tags for tags in KNOWN_TAGS if tags.closer in template or tags.closer in vocabulary
        )
        self.tags = next(known, None)
        """How the model spells thoughts; None if it is not known to have any."""

    def keywords(self, effort: str | None) -> dict[str, Any]:
        """What to render the template with; nothing where no effort is asked for."""
        if effort is None:
            return {}
        keywords: dict[str, Any] = {
            name: thinks(effort) for name in SWITCHES if self._mentions(name)
        }
        if self._mentions(LEVEL):
            is_named = re.search(rf"""(['"]){effort}\1""", self._template) is not None
            keywords[LEVEL] = effort if is_named else _USUAL_LEVELS.get(effort, effort)
        return keywords

    def with_thought(self, message: dict[str, Any], thought: str | None) -> dict[str, Any]:
        """An assistant's message with what was thought before it, as the template takes it."""
        if not thought:
            return message
        if self._message_key is not None:
            return message | {self._message_key: thought}
        return message | {"content": self._in_tags(thought, message["content"])}

    def opens_thought(self, prompt: str) -> bool:
        """Whether a prompt ends within a thought, so that the model goes on with it."""
        return self.tags is not None and prompt.rstrip().endswith(self.tags.opener)

    def settle(self, prompt: str, effort: str | None) -> str:
        """The prompt, a thought that it begins closed at once if there is to be none."""
        if self.tags is None or not self.opens_thought(prompt) or thinks(effort):
            return prompt
        return f"{prompt.rstrip()}\n\n{self.tags.closer}\n\n"

    def _in_tags(self, thought: str, content: Any) -> Any:
        """A message's content, a text or parts, after the thought as the model spells it."""
        opener, closer = self.tags or KNOWN_TAGS[0]
        spelled = f"{opener}\n{thought}\n{closer}\n\n"
        if isinstance(content, list):
            return [{"type": "text", "text": spelled}, *content]
        return spelled + (content or "")

    def _mentions(self, name: str) -> bool:
        return re.search(rf"\b{name}\b", self._template) is not None

    def _reads_of_messages(self, key: str) -> bool:
        """`message.key`, `message['key']` or `'key' in message`, however that is abbreviated."""
        read = rf"""\bm\w*(\.|\[['"]){key}\b|['"]{key}['"] in m"""
        return re.search(read, self._template) is not None


def thinks(effort: str | None) -> bool:
    """Whether a model that is asked for this effort is to think."""
    return effort not in _WITHOUT_THOUGHT
