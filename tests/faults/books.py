"""What must be true when all is quiet again: three sets of books agree.

The story tellers know what was acknowledged, the database what is stored, the receivers what came.
The database is read by SQL of the kit's own, past the API that is being judged; then the feed, by
which receivers check theirs, must tell the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from itertools import pairwise

import sqlalchemy as sa

from coursebell.storage import tables
from coursebell.storage.database import Database, Transaction
from faults.ledgers import Arrival
from faults.stories import Story

FINAL = ("delivered", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    id: str
    name: str
    registration_id: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAttempt:
    number: int
    outcome: str
    status_code: int | None

    def must_have_come(self, *, is_troubled: bool) -> bool:
        """Whether it cannot have ended before its request was out."""
        return self.status_code is not None or not (is_troubled or self.outcome == "timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDelivery:
    event_id: str
    webhook_id: str
    status: str
    counted: int  # attempts, as the delivery says
    attempts: Sequence[StoredAttempt]  # as they are logged


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRegistration:
    status: str
    grade: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the database says about an offering."""

    registrations: Mapping[str, StoredRegistration]
    events: Sequence[StoredEvent]
    deliveries: Sequence[StoredDelivery]


@dataclass(frozen=True, slots=True, kw_only=True)
class FedEvent:
    """As the feed tells it."""

    id: str
    position: int


@dataclass(slots=True, kw_only=True)
class Findings:
    """What an audit found. The books balance when there are no `problems`."""

    problems: list[str] = field(default_factory=list)
    registrations: int = 0
    events: int = 0
    deliveries: int = 0
    attempts: int = 0
    arrivals: int = 0
    repeated: int = 0  # arrivals of what had been accepted before
    unlogged: int = 0  # arrivals beyond the attempts: a dispatcher was killed, or sent twice

    def add(self, other: Findings) -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


def read(database: Database, offering_id: str) -> Stored:
    """All about the registrations of an offering, in one state of the database."""
    with database.snapshot() as tx:
        return Stored(
            registrations=_registrations(tx, offering_id),
            events=_events(tx, offering_id),
            deliveries=_deliveries(tx, offering_id),
        )


def count_open(database: Database) -> int:
    """Deliveries, of all offerings, that are in no final state."""
    wanted = sa.select(sa.func.count()).where(tables.deliveries.c.status.not_in(FINAL))
    with database.snapshot() as tx:
        return int(tx.execute(wanted).scalar_one())


def audit(
    stories: Sequence[Story],
    stored: Stored,
    arrivals: Mapping[str, Sequence[Arrival]],
    feed: Sequence[FedEvent],
    *,
    troubled: Collection[str] = (),
    kills: int = 0,
) -> Findings:
    """Compare them all. `arrivals`: by webhook, each in order; `feed`: with others' events.

    Of each event, as many requests came to a receiver as attempts are logged. There are two
    exceptions. A dispatcher that is killed has sent what it does not live to write down: so of an
    event there may be one request more for each of `kills`. And a receiver that is `troubled` may
    not have got what failed, or got it twice, when it ended a kept connection without an answer.
    """
    found = Findings(
        registrations=len(stored.registrations),
        events=len(stored.events),
        deliveries=len(stored.deliveries),
        attempts=sum(len(each.attempts) for each in stored.deliveries),
        arrivals=sum(map(len, arrivals.values())),
    )
    found.problems += _compare_stories(stories, stored)
    found.problems += _compare_deliveries(stored, arrivals.keys())
    found.problems += _compare_feed(stored, feed)
    for webhook_id, came in arrivals.items():
        ours = [each for each in stored.deliveries if each.webhook_id == webhook_id]
        is_troubled = webhook_id in troubled
        found.problems += _compare_arrivals(ours, webhook_id, came)
        found.problems += _find_disorder(webhook_id, came)
        found.problems += _compare_attempts(ours, came, is_troubled=is_troubled, kills=kills)
        found.repeated += _count_repeats(came)
        found.unlogged += max(0, len(came) - sum(len(each.attempts) for each in ours))
    return found


def _compare_stories(stories: Sequence[Story], stored: Stored) -> Iterator[str]:
    """Every acknowledged step is stored, once, and nothing else is."""
    fired = defaultdict(list)
    for event in sorted(stored.events, key=lambda event: event.seq):
        fired[event.registration_id].append(event)
    told = {story.registration_id for story in stories}
    for stranger in stored.registrations.keys() - told:
        yield f"registration {stranger}: nobody knows of it"
    for story in stories:
        events, registration = fired[story.registration_id], story.registration_id
        if [event.name for event in events] != story.events:
            names = [event.name for event in events]
            yield f"registration {registration}: {names} fired, expected {story.events}"
        if [event.seq for event in events] != list(range(1, len(events) + 1)):
            yield f"registration {registration}: numbered {[event.seq for event in events]}"
        end = stored.registrations.get(registration)
        if end is None or end.grade != Decimal(str(story.grade)) or end.status == "active":
            yield f"registration {registration}: ended as {end}, graded {story.grade}"


def _compare_deliveries(stored: Stored, webhook_ids: Iterable[str]) -> Iterator[str]:
    """One for each event and webhook, in a final state, after attempts that it numbered right."""
    counted = Counter((each.event_id, each.webhook_id) for each in stored.deliveries)
    for webhook_id in webhook_ids:
        for event in stored.events:
            number = counted.pop((event.id, webhook_id), 0)
            if number != 1:
                yield f"event {event.id}: {number} deliveries to {webhook_id}"
    for event_id, webhook_id in counted:
        yield f"event {event_id}: a delivery to {webhook_id}, whose receiver is not audited"
    for each in stored.deliveries:
        where = f"event {each.event_id} to {each.webhook_id}"
        if each.status not in FINAL:
            yield f"{where}: {each.status}"
        if each.status != "cancelled" and not each.attempts:
            yield f"{where}: {each.status} without an attempt"
        numbers = [attempt.number for attempt in each.attempts]
        if numbers != list(range(1, each.counted + 1)):
            yield f"{where}: {each.counted} attempts counted, {numbers} logged"


def _compare_feed(stored: Stored, feed: Sequence[FedEvent]) -> Iterator[str]:
    """It has every event once, and its positions have no gap."""
    told = Counter(each.id for each in feed)
    for event in stored.events:
        if told[event.id] != 1:
            yield f"event {event.id}: {told[event.id]} times in the feed"
    for before, after in pairwise(feed):
        if after.position != before.position + 1:
            yield f"feed: {after.position} comes after {before.position}"


def _compare_arrivals(
    ours: Sequence[StoredDelivery], webhook_id: str, came: Sequence[Arrival]
) -> Iterator[str]:
    """What is delivered was accepted, what was accepted is delivered, always the same bytes."""
    statuses = {each.event_id: each.status for each in ours}
    accepted = {each.event_id for each in came if each.accepted is not None}
    delivered = {event_id for event_id, status in statuses.items() if status == "delivered"}
    for event_id in delivered - accepted:
        yield f"event {event_id}: delivered to {webhook_id}, which never accepted it"
    for event_id in accepted - delivered:
        status = statuses.get(event_id)
        yield f"event {event_id}: accepted by {webhook_id}, but its delivery is {status}"
    for event_id in {each.event_id for each in came} - statuses.keys():
        yield f"event {event_id}: came to {webhook_id}, which has no delivery of it"
    bodies: dict[str, bytes] = {}
    for each in came:
        if bodies.setdefault(each.event_id, each.digest) != each.digest:
            yield f"event {each.event_id}: came to {webhook_id} with different bytes"


def _find_disorder(webhook_id: str, came: Sequence[Arrival]) -> Iterator[str]:
    """An event came first only after the registration's earlier ones had been accepted."""
    first: dict[tuple[str, int], float] = {}
    accepted: dict[tuple[str, int], float] = {}
    for each in came:
        place = (each.registration_id, each.seq)
        first.setdefault(place, each.came)
        if each.accepted is not None:
            accepted.setdefault(place, each.accepted)
    for (registration_id, seq), arrived in first.items():
        earlier = accepted.get((registration_id, seq - 1))
        if seq > 1 and (earlier is None or earlier > arrived):
            yield f"registration {registration_id}: {seq} came to {webhook_id} before {seq - 1}"


def _count_repeats(came: Sequence[Arrival]) -> int:
    seen: set[str] = set()
    repeats = 0
    for each in came:
        repeats += each.event_id in seen
        if each.accepted is not None:
            seen.add(each.event_id)
    return repeats


def _compare_attempts(
    ours: Iterable[StoredDelivery], came: Iterable[Arrival], *, is_troubled: bool, kills: int
) -> Iterator[str]:
    """Each request is an attempt, and each attempt a request, but for the exceptions of `audit`."""
    requests = Counter(each.event_id for each in came)
    for each in ours:
        logged, number = len(each.attempts), requests[each.event_id]
        least = sum(attempt.must_have_come(is_troubled=is_troubled) for attempt in each.attempts)
        most = (2 * logged if is_troubled else logged) + kills
        if not least <= number <= most:
            where = f"event {each.event_id} to {each.webhook_id}"
            yield f"{where}: {logged} attempts are logged, {number} requests came"


def _registrations(tx: Transaction, offering_id: str) -> dict[str, StoredRegistration]:
    its = tables.registrations.c
    rows = tx.execute(
        sa.select(its.id, its.status, its.grade).where(its.offering_id == offering_id)
    )
    return {row.id: StoredRegistration(status=row.status, grade=row.grade) for row in rows}


def _events(tx: Transaction, offering_id: str) -> list[StoredEvent]:
    its = tables.events.c
    wanted = sa.select(its.id, its.name, its.registration_id, its.registration_seq)
    rows = tx.execute(wanted.where(its.offering_id == offering_id))
    return [StoredEvent(id=a, name=b, registration_id=c, seq=d) for a, b, c, d in rows]


def _deliveries(tx: Transaction, offering_id: str) -> list[StoredDelivery]:
    its, ours = tables.deliveries.c, tables.events.c.offering_id == offering_id
    attempts = _attempts(tx, ours)
    wanted = sa.select(its.key, tables.events.c.id, its.webhook_id, its.status, its.attempts)
    rows = tx.execute(wanted.join(tables.events, its.event_key == tables.events.c.key).where(ours))
    return [
        StoredDelivery(event_id=b, webhook_id=c, status=d, counted=e, attempts=attempts[a])
        for a, b, c, d, e in rows
    ]


def _attempts(tx: Transaction, ours: sa.ColumnElement[bool]) -> Mapping[int, list[StoredAttempt]]:
    """By delivery, in the order of their numbers."""
    its, delivery = tables.attempts.c, tables.deliveries.c
    wanted = (
        sa.select(its.delivery_key, its.number, its.outcome, its.status_code)
        .join(tables.deliveries, its.delivery_key == delivery.key)
        .join(tables.events, delivery.event_key == tables.events.c.key)
        .where(ours)
        .order_by(its.number)
    )
    found = defaultdict(list)
    for key, number, outcome, code in tx.execute(wanted):
        found[key].append(StoredAttempt(number=number, outcome=outcome, status_code=code))
    return found
