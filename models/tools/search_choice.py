"""Choice of the hosted web search, as a request's tools and `tool_choice` make it."""

from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.tools import AllowedTools
from models.schemas.tools.web_search import HostedChoice, WebSearchTool


def offered_search(parameters: GenerationParameters) -> WebSearchTool | None:
    """Return the web search tool that the model may use; None if there is none."""
    choice = parameters.tool_choice
    mode = choice.mode if isinstance(choice, AllowedTools) else choice
    tools = (tool for tool in parameters.tools if isinstance(tool, WebSearchTool))
    return None if mode == "none" else next(tools, None)


def must_search(parameters: GenerationParameters) -> bool:
    """Return True if the output must begin with a search."""
    choice = parameters.tool_choice
    mode = choice.mode if isinstance(choice, AllowedTools) else choice
    return mode == "required" or isinstance(choice, HostedChoice)
