"""The dispatcher at work: a real database, real receivers on loopback, a thread of its own."""

import json
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from coursebell import __version__
from coursebell.delivery.clock import WallClock
from coursebell.domain.health import Health
from coursebell.domain.instants import format_instant
from coursebell.domain.model import Method, Payload, WebhookStatus
from coursebell.services import deliveries, privacy, rotation, webhooks
from coursebell.services.webhooks import WebhookChanges
from coursebell.storage import health as stored_health
from coursebell.storage import webhooks as stored_webhooks
from coursebell.storage.database import Database
from coursebell.storage.tables import deliveries as deliveries_table
from coursebell.storage.tables import events as events_table
from coursebell_receiver import verify
from delivery.engine import (
    INTERNAL_ERROR,
    Gate,
    LossyWay,
    attempts_of,
    body_of,
    headers_of,
    no_descriptors,
    people,
    running,
    statuses,
    wait_until,
)
from delivery.hostile import NO_CONTENT, Receiver, answers, answers_and_closes, hangs_after
from factories import School, open_school

REGISTRATION_EVENTS = ("offering_registered",)
GONE = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def school(database: Database) -> School:
    return open_school(database, now=datetime.now(UTC))


@pytest.fixture
def started(database_url, secret_key):
    """Starts a dispatcher on the test's database."""

    def start(**options):
        return running(database_url, secret_key, **options)

    return start


def change(school, webhook, **changes):
    webhooks.change_webhook(
        school.registrar,
        school.admin,
        webhook.webhook.id,
        WebhookChanges(**changes),
        datetime.now(UTC),
    )


def shown(school, webhook):
    return webhooks.get_webhook(school.registrar, school.admin, webhook.webhook.id)


def settled(school, webhook, *wanted):
    """Whether the deliveries of the webhook have exactly these statuses."""
    return lambda: sorted(statuses(school, webhook)) == sorted(wanted)


# What is sent


def test_a_registrations_event_is_sent_as_the_contract_says(school, started):
    with Receiver(answers(NO_CONTENT)) as receiver:
        webhook = school.webhook(
            url=receiver.url,
            events=("offering_registered",),
            headers={"X-Key": "sesame", "Authorization": "Bearer abc"},
        )
        registration = school.registration(now=datetime.now(UTC))
        with started(public_url=school.registrar.public_url):
            wait_until(settled(school, webhook, "delivered"))

    (request,) = receiver.requests
    (event,) = school.events(event="offering_registered")
    assert request.startswith(b"POST /hook HTTP/1.1\r\n")
    assert body_of(request) == event.body
    headers = headers_of(request)
    verify(headers, body_of(request), [webhook.secret])
    (attempt,) = attempts_of(school, school.deliveries(webhook)[0])
    assert headers.pop("webhook-timestamp") == str(int(attempt.started_at.timestamp()))
    assert headers.pop("webhook-signature").startswith("v1,")
    assert headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "content-length": str(len(event.body)),
        "content-type": "application/json",
        "user-agent": f"Coursebell/{__version__}",
        "webhook-id": event.id,
        "ce-specversion": "1.0",
        "ce-id": event.id,
        "ce-type": "offering_registered",
        "ce-source": f"https://bell.example/organizations/{school.organization.id}",
        "ce-time": format_instant(event.occurred_at),
        "ce-subject": registration.id,
        "ce-registrationseq": "1",
        "coursebell-delivery": "live",
        "x-key": "sesame",
        "authorization": "Bearer abc",
    }
    tried = deliveries.get_delivery(
        school.registrar, school.admin, school.deliveries(webhook)[0].id
    )
    rebuilt = {name.lower(): value for name, value in tried.request_headers(attempt)}
    sent = headers_of(request)
    assert rebuilt.keys() == sent.keys() - {"host", "content-length"}
    masked = {name for name, value in rebuilt.items() if "***" in value}
    assert masked == {"x-key", "authorization", "webhook-signature"}
    assert all(rebuilt[name] == sent[name] for name in rebuilt.keys() - masked)


def test_a_users_event_has_no_registration_and_an_urn_without_a_public_url(school, started):
    with Receiver(answers(NO_CONTENT)) as receiver:
        webhook = school.webhook(url=receiver.url, method=Method.PUT, payload=Payload.IDS)
        user = school.user(now=datetime.now(UTC))
        with started(public_url=None):
            wait_until(settled(school, webhook, "delivered"))

    (request,) = receiver.requests
    headers = headers_of(request)
    assert request.startswith(b"PUT /hook HTTP/1.1\r\n")
    assert json.loads(body_of(request))["user"] == {"id": user.id}
    assert headers["ce-subject"] == user.id
    assert headers["ce-source"] == f"urn:coursebell:{school.organization.id}"
    assert "ce-registrationseq" not in headers


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_comes_by_the_clock_before_when_it_was_set_back_is_sent_soon(
    school, started, monkeypatch
):
    monkeypatch.setattr("coursebell.delivery.dispatcher._STRAGGLING_SECONDS", 1.0)
    ahead = [timedelta(hours=1)]
    clock = WallClock(lambda: time.time() + ahead[0].total_seconds())
    with (
        Receiver(answers(NO_CONTENT)) as receiver,
        started(clock=clock) as engine,
        capture_logs() as logs,
    ):
        webhook = school.webhook(url=receiver.url, events=("user_created",))
        wait_until(lambda: engine.client.turns)
        late = datetime.now(UTC) + ahead[0]
        ahead[0] = timedelta(0)
        wait_until(lambda: "clock.stepped" in [each["event"] for each in logs])
        people(school, 1, late)

        wait_until(settled(school, webhook, "delivered"))


def test_a_test_and_a_resend_say_so_and_a_resend_keeps_its_event(school, started):
    with Receiver(answers(NO_CONTENT)) as receiver, started():
        webhook = school.webhook(url=receiver.url, events=("user_created",))
        people(school, 1)
        (live,) = school.deliveries(webhook)
        wait_until(settled(school, webhook, "delivered"))
        now = datetime.now(UTC)
        deliveries.resend(school.registrar, school.admin, live.id, now)
        wait_until(settled(school, webhook, "delivered", "delivered"))
        webhooks.test_webhook(school.registrar, school.admin, webhook.webhook.id, now)
        wait_until(settled(school, webhook, *["delivered"] * 3))

    first, again, sample = (headers_of(each) for each in receiver.requests)
    kinds = [each["coursebell-delivery"] for each in (first, again, sample)]
    assert kinds == ["live", "resend", "test"]
    assert first["webhook-id"] == again["webhook-id"] != sample["webhook-id"]
    for request in receiver.requests:
        verify(headers_of(request), body_of(request), [webhook.secret])


# Retrying


def test_each_attempt_sends_the_stored_bytes_and_is_signed_for_its_own_time(school, started):
    with Receiver(answers(INTERNAL_ERROR, NO_CONTENT)) as receiver, started():
        webhook = school.webhook(url=receiver.url, retry_schedule=(2,))
        people(school, 1)
        wait_until(settled(school, webhook, "delivered"))

    first, second = receiver.requests
    assert body_of(first) == body_of(second) == school.events()[-1].body
    one, two = headers_of(first), headers_of(second)
    assert one["webhook-id"] == two["webhook-id"]
    assert int(two["webhook-timestamp"]) > int(one["webhook-timestamp"])
    assert two["webhook-signature"] != one["webhook-signature"]
    verify(two, body_of(second), [webhook.secret])
    start, again = (each.started_at for each in attempts_of(school, school.deliveries(webhook)[0]))
    assert (again - start).total_seconds() >= 2 * 0.9


def test_the_schedule_is_followed_to_its_end_and_every_attempt_is_kept(school, started):
    body = b"x" * 5000
    answer = b"HTTP/1.1 500 Oh dear\r\nX-Long: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        b"y" * 3000,
        len(body),
        body,
    )

    with Receiver(answers(answer)) as receiver, capture_logs() as logs, started() as engine:
        webhook = school.webhook(url=receiver.url, retry_schedule=(0, 0))
        people(school, 1)
        wait_until(settled(school, webhook, "failed"))

    (delivery,) = school.deliveries(webhook)
    assert (delivery.attempts, delivery.last_outcome) == (3, "http_500")
    assert delivery.finished_at is not None
    assert delivery.next_attempt_at is None
    attempts = attempts_of(school, delivery)
    assert [each.number for each in attempts] == [1, 2, 3]
    for attempt in attempts:
        assert (attempt.outcome, attempt.status_code) == ("http_500", 500)
        assert attempt.address == "127.0.0.1"
        assert attempt.response_headers.startswith("HTTP/1.1 500 Oh dear\r\nX-Long: yyy")
        assert len(attempt.response_headers) == 2048
        assert attempt.response_body == body[:4096]
    assert len(receiver.requests) == 3
    assert engine.observed == ["http_500"] * 3
    levels = [each["log_level"] for each in logs if each["event"] == "delivery.attempted"]
    assert levels == ["info", "info", "error"]
    assert shown(school, webhook).failed_deliveries == 1


def test_a_receiver_that_repeats_its_secrets_does_not_get_them_written_down(school, started):
    known = []

    def repeat(receiver, connection):
        while receiver.read_request(connection):
            body = " ".join([*known, known[0].removeprefix("whsec_").replace("/", r"\/")])
            head = f"HTTP/1.1 500 Oh\r\nX-Key: {known[0]}\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall((head + body).encode())

    with Receiver(repeat) as receiver, started():
        webhook = school.webhook(url=receiver.url, retry_schedule=())
        asked = (school.registrar, school.admin, webhook.webhook.id, 3600, datetime.now(UTC))
        known += [webhook.secret, rotation.rotate_secret(*asked).secret]
        people(school, 1)
        wait_until(settled(school, webhook, "failed"))

    (attempt,) = attempts_of(school, school.deliveries(webhook)[0])
    assert "X-Key: whsec_***" in attempt.response_headers
    assert attempt.response_body.decode().replace("=", "") == "whsec_*** whsec_*** ***"
    assert known[0][6:20] not in attempt.response_headers


def test_a_delivered_attempt_keeps_the_status_but_not_the_answer(school, started):
    with (
        Receiver(answers(b"HTTP/1.1 202 Ok\r\nContent-Length: 2\r\n\r\nhi")) as receiver,
        started(),
    ):
        webhook = school.webhook(url=receiver.url)
        people(school, 1)
        wait_until(settled(school, webhook, "delivered"))

    (attempt,) = attempts_of(school, school.deliveries(webhook)[0])
    assert (attempt.outcome, attempt.status_code) == ("delivered", 202)
    assert attempt.response_headers is attempt.response_body is None
    assert not attempt.truncated


def test_a_receiver_that_asks_for_time_gets_it(school, started):
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"

    with Receiver(answers(busy)) as receiver, started():
        webhook = school.webhook(url=receiver.url, retry_schedule=(0,))
        people(school, 1)
        wait_until(lambda: school.deliveries(webhook)[0].attempts == 1)

    (delivery,) = school.deliveries(webhook)
    (attempt,) = attempts_of(school, delivery)
    assert delivery.status == "pending"
    assert delivery.next_attempt_at - attempt.started_at >= timedelta(hours=1)


def test_a_timeout_is_a_failure_like_any_other(school, started):
    with Receiver(hangs_after(b"")) as receiver, started():
        webhook = school.webhook(url=receiver.url, timeout_seconds=1, retry_schedule=())
        people(school, 1)
        wait_until(settled(school, webhook, "failed"))

    (attempt,) = attempts_of(school, school.deliveries(webhook)[0])
    assert (attempt.outcome, attempt.status_code, attempt.address) == ("timeout", None, "127.0.0.1")
    assert attempt.duration_ms >= 1000


def test_410_disables_the_webhook_and_holds_what_it_would_have_got(school, started):
    gate = Gate(GONE)
    with Receiver(gate) as receiver:
        webhook = school.webhook(url=receiver.url, max_in_flight=2)
        people(school, 20)
        with capture_logs() as logs, started():
            wait_until(lambda: gate.most_at_once == 2)
            gate.opened.set()
            wait_until(lambda: shown(school, webhook).status is WebhookStatus.DISABLED)
            people(school, 1)
            wait_until(settled(school, webhook, *["held"] * 21))

    assert shown(school, webhook).disabled_reason == "the receiver answered 410 Gone"
    (line,) = [each for each in logs if each["event"] == "webhook.disabled"]
    assert (line["log_level"], line["webhook_id"]) == ("error", webhook.webhook.id)
    assert len(receiver.requests) < 20


def test_410_of_the_old_address_does_not_disable_the_new_one(school, started):
    gate = Gate(GONE)
    with Receiver(gate) as old, Receiver(answers(NO_CONTENT)) as new, started():
        webhook = school.webhook(url=old.url)
        people(school, 1)
        wait_until(lambda: gate.most_at_once)
        change(school, webhook, url=new.url)
        gate.opened.set()
        wait_until(settled(school, webhook, "delivered"))

    assert shown(school, webhook).status is WebhookStatus.ACTIVE
    assert len(new.requests) == 1


def test_what_is_in_hand_when_a_receiver_turns_out_dead_is_not_sent(school, started):
    gate = Gate(INTERNAL_ERROR)
    with Receiver(gate) as receiver, capture_logs() as logs:
        webhook = school.webhook(url=receiver.url, max_in_flight=1)
        people(school, 20)
        with school.database.transaction() as tx:
            ago = datetime.now(UTC) - timedelta(minutes=2)
            health = Health(failures=9, failing_since=ago)
            stored_health.write_health(tx, webhook.webhook.id, health)
        with started():
            gate.opened.set()
            wait_until(lambda: shown(school, webhook).backed_off_until)
            wait_until(lambda: not stored(school, LEASED))

            webhooks.test_webhook(
                school.registrar, school.admin, webhook.webhook.id, datetime.now(UTC)
            )
            gate.answer = NO_CONTENT
            wait_until(settled(school, webhook, *["delivered"] * 21))

    events = [each["event"] for each in logs if each["event"].startswith("webhook.")]
    assert events == ["webhook.backed_off", "webhook.recovered"]
    assert len(receiver.requests) == 22
    assert shown(school, webhook).consecutive_failures == 0


LEASED = sa.select(deliveries_table.c.key).where(deliveries_table.c.lease.is_not(None))


# Isolation


def test_a_webhook_never_has_more_in_flight_than_its_cap(school, started):
    gate = Gate()
    with Receiver(gate) as slow, Receiver(answers(NO_CONTENT)) as quick, started():
        webhook = school.webhook(url=slow.url, max_in_flight=3)
        people(school, 12)
        wait_until(lambda: gate.most_at_once == 3)
        other = school.webhook(url=quick.url)
        people(school, 1)
        wait_until(settled(school, other, "delivered"))
        in_flight = gate.most_at_once
        gate.opened.set()
        wait_until(settled(school, webhook, *["delivered"] * 13))

    assert in_flight == gate.most_at_once == 3
    assert len(slow.requests) == 13


def test_a_host_never_has_more_in_flight_than_its_cap_and_leaves_room_for_others(school, started):
    gate = Gate()
    with (
        Receiver(gate) as slow,
        Receiver(answers(NO_CONTENT)) as quick,
        started(max_in_flight=6, max_in_flight_per_host=5),
    ):
        crowd = [school.webhook(url=f"{slow.url}{n}", max_in_flight=3) for n in range(3)]
        people(school, 20)
        wait_until(lambda: gate.most_at_once == 5)
        other = school.webhook(url=quick.url)
        people(school, 10)
        wait_until(settled(school, other, *["delivered"] * 10))
        in_flight = gate.most_at_once
        gate.opened.set()
        for webhook in crowd:
            wait_until(settled(school, webhook, *["delivered"] * 30))

    assert in_flight == gate.most_at_once == 5
    assert len(slow.requests) == 90


def test_the_webhooks_of_a_full_host_take_turns(school, started):
    with Receiver(answers(NO_CONTENT)) as receiver, started(max_in_flight_per_host=1):
        crowd = [school.webhook(url=f"{receiver.url}{n}") for n in range(3)]
        people(school, 20)
        for webhook in crowd:
            wait_until(settled(school, webhook, *["delivered"] * 20))

    paths = [request.split(b" ", 2)[1][-1:] for request in receiver.requests]
    assert all(len(set(paths[n : n + 3])) == 3 for n in range(0, 60, 3))


def starts_of(school, webhook):
    found = [attempts_of(school, each)[0].started_at for each in school.deliveries(webhook)]
    return [each.timestamp() for each in sorted(found)]


def test_a_rate_limit_holds_for_a_burst(school, started):
    with Receiver(answers(NO_CONTENT)) as receiver:
        webhook = school.webhook(url=receiver.url, rate_per_second=10)
        people(school, 6)
        with started():
            wait_until(settled(school, webhook, *["delivered"] * 6))

    first, *rest = starts_of(school, webhook)
    for number, start in enumerate(rest, start=1):
        assert start - first >= number / 10 - 0.05


def test_a_rate_limit_holds_for_a_trickle_among_other_traffic(school, started):
    with Receiver(answers(NO_CONTENT)) as limited, Receiver(answers(NO_CONTENT)) as free, started():
        webhook = school.webhook(
            url=limited.url, rate_per_second=5, events=("offering_registered",)
        )
        other = school.webhook(url=free.url, events=("user_created",))
        for number in range(1, 4):
            school.registration(now=datetime.now(UTC))
            wait_until(settled(school, webhook, *["delivered"] * number))
            people(school, 1)
            wait_until(settled(school, other, *["delivered"] * 2 * number))

    first, second, third = starts_of(school, webhook)
    assert second - first >= 0.15
    assert third - first >= 0.35


def test_a_webhook_that_hangs_does_not_stop_the_others(school, started):
    with started(), Receiver(hangs_after(b"")) as bad, Receiver(answers(NO_CONTENT)) as good:
        hanging = school.webhook(url=bad.url, timeout_seconds=20)
        working = school.webhook(url=good.url)
        people(school, 60)
        wait_until(settled(school, working, *["delivered"] * 60))

        assert statuses(school, hanging) == ["pending"] * 60


def test_many_that_hang_leave_room_for_one_that_works(school, started):
    with Receiver(hangs_after(b"")) as bad, Receiver(answers(NO_CONTENT)) as good:
        for _ in range(4):
            school.webhook(url=bad.url, timeout_seconds=1, max_in_flight=2, retry_schedule=())
        working = school.webhook(url=good.url)
        people(school, 12)
        with started(max_in_flight=4):
            wait_until(lambda: "delivered" in statuses(school, working))

    assert len(bad.requests) < 48


# Changes while deliveries wait


def test_a_changed_webhook_is_read_again_at_the_next_attempt(school, started):
    gate = Gate(INTERNAL_ERROR)
    with Receiver(gate) as old, Receiver(answers(NO_CONTENT)) as new, started():
        webhook = school.webhook(url=old.url, retry_schedule=(0,), headers={"X-Old": "1"})
        people(school, 1)
        wait_until(lambda: gate.most_at_once)
        change(school, webhook, url=new.url, method=Method.PUT, headers={"X-New": "2"})
        gate.opened.set()
        wait_until(settled(school, webhook, "delivered"))

    (request,) = new.requests
    assert request.startswith(b"PUT ")
    assert "x-old" not in headers_of(request)
    assert headers_of(request)["x-new"] == "2"
    assert body_of(request) == body_of(old.requests[0])


def test_a_shorter_timeout_is_followed_by_the_next_attempt(school, started):
    gate = Gate(INTERNAL_ERROR)
    with Receiver(gate) as old, Receiver(hangs_after(b"")) as hanging, started():
        webhook = school.webhook(url=old.url, retry_schedule=(0,), timeout_seconds=30)
        people(school, 1)
        wait_until(lambda: gate.most_at_once)
        change(school, webhook, url=hanging.url, timeout_seconds=1)
        gate.opened.set()
        wait_until(settled(school, webhook, "failed"))

    outcomes = [each.outcome for each in attempts_of(school, school.deliveries(webhook)[0])]
    assert outcomes == ["http_500", "timeout"]


@pytest.mark.parametrize(
    ("act", "left"),
    [(webhooks.pause_webhook, "held"), (webhooks.delete_webhook, "cancelled")],
)
def test_what_waits_in_hand_is_not_sent_once_its_webhook_stops(school, started, act, left):
    gate = Gate()
    with Receiver(gate) as slow, Receiver(answers(NO_CONTENT)) as quick, started():
        webhook = school.webhook(url=slow.url, max_in_flight=1)
        people(school, 5)
        wait_until(lambda: gate.most_at_once)
        act(school.registrar, school.admin, webhook.webhook.id, datetime.now(UTC))
        other = school.webhook(url=quick.url)
        people(school, 1)
        wait_until(settled(school, other, "delivered"))
        gate.opened.set()
        mine = deliveries_table.c.webhook_id == webhook.webhook.id
        query = sa.select(deliveries_table.c.status).where(mine)
        wait_until(lambda: "delivered" in stored(school, query))

    found = stored(school, query)
    assert found.count("delivered") == len(slow.requests) == 1
    assert set(found) == {"delivered", "pending"}
    assert {each.status for each in of_webhook(school, webhook)} == {"delivered", left}


def test_what_waits_in_hand_about_somebody_who_is_erased_is_not_sent(school, started):
    with Receiver(answers(NO_CONTENT)) as receiver:
        webhook = school.webhook(url=receiver.url, rate_per_second=1, events=REGISTRATION_EVENTS)
        person, other = school.user(), school.user()
        for _ in range(8):
            school.registration(user=person)
        last = school.registration(user=other)
        with started():
            wait_until(lambda: receiver.requests)
            privacy.erase_user(
                school.registrar, school.admin, person.id, "asked", datetime.now(UTC)
            )
            wait_until(lambda: last.id in str(receiver.requests))

    found = Counter(each.status.value for each in school.deliveries(webhook))
    assert found.keys() == {"delivered", "cancelled"}
    assert found["cancelled"] >= 8 - 4  # one a second, for two seconds at most
    assert found["delivered"] == len(receiver.requests)


def of_webhook(school, webhook):
    """Its deliveries, also when it is deleted."""
    ids = stored(
        school,
        sa.select(deliveries_table.c.id).where(deliveries_table.c.webhook_id == webhook.webhook.id),
    )
    return [deliveries.get_delivery(school.registrar, school.admin, each).delivery for each in ids]


def stored(school, query):
    with school.database.snapshot() as tx:
        return list(tx.execute(query).scalars())


def write(school, statement):
    with school.database.transaction() as tx:
        tx.execute(statement)


def test_what_was_held_is_sent_after_resuming(school, started):
    with Receiver(answers(NO_CONTENT)) as receiver, started():
        webhook = school.webhook(url=receiver.url)
        now = datetime.now(UTC)
        webhooks.pause_webhook(school.registrar, school.admin, webhook.webhook.id, now)
        people(school, 3)
        assert statuses(school, webhook) == ["held"] * 3

        webhooks.resume_webhook(school.registrar, school.admin, webhook.webhook.id, now)
        wait_until(settled(school, webhook, *["delivered"] * 3))


# Trouble that is no receiver's


def test_want_of_descriptors_is_no_receivers_fault(school, started):
    with Receiver(answers_and_closes(NO_CONTENT)) as receiver, started() as engine:
        webhook = school.webhook(url=receiver.url)
        people(school, 1)
        wait_until(settled(school, webhook, "delivered"))
        with capture_logs() as logs, no_descriptors():
            people(school, 5)
            wait_until(lambda: any(each["event"] == "dispatcher.descriptors" for each in logs))
        wait_until(settled(school, webhook, *["delivered"] * 6))

    assert engine.observed == ["delivered"] * 6
    assert len(receiver.requests) == 6
    assert {len(attempts_of(school, each)) for each in school.deliveries(webhook)} == {1}


# Trouble of one that must not be the others'


def test_a_secret_that_no_key_opens_stops_only_its_own_webhook(
    school, started, database_url, secret_key
):
    with Receiver(answers(NO_CONTENT)) as receiver, capture_logs() as logs:
        stranger = Database(database_url, secret_keys=["a lost key"])
        sealed = School(
            registrar=replace_database(school, stranger),
            organization=school.organization,
            admin=school.admin,
        ).webhook(url=receiver.url)
        stranger.close()
        working = school.webhook(url=receiver.url)
        people(school, 50)
        with started():
            wait_until(settled(school, working, *["delivered"] * 50))
            people(school, 1)
            wait_until(settled(school, working, *["delivered"] * 51))

    assert statuses(school, sealed) == ["pending"] * 51
    leases = sa.select(deliveries_table.c.lease).where(deliveries_table.c.lease.is_not(None))
    assert stored(school, leases) == []
    (line,) = [each for each in logs if each["event"] == "webhook.sealed"]
    assert line["webhook_id"] == sealed.webhook.id


def replace_database(school, database):
    return replace(school.registrar, database=database)


def test_a_webhook_is_served_again_when_its_secret_can_be_opened(school, started, database_url):
    with Receiver(answers(NO_CONTENT)) as receiver, capture_logs() as logs, started():
        webhook = school.webhook(url=receiver.url)
        table = stored_webhooks.webhooks
        here = table.c.id == webhook.webhook.id
        (good,) = stored(school, sa.select(table.c.secret_sealed).where(here))
        write(school, sa.update(table).where(here).values(secret_sealed=b"nonsense"))
        people(school, 2)
        wait_until(lambda: [each for each in logs if each["event"] == "webhook.sealed"])
        assert statuses(school, webhook) == ["pending"] * 2

        write(school, sa.update(table).where(here).values(secret_sealed=good))
        people(school, 1)
        wait_until(settled(school, webhook, *["delivered"] * 3))


@pytest.mark.parametrize(
    "broken",
    [{"url": "http://é.example/"}, {"headers": {"X-A": "é"}}],
)
def test_what_cannot_be_sent_at_all_fails_and_the_others_are_sent(school, started, broken):
    with Receiver(answers(NO_CONTENT)) as receiver, started(), capture_logs():
        bad, good = (school.webhook(url=receiver.url, retry_schedule=(0,)) for _ in range(2))
        headers = broken.get("headers")
        stored_as = shown(school, bad)
        if "url" in broken:
            stored_as = replace(stored_as, url=broken["url"])
        with school.database.transaction() as tx:
            stored_webhooks.update_webhook(tx, stored_as, headers, school.database.seal)
        people(school, 3)
        wait_until(settled(school, good, *["delivered"] * 3))
        wait_until(settled(school, bad, *["failed"] * 3))

    attempts = attempts_of(school, school.deliveries(bad)[0])
    assert [each.outcome for each in attempts] == ["connect", "connect"]


def test_a_delivery_whose_bytes_are_gone_fails_and_the_others_are_sent(school, started):
    with Receiver(answers(NO_CONTENT)) as receiver:
        webhook = school.webhook(url=receiver.url, retry_schedule=())
        people(school, 3)
        first = school.events()[-3]
        write(
            school, sa.update(events_table).where(events_table.c.id == first.id).values(body=None)
        )
        with started(), capture_logs():
            wait_until(settled(school, webhook, "failed", "delivered", "delivered"))


def test_a_result_that_cannot_be_stored_does_not_keep_the_others_from_it(postgres_url, secret_key):
    database = Database(postgres_url, secret_keys=[secret_key])
    school = open_school(database, now=datetime.now(UTC))
    with Receiver(answers(NO_CONTENT)) as receiver, capture_logs() as logs:
        webhook = school.webhook(url=receiver.url)
        people(school, 5)
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(POISON)
            try:
                with running(postgres_url, secret_key):
                    wait_until(settled(school, webhook, *["delivered"] * 4, "pending"))
            finally:
                connection.execute("DROP FUNCTION refuse CASCADE")
    database.close()

    assert "delivery.unrecorded" in [each["event"] for each in logs]


POISON = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.delivery_key = (SELECT min(key) FROM deliveries) THEN
            RAISE EXCEPTION 'poison';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION refuse();
"""


# The database goes away


def test_results_are_kept_while_the_database_is_away(school, started, database_url):
    gate = Gate()
    with Receiver(gate) as receiver, capture_logs() as logs, started():
        webhook = school.webhook(url=receiver.url)
        people(school, 3)
        wait_until(lambda: gate.most_at_once == 3)
        with unusable(database_url):
            gate.opened.set()
            wait_until(lambda: [e for e in logs if e["event"] == "dispatcher.database"])
            wait_until(lambda: len([e for e in logs if e["event"] == "delivery.attempted"]) == 3)
        wait_until(settled(school, webhook, *["delivered"] * 3))

        people(school, 1)
        wait_until(settled(school, webhook, *["delivered"] * 4))

    assert len(receiver.requests) == 4


@contextmanager
def unusable(url):
    """On PostgreSQL nobody can connect; on SQLite results find no table."""
    if url.startswith("sqlite"):
        database = sa.create_engine(url)
        with database.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE attempts RENAME TO gone")
        yield
        with database.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO attempts")
        database.dispose()
        return
    base, _, name = url.rpartition("/")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        try:
            yield
        finally:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def test_a_late_result_leaves_no_trace_when_another_has_the_lease(school, started):
    gate = Gate()
    with Receiver(gate) as receiver, started():
        webhook = school.webhook(url=receiver.url)
        people(school, 1)
        wait_until(lambda: gate.most_at_once)
        far = datetime.now(UTC) + timedelta(hours=1)
        stolen = {"lease": "another's", "due_at": far}
        write(school, sa.update(deliveries_table).values(stolen))
        gate.opened.set()
        other = school.webhook(url=receiver.url)
        people(school, 1)
        wait_until(settled(school, other, "delivered"))

    late, _ = school.deliveries(webhook)
    assert (late.status, late.attempts) == ("pending", 0)


def test_a_lease_that_lapses_while_the_attempt_is_in_flight_is_taken_up_again(school, started):
    gate = Gate()
    with Receiver(gate) as receiver, started():
        webhook = school.webhook(url=receiver.url)
        people(school, 1)
        wait_until(lambda: gate.most_at_once)
        write(school, sa.update(deliveries_table).values(due_at=datetime.now(UTC)))
        lapsed = stored(school, sa.select(deliveries_table.c.lease))
        people(school, 1)
        wait_until(lambda: stored(school, sa.select(deliveries_table.c.lease))[0] != lapsed[0])
        gate.opened.set()
        wait_until(settled(school, webhook, "delivered", "delivered"))

    assert len(receiver.requests) == 2
    assert [each.attempts for each in school.deliveries(webhook)] == [1, 1]


def test_what_is_claimed_again_while_it_waits_in_hand_is_sent_once(school, started):
    gate = Gate()
    with Receiver(gate) as receiver, started() as engine:
        webhook = school.webhook(url=receiver.url, max_in_flight=4)
        people(school, 6)
        wait_until(lambda: gate.most_at_once == 4)
        # as another process does that takes this one for dead, or a machine that was asleep
        write(school, sa.update(deliveries_table).values(lease=None, due_at=datetime.now(UTC)))
        people(school, 1)
        leases = sa.select(deliveries_table.c.lease).where(deliveries_table.c.lease.is_not(None))
        wait_until(lambda: len(stored(school, leases)) == 7)
        gate.opened.set()
        wait_until(settled(school, webhook, *["delivered"] * 7))

    assert engine.observed == ["delivered"] * 7
    assert len(receiver.requests) == 7


def test_a_lease_too_near_its_end_is_given_back(school, started):
    gate = Gate()
    with Receiver(gate) as receiver, started(lease_seconds=6.2):
        webhook = school.webhook(url=receiver.url, max_in_flight=1, timeout_seconds=1)
        people(school, 2)
        wait_until(lambda: gate.most_at_once)
        waits = sa.select(deliveries_table.c.lease).order_by(deliveries_table.c.key.desc())
        (first, *_) = stored(school, waits.limit(1))
        time.sleep(0.3)  # now an attempt could outlive the lease
        people(school, 1)
        wait_until(lambda: stored(school, waits.offset(1).limit(1)) != [first])
        gate.opened.set()
        wait_until(settled(school, webhook, *["delivered"] * 3))


# Stopping and starting


def test_what_is_in_flight_is_finished_and_recorded_when_told_to_stop(school, started):
    gate = Gate()
    with Receiver(gate) as receiver, started() as engine:
        webhook = school.webhook(url=receiver.url, max_in_flight=1)
        people(school, 3)
        wait_until(lambda: gate.most_at_once)
        engine.stop()
        leases = sa.select(deliveries_table.c.lease).where(deliveries_table.c.lease.is_not(None))
        wait_until(lambda: len(stored(school, leases)) == 1)
        gate.opened.set()
        engine.thread.join(20)

    assert statuses(school, webhook) == ["delivered", "pending", "pending"]
    assert all(each.next_attempt_at <= datetime.now(UTC) for each in school.deliveries(webhook)[1:])
    assert len(receiver.requests) == 1


def test_what_does_not_end_is_given_back_within_ten_seconds(school, started):
    with Receiver(hangs_after(b"")) as receiver, started() as engine:
        webhook = school.webhook(url=receiver.url, timeout_seconds=30)
        people(school, 2)
        wait_until(lambda: len(receiver.requests) == 2)
        asked = time.monotonic()
        engine.join()
        took = time.monotonic() - asked

    assert took < 10
    assert statuses(school, webhook) == ["pending", "pending"]
    assert stored(school, sa.select(deliveries_table.c.lease)) == [None, None]


def test_stopping_without_a_database_ends_all_the_same(school, started, database_url):
    gate = Gate()
    with Receiver(gate) as receiver, capture_logs() as logs, started() as engine:
        webhook = school.webhook(url=receiver.url)
        people(school, 1)
        wait_until(lambda: gate.most_at_once)
        with unusable(database_url):
            gate.opened.set()
            engine.join()

    assert "dispatcher.database" in [each["event"] for each in logs]
    assert statuses(school, webhook) == ["pending"]


def test_two_dispatchers_on_postgresql_send_each_delivery_once(postgres_url, secret_key):
    database = Database(postgres_url, secret_keys=[secret_key])
    school = open_school(database, now=datetime.now(UTC))
    with Receiver(answers(NO_CONTENT)) as receiver:
        webhook = school.webhook(url=receiver.url)
        with running(postgres_url, secret_key) as one, running(postgres_url, secret_key) as two:
            people(school, 150)
            wait_until(settled(school, webhook, *["delivered"] * 150))

    ids = [headers_of(each)["webhook-id"] for each in receiver.requests]
    assert len(ids) == len(set(ids)) == 150
    assert len(one.observed) + len(two.observed) == 150
    database.close()


def test_a_claim_whose_answer_is_lost_delays_nothing_until_its_lease_ends(postgres_url, secret_key):
    database = Database(postgres_url, secret_keys=[secret_key])
    school = open_school(database, now=datetime.now(UTC))
    with (
        Receiver(answers(NO_CONTENT)) as receiver,
        LossyWay(postgres_url, "UPDATE deliveries") as way,
        capture_logs() as logs,
        running(way.url, secret_key),
    ):
        webhook = school.webhook(url=receiver.url)
        people(school, 3)
        wait_until(settled(school, webhook, *["delivered"] * 3))  # a lease takes 75 s

    assert way.lost == 1
    assert [each["deliveries"] for each in logs if each["event"] == "dispatcher.disclaimed"] == [3]
    assert len(receiver.requests) == 3
    database.close()


def test_two_dispatchers_on_postgresql_keep_to_one_rate(postgres_url, secret_key):
    database = Database(postgres_url, secret_keys=[secret_key])
    school = open_school(database, now=datetime.now(UTC))
    with Receiver(answers(NO_CONTENT)) as receiver:
        webhook = school.webhook(url=receiver.url, rate_per_second=40)
        with running(postgres_url, secret_key) as one, running(postgres_url, secret_key) as two:
            people(school, 48)  # more than one takes in hand
            wait_until(settled(school, webhook, *["delivered"] * 48))

    first, *rest = starts_of(school, webhook)
    for number, start in enumerate(rest, start=1):
        assert start - first >= (number - 1) / 40 - 0.05  # both may start at once
    assert one.observed
    assert two.observed
    database.close()


# Rest


def nothing_to_do(school, receiver):
    school.webhook(url=receiver.url)


def all_at_the_cap(school, receiver):
    school.webhook(url=receiver.url, max_in_flight=2, timeout_seconds=30)
    people(school, 60)


def all_at_the_cap_of_their_host(school, receiver):
    for _ in range(10):  # 8 each
        school.webhook(url=receiver.url, timeout_seconds=30)
    people(school, 40)


def limited_by_rate(school, receiver):
    school.webhook(url=receiver.url, rate_per_second=1, timeout_seconds=30)
    people(school, 60)


def paused_with_a_backlog(school, receiver):
    webhook = school.webhook(url=receiver.url)
    people(school, 60)
    now = datetime.now(UTC)
    webhooks.pause_webhook(school.registrar, school.admin, webhook.webhook.id, now)


def sealed_with_a_backlog(school, receiver):
    school.webhook(url=receiver.url)
    people(school, 60)
    write(school, sa.update(stored_webhooks.webhooks).values(secret_sealed=b"nonsense"))


def waiting_for_a_retry(school, receiver):
    school.webhook(url="http://127.0.0.1:9/", retry_schedule=(3600,))
    people(school, 60)


@pytest.mark.parametrize(
    "state",
    [
        nothing_to_do,
        all_at_the_cap,
        all_at_the_cap_of_their_host,
        limited_by_rate,
        paused_with_a_backlog,
        sealed_with_a_backlog,
        waiting_for_a_retry,
    ],
)
def test_a_dispatcher_with_nothing_it_may_do_sleeps(school, started, state):
    with capture_logs(), started() as engine, Receiver(hangs_after(b"")) as receiver:
        state(school, receiver)
        time.sleep(0.3)  # what it has to do at first is done
        before = engine.client.turns
        time.sleep(0.5)

        assert engine.client.turns - before < 15


def test_what_others_have_locked_does_not_keep_a_dispatcher_busy(postgres_url, secret_key):
    database = Database(postgres_url, secret_keys=[secret_key])
    school = open_school(database, now=datetime.now(UTC))
    with Receiver(answers(NO_CONTENT)) as receiver:
        webhook = school.webhook(url=receiver.url)
        people(school, 3)
        with psycopg.connect(postgres_url) as connection:
            connection.execute("SELECT FROM deliveries FOR UPDATE")
            with running(postgres_url, secret_key) as engine:
                time.sleep(0.5)
                assert engine.client.turns < 50

                connection.rollback()
                wait_until(settled(school, webhook, *["delivered"] * 3))
    database.close()


# The log


def test_an_attempt_is_one_wide_line_without_secrets(school, started):
    with (
        Receiver(answers(INTERNAL_ERROR, NO_CONTENT)) as receiver,
        capture_logs() as logs,
        started(),
    ):
        webhook = school.webhook(
            url=receiver.url,
            events=("offering_registered",),
            headers={"X-Key": "sesame"},
            retry_schedule=(0,),
        )
        registration = school.registration(now=datetime.now(UTC))
        wait_until(settled(school, webhook, "delivered"))

    first, second = [each for each in logs if each["event"] == "delivery.attempted"]
    (delivery,) = school.deliveries(webhook)
    (event,) = school.events(event="offering_registered")
    known = {
        "delivery_id": delivery.id,
        "webhook_id": webhook.webhook.id,
        "event_id": event.id,
        "event_name": "offering_registered",
        "registration_id": registration.id,
        "attempt": 1,
        "outcome": "http_500",
        "status_code": 500,
        "address": "127.0.0.1",
        "status": "pending",
        "next_attempt_seconds": 0.0,
        "error": None,
    }
    assert known.items() <= first.items()
    assert (second["attempt"], second["outcome"], second["status"]) == (2, "delivered", "delivered")
    assert second["next_attempt_seconds"] is None
    assert "sesame" not in str(logs)
    assert webhook.secret not in str(logs)
