"""The guard: judges the address really used, at every new connection (against SSRF).

libcurl asks for a socket after it has resolved the name, once for each address it tries. Where
the guard refuses one, libcurl goes on to the next, so a name with several answers uses the first
permitted one, and a name that changes its answer is caught (both seen with libcurl 8.23 and
proven by tests/delivery/test_guard_resolution.py).
"""

from __future__ import annotations

import errno
import fcntl
import socket
from contextlib import suppress
from ipaddress import ip_address
from typing import Protocol

import pycurl

from coursebell.domain.addresses import AddressRules

_WANT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class SocketAddress(Protocol):
    """What pycurl tells about the socket that libcurl wants."""

    family: int
    socktype: int
    protocol: int
    addr: tuple[str, int] | tuple[str, int, int, int] | bytes


class _LentSocket(socket.socket):
    """A socket that pycurl duplicates and drops: so closing it late is no mistake to warn of."""

    def __del__(self) -> None:
        with suppress(AttributeError):  # it could not even be opened
            self.close()


class Guard:
    """Opens the sockets of one transfer at a time, to permitted addresses only."""

    __slots__ = ("_in_want", "_opened", "_refused", "_rules", "has_connected")

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules
        self.forget()

    @property
    def refused(self) -> str | None:
        """The first address refused, when no other one was permitted; else None."""
        return None if self._opened or self._in_want else self._refused

    @property
    def tried(self) -> str | None:
        """The last address that a socket was opened for, else the first refused."""
        return self._opened or self._refused

    @property
    def in_want(self) -> bool:
        """Whether this process had no descriptor or memory for a socket: nothing was tried."""
        # pycurl, which duplicates what was opened, fails without a word
        return not self.has_connected and (self._in_want or self._opened is not None)

    def forget(self) -> None:
        """Begins a new transfer."""
        self.has_connected = False  # and does not make do with a kept connection
        self._in_want = False
        self._opened: str | None = None
        self._refused: str | None = None

    def open(self, purpose: int, address: SocketAddress) -> socket.socket | int:
        """For `OPENSOCKETFUNCTION`: a socket for `address`, or `SOCKET_BAD`."""
        if isinstance(address.addr, bytes):  # a family without IP addresses
            return int(pycurl.SOCKET_BAD)
        host = address.addr[0]
        if not self._rules.permits(ip_address(host)):
            self._refused = self._refused or host
            return int(pycurl.SOCKET_BAD)
        try:
            lent = _LentSocket(address.family, address.socktype, address.protocol)
        except OSError as exc:  # else this machine has no IPv6, say
            self._in_want = self._in_want or exc.errno in _WANT
            return int(pycurl.SOCKET_BAD)
        self._opened = host
        return lent

    def adopt(self, descriptor: int, purpose: int) -> int:
        """For `SOCKOPTFUNCTION`: pycurl duplicates the socket, which loses close-on-exec."""
        self.has_connected = True
        fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        return int(pycurl.SOCKOPT_OK)
