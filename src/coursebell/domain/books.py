"""The books of a webhook: what was committed that it wants, against what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from coursebell.domain.model import DeliveryStatus


class Standing(StrEnum):
    """What has become of one event for one webhook, whatever number of deliveries it took."""

    DELIVERED = "delivered"
    PENDING = "pending"
    HELD = "held"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNTOLD = "untold"  # it wants such events, and has no delivery of this one

    @property
    def is_open(self) -> bool:
        """Something is still to come by itself, or once the webhook is resumed."""
        return self in (Standing.PENDING, Standing.HELD)

    @property
    def is_square(self) -> bool:
        """Nothing is owed: delivered, or cancelled because it must not be sent any more."""
        return self in (Standing.DELIVERED, Standing.CANCELLED)


# The first that any of the deliveries has decides: one that arrived makes up for one that failed.
_PRECEDENCE = (
    DeliveryStatus.DELIVERED,
    DeliveryStatus.PENDING,
    DeliveryStatus.HELD,
    DeliveryStatus.FAILED,
    DeliveryStatus.CANCELLED,
)


def standing_of(statuses: Collection[DeliveryStatus], *, is_active: bool) -> Standing:
    """The standing of an event with deliveries in these states, to a webhook that is active or not.

    What is open stands as held while the webhook is paused or disabled.
    """
    first = next((status for status in _PRECEDENCE if status in statuses), None)
    if first is None:
        return Standing.UNTOLD
    if first.is_open:
        return Standing.PENDING if is_active else Standing.HELD
    return Standing(first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One event, as the books of one webhook have it."""

    event_id: str
    event: str
    position: int
    occurred_at: datetime
    registration_id: str | None
    standing: Standing
    delivery_id: str | None  # the newest; None: untold


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """All that a webhook wants of a stretch of time, summed up."""

    webhook_id: str
    since: datetime
    until: datetime
    counts: Mapping[Standing, int]
    untold_before: int  # besides: untold, and of before the webhook was made
    gone: int  # besides: untold, and retention removed what could be sent
    listed: Mapping[Standing, Sequence[Account]]  # oldest first, the first so many of what is owed

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def owed(self) -> int:
        return sum(count for standing, count in self.counts.items() if not standing.is_square)

    @property
    def balance(self) -> bool:
        """Whether nothing is owed."""
        return not self.owed


@dataclass(slots=True, kw_only=True)
class Ledger:
    """Books while they are being written."""

    made_at: datetime  # the webhook
    limit: int  # accounts to list of each standing
    counts: Counter[Standing] = field(default_factory=Counter)
    untold_before: int = 0
    gone: int = 0
    listed: dict[Standing, list[Account]] = field(default_factory=dict)

    def enter(self, account: Account) -> None:
        standing = account.standing
        if standing is Standing.UNTOLD and account.occurred_at < self.made_at:
            self.untold_before += 1  # never promised, so not owed
            return
        self.counts[standing] += 1
        if not standing.is_square:
            owed = self.listed.setdefault(standing, [])
            if len(owed) < self.limit:
                owed.append(account)
