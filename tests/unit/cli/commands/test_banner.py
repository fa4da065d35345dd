import json
import shlex

from cli.commands.banner import render_banner


def _curl_of(banner: str) -> list[str]:
    start = banner.index("curl ")
    return shlex.split(banner[start : banner.index("\n\n", start)])


def test_the_curl_is_one_command_that_posts_json_to_the_responses_endpoint() -> None:
    command = _curl_of(render_banner("http://127.0.0.1:8000", ["it's-a-model", "b"], "/data"))

    assert command[:3] == ["curl", "-s", "http://127.0.0.1:8000/v1/responses"]
    assert json.loads(command[-1])["model"] == "it's-a-model"


def test_the_banner_says_that_the_server_is_open_on_loopback() -> None:
    assert "open on loopback" in render_banner("http://127.0.0.1:8000", ["model"], "/data")
