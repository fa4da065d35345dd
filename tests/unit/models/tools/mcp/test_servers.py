"""MCP servers that may be called, and what is sent to them."""

import pytest

from models.schemas.tools.mcp import McpTool
from models.settings import McpServer
from models.tools.mcp.servers import (
    ANYWHERE,
    PUBLIC,
    McpSecrets,
    McpServerRefusedError,
    McpServers,
)

URL = "http://10.0.0.1/mcp"
CONFIGURED = {"wiki": McpServer(url=URL, headers={"X-Key": "operator"})}
SECRETS = McpSecrets(headers={"x-key": "client", "X-Other": "client"}, authorization="token")


def tool(url: str | None = None, label: str = "wiki") -> McpTool:
    return McpTool(server_label=label, server_url=url)


@pytest.mark.parametrize("asked", [tool(), tool(URL), tool(URL, "mine")])
def test_one_of_the_settings_may_be_anywhere_and_its_headers_take_precedence(
    asked: McpTool,
) -> None:
    endpoint = McpServers(CONFIGURED).find(asked, SECRETS)

    assert (endpoint.url, endpoint.destinations) == (URL, ANYWHERE)
    assert endpoint.headers == {
        "x-key": "operator",
        "x-other": "client",
        "authorization": "Bearer token",
    }


@pytest.mark.parametrize(
    "asked", [tool(label="other"), tool("http://10.0.0.1/other"), tool("https://wiki.example/mcp")]
)
def test_others_are_refused_unless_public_ones_are_allowed(asked: McpTool) -> None:
    with pytest.raises(McpServerRefusedError, match="ANTIPHON_MCP_"):
        McpServers(CONFIGURED).find(asked)


def test_a_public_one_gets_no_headers_of_the_settings() -> None:
    servers = McpServers(CONFIGURED, allows_public=True)

    endpoint = servers.find(tool("https://wiki.example/mcp"), SECRETS)

    assert endpoint.destinations is PUBLIC
    assert endpoint.headers["x-key"] == "client"


@pytest.mark.parametrize("url", ["http://wiki.example/mcp", "https://10.0.0.2/mcp", "ftp://a/b"])
def test_a_public_one_must_be_public_and_use_https(url: str) -> None:
    with pytest.raises(McpServerRefusedError, match="refused"):
        McpServers(CONFIGURED, allows_public=True).find(tool(url))


def test_no_secret_is_in_a_representation() -> None:
    asked = McpTool(server_label="wiki", headers={"x-key": "s3cret"}, authorization="s3cret")
    endpoint = McpServers(CONFIGURED).find(asked, McpSecrets(authorization="s3cret"))

    shown = f"{asked!r} {endpoint!r} {CONFIGURED!r} {McpSecrets(authorization='s3cret')!r}"
    assert "s3cret" not in shown
    assert "operator" not in shown
    assert "s3cret" not in asked.model_dump_json()
