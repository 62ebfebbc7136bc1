"""Strays and retention."""

import pytest
import sqlalchemy as sa

from coursebell.domain.model import Attempt, DeliveryStatus, WebhookStatus
from coursebell.services import deliveries, dispatching, upkeep, webhooks
from coursebell.storage import outbox
from coursebell.storage import webhooks as stored_webhooks
from coursebell.storage.database import Database, RaceError
from coursebell.storage.deliveries import Recorded, find_resendable, forget_history
from coursebell.storage.tables import attempts, events
from coursebell.storage.tables import deliveries as delivery_rows
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
