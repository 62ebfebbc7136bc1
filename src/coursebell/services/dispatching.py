"""The dispatcher's transactions: claiming deliveries, recording attempts, giving back."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from coursebell.domain.model import Webhook
from coursebell.logs import logger
from coursebell.services import releasing, verdicts
from coursebell.services.registrar import Registrar
from coursebell.services.verdicts import Course
from coursebell.services.webhooks import DEFAULT_MAX_IN_FLIGHT
from coursebell.storage import claims, health, webhooks
from coursebell.storage.claims import Claimed, Owned, Recorded, Work
from coursebell.storage.database import Transaction
from coursebell.storage.waking import list_connected_runs
from coursebell.storage.webhooks import Target

_log = logger(__name__)

CLAIM = 500  # deliveries in one claim
LEASE_SECONDS = 75.0  # longer than any wait in hand followed by the longest attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a claim brought, and what it left."""

    claimed: Sequence[Claimed]
    full: frozenset[str]  # webhooks of which there may be more due than was taken
    seconds_until_due: float | None  # of the other webhooks; None: nothing else is pending


def claim(
    registrar: Registrar,
    in_hand: Mapping[str, int],
    depth: int,
    lease: str,
    lease_seconds: float,
    now: datetime,
    *,
    besides: Collection[str] = (),
) -> Batch:
    """Claim due deliveries of active webhooks, so that none has more than `depth` in hand.

    One that may have more in flight than is usual gets so many more. Fair across webhooks: each
    gets its share of a claim, however much another has pending. Backed-off ones get a probe, and
    what a person asked for. Nothing is claimed for those in `besides`.
    """
    with registrar.database.snapshot() as tx:
        work = [each for each in claims.list_work(tx, now) if each.webhook_id not in besides]
    rooms = _rooms(work, in_hand, depth)
    backed_off = {each.webhook_id for each in work if each.is_backed_off}
    share = _share({each: room for each, room in rooms.items() if room > 0})
    claimed: Sequence[Claimed] = []
    if share:
        with registrar.database.transaction() as tx:
            claimed = claims.claim(
                tx,
                {each: room for each, room in share.items() if each not in backed_off},
                lease,
                lease_seconds,
                now,
                backed_off={each: room for each, room in share.items() if each in backed_off},
            )
    taken = Counter(each.webhook_id for each in claimed)
    full = frozenset(
        each for each in rooms if each not in backed_off and taken[each] >= share.get(each, 0)
    )
    with registrar.database.snapshot() as tx:
        wait = claims.seconds_until_due(tx, now, besides=full.union(besides))
    return Batch(claimed=claimed, full=full, seconds_until_due=wait)


def _rooms(work: Iterable[Work], in_hand: Mapping[str, int], depth: int) -> dict[str, int]:
    return {
        each.webhook_id: depth
        + max(0, each.max_in_flight - DEFAULT_MAX_IN_FLIGHT)
        - in_hand.get(each.webhook_id, 0)
        for each in work
    }


def _share(rooms: Mapping[str, int]) -> dict[str, int]:
    """What each webhook gets of one claim; where they are too many, chance decides which do."""
    chosen = list(rooms) if len(rooms) <= CLAIM else random.sample(list(rooms), CLAIM)
    share = CLAIM // max(1, len(chosen))
    return {each: min(share, rooms[each]) for each in chosen}


def read_targets(registrar: Registrar, webhook_ids: Iterable[str]) -> Mapping[str, Target]:
    """Where and how to send, of those webhooks that are still active."""
    with registrar.database.snapshot() as tx:
        return webhooks.list_targets(tx, webhook_ids)


def list_cancelled(registrar: Registrar, keys: Collection[int]) -> set[int]:
    """Which of these claimed deliveries must not be sent: somebody was erased meanwhile."""
    with registrar.database.snapshot() as tx:
        return claims.list_cancelled(tx, keys)


def count_dispatchers(registrar: Registrar) -> int:
    """How many are connected, the caller included: among these a webhook's rate is shared."""
    if not registrar.database.is_postgres:
        return 1
    with registrar.database.snapshot() as tx:
        return max(1, len(list_connected_runs(tx)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What `record` took down, and what follows from it for the dispatcher."""

    keys: frozenset[int]  # of the deliveries whose lease still stood
    has_released: bool  # something that waited is due now
    turned: frozenset[str]  # webhooks that are no longer what they were: their settings are stale


def record(
    registrar: Registrar,
    results: Sequence[Recorded],
    gone: Mapping[str, Target],
    now: datetime,
) -> Recording:
    """Record attempts, and what they mean for their webhooks.

    The receivers of those in `gone` (by id) said 410. A webhook that has recovered gets what
    waited for its next attempt at once.
    """

    def work(tx: Transaction) -> _Recorded:
        owned = claims.lock_owned(tx, results)
        kept = [result for result in results if result.key in owned]
        courses = verdicts.judge(tx, kept, owned, now)
        rows = [_spared(result, owned, courses) for result in kept]
        return _Recorded(
            keys=frozenset(owned),
            released=claims.record(tx, rows, owned, now),
            courses=list(courses.values()),
            closed=verdicts.close_gone(tx, gone.values(), now),
            hopeless=verdicts.disable_hopeless(tx, courses.values(), now),
        )

    recorded = registrar.database.run(work)
    _report(recorded)
    recovered = [each.webhook_id for each in recorded.courses if each.has_recovered]
    for webhook_id in recovered:
        releasing.hurry(registrar, webhook_id, now)
    return Recording(
        keys=recorded.keys,
        has_released=bool(recorded.released or recovered),
        turned=recorded.turned,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    keys: frozenset[int]
    released: int
    courses: Sequence[Course]
    closed: Sequence[Webhook]
    hopeless: Sequence[Webhook]

    @property
    def turned(self) -> frozenset[str]:
        courses = (
            each.webhook_id for each in self.courses if each.has_backed_off or each.has_recovered
        )
        return frozenset(courses).union(each.id for each in (*self.closed, *self.hopeless))


def _spared(
    result: Recorded, owned: Mapping[int, Owned], courses: Mapping[str, Course]
) -> Recorded:
    owner = owned[result.key]
    spared = verdicts.spare(result, owner, courses.get(owner.webhook_id))
    return spared if owner.is_open else spared.without_answer()


def _report(recorded: _Recorded) -> None:
    """Called after the commit."""
    for course in recorded.courses:
        verdicts.log_course(course)
    for webhook in recorded.closed:
        verdicts.log_closed(webhook)
    for webhook in recorded.hopeless:
        verdicts.log_hopeless(webhook)


def give_back(registrar: Registrar, claimed: Mapping[int, str], now: datetime) -> None:
    """Claimed deliveries (key to lease) that were not attempted are due again at once."""

    def work(tx: Transaction) -> None:
        claims.release(tx, claimed, now)
        tx.wake_dispatcher()  # another may have what this one lacks: time, a key

    registrar.database.run(work)


def disclaim(registrar: Registrar, lease: str, lease_seconds: float, now: datetime) -> None:
    """What a claim took whose answer was lost is due again, if it took anything."""
    with registrar.database.transaction() as tx:
        recovered = claims.recover_lease(tx, lease, lease_seconds, now)
    if recovered:
        _log.info("dispatcher.disclaimed", deliveries=recovered)


def follow_clock(registrar: Registrar, step_seconds: float, now: datetime) -> None:
    """The machine's clock was set by so much: what waits goes on waiting as long as it had to.

    On PostgreSQL due times go by its server's clock, so only the log is told.
    """
    moved = 0
    if not registrar.database.is_postgres:
        with registrar.database.transaction() as tx:
            moved = claims.shift_due_times(tx, step_seconds, now)
            health.shift_health(tx, step_seconds)
    _log.warning("clock.stepped", seconds=round(step_seconds, 1), deliveries=moved)


def call_stragglers(registrar: Registrar, now: datetime) -> None:
    """After `follow_clock`: what was then being written by the clock before is due at once too."""
    if not registrar.database.is_postgres:
        with registrar.database.transaction() as tx:
            claims.call_stragglers(tx, now)


def recover(registrar: Registrar, now: datetime) -> None:
    """Take over what a dispatcher that was killed had claimed, where there can be only one."""
    with registrar.database.transaction() as tx:
        claims.recover_leases(tx, now)
