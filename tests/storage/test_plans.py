"""What runs all the time reads only what it needs, however much history there is."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from coursebell.domain.completion import Command
from coursebell.domain.events import EventName
from coursebell.domain.lists import EventFilters
from coursebell.domain.model import new_id
from coursebell.domain.samples import sample_event
from coursebell.storage import deliveries, feed, offerings, outbox, registrations
from coursebell.storage.database import Database
from coursebell.storage.tables import deliveries as delivery_rows
from coursebell.storage.tables import registrations as registration_rows
from factories import HOUR, NOW


@contextmanager
def plans_of(database: Database) -> Iterator[list[str]]:
    """The plans of the statements that run inside, each as one text."""
    plans: list[str] = []
    engine = database._engine

    def explain(_connection, cursor, statement, parameters, _context, _many):
        how = "EXPLAIN" if database.is_postgres else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{how} {statement}", parameters)
        plans.append("\n".join(str(row[-1]) for row in cursor.fetchall()))

    sa.event.listen(engine, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        sa.event.remove(engine, "before_cursor_execute", explain)


def multiply(database: Database, table: sa.Table, times: int, **values: str) -> None:
    """Copy the rows of a table that many times over, each with an id of its own."""
    fresh = "md5(random()::text)" if database.is_postgres else "lower(hex(randomblob(16)))"
    values["id"] = fresh
    names = [column.name for column in table.columns if column.name != "key"]
    chosen = ", ".join(values.get(name, name) for name in names)
    with database.transaction() as tx:
        for _ in range(times):
            statement = f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {chosen} "
            tx.execute(sa.text(f"{statement} FROM {table.name}"))


def analyze(database: Database) -> None:
    """As PostgreSQL does by itself after a while, and SQLite never."""
    if database.is_postgres:
        with database.transaction() as tx:
            tx.execute(sa.text("ANALYZE"))


@pytest.fixture
def backlog(school):
    """Two webhooks with some deliveries due, more that are not, and much that was delivered."""
    ids = [school.webhook(events=("offering_completed",)).webhook.id for _ in range(2)]
    (registration,) = school.registrations(1)
    school.ask(registration, Command.GRADE, grade="80")
    hours = "interval '1 hour'" if school.database.is_postgres else "3600000000"
    multiply(school.database, delivery_rows, 5)
    multiply(school.database, delivery_rows, 2, due_at=f"due_at + {hours}")
    multiply(school.database, delivery_rows, 4, status="'delivered'")
    analyze(school.database)
    return ids


def searches(database: Database, index: str, *columns: str) -> str:
    """A pattern of a plan that finds its rows in `index` by all of these columns."""
    if database.is_postgres:
        condition = r".*\n\s+Index Cond: [^\n]*"
        return index + r"\b" + condition + ".*".join(columns)
    return rf"SEARCH \w+ USING (COVERING )?INDEX {index} \({'.*'.join(columns)}"


def test_a_claim_reads_only_what_is_due(school, backlog):
    with school.database.transaction() as tx, plans_of(school.database) as plans:
        claimed = deliveries.claim(tx, {backlog[0]: 8}, "1" * 32, 60, NOW)

    assert len(claimed) == 8
    assert_matches(plans[0], searches(school.database, "deliveries_due", "webhook_id", "due_at"))


def test_looking_for_work_is_one_probe_for_each_webhook(school, backlog):
    with school.database.snapshot() as tx, plans_of(school.database) as plans:
        found = deliveries.list_webhooks_with_work(tx, NOW)

    assert found == backlog
    assert_matches(plans[0], searches(school.database, "deliveries_due", "webhook_id", "due_at"))


def test_the_next_due_time_is_one_probe_for_each_webhook(school, backlog):
    with school.database.snapshot() as tx, plans_of(school.database) as plans:
        assert deliveries.seconds_until_due(tx, NOW) == 0

    assert_matches(plans[0], searches(school.database, "deliveries_due", "webhook_id"))


def test_holding_and_releasing_read_only_what_is_open(school, backlog):
    with school.database.transaction() as tx, plans_of(school.database) as plans:
        deliveries.hold_pending(tx, backlog[0])
        deliveries.release_held(tx, backlog[0], NOW)

    assert_matches(plans[0], searches(school.database, "deliveries_due", "webhook_id"))
    assert_matches(plans[1], searches(school.database, "deliveries_held", "webhook_id"))


@pytest.fixture
def ended(school):
    """An offering past its end with two active registrations beside thousands that ended."""
    offering = school.offering(end_at=NOW + HOUR)
    registration = school.registration(offering=offering)
    school.ask(registration, Command.GRADE, grade="80")
    # one transaction doubles them, so attempts are numbered by the row each is copied from
    for step in range(12):
        multiply(school.database, registration_rows, 1, attempt=f"attempt + {2**step}")
    for _ in range(40):
        school.offering(end_at=NOW + HOUR)
    waiting = [school.registration(offering=offering).id for _ in range(2)]
    analyze(school.database)
    return offering, waiting


def test_halting_reads_only_what_is_active(school, ended):
    offering, waiting = ended
    with school.database.snapshot() as tx, plans_of(school.database) as plans:
        due = offerings.list_offerings_to_halt(tx, NOW + HOUR, 500)
        found = registrations.ids_to_halt(tx, offering.id, 500)

    assert due == [(school.organization.id, offering.id)]
    assert found == waiting
    for plan in plans:
        # either is small: both hold active registrations only
        assert_matches(plan, "registrations_(to_halt|one_active)")
        assert "Seq Scan on registrations" not in plan


def test_a_page_of_the_feed_is_one_range_of_an_index(school):
    with school.database.transaction() as tx:
        new = [sample_event(EventName.USER_CREATED, new_id(), NOW) for _ in range(3000)]
        outbox.insert_events(tx, school.organization.id, new)
    analyze(school.database)

    with school.database.snapshot() as tx, plans_of(school.database) as plans:
        found = feed.list_between(
            tx, school.organization.id, EventFilters(), after=1000, until=2000, limit=100
        )

    assert [event.position for event in found] == list(range(1001, 1101))
    assert_matches(
        plans[0], searches(school.database, "events_in_order", "organization_id", "position")
    )
    assert "Sort" not in plans[0]
    assert "TEMP B-TREE" not in plans[0]


def assert_matches(plan: str, pattern: str) -> None:
    assert re.search(pattern, plan), f"no {pattern!r} in\n{plan}"
