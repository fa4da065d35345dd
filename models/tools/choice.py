"""Rules for the functions that a response may or must call, and how often."""

from dataclasses import dataclass

from models.grammars.calls.argument_types import is_exact
from models.profile.formats.call_format import CallFormat
from models.profile.formats.table import GENERIC
from models.profile.profile import Profile
from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.tools import AllowedTools, NamedChoice, ToolChoice
from models.schemas.tools.custom import CustomChoice, TextInput
from models.schemas.tools.function import FunctionChoice
from models.schemas.tools.mcp import McpChoice
from models.schemas.tools.web_search import HostedChoice
from models.tools.custom import CLOSER
from models.tools.mcp.functions import has_mcp, mcp_functions
from models.tools.model_function import ModelFunction, model_functions
from models.tools.search_choice import offered_search
from models.tools.web_search import ARGUMENTS, NAME

SEARCH_FUNCTION = ModelFunction(name=NAME, parameters=ARGUMENTS, strict=True)
"""Web search as the function that models call."""
_HOSTED = ("mcp_call", "mcp_approval_request")
"""Types of calls that the server answers, as soon as the client approves of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRule:
    """Effect of `tools`, `tool_choice`, `parallel_tool_calls` and `max_tool_calls` together."""

    shown: tuple[ModelFunction, ...] = ()
    """Functions described at the beginning of the prompt."""
    tools: tuple[ModelFunction, ...] = ()
    """Functions that the model may call; includes the web search if there are others."""
    is_forced: bool = False
    """True if the output must be a call and not text."""
    max_calls: int | None = None
    """Maximum number of calls per choice; None sets no limit."""

    @property
    def by_name(self) -> dict[str, ModelFunction]:
        """Functions that may be called, by name, but for the web search."""
        return {tool.name: tool for tool in self.tools if tool is not SEARCH_FUNCTION}

    @property
    def input_ends(self) -> dict[str, str]:
        """Text that ends the input of each custom tool that may be called, by name.

        It is empty for an input that goes on to the end of the output.
        """
        return {
            tool.name: CLOSER if isinstance(tool.input_format, TextInput) else ""
            for tool in self.tools
            if tool.input_format is not None
        }

    @property
    def is_generic(self) -> bool:
        """Return True if tools and calls must be written in the generic format.

        The formats of weights have no custom tools, and no results in the middle of an output.
        """
        return any(
            tool.input_format is not None or tool.call_type in _HOSTED
            for tool in (*self.shown, *self.tools)
        )


def call_rule(parameters: GenerationParameters) -> CallRule:
    """Return the rule of a request; its `tools` are empty if no function may be called.

    It is computed once, and not at each of the dozen steps that read it: that of 40 functions takes
    0.1 ms.
    """
    inputs = (
        parameters.tools,
        parameters.added_tools,
        parameters.mcp_lists,
        parameters.tool_choice,
        parameters.parallel_tool_calls,
        parameters.max_tool_calls,
    )
    return parameters.call_rule_memo.get(inputs, lambda: _find_rule(parameters))


def _find_rule(parameters: GenerationParameters) -> CallRule:
    shown = [tool for tool in model_functions(parameters.flat_tools) if not tool.is_deferred]
    taken = {tool.name for tool in shown}
    shown += [tool for tool in mcp_functions(parameters) if tool.name not in taken]
    # What an item brings is described where it is brought.
    brought = {tool.name: tool for tool in model_functions(parameters.added_tools)}
    functions = {tool.name: tool for tool in shown} | brought
    chosen, mode = _chosen(parameters.tool_choice)
    if isinstance(parameters.tool_choice, HostedChoice):
        return CallRule(shown=tuple(shown))
    if mode == "none":
        return CallRule()
    tools = tuple(tool for tool in functions.values() if chosen is None or _is_chosen(tool, chosen))
    is_named = isinstance(parameters.tool_choice, NamedChoice)
    if tools and not is_named and _may_search(parameters):
        tools = (*tools, SEARCH_FUNCTION)
    return CallRule(
        shown=tuple(shown),
        tools=tools,
        is_forced=mode == "required",
        max_calls=1 if is_named else _max_calls(parameters),
    )


def find_missing_tool(parameters: GenerationParameters) -> str | None:
    """Return why `tool_choice` cannot be followed, once MCP servers have listed their tools.

    None for a warm-up, which does not ask them.
    """
    if parameters.is_warm_up:
        return None
    rule = call_rule(parameters)
    if has_mcp(parameters) and rule.is_forced and not rule.tools:
        return "tool_choice names a tool that its MCP server does not list."
    return None


def is_named_by(choice: NamedChoice | McpChoice, tool: ModelFunction) -> bool:
    """Return True if a choice names a tool; without a namespace, it names one of any."""
    if isinstance(choice, McpChoice):
        is_of_server = tool.call_type in _HOSTED and tool.namespace == choice.server_label
        return is_of_server and choice.name in (None, tool.client_name)
    call_type = "custom_tool_call" if isinstance(choice, CustomChoice) else "function_call"
    is_inside = choice.namespace in (None, tool.namespace)
    return tool.call_type == call_type and tool.client_name == choice.name and is_inside


def format_of(parameters: GenerationParameters, profile: Profile) -> CallFormat:
    """Return the text format of calls: that of the weights, unless tools need the generic one."""
    return GENERIC if needs_generic(parameters, profile) else profile.call_format


def needs_generic(parameters: GenerationParameters, profile: Profile) -> bool:
    """Return True if tools and calls must be written in the generic format.

    The formats of weights have no web searches and no custom tools, and some of them cannot express
    what the schema of a strict function asks for.
    """
    rule = call_rule(parameters)
    if offered_search(parameters) is not None or rule.is_generic:
        return True
    notation = profile.call_format.arguments
    return not all(is_exact(tool.parameters or {}, notation) for tool in rule.tools if tool.strict)


def _chosen(choice: ToolChoice | None) -> tuple[list[NamedChoice | McpChoice] | None, str]:
    """Return the choices of single tools, None for any tool, and the mode."""
    match choice:
        case FunctionChoice() | CustomChoice() | McpChoice():
            return [choice], "required"
        case AllowedTools():
            named = [one for one in choice.tools if isinstance(one, NamedChoice | McpChoice)]
            return named, choice.mode
        case str():
            return None, choice
        case _:
            return None, "auto"


def _is_chosen(tool: ModelFunction, chosen: list[NamedChoice | McpChoice]) -> bool:
    return any(is_named_by(choice, tool) for choice in chosen)


def _may_search(parameters: GenerationParameters) -> bool:
    chosen = parameters.tool_choice
    if isinstance(chosen, AllowedTools) and not any(
        isinstance(tool, HostedChoice) for tool in chosen.tools
    ):
        return False
    return offered_search(parameters) is not None


def _max_calls(parameters: GenerationParameters) -> int | None:
    """Return the maximum number of calls per choice."""
    return 1 if parameters.parallel_tool_calls is False else parameters.max_tool_calls
