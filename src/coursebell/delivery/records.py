"""What is written down of an attempt: for the database, and as one wide line of the log."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from coursebell.delivery.exchange import Result
from coursebell.delivery.lanes import Lane
from coursebell.delivery.masking import Masks
from coursebell.domain import retry
from coursebell.domain.model import Attempt, DeliveryStatus
from coursebell.logs import logger
from coursebell.storage.claims import Claimed, Recorded
from coursebell.storage.webhooks import Target

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """An attempt in flight."""

    delivery: Claimed
    lane: Lane
    host: str  # `domain.targets.host_of`
    target: Target  # as it was when the attempt started
    masks: Masks  # what the receiver may not have written down
    started_at: datetime


def record_of(sent: Sent, result: Result, jitter: float) -> Recorded:
    """What becomes of the delivery after this attempt (`domain.retry.decide`)."""
    policy = retry.RetryPolicy(schedule=sent.target.retry_schedule)
    decision = retry.decide(result.outcome, sent.delivery.attempts, policy, jitter)
    status, delay = _status_of(decision)
    return Recorded(
        key=sent.delivery.key,
        lease=sent.delivery.lease,
        status=status,
        delay_seconds=delay,
        attempt=_attempt(sent, result),
        is_probe=sent.delivery.is_probe,
        asked_seconds=retry.asked_seconds(result.outcome),
    )


def not_sent(key: int, reason: Exception) -> Result:
    """How an attempt ended whose request could not even be made."""
    return Result(
        key=key,
        outcome=retry.Outcome(name=retry.CONNECT),
        started=time.monotonic(),
        duration_ms=0,
        address=None,
        response_headers="",
        response_body=b"",
        error=f"The request cannot be made ({type(reason).__name__}).",
    )


def log_attempt(sent: Sent, recorded: Recorded, error: str | None) -> None:
    delivery, attempt, status = sent.delivery, recorded.attempt, recorded.status
    delay = round(recorded.delay_seconds, 1) if status is DeliveryStatus.PENDING else None
    log = _log.error if status is DeliveryStatus.FAILED else _log.info
    log(
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
        next_attempt_seconds=delay,
        error=None if error is None else sent.masks.hide(error),  # it may quote the receiver
    )


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
            return DeliveryStatus.PENDING, 0.0
        case _:
            assert_never(decision)


def _attempt(sent: Sent, result: Result) -> Attempt:
    return Attempt(
        number=sent.delivery.attempts + 1,
        started_at=sent.started_at,
        duration_ms=result.duration_ms,
        outcome=result.outcome.name,
        status_code=result.outcome.status_code,
        address=result.address,
        response_headers=sent.masks.hide(result.response_headers) or None,
        response_body=sent.masks.hide_in(result.response_body) or None,
        truncated=result.outcome.truncated,
    )
