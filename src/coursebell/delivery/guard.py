"""The guard: judges the address really used, at every new connection (against SSRF).

libcurl asks for a socket after it has resolved the name, once for each address it tries. Where
the guard refuses one, libcurl goes on to the next, so a name with several answers uses the first
permitted one, and a name that changes its answer is caught (both seen with libcurl 8.23 and
proven by tests/delivery/test_guard_resolution.py).
"""

from __future__ import annotations

import fcntl
import socket
from ipaddress import ip_address
from typing import Protocol

import pycurl

from coursebell.domain.addresses import AddressRules


class SocketAddress(Protocol):
    """What pycurl tells about the socket that libcurl wants."""

    family: int
    socktype: int
    protocol: int
    addr: tuple[str, int] | tuple[str, int, int, int] | bytes


class Guard:
    """Opens the sockets of one transfer at a time, to permitted addresses only."""

    __slots__ = ("_opened", "_refused", "_rules")

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules
        self.forget()

    @property
    def refused(self) -> str | None:
        """The first address refused, when no other one was permitted; else None."""
        return None if self._opened else self._refused

    def forget(self) -> None:
        """Begins a new transfer."""
        self._opened = False
        self._refused: str | None = None

    def open(self, purpose: int, address: SocketAddress) -> socket.socket | int:
        """For `OPENSOCKETFUNCTION`: a socket for `address`, or `SOCKET_BAD`."""
        if not self._permits(address):
            return int(pycurl.SOCKET_BAD)
        self._opened = True
        return socket.socket(address.family, address.socktype, address.protocol)

    @staticmethod
    def adopt(descriptor: int, purpose: int) -> int:
        """For `SOCKOPTFUNCTION`: pycurl duplicates the socket, which loses close-on-exec."""
        fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        return int(pycurl.SOCKOPT_OK)

    def _permits(self, address: SocketAddress) -> bool:
        if address.family not in (socket.AF_INET, socket.AF_INET6) or isinstance(
            address.addr, bytes
        ):
            return False
        host = address.addr[0]
        if self._rules.permits(ip_address(host)):
            return True
        self._refused = self._refused or host
        return False
