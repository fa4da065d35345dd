"""Clients behind proxies: what counts of the headers that proxies and clients send."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.forwarded import MAX_HOPS, Source, TrustedProxies, client_network

PROXY = "10.0.0.2"
CLIENT = "192.0.2.7"
PROXIES = TrustedProxies([ip_network("10.0.0.0/8"), ip_network("fd00::/64")])


def source(*headers: tuple[str, str], peer: str = PROXY) -> Source:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return PROXIES.source(peer, raw)


def client_of(*headers: tuple[str, str], peer: str = PROXY) -> str:
    return source(*headers, peer=peer).client


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Forwarded-For", CLIENT), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "a.b")],
        [("Forwarded", f"for={CLIENT};proto=https;host=a.b;by=10.0.0.2")],
    ],
)
def test_it_works(headers: list[tuple[str, str]]) -> None:
    assert source(*headers) == Source(client=CLIENT, scheme="https", host="a.b")


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Forwarded-For", "9.9.9.9"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "a")],
        [("Forwarded", "for=9.9.9.9;proto=https;host=a")],
    ],
)
@pytest.mark.parametrize("peer", [CLIENT, "11.0.0.1", "fd00:1::1", "local", "::1"])
def test_nothing_counts_that_another_peer_says(headers: list[tuple[str, str]], peer: str) -> None:
    assert source(*headers, peer=peer) == Source(client=peer)


def test_nothing_counts_without_trusted_proxies() -> None:
    headers = [(b"x-forwarded-for", b"9.9.9.9"), (b"x-forwarded-host", b"a")]

    assert TrustedProxies().source(PROXY, headers) == Source(client=PROXY)


@pytest.mark.parametrize(
    "value",
    [
        CLIENT,
        f"9.9.9.9, {CLIENT}",
        f"10.0.0.9, {CLIENT}",  # a client that claims to be a proxy
        f"{CLIENT},10.0.0.3",
        f"9.9.9.9,{CLIENT}, 10.0.0.4 ,10.0.0.3",
        f"garbage, <script>, {CLIENT}",
        f",,{CLIENT}",
        f"{CLIENT}:4711",
        f"{CLIENT}:4711, 10.0.0.3:80, [fd00::3]:80, fd00::4",
        f"::ffff:{CLIENT}, ::ffff:10.0.0.3",
    ],
)
def test_the_client_is_the_rightmost_address_that_is_no_proxy(value: str) -> None:
    assert client_of(("X-Forwarded-For", value)) == CLIENT
    hops = [hop.strip() for hop in value.split(",")]
    assert client_of(("Forwarded", ", ".join(f'for="{hop}"' for hop in hops if hop))) == CLIENT


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:DB8:0::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:db8::7, fd00::1", "2001:db8::7"),
        ("2001:db8::7, fd00:0:0:1::1", "fd00:0:0:1::1"),
    ],
)
def test_ipv6_addresses_are_read_in_every_notation(value: str, client: str) -> None:
    assert client_of(("X-Forwarded-For", value)) == client


@pytest.mark.parametrize("peer", ["::ffff:10.0.0.2", "fd00::2"])
def test_a_proxy_may_connect_by_ipv6(peer: str) -> None:
    assert client_of(("X-Forwarded-For", CLIENT), peer=peer) == CLIENT


@pytest.mark.parametrize(
    "hop",
    [
        *("unknown", "_hidden", "", " ", "1.2.3", "1.2.3.4.5", "999.1.1.1", "[::1", "::g"),
        *("127.0.0.1; drop", "\xff\xfe", "1.2.3.4/8", "0x7f.1", "1.2.3.4:80:80", "a" * 60_000),
    ],
)
def test_a_hop_that_is_no_address_leaves_the_proxy_that_added_it(hop: str) -> None:
    assert client_of(("X-Forwarded-For", f"{CLIENT}, {hop}, 10.0.0.3")) == "10.0.0.3"
    assert client_of(("X-Forwarded-For", f"{CLIENT}, {hop}")) == PROXY


def test_several_lines_of_a_header_are_one_list() -> None:
    lines = [("X-Forwarded-For", "9.9.9.9"), ("X-Forwarded-For", f"{CLIENT}, 10.0.0.3")]

    assert client_of(*lines, ("X-Forwarded-For", "10.0.0.4")) == CLIENT
    assert client_of(("Forwarded", f"for={CLIENT}"), ("Forwarded", "for=10.0.0.3")) == CLIENT


def test_a_chain_of_proxies_alone_ends_at_the_first() -> None:
    assert client_of(("X-Forwarded-For", "10.0.0.9, 10.0.0.3")) == "10.0.0.9"


def test_only_so_many_hops_are_looked_at() -> None:
    hops = [f"10.0.{n // 250}.{n % 250}" for n in range(5000)]

    assert client_of(("X-Forwarded-For", ",".join([CLIENT, *hops]))) == hops[-MAX_HOPS]


@pytest.mark.parametrize(
    ("clients", "schemes", "scheme"),
    [
        (CLIENT, "https", "https"),
        (CLIENT, "http, https", "https"),  # the client said http
        (f"{CLIENT}, 10.0.0.3", "https, http", "https"),
        (f"9.9.9.9, {CLIENT}, 10.0.0.3", "http, https, http", "https"),
        (f"{CLIENT}, 10.0.0.3", "https", "https"),  # a proxy that overwrites it
        (None, "HTTPS", "https"),
        (CLIENT, "wss", "https"),
        (CLIENT, "gopher", None),
        (CLIENT, "", None),
        (CLIENT, None, None),
    ],
)
def test_the_scheme_is_what_the_proxy_of_the_client_says(
    clients: str | None, schemes: str | None, scheme: str | None
) -> None:
    given_headers = [("X-Forwarded-For", clients), ("X-Forwarded-Proto", schemes)]
    headers = [(name, value) for name, value in given_headers if value is not None]

    assert source(*headers).scheme == scheme


@pytest.mark.parametrize(
    ("value", "host"),
    [("a.example:8443", "a.example:8443"), ("evil.example, a.example", "a.example"), (" ", None)],
)
def test_the_host_is_what_the_proxy_of_the_client_says(value: str, host: str | None) -> None:
    assert source(("X-Forwarded-For", CLIENT), ("X-Forwarded-Host", value)).host == host


@pytest.mark.parametrize(
    "value",
    [
        f'for="{CLIENT}:80";host="a,b;c"',
        f" FOR={CLIENT}",
        f"by=secret;for={CLIENT}",
        f'for="9.9.9.9", for="{CLIENT}"',
        f'for={CLIENT} , for="[fd00::3]:80"',
        r'for="1\92.0.2.7"',
        f", ,for={CLIENT},,",
    ],
)
def test_forwarded_is_parsed_as_the_rfc_has_it(value: str) -> None:
    assert client_of(("Forwarded", value)) == CLIENT


@pytest.mark.parametrize(
    "value",
    [
        f'for="9.9.9.9, for={CLIENT}',  # a quote that the client has not closed
        f"for=9.9.9.9;for={CLIENT}",
        f"nonsense, for={CLIENT}",
        f"for=, for={CLIENT}",
        f"for={CLIENT} proto=https",
        f"for={CLIENT};",
        "=",
        '"' * 60_000,
        "for=" * 10_000,
    ],
)
def test_nothing_counts_of_a_malformed_forwarded(value: str) -> None:
    assert source(("Forwarded", value)) == Source(client=PROXY)


def test_nothing_counts_where_both_kinds_name_different_clients() -> None:
    named, standard = ("X-Forwarded-For", CLIENT), ("Forwarded", "for=9.9.9.9;host=evil.example")
    more = [("X-Forwarded-Host", "a.example"), ("X-Forwarded-Proto", "https")]

    assert source(named, standard, *more) == Source(client=PROXY)
    assert source(("X-Forwarded-For", "9.9.9.9"), standard, *more).host == "a.example"


def test_the_scheme_of_a_client_does_not_count_beside_forwarded() -> None:
    headers = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example")]

    assert source(*headers, ("Forwarded", f"for={CLIENT}")) == Source(client=CLIENT)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["X-Forwarded-For", "Forwarded", "X-Forwarded-Proto"]),
            st.text(st.characters(max_codepoint=255), max_size=80)
            | st.lists(
                st.sampled_from(['for="', CLIENT, "10.0.0.3", ",", ";", "[::1]", '"', "="])
            ).map("".join),
        ),
        max_size=4,
    )
)
def test_no_header_is_an_error(headers: list[tuple[str, str]]) -> None:
    found = source(*headers)

    assert found.client
    assert found.scheme in (None, "http", "https")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("local", "local"),
    ],
)
def test_limits_count_a_network_of_ipv6_as_one_client(address: str, network: str) -> None:
    assert client_network(address) == network
