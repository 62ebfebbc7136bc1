"""Dates, wherever a client may write one: in the filters of every list and in every form.

Which lists and forms have dates comes from the OpenAPI document, so that none is forgotten. What
each way of writing means in full is shown in tests/domain/test_instants.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from coursebell.metrics import Metrics
from coursebell.storage import tables
from coursebell.web.app import create_app

# A moment that many ways of writing it have to get right: the end of a leap day, and of its month.
MOMENT = datetime(2028, 2, 29, 23, 59, 59, 750_000, tzinfo=UTC)
NAMING_IT = [
    "2028-02-29T23:59:59Z",
    "2028-02-29T23:59:59.999999999Z",
    "2028-02-29t23:59:59z",
    "2028-02-29T23:59:59+00:00",
    "2028-03-01T05:44:59+05:45",
    "2028-02-29T18:59:59-05:00",
    "2028",
    "2028-02",
    "2028-02-29",
    "2028-02-29T23",
    "2028..2028",
    "2028-02-29..2028-02-29",
    "2028-02-29T23:59:59Z..2028-02-29T23:59:59Z",
    "2027..2028-02",
    "2028-02-29T23..2029",
    "2028-02-29T23:59:59Z..",
    "..2028-02-29T23:59:59Z",
    "2028-02..",
    "..2028-02-29",
    "",
]
NAMING_OTHERS = [
    "2028-02-29T23:59:58Z",
    "2028-03-01T00:00:00Z",
    "2028-02-29T23:59:59+01:00",
    "2027",
    "2029",
    "2028-01",
    "2028-03",
    "2028-02-28",
    "2028-03-01",
    "2028-02-29T22",
    "2028-03-01T00",
    "2027..2028-02-28",
    "2028-03..2029",
    "..2028-02-29T23:59:58Z",
    "2028-03-01T00:00:00Z..",
    "..2027",
    "2029..",
]
NAMING_NOTHING = [
    "2027-02-29",
    "2028-02-30",
    "2028-13",
    "2028-00",
    "2028-2-9",
    "20280229",
    "2028-02-29T24",
    "2028-02-29T23:59",
    "2028-02-29T23:59:59",
    "2028-02-29T23:59:60Z",
    "2028-02-29T23:59:59+19:00",
    "2028/02/29",
    "..",
    "2029..2028",
    "2028..2029..2030",
    "2028.2029",
    "soon",
    "0000",
]
# A few of each, for every list there is.
SOME = [NAMING_IT[0], "2028-02", "2028-02-29..2029", "..2028-02-29", "2028-02.."]
SOME_OTHERS = ["2028-03-01T00:00:00Z", "2028-03", "2028-03..", "..2028-02-28"]
SOME_NOTHING = ["2027-02-29", "2029..2028", "soon"]

# Where each date filter looks.
COLUMNS = {
    ("/users", "createdDate"): tables.users.c.created_at,
    ("/users", "lastLoginDate"): tables.users.c.last_login_at,
    ("/userfields", "createdDate"): tables.user_fields.c.created_at,
    ("/courses", "createdDate"): tables.courses.c.created_at,
    ("/offerings", "createdDate"): tables.offerings.c.created_at,
    ("/offeringcategories", "createdDate"): tables.offering_categories.c.created_at,
    ("/registrations", "createdDate"): tables.registrations.c.created_at,
    ("/registrations", "beginDate"): tables.registrations.c.begin_at,
    ("/registrations", "lastActiveDate"): tables.registrations.c.last_active_at,
    ("/registrations", "endDate"): tables.registrations.c.end_at,
    ("/webhooks/{webhook_id}/deliveries", "createdDate"): tables.deliveries.c.created_at,
    ("/events", "date"): tables.events.c.occurred_at,
    ("/audit", "createdDate"): tables.audit.c.at,
}
SPEC = create_app(None, Metrics(), lambda: None).openapi()


def date_filters() -> Iterator[tuple[str, str]]:
    for path, methods in SPEC["paths"].items():
        for parameter in methods.get("get", {}).get("parameters", []):
            described = parameter.get("description") or parameter["schema"].get("description", "")
            if described.startswith("A timestamp, a whole year"):
                yield path.removeprefix("/api/v5"), parameter["name"]


def date_fields() -> Iterator[tuple[str, str]]:
    """The forms with a date, and its name in each."""
    for methods in SPEC["paths"].values():
        for operation in methods.values():
            content = operation.get("requestBody", {}).get("content", {})
            if schema := content.get("application/json", {}).get("schema"):
                reference = schema.get("$ref") or schema["anyOf"][0]["$ref"]
                form = SPEC["components"]["schemas"][reference.rpartition("/")[2]]
                for name, field in form["properties"].items():
                    if "An RFC 3339 timestamp" in str(field):
                        yield operation["operationId"], name


def put_everything_at(database, moment: datetime) -> None:
    with database.transaction() as tx:
        for column in COLUMNS.values():
            tx.execute(sa.update(column.table).values({column: moment}))


def test_every_date_filter_there_is_is_tried():
    assert set(date_filters()) == COLUMNS.keys()


def test_every_list_is_filtered_by_its_dates(school, database):
    ids = school.one_of_each()
    put_everything_at(database, MOMENT)

    for path, name in COLUMNS:
        address = f"/api/v5{path.format(**ids)}?limit=1&{name}="
        for written in SOME:
            assert finds(school, address, written), (path, name, written)
        for written in SOME_OTHERS:
            assert not finds(school, address, written), (path, name, written)
        for written in SOME_NOTHING:
            assert refused(school, address, written) == [name], (path, name, written)


def test_a_date_filter_takes_every_way_of_writing_a_date(school, database):
    ids = school.one_of_each()
    put_everything_at(database, MOMENT)
    address = f"/api/v5/registrations?userId={ids['user_id']}&endDate="

    for written in NAMING_IT:
        assert finds(school, address, written), written
    for written in NAMING_OTHERS:
        assert not finds(school, address, written), written
    for written in NAMING_NOTHING:
        assert refused(school, address, written) == ["endDate"], written


def test_what_has_no_date_is_in_no_span_of_dates(school):
    school.registration()

    assert school.admin.list("/registrations?endDate=..9999") == []
    assert school.admin.list("/registrations?endDate=0001..") == []
    assert len(school.admin.list("/registrations?endDate=")) == 1


# Days on which the clock is set, with their first and last instants.
DAYS = [
    ("UTC", "2028-02-29", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
    ("Asia/Kathmandu", "2031-02-03", "2031-02-02T18:15:00Z", "2031-02-03T18:15:00Z"),
    ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
    ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
    ("America/Sao_Paulo", "2018-11-03", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"),
    ("America/Havana", "2024-11-03", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z"),
    ("America/Havana", "2024-11-02", "2024-11-02T04:00:00Z", "2024-11-03T04:00:00Z"),
]
TIMESTAMPS = [
    ("2031-02-03T04:05:06Z", "2031-02-03T04:05:06Z"),
    ("2031-02-03T04:05:06.999999999Z", "2031-02-03T04:05:06Z"),
    ("2031-02-03T04:05:06+05:45", "2031-02-02T22:20:06Z"),
    ("2031-02-03t04:05:06-03:00", "2031-02-03T07:05:06Z"),
]
NO_DATES = ["2027-02-29", "2031-02", "2031-02-03T04:05", "2031-02-03T04:05:06", "03.02.2031", ""]
OFFERING_DATES = ("beginDate", "endDate", "registrationBeginDate", "registrationEndDate")


def test_every_date_of_a_form_there_is_is_tried():
    assert set(date_fields()) == {
        *(("create_offering", name) for name in OFFERING_DATES),
        *(("change_offering", name) for name in OFFERING_DATES),
        ("grade_registration", "endDate"),
        ("replay_webhook", "since"),
        ("replay_webhook", "until"),
        ("backfill_webhook", "since"),
    }


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_plain_date_is_a_day_of_the_organizations_zone_from_end_to_end(found):
    schools = {zone: found(f"In{i}", zone=zone) for i, (zone, *_) in enumerate(DAYS)}

    for zone, day, begin, end in DAYS:
        school = schools[zone]
        made = school.offering(**dict.fromkeys(OFFERING_DATES, day))
        changed = school.offering()
        school.admin.put(f"/offerings/{changed}", dict.fromkeys(OFFERING_DATES, day))

        for offering_id in (made, changed):
            shown = school.admin.get(f"/offerings/{offering_id}")
            assert [shown[name] for name in OFFERING_DATES] == [begin, end, begin, end], (zone, day)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_grade_that_is_backdated_to_a_day_ends_with_it_in_the_organizations_zone(found, database):
    school = found(zone="America/Havana")
    path = f"/registrations/{school.registration()}"
    with database.transaction() as tx:  # registered long ago
        tx.execute(
            sa.update(tables.registrations).values(created_at=datetime(2024, 1, 1, tzinfo=UTC))
        )

    school.admin.put(path, {"grade": 90, "endDate": "2024-11-02", "reason": "on paper"})

    assert school.admin.get(path)["endDate"] == "2024-11-03T04:00:00Z"
    refused = school.admin.put(path, {"grade": 90, "endDate": "2024-02-30", "reason": "x"})
    assert list(refused.json()["fieldErrors"]) == ["endDate"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_past_of_a_webhook_is_told_in_days_of_the_organizations_zone(found, database):
    school = found(zone="America/Havana")
    webhook = school.webhook(events=["user_created"])
    school.user("Ada")
    with database.transaction() as tx:  # in the evening of 2 November, two hours before the fold
        for column in (tables.events.c.occurred_at, tables.deliveries.c.created_at):
            evening = datetime(2024, 11, 3, 3, 0, tzinfo=UTC)
            tx.execute(sa.update(column.table).values({column: evening}))
        tx.execute(sa.update(tables.deliveries).values(status="delivered"))
    late = school.webhook(events=["user_created"])

    def sent(webhook_id: str, verb: str, **days: str) -> int:
        return school.admin.post(f"/webhooks/{webhook_id}/{verb}", days).json()["deliveries"]

    assert sent(webhook, "replay", since="2024-11-03") == 0
    assert sent(webhook, "replay", since="2024-11-01", until="2024-11-01") == 0
    assert sent(webhook, "replay", since="2024-11-02", until="2024-11-02") == 1
    # The late webhook wants the school's own people too, who were created before Ada.
    assert sent(late, "backfill", since="2024-11-03") == 0
    assert sent(late, "backfill", since="2024-11-02") == 4


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_timestamp_in_a_form_is_an_instant_whatever_the_zone(found):
    school = found(zone="Asia/Kathmandu")
    path = f"/offerings/{school.offering()}"

    for written, meant in TIMESTAMPS:
        for name in OFFERING_DATES:
            assert school.admin.put(path, {name: written}).status_code == 204, (name, written)
            assert school.admin.get(path)[name] == meant
            school.admin.put(path, {name: None})
    for written in NO_DATES:
        answer = school.admin.put(path, dict.fromkeys(OFFERING_DATES, written))
        assert list(answer.json()["fieldErrors"]) == list(OFFERING_DATES), written


def finds(school, address: str, written: str) -> bool:
    answer = school.admin("GET", address + quote(written))
    assert answer.status_code == 200, (address, written, answer.text)
    return bool(answer.json()["results"])


def refused(school, address: str, written: str) -> list[str]:
    """The fields that are named."""
    answer = school.admin("GET", address + quote(written))
    assert answer.status_code == 400, (address, written, answer.text)
    return list(answer.json()["fieldErrors"])
