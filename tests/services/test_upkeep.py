"""Strays and retention."""

import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from coursebell.domain.events import EventName
from coursebell.domain.model import Attempt, DeliveryStatus, WebhookStatus, new_id
from coursebell.domain.samples import sample_event
from coursebell.services import deliveries, dispatching, upkeep, webhooks
from coursebell.services.dispatching import LEASE_SECONDS
from coursebell.services.publishing import publish
from coursebell.storage import outbox
from coursebell.storage import webhooks as stored_webhooks
from coursebell.storage.database import Database, RaceError
from coursebell.storage.deliveries import (
    Recorded,
    find_resendable,
    forget_history,
    list_lease_holders,
)
from coursebell.storage.tables import attempts, events
from coursebell.storage.tables import deliveries as delivery_rows
from coursebell.storage.waking import hang_bell
from factories import DAY, NOW, open_school

EVENT = ("offering_registered",)


def set_aside(school, connected, status):
    """What a completion leaves that was committing while its webhook was changed."""
    webhook_id = connected.webhook.id
    with school.database.transaction() as tx:
        if status is None:
            stored_webhooks.mark_webhook_deleted(tx, school.organization.id, webhook_id, NOW)
        else:
            stored_webhooks.set_webhook_status(tx, school.organization.id, webhook_id, status, "x")


def statuses(school, connected):
    with school.database.snapshot() as tx:
        query = sa.select(delivery_rows.c.status).where(
            delivery_rows.c.webhook_id == connected.webhook.id
        )
        return list(tx.execute(query).scalars())


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (WebhookStatus.PAUSED, "held"),
        (WebhookStatus.DISABLED, "held"),
        (None, "cancelled"),
    ],
)
def test_a_delivery_of_the_moment_before_gets_the_state_its_webhook_calls_for(
    school, status, expected
):
    connected = school.webhook(events=EVENT)
    other = school.webhook(events=EVENT)
    school.registration()
    set_aside(school, connected, status)

    settled = upkeep.settle_strays(school.registrar, NOW)

    assert settled == 1
    assert statuses(school, connected) == [expected]
    assert statuses(school, other) == ["pending"]
    assert upkeep.settle_strays(school.registrar, NOW) == 0


def test_what_was_held_at_the_moment_of_resuming_is_sent(school):
    connected = school.webhook(events=EVENT)
    webhooks.pause_webhook(school.registrar, school.admin, connected.webhook.id, NOW)
    school.registration()
    set_aside(school, connected, WebhookStatus.ACTIVE)

    assert upkeep.settle_strays(school.registrar, NOW) == 1
    assert len(dispatching.claim(school.registrar, {}, 9, "1" * 32, 60, NOW).claimed) == 1


def test_what_is_where_it_belongs_is_left_alone(school):
    active, paused, deleted = (school.webhook(events=EVENT) for _ in range(3))
    webhooks.pause_webhook(school.registrar, school.admin, paused.webhook.id, NOW)
    school.registration()
    webhooks.delete_webhook(school.registrar, school.admin, deleted.webhook.id, NOW)

    assert upkeep.settle_strays(school.registrar, NOW) == 0
    assert statuses(school, active) == ["pending"]
    assert statuses(school, paused) == ["held"]


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
            status=DeliveryStatus.PENDING,
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


def recover(school, suspects):
    return upkeep.recover_lost_leases(school.registrar, suspects, datetime.now(UTC))


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


def test_on_sqlite_no_lease_is_ever_believed_lost(sqlite_url, secret_key):
    with closing(Database(sqlite_url, secret_keys=[secret_key])) as database:
        school = open_school(database, now=datetime.now(UTC))
        school.webhook()
        happen(school)
        claim_under(school, "a" * 32)

        assert recover(school, frozenset()) == frozenset()
