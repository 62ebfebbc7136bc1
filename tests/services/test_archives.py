"""An organization goes from one database to one of the other kind and comes back the same."""

from __future__ import annotations

import io
import json
from contextlib import closing
from decimal import Decimal

import pytest
from sqlalchemy import delete, func, select

from coursebell.domain.agreements import AgreementType
from coursebell.domain.completion import Command
from coursebell.domain.imports import ImportKind
from coursebell.domain.model import Attempt, DeliveryStatus
from coursebell.domain.user_fields import FieldType
from coursebell.errors import ConflictError, InvalidInputError
from coursebell.services import accounts, agreements, archives, courses, dispatching, user_fields
from coursebell.services.agreements import AgreementChanges
from coursebell.services.courses import NewCategory
from coursebell.services.imports import Import, Plan
from coursebell.services.user_fields import NewUserField
from coursebell.storage.archives import LEFT_OUT, archived_tables
from coursebell.storage.claims import Recorded, claim
from coursebell.storage.database import Database
from coursebell.storage.tables import metadata
from factories import DAY, HOUR, NOW, a_registrar, open_school

SECRET_KEY = "a-key-that-only-tests-use"


@pytest.fixture
def other(request, database_url):
    """An empty, migrated database of the other kind."""
    kind = "postgres" if database_url.startswith("sqlite") else "sqlite"
    url = request.getfixturevalue(f"{kind}_url")
    with closing(Database(url, secret_keys=[SECRET_KEY])) as database:
        yield database


@pytest.fixture
def school(database):
    """An organization with a row in every table there is."""
    school = open_school(database, zone="Europe/Berlin")
    stranger = open_school(database, name="Another School")
    stranger.registration()
    hook = school.webhook(headers={"x-key": "hidden"}, payload="ids")
    school.webhook(url="http://127.0.0.1:9/full")
    registrar, admin = school.registrar, school.admin
    shelf = courses.create_category(registrar, admin, NewCategory(name="Shelf"), NOW)
    course = school.course(title="Ladders", passing_grade=Decimal("70.50"))
    test, essay = school.element(course), school.element(course, "assignment", question="Why?")
    offering = school.offering(course=course, category_ids=(shelf.id,), tags=("a", "b"))
    learner = school.user(first_name="Zoë", password="passw0rd", tags=("x",))
    registration = school.registration(user=learner, offering=offering)
    school.report(registration, test, grade="99.12345")
    school.judge(registration, essay, exempt=True, comment="Ill\nfor long")
    school.ask(school.registration(offering=offering), Command.GRADE, grade="0", now=NOW + HOUR)
    accounts.create_token(registrar, admin, learner.id, "player", NOW)
    field = user_fields.create_field(
        registrar, admin, NewUserField(type=FieldType.DECIMAL, category_name="HR", name="Size"), NOW
    )
    user_fields.change_values(registrar, admin, learner.id, {field.id: Decimal("42.0")}, NOW)
    wording = AgreementChanges(title="Rules", text="Be good.")
    agreements.write_agreement(registrar, admin, AgreementType.STANDARD, wording, NOW)
    agreements.agree(registrar, admin, learner.id, AgreementType.STANDARD, NOW, agreed=True)
    table = io.BytesIO(b"externalKey,title\n7,Ropes\n")
    list(Import(registrar, admin, Plan(kind=ImportKind.OFFERINGS), table).steps(lambda: NOW))
    attempt_once(school, hook.webhook.id, b"\xff no text")
    return school


def attempt_once(school, webhook_id, answer):
    with school.database.transaction() as tx:
        (claimed,) = claim(tx, {webhook_id: 1}, "l" * 32, 60.0, NOW + DAY)
    tried = Attempt(
        number=1,
        started_at=NOW,
        duration_ms=5,
        outcome="http_500",
        status_code=500,
        address="127.0.0.1",
        response_headers="a: b",
        response_body=answer,
        truncated=False,
    )
    result = Recorded(
        key=claimed.key,
        lease=claimed.lease,
        status=DeliveryStatus.FAILED,
        delay_seconds=0,
        attempt=tried,
    )
    assert dispatching.record(school.registrar, [result], {}, NOW).keys == {claimed.key}


def exported(registrar, actor) -> list[str]:
    return [line for line, _ in archives.export(registrar, actor, "0001", NOW)]


def brought(registrar, lines, schema="0001") -> int:
    written = [line if isinstance(line, bytes) else line.encode() for line in lines]
    *_, count = archives.import_archive(registrar, written, schema)
    return count


def rows_by_table(lines) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for line in lines[1:-1]:
        ((table, row),) = json.loads(line).items()
        found.setdefault(table, []).append(row)
    return found


def test_it_comes_back_the_same_from_a_database_of_the_other_kind(school, other):
    lines = exported(school.registrar, school.operator)

    there = a_registrar(other)
    count = brought(there, lines)
    again = exported(there, archives.operator_of_archive(there))

    assert again == lines
    assert json.loads(lines[-1]) == {"rows": count} == {"rows": len(lines) - 2}


def test_every_table_is_in_it_and_nothing_of_another_organization(school):
    lines = exported(school.registrar, school.operator)

    found = rows_by_table(lines)
    assert found.keys() == set(archived_tables()) == set(metadata.tables) - LEFT_OUT
    assert [row["name"] for row in found["organizations"]] == ["Harbour School"]
    owners = {
        row["organization_id"]
        for rows in found.values()
        for row in rows
        if "organization_id" in row
    }
    assert owners == {school.organization.id}


def test_what_opens_doors_is_not_in_it_and_is_listed(school):
    text = "".join(exported(school.registrar, school.operator))
    left_out = archives.list_left_out(school.registrar, school.operator)

    with school.database.snapshot() as tx:
        hashes = tx.execute(select(metadata.tables["users"].c.password_hash)).scalars()
        assert any(each in text for each in hashes if each)
    assert "_sealed" not in text
    assert "hidden" not in text
    assert [token.name for token in left_out.tokens] == ["player"]
    assert [webhook.header_names for webhook in left_out.webhooks] == [("x-key",), ()]


def test_the_copy_goes_on_with_work(school, other):
    there = a_registrar(other)
    brought(there, exported(school.registrar, school.operator))

    with other.transaction() as tx:
        webhooks = list(tx.execute(select(metadata.tables["webhooks"].c.id)).scalars())
        claimed = claim(tx, dict.fromkeys(webhooks, 100), "n" * 32, 60.0, NOW + 3650 * DAY)
        assert len(claimed) > 3
        assert all(each.body for each in claimed)
        assert other.seal.open(
            tx.execute(select(metadata.tables["webhooks"].c.secret_sealed)).scalars().first()
        ).startswith(b"whsec_")


def test_a_database_with_an_organization_takes_no_archive(school):
    lines = exported(school.registrar, school.operator)

    with pytest.raises(ConflictError, match="empty database"):
        brought(school.registrar, lines)


def place_of(lines, table):
    return next(place for place, line in enumerate(lines) if line.startswith(f'{{"{table}"'))


def with_line(line):
    return lambda lines: [*lines[:5], line, *lines[5:]]


def replacing(old, new):
    """In the first registration."""

    def change(lines):
        place = place_of(lines, "registrations")
        assert old in lines[place]
        return [*lines[:place], lines[place].replace(old, new), *lines[place + 1 :]]

    return change


def repeating(lines):
    place = place_of(lines, "registrations")
    return [*lines[: place + 1], *lines[place:]]


WRONG = {
    "was cut off": lambda lines: lines[:-1],
    "rows are there, and": lambda lines: [*lines[:-2], lines[-1]],
    "after the last line": lambda lines: [*lines, lines[-2]],
    "Line 6 of the archive is not JSON": with_line('{"users":'),
    "Line 6 of the archive is no JSON object": with_line("[]"),
    "no row of the archive: shoes": with_line('{"shoes":{"id":"x"}}'),
    "no row of the archive: users": with_line('{"users":7}'),
    "registrations has no state": replacing('"status"', '"state"'),
    "registrations.attempt cannot be '1'": replacing('"attempt":1', '"attempt":"1"'),
    "registrations.created_at cannot be": replacing('"created_at":"2', '"created_at":"x'),
    "registrations.attempt is missing": replacing('"attempt":1,', ""),
    "registrations does not take them": repeating,
    "is not in events": lambda lines: [each for each in lines if not each.startswith('{"events"')],
    "is no archive": lambda lines: ['{"format":"other"}', *lines[1:]],
}


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("said", WRONG)
def test_an_archive_with_something_wrong_is_refused_and_nothing_is_kept(school, other, said):
    lines = exported(school.registrar, school.operator)

    with pytest.raises(InvalidInputError) as refused:
        brought(a_registrar(other), WRONG[said](lines))

    assert said in refused.value.message
    with other.snapshot() as tx:
        for table in metadata.tables.values():
            assert tx.execute(select(func.count()).select_from(table)).scalar_one() == 0


def test_an_archive_of_another_schema_is_refused(school, other):
    lines = exported(school.registrar, school.operator)

    with pytest.raises(InvalidInputError, match="schema 0001; this version has 0002"):
        brought(a_registrar(other), lines, schema="0002")


def test_an_export_sees_one_state_whatever_is_committed_meanwhile(school):
    lines = archives.export(school.registrar, school.operator, "0001", NOW)
    first = [next(lines)[0], next(lines)[0]]

    school.registration()
    rest = [line for line, _ in lines]
    found = rows_by_table([*first, *rest])

    counted = {row["registration_id"] for row in found["events"] if "registration_id" in row}
    assert counted <= {row["id"] for row in found["registrations"]}
    assert len(found["events"]) == found["event_counters"][0]["last"] + 0


def test_an_empty_organization_is_an_archive_too(database, other):
    school = open_school(database)
    with database.transaction() as tx:
        for name in ("audit", "events", "event_counters"):
            tx.execute(delete(metadata.tables[name]))
    lines = exported(school.registrar, school.operator)

    assert brought(a_registrar(other), lines) == 2
