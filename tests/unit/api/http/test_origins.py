"""Hosts and origins: header values that are allowed, and those that are not."""

import pytest

from api.http.origins import AllowedHosts, AllowedOrigins
from models.settings import Settings

LOCAL = "192.168.1.5"
"""Address that the connection arrived at."""


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "LOCALHOST:8000",
        "localhost.:8000",
        "app.localhost:8000",
        "127.0.0.1:8000",
        "127.8.9.1",
        "[::1]:8000",
        "[::ffff:127.0.0.1]",
        "192.168.1.5:8000",
        "api.example.com",
        "API.example.com:443",
        "inner.example.org",
        "deep.inner.example.org",
        "10.1.2.3",
        "[fd00::7]:80",
    ],
)
def test_names_of_this_server_are_allowed(host: str) -> None:
    named = Settings(
        allowed_hosts="api.example.com, *.example.org, 10.1.2.3, fd00::7"
    ).allowed_hosts

    assert AllowedHosts(named).permits(host, LOCAL)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "evil-localhost",
        "notlocalhost:8000",
        "api.example.com.evil.example",
        "other.example.com",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example, localhost",
        "localhost,evil.example",
        "localhost/..",
        "localhost\\evil.example",
        "localhost:eight",
        "localhost:99999",
        "0.0.0.0:8000",
        "[::]",
        "192.168.1.6",
        "8.8.8.8",
        "2130706433",
        "0x7f.1",
    ],
)
def test_other_names_are_not(host: str) -> None:
    assert not AllowedHosts(("api.example.com",)).permits(host, LOCAL)


def test_a_star_allows_any_name_and_no_nonsense() -> None:
    hosts = AllowedHosts(("*",))

    assert hosts.permits("evil.example:80")
    assert not hosts.permits("a,b")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "localhost:8000"),
        ("http://localhost", "localhost"),
        ("http://localhost:80", "localhost"),
        ("https://api.example.com", "api.example.com"),  # behind a proxy that adds TLS
        ("http://[::1]:8000", "[::1]:8000"),
        ("https://app.example.com", "localhost:8000"),
        ("HTTPS://APP.example.com", "localhost:8000"),
        ("tauri://localhost", "localhost:8000"),
    ],
)
def test_the_own_origin_and_those_configured_are_allowed(origin: str, host: str) -> None:
    named = Settings(allowed_origins="https://app.example.com, tauri://localhost").allowed_origins

    assert AllowedOrigins(frozenset(named)).permits(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.example",
        "http://localhost:3000",
        "http://127.0.0.1:8000",
        "https://app.example.com:8443",
        "http://app.example.com",
        "https://app.example.com.evil.example",
        "https://evil.example/https://app.example.com",
        "http://localhost:8000, http://evil.example",
        "http://evil.example@localhost:8000",
        "file://",
        "localhost:8000",
    ],
)
def test_other_origins_are_not(origin: str) -> None:
    origins = AllowedOrigins(frozenset({"https://app.example.com"}))

    assert not origins.permits(origin, "localhost:8000")


def test_a_star_allows_any_origin() -> None:
    assert AllowedOrigins(frozenset({"*"})).permits("null", "localhost:8000")


def test_answers_without_the_app_can_be_read_by_pages_of_named_origins_alone() -> None:
    origins = AllowedOrigins.of(Settings(allowed_origins="https://app.example.com:443"))

    headers = dict(origins.cors_headers("https://app.example.com"))

    assert headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert "x-request-id" in headers["Access-Control-Expose-Headers"]
    assert headers["Vary"] == "Origin"
    for other in (None, "null", "https://app.example.com:443", "https://evil.example"):
        assert origins.cors_headers(other) == [("Vary", "Origin")]
    assert AllowedOrigins.of(Settings()).cors_headers("https://app.example.com") == []
