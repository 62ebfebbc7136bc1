"""Events and deliveries as people see them, and sending one again."""

from datetime import timedelta

import pytest

from coursebell.delivery.requests import Sender
from coursebell.domain.completion import Command
from coursebell.domain.instants import parse_date_filter
from coursebell.domain.lists import DeliveryFilters, EventFilters, Page
from coursebell.domain.model import Attempt, DeliveryKind, DeliveryStatus, Payload, new_id
from coursebell.errors import ConflictError, NotFoundError
from coursebell.services import deliveries, dispatching, upkeep, webhooks
from coursebell.storage import audit
from coursebell.storage.claims import Recorded
from factories import DAY, NOW

SECOND = timedelta(seconds=1)


def claim(school, now=NOW):
    return list(dispatching.claim(school.registrar, {}, 100, "1" * 32, 60, now).claimed)


def record(school, claimed, status, *, outcome="http_500", now=NOW, delay=-1.0):
    attempt = Attempt(
        number=claimed.attempts + 1,
        started_at=now,
        duration_ms=12,
        outcome="delivered" if status is DeliveryStatus.DELIVERED else outcome,
        status_code=500,
        address="127.0.0.1",
        response_headers="content-type: text/plain",
        response_body=b"\xff oh no",
        truncated=False,
    )
    result = Recorded(
        key=claimed.key,
        lease=claimed.lease,
        status=status,
        delay_seconds=delay,
        attempt=attempt,
    )
    return dispatching.record(school.registrar, [result], {}, now), attempt


def read(school, delivery_id):
    return deliveries.get_delivery(school.registrar, school.admin, delivery_id)


def resend(school, delivery_id, now=NOW):
    return deliveries.resend(school.registrar, school.admin, delivery_id, now)


@pytest.fixture
def delivered(school):
    """A delivery that arrived at the second attempt, and its webhook."""
    connected = school.webhook(events=("offering_registered",), payload=Payload.IDS)
    school.registration()
    for status in (DeliveryStatus.PENDING, DeliveryStatus.DELIVERED):
        (claimed,) = claim(school)
        record(school, claimed, status)
    return connected, claimed


def test_a_delivery_is_shown_with_its_attempts_newest_first(school, delivered):
    _, claimed = delivered

    found = read(school, claimed.id)

    assert found.delivery.status is DeliveryStatus.DELIVERED
    assert (found.delivery.attempts, found.delivery.last_outcome) == (2, "delivered")
    assert (found.delivery.finished_at, found.delivery.next_attempt_at) == (NOW, None)
    assert [attempt.number for attempt in found.attempts] == [2, 1]
    assert [attempt.outcome for attempt in found.attempts] == ["delivered", "http_500"]
    first = found.attempts[1]
    assert (first.started_at, first.duration_ms, first.status_code) == (NOW, 12, 500)
    assert (first.address, first.response_body) == ("127.0.0.1", b"\xff oh no")
    assert (first.response_headers, first.truncated) == ("content-type: text/plain", False)


def test_a_delivery_sent_again_is_a_new_one_of_the_same_event_and_bytes(school, delivered):
    connected, claimed = delivered

    again = resend(school, claimed.id, NOW + SECOND)

    first, second = school.deliveries(connected)
    assert (first.id, second.id) == (claimed.id, again)
    assert second.event_id == first.event_id
    assert (second.kind, second.status) == (DeliveryKind.RESEND, DeliveryStatus.PENDING)
    assert read(school, first.id).delivery.status is DeliveryStatus.DELIVERED
    (sent,) = claim(school, NOW + SECOND)
    assert (sent.id, sent.event_id, sent.body) == (again, claimed.event_id, claimed.body)
    assert (sent.kind, sent.attempts) == (DeliveryKind.RESEND, 0)
    with school.database.snapshot() as tx:
        (entry,) = audit.list_changes_of(tx, school.organization.id, first.id)
    assert (entry.action, entry.after) == ("delivery.resend", {"delivery_id": again})


def test_what_retention_took_cannot_be_sent_again(school, delivered):
    _, claimed = delivered
    list(upkeep.forget_history(school.registrar, NOW + DAY))

    with pytest.raises(ConflictError, match="retention"):
        resend(school, claimed.id)


def test_the_deliveries_of_a_deleted_webhook_cannot_be_sent_again(school, delivered):
    connected, claimed = delivered
    webhooks.delete_webhook(school.registrar, school.admin, connected.webhook.id, NOW)

    with pytest.raises(NotFoundError):
        resend(school, claimed.id)


def test_an_unknown_delivery_or_event_is_not_found(school):
    for call in (read, resend):
        with pytest.raises(NotFoundError):
            call(school, new_id())
    with pytest.raises(NotFoundError):
        deliveries.get_event(school.registrar, school.admin, new_id())


def test_deliveries_are_listed_newest_first_in_pages_by_filters(school):
    connected = school.webhook()
    one, two = school.registrations(2)
    school.ask(two, Command.GRADE, grade="80", now=NOW + DAY)
    ids = [each.id for each in school.deliveries(connected)]
    told = [each.event for each in school.deliveries(connected)]

    def listed(page=None, **filters):
        found = deliveries.list_deliveries(
            school.registrar,
            school.admin,
            connected.webhook.id,
            DeliveryFilters(**filters),
            page or Page(),
        )
        return [each.id for each in found.items]

    assert listed() == ids[::-1]
    assert listed(Page(limit=1, offset=1)) == [ids[-2]]
    assert (
        listed(event="user_created")
        == [each for each, event in zip(ids, told, strict=True) if event == "user_created"][::-1]
    )
    assert listed(registration_id=one.id) == [ids[told.index("offering_registered")]]
    assert listed(registration_id=two.id, event="offering_completed") == [ids[-1]]
    assert listed(created=parse_date_filter("2026-03-03")) == [ids[-1]]
    assert listed(status="pending") == ids[::-1]
    assert listed(status="held") == []


def test_events_are_listed_newest_first_by_filters(school):
    one, two = school.registrations(2)
    school.ask(two, Command.GRADE, grade="80", now=NOW + DAY)

    def listed(page=None, **filters):
        found = deliveries.list_events(
            school.registrar, school.admin, EventFilters(**filters), page or Page()
        )
        return [(each.name, each.registration_id) for each in found.items]

    assert listed(registration_id=two.id) == [
        ("offering_completed", two.id),
        ("offering_registered", two.id),
    ]
    assert listed(event="offering_registered") == [
        ("offering_registered", two.id),
        ("offering_registered", one.id),
    ]
    assert listed(Page(limit=1)) == listed(created=parse_date_filter("2026-03-03"))
    assert len(listed(user_id=one.user_id)) == 2
    (event,) = school.events(event="offering_completed")
    assert deliveries.get_event(school.registrar, school.admin, event.id) == event
    assert (event.user_id, event.offering_id) == (two.user_id, two.offering_id)


def test_the_backlog_counts_what_waits_and_how_long(school, delivered):
    connected, _ = delivered
    paused = school.webhook(events=("offering_registered",))
    webhooks.pause_webhook(school.registrar, school.admin, paused.webhook.id, NOW)
    school.registration(now=NOW + SECOND)
    (claimed,) = claim(school, NOW + SECOND)
    record(school, claimed, DeliveryStatus.FAILED)
    school.registration(now=NOW + 2 * SECOND)
    school.registration(now=NOW + 3 * SECOND)

    backlog = deliveries.measure_backlog(school.registrar, NOW + 10 * SECOND)

    assert (backlog.pending, backlog.held, backlog.failed) == (2, 3, 1)
    assert (backlog.disabled_webhooks, backlog.oldest_pending_seconds) == (0, 8.0)
    if not school.database.is_postgres:  # whose own clock says since when
        assert backlog.overdue_seconds == 8.0
    assert connected.webhook.id != paused.webhook.id


def test_without_anything_waiting_the_backlog_is_nothing(school):
    backlog = deliveries.measure_backlog(school.registrar, NOW)

    assert (backlog.pending, backlog.oldest_pending_seconds) == (0, 0.0)


@pytest.mark.parametrize("kind", [DeliveryKind.LIVE, DeliveryKind.RESEND, DeliveryKind.TEST])
@pytest.mark.parametrize("event", ["user_created", "element_published", "offering_registered"])
def test_the_headers_shown_are_those_that_the_sender_sends(school, event, kind):
    connected = school.webhook(events=(event,), headers={"X-Key": "sesame"})
    webhook_id = connected.webhook.id
    school.element(school.course())
    school.registration(user=school.user())
    (claimed,) = claim(school)
    record(school, claimed, DeliveryStatus.DELIVERED)
    if kind is DeliveryKind.RESEND:
        resend(school, claimed.id)
    if kind is DeliveryKind.TEST:
        webhooks.test_webhook(school.registrar, school.admin, webhook_id, NOW)
    claimed = claimed if kind is DeliveryKind.LIVE else claim(school)[0]
    target = dispatching.read_targets(school.registrar, [webhook_id])[webhook_id]
    sender = Sender(target, school.database.seal, school.registrar.public_url)
    sent = sender.request(claimed, int(NOW.timestamp())).headers
    _, attempt = record(school, claimed, DeliveryStatus.DELIVERED)

    shown = read(school, claimed.id).request_headers(attempt)

    secret = {"x-key": "***", "webhook-signature": "v1,***"}
    assert shown == tuple((name, secret.get(name.lower(), value)) for name, value in sent)
    assert ("coursebell-delivery", kind.value) in shown


def test_the_trail_does_not_say_of_a_deleted_webhook_that_nothing_failed(school):
    webhook_id = school.webhook(events=("user_created",)).webhook.id
    school.user()
    (claimed,) = claim(school)
    record(school, claimed, DeliveryStatus.FAILED)

    webhooks.delete_webhook(school.registrar, school.admin, webhook_id, NOW)

    with school.database.snapshot() as tx:
        *_, entry = audit.list_changes_of(tx, school.organization.id, webhook_id)
    assert entry.action == "webhook.delete"
    assert "failed_deliveries" not in entry.before
