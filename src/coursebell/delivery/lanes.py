"""What a dispatcher has in hand, webhook by webhook, so that none stands in another's way.

Nor may a host take all there is, however many webhooks point there.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from coursebell.storage.claims import Claimed

_CATCH_UP_SECONDS = 0.02  # what a start that came late may be early the next time


@dataclass(frozen=True, slots=True)
class Held:
    """A claimed delivery and the monotonic time until which its lease lasts."""

    delivery: Claimed
    lease_ends: float
    claimed_at: float  # monotonic too


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

    def take_stale(self, latest: float) -> list[Held]:
        """Those whose lease ends before `latest` (monotonic); they wait here no longer."""
        stale = []
        while self.waiting and self.waiting[0].lease_ends < latest:  # the first claimed come first
            stale.append(self.waiting.popleft())
        return stale

    def take_withheld(self) -> list[Held]:
        """Those that have to wait until the receiver is back; they wait here no longer."""
        return self.take(lambda delivery: not delivery.goes_anyway)

    def take(self, is_meant: Callable[[Claimed], bool]) -> list[Held]:
        """Those that are meant; they wait here no longer."""
        taken = [held for held in self.waiting if is_meant(held.delivery)]
        if taken:
            self.waiting = deque(held for held in self.waiting if not is_meant(held.delivery))
        return taken

    def may_start(self, max_in_flight: int, now: float) -> bool:
        return bool(self.waiting) and self.in_flight < max_in_flight and now >= self.next_start

    def start(self, rate_per_second: float | None, now: float) -> Claimed:
        """Take the first that waits; with a rate, the next may start its interval later."""
        if rate_per_second is not None:
            interval = 1 / rate_per_second
            on_time = max(self.next_start, now - min(interval, _CATCH_UP_SECONDS))
            self.next_start = on_time + interval
        self.in_flight += 1
        return self.waiting.popleft().delivery


class Lanes:
    """All lanes with something in hand, or with a rate limit that still makes them wait.

    In the order in which they started something: the one that had to wait longest comes first.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}

    def add(self, held: Held) -> None:
        webhook_id = held.delivery.webhook_id
        lane = self._lanes.get(webhook_id)
        if lane is None:
            lane = self._lanes[webhook_id] = Lane(webhook_id)
        lane.waiting.append(held)

    def forget(self, claimed: Sequence[Claimed]) -> None:
        """What was claimed anew while it waits here has a new lease: the old one counts no more."""
        keys = {each.key for each in claimed}
        for webhook_id in self._lanes.keys() & {each.webhook_id for each in claimed}:
            self._lanes[webhook_id].take(lambda delivery: delivery.key in keys)

    def had_its_turn(self, lane: Lane) -> None:
        self._lanes[lane.webhook_id] = self._lanes.pop(lane.webhook_id)

    def in_hand(self) -> dict[str, int]:
        return {lane.webhook_id: lane.in_hand for lane in self._lanes.values()}

    def waiting(self) -> list[Held]:
        return [held for lane in self._lanes.values() for held in lane.waiting]

    def sweep(self, now: float) -> None:
        """Forget lanes with nothing in hand whose next start could be at `now` (monotonic)."""
        self._lanes = {
            name: lane
            for name, lane in self._lanes.items()
            if lane.in_hand or lane.next_start > now
        }

    def __iter__(self) -> Iterator[Lane]:
        return iter(list(self._lanes.values()))

    def __len__(self) -> int:
        return len(self._lanes)


class Hosts:
    """How much is being sent to each host, by whatever webhooks; at most `limit` at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_flight = Counter[str]()

    def has_room(self, host: str) -> bool:
        return self._in_flight[host] < self._limit

    def enter(self, host: str) -> None:
        self._in_flight[host] += 1

    def leave(self, host: str) -> None:
        self._in_flight[host] -= 1
        if not self._in_flight[host]:
            del self._in_flight[host]
