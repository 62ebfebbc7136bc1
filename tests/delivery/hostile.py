"""Receivers that misbehave: real sockets on loopback, each in threads of its own."""

from __future__ import annotations

import contextlib
import datetime
import errno
import ipaddress
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver:
    """Listens on a loopback address and lets `behave` treat each connection.

    `requests` are the raw requests that were read, `connections` counts what was accepted.
    """

    def __init__(
        self,
        behave: Callable[[Receiver, socket.socket], None],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._behave = behave
        self._tls = tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family)
        self.port: int = self._listener.getsockname()[1]
        self.host = f"[{host}]" if ":" in host else host
        self.requests: list[bytes] = []
        self.connections = 0
        self.closing = threading.Event()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{self.host}:{self.port}/hook"

    def __enter__(self) -> Receiver:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        for open_socket in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def read_request(self, connection: socket.socket) -> bytes:
        """One request with its body; empty when the client has gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = connection.recv(65_536)
            if not chunk:
                return b""
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        while len(body) < length:
            body += connection.recv(65_536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError as exc:
                if exc.errno != errno.EMFILE:
                    return
                time.sleep(0.01)  # as a test wants it that leaves its own process no descriptor
                continue
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._treat, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _treat(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._tls is None:
                self._behave(self, connection)
                return
            with self._tls.wrap_socket(connection, server_side=True) as secured:
                self._open.append(secured)
                self._behave(self, secured)


def answers(*texts: bytes) -> Callable[[Receiver, socket.socket], None]:
    """Sends each of `texts` in turn, the last one for ever, and keeps connections open."""
    left = list(texts)

    def behave(receiver: Receiver, connection: socket.socket) -> None:
        while receiver.read_request(connection):
            connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    return behave


def answers_and_closes(text: bytes) -> Callable[[Receiver, socket.socket], None]:
    """Sends `text` (perhaps nothing) and ends the connection in order."""

    def behave(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read_request(connection)
        connection.sendall(text)

    return behave


def resets_after(text: bytes) -> Callable[[Receiver, socket.socket], None]:
    """Sends `text` and breaks the connection off with a reset."""

    def behave(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read_request(connection)
        connection.sendall(text)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return behave


def hangs_after(text: bytes) -> Callable[[Receiver, socket.socket], None]:
    """Sends `text`, and then nothing until the end of the test."""

    def behave(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read_request(connection)
        connection.sendall(text)
        receiver.closing.wait()

    return behave


def drips(text: bytes) -> Callable[[Receiver, socket.socket], None]:
    """Sends `text` byte by byte, twenty a second."""

    def behave(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read_request(connection)
        for byte in text:
            connection.sendall(bytes([byte]))
            if receiver.closing.wait(0.05):
                return

    return behave


def floods(start: bytes, more: bytes) -> Callable[[Receiver, socket.socket], None]:
    """Sends `start`, and then `more` for as long as anybody reads."""

    def behave(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read_request(connection)
        connection.sendall(start)
        while True:
            connection.sendall(more)

    return behave


def self_signed(folder: Path, name: str, *, days_left: float = 1) -> tuple[ssl.SSLContext, str]:
    """A TLS context for a new certificate of `name` (or address), and the file that trusts it.

    Where `days_left` is negative it has expired.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver of a test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days_left))
        .add_extension(x509.SubjectAlternativeName([_general_name(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = folder / "certificate.pem"
    private = folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, str(public)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
