"""Whatever bytes a receiver answers, the exchange ends as one result that can be written down."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coursebell.delivery.client import Client, Request, Result
from coursebell.delivery.exchange import KEPT_BODY, KEPT_HEADERS
from coursebell.domain.addresses import AddressRules
from coursebell.domain.retry import DAY
from delivery.hostile import Receiver

NAMES = re.compile(r"delivered|redirect|bad_response|http_[45]\d\d")
NAME = st.sampled_from(
    [b"Content-Length", b"Transfer-Encoding", b"Retry-After", b"Location", b"Connection", b"X-Any"]
)
VALUE = st.one_of(
    st.sampled_from([b"0", b"5", b"-1", b"99999999999999999999", b"chunked", b"gzip, chunked"]),
    st.sampled_from([b"Fri, 31 Dec 9999 23:59:59 GMT", b"http://127.0.0.1:1/", b"close", b""]),
    st.binary(max_size=12),
)
STATUS = st.one_of(st.integers(0, 999).map(lambda code: b"%03d" % code), st.binary(max_size=4))
VERSION = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2", b"HTTP/0.9", b"http/1.1", b"ICY"])
END = st.sampled_from([b"\r\n", b"\n", b"\r", b""])
LINE = st.builds(lambda name, value, end: name + b": " + value + end, NAME, VALUE, END)
ANSWER = st.builds(
    lambda version, status, end, lines, gap, body: (
        version + b" " + status + b" So" + end + b"".join(lines) + gap + body
    ),
    VERSION,
    STATUS,
    END,
    st.lists(LINE, max_size=5),
    END,
    st.one_of(
        st.binary(max_size=64), st.sampled_from([b"5\r\nhello\r\n0\r\n\r\n", b"fffffffff\r\n"])
    ),
)


class Told:
    """A receiver that answers what it was last told, and its client."""

    receiver: Receiver

    def __init__(self, client: Client) -> None:
        self._client = client
        self.text = b""

    def behave(self, receiver: Receiver, connection: socket.socket) -> None:
        receiver.read_request(connection)
        connection.sendall(self.text)

    def ask(self, text: bytes) -> Result:
        self.text = text
        self._client.start(
            Request(
                key=1,
                method="POST",
                url=self.receiver.url,
                headers=(),
                body=b"{}",
                timeout_seconds=20,
            )
        )
        while True:
            if results := self._client.advance(20).results:
                (result,) = results
                return result


@pytest.fixture
def told() -> Iterator[Told]:
    with closing(Client(AddressRules.parse("127.0.0.0/8"))) as client:
        told = Told(client)
        with Receiver(told.behave) as told.receiver:
            yield told


@given(text=ANSWER | st.binary(max_size=200))
@example(text=b"HTTP/1.1 000 So\r\n\r\0")
@example(text=b"HTTP/1.1 500 a\0b\r\n\r\n")
@example(text=b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\0b\r\n\r\n")
@example(text=b"HTTP/1.1 200 x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello")
@example(text=b"HTTP/1.1 429 x\r\nRetry-After: \xff\r\n\r\n")
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_answer_is_one_result_that_can_be_written_down(told, text):
    result = told.ask(text)

    assert NAMES.fullmatch(result.outcome.name), result
    assert "\0" not in result.response_headers  # PostgreSQL keeps everything else
    assert len(result.response_headers) <= KEPT_HEADERS
    assert len(result.response_body) <= KEPT_BODY
    assert result.outcome.retry_after is None or result.outcome.retry_after >= 0
    assert result.outcome.status_code is None or 0 <= result.outcome.status_code <= 999
    assert result.duration_ms / 1000 < DAY
