"""`antiphon doctor`: nothing is wrong with a healthy installation, and each fault is found."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
from typer.testing import CliRunner

from cli.doctor.examine import Result, examine
from cli.doctor.installation import Installation
from cli.doctor.table import CHECKS, Check
from cli.embedded.ports import free_port
from cli.main import app
from models.profile.weights import SCRIPTED_MODEL
from models.settings import Settings
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk
from tests.integration.doctor.seeds import SEEDS, Scene, Seed, all_seeds


@pytest.fixture
def scene(  # noqa: PLR0913 - each is a fixture
    settings: Settings,
    desk: Desk,
    sql: RunSql,
    client: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    database_url: str,
    empty_database_url: str,
) -> Iterator[Scene]:
    """Return a healthy installation, with a worker that serves the model."""
    room = SimpleNamespace(free=1 << 39, total=1 << 40)
    monkeypatch.setattr("shutil.disk_usage", lambda _: room)
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (tmp_path / "secret").write_text("a secret of the server\n")
    (tmp_path / "secret").chmod(0o600)
    desk.hire(model=SCRIPTED_MODEL, name="healthy")
    changes = {"data_dir": data_dir, "secret_file": tmp_path / "secret", "port": free_port()}
    with ExitStack() as undo:
        yield Scene(
            settings=settings.model_copy(update=changes),
            folder=tmp_path,
            desk=desk,
            sql=sql,
            client=client,
            patch=monkeypatch,
            undo=undo,
            superuser_url=database_url,
            empty_url=empty_database_url,
        )


def look(scene: Scene) -> list[Result]:
    with closing(Installation(scene.settings, scene.environ, scene.proc)) as installation:
        return list(examine(installation))


def test_nothing_is_wrong_with_a_healthy_installation(scene: Scene) -> None:
    scene.desk.create()

    results = look(scene)

    assert {result.check.name: result.findings for result in results if result.findings} == {}
    skipped = {result.check.name for result in results if result.skipped}
    assert skipped == {"memory", "weights", "content_keys", "certificate"}


@pytest.mark.parametrize(("check", "problem", "fix", "spoil"), all_seeds())
def test_a_fault_is_found_with_its_fix(
    scene: Scene, check: str, problem: str, fix: str, spoil: Seed
) -> None:
    changes = spoil(scene)
    scene.settings = scene.settings.model_copy(update=changes or {})

    results = look(scene)

    found = {result.check.name: result.findings for result in results if result.findings}
    assert check in found, found
    [finding] = [each for each in found[check] if problem in each.problem]
    assert fix in finding.fix
    assert "\n" not in finding.problem + finding.fix
    assert not [
        each for findings in found.values() for each in findings if "itself" in each.problem
    ]


def test_each_check_has_a_seed_or_cannot_be_spoilt_here() -> None:
    seeded = {check for check, *_ in SEEDS.values()}

    assert len(SEEDS) >= 20
    assert {check.name for check in CHECKS} - seeded == {"database_version", "redis_version"}


def test_a_check_that_breaks_hides_no_other(scene: Scene) -> None:
    def run(_: Installation) -> Iterator[None]:
        raise ValueError("two\nlines")

    broken = replace(CHECKS[0], run=run)  # type: ignore[arg-type]
    fine = Check("fine", "fine", lambda _: ())

    with closing(Installation(scene.settings)) as installation:
        first, second = examine(installation, [broken, fine])

    assert first.findings[0].problem == "the check itself failed: ValueError: two lines"
    assert second.findings == ()


def command(scene: Scene, *words: str, **more: str) -> tuple[int, str]:
    settings = scene.settings
    environment = {
        "DATABASE_URL": settings.database_url,
        "DATABASE_MAINTENANCE_URL": settings.database_maintenance_url,
        "REDIS_URL": settings.redis_url,
        "ANTIPHON_DATA_DIR": str(settings.data_dir),
        "ANTIPHON_SECRET_FILE": str(settings.secret_file),
        "ANTIPHON_PORT": str(settings.port),
        "ANTIPHON_ENGINE": "scripted",
        **more,
    }
    result = CliRunner().invoke(app, ["doctor", *words], env=environment)
    return result.exit_code, result.stdout


def test_the_command_exits_with_0_if_nothing_is_wrong(scene: Scene) -> None:
    code, output = command(scene)
    json_code, json_output = command(scene, "--json")

    assert code == json_code == 0
    assert output.splitlines()[-1] == "nothing is wrong"
    assert json.loads(json_output) == {"object": "list", "data": []}


def test_the_command_exits_with_1_and_names_the_fix(scene: Scene) -> None:
    fault = {"ANTIPHON_ALLOWED_HOSTS": "*"}

    code, output = command(scene, **fault)
    json_code, json_output = command(scene, "--json", **fault)

    assert code == json_code == 1
    assert "✗ names that are answered: ANTIPHON_ALLOWED_HOSTS=*" in output
    assert "\n  → name the domains" in output
    [row] = json.loads(json_output)["data"]
    assert row["check"] == "hosts"
    assert row["fix"].startswith("name the domains")


def test_invalid_settings_are_the_first_thing_to_correct(scene: Scene) -> None:
    code, output = command(scene, ANTIPHON_PORT="none", ANTIPHON_WORKERS="0")

    assert code == 1
    assert "ANTIPHON_PORT='none'" in output
    assert "ANTIPHON_WORKERS='0'" in output
    assert output.count("→") == 2
    _, as_json = command(scene, "--json", ANTIPHON_PORT="none")
    assert [row["check"] for row in json.loads(as_json)["data"]] == ["settings"]


def test_before_the_first_start_there_is_nothing_wrong(tmp_path: Path) -> None:
    environment = {
        "ANTIPHON_DATA_DIR": str(tmp_path / "new"),
        "ANTIPHON_ENGINE": "scripted",
        "ANTIPHON_PORT": str(free_port()),
    }

    result = CliRunner().invoke(app, ["doctor"], env=environment)

    assert result.exit_code == 0, result.output
    assert "./antiphon up starts one" in result.stdout
    assert not (tmp_path / "new").exists()
    assert "ANTIPHON_DATA_DIR" not in os.environ
