"""A dead receiver costs nothing: back-off, probes, recovery, being disabled; on both databases.

Moments are put into the past or the future, because due times go by PostgreSQL's own clock.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from coursebell.domain.health import Health
from coursebell.domain.model import Attempt, DeliveryStatus, WebhookStatus
from coursebell.services import deliveries, dispatching, webhooks
from coursebell.services.verdicts import HOPELESS
from coursebell.services.webhooks import WebhookChanges
from coursebell.storage import audit
from coursebell.storage.claims import Recorded, seconds_until_due
from coursebell.storage.health import lock_health, write_health
from coursebell.storage.tables import deliveries as delivery_rows
from factories import DAY, HOUR, NOW, open_school

EVENT = ("offering_registered",)
DELIVERED, PENDING, FAILED = (
    DeliveryStatus.DELIVERED,
    DeliveryStatus.PENDING,
    DeliveryStatus.FAILED,
)


@pytest.fixture
def now(database):
    """What the database's clock says, near enough."""
    return datetime.now(UTC) if database.is_postgres else NOW


@pytest.fixture
def school(database, now):
    return open_school(database, now=now - HOUR)


@pytest.fixture
def connected(school):
    return school.webhook(events=EVENT)


def claim(school, now, depth=100, lease="1" * 32):
    return dispatching.claim(school.registrar, {}, depth, lease, 60.0, now)


def claim_one(school, now, **fields):
    (claimed,) = claim(school, now, **fields).claimed
    return claimed


def record(school, now, *results):
    return dispatching.record(school.registrar, results, {}, now)


def result(claimed, status, *, delay=3600.0, asked=0.0):
    attempt = Attempt(
        number=claimed.attempts + 1,
        started_at=NOW,
        duration_ms=1,
        outcome="delivered" if status is DELIVERED else "http_500",
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
        is_probe=claimed.is_probe,
        asked_seconds=asked,
    )


def make(school, connected, **fields):
    with school.database.transaction() as tx:
        write_health(tx, connected.webhook.id, Health(**fields))


def health_of(school, connected):
    with school.database.transaction() as tx:
        return lock_health(tx, [connected.webhook.id])[connected.webhook.id]


def back_off(school, connected, now, *, probe_in=timedelta(minutes=1), probes=0, since=HOUR):
    make(
        school,
        connected,
        failures=20,
        failing_since=now - since,
        probe_at=now + probe_in,
        probes=probes,
    )


def read(school, connected):
    return webhooks.get_webhook(school.registrar, school.admin, connected.webhook.id)


def register(school, number, now):
    return school.registrations(number, now=now - HOUR)


AGO = timedelta(minutes=-1)


# --- backing off


def test_ten_failures_over_a_minute_back_off_and_the_delivery_is_spared(school, connected, now):
    register(school, 2, now)
    make(school, connected, failures=9, failing_since=now - timedelta(seconds=61))
    claimed = claim_one(school, now, depth=1)

    with capture_logs() as logs:
        recording = record(school, now, result(claimed, FAILED))

    webhook = read(school, connected)
    assert (webhook.status, webhook.consecutive_failures) == (WebhookStatus.ACTIVE, 10)
    assert timedelta(seconds=30) < webhook.backed_off_until - now <= timedelta(seconds=90)
    assert recording.turned == {connected.webhook.id}
    assert [each.status for each in school.deliveries(connected)] == [PENDING] * 2
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("webhook.backed_off", "warning")
    batch = claim(school, now)
    assert (batch.claimed, batch.full) == ([], frozenset())
    assert 30 < batch.seconds_until_due <= 90


def test_a_single_failure_is_counted_and_a_success_forgets_it(school, connected, now):
    register(school, 2, now)
    one, two = claim(school, now).claimed

    record(school, now, result(one, PENDING))
    assert read(school, connected).consecutive_failures == 1
    record(school, now, result(two, DELIVERED))

    assert health_of(school, connected) == Health()


def test_the_healthy_cost_no_write(school, connected, now, monkeypatch):
    register(school, 1, now)
    claimed = claim_one(school, now)
    written = []
    monkeypatch.setattr(dispatching.verdicts.stored_health, "write_health", written.append)

    record(school, now, result(claimed, DELIVERED))

    assert written == []


# --- probing


def test_a_backed_off_webhook_gets_one_probe_when_it_is_time(school, connected, now):
    first, *_ = register(school, 3, now)
    back_off(school, connected, now, probe_in=AGO)

    batch = claim(school, now)
    again = claim(school, now, lease="2" * 32)

    (probe,) = batch.claimed
    assert (probe.is_probe, probe.registration_id) == (True, first.id)
    assert batch.full == frozenset()
    assert again.claimed == []
    assert again.seconds_until_due > 30


def test_a_probe_that_is_lost_is_followed_by_another_when_its_lease_has_lapsed(
    school, connected, now
):
    register(school, 1, now)
    back_off(school, connected, now, probe_in=AGO)
    dispatching.claim(school.registrar, {}, 9, "1" * 32, -1.0, now)

    assert claim_one(school, now, lease="2" * 32).is_probe


def test_a_failed_probe_doubles_the_rest_and_uses_up_no_schedule(school, connected, now):
    register(school, 2, now)
    back_off(school, connected, now, probe_in=AGO, probes=2)
    probe = claim_one(school, now)

    record(school, now, result(probe, FAILED))

    rest = read(school, connected).backed_off_until - now
    assert timedelta(minutes=7) < rest <= timedelta(minutes=9)
    assert [each.status for each in school.deliveries(connected)] == [PENDING] * 2
    make(school, connected)
    assert len(claim(school, now + timedelta(seconds=1)).claimed) == 2


def test_a_probe_that_is_told_to_wait_puts_off_delivery_and_probe(school, connected, now):
    register(school, 1, now)
    back_off(school, connected, now, probe_in=AGO)

    record(school, now, result(claim_one(school, now), PENDING, asked=7200.0))

    (delivery,) = school.deliveries(connected)
    for moment in (read(school, connected).backed_off_until, delivery.next_attempt_at):
        assert timedelta(minutes=119) < moment - now <= timedelta(minutes=121)


def test_the_first_success_releases_everything_in_order(school, connected, now):
    registrations = register(school, 3, now)
    one, two, _ = claim(school, now).claimed
    record(school, now, *(result(each, PENDING) for each in (two, one)))  # due in an hour
    dispatching.give_back(school.registrar, {3: "1" * 32}, now)
    back_off(school, connected, now, probe_in=AGO)
    probe = claim_one(school, now)

    with capture_logs() as logs:
        recording = record(school, now, result(probe, DELIVERED))

    assert recording.has_released
    assert [each["event"] for each in logs] == ["webhook.recovered"]
    assert health_of(school, connected) == Health()
    left = [each.id for each in registrations if each.id != probe.registration_id]
    due = claim(school, now + timedelta(seconds=1)).claimed
    assert [each.registration_id for each in due] == left


def test_with_nothing_due_no_probe_is_sent_and_nobody_waits_for_it(school, connected, now):
    back_off(school, connected, now, probe_in=AGO)

    batch = claim(school, now)

    assert (batch.claimed, batch.seconds_until_due) == ([], None)


def test_others_are_not_kept_by_one_that_has_backed_off(school, connected, now):
    other = school.webhook(events=EVENT)
    register(school, 2, now)
    back_off(school, connected, now)

    batch = claim(school, now)

    assert {each.webhook_id for each in batch.claimed} == {other.webhook.id}


# --- what a person asks for


def test_a_test_goes_at_once_and_its_success_heals(school, connected, now):
    register(school, 1, now)
    back_off(school, connected, now)
    delivery_id = webhooks.test_webhook(
        school.registrar, school.admin, connected.webhook.id, now - timedelta(seconds=1)
    )

    with school.database.snapshot() as tx:
        assert seconds_until_due(tx, now) == 0
    tested = claim_one(school, now)
    assert (tested.id, tested.goes_anyway, tested.is_probe) == (delivery_id, True, False)
    record(school, now, result(tested, DELIVERED))

    assert health_of(school, connected) == Health()
    assert len(claim(school, now).claimed) == 1


def test_a_resend_goes_at_once_too(school, connected, now):
    register(school, 1, now)
    sent = claim_one(school, now)
    record(school, now, result(sent, DELIVERED))
    back_off(school, connected, now)

    deliveries.resend(school.registrar, school.admin, sent.id, now - timedelta(seconds=1))

    assert claim_one(school, now).kind == "resend"


@pytest.mark.parametrize("status", [PENDING, FAILED])
def test_what_was_asked_for_and_failed_is_not_sent_again_and_again(school, connected, now, status):
    back_off(school, connected, now, probe_in=HOUR)
    webhooks.test_webhook(
        school.registrar, school.admin, connected.webhook.id, now - timedelta(seconds=1)
    )

    record(school, now, result(claim_one(school, now), status, delay=0.0))

    batch = claim(school, now + timedelta(seconds=1))
    assert batch.claimed == []
    assert 3500 < batch.seconds_until_due <= 3600
    (delivery,) = school.deliveries(connected)
    assert (delivery.status, delivery.attempts) == ("pending", 1)


# --- giving up, and another chance


def test_after_three_days_a_webhook_is_disabled_and_what_it_misses_is_held(school, connected, now):
    register(school, 2, now)
    back_off(school, connected, now, probe_in=AGO, since=3 * DAY)
    probe = claim_one(school, now)

    with capture_logs() as logs:
        recording = record(school, now, result(probe, FAILED))

    webhook = read(school, connected)
    assert (webhook.status, webhook.disabled_reason) == (WebhookStatus.DISABLED, HOPELESS)
    assert recording.turned == {connected.webhook.id}
    assert [each.status for each in school.deliveries(connected)] == ["held"] * 2
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("webhook.disabled", "error")
    assert line["reason"] == HOPELESS
    with school.database.snapshot() as tx:
        entry = audit.list_changes_of(tx, school.organization.id, connected.webhook.id)[-1]
    assert (entry.action, entry.reason) == ("webhook.disable", HOPELESS)
    webhooks.resume_webhook(school.registrar, school.admin, connected.webhook.id, now)
    assert health_of(school, connected) == Health()
    assert len(claim(school, now + timedelta(seconds=1)).claimed) == 2


def test_a_webhook_that_was_paused_meanwhile_is_not_disabled(school, connected, now):
    register(school, 1, now)
    back_off(school, connected, now, probe_in=AGO, since=3 * DAY)
    probe = claim_one(school, now)
    webhooks.pause_webhook(school.registrar, school.admin, connected.webhook.id, now)

    record(school, now, result(probe, FAILED))

    assert read(school, connected).status is WebhookStatus.PAUSED


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://127.0.0.1:10/"},
        {"headers": {"Authorization": "Bearer new"}},
        {"timeout_seconds": 30},
    ],
)
def test_who_changes_how_it_is_called_gives_it_another_chance(school, connected, now, changes):
    register(school, 1, now)
    back_off(school, connected, now)
    write = sa.update(delivery_rows).values(due_at=now + HOUR)
    with school.database.transaction() as tx:
        tx.execute(write)

    changed = webhooks.change_webhook(
        school.registrar, school.admin, connected.webhook.id, WebhookChanges(**changes), now
    )

    assert replace(changed, failed_deliveries=0) == read(school, connected)
    assert health_of(school, connected) == Health()
    assert len(claim(school, now).claimed) == 1


def test_who_changes_something_else_does_not(school, connected, now):
    register(school, 1, now)
    back_off(school, connected, now)

    webhooks.change_webhook(
        school.registrar, school.admin, connected.webhook.id, WebhookChanges(name="X"), now
    )

    assert health_of(school, connected).is_backed_off
    assert claim(school, now).claimed == []


def test_the_backlog_counts_those_that_have_backed_off(school, connected, now):
    register(school, 2, now)
    back_off(school, connected, now)

    backlog = deliveries.measure_backlog(school.registrar, now)

    assert (backlog.backed_off_webhooks, backlog.disabled_webhooks) == (1, 0)
    assert backlog.pending == 2


def test_a_clock_that_is_set_moves_the_probe_with_it(school, connected, now):
    back_off(school, connected, now)
    before = health_of(school, connected)

    dispatching.follow_clock(school.registrar, -3600.0, now - HOUR)

    after = health_of(school, connected)
    step = timedelta(0) if school.database.is_postgres else HOUR
    assert after.probe_at == before.probe_at - step
    assert after.failing_since == before.failing_since - step
