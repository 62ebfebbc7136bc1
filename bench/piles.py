"""Backlogs and histories of any size, in seconds.

A few events are made, and those of a history delivered, by the product; the database then copies
their rows, so that whatever a row holds is what the product puts there.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bench.schools import School
from coursebell.storage.database import Database, Transaction
from coursebell.storage.tables import attempts, deliveries, event_counters, events

_SQLITE = ("cache_size = -400000", "synchronous = OFF", "foreign_keys = OFF")
_POSTGRES = (
    "synchronous_commit = off",
    "session_replication_role = replica",  # no foreign keys
    "maintenance_work_mem = '512MB'",
)
PAIR = 2  # events of one registration: the second waits for the first
_MANY = 5_000  # copies, from which on indexes are made anew


def publish_pairs(database: Database, schools: Sequence[School]) -> list[list[int]]:
    """Two events of one registration in each school: their keys."""
    for school in schools:
        school.publish_pair()
    with database.snapshot() as tx:
        return [_newest_events(tx, school.organization.id, PAIR) for school in schools]


def _newest_events(tx: Transaction, organization_id: str, number: int) -> list[int]:
    """The oldest first."""
    query = sa.select(events.c.key).where(events.c.organization_id == organization_id)
    keys = tx.execute(query.order_by(events.c.key.desc()).limit(number)).scalars().all()
    return list(reversed(keys))


def pile_up(database: Database, schools: Sequence[School], webhooks: int, number: int) -> None:
    """Some `number` pending deliveries for schools with so many `webhooks` each.

    Half are due; the other half are of the events that wait for those.
    """
    pairs = publish_pairs(database, schools)
    copy(database, pairs, number // (len(schools) * webhooks * PAIR) - 1)


def copy(database: Database, groups: Sequence[Sequence[int]], copies: int) -> None:
    """Make `copies` of these events with all that belongs to them: deliveries and attempts.

    A group has the keys of events of one registration, in their order. Its first copies are about
    one new registration, so are its second ones, and so on.
    """
    with _hasty(database) as connection:
        originals = [[_original(connection, key) for key in group] for group in groups]
        with _unindexed(connection) if copies >= _MANY else nullcontext():
            for group in originals:
                salt = secrets.token_hex(5)
                for each in group:
                    _copy_one(connection, each, copies, salt)


def forget_pending(database: Database) -> None:
    """Remove what is pending, so that a backlog can be made anew."""
    with database.transaction() as tx:
        tx.execute(sa.delete(deliveries).where(deliveries.c.status == "pending"))


@contextmanager
def _hasty(database: Database) -> Iterator[sa.Connection]:
    """A connection that need not survive a loss of power, nor look at foreign keys."""
    engine = sa.create_engine(database.url, isolation_level="AUTOCOMMIT", enable_from_linting=False)
    try:
        with engine.connect() as connection:
            if database.is_postgres:
                for setting in _POSTGRES:
                    with suppress(sa.exc.ProgrammingError):  # slower, for who is no superuser
                        connection.exec_driver_sql(f"SET {setting}")
            else:
                for setting in _SQLITE:
                    connection.exec_driver_sql(f"PRAGMA {setting}")
            yield connection
    finally:
        engine.dispose()


def _newest(connection: sa.Connection, table: sa.Table) -> int:
    newest: int = connection.execute(sa.select(sa.func.max(table.c.key))).scalar_one()
    return newest


@contextmanager
def _unindexed(connection: sa.Connection) -> Iterator[None]:
    """To sort many rows into an index at its end is cheaper than one by one."""
    indexes = [index for table in (events, deliveries, attempts) for index in table.indexes]
    for index in indexes:
        index.drop(connection)
    yield
    for index in indexes:
        index.create(connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Original:
    """The keys of an event and of what belongs to it."""

    event: int
    deliveries: Sequence[int]
    attempts: Sequence[int]


def _original(connection: sa.Connection, key: int) -> _Original:
    of_event = sa.select(deliveries.c.key).where(deliveries.c.event_key == key)
    of_deliveries = sa.select(attempts.c.key).where(attempts.c.delivery_key.in_(of_event))
    return _Original(
        event=key,
        deliveries=connection.execute(of_event).scalars().all(),
        attempts=connection.execute(of_deliveries).scalars().all(),
    )


def _copy_one(connection: sa.Connection, original: _Original, copies: int, salt: str) -> None:
    event, delivery = _newest(connection, events), _newest(connection, deliveries)
    connection.execute(_copied_events(connection, original, copies, salt))
    connection.execute(_counted(original, copies))
    connection.execute(_copied_deliveries(connection, original, event))
    connection.execute(_copied_attempts(original, delivery))


def _copied_events(
    connection: sa.Connection, original: _Original, copies: int, salt: str
) -> sa.Insert:
    series = sa.select(sa.literal(1).label("n")).cte("series", recursive=True)
    series = series.union_all(sa.select(series.c.n + 1).where(series.c.n < copies))
    values = {
        "id": _new_id(connection, series.c.n),
        "registration_id": _numbered(connection, salt, series.c.n),
        "position": event_counters.c.last + series.c.n,
    }
    return _insert(
        events,
        values,
        events.c.key == original.event,
        event_counters.c.organization_id == events.c.organization_id,
        series.c.n <= copies,
    )


def _counted(original: _Original, copies: int) -> sa.Update:
    whose = sa.select(events.c.organization_id).where(events.c.key == original.event)
    counters = sa.update(event_counters).where(
        event_counters.c.organization_id == whose.scalar_subquery()
    )
    return counters.values(last=event_counters.c.last + copies)


def _copied_deliveries(connection: sa.Connection, original: _Original, after: int) -> sa.Insert:
    copied = events.alias("copied")
    values = {
        "id": _new_id(connection, copied.c.key - after),
        "event_key": copied.c.key,
        "registration_id": copied.c.registration_id,
    }
    return _insert(
        deliveries, values, deliveries.c.key.in_(original.deliveries), copied.c.key > after
    )


def _copied_attempts(original: _Original, after: int) -> sa.Insert:
    copied, delivery = deliveries.alias("copied"), deliveries.alias("original")
    return _insert(
        attempts,
        {"delivery_key": copied.c.key},
        attempts.c.key.in_(original.attempts),
        delivery.c.key == attempts.c.delivery_key,
        copied.c.key > after,
        copied.c.webhook_id == delivery.c.webhook_id,
    )


def _insert(
    table: sa.Table, values: Mapping[str, sa.ColumnElement[Any]], *where: sa.ColumnElement[bool]
) -> sa.Insert:
    """Copies of the rows of `table` that `where` says, with other `values` in some columns."""
    names = [column.name for column in table.c if column.name != "key"]
    chosen = sa.select(*(values.get(name, table.c[name]) for name in names)).where(*where)
    return sa.insert(table).from_select(names, chosen)


def _new_id(connection: sa.Connection, number: sa.ColumnElement[int]) -> sa.ColumnElement[str]:
    """In the order of the numbers, as the product's ids are in the order of time."""
    milliseconds = sa.literal(time.time_ns() // 1_000_000, sa.BigInteger())
    if connection.dialect.name == "sqlite":
        chance = sa.func.lower(sa.func.hex(sa.func.randomblob(10)))
        return sa.func.printf("%012x", milliseconds + number).concat(chance)
    moment = sa.func.lpad(sa.func.to_hex(milliseconds + number), 12, "0")
    chance = sa.func.replace(sa.cast(sa.func.gen_random_uuid(), sa.Text()), "-", "")
    return moment.concat(sa.func.right(chance, 20))


def _numbered(
    connection: sa.Connection, salt: str, number: sa.ColumnElement[int]
) -> sa.ColumnElement[str]:
    """An id that is the same for the same number."""
    if connection.dialect.name == "sqlite":
        return sa.func.printf(f"{salt}%022x", number)
    return salt + sa.func.lpad(sa.func.to_hex(number), 22, "0")
