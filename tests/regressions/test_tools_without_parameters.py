"""A function without parameters is called with an empty object (finding D6)."""

from typing import Any

import pytest

from tests.acceptance.server import AntiphonServer
from tests.regressions.server_requests import arguments_of, case, completed, function


def test_the_case_is_called_with_an_empty_object(server: AntiphonServer) -> None:
    assert arguments_of(completed(server, case("tool_without_parameters"))) == [{}]


@pytest.mark.parametrize(
    "fields",
    [function({}), function(None, strict=True), function({"type": "object", "properties": {}})],
    ids=["empty schema", "strict", "no properties"],
)
def test_no_way_to_give_no_parameters_leaves_arguments_free(
    server: AntiphonServer, fields: dict[str, Any]
) -> None:
    body = {"input": "Go.", "temperature": 0, "max_output_tokens": 60, **fields}

    assert arguments_of(completed(server, body)) == [{}]
