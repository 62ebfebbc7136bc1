"""Webhooks: connecting, changing, pausing, testing, removing; and what each is told."""

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa

from coursebell.domain.completion import Command
from coursebell.domain.events import EventName
from coursebell.domain.lists import Page
from coursebell.domain.model import (
    DeliveryKind,
    DeliveryStatus,
    Method,
    Payload,
    WebhookStatus,
    new_id,
)
from coursebell.domain.retry import DEFAULT_SCHEDULE
from coursebell.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from coursebell.services import deliveries, dispatching, webhooks
from coursebell.services.webhooks import NewWebhook, WebhookChanges
from coursebell.storage import audit
from coursebell.storage.seal import Seal
from coursebell.storage.tables import metadata
from coursebell.storage.tables import webhooks as webhook_rows
from coursebell.storage.webhooks import list_targets, open_headers, open_secret
from factories import EVERYTHING, NOW, open_school


def change(school, connected, **changes):
    return webhooks.change_webhook(
        school.registrar, school.admin, connected.webhook.id, WebhookChanges(**changes), NOW
    )


def read(school, connected):
    return webhooks.get_webhook(school.registrar, school.admin, connected.webhook.id)


def bodies(school, connected) -> list[dict]:
    """What the dispatcher would send this webhook now."""
    batch = dispatching.claim(school.registrar, {}, 100, "1" * 32, 60, NOW)
    return [
        json.loads(each.body) for each in batch.claimed if each.webhook_id == connected.webhook.id
    ]


def pause(school, connected):
    webhooks.pause_webhook(school.registrar, school.admin, connected.webhook.id, NOW)


def resume(school, connected):
    webhooks.resume_webhook(school.registrar, school.admin, connected.webhook.id, NOW)


def delete(school, connected):
    webhooks.delete_webhook(school.registrar, school.admin, connected.webhook.id, NOW)


def test(school, connected):
    return webhooks.test_webhook(school.registrar, school.admin, connected.webhook.id, NOW)


test.__test__ = False  # it sends one; it is none


def disable(school, connected):
    """As the dispatcher does when the receiver answers 410."""
    with school.database.snapshot() as tx:
        targets = list_targets(tx, [connected.webhook.id])
    dispatching.record(school.registrar, [], targets, NOW)


def statuses(school, connected) -> list[str]:
    return [delivery.status.value for delivery in school.deliveries(connected)]


# --- connecting and changing


def test_a_webhook_has_the_contracts_defaults(school):
    made = school.webhook(url="http://127.0.0.1:9/hook", events=("offering_completed",))

    webhook = read(school, made)

    assert webhook == made.webhook
    assert (webhook.name, webhook.url) == ("http://127.0.0.1:9/hook", "http://127.0.0.1:9/hook")
    assert (webhook.method, webhook.payload) == (Method.POST, Payload.FULL)
    assert (webhook.timeout_seconds, webhook.max_in_flight) == (5, 8)
    assert webhook.retry_schedule == DEFAULT_SCHEDULE
    assert webhook.retry_schedule == (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
    assert (webhook.rate_per_second, dict(webhook.filters)) == (None, {})
    assert (webhook.status, webhook.disabled_reason) == (WebhookStatus.ACTIVE, None)


def test_a_webhook_keeps_what_it_is_given(school):
    made = school.webhook(
        name="LMS",
        method=Method.PUT,
        filters={"offering.id": ["a" * 32], "registration.passed": True},
        headers={"X-Key": "k", "X-Other": ""},
        payload=Payload.THIN,
        timeout_seconds=30,
        retry_schedule=(),
        max_in_flight=1,
        rate_per_second=2,
        events=("offering_completed", "user_created", "offering_completed"),
    )

    webhook = read(school, made)

    assert webhook == made.webhook
    assert webhook.events == ("offering_completed", "user_created")
    assert webhook.header_names == ("X-Key", "X-Other")
    assert webhook.retry_schedule == ()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"events": ()}, "events"),
        ({"events": ("offering_completed", "offering_deleted")}, "events"),
        ({"filters": {"offering.name": "x"}}, "filters.offering.name"),
        ({"url": "ftp://school.example/"}, "url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "http://user@school.example/"}, "url"),
        ({"headers": {"webhook-id": "x"}}, "headers"),
    ],
)
def test_a_bad_value_is_refused_by_its_name_and_changes_nothing(school, fields, named):
    made = school.webhook()

    with pytest.raises(InvalidInputError) as new:
        school.webhook(**fields)
    with pytest.raises(InvalidInputError) as changed:
        change(school, made, **fields)

    assert list(new.value.field_errors) == list(changed.value.field_errors) == [named]
    assert read(school, made) == made.webhook


def test_a_thin_payload_needs_a_public_url(database):
    school = open_school(database, public_url=None)

    with pytest.raises(InvalidInputError) as refused:
        school.webhook(payload=Payload.THIN)

    assert list(refused.value.field_errors) == ["payload"]


def test_what_is_not_named_keeps_its_value_and_headers_are_replaced_as_a_whole(school):
    made = school.webhook(headers={"X-Key": "one"}, rate_per_second=3)

    renamed = change(school, made, name="Other")
    changed = change(school, made, headers={"X-New": "two"}, rate_per_second=None)

    assert renamed == replace(made.webhook, name="Other", failed_deliveries=None)
    assert changed == replace(renamed, header_names=("X-New",), rate_per_second=None)
    assert read(school, made) == replace(changed, failed_deliveries=0)
    assert opened(school, made) == ({"X-New": "two"}, made.secret)
    assert change(school, made, headers={}).header_names == ()
    assert opened(school, made) == ({}, made.secret)


def opened(school, connected):
    """Headers and secret as the dispatcher reads them."""
    with school.database.snapshot() as tx:
        target = list_targets(tx, [connected.webhook.id])[connected.webhook.id]
    seal = school.database.seal
    return open_headers(target, seal), open_secret(target, seal)


def test_nothing_secret_lies_in_the_database_in_the_clear(school, tmp_path):
    made = school.webhook(headers={"X-Key": "open-sesame-header"})
    change(school, made, headers={"X-Key": "open-sesame-changed"})
    other = school.webhook(headers={"X-Key": "open-sesame-header"})

    with school.database.snapshot() as tx:
        everything = repr([tx.execute(sa.select(each)).all() for each in metadata.sorted_tables])
    files = b"".join(path.read_bytes() for path in tmp_path.glob("coursebell.db*"))

    assert "X-Key" in everything  # names are for all to see
    for secret in (made.secret, made.secret.removeprefix("whsec_"), "open-sesame"):
        assert secret not in everything
        assert secret.encode() not in files
    assert opened(school, made) == ({"X-Key": "open-sesame-changed"}, made.secret)
    assert made.secret != other.secret
    assert made.secret.startswith("whsec_")


def test_secrets_are_opened_with_older_keys_too(school, secret_key):
    made = school.webhook()
    with school.database.snapshot() as tx:
        target = list_targets(tx, [made.webhook.id])[made.webhook.id]

    assert open_secret(target, Seal(["a newer key", secret_key])) == made.secret


def test_webhooks_are_for_administrators_of_the_organization(school):
    made = school.webhook()
    delivery_id = test(school, made)
    event_id = deliveries.get_delivery(school.registrar, school.admin, delivery_id)
    new = NewWebhook(url="http://127.0.0.1:9/", events=EVERYTHING)
    other = open_school(school.database)
    calls = [
        lambda who: webhooks.get_webhook(school.registrar, who, made.webhook.id),
        lambda who: webhooks.change_webhook(
            school.registrar, who, made.webhook.id, WebhookChanges(name="X"), NOW
        ),
        lambda who: webhooks.pause_webhook(school.registrar, who, made.webhook.id, NOW),
        lambda who: webhooks.resume_webhook(school.registrar, who, made.webhook.id, NOW),
        lambda who: webhooks.test_webhook(school.registrar, who, made.webhook.id, NOW),
        lambda who: deliveries.list_deliveries(
            school.registrar, who, made.webhook.id, deliveries.DeliveryFilters(), Page()
        ),
        lambda who: deliveries.get_delivery(school.registrar, who, delivery_id),
        lambda who: deliveries.resend(school.registrar, who, delivery_id, NOW),
        lambda who: deliveries.get_event(school.registrar, who, event_id.delivery.event_id),
        lambda who: webhooks.delete_webhook(school.registrar, who, made.webhook.id, NOW),
    ]
    lists = [
        lambda who: webhooks.create_webhook(school.registrar, who, new, NOW),
        lambda who: webhooks.list_webhooks(school.registrar, who, Page()),
        lambda who: deliveries.list_events(
            school.registrar, who, deliveries.EventFilters(), Page()
        ),
    ]

    for call in calls + lists:
        for actor in (school.learner(), school.instructor()):
            with pytest.raises(ForbiddenError):
                call(actor)
    for call in calls:
        with pytest.raises(NotFoundError):
            call(other.admin)
    assert lists[1](other.admin).items == []


def test_webhooks_are_listed_in_order_without_the_deleted(school):
    made = [school.webhook() for _ in range(3)]
    delete(school, made[1])

    found = webhooks.list_webhooks(school.registrar, school.admin, Page())

    assert list(found.items) == [made[0].webhook, made[2].webhook]
    with pytest.raises(NotFoundError):
        read(school, made[1])
    with pytest.raises(NotFoundError):
        delete(school, made[1])


def test_changes_are_in_the_trail_and_secrets_are_not(school):
    made = school.webhook(headers={"X-Key": "open-sesame"})
    change(school, made, name="Other", headers={"X-Key": "open-sesame"})
    pause(school, made)
    resume(school, made)
    delete(school, made)

    with school.database.snapshot() as tx:
        entries = audit.list_changes_of(tx, school.organization.id, made.webhook.id)

    assert [entry.action for entry in entries] == [
        "webhook.create",
        "webhook.update",
        "webhook.pause",
        "webhook.resume",
        "webhook.delete",
    ]
    assert (entries[1].before, entries[1].after) == (
        {"name": "http://127.0.0.1:9/"},
        {"name": "Other"},
    )
    assert (entries[2].before, entries[2].after) == ({"status": "active"}, {"status": "paused"})
    for secret in (made.secret, "open-sesame"):
        assert secret not in repr(entries)


# --- what each is told


def test_a_webhook_is_told_the_events_it_names_and_no_others(school):
    named = school.webhook(events=("offering_completed",))
    both = school.webhook(events=("offering_registered", "offering_completed"))

    registration = school.registration()
    school.ask(registration, Command.GRADE, grade="80")
    school.ask(registration, Command.GRADE, grade="90")

    assert [each.event for each in school.deliveries(named)] == ["offering_completed"]
    assert [each.event for each in school.deliveries(both)] == [
        "offering_registered",
        "offering_completed",
    ]


def test_every_webhook_is_told_of_the_same_event(school):
    made = [school.webhook() for _ in range(3)]

    school.registration()

    (event,) = school.events(event="offering_registered")
    for connected in made:
        (delivery,) = school.deliveries(connected, event="offering_registered")
        assert delivery.event_id == event.id
        assert delivery.registration_id == event.registration_id
        assert (delivery.kind, delivery.status) == (DeliveryKind.LIVE, DeliveryStatus.PENDING)
        assert (delivery.attempts, delivery.last_outcome) == (0, None)
        assert delivery.next_attempt_at is not None


def test_a_webhook_gets_nothing_from_before_it_was_there(school):
    registration = school.registration()

    late = school.webhook()
    school.ask(registration, Command.GRADE, grade="80")

    assert [each.event for each in school.deliveries(late)] == ["offering_completed"]


def test_nobody_hears_of_another_organization(school):
    other = open_school(school.database)
    connected = other.webhook()

    school.registration()

    assert school.events(event="offering_registered")
    assert other.deliveries(connected) == []


def test_filters_decide_at_commit(school):
    passed = school.webhook(filters={"registration.passed": True})
    failed = school.webhook(filters={"registration.passed": False, "source": "ADMIN"})
    one, two = school.registrations(2)

    school.ask(one, Command.GRADE, grade="80")
    school.ask(two, Command.GRADE, grade="20")
    change(school, failed, filters={"registration.passed": True})

    assert [each.registration_id for each in school.deliveries(passed)] == [one.id]
    assert [each.registration_id for each in school.deliveries(failed)] == [two.id]


def test_each_payload_profile_is_told_as_much_as_it_asked_for(school):
    full, ids, thin = (school.webhook(payload=payload) for payload in Payload)
    registration = school.registration()

    (whole,) = school.documents(registration=registration)

    link = f"https://bell.example/api/v5/registrations/{registration.id}"
    assert whole["user"]["email"]
    reduced = {
        "event": "offering_registered",
        "date": "2026-03-02T10:00:00Z",
        "source": "ADMIN",
        "user": {"id": registration.user_id},
        "registration": {"id": registration.id},
        "offering": {"id": registration.offering_id},
    }
    batch = dispatching.claim(school.registrar, {}, 100, "1" * 32, 60, NOW)
    sent = {
        each.webhook_id: json.loads(each.body)
        for each in batch.claimed
        if each.event == "offering_registered"
    }
    assert sent == {
        full.webhook.id: whole,
        ids.webhook.id: reduced,
        thin.webhook.id: reduced | {"link": link},
    }


def test_the_payload_is_that_of_the_commit_whatever_changes_later(school):
    made = school.webhook(payload=Payload.IDS, events=("offering_registered",))
    registration = school.registration()

    change(school, made, payload=Payload.FULL)

    (body,) = bodies(school, made)
    assert body["user"] == {"id": registration.user_id}


# --- pausing, disabling, deleting


def test_a_paused_webhook_holds_what_it_misses_and_gets_it_when_resumed(school):
    made = school.webhook(events=("offering_registered",))
    school.registration()
    pause(school, made)
    school.registration()
    held = statuses(school, made)
    claimed = bodies(school, made)
    resume(school, made)

    assert held == ["held", "held"]
    assert claimed == []
    assert statuses(school, made) == ["pending", "pending"]
    assert len(bodies(school, made)) == 2


def test_pausing_and_resuming_twice_change_nothing(school):
    made = school.webhook()
    for do in (pause, pause, resume, resume):
        do(school, made)

    with school.database.snapshot() as tx:
        entries = audit.list_changes_of(tx, school.organization.id, made.webhook.id)

    assert len(entries) == 3
    assert read(school, made).status is WebhookStatus.ACTIVE


def test_a_webhook_that_is_gone_is_disabled_with_the_reason_and_holds(school):
    made = school.webhook(events=("offering_registered",))
    school.registration()

    disable(school, made)
    disable(school, made)
    school.registration()

    webhook = read(school, made)
    assert webhook.status is WebhookStatus.DISABLED
    assert "410" in webhook.disabled_reason
    assert statuses(school, made) == ["held", "held"]
    with pytest.raises(ConflictError, match="410"):
        pause(school, made)
    resume(school, made)
    assert read(school, made).disabled_reason is None
    assert statuses(school, made) == ["pending", "pending"]


def test_deleting_cancels_what_is_open_and_keeps_history(school):
    made = school.webhook(events=("offering_registered",))
    school.registration()
    (pending,) = school.deliveries(made)
    pause(school, made)
    school.registration()
    delete(school, made)

    school.registration()

    delivery = deliveries.get_delivery(school.registrar, school.admin, pending.id).delivery
    assert (delivery.status, delivery.finished_at) == (DeliveryStatus.CANCELLED, NOW)
    assert delivery.next_attempt_at is None
    with school.database.snapshot() as tx:
        rows = tx.execute(sa.select(sa.func.count()).select_from(metadata.tables["deliveries"]))
        assert rows.scalar_one() == 2
        row = tx.execute(sa.select(webhook_rows.c.deleted_at)).scalar_one()
    assert row == NOW


# --- tests


@pytest.mark.parametrize("name", EventName)
def test_a_test_delivery_looks_like_its_first_event_and_never_happened(school, name):
    made = school.webhook(events=(name.value,))
    before = school.events()

    delivery_id = test(school, made)

    (delivery,) = school.deliveries(made)
    assert (delivery.id, delivery.kind, delivery.event) == (delivery_id, DeliveryKind.TEST, name)
    (body,) = bodies(school, made)
    assert body["event"] == name
    assert school.events() == before
    with pytest.raises(NotFoundError):
        deliveries.get_event(school.registrar, school.admin, delivery.event_id)


def test_a_test_has_the_webhooks_payload_profile(school):
    made = school.webhook(events=("offering_completed",), payload=Payload.THIN)

    test(school, made)

    (body,) = bodies(school, made)
    assert list(body["user"]) == ["id"]
    assert body["link"].startswith("https://bell.example/api/v5/registrations/")


@pytest.mark.parametrize("stop", [pause, disable])
def test_what_is_paused_or_disabled_is_neither_tested_nor_resent(school, stop):
    made = school.webhook()
    delivery_id = test(school, made)
    stop(school, made)

    with pytest.raises(ConflictError):
        test(school, made)
    with pytest.raises(ConflictError):
        deliveries.resend(school.registrar, school.admin, delivery_id, NOW)


def test_an_unknown_webhook_is_neither_tested_nor_paused(school):
    nobody = replace(school.webhook(), webhook=replace(school.webhook().webhook, id=new_id()))

    for do in (test, pause, resume, delete, read):
        with pytest.raises(NotFoundError):
            do(school, nobody)
