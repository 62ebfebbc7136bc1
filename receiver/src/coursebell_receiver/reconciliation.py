"""Checking your own books: what you have seen of a day, against what Coursebell says of it.

`GET /api/v5/webhooks/{id}/reconciliation?date=2031-02-03` answers how many events of that day were
meant for the webhook, what became of them, and a digest of their ids, signed like a delivery.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from coursebell_receiver.errors import Reason, VerificationError
from coursebell_receiver.verification import TOLERANCE_SECONDS, Headers, authenticate

DELIVERED = "delivered"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """A set of ids, without the ids: equal tallies are the same set."""

    count: int
    digest: str
    """SHA-256, in hexadecimal, of the ids in ascending order, joined by line feeds, as UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What was meant for a webhook of the events whose `date` is of one UTC day."""

    webhook_id: str
    date: date
    is_settled: bool
    """The day is over and nothing of it is still on its way."""
    all: Tally
    """Every event of the day that has a delivery to the webhook; tests are none."""
    expected: Tally
    """What you are to have: all but those that were cancelled because a person was erased."""
    wanted: Tally
    """What you have if you also read the feed: all, and what the webhook wants but was not told."""
    by_status: Mapping[str, Tally]
    """The same, by what has become of it: `delivered`, `pending`, `held`, `failed`, ..."""

    @property
    def delivered(self) -> Tally:
        return self.by_status.get(DELIVERED, NOTHING)

    def agrees_with(self, ids: Iterable[str]) -> bool:
        """Whether `ids`, of this day's events that you have seen, are all that you are to have.

        Ids are those of `webhook-id`; repetitions count once. What failed, is held or is on its way
        is missing until you have it, from a delivery or from the feed. Of what was cancelled you
        may have all or nothing. What the webhook was not told but wants (it is of before the
        webhook was made, or was imported silently) is in the feed: having all of it is right too.
        """
        return tally(ids) in (self.expected, self.all, self.wanted)


def tally(ids: Iterable[str]) -> Tally:
    """The tally of a set of ids; their order and repetitions do not matter."""
    ordered = sorted(set(ids))
    return Tally(count=len(ordered), digest=hashlib.sha256("\n".join(ordered).encode()).hexdigest())


NOTHING = tally(())


def read_reconciliation(
    headers: Headers,
    body: bytes,
    secrets: str | Iterable[str],
    *,
    now: int | None = None,
    tolerance_seconds: int = TOLERANCE_SECONDS,
) -> Reconciliation:
    """What the answer of the reconciliation call says, once it is proven to be genuine and fresh.

    Parameters and errors are those of `verify`, with the response's headers and raw body. Raises
    `VerificationError`, with the reason `malformed_reconciliation` for something else well signed.
    """
    signed = authenticate(headers, body, secrets, now=now, tolerance_seconds=tolerance_seconds)
    try:
        document = json.loads(signed.body)
    except (ValueError, RecursionError) as exc:
        raise VerificationError(Reason.NOT_JSON, "the body is not UTF-8 JSON") from exc
    try:
        return _reconciliation(document)
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        raise VerificationError(
            Reason.MALFORMED_RECONCILIATION, "the body is not a reconciliation"
        ) from exc


def _reconciliation(document: Mapping[str, object]) -> Reconciliation:
    statuses = document["statuses"]
    if not isinstance(statuses, dict):
        raise TypeError
    return Reconciliation(
        webhook_id=_text(document["webhookId"]),
        date=_day(document["date"]),
        is_settled=_truth(document["settled"]),
        all=_tally(document),
        expected=_part(document, "expected"),
        wanted=_part(document, "wanted"),
        by_status={name: _tally(each) for name, each in statuses.items()},
    )


def _part(document: Mapping[str, object], name: str) -> Tally:
    part = document[name]
    if not isinstance(part, dict):
        raise TypeError
    return _tally(part)


def _tally(document: Mapping[str, object]) -> Tally:
    count, digest = document["count"], _text(document["digest"])
    if type(count) is not int or count < 0 or not _DIGEST.fullmatch(digest):
        raise ValueError
    return Tally(count=count, digest=digest)


def _day(value: object) -> date:
    text = _text(value)
    if not _DAY.fullmatch(text):
        raise ValueError
    return date.fromisoformat(text)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value
