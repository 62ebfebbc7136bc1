"""Claiming, recording and giving back: who may attempt a delivery, and whose record counts.

Due times go by the database's clock on PostgreSQL and by `now` on SQLite, so what must have
come is put into the past, and what must not into the future.
"""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from coursebell.domain.completion import Command
from coursebell.domain.events import EventName
from coursebell.domain.model import Attempt, DeliveryStatus, WebhookStatus, new_id
from coursebell.domain.samples import sample_event
from coursebell.errors import NotFoundError
from coursebell.services import deliveries, dispatching, verdicts, webhooks, zapier
from coursebell.services.publishing import publish
from coursebell.services.webhooks import ConnectedWebhook
from coursebell.services.zapier import Trigger
from coursebell.storage import audit
from coursebell.storage import webhooks as stored_webhooks
from coursebell.storage.claims import Recorded
from coursebell.storage.webhooks import list_targets
from factories import NOW

ONE, TWO = "1" * 32, "2" * 32
LAPSED = -1.0  # a lease that is already over
EVENT = ("offering_registered",)


def claim(school, lease=ONE, *, seconds=60.0, depth=100, in_hand=None):
    return dispatching.claim(school.registrar, in_hand or {}, depth, lease, seconds, NOW)


def claim_one(school, lease=ONE, **fields):
    (claimed,) = claim(school, lease, **fields).claimed
    return claimed


def result(claimed, status, *, delay=-1.0):
    attempt = Attempt(
        number=claimed.attempts + 1,
        started_at=NOW,
        duration_ms=1,
        outcome="delivered" if status is DeliveryStatus.DELIVERED else "http_500",
        status_code=None,
        address=None,
        response_headers=None,
        response_body=None,
        truncated=False,
    )
    return Recorded(
        key=claimed.key,
        lease=claimed.lease,
        status=status,
        delay_seconds=delay,
        attempt=attempt,
    )


def record(school, *results):
    return dispatching.record(school.registrar, results, {}, NOW).keys


def read(school, claimed):
    return deliveries.get_delivery(school.registrar, school.admin, claimed.id)


def pause(school, connected):
    webhooks.pause_webhook(school.registrar, school.admin, connected.webhook.id, NOW)


def resume(school, connected):
    webhooks.resume_webhook(school.registrar, school.admin, connected.webhook.id, NOW)


@pytest.fixture
def connected(school):
    return school.webhook(events=EVENT)


@pytest.fixture
def pending(school, connected):
    """One delivery that is due."""
    return school.registration()


# --- claiming


def test_a_claim_has_all_that_sending_needs(school, connected, pending):
    (event,) = school.events(event="offering_registered")

    claimed = claim_one(school)

    assert (claimed.webhook_id, claimed.organization_id) == (
        connected.webhook.id,
        school.organization.id,
    )
    assert (claimed.event_id, claimed.event, claimed.body) == (event.id, event.name, event.body)
    assert (claimed.user_id, claimed.registration_id) == (pending.user_id, pending.id)
    assert (claimed.registration_seq, claimed.occurred_at) == (1, NOW)
    assert (claimed.attempts, claimed.lease) == (0, ONE)


def test_what_is_claimed_nobody_else_gets(school, pending):
    claim_one(school, ONE)

    assert claim(school, TWO).claimed == []


def test_a_lapsed_lease_makes_a_delivery_due_again_by_itself(school, pending):
    lost = claim_one(school, ONE, seconds=LAPSED)

    assert claim_one(school, TWO).key == lost.key


def test_the_oldest_come_first_and_no_more_than_fit(school, connected):
    registrations = school.registrations(5)

    first = claim(school, depth=2)
    second = claim(school, depth=5, in_hand={connected.webhook.id: 2})

    assert [each.registration_id for each in first.claimed] == [
        registration.id for registration in registrations[:2]
    ]
    assert [each.registration_id for each in second.claimed] == [
        registration.id for registration in registrations[2:]
    ]
    assert first.full == {connected.webhook.id}
    assert claim(school, depth=5, in_hand={connected.webhook.id: 5}).claimed == []


def test_a_webhook_with_much_pending_leaves_room_for_the_others(school, monkeypatch):
    monkeypatch.setattr(dispatching, "CLAIM", 4)
    busy = school.webhook(events=EVENT)
    school.registrations(6)
    quiet = school.webhook(events=EVENT)
    school.registrations(1)

    batch = claim(school)

    counts = [each.webhook_id for each in batch.claimed]
    assert counts.count(busy.webhook.id) == 2
    assert counts.count(quiet.webhook.id) == 1
    assert batch.full == {busy.webhook.id}


def claim_at_once(school, *, in_hand=None, besides=()):
    """With the dispatcher's depth."""
    return dispatching.claim(school.registrar, in_hand or {}, 32, ONE, 60.0, NOW, besides=besides)


def happen(school, number=1):
    """That many events, each told to every webhook."""
    new = [sample_event(EventName.USER_CREATED, new_id(), NOW) for _ in range(number)]
    with school.database.transaction() as tx:
        publish(tx, school.registrar, school.organization.id, new, NOW)


def test_a_claim_is_shared_by_all_that_have_room(school):
    ids = [school.webhook().webhook.id for _ in range(25)]
    happen(school, 25)

    batch = claim_at_once(school, in_hand={ids[0]: 32})

    share = dispatching.CLAIM // 24
    assert Counter(each.webhook_id for each in batch.claimed) == dict.fromkeys(ids[1:], share)
    assert batch.full == set(ids)


def test_of_very_many_webhooks_a_claim_serves_some_and_says_that_there_are_more(school):
    ids = many_webhooks(school, dispatching.CLAIM + 20)
    happen(school)

    first = claim_at_once(school)
    second = claim_at_once(school)

    assert len(first.claimed) == dispatching.CLAIM
    assert first.full == set(ids)
    assert len(second.claimed) == 20
    assert {each.webhook_id for each in [*first.claimed, *second.claimed]} == set(ids)


def many_webhooks(school, number):
    model = school.webhook().webhook
    with school.database.transaction() as tx:
        stored_webhooks.mark_webhook_deleted(tx, school.organization.id, model.id, NOW)
        sealed = tx.execute(sa.select(stored_webhooks.webhooks)).mappings().one()
        same = {name: value for name, value in sealed.items() if name not in ("key", "id")}
        rows = [{**same, "id": new_id(), "deleted_at": None} for _ in range(number)]
        tx.execute(sa.insert(stored_webhooks.webhooks), rows)
    return [row["id"] for row in rows]


def test_nothing_is_claimed_for_those_to_be_left_alone(school):
    left, other = (school.webhook().webhook.id for _ in range(2))
    happen(school)

    batch = claim_at_once(school, besides=[left])

    assert [each.webhook_id for each in batch.claimed] == [other]
    assert batch.full == frozenset()
    assert batch.seconds_until_due > 0
    assert claim_at_once(school, besides=[left, other]).seconds_until_due is None


def test_paused_webhooks_are_not_claimed_for(school, connected, pending):
    pause(school, connected)

    batch = claim(school)

    assert (batch.claimed, batch.seconds_until_due) == ([], None)


def test_with_nothing_pending_there_is_nothing_to_wait_for(school):
    batch = claim(school)

    assert (batch.claimed, batch.full, batch.seconds_until_due) == ([], frozenset(), None)


def test_a_claim_says_when_the_next_delivery_is_due(school, connected, pending):
    record(school, result(claim_one(school), DeliveryStatus.PENDING, delay=100.0))

    waiting = claim(school)

    assert waiting.claimed == []
    assert 50 < waiting.seconds_until_due <= 100


def test_a_lease_is_as_long_as_was_asked(school, pending):
    claim_one(school, seconds=100.0)

    assert 50 < claim(school, TWO).seconds_until_due <= 100


# --- recording


def test_a_success_is_recorded_and_not_claimed_again(school, pending):
    claimed = claim_one(school, seconds=LAPSED)

    recorded = record(school, result(claimed, DeliveryStatus.DELIVERED))

    found = read(school, claimed)
    assert recorded == {claimed.key}
    assert (found.delivery.status, found.delivery.finished_at) == (DeliveryStatus.DELIVERED, NOW)
    assert len(found.attempts) == found.delivery.attempts == 1
    assert claim(school).claimed == []


def test_a_failure_comes_back_when_its_delay_is_over(school, pending):
    first = claim_one(school)
    record(school, result(first, DeliveryStatus.PENDING))

    second = claim_one(school, TWO)

    assert (second.key, second.attempts) == (first.key, 1)
    assert read(school, second).delivery.last_outcome == "http_500"
    assert read(school, second).delivery.finished_at is None


def test_the_last_failure_ends_it(school, pending):
    claimed = claim_one(school)

    record(school, result(claimed, DeliveryStatus.FAILED))

    assert read(school, claimed).delivery.status is DeliveryStatus.FAILED
    assert read(school, claimed).delivery.finished_at == NOW
    assert claim(school).claimed == []


@pytest.mark.parametrize("status", [DeliveryStatus.DELIVERED, DeliveryStatus.PENDING])
def test_a_late_dispatcher_records_nothing(school, pending, status):
    late = claim_one(school, ONE, seconds=LAPSED)
    current = claim_one(school, TWO)

    recorded = record(school, result(late, status))

    found = read(school, current)
    assert recorded == set()
    assert found.attempts == []
    assert (found.delivery.status, found.delivery.attempts) == (DeliveryStatus.PENDING, 0)
    assert record(school, result(current, DeliveryStatus.DELIVERED)) == {current.key}
    assert len(read(school, current).attempts) == 1


def test_nobody_records_twice(school, pending):
    claimed = claim_one(school)
    record(school, result(claimed, DeliveryStatus.DELIVERED))

    assert record(school, result(claimed, DeliveryStatus.FAILED)) == set()
    assert read(school, claimed).delivery.status is DeliveryStatus.DELIVERED


def test_a_dispatcher_that_was_slow_but_alone_still_counts(school, pending):
    claimed = claim_one(school, seconds=LAPSED)

    assert record(school, result(claimed, DeliveryStatus.DELIVERED)) == {claimed.key}


def test_of_a_batch_only_the_late_ones_are_left_out(school, connected):
    school.registrations(2)
    late, kept = claim(school, ONE, seconds=LAPSED).claimed
    (taken,) = claim(school, TWO, depth=1).claimed

    recorded = record(
        school, result(late, DeliveryStatus.DELIVERED), result(kept, DeliveryStatus.DELIVERED)
    )

    assert taken.key == late.key
    assert recorded == {kept.key}


@pytest.mark.parametrize("outcome", [DeliveryStatus.PENDING, DeliveryStatus.FAILED])
def test_what_was_held_meanwhile_stays_held_after_a_failure(school, connected, pending, outcome):
    claimed = claim_one(school)
    pause(school, connected)

    record(school, result(claimed, outcome))

    found = read(school, claimed)
    assert (found.delivery.status, found.delivery.finished_at) == (DeliveryStatus.HELD, None)
    assert len(found.attempts) == 1
    resume(school, connected)
    assert claim_one(school, TWO).key == claimed.key


def test_what_was_held_meanwhile_and_arrived_is_delivered(school, connected, pending):
    claimed = claim_one(school)
    pause(school, connected)

    record(school, result(claimed, DeliveryStatus.DELIVERED))

    assert read(school, claimed).delivery.status is DeliveryStatus.DELIVERED
    resume(school, connected)
    assert claim(school, TWO).claimed == []


@pytest.mark.parametrize(
    ("outcome", "stays"),
    [
        (DeliveryStatus.PENDING, DeliveryStatus.CANCELLED),
        (DeliveryStatus.FAILED, DeliveryStatus.CANCELLED),
        (DeliveryStatus.DELIVERED, DeliveryStatus.DELIVERED),
    ],
)
def test_what_was_cancelled_meanwhile_stays_so_unless_it_arrived(
    school, connected, pending, outcome, stays
):
    claimed = claim_one(school, seconds=LAPSED)
    webhooks.delete_webhook(school.registrar, school.admin, connected.webhook.id, NOW)

    record(school, result(claimed, outcome))

    found = read(school, claimed)
    assert (found.delivery.status, found.delivery.finished_at) == (stays, NOW)
    assert len(found.attempts) == 1
    assert claim(school, TWO).claimed == []


def test_what_is_being_sent_while_its_webhook_is_paused_and_resumed_is_not_sent_twice(
    school, connected, pending
):
    claimed = claim_one(school)
    pause(school, connected)
    resume(school, connected)

    assert claim(school, TWO).claimed == []
    assert record(school, result(claimed, DeliveryStatus.DELIVERED)) == {claimed.key}


def test_what_was_held_is_released_in_the_order_in_which_it_happened(school, connected):
    registrations = school.registrations(3)
    first = claim_one(school, depth=1)
    record(school, result(first, DeliveryStatus.PENDING))

    pause(school, connected)
    resume(school, connected)

    assert [each.registration_id for each in claim(school).claimed] == [
        registration.id for registration in registrations
    ]


# --- giving back


def test_what_is_given_back_is_due_at_once(school, pending):
    claimed = claim_one(school)

    dispatching.give_back(school.registrar, {claimed.key: claimed.lease}, NOW)

    again = claim_one(school, TWO)
    assert (again.key, again.attempts) == (claimed.key, 0)


def test_nobody_gives_back_what_another_has(school, pending):
    late = claim_one(school, seconds=LAPSED)
    claim_one(school, TWO)

    dispatching.give_back(school.registrar, {late.key: late.lease}, NOW)

    assert claim(school).claimed == []


def test_giving_back_nothing_is_fine(school):
    dispatching.give_back(school.registrar, {}, NOW)


def test_the_only_dispatcher_takes_over_what_a_killed_one_had(school, pending):
    lost = claim_one(school)

    dispatching.recover(school.registrar, NOW)

    assert claim_one(school, TWO).key == lost.key


def test_taking_over_does_not_hurry_what_waits_for_its_next_attempt(school, pending):
    record(school, result(claim_one(school), DeliveryStatus.PENDING, delay=100.0))

    dispatching.recover(school.registrar, NOW)

    assert claim(school, TWO).claimed == []


def test_waits_of_whole_seconds_and_of_fractions_are_recorded_together(school, connected):
    for _ in range(2):
        school.registration()
    first, second = claim(school).claimed

    recorded = record(
        school,
        result(first, DeliveryStatus.PENDING, delay=2),
        result(second, DeliveryStatus.PENDING, delay=1.5),
    )

    assert recorded == {first.key, second.key}


def test_what_a_receiver_said_is_kept_whatever_its_bytes_are(school, pending):
    claimed = claim_one(school)
    failed = result(claimed, DeliveryStatus.FAILED)
    headers, body = "".join(map(chr, range(1, 256))), bytes(range(256))
    said = replace(failed.attempt, response_headers=headers, response_body=body)

    record(school, replace(failed, attempt=said))

    (kept,) = read(school, claimed).attempts
    assert (kept.response_headers, kept.response_body) == (headers, body)


# --- a clock that is set


HOUR = timedelta(hours=1)


def claim_at(school, now):
    found = dispatching.claim(school.registrar, {}, 100, TWO, 60.0, now)
    return [each.key for each in found.claimed]


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_retry_waits_as_long_as_it_had_to_when_the_clock_is_set(school, pending, step):
    retried = claim_one(school)
    record(school, result(retried, DeliveryStatus.PENDING, delay=100.0))

    with capture_logs() as logs:
        dispatching.follow_clock(school.registrar, step.total_seconds(), NOW + step)

    (told,) = logs
    assert (told["event"], told["seconds"]) == ("clock.stepped", step.total_seconds())
    assert told["deliveries"] == (0 if school.database.is_postgres else 1)
    if not school.database.is_postgres:  # there the server's clock counts
        assert claim_at(school, NOW + step + timedelta(seconds=99)) == []
        assert claim_at(school, NOW + step + timedelta(seconds=101)) == [retried.key]


@pytest.mark.parametrize("step", [HOUR, -HOUR])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_lease_lasts_as_long_as_it_had_to_when_the_clock_is_set(school, pending, step):
    held = claim_one(school, seconds=60.0)

    dispatching.follow_clock(school.registrar, step.total_seconds(), NOW + step)

    assert claim_at(school, NOW + step + timedelta(seconds=59)) == []
    assert claim_at(school, NOW + step + timedelta(seconds=61)) == [held.key]


@pytest.mark.parametrize("step", [HOUR, -HOUR])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_new_is_due_at_once_by_the_old_clock_and_the_new(school, connected, pending, step):
    dispatching.follow_clock(school.registrar, step.total_seconds(), NOW + step)

    assert len(claim_at(school, max(NOW, NOW + step))) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_was_written_by_a_clock_that_ran_ahead_is_called(school, pending):
    retried = claim_one(school)
    record(school, result(retried, DeliveryStatus.PENDING, delay=100.0))
    dispatching.follow_clock(school.registrar, -HOUR.total_seconds(), NOW - HOUR)
    school.registration()  # committed after that, by whoever had asked for the time before

    before = claim_at(school, NOW - HOUR)
    dispatching.call_stragglers(school.registrar, NOW - HOUR)
    called = claim_at(school, NOW - HOUR)

    assert (before, len(called)) == ([], 1)
    assert retried.key not in called


# --- where to send, and 410


def targets(school, *ids):
    with school.database.snapshot() as tx:
        return list_targets(tx, ids)


def test_targets_are_read_of_active_webhooks_only(school, connected):
    paused, deleted = school.webhook(), school.webhook()
    pause(school, paused)
    webhooks.delete_webhook(school.registrar, school.admin, deleted.webhook.id, NOW)

    found = dispatching.read_targets(
        school.registrar, [each.webhook.id for each in (connected, paused, deleted)]
    )

    assert list(found) == [connected.webhook.id]
    target = found[connected.webhook.id]
    assert (target.url, target.method) == (connected.webhook.url, connected.webhook.method)
    assert target.retry_schedule == connected.webhook.retry_schedule


def test_a_receiver_that_is_gone_disables_its_webhook_and_holds_the_rest(school, connected):
    school.registrations(2)
    first = claim_one(school, depth=1)

    dispatching.record(
        school.registrar,
        [result(first, DeliveryStatus.PENDING)],
        targets(school, connected.webhook.id),
        NOW,
    )

    webhook = webhooks.get_webhook(school.registrar, school.admin, connected.webhook.id)
    assert (webhook.status, webhook.disabled_reason) == (
        WebhookStatus.DISABLED,
        verdicts.GONE,
    )
    assert {each.status for each in school.deliveries(connected)} == {DeliveryStatus.HELD}
    assert claim(school, TWO).claimed == []
    with school.database.snapshot() as tx:
        entry = audit.list_changes_of(tx, school.organization.id, connected.webhook.id)[-1]
    assert (entry.action, entry.reason) == ("webhook.disable", verdicts.GONE)
    assert (entry.before, entry.after) == ({"status": "active"}, {"status": "disabled"})


def test_a_webhook_paused_meanwhile_is_not_disabled(school, connected):
    gone = targets(school, connected.webhook.id)
    pause(school, connected)

    dispatching.record(school.registrar, [], gone, NOW)

    webhook = webhooks.get_webhook(school.registrar, school.admin, connected.webhook.id)
    assert webhook.status is WebhookStatus.PAUSED


def test_a_receiver_that_is_gone_is_an_error_in_the_log_once(school, connected):
    gone = targets(school, connected.webhook.id)

    with capture_logs() as logs:
        dispatching.record(school.registrar, [], gone, NOW)
        dispatching.record(school.registrar, [], gone, NOW)

    (line,) = logs
    assert (line["event"], line["log_level"]) == ("webhook.disabled", "error")
    assert line["webhook_id"] == connected.webhook.id


def test_a_zap_that_is_gone_is_deleted_and_what_it_would_have_got_is_cancelled(school):
    zap = zapier.subscribe(
        school.registrar, school.admin, Trigger.OFFERING_REGISTERED, "http://127.0.0.1:9/", {}, NOW
    )
    school.registrations(2)
    owed = school.deliveries(ConnectedWebhook(webhook=zap, secret=""))
    first = claim_one(school, depth=1)

    with capture_logs() as logs:
        dispatching.record(
            school.registrar,
            [result(first, DeliveryStatus.PENDING)],
            targets(school, zap.id),
            NOW,
        )

    with pytest.raises(NotFoundError):
        webhooks.get_webhook(school.registrar, school.admin, zap.id)
    with school.database.snapshot() as tx:
        entry = audit.list_changes_of(tx, school.organization.id, zap.id)[-1]
    assert (entry.action, entry.reason) == ("webhook.delete", verdicts.GONE)
    assert [line["event"] for line in logs] == ["webhook.unsubscribed"]
    left = [deliveries.get_delivery(school.registrar, school.admin, each.id) for each in owed]
    assert [each.delivery.status for each in left] == [DeliveryStatus.CANCELLED] * 2


def test_a_webhook_that_points_elsewhere_by_now_is_not_gone(school):
    webhook = school.webhook()
    gone = targets(school, webhook.webhook.id)
    changes = webhooks.WebhookChanges(url="http://127.0.0.1:10/")
    webhooks.change_webhook(school.registrar, school.admin, webhook.webhook.id, changes, NOW)

    with capture_logs() as logs:
        dispatching.record(school.registrar, [], gone, NOW)

    shown = webhooks.get_webhook(school.registrar, school.admin, webhook.webhook.id)
    assert shown.status is WebhookStatus.ACTIVE
    assert logs == []


# --- the clock


def test_due_times_go_by_the_databases_clock_where_it_has_one(school, connected, pending):
    behind = NOW - timedelta(days=400)  # a dispatcher whose own clock is wrong

    batch = dispatching.claim(school.registrar, {}, 100, ONE, 60.0, behind)

    if school.database.is_postgres:
        assert len(batch.claimed) == 1
        (delivery,) = school.deliveries(connected)
        assert abs((delivery.next_attempt_at - datetime.now(UTC)).total_seconds()) < 90
    else:
        assert batch.claimed == []


def test_everything_a_batch_of_completions_owes_is_due_at_once(school, connected):
    registrations = school.registrations(3)
    told = school.webhook(events=("offering_completed",))
    for registration in registrations:
        school.ask(registration, Command.GRADE, grade="80")

    claimed = [each for each in claim(school).claimed if each.webhook_id == told.webhook.id]

    assert [each.registration_seq for each in claimed] == [2, 2, 2]
