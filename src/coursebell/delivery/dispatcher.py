"""The engine: claim a batch, send it, record what became of it; three short steps in one loop.

Doing, deciding and recording are apart: `client` does, `domain.retry.decide` decides,
`services.dispatching` records. This module only moves deliveries between them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never

from coursebell.delivery.client import Client
from coursebell.delivery.exchange import Result
from coursebell.delivery.lanes import Held, Lane, Lanes
from coursebell.delivery.requests import Sender, Senders
from coursebell.domain import retry
from coursebell.domain.model import Attempt, DeliveryStatus, new_id
from coursebell.errors import UnavailableError
from coursebell.logs import logger
from coursebell.services import dispatching
from coursebell.services.registrar import Registrar
from coursebell.storage.deliveries import Claimed, Recorded
from coursebell.storage.waking import Bell

_log = logger(__name__)

DEPTH = 32  # deliveries of one webhook in hand; above its cap, so that the next is always ready
LEASE_SECONDS = 75.0  # longer than any wait in hand followed by the longest attempt
_MARGIN_SECONDS = 5.0  # a lease this close to its end is not started on
_RENEW_SECONDS = 1.0  # how old a webhook's settings may be when an attempt starts
_RECORD_BATCH = 100  # results that are recorded without waiting for more
_RECORD_SECONDS = 0.005  # how long a result waits for others to be recorded with
_IDLE_SECONDS = 5.0  # how long to sleep at most
_FAREWELL_SECONDS = 8.0  # what attempts in flight get to finish after SIGTERM
_TROUBLE_SECONDS = 1.0  # rest after the database could not be reached

Observer = Callable[[str, float], None]  # outcome name, duration in seconds


@dataclass(frozen=True, slots=True)
class _Sent:
    """An attempt in flight."""

    delivery: Claimed
    lane: Lane
    policy: retry.RetryPolicy
    started_at: datetime


class Dispatcher:
    """Delivers what is due until told to stop. One thread; several processes on PostgreSQL.

    `stop_descriptor` becomes readable when it shall stop. `observe` is told of every attempt.
    """

    def __init__(
        self,
        registrar: Registrar,
        client: Client,
        bell: Bell,
        stop_descriptor: int,
        observe: Observer,
    ) -> None:
        self._registrar = registrar
        self._client = client
        self._bell = bell
        self._stop_descriptor = stop_descriptor
        self._observe = observe
        self._senders = Senders(registrar.database.seal, registrar.public_url)
        self._senders_age = 0.0
        self._lanes = Lanes()
        self._sent: dict[int, _Sent] = {}
        self._results: list[Recorded] = []
        self._gone: dict[str, str] = {}
        self._oldest_result = 0.0
        self._look_at = 0.0  # monotonic: when to look for work again
        self._full: frozenset[str] = frozenset()
        self._stopping = False

    def run(self) -> None:
        """Deliver until stopped; then finish what is in flight, or give it back, within 10 s."""
        while not self._stopping:
            try:
                self._turn()
            except UnavailableError as exc:
                _log.error("dispatcher.database", problem=exc.message)
                self._look_at = time.monotonic() + _TROUBLE_SECONDS
                self._advance(_TROUBLE_SECONDS, (self._stop_descriptor,))
        self._finish()

    def _turn(self) -> None:
        if self._is_time_to_look():
            self._claim()
        self._start()
        self._wait()
        if self._is_time_to_record():
            self._record()

    def _is_time_to_look(self) -> bool:
        if time.monotonic() >= self._look_at:
            return True
        in_hand = self._lanes.in_hand() if self._full else {}
        return any(in_hand.get(each, 0) <= DEPTH // 2 for each in self._full)

    def _claim(self) -> None:
        now, start = datetime.now(UTC), time.monotonic()
        self._bell.silence()
        batch = dispatching.claim(
            self._registrar, self._lanes.in_hand(), DEPTH, new_id(), LEASE_SECONDS, now
        )
        for delivery in batch.claimed:
            self._lanes.add(Held(delivery, start + LEASE_SECONDS))
        self._full = batch.full
        wait = batch.seconds_until_due
        # What is due but found no room is looked for again when room is made, not before.
        self._look_at = start + (_IDLE_SECONDS if wait is None else min(wait, _IDLE_SECONDS))
        if batch.claimed:
            self._renew_senders()

    def _renew_senders(self) -> None:
        self._lanes.sweep()
        wanted = [lane.webhook_id for lane in self._lanes]
        self._senders.renew(dispatching.read_targets(self._registrar, wanted))
        self._senders_age = time.monotonic()

    def _start(self) -> None:
        """Start what may start, a delivery of each lane in turn."""
        if len(self._lanes) and time.monotonic() - self._senders_age > _RENEW_SECONDS:
            self._renew_senders()
        started = True
        while started and self._client.free:
            started = False
            for lane in self._lanes:
                if self._client.free and self._start_one(lane):
                    started = True

    def _start_one(self, lane: Lane) -> bool:
        if not lane.waiting:
            return False
        sender = self._senders.get(lane.webhook_id)
        if sender is None:  # paused or deleted by now; its deliveries are marked so already
            lane.waiting.clear()
            return False
        if lane.in_flight >= sender.target.max_in_flight or time.monotonic() < lane.next_start:
            return False
        held = lane.waiting.popleft()
        if held.lease_ends - time.monotonic() < sender.target.timeout_seconds + _MARGIN_SECONDS:
            self._give_back([held])
            return False
        self._send(lane, sender, held.delivery)
        return True

    def _send(self, lane: Lane, sender: Sender, delivery: Claimed) -> None:
        target = sender.target
        if target.rate_per_second is not None:
            due = max(lane.next_start, time.monotonic() - 1 / target.rate_per_second)
            lane.next_start = due + 1 / target.rate_per_second
        now = datetime.now(UTC)
        lane.in_flight += 1
        policy = retry.RetryPolicy(schedule=target.retry_schedule)
        self._sent[delivery.key] = _Sent(delivery, lane, policy, now)
        self._client.start(sender.request(delivery, int(now.timestamp())))

    def _wait(self) -> None:
        """Sleep until an attempt ends, the bell rings, something is due or it is time to stop."""
        now = time.monotonic()
        seconds = min(self._look_at - now, self._bell.patience)
        if self._results:
            seconds = min(seconds, self._oldest_result + _RECORD_SECONDS - now)
        limited = [lane.next_start - now for lane in self._lanes if lane.waiting]
        seconds = min([seconds, *(wait for wait in limited if wait > 0)])
        rung = self._advance(max(0.0, seconds), (self._stop_descriptor, *self._bell.descriptors()))
        if rung or (seconds >= self._bell.patience and self._bell.missed_rings()):
            self._look_at = 0.0

    def _advance(self, seconds: float, descriptors: tuple[int, ...]) -> bool:
        """Move requests on and take in what has ended; whether the bell rang."""
        progress = self._client.advance(seconds, descriptors)
        for result in progress.results:
            self._take(result)
        self._stopping = self._stopping or self._stop_descriptor in progress.ready
        return bool(progress.ready - {self._stop_descriptor})

    def _take(self, result: Result) -> None:
        sent = self._sent.pop(result.key)
        sent.lane.in_flight -= 1
        delivery, outcome = sent.delivery, result.outcome
        decision = retry.decide(outcome, delivery.attempts, sent.policy, random.random())  # noqa: S311 - jitter
        status, delay = _status_of(decision)
        if isinstance(decision, retry.Gone):
            self._gone[delivery.webhook_id] = delivery.organization_id
        if not self._results:
            self._oldest_result = time.monotonic()
        attempt = _attempt(sent, result)
        self._results.append(
            Recorded(
                key=delivery.key,
                lease=delivery.lease,
                status=status,
                delay_seconds=delay,
                attempt=attempt,
            )
        )
        self._observe(outcome.name, result.duration_ms / 1000)
        _log_attempt(delivery, attempt, status, delay, result.error)

    def _is_time_to_record(self) -> bool:
        if not self._results:
            return False
        waited = time.monotonic() - self._oldest_result
        return len(self._results) >= _RECORD_BATCH or waited >= _RECORD_SECONDS or not self._sent

    def _record(self) -> None:
        results, gone = self._results, self._gone
        dispatching.record(self._registrar, results, gone, datetime.now(UTC))
        if any(each.status is DeliveryStatus.PENDING for each in results):
            soonest = min(r.delay_seconds for r in results if r.status is DeliveryStatus.PENDING)
            self._look_at = min(self._look_at, time.monotonic() + soonest)
        self._results, self._gone = [], {}

    def _give_back(self, held: list[Held]) -> None:
        leases = {each.delivery.key: each.delivery.lease for each in held}
        dispatching.give_back(self._registrar, leases, datetime.now(UTC))
        self._look_at = 0.0

    def _finish(self) -> None:
        deadline = time.monotonic() + _FAREWELL_SECONDS
        while self._sent and time.monotonic() < deadline:
            self._advance(max(0.0, deadline - time.monotonic()), ())
        unsent = {
            held.delivery.key: held.delivery.lease for lane in self._lanes for held in lane.waiting
        }
        unsent |= {key: sent.delivery.lease for key, sent in self._sent.items()}
        try:
            if self._results:
                self._record()
            if unsent:
                dispatching.give_back(self._registrar, unsent, datetime.now(UTC))
        except UnavailableError as exc:  # the leases lapse by themselves
            _log.error("dispatcher.database", problem=exc.message)


def _status_of(decision: retry.Decision) -> tuple[DeliveryStatus, float]:
    """What the delivery becomes, and after how many seconds it is tried again."""
    match decision:
        case retry.Delivered():
            return DeliveryStatus.DELIVERED, 0.0
        case retry.RetryAfter(seconds):
            return DeliveryStatus.PENDING, seconds
        case retry.Failed():
            return DeliveryStatus.FAILED, 0.0
        case retry.Gone():
            return DeliveryStatus.HELD, 0.0
        case _:
            assert_never(decision)


def _attempt(sent: _Sent, result: Result) -> Attempt:
    return Attempt(
        number=sent.delivery.attempts + 1,
        started_at=sent.started_at,
        duration_ms=result.duration_ms,
        outcome=result.outcome.name,
        status_code=result.outcome.status_code,
        address=result.address,
        response_headers=result.response_headers or None,
        response_body=result.response_body or None,
        truncated=result.outcome.truncated,
    )


def _log_attempt(
    delivery: Claimed, attempt: Attempt, status: DeliveryStatus, delay: float, error: str | None
) -> None:
    _log.info(
        "delivery.attempted",
        delivery_id=delivery.id,
        webhook_id=delivery.webhook_id,
        event_id=delivery.event_id,
        event_name=delivery.event,
        registration_id=delivery.registration_id,
        attempt=attempt.number,
        outcome=attempt.outcome,
        status_code=attempt.status_code,
        address=attempt.address,
        duration_ms=attempt.duration_ms,
        status=status.value,
        next_attempt_seconds=round(delay, 1) if status is DeliveryStatus.PENDING else None,
        error=error,
    )
