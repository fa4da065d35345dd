"""How the hosted search of the web is put before a model, and what it writes to use it.

One spelling for all models, that of Hermes: a call is `<tool_call>{…}</tool_call>`, what was found
comes back as `<tool_response>{…}</tool_response>`. Pure text; who searches is
`worker/generation/searxng.py`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from models.profile.call_format import GENERIC
from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.tools import AllowedTools, HostedChoice, WebSearchTool

CALL_OPENER, CALL_CLOSER = GENERIC.opener, GENERIC.closer.strip()
NAME = "web_search"
MAX_QUERY = 1000
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {"query": {"type": "string", "minLength": 1, "maxLength": MAX_QUERY}},
    "required": ["query"],
    "additionalProperties": False,
}
SOURCES = "web_search_call.action.sources"
"""The value of `include` that has the addresses listed in the item's action."""

_SEARCH = "Search the web. Use it for what may have changed or what you do not know for certain."
_EXTRACT = "what the page says, in part"
_PROMPT = """# Tools

You may call a function. Its signature is within <tools></tools> XML tags:
<tools>
{signature}
</tools>

To call it, write a JSON object with its name and arguments within <tool_call></tool_call> XML \
tags, and nothing after it:
<tool_call>
{{"name": "web_search", "arguments": {{"query": "…"}}}}
</tool_call>

Each result has `n`, `title`, `url` and `text`: {extract}. Where your answer rests on a result, \
put its number behind, like [1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A page that was found."""

    url: str
    title: str
    text: str
    """What the search engines quote of it."""


def offered_search(parameters: GenerationParameters) -> WebSearchTool | None:
    """The search that the model may use now, if any."""
    choice = parameters.tool_choice
    mode = choice.mode if isinstance(choice, AllowedTools) else choice
    tools = (tool for tool in parameters.tools if isinstance(tool, WebSearchTool))
    return None if mode == "none" else next(tools, None)


def must_search(parameters: GenerationParameters) -> bool:
    """Whether the output has to begin with a search."""
    choice = parameters.tool_choice
    mode = choice.mode if isinstance(choice, AllowedTools) else choice
    return mode == "required" or isinstance(choice, HostedChoice)


def tool_prompt(tool: WebSearchTool) -> str:
    """What the system message says of the search."""
    query = {"type": "string", "description": "What to search for."}
    signature = {
        "name": NAME,
        "description": tool.search_description or _SEARCH,
        "parameters": {"type": "object", "properties": {"query": query}, "required": ["query"]},
    }
    text = _PROMPT.format(
        signature=json.dumps({"type": "function", "function": signature}, ensure_ascii=False),
        extract=tool.extract_description or _EXTRACT,
    )
    place = place_of(tool)
    timezone = tool.user_location.timezone if tool.user_location else None
    known = [f"The user is near {place}." if place else "", timezone and f"Time zone: {timezone}."]
    return "\n\n".join(filter(None, [text, " ".join(filter(None, known))]))


def place_of(tool: WebSearchTool) -> str | None:
    """Roughly where the user is, in words."""
    at = tool.user_location
    named = (at.city, at.region, at.country) if at else ()
    return ", ".join(filter(None, named)) or None


def call_text(query: str) -> str:
    """A call as a model writes it."""
    arguments = json.dumps({"name": NAME, "arguments": {"query": query}}, ensure_ascii=False)
    return f"{CALL_OPENER}\n{arguments}\n{CALL_CLOSER}"


def parse_call(text: str) -> str | None:
    """The query of a call, tags included; None if it is no search."""
    try:
        call = orjson.loads(text.removeprefix(CALL_OPENER).removesuffix(CALL_CLOSER))
    except orjson.JSONDecodeError:
        return None
    arguments = call.get("arguments") if isinstance(call, dict) else None
    if not isinstance(arguments, dict) or call.get("name") != NAME:
        return None
    query = arguments.get("query")
    return query[:MAX_QUERY] if isinstance(query, str) and query.strip() else None


def result_text(hits: Sequence[Hit], *, first: int = 1) -> str:
    """What was found, the hits numbered from `first` on."""
    shown = [
        {"n": first + n, "title": hit.title, "url": hit.url, "text": hit.text}
        for n, hit in enumerate(hits)
    ]
    return _response({"results": shown})


def error_text(reason: str) -> str:
    """That nothing was found, and why."""
    return _response({"error": reason})


def parse_result(text: str) -> tuple[list[Hit], str | None]:
    """The hits in a text that holds a result, and the reason if there are none."""
    start = max(text.find('{"results"'), text.find('{"error"'))
    try:
        result, _ = json.JSONDecoder().raw_decode(text, max(start, 0))
        hits = [
            Hit(url=each["url"], title=each["title"], text=each["text"])
            for each in result.get("results", [])
        ]
        return hits, result.get("error")
    except (ValueError, KeyError, TypeError, AttributeError):
        return [], "the result cannot be read"


def messages_of(item: dict[str, Any]) -> list[dict[str, Any]]:
    """An earlier search as messages: the call and what was found; none for what was none."""
    action = item.get("action") or {}
    query = action.get("query") or " ".join(action.get("queries") or ())
    if not query:
        return []
    found = item.get("results") or action.get("sources") or ()
    hits = [
        Hit(url=each["url"], title=each.get("title") or each["url"], text=each.get("text") or "")
        for each in found
        if isinstance(each, dict) and "url" in each
    ]
    return [
        {"role": "assistant", "content": call_text(query)},
        {"role": "user", "content": result_text(hits)},
    ]


def _response(result: dict[str, Any]) -> str:
    """What pages say must not be taken for tags or control tokens: they begin with `<` or `[`."""
    text = orjson.dumps(result).decode().replace("<", "\\u003c").replace("[", "\\u005b")
    # The one bracket that is no part of a text.
    text = text.replace('{"results":\\u005b', '{"results":[', 1)
    return f"<tool_response>\n{text}\n</tool_response>"
