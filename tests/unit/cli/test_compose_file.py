"""docker-compose.yml hands every setting on."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from models.settings import Settings, variable_of

_FILE: Any = yaml.safe_load((Path(__file__).parents[3] / "docker-compose.yml").read_text())
_ENVIRONMENT: dict[str, str | None] = _FILE["x-app"]["environment"]
_ELSEWHERE = {
    "data_dir": "the image sets it",
    "workers": "of `up` alone; `--scale worker=N` here",
}
_OF_COMPOSE = {"database_url", "redis_url", "host", "port"}
"""Fixed within the network of the containers."""


@pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - _ELSEWHERE.keys()))
def test_every_setting_reaches_the_containers(name: str) -> None:
    variable = variable_of(name)

    assert variable in _ENVIRONMENT
    # Without a value it is handed on from where compose runs, and only if it is set there.
    assert (_ENVIRONMENT[variable] is None) == (name not in _OF_COMPOSE)


def test_no_variable_is_handed_on_that_nobody_reads() -> None:
    read = set(map(variable_of, Settings.model_fields))

    assert {name for name in _ENVIRONMENT if name.startswith("ANTIPHON_")} <= read
