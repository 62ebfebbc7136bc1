"""Which addresses may be sent to: every class of delivery's list, and what is public."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.domain.addresses import (
    NOT_PUBLIC_V4,
    NOT_PUBLIC_V6,
    AddressRules,
    blocked,
    parse_networks,
)
from coursebell.errors import ConfigurationError

BLOCKED = [
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("168.63.129.16", "168.63.129.16"),
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "239.255.255.255"),
    ("240.0.0.0", "255.255.255.255"),
    ("::", "::ffff:ffff"),
    ("::1", "::1"),
    ("::ffff:127.0.0.1", "::ffff:93.184.216.34"),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
    ("100::", "100::ffff:ffff:ffff:ffff"),
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
]

PUBLIC = [
    "1.0.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::",
    "2001:4860:4860::8888",
    "2003::",
    "2606:4700::1111",
    "3fff:1000::",
]

v4 = st.ip_addresses(v=4)
v6 = st.ip_addresses(v=6)


@pytest.mark.parametrize(("first", "last"), BLOCKED)
def test_a_range_that_is_not_public_is_blocked_from_its_first_to_its_last_address(first, last):
    assert blocked(ip_address(first))
    assert blocked(ip_address(last))


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_permitted_also_right_beside_a_blocked_range(text):
    assert not blocked(ip_address(text))
    assert AddressRules().permits(ip_address(text))


@given(v4)
def test_an_address_behind_nat64_is_judged_by_what_is_inside(inner: IPv4Address):
    outer = IPv6Address(int(IPv6Address("64:ff9b::")) | int(inner))

    assert blocked(outer) == blocked(inner)


@given(v4)
def test_a_mapped_address_is_blocked_whatever_is_inside(inner: IPv4Address):
    assert blocked(IPv6Address(f"::ffff:{inner}"))


def test_a_mapped_or_nat64_address_is_permitted_when_the_operator_allowed_what_is_inside():
    rules = AddressRules.parse("10.0.0.0/8")

    assert rules.permits(IPv6Address("::ffff:10.1.2.3"))
    assert rules.permits(IPv6Address("64:ff9b::10.1.2.3"))
    assert not rules.permits(IPv6Address("::ffff:192.168.0.1"))
    assert not rules.permits(IPv6Address("64:ff9b::192.168.0.1"))


def test_an_address_with_a_zone_is_judged_like_the_one_without():
    assert blocked(ip_address("fe80::1%eth0"))


@given(st.one_of(v4, v6))
def test_exactly_the_listed_networks_are_blocked(address):
    if isinstance(address, IPv6Address) and address in ip_network("64:ff9b::/96"):
        return  # has a test of its own
    networks = NOT_PUBLIC_V4 if isinstance(address, IPv4Address) else NOT_PUBLIC_V6

    assert blocked(address) == any(address in network for network in networks)


@given(st.one_of(v4, v6))
def test_what_the_operator_allows_is_permitted_and_nothing_more(address):
    rules = AddressRules.parse("127.0.0.0/8, ::1/128")

    allowed = any(address in network for network in rules.allowed)
    assert rules.permits(address) == (allowed or not blocked(address))


def test_allowed_networks_are_read_from_a_list_with_commas():
    networks = parse_networks(" 127.0.0.0/8,::1/128 , 10.1.2.3,")

    assert networks == (
        ip_network("127.0.0.0/8"),
        ip_network("::1/128"),
        ip_network("10.1.2.3/32"),
    )
    assert parse_networks("") == ()


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "localhost", "10.0.0.0/33", "::1/129", "10.0.0"])
def test_what_is_no_network_is_named_in_the_error(entry):
    with pytest.raises(ConfigurationError, match=entry.replace(".", r"\.")):
        parse_networks(f"127.0.0.0/8,{entry}")
