"""Sending the past again, and to a webhook that was not there yet."""

import json
from datetime import timedelta

import pytest

from coursebell.domain.completion import Command
from coursebell.domain.model import Attempt, DeliveryKind, DeliveryStatus, Payload
from coursebell.errors import ForbiddenError, InvalidInputError, NotFoundError
from coursebell.services import deliveries, dispatching, privacy, replaying, upkeep, webhooks
from coursebell.services.replaying import Past, Sent
from coursebell.storage import audit
from coursebell.storage.claims import Recorded
from factories import DAY, HOUR, NOW, open_school

STORY = ("offering_registered", "offering_completed")
LATER = NOW + DAY


def replay(school, connected, now=LATER, **past):
    wanted = Past(**({"since": NOW - HOUR} | past))
    return replaying.replay(school.registrar, school.admin, connected.webhook.id, wanted, now)


def backfill(school, connected, since=NOW - HOUR, now=LATER):
    return replaying.backfill(school.registrar, school.admin, connected.webhook.id, since, now)


def claim(school, now=LATER):
    return dispatching.claim(school.registrar, {}, 100, "1" * 32, 60, now).claimed


def record(school, claimed, status=DeliveryStatus.DELIVERED):
    attempt = Attempt(
        number=1,
        started_at=NOW,
        duration_ms=1,
        outcome="x",
        status_code=None,
        address=None,
        response_headers=None,
        response_body=None,
        truncated=False,
    )
    results = [
        Recorded(key=each.key, lease=each.lease, status=status, delay_seconds=-1.0, attempt=attempt)
        for each in claimed
    ]
    return dispatching.record(school.registrar, results, {}, LATER)


def deliver_all(school):
    while claimed := claim(school):
        record(school, claimed)


@pytest.fixture(params=[1, 500])
def step(request, monkeypatch):
    monkeypatch.setattr(replaying, "_STEP", request.param)


def kinds(school, connected):
    return [each.kind.value for each in school.deliveries(connected)]


# --- replay


def test_a_replay_sends_each_event_once_more_in_order_with_its_mark_and_bytes(school, step):
    connected = school.webhook(events=STORY, payload=Payload.IDS)
    registrations = school.registrations(2)
    deliver_all(school)
    first = school.deliveries(connected)[0]
    deliveries.resend(school.registrar, school.admin, first.id, LATER)
    deliver_all(school)

    sent = replay(school, connected)

    assert sent == Sent(deliveries=2, gone=0)
    again = claim(school)
    assert [each.kind for each in again] == [DeliveryKind.REPLAY] * 2
    assert [each.registration_id for each in again] == [each.id for each in registrations]
    assert again[0].event_id == first.event_id
    assert list(json.loads(again[0].body)["user"]) == ["id"]


def test_a_replay_is_of_the_time_the_event_and_the_state_that_were_asked_for(school):
    connected = school.webhook(events=STORY)
    _, two = school.registrations(2)
    record(school, claim(school), DeliveryStatus.FAILED)
    school.ask(two, Command.GRADE, grade="80", now=NOW + 2 * HOUR)
    deliver_all(school)

    assert replay(school, connected, event="offering_completed").deliveries == 1
    assert replay(school, connected, status=DeliveryStatus.FAILED).deliveries == 2
    assert replay(school, connected, since=NOW + HOUR).deliveries == 1
    assert replay(school, connected, until=NOW).deliveries == 0
    assert replay(school, connected, until=NOW + HOUR).deliveries == 2


@pytest.mark.parametrize(
    ("status", "of_active", "of_paused"),
    [
        (DeliveryStatus.DELIVERED, 1, 1),
        (DeliveryStatus.FAILED, 1, 0),  # by then it is on its way
        (DeliveryStatus.CANCELLED, 1, 1),
        (DeliveryStatus.PENDING, 2, 0),
        (DeliveryStatus.HELD, 0, 2),
        (None, 5, 5),
    ],
)
def test_a_replay_of_a_state_is_of_the_deliveries_that_are_shown_in_it(
    school, status, of_active, of_paused
):
    connected = school.webhook(events=("offering_registered",))
    _, _, third, *_ = school.registrations(5)
    first, second, *rest = claim(school)
    record(school, [first])
    record(school, [second], DeliveryStatus.FAILED)
    dispatching.give_back(school.registrar, {each.key: each.lease for each in rest}, NOW)
    privacy.erase_user(school.registrar, school.admin, third.user_id, "asked", NOW)

    active = replay(school, connected, status=status).deliveries
    webhooks.pause_webhook(school.registrar, school.admin, connected.webhook.id, NOW)
    paused = replay(school, connected, status=status).deliveries

    assert (active, paused) == (of_active, of_paused)


def lost(school, connected):
    """How many deliveries failed, as the webhook shows it, and the operator's gauge."""
    shown = webhooks.get_webhook(school.registrar, school.admin, connected.webhook.id)
    return shown.failed_deliveries, deliveries.measure_backlog(school.registrar, LATER).failed


def test_what_failed_is_lost_until_it_is_sent_again_and_replayed_only_then(school):
    connected, other = school.webhook(events=STORY), school.webhook(events=STORY)
    school.registrations(2)
    record(school, claim(school), DeliveryStatus.FAILED)
    assert lost(school, connected) == (2, 4)

    failed = {"status": DeliveryStatus.FAILED}
    assert replay(school, connected, **failed).deliveries == 2
    assert lost(school, connected) == (0, 2)
    assert replay(school, connected, **failed).deliveries == 0  # they are on their way

    record(school, claim(school), DeliveryStatus.FAILED)
    assert lost(school, connected) == (2, 4)
    assert replay(school, connected, **failed).deliveries == 2

    record(school, claim(school))
    assert lost(school, connected) == (0, 2)
    assert replay(school, connected, **failed).deliveries == 0
    assert lost(school, other) == (2, 2)


def test_a_test_that_fails_loses_nothing(school):
    connected = school.webhook()
    webhooks.test_webhook(school.registrar, school.admin, connected.webhook.id, NOW)
    record(school, claim(school), DeliveryStatus.FAILED)

    assert lost(school, connected) == (0, 0)


def test_a_replay_comes_to_an_end_while_events_go_on_happening(school, monkeypatch):
    monkeypatch.setattr(replaying, "_STEP", 1)
    connected = school.webhook(events=STORY)
    school.registrations(2)
    deliver_all(school)

    def happen(sent):
        assert sent <= 2
        school.registration()

    past = Past(since=NOW - HOUR)
    webhook_id = connected.webhook.id
    sent = replaying.replay(school.registrar, school.admin, webhook_id, past, LATER, happen)

    assert sent.deliveries == 2
    assert sorted(kinds(school, connected)) == ["live"] * 4 + ["replay"] * 2


def test_replayed_deliveries_do_not_wait_for_each_other(school):
    connected = school.webhook(events=STORY)
    registration = school.registration()
    school.ask(registration, Command.GRADE, grade="80")
    deliver_all(school)

    replay(school, connected)

    assert [each.event for each in claim(school)] == list(STORY)


def test_what_is_replayed_to_a_paused_webhook_is_held(school):
    connected = school.webhook(events=STORY)
    school.registration()
    webhooks.pause_webhook(school.registrar, school.admin, connected.webhook.id, NOW)

    assert replay(school, connected).deliveries == 1
    assert [each.status for each in school.deliveries(connected)] == ["held"] * 2


def test_what_retention_took_is_counted(school):
    connected = school.webhook(events=STORY)
    late = school.webhook(events=STORY)
    school.registrations(2)
    deliver_all(school)
    list(upkeep.forget_history(school.registrar, NOW + DAY))

    assert replay(school, connected) == Sent(deliveries=0, gone=2)
    fresh = school.webhook(events=STORY)
    assert backfill(school, fresh) == Sent(deliveries=0, gone=2)
    assert len(school.deliveries(late)) == 2


# --- backfill


def test_a_new_webhook_gets_what_it_wants_of_the_past_in_its_profile_once(school, step):
    passed, failed = school.registrations(2)
    for registration, grade in ((passed, "80"), (failed, "20")):
        school.ask(registration, Command.GRADE, grade=grade)
    late = school.webhook(events=STORY, payload=Payload.THIN, filters={"registration.passed": True})

    assert backfill(school, late) == Sent(deliveries=1, gone=0)
    assert backfill(school, late) == Sent(deliveries=0, gone=0)

    (sent,) = claim(school)
    assert (sent.kind, sent.event) == (DeliveryKind.BACKFILL, "offering_completed")
    body = json.loads(sent.body)
    assert body["user"] == {"id": passed.user_id}
    assert body["link"].endswith(f"/registrations/{passed.id}")


def test_a_backfill_keeps_the_order_of_each_registration(school, step):
    registration = school.registration()
    school.ask(registration, Command.GRADE, grade="80")
    late = school.webhook(events=STORY)

    backfill(school, late)

    order = []
    while claimed := claim(school):
        order += [each.event for each in claimed]
        record(school, claimed)
    assert order == list(STORY)
    assert kinds(school, late) == ["backfill"] * 2


def test_what_is_on_its_way_waits_for_what_is_backfilled_before_it(school):
    registration = school.registration()
    late = school.webhook(events=STORY)
    school.ask(registration, Command.GRADE, grade="80")

    backfill(school, late)

    (first,) = claim(school)
    assert (first.kind, first.event) == (DeliveryKind.BACKFILL, "offering_registered")
    record(school, [first])
    (second,) = claim(school)
    assert (second.kind, second.event) == (DeliveryKind.LIVE, "offering_completed")


def test_what_is_being_sent_already_is_not_held_back(school):
    registration = school.registration()
    late = school.webhook(events=STORY)
    school.ask(registration, Command.GRADE, grade="80")
    (sent,) = claim(school)

    backfill(school, late)

    assert record(school, [sent]).keys == {sent.key}
    assert [each.event for each in claim(school)] == ["offering_registered"]


def fail(school, claimed):
    record(school, claimed, DeliveryStatus.PENDING)


def give_back(school, claimed):
    leases = {each.key: each.lease for each in claimed}
    dispatching.give_back(school.registrar, leases, LATER)


def lose(school, claimed):
    """The dispatcher that has them is killed, and the next one starts."""
    dispatching.recover(school.registrar, LATER)


@pytest.mark.parametrize("leave", [fail, give_back, lose])
def test_what_was_in_hand_and_is_not_delivered_waits_for_what_was_backfilled_before_it(
    school, leave
):
    registration = school.registration()
    late = school.webhook(events=STORY)
    school.ask(registration, Command.GRADE, grade="80")
    in_hand = claim(school)
    backfill(school, late)

    leave(school, in_hand)

    first = claim(school)
    assert [each.event for each in first] == ["offering_registered"]
    record(school, first)
    assert [each.event for each in claim(school)] == ["offering_completed"]


def test_a_backfill_begins_where_it_is_told(school):
    school.registrations(2)
    school.registration(now=NOW + 2 * HOUR)
    late = school.webhook(events=STORY)

    assert backfill(school, late, since=NOW + HOUR).deliveries == 1


# --- who may, and what makes no sense


def test_both_are_in_the_trail(school):
    connected = school.webhook(events=STORY)
    school.registration()
    replay(school, connected)
    backfill(school, connected)

    with school.database.snapshot() as tx:
        entries = audit.list_changes_of(tx, school.organization.id, connected.webhook.id)

    assert [(each.action, each.after) for each in entries[1:]] == [
        ("webhook.replay", {"deliveries": 1}),
        ("webhook.backfill", {"deliveries": 0}),
    ]


def test_the_future_cannot_be_sent(school):
    connected = school.webhook()

    for act in (replay, backfill):
        with pytest.raises(InvalidInputError) as refused:
            act(school, connected, since=LATER + timedelta(seconds=1))
        assert list(refused.value.field_errors) == ["since"]
    with pytest.raises(InvalidInputError) as refused:
        replay(school, connected, until=NOW - HOUR)
    assert list(refused.value.field_errors) == ["until"]


def test_only_administrators_of_the_organization_may(school):
    connected = school.webhook()
    other = open_school(school.database)

    past = Past(since=NOW)
    for who, error in ((school.instructor(), ForbiddenError), (other.admin, NotFoundError)):
        with pytest.raises(error):
            replaying.replay(school.registrar, who, connected.webhook.id, past, LATER)
        with pytest.raises(error):
            replaying.backfill(school.registrar, who, connected.webhook.id, NOW, LATER)
