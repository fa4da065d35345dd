"""docker-compose.yml hands every setting on."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from models.settings import Settings, variable_of

_ROOT = Path(__file__).parents[3]
_FILE: Any = yaml.safe_load((_ROOT / "docker-compose.yml").read_text())
_TLS: Any = yaml.safe_load((_ROOT / "deploy" / "compose.tls.yml").read_text())["services"]
_ENVIRONMENT: dict[str, str | None] = _FILE["x-app"]["environment"]
_SERVICES: dict[str, Any] = _FILE["services"]
_ELSEWHERE = {
    "database_url": "in the volume of secrets, as it contains a password",
    "database_maintenance_url": "in the volume of secrets, as it contains a password",
    "redis_url": "in the volume of secrets, as it contains a password",
    "data_dir": "the image sets it",
    "workers": "of `up` alone; `--scale worker=N` here",
    "valkey_mib": "of `up` alone; `--maxmemory` of the valkey service here",
}
_OF_COMPOSE = {"host", "port", "secret_file", "open_beyond_loopback"}
"""Set by the file itself, because they follow from it."""


@pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - _ELSEWHERE.keys()))
def test_every_setting_reaches_the_containers(name: str) -> None:
    variable = variable_of(name)

    assert variable in _ENVIRONMENT
    # Without a value it is handed on from where compose runs, and only if it is set there.
    assert (_ENVIRONMENT[variable] is None) == (name not in _OF_COMPOSE)


def test_no_variable_is_handed_on_that_nobody_reads() -> None:
    read = set(map(variable_of, Settings.model_fields))

    assert {name for name in _ENVIRONMENT if name.startswith("ANTIPHON_")} <= read


@pytest.mark.parametrize("name", [*sorted(_SERVICES), "caddy"])
def test_every_service_is_bounded_and_unprivileged(name: str) -> None:
    service = {**_SERVICES, "caddy": _TLS["caddy"]}[name]

    assert service["mem_limit"]
    assert 0 < service["pids_limit"] <= 4096
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True


def test_no_password_has_a_default() -> None:
    assert "antiphon:antiphon" not in str(_FILE)
    assert _SERVICES["secrets"]["environment"] == {"POSTGRES_PASSWORD": None}
    assert "POSTGRES_PASSWORD" not in _SERVICES["postgres"]["environment"]


def test_the_proxy_that_is_trusted_is_the_one_with_that_address() -> None:
    environment = _TLS["api"]["environment"]

    assert (
        environment["ANTIPHON_TRUSTED_PROXIES"] == _TLS["caddy"]["networks"]["edge"]["ipv4_address"]
    )
    assert set(environment) <= set(_ENVIRONMENT)


def test_the_proxy_passes_on_no_header_that_would_count() -> None:
    # Caddy replaces what clients send in X-Forwarded-*, and knows nothing of Forwarded.
    assert "header_up -Forwarded" in (_ROOT / "deploy" / "Caddyfile").read_text()


def test_the_server_may_be_open_because_its_port_is_on_loopback() -> None:
    assert "OPEN_BEYOND_LOOPBACK:-true" in (_ENVIRONMENT["ANTIPHON_OPEN_BEYOND_LOOPBACK"] or "")
    assert [port.split(":")[0] for port in _SERVICES["api"]["ports"]] == ["127.0.0.1"]
