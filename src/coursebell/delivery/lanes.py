"""What a dispatcher has in hand, webhook by webhook, so that none stands in another's way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from coursebell.storage.deliveries import Claimed


@dataclass(frozen=True, slots=True)
class Held:
    """A claimed delivery and the monotonic time until which its lease lasts."""

    delivery: Claimed
    lease_ends: float


@dataclass(slots=True)
class Lane:
    """The deliveries of one webhook: those that wait here, and how many are being sent."""

    webhook_id: str
    waiting: deque[Held] = field(default_factory=deque)
    in_flight: int = 0
    next_start: float = 0.0  # monotonic; where a rate limit is in force

    @property
    def in_hand(self) -> int:
        return len(self.waiting) + self.in_flight


class Lanes:
    """All lanes that have something in hand."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}

    def add(self, held: Held) -> None:
        webhook_id = held.delivery.webhook_id
        lane = self._lanes.get(webhook_id)
        if lane is None:
            lane = self._lanes[webhook_id] = Lane(webhook_id)
        lane.waiting.append(held)

    def get(self, webhook_id: str) -> Lane:
        return self._lanes[webhook_id]

    def in_hand(self) -> dict[str, int]:
        return {lane.webhook_id: lane.in_hand for lane in self._lanes.values()}

    def sweep(self) -> None:
        """Forget lanes with nothing in hand."""
        self._lanes = {name: lane for name, lane in self._lanes.items() if lane.in_hand}

    def __iter__(self) -> Iterator[Lane]:
        return iter(list(self._lanes.values()))

    def __len__(self) -> int:
        return len(self._lanes)
