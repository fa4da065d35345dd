"""Workers and maintenance work for all projects: with a role that may not, they end and say so."""

import json
import os
import subprocess
import sys

import pytest

from cli.embedded.roles import APP
from models.database.refusal import EXIT_REFUSED, UpkeepRefusedError
from models.settings import Settings
from models.store.store import Store
from tests.conftest import ROOT
from tests.polling import PATIENCE_S


@pytest.mark.parametrize("command", ["worker", "maintenance"])
def test_a_process_that_sees_one_project_at_a_time_ends_and_says_why(
    settings: Settings, command: str
) -> None:
    environment = os.environ | {
        "ANTIPHON_ENGINE": "scripted",
        "ANTIPHON_DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": settings.database_url or "",
        "REDIS_URL": settings.redis_url or "",
    }
    ended = subprocess.run(
        [sys.executable, str(ROOT / "antiphon"), command],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )

    assert ended.returncode == EXIT_REFUSED
    lines = (ended.stdout + ended.stderr).splitlines()
    events = [json.loads(line)["event"] for line in lines if line.startswith("{")]
    assert any(f"'{APP}'" in event and "DATABASE_MAINTENANCE_URL" in event for event in events)


def test_a_role_is_checked_in_the_database(settings: Settings, app_url: str) -> None:
    for url, is_refused in ((app_url, True), (settings.database_maintenance_url or "", False)):
        store = Store.open(url.replace("postgresql://", "postgresql+psycopg://"))
        try:
            if is_refused:
                with pytest.raises(UpkeepRefusedError):
                    store.database.check_upkeep()
            else:
                store.database.check_upkeep()
        finally:
            store.close()
