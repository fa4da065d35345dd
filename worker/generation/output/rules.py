"""Rules that the output of a response keeps to, as its parameters set them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from models.schemas.request.parameters import GenerationParameters
from models.schemas.tools.call_items import HostedType
from models.tools.choice import call_rule
from models.tools.mcp.functions import has_mcp
from models.tools.model_function import ModelFunction
from models.tools.search_choice import offered_search
from models.tools.web_search import SOURCES

MAX_SEARCHES = 32
"""Most searches of one response; `max_tool_calls` can only lower it."""
MAX_MCP_CALLS = 128
"""Most calls of MCP tools of one response; likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRules:
    """Limits of a response's tool calls, and the parts of its output that are shown."""

    hides_reasoning: bool = False
    """True if reasoning items are left out of the output."""
    shows_sources: bool = False
    """True if the action of a search lists the addresses that were found."""
    max_hosted: Counter[HostedType] = field(default_factory=Counter)
    """Most calls that the server answers, by the type of their items, of all choices together."""
    max_calls: int | None = None
    """Most function calls of each choice, which ends after the last; None sets no limit."""
    functions: Mapping[str, ModelFunction] = field(default_factory=dict)
    """Functions that may be called, by name."""


PLAIN_RULES = OutputRules()


def output_rules(parameters: GenerationParameters) -> OutputRules:
    """Return the rules that the output of a request keeps to."""
    rule = call_rule(parameters)
    return OutputRules(
        hides_reasoning=parameters.effort == "none",
        shows_sources=SOURCES in parameters.include,
        max_hosted=_max_hosted(parameters),
        max_calls=rule.max_calls,
        functions=rule.by_name,
    )


def _max_hosted(parameters: GenerationParameters) -> Counter[HostedType]:
    """Return the most calls that the server answers, by the type of their items."""
    limit = parameters.max_tool_calls or MAX_MCP_CALLS
    most: Counter[HostedType] = Counter()
    if offered_search(parameters) is not None:
        most["web_search_call"] = min(limit, MAX_SEARCHES)
    if has_mcp(parameters):
        most["mcp_call"] = min(limit, MAX_MCP_CALLS)
    return most
