"""Which network addresses a delivery may be sent to.

Only public ones, and what the operator allows besides. `ipaddress.is_global` is not asked: on
Python 3.11 it calls multicast, 6to4, NAT64 and other special ranges global.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from coursebell.errors import ConfigurationError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NOT_PUBLIC_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # behind a carrier's NAT
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # the platform service of a large cloud, inside public space
        "169.254.0.0/16",  # link-local, and the clouds' metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)

NOT_PUBLIC_V6 = tuple(
    IPv6Network(text)
    for text in (
        "::/8",  # loopback, unspecified, IPv4-mapped and IPv4-compatible
        "64:ff9b:1::/48",  # local NAT64
        "100::/64",  # discard
        "2001::/23",  # protocol assignments, Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",  # private
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
)

NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRules:
    """What may be connected to: public addresses, and the networks an operator allows."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> AddressRules:
        """Rules that allow the networks in `text`, as `parse_networks` reads it."""
        return cls(allowed=parse_networks(text))

    def permits(self, address: Address) -> bool:
        return not blocked(address, self.allowed)


def blocked(address: Address, allowed: tuple[Network, ...] = ()) -> bool:
    """Whether nothing may be sent to `address`; `allowed` networks are never blocked.

    An address under 64:ff9b::/96 (NAT64) is what its inner IPv4 address is. An IPv4-mapped one is
    blocked whatever is inside, unless the operator allowed the inner address: nobody publishes
    such a name in good faith.
    """
    if _within(address, allowed):
        return False
    if isinstance(address, IPv4Address):
        return _within(address, NOT_PUBLIC_V4)
    if address in NAT64:
        return blocked(IPv4Address(int(address) & 0xFFFFFFFF), allowed)
    if address.ipv4_mapped is not None and _within(address.ipv4_mapped, allowed):
        return False
    return _within(address, NOT_PUBLIC_V6)


def parse_networks(text: str) -> tuple[Network, ...]:
    """The networks in a list such as `127.0.0.0/8, ::1/128`; a lone address is a network of one.

    Raises `ConfigurationError` that names the entry which is no network.
    """
    return tuple(_network(entry.strip()) for entry in text.split(",") if entry.strip())


def _network(entry: str) -> Network:
    try:
        return ip_network(entry)
    except ValueError as exc:
        raise ConfigurationError(
            f"Allowed networks: {exc}. Write networks as 10.0.0.0/8 or fd00::/8, comma separated."
        ) from exc


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
