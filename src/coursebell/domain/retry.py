"""What an attempt's outcome means for its delivery: the rules of retrying, as pure functions.

The times are the wire contract's (section 2, "retries"); documented in docs/guides.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

DAY = 86_400
DEFAULT_SCHEDULE = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, DAY)
JITTER = 0.10

DELIVERED = "delivered"
REDIRECT = "redirect"
TIMEOUT = "timeout"
DNS = "dns"
CONNECT = "connect"
TLS = "tls"
BLOCKED_ADDRESS = "blocked_address"
BAD_RESPONSE = "bad_response"

_DIGITS = re.compile(r"-?[0-9]+", re.ASCII)
_TOO_LONG = 10**10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one attempt ended.

    `name` is `delivered`, `http_<status>` for a 4xx or 5xx, or one of `redirect`, `timeout`,
    `dns`, `connect`, `tls`, `blocked_address`, `bad_response`.
    """

    name: str
    status_code: int | None = None  # as far as one was read, even if the answer then broke off
    retry_after: int | None = None  # seconds the receiver asked to be left alone
    truncated: bool = False  # the answer's body was longer than is read

    @property
    def delivered(self) -> bool:
        return self.name == DELIVERED

    @property
    def gone(self) -> bool:
        """The receiver says that it wants nothing any more."""
        return self.name == "http_410"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Seconds to wait after each failed attempt; one more attempt than there are waits."""

    schedule: tuple[int, ...] = DEFAULT_SCHEDULE


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has the event."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Try again, `seconds` after the end of this attempt."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The schedule is exhausted; the delivery stays listed and can be sent again by hand."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver answered 410: the webhook is disabled and its deliveries are held."""


Decision = Delivered | RetryAfter | Failed | Gone


def outcome_of(
    status_code: int, *, retry_after: int | None = None, truncated: bool = False
) -> Outcome:
    """The outcome that an HTTP status stands for; only 2xx is success, 3xx is never followed.

    A final 1xx or a status outside 100..599 is no answer: `bad_response`.
    """
    return Outcome(
        name=_name_of(status_code),
        status_code=status_code,
        retry_after=retry_after,
        truncated=truncated,
    )


def decide(outcome: Outcome, failures: int, policy: RetryPolicy, jitter: float) -> Decision:
    """What happens next to a delivery after an attempt.

    `failures` counts the failed attempts of the delivery's current run before this one, so it
    is 0 at the first. `jitter` is a random number in [0, 1): it moves a wait by -10 % to +10 %.
    A wait that the receiver asked for (429, 503) is kept, but never beyond 24 hours.
    """
    if outcome.delivered:
        return Delivered()
    if outcome.gone:
        return Gone()
    if failures >= len(policy.schedule):
        return Failed()
    wait = policy.schedule[failures] * (1 - JITTER + 2 * JITTER * jitter)
    return RetryAfter(max(wait, asked_seconds(outcome)))


def asked_seconds(outcome: Outcome) -> int:
    """How long the receiver wants to be left alone, as far as that is granted; else 0."""
    if outcome.name in ("http_429", "http_503") and outcome.retry_after is not None:
        return min(outcome.retry_after, DAY)
    return 0


def parse_retry_after(text: str, now: datetime) -> int | None:
    """Seconds that a `Retry-After` header asks for (RFC 9110, 10.2.3), rounded up.

    Takes seconds or a date in any of HTTP's three forms. What lies in the past is 0; what
    cannot be read is None.
    """
    text = text.strip()
    if _DIGITS.fullmatch(text):
        seconds = int(text) if len(text) <= 10 else _TOO_LONG
        return 0 if text.startswith("-") else seconds
    try:
        date = parsedate_to_datetime(text)
        wait = (date if date.tzinfo else date.replace(tzinfo=UTC)) - now
    except (ValueError, TypeError, IndexError, OverflowError):  # all that the parser lets out
        return None
    return max(0, math.ceil(wait / timedelta(seconds=1)))


def _name_of(status_code: int) -> str:
    match status_code // 100:
        case 2:
            return DELIVERED
        case 3:
            return REDIRECT
        case 4 | 5:
            return f"http_{status_code}"
        case _:
            return BAD_RESPONSE
