"""The client against receivers that behave badly, on loopback."""

import os
import re
import socket
import ssl
import threading
import time
import warnings
from contextlib import closing

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coursebell.delivery.client import Client, Request, Result
from coursebell.domain.addresses import AddressRules
from coursebell.domain.retry import Outcome
from coursebell.domain.targets import check_headers, check_url
from coursebell.errors import InvalidInputError
from delivery.hostile import (
    NO_CONTENT,
    Receiver,
    answers,
    answers_and_closes,
    drips,
    floods,
    hangs_after,
    resets_after,
    self_signed,
)

LOOPBACK = AddressRules.parse("127.0.0.0/8,::1")
JSON = (("content-type", "application/json"),)
SHORT = 0.3  # seconds, where a timeout is what is tested


@pytest.fixture
def client():
    client = Client(LOOPBACK)
    yield client
    client.close()


def request(url: str, **changes: object) -> Request:
    defaults: dict[str, object] = {
        "key": 1,
        "method": "POST",
        "url": url,
        "headers": JSON,
        "body": b'{"event":"offering_completed"}',
        "timeout_seconds": 20,
    }
    return Request(**(defaults | changes))


def wait_for(client: Client, count: int) -> list[Result]:
    results: list[Result] = []
    while len(results) < count:
        results += client.advance(30).results
    return results


def send(client: Client, url: str, **changes: object) -> Result:
    client.start(request(url, **changes))
    return wait_for(client, 1)[0]


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def test_a_request_is_sent_with_exactly_its_headers_and_bytes(client):
    body = b"\x00\xff\r\n\r\n{}" * 3
    headers = (*JSON, ("User-Agent", "Coursebell/1"), ("X-Empty", ""), ("X-Key", "a: b;"))

    with Receiver(answers(NO_CONTENT)) as receiver:
        result = send(client, receiver.url, key=7, headers=headers, body=body)

    assert result.key == 7
    assert result.outcome == Outcome(name="delivered", status_code=204)
    assert result.address == "127.0.0.1"
    assert (result.response_headers, result.response_body, result.error) == ("", b"", None)
    assert receiver.requests == [
        b"POST /hook HTTP/1.1\r\n"
        + f"Host: 127.0.0.1:{receiver.port}\r\n".encode()
        + b"content-type: application/json\r\n"
        + b"User-Agent: Coursebell/1\r\n"
        + b"X-Empty:\r\n"
        + b"X-Key: a: b;\r\n"
        + f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    ]


def test_nothing_is_added_to_a_request_without_headers_or_body(client):
    with Receiver(answers(NO_CONTENT)) as receiver:
        send(client, receiver.url, headers=(), body=b"")

    head = f"POST /hook HTTP/1.1\r\nHost: 127.0.0.1:{receiver.port}\r\nContent-Length: 0\r\n\r\n"
    assert receiver.requests == [head.encode()]


@given(
    path=st.from_regex(r"[/?][ -~]{,20}", fullmatch=True) | st.text(max_size=5),
    headers=st.dictionaries(
        st.from_regex(r"X[!-9;-~]{,9}", fullmatch=True) | st.text(max_size=3),
        st.from_regex(r"[ -~]{,9}", fullmatch=True) | st.text(max_size=3),
        max_size=2,
    ),
)
@example(path="? HTTP/1.1\r\nX: y\r\n\r\n", headers={})
@example(path="/../%0d%0a{a}[1-9]", headers={"X-A": "", "X-B": "a;b: c"})
@settings(deadline=None, max_examples=100)
def test_nothing_that_is_accepted_splits_a_request(path, headers):
    with Receiver(answers_and_closes(NO_CONTENT)) as receiver, closing(Client(LOOPBACK)) as client:
        try:
            url = check_url(f"{receiver.url}{path}", LOOPBACK)
            custom = check_headers(headers)
        except InvalidInputError:
            return
        send(client, url, headers=tuple(custom.items()), body=b"{}")

    (sent,) = receiver.requests
    request_line, _, *rest = sent.decode("ascii").split("\r\n")
    assert re.fullmatch(r"POST /[!-~]* HTTP/1\.1", request_line)
    names = [f"{name}: {value}" if value else f"{name}:" for name, value in custom.items()]
    assert rest == [*names, "Content-Length: 2", "", "{}"]


def test_put_and_post_alternate_on_one_handle(client):
    with Receiver(answers(NO_CONTENT)) as receiver:
        for method in ["PUT", "POST", "PUT"]:
            assert send(client, receiver.url, method=method, body=b"abc").outcome.delivered

    assert [sent.split(b" ")[0] for sent in receiver.requests] == [b"PUT", b"POST", b"PUT"]
    assert all(sent.endswith(b"\r\n\r\nabc") for sent in receiver.requests)


KEPT = 8  # connections; libcurl alone gives up at the sixth that has ended


class Keeping:
    """Answers one request on each of `KEPT` connections at once; `afterwards` is what comes then.

    Connections beyond those are treated by `later`.
    """

    def __init__(self, afterwards, later=None):
        self._afterwards = afterwards
        self._later = later or answers(NO_CONTENT)
        self._all_there = threading.Barrier(KEPT)

    def __call__(self, receiver, connection):
        if receiver.connections > KEPT:
            return self._later(receiver, connection)
        receiver.read_request(connection)
        self._all_there.wait()
        connection.sendall(NO_CONTENT)
        return self._afterwards(receiver, connection)


def keep_connections(client, receiver):
    for _ in range(KEPT):
        client.start(request(receiver.url))
    while client.in_flight:
        client.advance(30)
    receiver.requests.clear()


def ends_at_once(receiver, connection):
    pass


def ends_when_it_has_read(receiver, connection):
    receiver.read_request(connection)


def test_kept_connections_that_have_ended_unread_cost_no_attempt(client):
    with Receiver(Keeping(ends_at_once)) as receiver:
        keep_connections(client, receiver)
        results = [send(client, receiver.url) for _ in range(12)]

        assert [result.outcome.name for result in results] == ["delivered"] * 12
        assert len(receiver.requests) == 12
        assert receiver.connections < KEPT + 12  # new ones are kept again


def test_a_request_is_sent_again_once_when_a_kept_connection_ends_without_an_answer(client):
    with Receiver(Keeping(ends_when_it_has_read)) as receiver:
        keep_connections(client, receiver)
        result = send(client, receiver.url, body=b"precious")

        assert result.outcome.delivered
        assert len(receiver.requests) == 2
        assert receiver.requests[0] == receiver.requests[1]


def test_a_new_connection_that_ends_without_an_answer_is_a_failure_at_once(client):
    with Receiver(Keeping(ends_when_it_has_read, later=ends_when_it_has_read)) as receiver:
        keep_connections(client, receiver)
        result = send(client, receiver.url)

        assert result.outcome == Outcome(name="bad_response")
        assert len(receiver.requests) == 2


def test_the_deadline_holds_for_both_sendings_together(client):
    with Receiver(Keeping(ends_when_it_has_read, later=hangs_after(b""))) as receiver:
        keep_connections(client, receiver)
        result = send(client, receiver.url, timeout_seconds=SHORT)

        assert result.outcome == Outcome(name="timeout")
        assert result.duration_ms >= SHORT * 1000 - 5
        assert len(receiver.requests) == 2


def test_the_only_kept_connection_that_has_ended_is_replaced_by_one(client):
    def behave(receiver, connection):
        receiver.read_request(connection)
        connection.sendall(NO_CONTENT)
        receiver.read_request(connection)

    with Receiver(behave) as receiver:
        results = [send(client, receiver.url) for _ in range(2)]

        assert [result.outcome.name for result in results] == ["delivered"] * 2
        assert (len(receiver.requests), receiver.connections) == (3, 2)


def test_a_large_body_is_sent_at_once_without_asking_to_continue(client):
    body = b"x" * 3_000_000

    with Receiver(answers(NO_CONTENT)) as receiver:
        assert send(client, receiver.url, body=body).outcome.delivered

    assert b"expect" not in receiver.requests[0].partition(b"\r\n\r\n")[0].lower()
    assert receiver.requests[0].endswith(b"\r\n\r\n" + body)


def test_a_connection_is_used_again(client):
    with Receiver(answers(NO_CONTENT)) as receiver:
        results = [send(client, receiver.url) for _ in range(5)]

    assert all(result.outcome.delivered for result in results)
    assert {result.address for result in results} == {"127.0.0.1"}
    assert receiver.connections == 1


def test_a_kept_connection_is_not_inherited_by_programs_that_are_started(client):
    def descriptors() -> set[int]:
        return {number for number in range(1024) if is_open(number)}

    def is_open(number: int) -> bool:
        try:
            return bool(os.fstat(number))
        except OSError:
            return False

    before = descriptors()
    with Receiver(answers(NO_CONTENT)) as receiver:
        send(client, receiver.url)

        assert not [number for number in descriptors() - before if os.get_inheritable(number)]


def test_a_connection_that_the_receiver_closed_meanwhile_is_replaced(client):
    with Receiver(answers_and_closes(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as receiver:
        results = [send(client, receiver.url) for _ in range(3)]

    assert all(result.outcome.delivered for result in results)
    assert receiver.connections == 3


def test_a_connection_that_breaks_just_when_it_is_used_again_is_replaced(client):
    def behave(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read_request(connection)
        connection.sendall(NO_CONTENT)
        receiver.read_request(connection)  # and closes without a word

    with Receiver(behave) as receiver:
        results = [send(client, receiver.url) for _ in range(2)]

    assert all(result.outcome.delivered for result in results)
    assert receiver.connections == 2


def test_an_ipv6_receiver_is_reached(client):
    try:
        receiver = Receiver(answers(NO_CONTENT), host="::1")
    except OSError:
        pytest.skip("needs IPv6 on loopback")

    with receiver:
        result = send(client, receiver.url)

    assert result.outcome.delivered
    assert result.address == "::1"


def test_a_name_with_several_addresses_reaches_the_one_that_answers(client):
    with Receiver(answers(NO_CONTENT)) as receiver:  # not on ::1
        result = send(client, f"http://localhost:{receiver.port}/")

    assert result.outcome.delivered
    assert result.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
        (b"HTTP/1.1 299 Fine\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 299),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", 200),
        (b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + NO_CONTENT, 204),
        (b"HTTP/1.1 103 Early Hints\r\nLink: y\r\n\r\n" + NO_CONTENT, 204),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno", 200),
    ],
)
def test_a_success_in_any_wording_is_delivered(client, text, status):
    with Receiver(answers(text)) as receiver:
        result = send(client, receiver.url)

    assert result.outcome == Outcome(name="delivered", status_code=status)


def test_an_http_1_0_receiver_without_length_is_delivered(client):
    with Receiver(answers_and_closes(b"HTTP/1.0 200 OK\r\n\r\nok")) as receiver:
        assert send(client, receiver.url).outcome.delivered


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (b"500 Oh", Outcome(name="http_500", status_code=500)),
        (b"404 No", Outcome(name="http_404", status_code=404)),
        (b"410 Gone", Outcome(name="http_410", status_code=410)),
        (b"503 X\r\nRetry-After: 17", Outcome(name="http_503", status_code=503, retry_after=17)),
        (b"429 X\r\nretry-after:9", Outcome(name="http_429", status_code=429, retry_after=9)),
        (b"429 X\r\nRetry-After: soon", Outcome(name="http_429", status_code=429)),
        (
            b"503 X\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT",
            Outcome(name="http_503", status_code=503, retry_after=0),
        ),
        (b"503 X", Outcome(name="http_503", status_code=503)),
        (b"500 X\r\nRetry-After: 17", Outcome(name="http_500", status_code=500)),
        (b"304 Same", Outcome(name="redirect", status_code=304)),
        (b"999 Odd", Outcome(name="bad_response", status_code=999)),
    ],
)
def test_a_failure_keeps_its_status_headers_and_body(client, text, outcome):
    extra = b"" if b"304" in text else b"\r\nContent-Length: 4"
    body = b"" if b"304" in text else b"why\xff"
    answer = b"HTTP/1.1 " + text + extra + b"\r\n\r\n"

    with Receiver(answers(answer + body)) as receiver:
        result = send(client, receiver.url)

    assert result.outcome == outcome
    assert result.response_headers == answer.decode()
    assert result.response_body == body


def test_a_redirect_is_never_followed(client):
    with Receiver(answers(NO_CONTENT)) as other:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {other.url}\r\nContent-Length: 0\r\n\r\n"
        with Receiver(answers(moved.encode())) as receiver:
            result = send(client, receiver.url)

    assert result.outcome == Outcome(name="redirect", status_code=307)
    assert other.connections == 0


def test_only_the_last_headers_of_an_answer_are_kept(client):
    final = b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"

    with Receiver(answers(b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + final)) as receiver:
        result = send(client, receiver.url)

    assert result.response_headers == final.decode()


def test_what_is_kept_of_a_long_answer_is_capped(client):
    head = b"HTTP/1.1 500 X\r\nX-Long: " + b"h" * 5000 + b"\r\nContent-Length: 9000\r\n\r\n"

    with Receiver(answers(head + b"b" * 9000)) as receiver:
        result = send(client, receiver.url)

    assert result.outcome == Outcome(name="http_500", status_code=500)
    assert result.response_headers == head[:2048].decode()
    assert result.response_body == b"b" * 4096


@pytest.mark.parametrize(
    "behave",
    [
        floods(b"HTTP/1.1 200 OK\r\n\r\n", b"y" * 5000),
        floods(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nabcd\r\n"),
        answers(b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n" + b"y" * 65_537),
    ],
)
def test_the_status_decides_over_a_body_that_is_too_long(client, behave):
    with Receiver(behave) as receiver:
        results = [send(client, receiver.url) for _ in range(2)]

    whole = Outcome(name="delivered", status_code=200, truncated=True)
    assert [result.outcome for result in results] == [whole, whole]
    assert receiver.connections == 2  # the connection is closed, not used again


def test_an_endless_failure_is_a_failure_of_its_status(client):
    with Receiver(floods(b"HTTP/1.1 410 Gone\r\n\r\n", b"y" * 5000)) as receiver:
        result = send(client, receiver.url)

    assert result.outcome == Outcome(name="http_410", status_code=410, truncated=True)
    assert result.response_body == b"y" * 4096
    assert result.error is None


def test_a_body_of_just_the_longest_length_is_whole(client):
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + b"y" * 65_536

    with Receiver(answers(text)) as receiver:
        assert send(client, receiver.url).outcome == Outcome(name="delivered", status_code=200)


@pytest.mark.parametrize(
    "behave",
    [
        floods(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 100),
        floods(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 1000),
        floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        floods(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 100),
    ],
    ids=["many", "one long", "interim answers", "trailers"],
)
def test_a_flood_of_headers_is_a_bad_response(client, behave):
    with Receiver(behave) as receiver:
        result = send(client, receiver.url)

    assert result.outcome.name == "bad_response"
    assert result.error
    assert len(result.response_headers) <= 2048


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\r\n",
        b"hello there",
        b"\x16\x03\x01\xff" * 20,
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y",
        b"HTTP/1.1 200 OK\r\nX: y\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 410 Gone\r\nContent-Length: 100\r\n\r\nabc",
    ],
)
def test_an_answer_that_is_broken_off_or_no_http_is_a_bad_response(client, text):
    with Receiver(answers_and_closes(text)) as receiver:
        result = send(client, receiver.url)

    assert result.outcome.name == "bad_response"
    assert result.error


@pytest.mark.parametrize(
    "text",
    [b"", b"HTTP/1.1 200 OK\r\nX", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"],
    ids=["before the answer", "within headers", "within the body"],
)
def test_a_reset_in_the_middle_is_a_bad_response(client, text):
    with Receiver(resets_after(text)) as receiver:
        result = send(client, receiver.url)

    assert result.outcome.name == "bad_response"
    assert result.address == "127.0.0.1"


def test_what_follows_a_too_short_length_never_answers_another_request(client):
    smuggled = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + smuggled

    with Receiver(answers(text)) as receiver:
        results = [send(client, receiver.url) for _ in range(4)]

    assert [result.outcome.status_code for result in results] == [200, 200, 200, 200]
    assert receiver.connections == 4


@pytest.mark.parametrize(
    "behave",
    [
        hangs_after(b""),
        hangs_after(b"HTTP/1.1 200 OK\r\nX: y\r\n"),
        hangs_after(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"),
        hangs_after(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
        drips(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100),
        drips(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + b"ok"),
    ],
    ids=["before the answer", "in headers", "in the body", "after 101", "dripping", "drip head"],
)
def test_one_deadline_covers_the_whole_exchange(client, behave):
    with Receiver(behave) as receiver:
        result = send(client, receiver.url, timeout_seconds=SHORT)

    assert result.outcome.name == "timeout"
    assert result.duration_ms >= SHORT * 1000
    assert result.error


def test_a_receiver_that_never_accepts_the_handshake_runs_into_the_deadline(client):
    with Receiver(hangs_after(b"")) as receiver:
        result = send(client, receiver.url.replace("http:", "https:"), timeout_seconds=SHORT)

    assert result.outcome.name == "timeout"


def test_a_refused_connection_is_named_connect(client):
    result = send(client, f"http://127.0.0.1:{unused_port()}/")

    assert result.outcome == Outcome(name="connect")
    assert result.address == "127.0.0.1"
    assert result.error


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///etc/hostname", "gopher://127.0.0.1/"])
def test_no_other_protocol_is_spoken(client, url):
    result = send(client, url)

    assert not result.outcome.delivered
    assert result.outcome.status_code is None
    assert result.response_body == b""


def test_a_certificate_of_a_trusted_authority_is_accepted_and_its_connection_kept(tmp_path):
    context, trusted = self_signed(tmp_path, "127.0.0.1")
    client = Client(LOOPBACK, ca_file=trusted)

    with Receiver(answers(NO_CONTENT), tls=context) as receiver:
        results = [send(client, receiver.url) for _ in range(3)]
    client.close()

    assert all(result.outcome.delivered for result in results)
    assert receiver.connections == 1


def test_a_self_signed_certificate_is_refused_before_anything_is_sent(client, tmp_path):
    context, _ = self_signed(tmp_path, "127.0.0.1")

    with Receiver(answers(NO_CONTENT), tls=context) as receiver:
        result = send(client, receiver.url)

    assert result.outcome == Outcome(name="tls")
    assert "self-signed" in result.error
    assert receiver.requests == []


def test_the_authorities_are_the_systems_when_none_are_given(tmp_path, monkeypatch):
    context, trusted = self_signed(tmp_path, "127.0.0.1")
    outcomes = []

    with Receiver(answers(NO_CONTENT), tls=context) as receiver:
        for file in [trusted, str(tmp_path / "missing.pem")]:
            monkeypatch.setenv("SSL_CERT_FILE", file)
            monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "missing"))
            client = Client(LOOPBACK)
            outcomes.append(send(client, receiver.url).outcome.name)
            client.close()

    assert outcomes == ["delivered", "tls"]


def test_a_certificate_for_another_name_is_refused(tmp_path):
    context, trusted = self_signed(tmp_path, "other.example")
    client = Client(LOOPBACK, ca_file=trusted)

    with Receiver(answers(NO_CONTENT), tls=context) as receiver:
        result = send(client, receiver.url)
    client.close()

    assert result.outcome == Outcome(name="tls")
    assert receiver.requests == []


def test_an_outdated_protocol_version_is_refused(tmp_path):
    context, trusted = self_signed(tmp_path, "127.0.0.1")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    client = Client(LOOPBACK, ca_file=trusted)

    with Receiver(answers(NO_CONTENT), tls=context) as receiver:
        result = send(client, receiver.url)
    client.close()

    assert result.outcome == Outcome(name="tls")


def test_plain_text_where_tls_is_expected_is_named_tls(client):
    def behave(receiver: Receiver, connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 This is plain HTTP\r\n\r\n")

    with Receiver(behave) as receiver:
        result = send(client, receiver.url.replace("http:", "https:"))

    assert result.outcome == Outcome(name="tls")


def test_a_proxy_in_the_environment_is_ignored(client, monkeypatch):
    with Receiver(answers(NO_CONTENT)) as proxy, Receiver(answers(NO_CONTENT)) as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        result = send(client, receiver.url)

    assert result.outcome.delivered
    assert (proxy.connections, receiver.connections) == (0, 1)


def test_a_proxy_of_the_operator_gets_every_request_whatever_the_environment_excepts(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with Receiver(answers(NO_CONTENT)) as proxy:
        client = Client(AddressRules(), proxy=f"http://127.0.0.1:{proxy.port}")
        result = send(client, "http://receiver.example/hook")
        client.close()

    assert result.outcome.delivered
    assert proxy.requests[0].startswith(b"POST http://receiver.example/hook HTTP/1.1\r\n")


def test_many_requests_run_beside_each_other_and_one_that_hangs_delays_none(client):
    with Receiver(hangs_after(b"")) as slow, Receiver(answers(NO_CONTENT)) as receiver:
        client.start(request(slow.url, key=0))
        for key in range(1, 101):
            client.start(request(receiver.url, key=key))
        results = wait_for(client, 100)

        assert {result.key for result in results} == set(range(1, 101))
        assert all(result.outcome.delivered for result in results)
        assert client.in_flight == 1


def test_no_more_than_the_limit_may_be_in_flight():
    client = Client(LOOPBACK, max_in_flight=2)

    with Receiver(hangs_after(b"")) as receiver:
        client.start(request(receiver.url))
        client.start(request(receiver.url))

        assert client.free == 0
        with pytest.raises(ValueError, match="2 requests in flight"):
            client.start(request(receiver.url))
        client.close()


@pytest.mark.parametrize(
    ("set_before", "expected"), [(None, "timeout:1 attempts:3"), ("rotate", "rotate")]
)
def test_look_ups_are_bounded_unless_the_operator_says_how(monkeypatch, set_before, expected):
    monkeypatch.setenv("RES_OPTIONS", set_before or "")
    if set_before is None:
        monkeypatch.delenv("RES_OPTIONS")

    Client(LOOPBACK).close()

    assert os.environ["RES_OPTIONS"] == expected


@pytest.mark.parametrize("limit", [0, -1, 513])
def test_a_limit_that_libcurl_could_not_wait_for_is_refused(limit):
    with pytest.raises(ValueError, match="from 1 to 512"):
        Client(LOOPBACK, max_in_flight=limit)


def test_closing_aborts_what_is_in_flight():
    client = Client(LOOPBACK)
    with Receiver(hangs_after(b"")) as receiver:
        client.start(request(receiver.url))
        while not receiver.requests:
            client.advance(0.05)

        client.close()

    assert client.in_flight == 0


def test_waiting_ends_when_a_descriptor_of_the_caller_is_readable(client):
    reader, writer = os.pipe()
    with Receiver(hangs_after(b"")) as receiver:
        client.start(request(receiver.url))
        while not receiver.requests:
            assert client.advance(0.01, [reader]).ready == frozenset()
        os.write(writer, b"!")

        progress = client.advance(30, [reader])

        assert progress.results == []
        assert progress.ready == {reader}
    os.close(reader)
    os.close(writer)


def test_a_descriptor_that_hangs_up_counts_as_readable(client):
    reader, writer = os.pipe()
    os.close(writer)

    assert client.advance(30, [reader]).ready == {reader}

    os.close(reader)


def test_a_result_and_a_readable_descriptor_are_told_together(client):
    reader, writer = os.pipe()
    os.write(writer, b"!")
    with Receiver(answers(NO_CONTENT)) as receiver:
        client.start(request(receiver.url))
        results = []
        while not results:
            results, ready = client.advance(30, [reader])

            assert ready == {reader}
    os.close(reader)
    os.close(writer)


def test_waiting_without_anything_to_wait_for_ends_in_time(client):
    began = time.monotonic()

    progress = client.advance(0.05)

    assert progress == ([], frozenset())
    assert time.monotonic() - began >= 0.05
    assert client.advance(0) == ([], frozenset())


def test_a_result_says_when_it_began(client):
    before = time.monotonic()

    with Receiver(answers(NO_CONTENT)) as receiver:
        result = send(client, receiver.url)

    assert before <= result.started <= time.monotonic()
    assert result.duration_ms >= 0
