"""`./antiphon webhooks` with a running API."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask_openapi3.openapi import OpenAPI
from typer.testing import CliRunner, Result
from werkzeug.serving import make_server

from cli.main import app as commands
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk

URL = "https://203.0.114.7/hook"  # no test connects to it

Run = Callable[..., Result]


@pytest.fixture
def run(app: OpenAPI) -> Iterator[Run]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    environment = {"ANTIPHON_URL": f"http://127.0.0.1:{server.port}"}
    yield lambda *words: CliRunner().invoke(commands, ["webhooks", *words], env=environment)
    server.shutdown()
    thread.join()
    server.server_close()


def fields(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return result.stdout.removesuffix("\n").split("\t")


def as_json(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_it_works(run: Run) -> None:
    endpoint_id, url, secret = fields(run("add", URL, "--event", "response.failed"))

    assert url == URL
    assert secret.startswith("whsec_")
    listed = fields(run("ls"))
    assert listed == [endpoint_id, "webhook", URL, "response.failed", "True", "-"]
    assert fields(run("rotate", endpoint_id))[1] != secret
    assert fields(run("disable", endpoint_id)) == [endpoint_id, "False"]
    assert fields(run("enable", endpoint_id)) == [endpoint_id, "True"]
    assert fields(run("rm", endpoint_id)) == [endpoint_id, "True"]
    assert as_json(run("ls", "--json"))["data"] == []


def test_the_dead_are_listed_and_replayed(run: Run, desk: Desk, sql: RunSql) -> None:
    [endpoint_id, *_] = fields(run("add", URL))
    desk.finish(desk.running())
    sql("UPDATE webhook_deliveries SET status = 'dead', last_error = 'answered 500'")

    [response_id, *rest] = fields(run("dead", endpoint_id))

    assert rest == ["response.completed", "answered 500"]
    assert fields(run("replay", endpoint_id, response_id)) == [endpoint_id, "1"]
    assert as_json(run("dead", endpoint_id, "--json"))["data"] == []


def test_a_name_cannot_steer_the_terminal(run: Run) -> None:
    run("add", URL, "--name", "\x1b[31mred\tand more")

    assert fields(run("ls"))[1] == "?[31mred?and more"


def test_a_refusal_is_told_in_the_words_of_the_api(run: Run) -> None:
    result = run("add", "http://127.0.0.1/")

    assert result.exit_code == 1
    assert "not open to the internet" in result.stderr


def test_a_server_that_does_not_answer_is_an_error() -> None:
    words = ["webhooks", "ls", "--server", "http://127.0.0.1:1"]

    result = CliRunner().invoke(commands, words)

    assert result.exit_code == 1
    assert "no answer from http://127.0.0.1:1" in result.stderr
