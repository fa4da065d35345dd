"""Checks of tools that need the whole request."""

from collections.abc import Iterator

from api.services import Services
from models.access.projects import ProjectPermissions
from models.errors import InvalidRequestError, PermissionMissingError
from models.grammars.arguments import arguments_schema
from models.grammars.calls.tool_calls import calls_grammar
from models.grammars.compile import INPUT_PARAM, input_grammar, schema_grammar
from models.schemas.request.create_response import CreateResponse
from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.tools import AllowedTools, NamespaceTool
from models.schemas.tools.custom import GrammarInput, InputFormat
from models.schemas.tools.web_search import HostedChoice, WebSearchTool
from models.tools.choice import CallRule, call_rule
from models.tools.mcp.functions import has_mcp
from models.tools.model_function import ModelFunction, model_functions
from models.tools.search_choice import offered_search


def check_tools(services: Services, permissions: ProjectPermissions, body: CreateResponse) -> None:
    """Raise an error for a web search that the request demands and that cannot be run.

    A 403 if the project may not search, a 400 if there is no search provider.
    """
    if _can_search(services, permissions) or search_warning(services, permissions, body):
        return
    for position, tool in enumerate(body.tools):
        if isinstance(tool, WebSearchTool) and tool.external_web_access is not False:
            is_option = body.web_search_options is not None
            param = "web_search_options" if is_option else f"tools[{position}]"
            if not permissions.web_search:
                raise PermissionMissingError("web_search", param=param)
            message = (
                "This server has no search provider. To have one, start it with "
                "ANTIPHON_SEARXNG_URL set to the address of a SearXNG server that gives JSON "
                "(`search.formats` in its settings)."
            )
            raise InvalidRequestError(message, param=param, code="search_not_configured")


def search_warning(
    services: Services, permissions: ProjectPermissions, body: CreateResponse
) -> str | None:
    """Return the warning that an offered web search is left out; None if it is not.

    Clients offer it by default, whether or not a server has it and a project may use it.
    """
    settings, chosen = services.settings, body.tool_choice
    if not any(map(_may_fetch, body.tools)) or _can_search(services, permissions):
        return None
    if settings.strict_web_search or body.web_search_options is not None:
        return None
    if chosen == "required" and all(isinstance(tool, WebSearchTool) for tool in body.tools):
        return None
    choices = chosen.tools if isinstance(chosen, AllowedTools) else [chosen]
    if any(isinstance(choice, HostedChoice) for choice in choices):
        return None
    if not permissions.web_search:
        return "web_search was left out: this project has not the permission"
    return "web_search was left out: this server has no search provider"


def without_search(
    services: Services,
    permissions: ProjectPermissions,
    body: CreateResponse,
    parameters: GenerationParameters,
) -> GenerationParameters:
    """Return the parameters without the web searches that cannot or must not be run."""
    is_left_out = search_warning(services, permissions, body) is not None
    tools = [
        tool
        for tool in parameters.tools
        if not isinstance(tool, WebSearchTool) or (_may_fetch(tool) and not is_left_out)
    ]
    return parameters.model_copy(update={"tools": tools})


def _can_search(services: Services, permissions: ProjectPermissions) -> bool:
    return permissions.web_search and services.settings.searxng_url is not None


def _may_fetch(tool: object) -> bool:
    return isinstance(tool, WebSearchTool) and tool.external_web_access is not False


def check_calls(services: Services, parameters: GenerationParameters) -> None:
    """Raise a 400 if the model's output cannot be constrained to the requested function calls."""
    rule = call_rule(parameters)
    if not rule.tools:
        is_hosted = offered_search(parameters) is not None or has_mcp(parameters)
        if rule.is_forced and not is_hosted:
            message = "It names a tool that is not given."
            raise InvalidRequestError(message, param="tool_choice", code="unknown_tool")
        return
    is_strict = False
    for tool, param in _with_params(parameters, rule):
        if tool.input_format is not None:
            _check_input(services, tool.input_format, f"{param}.{INPUT_PARAM}")
        elif tool.strict:
            _check_strict(services, tool, f"{param}.parameters")
            is_strict = True
    # The scripted engine of the tests may call tools, but follows no grammar.
    if rule.is_forced or is_strict or _follows_grammars(services):
        param = "tool_choice" if rule.is_forced else "tools"
        services.check_grammar(calls_grammar(parameters, services.encoder), param=param)


def _follows_grammars(services: Services) -> bool:
    """Return False for the scripted engine, whose encoder has no tokenizer."""
    return services.encoder.tokenizer is not None


def _with_params(
    parameters: GenerationParameters, rule: CallRule
) -> Iterator[tuple[ModelFunction, str]]:
    """Yield the functions that may be called, with the field that each comes from."""
    for position, tool in enumerate(parameters.flat_tools):
        for number, function in enumerate(model_functions([tool])):
            inner = f".tools[{number}]" if isinstance(tool, NamespaceTool) else ""
            if function in rule.tools:
                yield function, f"tools[{position}]{inner}"
    for function in model_functions(parameters.added_tools):
        if function in rule.tools:
            yield function, "input"


def _check_input(services: Services, input_format: InputFormat, param: str) -> None:
    """Raise a 400 if the grammar of a custom tool's input cannot be followed."""
    if not isinstance(input_format, GrammarInput):
        return
    grammar = input_grammar(input_format, param=param)
    if _follows_grammars(services):
        services.check_grammar(grammar, param=param)


def _check_strict(services: Services, tool: ModelFunction, param: str) -> None:
    """Raise a 400 if the parameters of a strict function cannot be enforced exactly."""
    schema = arguments_schema(tool)
    if schema["type"] != "object":
        message = "The parameters of a function must be a schema of type 'object'."
        raise InvalidRequestError(message, param=param, code="invalid_json_schema")
    services.check_grammar(schema_grammar(schema, param=param), param=param)
