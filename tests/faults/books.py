"""What must be true when all is quiet again: three sets of books agree.

The story tellers know what was acknowledged, the database what is stored, the receivers what came.
The database is read by SQL of the kit's own, past the API that is being judged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

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
class StoredDelivery:
    event_id: str
    webhook_id: str
    status: str
    attempts: int  # as the delivery counts them
    logged: int  # rows of attempts
    answered: int  # those of them with an HTTP status


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
    unlogged: int = 0  # answered arrivals without an attempt: their dispatcher was killed

    def add(self, other: Findings) -> None:
        self.problems += other.problems
        for name in ("registrations", "events", "deliveries", "attempts", "arrivals"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.repeated += other.repeated
        self.unlogged += other.unlogged


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
    *,
    exact: Collection[str],
) -> Findings:
    """Compare all three. `arrivals`: by webhook, each in order.

    For the webhooks in `exact`, attempts and requests are the same number. Where a dispatcher was
    killed, a request may have come whose attempt nobody lived to write down; where a receiver
    misbehaved, an attempt may have failed before anything came.
    """
    found = Findings(
        registrations=len(stored.registrations),
        events=len(stored.events),
        deliveries=len(stored.deliveries),
        attempts=sum(each.logged for each in stored.deliveries),
        arrivals=sum(map(len, arrivals.values())),
    )
    found.problems += _compare_stories(stories, stored)
    found.problems += _compare_deliveries(stored, arrivals.keys())
    for webhook_id, came in arrivals.items():
        found.problems += _compare_arrivals(stored, webhook_id, came)
        found.problems += _find_disorder(webhook_id, came)
        found.repeated += _count_repeats(came)
        _compare_attempts(found, stored, webhook_id, len(came), exact=webhook_id in exact)
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
    """One for each event and webhook, in a final state, that has counted its attempts right."""
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
        if each.status == "delivered" and each.attempts != each.logged:
            yield f"{where}: {each.attempts} attempts counted, {each.logged} logged"


def _compare_arrivals(stored: Stored, webhook_id: str, came: Sequence[Arrival]) -> Iterator[str]:
    """What is delivered was accepted, what was accepted is delivered, always the same bytes."""
    ours = {e.event_id: e.status for e in stored.deliveries if e.webhook_id == webhook_id}
    accepted = {each.event_id for each in came if each.accepted is not None}
    delivered = {event_id for event_id, status in ours.items() if status == "delivered"}
    for event_id in delivered - accepted:
        yield f"event {event_id}: delivered to {webhook_id}, which never accepted it"
    for event_id in accepted - delivered:
        status = ours.get(event_id)
        yield f"event {event_id}: accepted by {webhook_id}, but its delivery is {status}"
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
    found: Findings, stored: Stored, webhook_id: str, came: int, *, exact: bool
) -> None:
    """What was answered is logged, except by a dispatcher that was killed."""
    ours = [each for each in stored.deliveries if each.webhook_id == webhook_id]
    answered, logged = sum(each.answered for each in ours), sum(each.logged for each in ours)
    found.unlogged += max(0, came - logged)
    if answered > came:
        found.problems.append(f"{webhook_id}: {answered} answers are logged, {came} requests came")
    if exact and came != logged:
        found.problems.append(f"{webhook_id}: {logged} attempts are logged, {came} requests came")


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
    event, delivery, attempt = tables.events.c, tables.deliveries.c, tables.attempts.c
    wanted = (
        sa.select(
            event.id,
            delivery.webhook_id,
            delivery.status,
            delivery.attempts,
            sa.func.count(attempt.key),
            sa.func.count(attempt.status_code),
        )
        .select_from(tables.events)
        .join(tables.deliveries, delivery.event_key == event.key)
        .outerjoin(tables.attempts, attempt.delivery_key == delivery.key)
        .where(event.offering_id == offering_id)
        .group_by(event.id, delivery.webhook_id, delivery.key, delivery.status, delivery.attempts)
    )
    return [
        StoredDelivery(event_id=a, webhook_id=b, status=c, attempts=d, logged=e, answered=f)
        for a, b, c, d, e, f in tx.execute(wanted)
    ]
