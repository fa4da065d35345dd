"""Rules that the output of a response keeps to."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from models.schemas.tools.call_items import HostedType
from models.tools.model_function import ModelFunction


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
