"""Addresses of webhooks that lead into private networks, in any notation (finding B7)."""

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from models.fetching.destinations import Destinations, UrlRefusedError
from models.fetching.outbound_client import OutboundClient
from models.fetching.public_addresses import is_public

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",  # IPv4-compatible
    "::a9fe:a9fe",
    "::ffff:127.0.0.1",  # IPv4-mapped
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",  # IPv4-translated
    "::fffe:7f00:1",
    "64:ff9b::7f00:1",  # NAT64
    "64:ff9b::808:808",
    "64:ff9b:1::7f00:1",
    "100::1",
    "100:0:0:1::1",
    "2001::7f00:1",  # Teredo
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "2001:1::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",  # 6to4
    "2002:a9fe:a9fe::1",
    "2620:4f:8000::1",
    "2a00:1450::5efe:7f00:1",  # ISATAP
    "2a00:1450::200:5efe:a9fe:a9fe",
    "3fff::1",
    "3fff:fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "ffff::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.0.1.1",
    "198.20.0.1",
    "223.255.255.254",
    "::ffff:8.8.8.8",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2606:4700:4700::1111",
    "2a00:1450:4001::5eff:1:2",
]

EMBEDDINGS: dict[str, Callable[[int], int]] = {
    "compatible": lambda v4: v4,
    "translated": lambda v4: 0xFFFF << 48 | 0 << 32 | v4,
    "mapped behind a bit": lambda v4: 1 << 48 | 0xFFFF << 32 | v4,
    "NAT64": lambda v4: 0x0064_FF9B << 96 | v4,
    "NAT64 of a network": lambda v4: 0x0064_FF9B_0001 << 80 | v4,
    "NAT64 of a network, /48": lambda v4: (
        0x0064_FF9B_0001 << 80 | v4 >> 16 << 64 | v4 % 65536 << 40
    ),
    "6to4": lambda v4: 0x2002 << 112 | v4 << 80,
    "6to4 with a host": lambda v4: 0x2002 << 112 | v4 << 80 | 1,
    "Teredo, its server": lambda v4: 0x2001_0000 << 96 | v4 << 64,
    "Teredo, its client": lambda v4: 0x2001_0000 << 96 | v4 ^ 0xFFFF_FFFF,
    "ISATAP": lambda v4: 0x2A00_1450 << 96 | 0x0000_5EFE << 32 | v4,
    "ISATAP, universal": lambda v4: 0x2A00_1450 << 96 | 0x0200_5EFE << 32 | v4,
}
"""IPv6 address in which an IPv4 address is embedded, in every way that a router may unwrap."""


@pytest.mark.parametrize("text", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "8.8.8.8"])
@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_an_address_that_leads_to_an_embedded_one_is_not_public(embedding: str, text: str) -> None:
    address = IPv6Address(EMBEDDINGS[embedding](int(IPv4Address(text))))

    assert not is_public(address)
    with pytest.raises(UrlRefusedError):
        Destinations([ip_network("127.0.0.0/8")]).target(f"https://[{address}]/")


@pytest.mark.parametrize("text", PRIVATE)
def test_an_address_that_is_not_global_unicast_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_a_global_unicast_address_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", PRIVATE)
def test_a_url_with_such_an_address_is_refused_before_any_connection(text: str) -> None:
    host = f"[{text}]" if ":" in text else text
    client = OutboundClient(Destinations())

    with pytest.raises(UrlRefusedError):
        asyncio.run(client.post(f"https://{host}/hook", body=b"{}", headers={}))


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0", "[::1%25lo]", "[fe80::1%251]"]
)
def test_other_notations_of_an_address_are_read_as_resolvers_do(host: str) -> None:
    with pytest.raises(UrlRefusedError):
        Destinations().target(f"https://{host}/hook")


@pytest.mark.parametrize("text", ["::7f00:1", "64:ff9b::a00:1", "2002:a00:1::"])
def test_an_allowed_network_allows_no_address_that_embeds_one_of_it(text: str) -> None:
    destinations = Destinations([ip_network("10.0.0.0/8"), ip_network("127.0.0.0/8")])

    with pytest.raises(UrlRefusedError):
        destinations.target(f"https://[{text}]/hook")
