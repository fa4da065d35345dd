import json
import shlex
from pathlib import Path

import pytest

from cli.commands.banner import render_banner


def _curl_of(banner: str) -> list[str]:
    start = banner.index("curl ")
    return shlex.split(banner[start : banner.index("\n\n", start)])


def test_the_curl_is_one_command_that_posts_json_to_the_responses_endpoint() -> None:
    command = _curl_of(render_banner("http://127.0.0.1:8000", ["it's-a-model", "b"], "/data"))

    assert command[:3] == ["curl", "-s", "http://127.0.0.1:8000/v1/responses"]
    assert json.loads(command[-1])["model"] == "it's-a-model"


@pytest.mark.parametrize(
    ("has_key", "is_on_loopback", "expected"),
    [
        (False, True, "open on loopback: no key needed"),
        (False, False, "open: no key needed until one exists"),
        (True, True, "needs an API key"),
        (True, False, "needs an API key"),
    ],
)
def test_the_banner_says_who_may_use_the_server(
    has_key: bool, is_on_loopback: bool, expected: str
) -> None:
    banner = render_banner(
        "http://127.0.0.1:8000", ["m"], "/data", has_key=has_key, is_on_loopback=is_on_loopback
    )

    assert expected in banner
    assert ("Bearer $ANTIPHON_API_KEY" in banner) == has_key


def test_the_banner_says_what_to_do_next() -> None:
    banner = render_banner("http://127.0.0.1:8000", ["m"], "/data")

    assert '\n  ./antiphon submit --background "' in banner
    assert "./antiphon wait ID" in banner
    assert "./antiphon doctor" in banner


def test_a_server_that_commands_would_not_find_is_named_to_them() -> None:
    own = str(Path(__file__).parents[4] / ".antiphon")

    found = render_banner("http://127.0.0.1:8001", ["m"], own)
    named = render_banner("http://127.0.0.1:8001", ["m"], "/elsewhere")

    assert "export" not in found
    assert "\n  export ANTIPHON_BASE_URL=http://127.0.0.1:8001\n" in named
