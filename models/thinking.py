"""How a chat template is told to think, and where it takes earlier thoughts: read off its text.

Templates have no common way: Qwen's and many others know `enable_thinking`, DeepSeek's and
Granite's `thinking`, gpt-oss's and Mistral's `reasoning_effort`.
"""

import re
from typing import Any

SWITCHES = ("enable_thinking", "thinking")
"""Keywords that are true or false."""
LEVEL = "reasoning_effort"
"""The keyword that is a word."""
_WITHOUT_THOUGHT = frozenset({"none", "minimal"})
_USUAL_LEVELS = {"none": "low", "minimal": "low", "xhigh": "high"}
"""What templates that do not name a level know in its place."""
_MESSAGE_KEYS = ("reasoning_content", "thinking", "reasoning")


class ThinkingStyle:
    """What one template understands of thinking."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._message_key = next(filter(self._reads_of_messages, _MESSAGE_KEYS), None)

    def keywords(self, effort: str | None) -> dict[str, Any]:
        """What to render the template with; nothing where no effort is asked for."""
        if effort is None:
            return {}
        thinks = effort not in _WITHOUT_THOUGHT
        keywords: dict[str, Any] = {name: thinks for name in SWITCHES if self._mentions(name)}
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
        return message | {"content": _in_tags(thought, message["content"])}

    def _mentions(self, name: str) -> bool:
        return re.search(rf"\b{name}\b", self._template) is not None

    def _reads_of_messages(self, key: str) -> bool:
        """`message.key`, `message['key']` or `'key' in message`, however that is abbreviated."""
        read = rf"""\bm\w*(\.|\[['"]){key}\b|['"]{key}['"] in m"""
        return re.search(read, self._template) is not None


def _in_tags(thought: str, content: Any) -> Any:
    """A message's content, a text or parts, after the thought as most models spell it."""
    spelled = f"<think>\n{thought}\n</think>\n\n"
    if isinstance(content, list):
        return [{"type": "text", "text": spelled}, *content]
    return spelled + (content or "")
