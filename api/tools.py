"""Tools of the server: refused where it is not configured to have them."""

from api.services import Services
from models.errors import InvalidRequestError
from models.wire.request import CreateResponse
from models.wire.tools import WebSearchTool


def check_tools(at: Services, body: CreateResponse) -> None:
    """Raise a 400 for a search of the web that nobody would do."""
    if at.settings.searxng_url is not None:
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
