"""Sample events look like real ones."""

from datetime import timedelta

import pytest

from coursebell.domain.events import EventName, encode
from coursebell.domain.instants import format_instant
from coursebell.domain.samples import sample_event
from factories import NOW

USER = {"id", "firstName", "lastName", "username", "email", "locale"}
KEYS = {
    EventName.OFFERING_COMPLETED: {"id", "beginDate", "endDate", "grade", "passed"},
    EventName.OFFERING_REGISTERED: {"id"},
    EventName.REGISTRATION_GRADE_CHANGED: {
        "id",
        "beginDate",
        "endDate",
        "grade",
        "passed",
        "previousGrade",
        "previousPassed",
    },
    EventName.REGISTRATION_REOPENED: {"id"},
    EventName.REGISTRATION_EJECTED: {"id", "beginDate", "endDate"},
}


@pytest.mark.parametrize("name", EventName)
def test_there_is_a_sample_of_every_event(name):
    event = sample_event(name, "9" * 32, NOW)

    assert (event.id, event.name, event.occurred_at) == ("9" * 32, name, NOW)
    assert event.document["event"] == name
    assert event.document["date"] == format_instant(NOW)
    if "user" in event.document:
        only_id = name is EventName.USER_ERASED
        assert set(event.document["user"]) == ({"id"} if only_id else USER)
        assert event.document["user"].get("email", ".example").endswith(".example")
    assert encode(event.document)


@pytest.mark.parametrize("name", KEYS)
def test_a_sample_says_of_the_registration_what_the_event_does(name):
    event = sample_event(name, "9" * 32, NOW)

    assert set(event.document["registration"]) == KEYS[name]
    assert event.registration_id == event.document["registration"]["id"]


def test_a_sample_keeps_its_dates_in_order_whenever_it_is_made():
    for days in (0, 400):
        now = NOW + timedelta(days=days)
        document = sample_event(EventName.OFFERING_COMPLETED, "9" * 32, now).document
        part = document["registration"]
        assert part["beginDate"] <= part["endDate"] <= document["date"]
