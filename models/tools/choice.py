"""Which functions a response may or must call, and how often."""

from dataclasses import dataclass

from models.profile.call_format import GENERIC, CallFormat
from models.profile.profile import Profile
from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.tools import AllowedTools, FunctionChoice, FunctionTool, HostedChoice
from models.tools.web_search import ARGUMENTS, NAME, offered_search

SEARCH_FUNCTION = FunctionTool(name=NAME, parameters=ARGUMENTS, strict=True)
"""The search of the web as models call it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRule:
    """What `tools`, `tool_choice` and the two limits come to."""

    shown: tuple[FunctionTool, ...] = ()
    """The functions that the model is told of."""
    tools: tuple[FunctionTool, ...] = ()
    """Those that it may call; the search of the web is one of them if there are others."""
    is_forced: bool = False
    """Whether the output is a call, and no text."""
    max_calls: int | None = None
    """Of each choice; None sets no limit."""

    @property
    def names(self) -> frozenset[str]:
        """The functions that may be called and that the client runs."""
        return frozenset(tool.name for tool in self.tools if tool is not SEARCH_FUNCTION)


def call_rule(parameters: GenerationParameters) -> CallRule:
    """The rule that a request's fields make; one without tools if no function may be called."""
    functions = tuple(tool for tool in parameters.tools if isinstance(tool, FunctionTool))
    names: set[str] | None = None
    mode = parameters.tool_choice or "auto"
    match mode:
        case FunctionChoice(name=name):
            names, mode = {name}, "required"
        case HostedChoice():
            return CallRule(shown=functions)
        case AllowedTools(mode=allowed_mode, tools=allowed):
            names = {each.name for each in allowed if isinstance(each, FunctionChoice)}
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
    """How calls are spelled: beside a search of the web always in the generic style."""
    return GENERIC if offered_search(parameters) else profile.call_format


def _may_search(parameters: GenerationParameters) -> bool:
    chosen = parameters.tool_choice
    if isinstance(chosen, AllowedTools) and not any(
        isinstance(each, HostedChoice) for each in chosen.tools
    ):
        return False
    return offered_search(parameters) is not None


def _max_calls(parameters: GenerationParameters) -> int | None:
    """One named function is called once; a client that wants more asks again."""
    is_named = isinstance(parameters.tool_choice, FunctionChoice)
    if parameters.parallel_tool_calls is False or is_named:
        return 1
    return parameters.max_tool_calls
