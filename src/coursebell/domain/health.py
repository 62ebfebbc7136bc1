"""When a receiver counts as dead, and how Coursebell finds out that it is back.

A webhook whose receiver fails all the time backs off: one delivery at a time, a probe, asks
whether it is back, and the others wait without using up their schedules. Documented in
docs/reference/webhooks.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

FAILURES = 10  # consecutive failed attempts after which a webhook backs off ...
FAILING_FOR = timedelta(seconds=60)  # ... when they span at least this
FIRST_PROBE = timedelta(minutes=1)  # after backing off; then twice as long each time ...
LONGEST_REST = timedelta(minutes=60)  # ... but never longer
HOPELESS_AFTER = timedelta(hours=72)  # without any success; the webhook is then disabled


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the attempts of a webhook have been going."""

    failures: int = 0  # consecutive, up to now
    failing_since: datetime | None = None  # the end of the first of them
    probe_at: datetime | None = None  # when the next probe may be sent; None: not backed off
    probes: int = 0  # that failed since it backed off

    @property
    def is_backed_off(self) -> bool:
        return self.probe_at is not None

    def is_hopeless(self, now: datetime) -> bool:
        """Whether it is time to give up."""
        since = self.failing_since
        return self.is_backed_off and since is not None and now - since >= HOPELESS_AFTER


HEALTHY = Health()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """An attempt, as far as it says something about the receiver."""

    delivered: bool
    is_probe: bool = False
    asked_seconds: float = 0.0  # that the receiver wants to be left alone (`Retry-After`)


def after(health: Health, attempts: Iterable[Attempted], now: datetime) -> Health:
    """The health after attempts that ended just now, in this order.

    Any success is a full recovery. While backed off, only a failed probe moves the next one.
    """
    for attempt in attempts:
        health = HEALTHY if attempt.delivered else _after_failure(health, attempt, now)
    return health


def _after_failure(health: Health, attempt: Attempted, now: datetime) -> Health:
    failing = replace(
        health, failures=health.failures + 1, failing_since=health.failing_since or now
    )
    if health.is_backed_off:
        return _after_probe(failing, attempt, now) if attempt.is_probe else failing
    if _is_dead(failing, now):
        return replace(failing, probe_at=now + _rest(0, attempt), probes=0)
    return failing


def _is_dead(health: Health, now: datetime) -> bool:
    since = health.failing_since
    return health.failures >= FAILURES and since is not None and now - since >= FAILING_FOR


def _after_probe(health: Health, attempt: Attempted, now: datetime) -> Health:
    probes = health.probes + 1
    return replace(health, probe_at=now + _rest(probes, attempt), probes=probes)


def _rest(probes: int, attempt: Attempted) -> timedelta:
    """How long a backed-off receiver is left alone after this many failed probes."""
    doubled = FIRST_PROBE * (1 << min(probes, 10))  # which is beyond the longest
    return max(min(doubled, LONGEST_REST), timedelta(seconds=attempt.asked_seconds))
