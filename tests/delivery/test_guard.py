"""The guard at a new connection, through libcurl, on loopback."""

import socket
from types import SimpleNamespace

import pycurl
import pytest

from coursebell.delivery.client import Client, Request, Result
from coursebell.delivery.guard import Guard
from coursebell.domain.addresses import AddressRules
from coursebell.domain.retry import Outcome
from delivery.engine import no_descriptors
from delivery.hostile import NO_CONTENT, Receiver, answers


def send(rules: AddressRules, url: str) -> Result:
    client = Client(rules)
    result = exchange(client, url)
    client.close()
    return result


def exchange(client: Client, url: str) -> Result:
    client.start(Request(key=1, method="POST", url=url, headers=(), body=b"{}", timeout_seconds=20))
    results: list[Result] = []
    while not results:
        results = client.advance(30).results
    return results[0]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("%31%32%37.0.0.1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("10.0.0.1", "10.0.0.1"),
        ("169.254.169.254", "169.254.169.254"),
        ("[::1]", "::1"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
        ("[64:ff9b::7f00:1]", "64:ff9b::7f00:1"),
        ("[fe80::1%25lo]", "fe80::1"),
    ],
)
def test_a_blocked_address_is_never_connected_to_however_it_is_written(host, address):
    with Receiver(answers(NO_CONTENT), host="127.0.0.1") as receiver:
        result = send(AddressRules(), f"http://{host}:{receiver.port}/")

    assert result.outcome == Outcome(name="blocked_address")
    assert result.address == address
    assert result.error == f"The address {address} is not public."
    assert receiver.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_without_descriptors_nothing_is_tried(host):
    rules = AddressRules.parse("127.0.0.0/8")
    with Receiver(answers(NO_CONTENT)) as receiver:
        url = f"http://{host}:{receiver.port}/"
        client = Client(rules)
        with no_descriptors():
            untried = exchange(client, url)
        tried = exchange(client, url)
        client.close()

    assert untried.is_untried
    assert tried.outcome.delivered
    assert not tried.is_untried
    assert len(receiver.requests) == 1


def test_a_name_whose_every_address_is_blocked_is_refused():
    with Receiver(answers(NO_CONTENT)) as receiver:
        result = send(AddressRules(), f"http://localhost:{receiver.port}/")

    assert result.outcome == Outcome(name="blocked_address")
    assert receiver.connections == 0


def test_a_name_uses_the_address_that_is_permitted():
    with Receiver(answers(NO_CONTENT)) as receiver:  # localhost is ::1 first, which is blocked
        result = send(AddressRules.parse("127.0.0.0/8"), f"http://localhost:{receiver.port}/")

    assert result.outcome.delivered
    assert result.address == "127.0.0.1"


def test_a_permitted_address_that_refuses_is_named_connect_though_another_was_blocked():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    result = send(AddressRules.parse("127.0.0.0/8"), f"http://localhost:{port}/")

    assert result.outcome == Outcome(name="connect")
    assert result.address == "127.0.0.1"


def test_an_address_that_the_operator_allows_is_connected_to():
    with Receiver(answers(NO_CONTENT)) as receiver:
        result = send(AddressRules.parse("127.0.0.0/8"), receiver.url)

    assert result.outcome.delivered
    assert receiver.connections == 1


def test_a_refusal_is_forgotten_with_the_next_transfer():
    guard = Guard(AddressRules())
    refused = SimpleNamespace(family=socket.AF_INET, addr=("10.0.0.1", 80))
    assert guard.open(0, refused) == pycurl.SOCKET_BAD
    assert guard.refused == "10.0.0.1"

    guard.forget()

    assert guard.refused is None
    assert guard.tried is None


def test_a_socket_without_an_ip_address_is_refused():
    guard = Guard(AddressRules.parse("0.0.0.0/0,::/0"))

    assert guard.open(0, SimpleNamespace(family=socket.AF_UNIX, addr=b"/run/x")) == -1
