"""Addresses on the public internet: an allow-list of global unicast addresses.

Special-purpose networks are those of the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC
6890), and addresses by which clouds serve their virtual machines.
"""

from ipaddress import IPv4Address, IPv6Address, ip_network

Address = IPv4Address | IPv6Address

_NOT_PUBLIC_V4 = tuple(
    map(
        ip_network,
        [
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by carriers; clouds serve metadata here too
            "127.0.0.0/8",
            "168.63.129.16/32",  # of Azure's virtual machines
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ],
    )
)
_PUBLIC_V6 = ip_network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    map(
        ip_network,
        [
            "2001::/23",  # of protocols, among them Teredo
            "2001:db8::/32",
            "2002::/16",  # 6to4
            "2620:4f:8000::/48",
            "3fff::/20",
        ],
    )
)
_MAPPED = ip_network("::ffff:0:0/96")
_ISATAP_MARK = 0x5EFE
"""Upper half of an ISATAP interface identifier, without its universal bit (RFC 5214 §6.1)."""
_UNIVERSAL_BIT = 0x0200_0000


def is_public(address: Address) -> bool:
    """Return True if an address is global unicast and leads to no other network.

    Addresses that translate to IPv4 are not public, whatever they embed: NAT64, 6to4, Teredo,
    ISATAP, IPv4-compatible and IPv4-translated ones. An IPv4-mapped one is its IPv4 address.
    """
    address = unmap(address)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    return (
        address in _PUBLIC_V6
        and not any(address in network for network in _NOT_PUBLIC_V6)
        and not _is_isatap(address)
    )


def unmap(address: Address) -> Address:
    """Return the IPv4 address in an IPv4-mapped IPv6 address (RFC 4291), or the address itself."""
    if isinstance(address, IPv6Address) and address in _MAPPED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_isatap(address: IPv6Address) -> bool:
    return (int(address) >> 32) & 0xFFFF_FFFF & ~_UNIVERSAL_BIT == _ISATAP_MARK
