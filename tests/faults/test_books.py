"""The audit notices what is wrong: in each of the three books, one mistake at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from faults.books import (
    FedEvent,
    Stored,
    StoredAttempt,
    StoredDelivery,
    StoredEvent,
    StoredRegistration,
    audit,
)
from faults.ledgers import Arrival
from faults.stories import COMPLETED, REGISTERED, Story

STORY = Story(
    email="mei@harbour.example",
    offering_id="offering",
    registration_id="mei",
    events=[REGISTERED, COMPLETED],
    grade=80.5,
)
EVENTS = (
    StoredEvent(id="event1", name=REGISTERED, registration_id="mei", seq=1),
    StoredEvent(id="event2", name=COMPLETED, registration_id="mei", seq=2),
)


def attempts(*numbers: int, outcome: str = "delivered", status_code: int | None = 204):
    return tuple(
        StoredAttempt(number=each, outcome=outcome, status_code=status_code) for each in numbers
    )


def delivery(event_id: str, *attempts: StoredAttempt, **changes) -> StoredDelivery:
    """Delivered at once, or after `attempts`."""
    made = attempts or ONCE
    good = StoredDelivery(
        event_id=event_id, webhook_id="hook", status="delivered", counted=len(made), attempts=made
    )
    return replace(good, **changes)


ONCE = attempts(1)
TIMED_OUT = attempts(1, outcome="timeout", status_code=None)
RESET = attempts(1, outcome="bad_response", status_code=None)


def arrival(seq: int, came: float, **changes) -> Arrival:
    good = Arrival(
        event_id=f"event{seq}",
        registration_id="mei",
        seq=seq,
        digest=b"digest",
        came=came,
        accepted=came,
    )
    return replace(good, **changes)


def after(failed: tuple[StoredAttempt, ...]) -> StoredDelivery:
    """The second event's, delivered at the second attempt."""
    return delivery("event2", *failed, *attempts(2))


STORED = Stored(
    registrations={"mei": StoredRegistration(status="passed", grade=Decimal("80.50"))},
    events=EVENTS,
    deliveries=(delivery("event1"), delivery("event2")),
)
CAME = (arrival(1, 1.0), arrival(2, 2.0))
FEED = (
    FedEvent(id="another's", position=7),
    FedEvent(id="event1", position=8),
    FedEvent(id="event2", position=9),
)


def problems(stories=(STORY,), stored=STORED, came=CAME, feed=FEED, **options) -> list[str]:
    return audit(stories, stored, {"hook": came}, feed, **options).problems


def with_events(*events: StoredEvent) -> Stored:
    return replace(STORED, events=events)


def with_deliveries(*deliveries: StoredDelivery) -> Stored:
    return replace(STORED, deliveries=deliveries)


def test_good_books_balance():
    assert problems() == []


MISTAKES: dict[str, tuple[Callable[[], list[str]], str]] = {
    "an acknowledged step is lost": (
        lambda: problems(stored=with_events(EVENTS[0])),
        "expected ['offering_registered', 'offering_completed']",
    ),
    "an event fires twice": (
        lambda: problems(
            stored=with_events(*EVENTS, replace(EVENTS[1], id="event3", seq=3)),
        ),
        "'offering_completed', 'offering_completed'] fired",
    ),
    "a number is left out": (
        lambda: problems(stored=with_events(EVENTS[0], replace(EVENTS[1], seq=3))),
        "numbered [1, 3]",
    ),
    "another grade is stored": (
        lambda: problems(
            stored=replace(
                STORED, registrations={"mei": StoredRegistration(status="passed", grade=Decimal(7))}
            )
        ),
        "graded 80.5",
    ),
    "a registration is active again": (
        lambda: problems(
            stored=replace(
                STORED,
                registrations={"mei": StoredRegistration(status="active", grade=Decimal("80.5"))},
            )
        ),
        "ended as",
    ),
    "a registration that nobody made": (
        lambda: problems(
            stored=replace(STORED, registrations={**STORED.registrations, "bo": None})
        ),
        "registration bo: nobody knows of it",
    ),
    "an event without a delivery": (
        lambda: problems(stored=with_deliveries(delivery("event1"))),
        "event event2: 0 deliveries to hook",
    ),
    "two deliveries of an event": (
        lambda: problems(stored=with_deliveries(*STORED.deliveries, delivery("event2"))),
        "event event2: 2 deliveries to hook",
    ),
    "a delivery to somebody else": (
        lambda: problems(
            stored=with_deliveries(*STORED.deliveries, delivery("event2", webhook_id="other"))
        ),
        "a delivery to other, whose receiver is not audited",
    ),
    "a delivery that is open": (
        lambda: problems(
            stored=with_deliveries(delivery("event1"), delivery("event2", status="pending"))
        ),
        "event event2 to hook: pending",
    ),
    "attempts that were not counted": (
        lambda: problems(stored=with_deliveries(delivery("event1"), delivery("event2", counted=2))),
        "2 attempts counted, [1] logged",
    ),
    "an attempt's number is left out": (
        lambda: problems(
            stored=with_deliveries(delivery("event1"), delivery("event2", *attempts(1, 3))),
            came=(*CAME, arrival(2, 3.0)),
        ),
        "2 attempts counted, [1, 3] logged",
    ),
    "an attempt's number comes twice": (
        lambda: problems(
            stored=with_deliveries(delivery("event1"), delivery("event2", *attempts(1, 1))),
            came=(*CAME, arrival(2, 3.0)),
        ),
        "2 attempts counted, [1, 1] logged",
    ),
    "delivered without an attempt": (
        lambda: problems(
            stored=with_deliveries(delivery("event1"), delivery("event2", attempts=(), counted=0)),
            kills=1,
        ),
        "event event2 to hook: delivered without an attempt",
    ),
    "delivered, and never accepted": (
        lambda: problems(came=(CAME[0], replace(CAME[1], accepted=None))),
        "event event2: delivered to hook, which never accepted it",
    ),
    "accepted, and not delivered": (
        lambda: problems(
            stored=with_deliveries(delivery("event1"), delivery("event2", status="failed"))
        ),
        "event event2: accepted by hook, but its delivery is failed",
    ),
    "accepted, and unknown": (
        lambda: problems(came=(*CAME, replace(CAME[1], event_id="event9"))),
        "event event9: accepted by hook, but its delivery is None",
    ),
    "refused, and unknown": (
        lambda: problems(came=(*CAME, replace(CAME[1], event_id="event9", accepted=None))),
        "event event9: came to hook, which has no delivery of it",
    ),
    "other bytes the second time": (
        lambda: problems(came=(*CAME, arrival(2, 3.0, digest=b"other")), kills=1),
        "event event2: came to hook with different bytes",
    ),
    "the second before the first": (
        lambda: problems(came=(arrival(2, 0.5), arrival(1, 1.0))),
        "registration mei: 2 came to hook before 1",
    ),
    "the second before the first was accepted": (
        lambda: problems(
            came=(arrival(1, 1.0, accepted=None), arrival(2, 2.0), arrival(1, 3.0)), kills=1
        ),
        "registration mei: 2 came to hook before 1",
    ),
    "a request without an attempt": (
        lambda: problems(came=(*CAME, arrival(2, 3.0))),
        "event event2 to hook: 1 attempts are logged, 2 requests came",
    ),
    "a request for another's attempt": (
        lambda: problems(
            stored=with_deliveries(delivery("event1", *attempts(1, 2)), delivery("event2")),
            came=(*CAME, arrival(2, 3.0)),
        ),
        "event event2 to hook: 1 attempts are logged, 2 requests came",
    ),
    "more requests without an attempt than dispatchers were killed": (
        lambda: problems(came=(*CAME, arrival(2, 3.0), arrival(2, 4.0)), kills=1),
        "event event2 to hook: 1 attempts are logged, 3 requests came",
    ),
    "more than one request more for an attempt at a receiver in trouble": (
        lambda: problems(came=(*CAME, arrival(2, 3.0), arrival(2, 4.0)), troubled={"hook"}),
        "event event2 to hook: 1 attempts are logged, 3 requests came",
    ),
    "an answer that nobody gave": (
        lambda: problems(
            stored=with_deliveries(delivery("event1"), delivery("event2", *attempts(1, 2))),
            troubled={"hook"},
        ),
        "event event2 to hook: 2 attempts are logged, 1 requests came",
    ),
    "an attempt that never came to a receiver that is well": (
        lambda: problems(stored=with_deliveries(delivery("event1"), after(RESET))),
        "event event2 to hook: 2 attempts are logged, 1 requests came",
    ),
    "an event that is not in the feed": (
        lambda: problems(feed=FEED[:2]),
        "event event2: 0 times in the feed",
    ),
    "an event that the feed tells twice": (
        lambda: problems(feed=(*FEED, replace(FEED[2], position=10))),
        "event event2: 2 times in the feed",
    ),
    "a gap in the feed": (
        lambda: problems(feed=(*FEED, FedEvent(id="another", position=11))),
        "feed: 11 comes after 9",
    ),
    "a position twice in the feed": (
        lambda: problems(feed=(*FEED, FedEvent(id="another", position=9))),
        "feed: 9 comes after 9",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake):
    look, told = MISTAKES[mistake]

    found = look()

    assert any(told in problem for problem in found), found


def test_repetitions_are_counted_and_are_no_mistake_where_a_dispatcher_was_killed():
    came = (*CAME, arrival(2, 3.0), arrival(2, 4.0))

    found = audit([STORY], STORED, {"hook": came}, FEED, kills=2)

    assert found.problems == []
    assert (found.repeated, found.unlogged) == (2, 2)
    assert (found.registrations, found.events, found.deliveries) == (1, 2, 2)
    assert (found.attempts, found.arrivals) == (2, 4)


def test_what_has_no_answer_need_not_have_come_where_it_timed_out_or_there_is_trouble():
    late, reset = (with_deliveries(delivery("event1"), after(each)) for each in (TIMED_OUT, RESET))

    assert problems(stored=late) == []
    assert problems(stored=reset, troubled={"hook"}) == []
    assert problems(came=(*CAME, arrival(2, 3.0)), troubled={"hook"}) == []
