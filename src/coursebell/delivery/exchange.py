"""One exchange with a receiver: what is sent, what is kept of the answer, what it amounts to.

A failed exchange is a value (`Result`), never an exception.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import pycurl

from coursebell.delivery.guard import Guard
from coursebell.domain import retry
from coursebell.domain.retry import Outcome

MAX_HEADERS_BYTES = 16_384  # of an answer, its interim answers and trailers included
MAX_BODY_BYTES = 65_536
KEPT_HEADERS = 2_048
KEPT_BODY = 4_096

# After a connection stands, whatever goes wrong is a malformed answer.
OUTCOMES = {
    pycurl.E_OPERATION_TIMEDOUT: retry.TIMEOUT,
    pycurl.E_COULDNT_RESOLVE_HOST: retry.DNS,
    pycurl.E_COULDNT_RESOLVE_PROXY: retry.DNS,
    pycurl.E_COULDNT_CONNECT: retry.CONNECT,
    pycurl.E_URL_MALFORMAT: retry.CONNECT,
    pycurl.E_NO_CONNECTION_AVAILABLE: retry.CONNECT,
    97: retry.CONNECT,  # CURLE_PROXY, which pycurl does not name
    pycurl.E_SSL_CONNECT_ERROR: retry.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: retry.TLS,
    pycurl.E_SSL_CERTPROBLEM: retry.TLS,
    pycurl.E_SSL_CIPHER: retry.TLS,
    pycurl.E_SSL_CACERT_BADFILE: retry.TLS,
    pycurl.E_SSL_ISSUER_ERROR: retry.TLS,
    pycurl.E_SSL_INVALIDCERTSTATUS: retry.TLS,
}

# What libcurl would add of its own: an empty value suppresses it, a header of the request wins.
SUPPRESSED = ["Accept:", "Content-Type:", "Expect:", "User-Agent:"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One attempt: exactly these headers (besides host and content-length) and these bytes.

    Header names, values and the URL are ASCII; `domain.targets` says which are safe.
    """

    key: int  # the caller's, comes back in the result
    method: str  # POST or PUT
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    timeout_seconds: float  # for resolving, connecting, sending and the whole answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a request ended.

    `response_headers` (at most 2 KB) and `response_body` (at most 4 KB) are those of an answer
    that is not a success, else empty. `error` is libcurl's sentence where there is no answer.
    """

    key: int
    outcome: Outcome
    started: float  # time.monotonic() at `Client.start`
    duration_ms: int
    address: str | None  # connected to; else tried last, or refused by the guard
    response_headers: str
    response_body: bytes
    error: str | None
    is_untried: bool = False  # nothing was sent, for want of descriptors or memory in this process


class Transfer:
    """A libcurl easy handle, used for one request after another.

    A kept connection may end just as it is reused, and nobody can tell whether the receiver has
    read what was sent. Where no byte of an answer came, libcurl sends again, up to five times, as
    long as it has kept connections; all of them may have ended. Here it is sent once more at most,
    on a new connection. Both are one attempt: the same bytes, the same signature.
    """

    __slots__ = (
        "_body",
        "_body_size",
        "_fresh",
        "_guard",
        "_headers",
        "_headers_size",
        "_method",
        "_request",
        "_sendings",
        "_spent",
        "_started",
        "_timeout_ms",
        "_url",
        "curl",
    )

    def __init__(self, curl: pycurl.Curl, guard: Guard) -> None:
        self.curl = curl
        self._guard = guard
        self._method = self._url = ""
        self._timeout_ms = 0
        self._fresh = False
        curl.setopt(pycurl.PREREQFUNCTION, self._may_send)
        curl.setopt(pycurl.HEADERFUNCTION, self._take_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._take_body)

    def begin(self, request: Request) -> None:
        self._request = request
        self._sendings = 0
        self._spent = 0.0
        self._guard.forget()
        self._headers: list[bytes] = []
        self._headers_size = 0
        self._body: list[bytes] = []
        self._body_size = 0
        self._set_options(request)
        self._set_connection(fresh=False)
        self._set_timeout(request.timeout_seconds)
        self._started = time.monotonic()

    def has_to_begin_again(self, code: int) -> bool:
        """Whether it ended because it needs a new connection."""
        return code == pycurl.E_ABORTED_BY_CALLBACK and not self._fresh

    def begin_again(self) -> None:
        """The same request, on a new connection, in the time that is left."""
        self._spent = time.monotonic() - self._started
        self._set_connection(fresh=True)
        self._set_timeout(self._request.timeout_seconds - self._spent)

    def result(self, code: int, message: str | None) -> Result:
        outcome = self._outcome(code)
        headers, body = self._answer(outcome)
        return Result(
            key=self._request.key,
            outcome=outcome,
            started=self._started,
            duration_ms=round((self._spent + self.curl.getinfo(pycurl.TOTAL_TIME)) * 1000),
            address=self.curl.getinfo(pycurl.PRIMARY_IP) or self._guard.tried,
            response_headers=headers,
            response_body=body,
            error=self._error(outcome, code, message),
            is_untried=self._is_untried(outcome),
        )

    def _set_options(self, request: Request) -> None:
        curl = self.curl
        if request.url != self._url:
            curl.setopt(pycurl.URL, request.url)
            self._url = request.url
        if request.method != self._method:
            curl.setopt(pycurl.CUSTOMREQUEST, request.method)
            self._method = request.method
        curl.setopt(pycurl.HTTPHEADER, SUPPRESSED + _header_lines(request.headers))
        curl.setopt(pycurl.POSTFIELDS, request.body)

    def _set_timeout(self, seconds: float) -> None:
        timeout_ms = max(1, round(seconds * 1000))  # 0 would mean for ever
        if timeout_ms != self._timeout_ms:
            self.curl.setopt(pycurl.TIMEOUT_MS, timeout_ms)
            self._timeout_ms = timeout_ms

    def _set_connection(self, *, fresh: bool) -> None:
        if fresh != self._fresh:
            self.curl.setopt(pycurl.FRESH_CONNECT, fresh)
            self._fresh = fresh

    def _may_send(self, *_addresses: object) -> int:
        """For `PREREQFUNCTION`, which is asked each time before the request is sent."""
        self._sendings += 1
        if self._sendings > 1 and not self._guard.has_connected:
            return int(pycurl.PREREQFUNC_ABORT)
        return int(pycurl.PREREQFUNC_OK)

    def _take_header(self, line: bytes) -> int:
        self._headers_size += len(line)
        if self._headers_size > MAX_HEADERS_BYTES:
            return 0  # makes libcurl end the exchange
        if line.startswith(b"HTTP/"):
            self._headers.clear()  # an interim answer came before
        self._headers.append(line)
        return len(line)

    def _take_body(self, chunk: bytes) -> int:
        if self._body_size < KEPT_BODY:
            self._body.append(chunk)
        self._body_size += len(chunk)
        return 0 if self._truncated else len(chunk)

    @property
    def _truncated(self) -> bool:
        return self._body_size > MAX_BODY_BYTES

    @property
    def _complete(self) -> bool:
        """Whether the blank line after the headers came: libcurl does not insist on it."""
        return b"\r\n" in self._headers or b"\n" in self._headers

    def _outcome(self, code: int) -> Outcome:
        status = self.curl.getinfo(pycurl.RESPONSE_CODE)
        cut_off = code == pycurl.E_WRITE_ERROR and self._truncated
        if cut_off or (code == pycurl.E_OK and self._complete):
            return retry.outcome_of(
                status, retry_after=self._retry_after(status), truncated=self._truncated
            )
        if code == pycurl.E_COULDNT_CONNECT and self._guard.refused:
            return Outcome(name=retry.BLOCKED_ADDRESS)
        name = OUTCOMES.get(code, retry.BAD_RESPONSE)
        return Outcome(name=name, status_code=status or None, truncated=self._truncated)

    def _is_untried(self, outcome: Outcome) -> bool:
        if outcome.name not in (retry.DNS, retry.CONNECT, retry.TLS):
            return False
        return self._guard.in_want or not _has_descriptor()

    def _retry_after(self, status: int) -> int | None:
        if status not in (429, 503):
            return None
        for line in self._headers:
            name, _, value = line.partition(b":")
            if name.lower() == b"retry-after":
                return retry.parse_retry_after(value.decode("latin-1"), datetime.now(UTC))
        return None

    def _answer(self, outcome: Outcome) -> tuple[str, bytes]:
        """What is kept of an answer that is no success."""
        if outcome.delivered:
            return "", b""
        headers = b"".join(self._headers)[:KEPT_HEADERS].decode("latin-1")
        # libcurl lets a NUL through where a line is no header; PostgreSQL keeps no text with one
        return headers.replace("\0", "\ufffd"), b"".join(self._body)[:KEPT_BODY]

    def _error(self, outcome: Outcome, code: int, message: str | None) -> str | None:
        if outcome.name == retry.BLOCKED_ADDRESS:
            return f"The address {self._guard.refused} is not public."
        if self._headers_size > MAX_HEADERS_BYTES:
            return f"The answer's headers are longer than {MAX_HEADERS_BYTES} bytes."
        if code == pycurl.E_OK:
            return None if self._complete else "The answer ended within its headers."
        return None if self._truncated else message or f"libcurl ended with error {code}."


def _has_descriptor() -> bool:
    """Whether a file can be opened, as looking up a name and reading the authorities need."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True


def _header_lines(headers: tuple[tuple[str, str], ...]) -> list[str]:
    """As libcurl wants them; a semicolon is how an empty value is sent."""
    return [f"{name}: {value}" if value else f"{name};" for name, value in headers]
