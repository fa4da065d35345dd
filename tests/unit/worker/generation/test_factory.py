"""Generations are created by the rules that the parameters of a request set."""

import pytest

from models.schemas.request.parameters import GenerationParameters
from models.schemas.tools.mcp import MAX_CALLS
from worker.generation.factory import MAX_SEARCHES, output_rules

SEARCH = {"type": "web_search"}
MCP = {"type": "mcp", "server_label": "files", "server_url": "https://mcp.example"}
FUNCTION = {"type": "function", "name": "note", "parameters": {"type": "object"}}


def parameters(**fields: object) -> GenerationParameters:
    return GenerationParameters.model_validate(fields)


def test_it_works() -> None:
    rules = output_rules(parameters(tools=[FUNCTION], parallel_tool_calls=False))

    assert list(rules.functions) == ["note"]
    assert rules.max_calls == 1
    assert rules.max_hosted.total() == 0
    assert not rules.hides_reasoning


@pytest.mark.parametrize(
    ("tools", "limit", "searches", "mcp_calls"),
    [
        ([], None, 0, 0),
        ([SEARCH], None, MAX_SEARCHES, 0),
        ([SEARCH, MCP], None, MAX_SEARCHES, MAX_CALLS),
        ([SEARCH, MCP], 3, 3, 3),
        ([SEARCH, MCP], 1000, MAX_SEARCHES, MAX_CALLS),
    ],
)
def test_a_request_can_only_lower_the_number_of_hosted_calls(
    tools: list[dict[str, object]], limit: int | None, searches: int, mcp_calls: int
) -> None:
    rules = output_rules(parameters(tools=tools, max_tool_calls=limit))

    assert rules.max_hosted["web_search_call"] == searches
    assert rules.max_hosted["mcp_call"] == mcp_calls
