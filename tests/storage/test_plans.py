"""What runs all the time reads only what it needs, however much history there is."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from coursebell.domain.completion import Command
from coursebell.domain.events import EventName
from coursebell.domain.imports import Done, ImportKind
from coursebell.domain.lists import (
    AuditFilters,
    EventFilters,
    GradebookFilters,
    Page,
    RegistrationFilters,
)
from coursebell.domain.model import new_id
from coursebell.domain.samples import sample_event
from coursebell.domain.transcripts import TranscriptView
from coursebell.errors import InvalidInputError
from coursebell.services import (
    courses,
    dispatching,
    gradebook,
    gradebook_rows,
    people,
    privacy,
    trail,
    transcripts,
    webhooks,
)
from coursebell.services.imports import Import, Plan
from coursebell.storage import (
    chains,
    claims,
    deliveries,
    feed,
    offerings,
    outbox,
    registrations,
)
from coursebell.storage import webhooks as stored_webhooks
from coursebell.storage.database import Database, Transaction
from coursebell.storage.prepared import Prepared
from coursebell.storage.tables import deliveries as delivery_rows
from coursebell.storage.tables import events as event_rows
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


def plan_of(tx: Transaction, prepared: Prepared, **parameters: object) -> str:
    """The plan of a statement that goes past SQLAlchemy."""
    compiled = prepared._compiled_for(tx)
    cursor = tx.connection.connection.driver_connection.cursor()
    how = "EXPLAIN" if tx.is_postgres else "EXPLAIN QUERY PLAN"
    cursor.execute(f"{how} {compiled.sql}", compiled.bound(parameters))
    return "\n".join(str(row[-1]) for row in cursor.fetchall())


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


@pytest.fixture
def by_index(school):
    """With so few rows PostgreSQL would rather read them all."""
    database = school.database
    with database.transaction() as tx:
        if database.is_postgres:
            tx.execute(sa.text("SET LOCAL enable_seqscan = off"))
        yield tx


def searches(database: Database, index: str, *columns: str) -> str:
    """A pattern of a plan that finds its rows in `index` by all of these columns."""
    if database.is_postgres:
        condition = r".*\n\s+Index Cond: [^\n]*"
        return index + r"\b" + condition + ".*".join(columns)
    return rf"SEARCH \w+ USING (COVERING )?INDEX {index} \({'.*'.join(columns)}"


def test_a_claim_reads_only_what_is_due(school, backlog):
    with school.database.transaction() as tx:
        plan = plan_of(tx, claims._DUE_KEYS, webhook_id=backlog[0], room=8, now=NOW)

    assert_matches(plan, searches(school.database, "deliveries_due", "webhook_id", "due_at"))


def test_looking_for_work_is_one_probe_for_each_webhook(school, backlog):
    with school.database.snapshot() as tx:
        found = [each.webhook_id for each in claims.list_work(tx, NOW)]
        plan = plan_of(tx, claims._WORK, now=NOW)

    assert found == backlog
    assert_matches(plan, searches(school.database, "deliveries_due", "webhook_id", "due_at"))
    assert_matches(plan, r"deliveries_asked\b")


def test_the_next_due_time_is_one_probe_for_each_webhook(school, backlog):
    with school.database.snapshot() as tx:
        assert claims.seconds_until_due(tx, NOW) == 0
        plan = plan_of(tx, claims._EARLIEST, besides=[], now=NOW)

    assert_matches(plan, searches(school.database, "deliveries_due", "webhook_id"))
    assert_matches(plan, r"deliveries_asked\b")


def test_what_a_person_asked_for_is_found_behind_a_backlog(school, backlog):
    with school.database.transaction() as tx:
        plan = plan_of(tx, claims._ASKED_KEYS, webhook_id=backlog[0], room=8, now=NOW)

    assert_matches(plan, r"deliveries_asked\b")


def test_hurrying_reads_only_what_waits_for_its_next_attempt(school, backlog):
    with school.database.transaction() as tx, plans_of(school.database) as plans:
        claims.hurry(tx, backlog[0], 10, NOW)

    assert_matches(plans[0], searches(school.database, "deliveries_due", "webhook_id", "due_at"))


@pytest.fixture
def of_deleted(school, backlog):
    webhooks.delete_webhook(school.registrar, school.admin, backlog[0], NOW)


def test_tidying_up_reads_only_what_is_open_of_deleted_webhooks(school, of_deleted, by_index):
    with plans_of(school.database) as plans:
        assert deliveries.cancel_of_deleted(by_index, 10, NOW) == 10

    assert_matches(plans[0], r"deliveries_due\b")


def test_the_backlog_is_counted_in_indexes_alone(school, backlog, by_index):
    with plans_of(school.database) as plans:
        deliveries.measure_backlog(by_index, NOW)

    only = "Index" if school.database.is_postgres else "COVERING INDEX"
    for plan, index in zip(plans[1:3], ("deliveries_due", "deliveries_waiting"), strict=True):
        assert_matches(plan, f"{only}.*{index}")


@pytest.fixture
def failed(school, backlog):
    """Many failed deliveries of both webhooks beside what is due and what was delivered."""
    multiply(school.database, delivery_rows, 1, status="'failed'", due_at="NULL")
    analyze(school.database)


def test_counting_a_webhooks_failed_deliveries_reads_only_those(school, failed, by_index):
    with plans_of(school.database) as plans:
        stored_webhooks.list_webhooks(by_index, school.organization.id, Page())

    assert_matches(plans[0], searches(school.database, "deliveries_failed", "webhook_id"))


@pytest.fixture
def chained(school):
    """A registration whose second event waits, in the midst of thousands that were delivered."""
    school.webhook()
    registration = school.registration()
    school.ask(registration, Command.GRADE, grade="80")
    strange = "md5(random()::text)" if school.database.is_postgres else "hex(randomblob(16))"
    multiply(school.database, event_rows, 10, registration_id=strange, position="NULL")
    event = "1 + (key * 7919) % (SELECT count(*) FROM events)"
    multiply(school.database, delivery_rows, 8, status="'delivered'", event_key=event)
    analyze(school.database)
    return registration


def test_what_is_open_of_a_registration_is_found_by_its_own_events(school, chained, by_index):
    assert len(chains.lock_open_pairs(by_index, [chained.id])) == 1
    plan = plan_of(by_index, chains._OPEN_PAIRS, registration_ids=[chained.id])

    assert_goes_by_events([plan], school.database)


def test_releasing_successors_reads_only_what_waits(school, chained, by_index):
    first = sa.select(delivery_rows.c.key).where(delivery_rows.c.registration_id == chained.id)
    (key, *_) = by_index.execute(first.order_by(delivery_rows.c.key)).scalars()
    plan = plan_of(by_index, chains._RELEASE, settled=[key], now=NOW)

    assert_matches(plan, r"deliveries_waiting\b")
    assert_goes_by_events([plan], school.database)


def assert_goes_by_events(plans: list[str], database: Database) -> None:
    (plan,) = plans
    assert_matches(plan, searches(database, "events_of_registration", "registration_id"))
    assert_matches(plan, searches(database, "deliveries_of_event", "event_key"))


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


@contextmanager
def statements_of(database: Database) -> Iterator[list[str]]:
    """What SQLite is told by new connections inside, with the values in it."""
    told: list[str] = []

    def listen(connection, _record):
        connection.set_trace_callback(told.append)

    database._engine.dispose()
    sa.event.listen(database._engine, "connect", listen)
    try:
        yield told
    finally:
        sa.event.remove(database._engine, "connect", listen)
        database._engine.dispose()


GROWING = ("registrations", "events", "deliveries", "attempts", "audit", "external_keys", "users")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_on_sqlite_no_use_case_reads_all_of_a_table_that_grows(school):
    school.webhook()
    offering = school.offering()
    others = [
        school.user() for _ in range(20)
    ]  # of one alone SQLite looks up what it scans for many
    table = "externalKey,user,offering,status,grade,endDate\n" + "".join(
        f"k{number},{each.email},{offering.title},completed,81,2020-01-02\n"
        for number, each in enumerate(others)
    )
    plan = Plan(kind=ImportKind.REGISTRATIONS, mapping={"user": "email"})

    with statements_of(school.database) as told:
        registration = school.registration(offering=offering)
        school.ask(registration, Command.GRADE, grade="80")
        school.ask(registration, Command.REOPEN)
        school.ask(registration, Command.EJECT)
        school.registration(offering=offering)  # another's
        running = Import(school.registrar, school.operator, plan, io.BytesIO(table.encode()))
        steps = list(running.steps(lambda: NOW))
        with school.database.snapshot() as tx:
            filters = EventFilters()
            feed.list_between(tx, school.organization.id, filters, after=0, until=9, limit=9)
        batch = dispatching.claim(school.registrar, {}, 10, "1" * 32, 60.0, NOW)
        dispatching.give_back(school.registrar, {each.key: "1" * 32 for each in batch.claimed}, NOW)

    assert [(dict(step.counts), step.problems) for step in steps] == [({Done.CREATED: 20}, [])]
    assert batch.claimed
    assert any("max(registrations.attempt)" in each for each in told)
    assert_reads_little(school.database, told)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_on_sqlite_nothing_of_one_person_reads_all_of_a_table_that_grows(school):
    person = school.user()
    offering = school.offering()
    school.webhook()
    school.ask(school.registration(user=person, offering=offering), Command.GRADE, grade="80")
    of_user = RegistrationFilters(user_id=person.id)
    of_offering = RegistrationFilters(offering_id=offering.id)
    of_subject = AuditFilters(subject_id=person.id)

    with statements_of(school.database) as told:
        listed = [
            gradebook.list_registrations(school.registrar, school.admin, filters, Page())
            for filters in (of_user, of_offering)
        ]
        rows = gradebook_rows.list_rows(
            school.registrar, school.admin, offering.id, GradebookFilters(), Page()
        )
        taken = transcripts.list_transcript(
            school.registrar, school.admin, person.id, TranscriptView.ALL, Page()
        )
        changes = trail.list_changes(school.registrar, school.admin, of_subject, Page())
        dossier = privacy.export_person(school.registrar, school.admin, person.id)
        people.delete_user(school.registrar, school.admin, person.id, NOW)
        privacy.erase_user(school.registrar, school.admin, person.id, "asked for it", NOW)
        with pytest.raises(InvalidInputError):
            courses.delete_course(school.registrar, school.admin, offering.course_id, NOW)

    assert [len(each.items) for each in (*listed, rows, taken)] == [1] * 4
    assert changes.items
    assert dossier.changes
    assert_reads_little(school.database, told)


def assert_reads_little(database: Database, told: list[str]) -> None:
    """No statement goes through all of a table that grows, nor through all of an organization's.

    Administrators, and tokens that ever were, are few and have indexes of their own.
    """
    growing = rf"({'|'.join(GROWING)})\b"
    of_organization = r"INDEX (?!audit_of_tokens|users_administrators)\w+ \(organization_id=\?\)"
    scans = rf"SCAN {growing}|SEARCH {growing} USING (COVERING )?{of_organization}"
    with database.snapshot() as tx:
        for statement in told:
            if not statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
                continue
            explained = tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")
            plan = "\n".join(row[-1] for row in explained)
            assert not re.search(scans, plan, re.MULTILINE), f"{statement}\n{plan}"


def assert_matches(plan: str, pattern: str) -> None:
    assert re.search(pattern, plan), f"no {pattern!r} in\n{plan}"


def test_postgres_cleans_up_after_deliveries_before_a_claim_steps_over_many(postgres_url):
    database = Database(postgres_url)
    with database.snapshot() as tx:
        query = sa.text("SELECT reloptions FROM pg_class WHERE relname = 'deliveries'")
        options = tx.execute(query).scalar_one()
    database.close()

    asked = delivery_rows.dialect_options["postgresql"]["with"]
    assert options == [f"{name}={value}" for name, value in asked.items()]
