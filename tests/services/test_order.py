"""One registration's events reach a webhook in order (domain rule 17)."""

import random
import threading
import time
from contextlib import closing
from itertools import product

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coursebell.domain.completion import Command
from coursebell.domain.model import Attempt, DeliveryStatus
from coursebell.services import deliveries, dispatching, gradebook, webhooks
from coursebell.storage import privacy
from coursebell.storage.claims import Recorded
from coursebell.storage.database import Database
from coursebell.storage.tables import deliveries as delivery_rows
from factories import NOW, open_school

STORY = ("offering_registered", "offering_completed", "registration_grade_changed")


def live(school, registration):
    """Registered, completed, graded again: three events."""
    school.ask(registration, Command.GRADE, grade="80")
    school.ask(registration, Command.GRADE, grade="90")


@pytest.fixture
def connected(school):
    return school.webhook(events=STORY)


def claim(school, depth=100):
    return list(dispatching.claim(school.registrar, {}, depth, "1" * 32, 60, NOW).claimed)


def record(school, claimed, status=DeliveryStatus.DELIVERED, delay=-1.0):
    result = Recorded(
        key=claimed.key,
        lease=claimed.lease,
        status=status,
        delay_seconds=delay,
        attempt=Attempt(
            number=claimed.attempts + 1,
            started_at=NOW,
            duration_ms=1,
            outcome="x",
            status_code=None,
            address=None,
            response_headers=None,
            response_body=None,
            truncated=False,
        ),
    )
    return dispatching.record(school.registrar, [result], {}, NOW)


def told(school):
    return [each.event for each in claim(school)]


def test_a_later_event_waits_until_the_earlier_is_delivered(school, connected):
    live(school, school.registration())

    (first,) = claim(school)
    assert claim(school) == []
    released = record(school, first).has_released

    assert (first.event, released) == ("offering_registered", True)
    (second,) = claim(school)
    record(school, second)
    (third,) = claim(school)
    assert record(school, third).has_released is False
    assert (second.event, third.event) == STORY[1:]
    assert claim(school) == []


def test_what_waits_is_pending_and_has_no_time_of_its_own(school, connected):
    live(school, school.registration())

    shown = school.deliveries(connected)

    assert [each.status for each in shown] == [DeliveryStatus.PENDING] * 3
    assert [each.next_attempt_at is None for each in shown] == [False, True, True]


def test_a_failure_that_is_tried_again_releases_nothing(school, connected):
    live(school, school.registration())
    (first,) = claim(school)

    assert record(school, first, DeliveryStatus.PENDING).has_released is False

    assert told(school) == ["offering_registered"]


def test_a_later_event_goes_on_when_the_earlier_has_failed(school, connected):
    live(school, school.registration())
    (first,) = claim(school)

    record(school, first, DeliveryStatus.FAILED)

    assert told(school) == ["offering_completed"]


def test_registrations_and_webhooks_do_not_wait_for_each_other(school, connected):
    other = school.webhook(events=STORY[1:])
    one, two = school.registrations(2)
    live(school, one)

    claimed = claim(school)

    assert {(each.webhook_id, each.registration_id, each.event) for each in claimed} == {
        (connected.webhook.id, one.id, "offering_registered"),
        (connected.webhook.id, two.id, "offering_registered"),
        (other.webhook.id, one.id, "offering_completed"),
    }


def test_events_of_one_transaction_keep_their_order_too(school, connected):
    registration = school.registration()
    (first,) = claim(school)
    record(school, first)
    requests = [
        school.request(registration, Command.GRADE, grade=grade) for grade in ("80", "90", "95")
    ]
    gradebook.change_registrations(school.registrar, school.organization.id, requests, NOW)

    assert told(school) == ["offering_completed"]


def test_what_is_sent_again_by_hand_neither_waits_nor_makes_wait(school, connected):
    registration = school.registration()
    (first,) = claim(school)
    record(school, first)
    live(school, registration)
    deliveries.resend(school.registrar, school.admin, first.id, NOW)

    assert sorted(told(school)) == ["offering_completed", "offering_registered"]


def test_held_deliveries_drain_in_order(school, connected):
    webhooks.pause_webhook(school.registrar, school.admin, connected.webhook.id, NOW)
    live(school, school.registration())
    webhooks.resume_webhook(school.registrar, school.admin, connected.webhook.id, NOW)

    order = []
    while claimed := claim(school):
        order += [each.event for each in claimed]
        for each in claimed:
            record(school, each)

    assert tuple(order) == STORY


def test_a_late_dispatcher_releases_nothing(school, connected):
    live(school, school.registration())
    lapsed = dispatching.claim(school.registrar, {}, 9, "2" * 32, -1.0, NOW).claimed
    claim(school)

    assert record(school, lapsed[0]).has_released is False


def test_cancelling_what_is_open_about_a_user_leaves_nobody_waiting(school, connected):
    mine, other = school.registrations(2)
    for registration in (mine, other):
        live(school, registration)

    cancel_open_of(school, mine)

    shown = [each for each in school.deliveries(connected) if each.registration_id == mine.id]
    assert {(each.status, each.finished_at) for each in shown} == {("cancelled", NOW)}
    assert [each.registration_id for each in claim(school)] == [other.id]


def test_what_is_cancelled_in_the_middle_lets_the_next_go(school, connected):
    registration = school.registration()
    live(school, registration)
    (first,) = claim(school)
    record(school, first)

    cancel_open_of(school, registration, events=slice(1, 2))

    assert told(school) == ["registration_grade_changed"]


def cancel_open_of(school, registration, events=slice(None)):
    """As erasing the user does."""
    with school.database.transaction() as tx:
        keys = privacy.list_event_keys(tx, school.organization.id, registration.user_id)
        of_registration = keys[1:]  # the first is that the user was created
        privacy.cancel_open_deliveries(tx, of_registration[events], NOW)


def test_what_is_in_flight_while_it_is_cancelled_counts_as_delivered_when_it_arrives(
    school, connected
):
    registration = school.registration()
    (sent,) = claim(school)
    cancel_open_of(school, registration)

    record(school, sent)

    assert [each.status for each in school.deliveries(connected)] == ["delivered"]


def test_a_completion_and_the_record_of_what_was_before_it_see_each_other(postgres_url, secret_key):
    """Whoever comes second waits for the other's commit, so that nothing waits for ever."""
    database = Database(postgres_url, secret_keys=[secret_key])
    school = open_school(database)
    school.webhook(events=STORY)
    registration = school.registration()
    (first,) = claim(school)

    with database.transaction() as recording:
        recording.execute(
            sa.update(delivery_rows)
            .where(delivery_rows.c.key == first.key)
            .values(status="delivered")
        )
        completing = in_thread(lambda: school.ask(registration, Command.GRADE, grade="80", now=NOW))
        wait_for_a_lock(postgres_url)
    completing.join(30)

    assert told(school) == ["offering_completed"]
    database.close()


def in_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def wait_for_a_lock(url):
    deadline = time.monotonic() + 30
    with psycopg.connect(url, autocommit=True) as connection:
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while connection.execute(query).fetchone() == (0,):
            assert time.monotonic() < deadline, "nobody waits"
            time.sleep(0.005)


class Story:
    """What befalls two registrations at two webhooks; `arrived` is what receivers have seen."""

    def __init__(self, school):
        self.school = school
        self.connected = [school.webhook(events=STORY).webhook.id for _ in range(2)]
        self.registrations = school.registrations(2)
        self.arrived = []

    def happens(self, chance):
        grade, deliver, switch = self.grade, self.deliver, self.switch
        chance.choice([grade, grade, deliver, deliver, switch])(chance)

    def grade(self, chance):
        registration = chance.choice(self.registrations)
        self.school.ask(registration, Command.GRADE, grade=chance.randint(0, 100))

    def deliver(self, chance):
        for each in claim(self.school, depth=chance.randint(1, 4)):
            status = chance.choice([DeliveryStatus.DELIVERED, DeliveryStatus.PENDING])
            record(self.school, each, status)
            self.arrived += [each] if status is DeliveryStatus.DELIVERED else []

    def switch(self, chance):
        webhook_id = chance.choice(self.connected)
        act = chance.choice([webhooks.pause_webhook, webhooks.resume_webhook])
        act(self.school.registrar, self.school.admin, webhook_id, NOW)

    def ends(self):
        for webhook_id in self.connected:
            webhooks.resume_webhook(self.school.registrar, self.school.admin, webhook_id, NOW)
        while claimed := claim(self.school):
            for each in claimed:
                record(self.school, each)
            self.arrived += claimed

    def seen(self, webhook_id, registration):
        pair = (webhook_id, registration.id)
        there = [each for each in self.arrived if (each.webhook_id, each.registration_id) == pair]
        return [each.registration_seq for each in there]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), length=st.integers(5, 25))
def test_whatever_happens_registrations_are_told_in_order(database_url, secret_key, seed, length):
    with closing(Database(database_url, secret_keys=[secret_key])) as database:
        story, chance = Story(open_school(database)), random.Random(seed)
        for _ in range(length):
            story.happens(chance)
        story.ends()

        for webhook_id, registration in product(story.connected, story.registrations):
            events = story.school.stored(registration).event_count
            assert story.seen(webhook_id, registration) == list(range(1, events + 1))
