"""A day of a webhook in numbers: what a receiver reads, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from coursebell.storage.tables import deliveries as delivery_rows
from coursebell_receiver import VerificationError, read_reconciliation, tally

HOOK = {"url": "http://127.0.0.1:9/hook", "events": ["offering_completed"]}


@pytest.fixture
def hook(school):
    """A webhook with its secret, and one event that is meant for it."""
    made = school.admin.post("/webhooks", HOOK).json()
    school.admin.put(f"/registrations/{school.registration()}", {"grade": 90})
    return made


def ask(school, hook, query=""):
    return school.admin("GET", f"/api/v5/webhooks/{hook['id']}/reconciliation{query}")


def test_a_receiver_reads_the_day_with_its_package(school, hook):
    (event,) = school.admin.list("/events?event=offering_completed")
    day = event["date"][:10]

    answer = ask(school, hook, f"?date={day}")

    found = read_reconciliation(answer.headers, answer.content, hook["secret"])
    assert (found.webhook_id, found.date.isoformat()) == (hook["id"], day)
    assert found.all == found.by_status["pending"] == tally([event["id"]])
    assert not found.is_settled
    assert not found.agrees_with([])
    assert found.agrees_with([event["id"]])
    assert answer.json()["statuses"].keys() == {"pending"}


@pytest.mark.parametrize("status", ["failed", "held", "pending"])
def test_what_did_not_arrive_is_missing_until_the_feed_was_read(school, hook, database, status):
    """The recipe of the guide: it finds the loss, catches up, and then has peace."""
    with database.transaction() as tx:
        tx.execute(update(delivery_rows).values(status=status))
    (event,) = school.admin.get("/events?after=0&event=offering_completed")["results"]
    seen = set()

    def agrees():
        answer = ask(school, hook, f"?date={event['date'][:10]}")
        books = read_reconciliation(answer.headers, answer.content, hook["secret"])
        return books.agrees_with(seen)

    before = agrees()
    seen.add(event["id"])

    assert (before, agrees()) == (False, True)


def test_what_the_feed_has_of_before_the_webhook_does_no_harm(school, hook):
    late = school.admin.post("/webhooks", HOOK).json()
    school.admin.put(f"/registrations/{school.registration()}", {"grade": 90})
    events = school.admin.list("/events?event=offering_completed")
    ids = {each["id"]: each["date"] for each in events}

    answer = ask(school, late, f"?date={max(ids.values())[:10]}")
    books = read_reconciliation(answer.headers, answer.content, late["secret"])

    assert (books.expected.count, books.wanted.count) == (1, 2)
    assert books.agrees_with(ids)
    assert not books.agrees_with([])


def test_unless_a_day_is_given_it_is_yesterday(school, hook):
    before = datetime.now(UTC)

    answer = ask(school, hook)

    days = {(each - timedelta(days=1)).date().isoformat() for each in (before, datetime.now(UTC))}
    assert answer.json()["date"] in days
    assert (answer.json()["count"], answer.json()["statuses"]) == (0, {})


def test_nobody_else_could_have_signed_it(school, hook):
    other = school.admin.post("/webhooks", HOOK).json()

    answer = ask(school, hook)

    with pytest.raises(VerificationError):
        read_reconciliation(answer.headers, answer.content, other["secret"])


@pytest.mark.parametrize("day", ["0001-01-01", "2031-02-03", "9999-12-30"])
def test_any_day_can_be_asked_for(school, hook, day):
    assert ask(school, hook, f"?date={day}").json()["count"] == 0


@pytest.mark.parametrize(
    "day", ["", "2031-02", "2031-02-30", "today", "2031-02-03T04", "9999-12-31"]
)
def test_what_is_no_day_is_refused_by_name(school, hook, day):
    answer = ask(school, hook, f"?date={day}")

    assert answer.status_code == 400
    assert list(answer.json()["fieldErrors"]) == ["date"]
