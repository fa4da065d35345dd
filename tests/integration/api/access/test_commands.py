"""`./antiphon projects`, `keys` and `audit` with a running API, and the first key without one."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask_openapi3.openapi import OpenAPI
from typer.testing import CliRunner, Result

from api.services import Services
from cli.main import app as commands
from models.access.tokens import parse_token
from models.settings import Settings
from models.store.store import Store
from tests.integration.http_server import serving
from tests.integration.keys import create_key

Run = Callable[..., Result]
NO_SERVER = {"ANTIPHON_PORT": "1", "ANTIPHON_URL": None}


@pytest.fixture
def run(app: OpenAPI, key_store: Store) -> Iterator[Run]:
    """Return a function that runs a command for a server, with an operator's key."""
    token = create_key(key_store)
    with serving(app) as address:
        environment = {
            "ANTIPHON_URL": f"http://{address}",
            "ANTIPHON_API_KEY": token.reveal(),
        }
        yield lambda *words, **env: CliRunner().invoke(commands, words, env=environment | env)


@pytest.fixture
def database(settings: Settings) -> dict[str, str]:
    """Return the environment of a command beside the database, without a server."""
    assert settings.database_url is not None
    return {
        **NO_SERVER,  # type: ignore[dict-item]
        "DATABASE_URL": settings.database_url,
        "ANTIPHON_SECRET_FILE": str(settings.secret_file),
    }


def fields(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return result.stdout.removesuffix("\n").split("\t")


def as_json(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_it_works(run: Run) -> None:
    assert fields(run("projects", "create", "Team A", "--id", "team-a")) == ["team-a", "Team A"]
    assert ["team-a", "Team A", "active"] in [
        line.split("\t") for line in run("projects", "list").stdout.splitlines()
    ]
    key_id, project, key = fields(run("keys", "create", "app", "--project", "team-a"))
    token = parse_token(key)
    assert token is not None
    assert (token.id, project) == (key_id, "team-a")
    new_id, _, new_key = fields(run("keys", "rotate", key_id, "--grace-hours", "1"))
    assert new_key != key
    listed = as_json(run("keys", "list", "--project", "team-a", "--json"))["data"]
    assert [each["id"] for each in listed] == [new_id, key_id]
    assert key not in str(listed)
    assert fields(run("keys", "revoke", new_id))[0] == new_id
    assert fields(run("projects", "delete", "team-a")) == ["team-a", "deleting"]
    assert fields(run("projects", "show", "team-a"))[2] == "deleting"


def test_limits_are_shown_and_changed(run: Run) -> None:
    run("projects", "create", "--id", "a")

    changed = run("projects", "limits", "a", "--set", "max_queued=5", "--set", "max_running=2")
    assert {"max_queued\t5", "max_running\t2", "max_streams\t-"} <= {*changed.stdout.splitlines()}
    run("projects", "limits", "a", "--set", "max_queued=none")
    assert as_json(run("projects", "limits", "a", "--json"))["max_queued"] is None


@pytest.mark.parametrize("change", ["max_queued", "max_queued=", "max_queued=few"])
def test_a_limit_that_is_no_number_is_refused(run: Run, change: str) -> None:
    result = run("projects", "limits", "a", "--set", change)

    assert result.exit_code == 2
    assert "name=number" in result.stderr


def test_a_project_is_changed_by_its_id_or_its_name(run: Run) -> None:
    run("projects", "create", "Team A", "--id", "a", "--weight", "2")

    changed = as_json(
        run(
            *("projects", "update", "Team A", "--name", "Team B", "--weight", "4"),
            *("--max-running", "3", "--retention-days", "1.5", "--model", "one"),
            *("--deny", "mcp", "--deny", "web_search", "--json"),
        )
    )

    assert (changed["id"], changed["name"], changed["weight"]) == ("a", "Team B", 4)
    assert (changed["limits"]["max_running"], changed["retention_days"]) == (3, 1.5)
    assert changed["allowed_models"] == ["one"]
    assert changed["permissions"] == {"web_search": False, "mcp": False, "image_urls": True}
    reset = as_json(
        run(
            *("projects", "update", "a", "--max-running", "none", "--retention-days", "none"),
            *("--model", "none", "--grant", "mcp", "--json"),
        )
    )
    assert (reset["name"], reset["weight"]) == ("Team B", 4)
    assert (reset["limits"]["max_running"], reset["retention_days"]) == (None, None)
    assert reset["allowed_models"] is None
    assert reset["permissions"] == {"web_search": False, "mcp": True, "image_urls": True}


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["a"], 2, "Nothing to change"),
        (["a", "--weight", "0"], 2, "--weight"),
        (["a", "--max-running", "few"], 2, "--max-running few: it must be a number, or none"),
        (["a", "--max-running", "0"], 1, "max_running"),
        (["a", "--grant", "everything"], 2, "--grant"),
        (["none", "--weight", "2"], 1, "Project with id 'none' not found."),
        (["same", "--weight", "2"], 1, "Several projects have the name 'same': a, b."),
    ],
)
def test_a_change_that_is_not_clear_is_refused(
    run: Run, words: list[str], code: int, expected: str
) -> None:
    for project_id in ("a", "b"):
        run("projects", "create", "same", "--id", project_id)

    result = run("projects", "update", *words)

    assert result.exit_code == code
    assert expected in result.stderr


def test_the_trail_is_shown_from_its_oldest_entry(run: Run) -> None:
    for name in ("a", "b"):
        run("projects", "create", "--id", name)

    lines = [line.split("\t") for line in run("audit", "--since", "1h").stdout.splitlines()]

    assert [line[4:7] for line in lines] == [
        ["project.create", "a", "ok"],
        ["project.create", "b", "ok"],
    ]
    assert as_json(run("audit", "--project", "b", "--json"))["object_id"] == "b"
    assert run("audit", "--since", "2100-01-01").stdout == ""
    assert run("audit", "--since", "lately").exit_code == 2


def test_a_scope_is_given_by_its_name(run: Run) -> None:
    made = as_json(run("keys", "create", "--scope", "metrics", "--scope", "admin", "--json"))
    assert made["scopes"] == ["admin", "metrics"]

    refused = run("keys", "create", "--scope", "everything")
    assert refused.exit_code == 2


def test_a_refusal_is_told_in_the_words_of_the_api(run: Run) -> None:
    unknown = run("projects", "show", "none")
    assert (unknown.exit_code, "Project with id 'none' not found." in unknown.stderr) == (1, True)

    refused = run("projects", "list", ANTIPHON_API_KEY="wrong")
    assert (refused.exit_code, "No valid API key" in refused.stderr) == (1, True)


def test_webhooks_are_managed_with_a_key(run: Run) -> None:
    assert run("webhooks", "ls").exit_code == 0
    assert run("webhooks", "ls", ANTIPHON_API_KEY="").exit_code == 1


def test_the_first_key_is_created_without_a_server(
    database: dict[str, str], key_store: Store
) -> None:
    made = CliRunner().invoke(commands, ["keys", "create", "--scope", "admin"], env=database)

    key_id, project, key = fields(made)
    record = key_store.api_keys.find(key_id)
    assert record is not None
    assert (record.project_id, record.created_by, [*record.scopes]) == ("default", "cli", ["admin"])
    assert project == "default"
    assert parse_token(key) is not None
    [entry] = key_store.audit.list_entries(limit=9)
    assert (entry.action, entry.object, entry.key_id, entry.address) == (
        "key.create",
        key_id,
        None,
        None,
    )


def test_a_key_is_created_in_the_database_although_a_server_answers(
    run: Run, app: OpenAPI, database: dict[str, str]
) -> None:
    services: Services = app.extensions["antiphon"]
    more = {name: value for name, value in database.items() if name not in NO_SERVER}

    made = run("keys", "create", "--database", **more, ANTIPHON_API_KEY="")

    assert services.store.api_keys.find(fields(made)[0]) is not None


def test_the_database_of_a_running_server_is_found_in_its_data_folder(
    database: dict[str, str], tmp_path: Path, key_store: Store
) -> None:
    run_folder = tmp_path / "run"
    run_folder.mkdir(exist_ok=True)
    names = ("DATABASE_URL", "ANTIPHON_SECRET_FILE")
    url = database["DATABASE_URL"].replace("postgresql+psycopg", "postgresql")
    values = {**database, "DATABASE_URL": url}
    (run_folder / "env").write_text("".join(f"{name}='{values[name]}'\n" for name in names))
    environment = {**NO_SERVER, **dict.fromkeys(names), "ANTIPHON_DATA_DIR": str(tmp_path)}

    made = CliRunner().invoke(commands, ["keys", "create", "--database"], env=environment)

    assert key_store.api_keys.find(fields(made)[0]) is not None


@pytest.mark.parametrize(
    ("changes", "words", "code", "expected"),
    [
        ({"ANTIPHON_SECRET_FILE": None}, [], 2, "ANTIPHON_SECRET_FILE"),
        ({}, ["--project", "none"], 1, "Project with id 'none' not found."),
        ({}, ["--project", "*"], 2, "project_id"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"}, [], 1, "DATABASE_URL"),
    ],
)
def test_a_key_that_cannot_be_created_is_an_error(
    database: dict[str, str],
    changes: dict[str, str | None],
    words: list[str],
    code: int,
    expected: str,
) -> None:
    result = CliRunner().invoke(commands, ["keys", "create", *words], env={**database, **changes})

    assert result.exit_code == code
    assert expected in result.stderr


def test_without_a_server_and_a_database_there_is_no_key(tmp_path: Path) -> None:
    environment = {**NO_SERVER, "DATABASE_URL": None, "ANTIPHON_DATA_DIR": str(tmp_path)}

    result = CliRunner().invoke(commands, ["keys", "create"], env=environment)

    assert result.exit_code == 2
    assert "no answer from http" in result.stderr
    assert "DATABASE_URL is not set" in result.stderr
