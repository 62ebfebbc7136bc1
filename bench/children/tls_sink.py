"""The sink over TLS, at any number of addresses: each is a host with connections of its own."""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Sequence

from bench.children.sink import Sink, serve
from bench.children.talk import hear


class TlsSink(Sink):
    """OpenSSL shakes hands in the first reads of a connection."""

    def __init__(self, *, addresses: Sequence[str], certificate: str) -> None:
        super().__init__(addresses=addresses)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._fresh: set[int] = set()  # descriptors that have not shaken hands yet
        self.resumed = 0  # connections that could do with a short handshake

    def _opened(self, connection: socket.socket) -> socket.socket:
        secured = self._context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        self._fresh.add(secured.fileno())
        return secured

    def _received(self, connection: socket.socket) -> bytes | None:
        chunks = []
        try:
            while chunk := connection.recv(65_536):  # a record at a time
                chunks.append(chunk)
        except ssl.SSLWantReadError:
            pass
        except (ConnectionError, ssl.SSLError):
            return b""
        else:
            return b"".join(chunks)
        self._note_handshake(connection)
        return b"".join(chunks) or None

    def _note_handshake(self, connection: socket.socket) -> None:
        if not isinstance(connection, ssl.SSLSocket) or connection.version() is None:
            return
        if connection.fileno() in self._fresh:
            self._fresh.discard(connection.fileno())
            self.resumed += bool(connection.session_reused)

    def seen(self) -> dict[str, object]:
        return {**super().seen(), "resumed": self.resumed}


if __name__ == "__main__":
    sys.exit(serve(TlsSink(**hear())))
