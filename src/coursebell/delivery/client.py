"""The HTTP client of the engine: one libcurl multi handle, driven by `perform`.

Per-socket callbacks into Python would cost one and a half times as much, so the client asks
libcurl for its descriptors and waits on them together with the dispatcher's own in one poll.
"""

from __future__ import annotations

import os
import select
import ssl
import time
from collections.abc import Sequence
from typing import NamedTuple

import pycurl

from coursebell.delivery.exchange import Request, Result, Transfer
from coursebell.delivery.guard import Guard
from coursebell.domain.addresses import AddressRules

__all__ = ["Client", "Progress", "Request", "Result"]

MAX_IN_FLIGHT = 512  # libcurl's fdset counts descriptors to 1023: these, and the idle ones
IDLE_CONNECTIONS = 256

# libcurl looks names up in at most 20 threads, which pycurl cannot change, and a look-up outlives
# its request: so one that gets no answer ends after about 3 s, not the C library's 10 s or more.
LOOK_UP_OPTIONS = "timeout:1 attempts:3"


class Progress(NamedTuple):
    """What `Client.advance` saw: finished requests, and which of the caller's descriptors."""

    results: list[Result]
    ready: frozenset[int]


class Client:
    """Sends requests, `max_in_flight` at most, and keeps connections for the next ones.

    HTTP/1.1 only, no redirects, no cookies, no decompression, no proxy but the one given. With a
    `proxy`, every connection goes there and the address of the target is the proxy's to judge.
    `ca_file` replaces the system's certificate authorities. Sets `RES_OPTIONS` for the process,
    unless the operator did (see `LOOK_UP_OPTIONS`). Not for use by several threads.
    """

    def __init__(
        self,
        rules: AddressRules,
        *,
        max_in_flight: int = 256,
        proxy: str | None = None,
        ca_file: str | None = None,
        dns_cache_seconds: int = 30,
    ) -> None:
        if not 1 <= max_in_flight <= MAX_IN_FLIGHT:
            raise ValueError(f"max_in_flight must be from 1 to {MAX_IN_FLIGHT}.")
        os.environ.setdefault("RES_OPTIONS", LOOK_UP_OPTIONS)
        self._rules = rules
        self._max_in_flight = max_in_flight
        self._proxy = proxy
        self._ca_file = ca_file
        self._dns_cache_seconds = dns_cache_seconds
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_in_flight + IDLE_CONNECTIONS)
        self._busy: dict[pycurl.Curl, Transfer] = {}
        self._idle: list[Transfer] = []

    @property
    def in_flight(self) -> int:
        return len(self._busy)

    @property
    def free(self) -> int:
        """How many requests may be started now."""
        return self._max_in_flight - len(self._busy)

    def start(self, request: Request) -> None:
        """Begins a request; `advance` sends it. At most `free` may be started."""
        if self.free <= 0:
            raise ValueError(f"There are {self.in_flight} requests in flight already.")
        transfer = self._idle.pop() if self._idle else self._new_transfer()
        transfer.begin(request)
        self._busy[transfer.curl] = transfer
        self._multi.add_handle(transfer.curl)

    def advance(self, timeout_seconds: float, descriptors: Sequence[int] = ()) -> Progress:
        """Moves all requests on and waits until one is finished or a descriptor is readable.

        Waits at most `timeout_seconds`, and not at all when a request is finished already. An
        error or hang-up on a descriptor counts as readable.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            results = self._perform()
            wait = 0.0 if results else max(0.0, deadline - time.monotonic())
            ready = self._wait(wait, descriptors) if wait or descriptors else frozenset[int]()
            if results or ready or not wait:
                return Progress(results, ready)

    def close(self) -> None:
        """Aborts what is in flight, without results, and closes every connection.

        Waits for look-ups that still run, about 3 s at most.
        """
        for transfer in [*self._busy.values(), *self._idle]:
            if transfer.curl in self._busy:
                self._multi.remove_handle(transfer.curl)
            transfer.curl.close()
        self._busy.clear()
        self._idle.clear()
        self._multi.close()

    def _perform(self) -> list[Result]:
        self._multi.perform()
        _, succeeded, failed = self._multi.info_read()
        results = [self._finish(curl, pycurl.E_OK, None) for curl in succeeded]
        for curl, code, message in failed:
            if self._busy[curl].has_to_begin_again(code):
                self._begin_again(curl)
            else:
                results.append(self._finish(curl, code, message))
        return results

    def _begin_again(self, curl: pycurl.Curl) -> None:
        self._multi.remove_handle(curl)
        self._busy[curl].begin_again()
        self._multi.add_handle(curl)

    def _finish(self, curl: pycurl.Curl, code: int, message: str | None) -> Result:
        transfer = self._busy.pop(curl)
        result = transfer.result(code, message)
        self._multi.remove_handle(curl)
        self._idle.append(transfer)
        return result

    def _wait(self, seconds: float, descriptors: Sequence[int]) -> frozenset[int]:
        poll = select.poll()
        if seconds:
            seconds = self._register(poll, seconds)
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        seen = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
        return frozenset(seen.intersection(descriptors))

    def _register(self, poll: select.poll, seconds: float) -> float:
        """Adds libcurl's descriptors; answers how long to wait, by libcurl's timers too."""
        readable, writable, _ = self._multi.fdset()
        events = dict.fromkeys(readable, select.POLLIN)
        for descriptor in writable:
            events[descriptor] = events.get(descriptor, 0) | select.POLLOUT
        for descriptor, mask in events.items():
            poll.register(descriptor, mask)
        timer = self._multi.timeout()
        return seconds if timer < 0 else min(seconds, timer / 1000)

    def _new_transfer(self) -> Transfer:
        curl = pycurl.Curl()
        _set_fixed_options(curl)
        curl.setopt(pycurl.DNS_CACHE_TIMEOUT, self._dns_cache_seconds)
        curl.setopt(pycurl.PROXY, self._proxy or "")  # empty: not even from the environment
        _set_authorities(curl, self._ca_file)
        guard = Guard(self._rules)
        curl.setopt(pycurl.SOCKOPTFUNCTION, guard.adopt)
        if self._proxy is None:
            curl.setopt(pycurl.OPENSOCKETFUNCTION, guard.open)
        return Transfer(curl, guard)


def _set_fixed_options(curl: pycurl.Curl) -> None:
    curl.setopt(pycurl.POST, 1)
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.NOPROXY, "")
    curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
    curl.setopt(pycurl.HTTP09_ALLOWED, 0)
    curl.setopt(pycurl.FOLLOWLOCATION, 0)
    curl.setopt(pycurl.SSL_VERIFYPEER, 1)
    curl.setopt(pycurl.SSL_VERIFYHOST, 2)
    curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
    curl.setopt(pycurl.TCP_NODELAY, 1)
    curl.setopt(pycurl.TCP_KEEPALIVE, 1)
    curl.setopt(pycurl.MAXLIFETIME_CONN, 300)  # so that a moved name is looked up again


def _set_authorities(curl: pycurl.Curl, ca_file: str | None) -> None:
    """The given file, else the system's: libcurl as packaged looks in one distribution's place."""
    system = ssl.get_default_verify_paths()
    file = ca_file or system.cafile
    if file is not None:
        curl.setopt(pycurl.CAINFO, file)
    if ca_file is None and system.capath is not None:
        curl.setopt(pycurl.CAPATH, system.capath)
