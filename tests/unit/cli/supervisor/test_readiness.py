import pytest

from cli.embedded.ports import free_port
from cli.supervisor.readiness import base_url, is_api_ready
from models.access.exposure import is_loopback
from models.settings import Settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_addresses_are_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_addresses_that_others_reach_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_an_ipv6_address_is_put_in_brackets() -> None:
    assert base_url(Settings(host="::1", port=8000)) == "http://[::1]:8000"


def test_an_api_with_a_certificate_is_served_by_https() -> None:
    settings = Settings(host="127.0.0.1", port=8000, tls_cert_file="a.pem", tls_key_file="a.key")

    assert base_url(settings) == "https://127.0.0.1:8000"
    assert not is_api_ready(settings.model_copy(update={"port": free_port()}))


def test_an_api_that_does_not_listen_is_not_ready() -> None:
    assert not is_api_ready(Settings(port=free_port()))
