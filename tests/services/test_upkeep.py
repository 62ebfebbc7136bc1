"""What is left of deleted webhooks, order, retention, lost leases."""

import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from coursebell.domain.completion import Command
from coursebell.domain.events import EventName
from coursebell.domain.model import Attempt, DeliveryStatus, new_id
from coursebell.domain.samples import sample_event
from coursebell.services import deliveries, dispatching, upkeep, webhooks
from coursebell.services.dispatching import LEASE_SECONDS
from coursebell.services.publishing import publish
from coursebell.storage import outbox
from coursebell.storage.claims import Recorded, list_lease_holders
from coursebell.storage.database import Database, RaceError
from coursebell.storage.deliveries import find_resendable, forget_history
from coursebell.storage.tables import attempts, events
from coursebell.storage.tables import deliveries as delivery_rows
from coursebell.storage.waking import hang_bell
from factories import DAY, NOW, open_school

EVENT = ("offering_registered",)


def statuses(school, connected):
    with school.database.snapshot() as tx:
        query = sa.select(delivery_rows.c.status).where(
            delivery_rows.c.webhook_id == connected.webhook.id
        )
        return list(tx.execute(query).scalars())


def test_what_was_open_of_a_deleted_webhook_is_written_down_as_cancelled(school, monkeypatch):
    monkeypatch.setattr(upkeep, "_STEP", 2)
    deleted, other = (school.webhook(events=EVENT) for _ in range(2))
    school.registrations(3)
    webhooks.delete_webhook(school.registrar, school.admin, deleted.webhook.id, NOW)

    steps = list(upkeep.cancel_of_deleted(school.registrar, NOW + DAY))

    assert steps == [2, 1]
    assert statuses(school, deleted) == ["cancelled"] * 3
    assert statuses(school, other) == ["pending"] * 3
    with school.database.snapshot() as tx:
        finished = tx.execute(sa.select(delivery_rows.c.finished_at).distinct()).scalars()
        assert set(finished) == {NOW, None}
    assert list(upkeep.cancel_of_deleted(school.registrar, NOW)) == []


def test_what_waited_behind_it_is_cancelled_too(school):
    deleted = school.webhook()
    registration = school.registration()
    school.ask(registration, Command.GRADE, grade="80")
    webhooks.delete_webhook(school.registrar, school.admin, deleted.webhook.id, NOW)

    list(upkeep.cancel_of_deleted(school.registrar, NOW))

    assert set(statuses(school, deleted)) == {"cancelled"}


# --- order


def test_what_waits_for_nothing_is_made_due_and_complained_about(school, monkeypatch):
    monkeypatch.setattr(upkeep, "_STEP", 1)
    connected = school.webhook(events=("offering_registered", "offering_completed"))
    waiting, stuck = school.registrations(2)
    for registration in (waiting, stuck):
        school.ask(registration, Command.GRADE, grade="80")
    first = sa.update(delivery_rows).where(
        delivery_rows.c.registration_id == stuck.id, delivery_rows.c.due_at.is_not(None)
    )
    with school.database.transaction() as tx:
        tx.execute(first.values(status="delivered"))

    with capture_logs() as logs:
        steps = list(upkeep.mend_order(school.registrar, NOW))

    (line,) = logs
    assert (line["event"], line["log_level"]) == ("deliveries.stuck", "warning")
    assert line["deliveries"] == 1
    assert sorted(steps) == [0, 1]
    claimed = dispatching.claim(school.registrar, {}, 9, "1" * 32, 60, NOW).claimed
    assert [(each.registration_id, each.event) for each in claimed] == [
        (waiting.id, "offering_registered"),
        (stuck.id, "offering_completed"),
    ]
    assert len(school.deliveries(connected)) == 4


# --- retention


def settle(school, status):
    """One attempt of everything that is due."""
    claimed = dispatching.claim(school.registrar, {}, 100, "1" * 32, 60, NOW).claimed
    results = [
        Recorded(
            key=each.key,
            lease=each.lease,
            status=status,
            delay_seconds=3600.0,
            attempt=Attempt(
                number=1,
                started_at=NOW,
                duration_ms=1,
                outcome="x",
                status_code=None,
                address=None,
                response_headers=None,
                response_body=b"personal",
                truncated=False,
            ),
        )
        for each in claimed
    ]
    dispatching.record(school.registrar, results, {}, NOW)


def left(school):
    """How many events have bytes, deliveries bytes of their own, and attempts there are."""
    with school.database.snapshot() as tx:

        def count(query):
            return tx.execute(sa.select(sa.func.count()).select_from(query)).scalar_one()

        return (
            count(sa.select(events).where(events.c.body.is_not(None)).subquery()),
            count(sa.select(delivery_rows).where(delivery_rows.c.body.is_not(None)).subquery()),
            count(attempts),
        )


@pytest.mark.parametrize("status", [DeliveryStatus.DELIVERED, DeliveryStatus.FAILED])
def test_retention_takes_bytes_and_attempts_of_what_is_settled(school, status):
    connected = school.webhook(events=EVENT, payload=webhooks.Payload.IDS)
    school.registration()
    settle(school, status)
    before = left(school)

    steps = list(upkeep.forget_history(school.registrar, NOW + DAY))

    assert before[1:] == (1, 1)
    assert left(school) == (0, 0, 0)
    assert len(steps) == 1
    (delivery,) = school.deliveries(connected)
    assert (delivery.status, delivery.attempts, delivery.last_outcome) == (status, 1, "x")
    (event,) = school.events(event="offering_registered")
    assert event.body is None


def test_retention_takes_what_was_cancelled_or_owed_to_nobody(school):
    connected = school.webhook(events=EVENT)
    school.registration()
    webhooks.delete_webhook(school.registrar, school.admin, connected.webhook.id, NOW)
    list(upkeep.cancel_of_deleted(school.registrar, NOW))

    list(upkeep.forget_history(school.registrar, NOW + DAY))

    assert left(school) == (0, 0, 0)


@pytest.mark.parametrize("held", [False, True])
def test_retention_never_touches_what_is_open(school, held):
    settled = school.webhook(events=EVENT)
    school.registration()
    settle(school, DeliveryStatus.DELIVERED)
    open_ = school.webhook(events=EVENT)
    school.registration()
    settle(school, DeliveryStatus.PENDING)
    if held:
        webhooks.pause_webhook(school.registrar, school.admin, open_.webhook.id, NOW)
        webhooks.pause_webhook(school.registrar, school.admin, settled.webhook.id, NOW)
    registered = [event.id for event in school.events(event="offering_registered")]

    list(upkeep.forget_history(school.registrar, NOW + DAY))

    kept = [
        deliveries.get_event(school.registrar, school.admin, event_id).body is not None
        for event_id in registered
    ]
    assert kept == [False, True]
    assert left(school)[2] == 2


def test_retention_stops_at_the_day_it_is_told(school):
    school.registration(now=NOW)
    school.registration(now=NOW + 2 * DAY)

    list(upkeep.forget_history(school.registrar, NOW + DAY))

    bodies = [event.body for event in school.events(event="offering_registered")]
    assert [body is None for body in bodies] == [True, False]


def test_retention_goes_in_steps_and_comes_to_an_end(school, monkeypatch):
    monkeypatch.setattr(upkeep, "_STEP", 2)
    school.registrations(3)
    school.webhook(events=EVENT)
    school.registration()

    steps = list(upkeep.forget_history(school.registrar, NOW + DAY))

    assert steps == sorted(set(steps))
    assert len(steps) > 2
    assert left(school)[0] == 1


def test_what_retention_took_is_not_written_again(on_postgres):
    school = on_postgres  # SQLite itself leaves alone what would not change
    school.webhook(events=EVENT, payload=webhooks.Payload.IDS)
    school.registration()
    settle(school, DeliveryStatus.DELIVERED)
    list(upkeep.forget_history(school.registrar, NOW + DAY))
    places = places_of_rows(school)

    list(upkeep.forget_history(school.registrar, NOW + DAY))

    assert places_of_rows(school) == places


def places_of_rows(school):
    """Where PostgreSQL has them: whoever writes a row moves it."""
    query = "SELECT ctid::text FROM events UNION ALL SELECT ctid::text FROM deliveries"
    with school.database.snapshot() as tx:
        return sorted(tx.execute(sa.text(query)).scalars())


def test_what_is_being_sent_again_is_not_taken_meanwhile(on_postgres):
    school = on_postgres  # SQLite has one writer at a time
    connected = school.webhook(events=EVENT)
    school.registration()
    settle(school, DeliveryStatus.DELIVERED)
    (delivery,) = school.deliveries(connected)

    with school.database.transaction() as resending:
        found = find_resendable(resending, school.organization.id, delivery.id)
        with pytest.raises(RaceError):
            forget_without_patience(school)
        again = outbox.NewDelivery(
            event_key=found.event_key,
            webhook_id=found.webhook_id,
            registration_id=None,
            kind=delivery.kind,
            body=None,
        )
        outbox.insert_deliveries(resending, school.organization.id, [again], NOW)
    list(upkeep.forget_history(school.registrar, NOW + DAY))

    (claimed,) = dispatching.claim(school.registrar, {}, 9, "2" * 32, 60, NOW).claimed
    assert claimed.body


@pytest.fixture
def on_postgres(postgres_url, secret_key):
    database = Database(postgres_url, secret_keys=[secret_key])
    yield open_school(database)
    database.close()


def forget_without_patience(school):
    with school.database.transaction() as tx:
        tx.execute(sa.text("SET LOCAL lock_timeout = '50ms'"))
        forget_history(tx, NOW + DAY, 0, 500)


# --- the leases of killed dispatchers


def happen(school):
    now = datetime.now(UTC)
    with school.database.transaction() as tx:
        event = sample_event(EventName.USER_CREATED, new_id(), now)
        publish(tx, school.registrar, school.organization.id, [event], now)


def claim_under(school, lease):
    now = datetime.now(UTC)
    return dispatching.claim(school.registrar, {}, 32, lease, LEASE_SECONDS, now)


CLAIM_AND_WAIT = """
import sys, time
from datetime import UTC, datetime
from coursebell.services import dispatching
from coursebell.services.registrar import Registrar
from coursebell.storage.database import Database
from coursebell.storage.waking import hang_bell
database = Database(sys.argv[1], secret_keys=["x"])
bell = hang_bell(database)
lease = bell.run_id + "0" * 16
batch = dispatching.claim(Registrar(database=database), {}, 32, lease, 75.0, datetime.now(UTC))
print(len(batch.claimed), flush=True)
time.sleep(600)
"""


def missed(school):
    """The run that is suspected; the server notices a closed connection in its own time."""
    deadline = time.monotonic() + 30
    while not (suspects := recover(school, frozenset())):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return suspects


def recover(school, suspects, own_run=None):
    now = datetime.now(UTC)
    return upkeep.recover_lost_leases(school.registrar, suspects, now, own_run=own_run)


def test_what_a_killed_dispatcher_had_claimed_is_due_again_when_it_is_missed_twice(
    postgres_url, secret_key
):
    with closing(Database(postgres_url, secret_keys=[secret_key])) as database:
        school = open_school(database, now=datetime.now(UTC))
        school.webhook()
        happen(school)
        argv = [sys.executable, "-c", CLAIM_AND_WAIT, postgres_url]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "1\n"
            assert recover(school, frozenset()) == frozenset()
            process.kill()
        with database.snapshot() as tx:
            (dead,) = list_lease_holders(tx, LEASE_SECONDS, datetime.now(UTC))

        with capture_logs() as logs, closing(hang_bell(database)) as bell:
            suspects = missed(school)
            assert claim_under(school, "a" * 32).claimed == []
            assert recover(school, suspects) == frozenset()
            assert bell.descriptors()

        assert suspects == {dead}
        assert len(claim_under(school, "a" * 32).claimed) == 1
        (line,) = logs
        assert (line["event"], line["deliveries"]) == ("dispatcher.lost", 1)


def test_what_a_dispatcher_has_that_came_back_is_left_to_it(postgres_url, secret_key):
    with closing(Database(postgres_url, secret_keys=[secret_key])) as database:
        school = open_school(database, now=datetime.now(UTC))
        school.webhook()
        happen(school)
        with closing(hang_bell(database)) as bell:
            claim_under(school, f"{bell.run_id}{0:016x}")
            bell.close()
            suspects = missed(school)
            assert suspects == {bell.run_id}

            bell.silence()

            assert recover(school, suspects) == frozenset()
            assert claim_under(school, "a" * 32).claimed == []


def test_a_dispatcher_does_not_believe_itself_dead_when_its_connection_is_cut(
    postgres_url, secret_key
):
    with closing(Database(postgres_url, secret_keys=[secret_key])) as database:
        school = open_school(database, now=datetime.now(UTC))
        school.webhook()
        happen(school)
        with closing(hang_bell(database)) as bell:
            claim_under(school, f"{bell.run_id}{0:016x}")
            bell.close()
            suspects = missed(school)  # as another process sees it

            assert recover(school, suspects, own_run=bell.run_id) == frozenset()
            assert claim_under(school, "a" * 32).claimed == []


def test_on_sqlite_no_lease_is_ever_believed_lost(sqlite_url, secret_key):
    with closing(Database(sqlite_url, secret_keys=[secret_key])) as database:
        school = open_school(database, now=datetime.now(UTC))
        school.webhook()
        happen(school)
        claim_under(school, "a" * 32)

        assert recover(school, frozenset()) == frozenset()
