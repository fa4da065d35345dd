"""Text format of the hosted web search: its description in the prompt, its calls and results.

All models use the Hermes format: a call is `<tool_call>{…}</tool_call>`, and its result is
`<tool_response>{…}</tool_response>`. This module only handles text;
`worker/hosted/searxng.py` runs the searches.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from models.profile.formats.json_in_tags.hermes import HERMES
from models.schemas.tools.web_search import WebSearchTool

CALL_OPENER, CALL_CLOSER = HERMES.opener, HERMES.closer.strip()
NAME = "web_search"
MAX_QUERY = 1000
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {"query": {"type": "string", "minLength": 1, "maxLength": MAX_QUERY}},
    "required": ["query"],
    "additionalProperties": False,
}
SOURCES = "web_search_call.action.sources"
"""Value of `include` that lists the URLs of the hits in the item's action."""

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
    """Page found by a search."""

    url: str
    title: str
    text: str
    """Excerpt of the page from the search engine."""


def tool_prompt(tool: WebSearchTool, mark: Callable[[str], str] = str) -> str:
    """Return the part of the system message that describes the web search.

    `mark` is applied to what clients did not write (models/chat/control_tokens.py).
    """
    query = {"type": "string", "description": "What to search for."}
    signature = {
        "name": NAME,
        "description": tool.search_description or _SEARCH,
        "parameters": {"type": "object", "properties": {"query": query}, "required": ["query"]},
    }
    text = mark(_PROMPT).format(
        signature=json.dumps({"type": "function", "function": signature}, ensure_ascii=False),
        extract=tool.extract_description or _EXTRACT,
    )
    place = place_of(tool)
    timezone = tool.user_location.timezone if tool.user_location else None
    facts = [f"The user is near {place}." if place else "", timezone and f"Time zone: {timezone}."]
    return "\n\n".join(filter(None, [text, " ".join(filter(None, facts))]))


def place_of(tool: WebSearchTool) -> str | None:
    """Return the approximate location of the user as text; None if unknown."""
    location = tool.user_location
    names = (location.city, location.region, location.country) if location else ()
    return ", ".join(filter(None, names)) or None


def call_text(query: str, mark: Callable[[str], str] = str) -> str:
    """Return a search call in the format that models write; `mark` is applied to its tags."""
    arguments = json.dumps({"name": NAME, "arguments": {"query": query}}, ensure_ascii=False)
    return f"{mark(CALL_OPENER)}\n{arguments}\n{mark(CALL_CLOSER)}"


def parse_call(text: str) -> str | None:
    """Return the query of a call, whose tags may be included; None if it is not a valid search."""
    try:
        call = orjson.loads(text.removeprefix(CALL_OPENER).removesuffix(CALL_CLOSER))
    except orjson.JSONDecodeError:
        return None
    arguments = call.get("arguments") if isinstance(call, dict) else None
    if not isinstance(arguments, dict) or call.get("name") != NAME:
        return None
    query = arguments.get("query")
    return query[:MAX_QUERY] if isinstance(query, str) and query.strip() else None


def result_text(hits: Sequence[Hit], *, first: int = 1, mark: Callable[[str], str] = str) -> str:
    """Return the text of a result, with the hits numbered from `first`.

    `mark` is applied to the tags around them (models/chat/control_tokens.py).
    """
    results = [
        {"n": first + n, "title": hit.title, "url": hit.url, "text": hit.text}
        for n, hit in enumerate(hits)
    ]
    return _response({"results": results}, mark)


def error_text(reason: str, mark: Callable[[str], str] = str) -> str:
    """Return the text of the result of a failed search; `mark` is applied to its tags."""
    return _response({"error": reason}, mark)


def parse_result(text: str) -> tuple[list[Hit], str | None]:
    """Return the hits in a text with a result, and the error if the search failed."""
    start = max(text.find('{"results"'), text.find('{"error"'))
    try:
        result, _ = json.JSONDecoder().raw_decode(text, max(start, 0))
        hits = [
            Hit(url=hit["url"], title=hit["title"], text=hit["text"])
            for hit in result.get("results", [])
        ]
        return hits, result.get("error")
    except (ValueError, KeyError, TypeError, AttributeError):
        return [], "the result cannot be read"


def messages_of(item: dict[str, Any], mark: Callable[[str], str] = str) -> list[dict[str, Any]]:
    """Return an earlier search as two messages, call and result; none if it had no query.

    `mark` is applied to the tags in them (models/chat/control_tokens.py).
    """
    action = item.get("action") or {}
    query = action.get("query") or " ".join(action.get("queries") or ())
    if not query:
        return []
    found = item.get("results") or action.get("sources") or ()
    hits = [
        Hit(url=hit["url"], title=hit.get("title") or hit["url"], text=hit.get("text") or "")
        for hit in found
        if isinstance(hit, dict) and "url" in hit
    ]
    return [
        {"role": "assistant", "content": call_text(query, mark)},
        {"role": "user", "content": result_text(hits, mark=mark)},
    ]


def _response(result: dict[str, Any], mark: Callable[[str], str]) -> str:
    """Wrap a result in tags; escape `<` and `[`, so that page text cannot form tags either."""
    text = orjson.dumps(result).decode().replace("<", "\\u003c").replace("[", "\\u005b")
    # The opening bracket of the list itself is not part of page text.
    text = text.replace('{"results":\\u005b', '{"results":[', 1)
    return f"{mark('<tool_response>')}\n{text}\n{mark('</tool_response>')}"
