"""When a registration may be worked on, when it began and when it ended (domain rules 7, 12)."""

from __future__ import annotations

from datetime import datetime

from coursebell.domain.instants import format_instant
from coursebell.domain.model import Offering, Registration
from coursebell.errors import InvalidInputError


def check_open(registration: Registration, offering: Offering, now: datetime) -> None:
    """Raise `InvalidInputError` outside the offering's window (domain rule 12)."""
    if offering.begin_at is not None and now < offering.begin_at:
        raise InvalidInputError([f"The offering begins at {format_instant(offering.begin_at)}."])
    if offering.end_at is not None and now >= offering.end_at and not registration.extended:
        raise InvalidInputError([f"The offering ended at {format_instant(offering.end_at)}."])


def backdated(end_at: datetime, registration: Registration, now: datetime) -> datetime:
    """`end_at`, if it may be the end. Raises `InvalidInputError` where it may not."""
    if end_at > now:
        raise InvalidInputError(field_errors={"endDate": "Must not be in the future."})
    if end_at < begin_for(registration, end_at):
        began = format_instant(begin_for(registration, end_at))
        rule = f"Must not be before beginDate, which is {began}."
        raise InvalidInputError(field_errors={"endDate": rule})
    return end_at


def begin_for(registration: Registration, end_at: datetime) -> datetime:
    """First activity; without any, the end (domain rule 7), which a backdated end takes along."""
    if registration.begin_at is None:
        return end_at
    without_activity = registration.last_active_at is None
    return min(registration.begin_at, end_at) if without_activity else registration.begin_at
