"""Web search through a SearXNG server that the operator configures.

A search blocks the calling thread up to a timeout; the size of results is limited.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import httpx2
import orjson

from models.tools.web_search import Hit

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 4 << 20

ContextSize = Literal["low", "medium", "high"]

_MAX_HITS = {"low": 3, "medium": 6, "high": 12}
"""Most hits of a search, by context size."""
_MAX_CHARACTERS = {"low": 300, "medium": 600, "high": 1200}
"""Most characters of a hit's text, by context size."""


class SearchError(Exception):
    """The search failed; the message gives the reason and may be shown to the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """Amount of text to return, and domains to search."""

    context_size: ContextSize = "medium"
    place: str | None = None
    """Approximate location of the user, in words."""
    allowed_domains: Sequence[str] = ()
    """Domains to search, subdomains included; all if empty."""
    blocked_domains: Sequence[str] = ()
    """Domains to leave out, subdomains included."""


class SearchProvider(Protocol):
    """Interface of a search engine."""

    def search(self, query: str, options: SearchOptions) -> list[Hit]:
        """Return the hits, best first; raise `SearchError` if the search fails."""


class Searxng:
    """Client of SearXNG's JSON API (`GET /search?format=json`), which its settings must enable."""

    def __init__(self, base_url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._client = httpx2.Client(
            base_url=base_url, timeout=timeout_s, follow_redirects=False, trust_env=False
        )

    def search(self, query: str, options: SearchOptions) -> list[Hit]:
        """Return the hits, best first; raise `SearchError` if the search fails."""
        body = self._request(_build_query(query, options))
        hits = [_parse_hit(result, options) for result in body.get("results", [])]
        wanted = [hit for hit in hits if hit is not None and _is_wanted(hit.url, options)]
        return wanted[: _MAX_HITS[options.context_size]]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _request(self, query: str) -> dict[str, Any]:
        parameters = {"q": query, "format": "json"}
        try:
            with self._client.stream("GET", "search", params=parameters) as response:
                _check_status(response.status_code)
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise SearchError("the search engine's answer is too large")
            parsed: Any = orjson.loads(body)
        except httpx2.HTTPError as error:
            raise SearchError(f"the search engine cannot be reached: {error}") from error
        except orjson.JSONDecodeError as error:
            raise SearchError("the search engine's answer is not JSON") from error
        if not isinstance(parsed, dict):
            raise SearchError("the search engine's answer is not an object")
        return parsed


def _check_status(status: int) -> None:
    if status == 403:
        raise SearchError("the search engine gives no JSON: allow it under search.formats")
    if status != 200:
        raise SearchError(f"the search engine answered with status {status}")


def _build_query(query: str, options: SearchOptions) -> str:
    """Return the query with search operators; hits are filtered again because engines vary."""
    words = [query]
    if options.place and options.place.lower() not in query.lower():
        words.append(options.place)
    if options.allowed_domains:
        words.append(" OR ".join(f"site:{domain}" for domain in options.allowed_domains))
    words += [f"-site:{domain}" for domain in options.blocked_domains]
    return " ".join(words)


def _parse_hit(result: Any, options: SearchOptions) -> Hit | None:
    """Return a result as a hit; None if it has no http(s) URL and cannot be cited."""
    url = result.get("url") if isinstance(result, dict) else None
    if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
        return None
    text = str(result.get("content") or "")[: _MAX_CHARACTERS[options.context_size]]
    return Hit(url=url, title=str(result.get("title") or url), text=text)


def _is_wanted(url: str, options: SearchOptions) -> bool:
    host = (urlsplit(url).hostname or "").lower()
    if any(_is_below(host, domain) for domain in options.blocked_domains):
        return False
    allowed = options.allowed_domains
    return not allowed or any(_is_below(host, domain) for domain in allowed)


def _is_below(host: str, domain: str) -> bool:
    domain = domain.lower().removeprefix("*.").strip(".")
    return host == domain or host.endswith(f".{domain}")
