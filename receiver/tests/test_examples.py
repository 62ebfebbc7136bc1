"""The examples of the documentation, each answering real signed requests."""

from __future__ import annotations

import http.client
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.server import HTTPServer, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from wsgiref.simple_server import make_server

import pytest
import uvicorn

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
README = Path(__file__).parents[1] / "README.md"
FIRST_LINE_OF_EVENT = "8920ae04b9d6461ea2c7de6f6240ec4f c07fba9bfea94358b3fdd906b7d601a4 False"

SignedHeaders = Callable[..., dict[str, str]]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def serving(server: HTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def http_server() -> Iterator[int]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), load("receiver_http_server").Receiver)) as p:
        yield p


@contextmanager
def wsgi() -> Iterator[int]:
    with serving(make_server("127.0.0.1", 0, load("receiver_wsgi").app)) as port:
        yield port


@contextmanager
def asgi() -> Iterator[int]:
    server = uvicorn.Server(uvicorn.Config(load("receiver_asgi").app, log_level="error"))
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(params=[http_server, wsgi, asgi], ids=lambda example: example.__name__)
def port(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, secret: str
) -> Iterator[int]:
    """The port of one of the examples, running."""
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    with request.param() as port:
        yield port


def send(port: int, body: bytes, headers: dict[str, str], method: str = "POST") -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, "/", body, headers)
        return connection.getresponse().status


def handled(capsys: pytest.CaptureFixture[str]) -> int:
    return capsys.readouterr().out.count(FIRST_LINE_OF_EVENT)


def test_a_good_delivery_is_handled(
    port: int,
    signed_headers: SignedHeaders,
    completed_body: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    statuses = [
        send(port, completed_body, signed_headers(completed_body, message_id=method), method)
        for method in ("POST", "PUT")
    ]

    assert statuses == [204, 204]
    assert handled(capsys) == 2


def test_a_duplicate_is_acknowledged_without_a_second_handling(
    port: int,
    signed_headers: SignedHeaders,
    completed_body: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    statuses = [send(port, completed_body, signed_headers(completed_body)) for _ in range(3)]

    assert statuses == [204, 204, 204]
    assert handled(capsys) == 1


def test_a_forged_delivery_is_refused_and_does_not_spoil_the_genuine_one(
    port: int,
    signed_headers: SignedHeaders,
    completed_body: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    genuine = signed_headers(completed_body)
    forged = {**genuine, "webhook-signature": "v1,AAAA"}
    unsigned = {"content-type": "application/json"}
    stale = signed_headers(completed_body, timestamp=int(time.time()) - 1000)

    statuses = [send(port, completed_body, headers) for headers in (forged, unsigned, stale)]
    altered = send(port, completed_body.replace(b"false", b"true"), genuine)

    assert [*statuses, altered] == [400, 400, 400, 400]
    assert handled(capsys) == 0
    assert send(port, completed_body, genuine) == 204


def test_a_body_that_is_empty_or_too_large_is_refused(
    port: int, signed_headers: SignedHeaders, capsys: pytest.CaptureFixture[str]
) -> None:
    large = b'{"event":"x"}' + b" " * 1_000_100

    empty = send(port, b"", signed_headers(b""))
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n" % len(large))
        headers = "".join(f"{name}: {value}\r\n" for name, value in signed_headers(large).items())
        connection.sendall(headers.encode() + b"\r\n" + large)
        answer = connection.recv(1000)

    assert empty == 400
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert handled(capsys) == 0


@pytest.mark.parametrize("length", ["-1", "x", "9" * 5000])
def test_an_absurd_length_does_not_hang_the_simple_servers(
    length: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", secret)

    for example in (http_server, wsgi):
        with ExitStack() as stack:
            port = stack.enter_context(example())
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            connection.sendall(f"POST / HTTP/1.0\r\ncontent-length: {length}\r\n\r\n".encode())
            assert b" 400 " in connection.recv(1000)


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(source: str, secret: str, port: int) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "WEBHOOK_SECRET": secret, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", source], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until_open(port)
            yield process
        finally:
            process.terminate()


def wait_until_open(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the receiver does not listen")


def test_the_receiver_of_eight_lines_verifies(
    signed_headers: SignedHeaders, completed_body: bytes, secret: str
) -> None:
    source = (EXAMPLES / "receiver_eight_lines.py").read_text(encoding="utf-8")
    port = free_port()

    with running(source.replace("9000", str(port)), secret, port) as process:
        good = send(port, completed_body, signed_headers(completed_body))
        forged = send(port, completed_body, {**signed_headers(completed_body), "webhook-id": "x"})
        process.terminate()
        output = process.stdout.read() if process.stdout else ""

    assert (good, forged) == (204, 400)
    assert output.count("OfferingCompleted(") == 1
    assert "passed=False" in output


def test_the_receiver_of_eight_lines_has_eight_and_stands_in_the_readme() -> None:
    source = (EXAMPLES / "receiver_eight_lines.py").read_text(encoding="utf-8")

    assert len([line for line in source.splitlines() if line.strip()]) <= 8
    assert source in README.read_text(encoding="utf-8")
