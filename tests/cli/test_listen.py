"""`coursebell listen`: a receiver that shows what a webhook sends, as a real process."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from coursebell_receiver import generate_secret, sign

SECRET = generate_secret()
BODY = json.dumps(
    {
        "event": "offering_completed",
        "date": "2014-04-18T00:39:57Z",
        "source": "SELF",
        "user": {"id": "8a80c0883f0bd1c8013f0bd6b1d60003"},
        "registration": {"id": "8a8094b24571acc201457222a61f1d39", "passed": True},
        "offering": {"id": "8a80c08840c1d2b80140c1d5d6e00002", "title": "Härbour"},
    },
    ensure_ascii=False,
).encode()


class Listener:
    """A running `coursebell listen`."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "coursebell", "listen", "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = []
        while not self.said or "Listening on" not in self.said[-1]:
            self.said.append(self.process.stderr.readline())
            assert self.said[-1], "it ended before it listened"
        self.port = int(self.said[-1].rpartition(":")[2].strip("/\n"))

    def lines(self, number: int) -> list[dict]:
        return [json.loads(self.process.stdout.readline()) for _ in range(number)]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    started = []

    def start(*options: str) -> Listener:
        started.append(Listener(*options))
        return started[-1]

    yield start
    for listener in started:
        if listener.process.poll() is None:
            listener.end()


_ids = count()


def delivery(secret: str = SECRET, webhook_id: str | None = None, body: bytes = BODY) -> dict:
    webhook_id = webhook_id or f"{next(_ids):032x}"
    timestamp = int(time.time())
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, webhook_id, timestamp, body),
        "coursebell-delivery": "live",
    }


def send(port: int, headers: dict, body: bytes = BODY, method: str = "POST") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, "/hook", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_genuine_delivery_is_answered_with_204_and_printed_as_one_line(listen):
    listener = listen("--secret", SECRET)
    headers = delivery()

    status = send(listener.port, headers)

    assert status == 204
    assert listener.lines(1) == [
        {
            "verified": True,
            "reason": None,
            "event": "offering_completed",
            "source": "SELF",
            "passed": True,
            "webhook-id": headers["webhook-id"],
            "attempt": 1,
            "attempt-kind": "live",
            "status": 204,
            "method": "POST",
            "path": "/hook",
            "body": json.loads(BODY),
        }
    ]


def test_a_connection_is_kept_for_the_next_delivery(listen):
    listener = listen("--secret", SECRET)
    connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=30)

    connection.request("POST", "/", BODY, delivery())
    connection.getresponse().read()
    first = connection.sock.getsockname()
    connection.request("PUT", "/", BODY, delivery())
    connection.getresponse().read()

    assert connection.sock.getsockname() == first
    connection.close()
    assert [line["method"] for line in listener.lines(2)] == ["POST", "PUT"]


def test_a_forged_delivery_is_refused_and_the_reason_printed(listen):
    listener = listen("--secret", SECRET)

    status = send(listener.port, delivery(secret=generate_secret()))

    (line,) = listener.lines(1)
    assert status == 400
    assert line["verified"] is False
    assert line["reason"].startswith("no_matching_signature")
    assert line["status"] == 400


def test_while_a_secret_rotates_either_one_verifies(listen):
    new = generate_secret()
    listener = listen("--secret", SECRET, "--secret", new)

    statuses = [send(listener.port, delivery(secret=secret)) for secret in (SECRET, new)]

    assert statuses == [204, 204]


def test_without_a_secret_it_says_that_it_verifies_nothing(listen):
    listener = listen()

    status = send(listener.port, {"webhook-id": "x"}, b"\xff not JSON")

    (line,) = listener.lines(1)
    assert status == 204
    assert listener.said[0] == "Without --secret nothing is verified.\n"
    assert line["verified"] is None
    assert line["event"] is None
    assert line["body"] == "\ufffd not JSON"


def test_what_it_answers_can_be_chosen(listen):
    listener = listen("--secret", SECRET, "--status", "410", "--delay", "0.01")

    assert send(listener.port, delivery()) == 410
    assert listener.lines(1)[0]["status"] == 410


def test_the_first_deliveries_can_be_made_to_fail_and_attempts_are_counted(listen):
    listener = listen("--secret", SECRET, "--fail-first", "2")
    headers = delivery()

    statuses = [send(listener.port, headers) for _ in range(3)]

    assert statuses == [500, 500, 204]
    assert [line["attempt"] for line in listener.lines(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-length": "2000000"}, 413),
        ({"content-length": "x"}, 411),
        ({"transfer-encoding": "chunked"}, 411),
    ],
)
def test_a_body_of_unknown_or_unreasonable_length_is_not_read(listen, headers, status):
    listener = listen()

    with socket.create_connection(("127.0.0.1", listener.port), timeout=30) as connection:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(f"POST / HTTP/1.1\r\nhost: here\r\n{lines}\r\n".encode())
        answer = connection.makefile("rb").read()  # and the connection is closed

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_0(listen, number):
    assert listen().end(number) == 0


def test_it_ends_when_nobody_reads_any_more(listen):
    listener = listen()
    listener.process.stdout.close()

    send(listener.port, {})

    assert listener.process.wait(timeout=30) == 0
    listener.process.stderr.close()


def test_an_address_in_use_is_one_line(listen):
    port = listen().port

    second = subprocess.run(
        [sys.executable, "-m", "coursebell", "listen", "--port", str(port)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert second.returncode == 1
    assert second.stderr.endswith(
        f"coursebell: Cannot listen on 127.0.0.1 port {port}: Address already in use."
        " Choose others with --host and --port.\n"
    )


def test_a_secret_that_is_none_is_a_usage_error():
    outcome = subprocess.run(
        [sys.executable, "-m", "coursebell", "listen", "--secret", "nonsense"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 2
    assert outcome.stderr.startswith("coursebell: Invalid value for --secret: ")
    assert outcome.stderr.count("\n") == 1
