"""Web search, which the server runs."""

from typing import Literal

from pydantic import Field

from models.schemas.strict import Text, WireModel

SearchType = Literal[
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
]


class UserLocation(WireModel):
    """The approximate location of the user, for web searches."""

    type: Literal["approximate"] | None = None
    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


class SearchFilters(WireModel):
    """The sites that a web search may return."""

    allowed_domains: list[str] | None = Field(None, max_length=100)
    blocked_domains: list[str] | None = Field(None, max_length=100)


class WebSearchOptions(WireModel):
    """Options of a web search, as in the chat completions API."""

    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: UserLocation | None = None
    search_description: Text | None = None
    extract_description: Text | None = None


class WebSearchTool(WebSearchOptions):
    """Web search, run by the server."""

    type: SearchType = "web_search"
    filters: SearchFilters | None = None
    external_web_access: bool | None = None
    """False: nothing may be fetched, so that the tool is left out."""
    search_content_types: list[Literal["text", "image"]] | None = Field(None, max_length=8)
    """Kinds of results that the client can show; this server returns text."""


class HostedChoice(WireModel):
    """The model must use this tool, which the server runs."""

    type: SearchType
