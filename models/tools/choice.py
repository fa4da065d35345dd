"""Rules for the functions that a response may or must call, and how often."""

from dataclasses import dataclass

from models.profile.call_format import GENERIC, CallFormat
from models.profile.profile import Profile
from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.tools import AllowedTools, FunctionChoice, FunctionTool, HostedChoice
from models.tools.web_search import ARGUMENTS, NAME, offered_search

SEARCH_FUNCTION = FunctionTool(name=NAME, parameters=ARGUMENTS, strict=True)
"""Web search as the function that models call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRule:
    """Effect of `tools`, `tool_choice`, `parallel_tool_calls` and `max_tool_calls` together."""

    shown: tuple[FunctionTool, ...] = ()
    """Functions described in the prompt."""
    tools: tuple[FunctionTool, ...] = ()
    """Functions that the model may call; includes the web search if there are others."""
    is_forced: bool = False
    """True if the output must be a call and not text."""
    max_calls: int | None = None
    """Maximum number of calls per choice; None sets no limit."""

    @property
    def names(self) -> frozenset[str]:
        """Names of the callable functions that the client runs."""
        return frozenset(tool.name for tool in self.tools if tool is not SEARCH_FUNCTION)


def call_rule(parameters: GenerationParameters) -> CallRule:
    """Return the rule of a request; its `tools` are empty if no function may be called."""
    functions = tuple(tool for tool in parameters.tools if isinstance(tool, FunctionTool))
    names: set[str] | None = None
    mode = parameters.tool_choice or "auto"
    match mode:
        case FunctionChoice(name=name):
            names, mode = {name}, "required"
        case HostedChoice():
            return CallRule(shown=functions)
        case AllowedTools(mode=allowed_mode, tools=allowed):
            names = {choice.name for choice in allowed if isinstance(choice, FunctionChoice)}
            mode = allowed_mode
    if mode == "none":
        return CallRule()
    tools = tuple(tool for tool in functions if names is None or tool.name in names)
    if tools and not isinstance(parameters.tool_choice, FunctionChoice) and _may_search(parameters):
        tools = (*tools, SEARCH_FUNCTION)
    return CallRule(
        shown=functions,
        tools=tools,
        is_forced=mode == "required",
        max_calls=_max_calls(parameters),
    )


def format_of(parameters: GenerationParameters, profile: Profile) -> CallFormat:
    """Return the text format of calls: always the generic one if the request has web search."""
    return GENERIC if offered_search(parameters) else profile.call_format


def _may_search(parameters: GenerationParameters) -> bool:
    chosen = parameters.tool_choice
    if isinstance(chosen, AllowedTools) and not any(
        isinstance(tool, HostedChoice) for tool in chosen.tools
    ):
        return False
    return offered_search(parameters) is not None


def _max_calls(parameters: GenerationParameters) -> int | None:
    """Return the maximum number of calls per choice; a function named in `tool_choice` gets one."""
    is_named = isinstance(parameters.tool_choice, FunctionChoice)
    if parameters.parallel_tool_calls is False or is_named:
        return 1
    return parameters.max_tool_calls
