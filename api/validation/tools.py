"""Checks of tools that need the whole request."""

from api.services import Services
from models.chat.scripted_encoder import ScriptedEncoder
from models.errors import InvalidRequestError
from models.grammars.arguments import arguments_schema
from models.grammars.compile import schema_grammar
from models.grammars.tool_calls import calls_grammar
from models.schemas.request.create_response import CreateResponse
from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.tools import FunctionTool, WebSearchTool
from models.tools.choice import call_rule


def check_tools(services: Services, body: CreateResponse) -> None:
    """Raise a 400 for a web search tool if no search provider is configured."""
    if services.settings.searxng_url is not None:
        return
    for position, tool in enumerate(body.tools):
        if isinstance(tool, WebSearchTool):
            message = (
                "This server has no search provider. To have one, start it with "
                "ANTIPHON_SEARXNG_URL set to the address of a SearXNG server that gives JSON "
                "(`search.formats` in its settings)."
            )
            is_option = body.web_search_options is not None
            param = "web_search_options" if is_option else f"tools[{position}]"
            raise InvalidRequestError(message, param=param, code="search_not_configured")


def check_calls(services: Services, parameters: GenerationParameters) -> None:
    """Raise a 400 if the model's output cannot be constrained to the requested function calls."""
    rule = call_rule(parameters)
    if not rule.tools:
        return
    is_strict = False
    for position, tool in enumerate(parameters.tools):
        if isinstance(tool, FunctionTool) and tool.strict and tool in rule.tools:
            _check_strict(services, tool, f"tools[{position}].parameters")
            is_strict = True
    # The scripted engine of the tests may call functions, but cannot be forced to.
    if rule.is_forced or is_strict or not isinstance(services.encoder, ScriptedEncoder):
        param = "tool_choice" if rule.is_forced else "tools"
        services.check_grammar(calls_grammar(parameters, services.encoder), param=param)


def _check_strict(services: Services, tool: FunctionTool, param: str) -> None:
    """Raise a 400 if the parameters of a strict function cannot be enforced exactly."""
    schema = arguments_schema(tool)
    if schema["type"] != "object":
        message = "The parameters of a function must be a schema of type 'object'."
        raise InvalidRequestError(message, param=param, code="invalid_json_schema")
    services.check_grammar(schema_grammar(schema, param=param), param=param)
