"""Importing users, offerings and registrations, on both engines."""

import io
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select

from coursebell.domain.completion import Command
from coursebell.domain.imports import ImportKind
from coursebell.domain.lists import AuditFilters, OfferingFilters, Page, UserFilters
from coursebell.domain.model import ActorKind, MoveOn, Role, Source, Status
from coursebell.errors import ForbiddenError, InvalidInputError
from coursebell.services import offerings, people, privacy, trail
from coursebell.services.imports import BATCH, Import, Plan
from coursebell.storage.tables import metadata
from factories import DAY, NOW, open_school

USERS, OFFERINGS, REGISTRATIONS = ImportKind
EVERYTHING = Page(limit=1000)


def steps(school, kind, table, *, actor=None, now=NOW, start=(0, 0), record=None, **plan):
    actor = actor or replace(school.operator, kind=ActorKind.IMPORT)
    stream = io.BytesIO(table if isinstance(table, bytes) else table.encode())
    running = Import(school.registrar, actor, Plan(kind=kind, **plan), stream)
    yield from running.steps(lambda: now, end=start[0], line=start[1], record=record)


def bring(school, kind, table, **options):
    """What was done with the lines, and what is wrong with others as (line, column, rule)."""
    counts, problems = Counter(), []
    for step in steps(school, kind, table, **options):
        counts += Counter({each.value: count for each, count in step.counts.items()})
        problems += [(each.line, each.column, each.rule) for each in step.problems]
    return dict(counts), problems


def list_users(school):
    return people.list_users(school.registrar, school.admin, UserFilters(), EVERYTHING).items[1:]


def list_offerings(school):
    found = offerings.list_offerings(
        school.registrar, school.admin, OfferingFilters(), EVERYTHING, NOW
    )
    return list(found.items)


def everything(school, *, without=()):
    """All rows of all tables."""
    with school.database.snapshot() as tx:
        return {
            name: [tuple(row) for row in tx.execute(select(table))]
            for name, table in metadata.tables.items()
            if name not in without
        }


def stored(school, **where):
    table = metadata.tables["registrations"]
    query = select(table).order_by(table.c.key)
    for name, wanted in where.items():
        query = query.where(table.c[name] == wanted)
    with school.database.snapshot() as tx:
        return tx.execute(query).all()


PEOPLE = """\
externalKey,email,firstName,lastName,tags,role,createdDate,locale
7,ada@x.example,Ada,Byron,"a, b",instructor,2019-05-03,en_GB
8,bo@x.example,Bo,Li,,,,
"""


@pytest.fixture
def catalogue(school):
    """Two learners and two offerings, known by key and otherwise."""
    bring(school, USERS, PEOPLE)
    bring(school, OFFERINGS, "key,title,moveOn\nF,Fire safety,\nL,Ladders,Completed\n")
    return school


# --- users


def test_users_come_with_their_own_dates_and_nobody_is_told(school):
    hook = school.webhook()

    done, problems = bring(school, USERS, PEOPLE)

    ada, bo = list_users(school)
    assert (done, problems) == ({"created": 2}, [])
    assert (ada.email, ada.role, ada.tags, ada.locale) == (
        "ada@x.example",
        Role.INSTRUCTOR,
        ("a", "b"),
        "en_GB",
    )
    assert ada.created_at == datetime(2019, 5, 3, tzinfo=UTC)
    assert (bo.created_at, bo.locale, bo.username) == (NOW, "en", "bo@x.example")
    assert [event["event"] for event in school.documents()[1:]] == ["user_created"] * 2
    assert school.deliveries(hook) == []


def test_importing_again_changes_nothing_at_all(school):
    bring(school, USERS, PEOPLE)
    before = everything(school)

    done, _ = bring(school, USERS, PEOPLE, now=NOW + DAY)

    assert done == {"unchanged": 2}
    assert everything(school) == before


def test_a_line_that_has_changed_changes_the_user_that_its_key_names(school):
    bring(school, USERS, PEOPLE)
    ada, _ = list_users(school)

    done, _ = bring(school, USERS, PEOPLE.replace("ada@x", "ada.byron@x"))

    moved, _ = list_users(school)
    assert done == {"updated": 1, "unchanged": 1}
    assert (moved.id, moved.email, moved.username) == (
        ada.id,
        "ada.byron@x.example",
        "ada.byron@x.example",
    )
    (entry,) = trail.list_changes(
        school.registrar, school.admin, AuditFilters(action="user.update"), EVERYTHING
    ).items
    assert (entry.actor, entry.before["email"]) == (ActorKind.IMPORT, "ada@x.example")


def test_what_was_changed_here_stays_while_the_line_says_what_it_said(school):
    bring(school, USERS, PEOPLE)
    ada, _ = list_users(school)
    changes = people.UserChanges(first_name="Augusta")
    people.change_user(school.registrar, school.admin, ada.id, changes, NOW)

    bring(school, USERS, PEOPLE)

    assert list_users(school)[0].first_name == "Augusta"


def test_a_user_who_is_here_already_is_found_by_address_and_keeps_the_rest(school):
    user = school.user(email="Ada@X.example", tags=("z",), locale="de")

    done, _ = bring(
        school,
        USERS,
        "id,email,firstName,lastName\n7,ada@x.example,Ada,B\n",
        mapping={"id": "externalKey"},
    )

    (ada,) = list_users(school)
    assert done == {"updated": 1}
    assert (ada.id, ada.first_name, ada.tags, ada.locale) == (user.id, "Ada", ("z",), "de")


def test_every_bad_line_is_told_and_the_others_are_imported(school):
    school.user(email="taken@x.example")
    table = """\
externalKey;email;firstName;lastName;createdDate;username
1;bad;A;B;;
2;a@x.example;A;B;2999-01-01;
3;b@x.example;A;B;;other
4;c@x.example;A;B;;
4;d@x.example;A;B;;
4;c@x.example;A;B;;
5;C@x.example;A;B;;
"x"y;e@x.example;A;B;;
6;taken@x.example;A;B;;
"""

    done, problems = bring(school, USERS, table)

    assert done == {"created": 1, "updated": 1, "unchanged": 1}
    assert [(line, column) for line, column, _ in problems] == [
        (2, "email"),
        (3, "createdDate"),
        (4, "username"),
        (6, None),
        (8, "email"),
        (9, None),
    ]
    assert "Has the key of line 5" in {line: rule for line, _, rule in problems}[6]


def test_a_dry_run_tells_the_same_and_changes_nothing(school):
    before = everything(school)
    table = PEOPLE + "9,bad,A,B,,,,\n"

    dry = bring(school, USERS, table, is_dry_run=True)

    assert everything(school) == before
    assert (
        dry
        == bring(school, USERS, table)
        == (
            {"created": 2},
            [(4, "email", "Invalid email address.")],
        )
    )


def test_the_last_administrator_keeps_the_role(school):
    admin = people.get_user(school.registrar, school.admin, school.admin.user_id)
    table = f"email,firstName,lastName,role\n{admin.email},A,B,learner\n"

    done, problems = bring(school, USERS, table)

    assert (done, problems) == ({}, [(2, "role", "This is the last administrator.")])


def test_a_deleted_user_is_not_made_anew_by_the_same_line_and_told_by_another(school):
    bring(school, USERS, PEOPLE)
    ada, _ = list_users(school)
    people.delete_user(school.registrar, school.admin, ada.id, NOW)

    same = bring(school, USERS, PEOPLE)
    other = bring(school, USERS, PEOPLE.replace("Byron", "King"))

    assert same == ({"unchanged": 2}, [])
    assert other == ({"unchanged": 1}, [(2, None, "The user was deleted.")])


def test_an_erased_person_leaves_no_key_behind(school):
    bring(school, USERS, PEOPLE.replace("7,ada", "staff-4711,ada"))
    ada, _ = list_users(school)

    privacy.erase_user(school.registrar, school.admin, ada.id, "asked", NOW)

    assert "staff-4711" not in str(everything(school))


# --- offerings


def test_offerings_come_with_their_courses(school):
    course = school.course(title="Safety")
    table = """\
title,course,price,passing score,starts,ends,retakes,moveOn
Fire,Safety,9.50,80,2030-01-01,2030-01-31,yes,Passed
Ladders,Safety,,,,,,
Ropes,,,,,,,
"""

    done, problems = bring(school, OFFERINGS, table)
    again, _ = bring(school, OFFERINGS, table)

    fire, ladders, ropes = list_offerings(school)
    assert (done, problems, again) == ({"created": 3}, [], {"unchanged": 3})
    assert (fire.price, fire.passing_grade, fire.retakes) == (Decimal("9.50"), Decimal(80), True)
    assert fire.move_on is MoveOn.PASSED
    assert (fire.begin_at, fire.end_at) == (
        datetime(2030, 1, 1, tzinfo=UTC),
        datetime(2030, 2, 1, tzinfo=UTC),
    )
    assert fire.course_id == ladders.course_id == course.id != ropes.course_id


def test_a_changed_offering_is_changed_and_a_contradiction_told(school):
    bring(school, OFFERINGS, "key,title,starts,ends\n1,Fire,2030-01-01,2030-02-01\n")

    done, problems = bring(
        school,
        OFFERINGS,
        "key,title,starts,ends,courseId\n1,Fire drill,2030-01-01,2030-02-01,\n"
        "2,Ropes,2030-01-02,2029-01-01,\n3,Nets,,,nowhere\n",
    )

    (fire,) = list_offerings(school)
    assert (done, fire.title) == ({"updated": 1}, "Fire drill")
    assert problems == [
        (3, "endDate", "Must be after beginDate."),
        (4, "courseId", "No course exists with this id."),
    ]


def test_titles_that_several_have_name_none_of_them(school):
    for _ in range(2):
        school.offering(title="Fire", course=school.course(title="Fire"))

    _, problems = bring(school, OFFERINGS, "title\nFire\n")
    _, of_course = bring(school, OFFERINGS, "key,title,course\n1,Nets,Fire\n")

    assert problems[0][:2] == (2, "title")
    assert of_course[0][:2] == (2, "course")


# --- registrations

PAST = """\
id,email,offering,status,score,enrolled,completion date,comment
1,ada@x.example,Fire safety,passed,"65,55555",2019-05-03,2019-06-01T10:00:00Z,Fine
2,ada@x.example,Ladders,completed,,2019-05-03,2019-06-02,
3,bo@x.example,Fire safety,completed,69.99,,2019-06-01T10:00:00Z,
4,bo@x.example,Ladders,in progress,,2026-01-05,,
5,bo@x.example,Fire safety,withdrawn,,,2020-06-01T10:00:00Z,
"""
KEYED = {"id": "externalKey"}


def test_past_completions_come_as_they_were(catalogue):
    done, problems = bring(catalogue, REGISTRATIONS, PAST, mapping=KEYED)

    passed, completed, failed, active, ejected = stored(catalogue)
    assert (done, problems) == ({"created": 5}, [])
    assert (passed.status, passed.grade, passed.policy_move_on) == (
        "passed",
        Decimal("65.55555"),
        None,
    )
    assert passed.created_at == datetime(2019, 5, 3, tzinfo=UTC)
    assert passed.end_at == passed.begin_at == datetime(2019, 6, 1, 10, tzinfo=UTC)
    assert (passed.grader_comment, passed.source, passed.attempt) == ("Fine", "ADMIN", 1)
    assert (completed.status, completed.policy_move_on) == ("passed", "Completed")
    assert completed.end_at == datetime(2019, 6, 3, tzinfo=UTC)
    assert (failed.status, failed.policy_move_on) == ("failed", "CompletedAndPassed")
    assert (active.status, active.end_at) == ("active", None)
    assert (ejected.status, ejected.attempt) == ("ejected", 2)


def test_their_events_are_stored_in_order_and_no_webhook_is_told(catalogue):
    hook = catalogue.webhook()
    bring(catalogue, REGISTRATIONS, PAST, mapping=KEYED)

    passed, *_ = stored(catalogue)
    found = [event for event in catalogue.events() if event.registration_id == passed.id]
    assert [(event.name, event.registration_seq) for event in found] == [
        ("offering_registered", 1),
        ("offering_completed", 2),
    ]
    assert {event.source for event in found} == {Source.ADMIN}
    document = catalogue.documents(event="offering_completed")[0]
    assert document["registration"] == {
        "id": passed.id,
        "beginDate": "2019-06-01T10:00:00Z",
        "endDate": "2019-06-01T10:00:00Z",
        "grade": 65.5555,
        "passed": True,
    }
    assert document["date"] == "2026-03-02T10:00:00Z"
    assert catalogue.deliveries(hook) == []


def test_webhooks_are_told_when_that_is_asked_for(catalogue):
    hook = catalogue.webhook(events=("offering_completed",))

    bring(catalogue, REGISTRATIONS, PAST, mapping=KEYED, sends_events=True)

    assert len(catalogue.deliveries(hook)) == 3


def test_the_trail_has_an_entry_for_each_and_the_import_as_actor(catalogue):
    bring(catalogue, REGISTRATIONS, PAST, mapping=KEYED)

    found = trail.list_changes(
        catalogue.registrar, catalogue.admin, AuditFilters(subject="registration"), EVERYTHING
    ).items
    assert {(entry.action, entry.actor) for entry in found} == {
        ("registration.import", ActorKind.IMPORT)
    }
    assert len(found) == 5
    assert found[-1].after["grade"] == "65.55555"


def test_importing_them_again_changes_nothing_at_all(catalogue):
    bring(catalogue, REGISTRATIONS, PAST, mapping=KEYED)
    before = everything(catalogue)

    done, problems = bring(catalogue, REGISTRATIONS, PAST, mapping=KEYED, now=NOW + DAY)

    assert (done, problems) == ({"unchanged": 5}, [])
    assert everything(catalogue) == before


def test_without_keys_user_offering_and_date_are_the_key(catalogue):
    bring(catalogue, REGISTRATIONS, PAST)
    before = everything(catalogue)

    assert bring(catalogue, REGISTRATIONS, PAST) == ({"unchanged": 5}, [])
    assert everything(catalogue) == before


def test_a_changed_line_is_graded_anew_and_ends_what_was_active(catalogue):
    bring(catalogue, REGISTRATIONS, PAST, mapping=KEYED)
    corrected = PAST.replace('"65,55555"', "75").replace(
        "Ladders,in progress,,2026-01-05,,", "Ladders,passed,90,2026-01-05,2026-02-01T00:00:00Z,"
    )

    done, problems = bring(catalogue, REGISTRATIONS, corrected, mapping=KEYED, now=NOW + DAY)

    passed, _, _, ended, _ = stored(catalogue)
    assert (done, problems) == ({"updated": 2, "unchanged": 3}, [])
    assert (passed.grade, ended.status, ended.grade) == (Decimal(75), "passed", Decimal(90))
    names = [event.name for event in catalogue.events()]
    assert names[-2:] == ["registration_grade_changed", "offering_completed"]


def test_old_attempts_come_beside_one_that_is_active_here(catalogue):
    ada, _ = list_users(catalogue)
    fire = list_offerings(catalogue)[0]
    active = catalogue.registration(user=ada, offering=fire)

    done, problems = bring(
        catalogue,
        REGISTRATIONS,
        "userId,offeringId,passed,endDate\n"
        f"{ada.id},{fire.id},no,2018-01-01\n{ada.id},{fire.id},yes,2019-01-01\n",
    )

    assert (done, problems) == ({"created": 2}, [])
    found = stored(catalogue, user_id=ada.id)
    assert [(each.attempt, each.status) for each in found] == [
        (1, "active"),
        (2, "failed"),
        (3, "passed"),
    ]
    assert catalogue.stored(active).status is Status.ACTIVE


def test_users_and_offerings_are_found_by_key_too(catalogue):
    done, problems = bring(
        catalogue, REGISTRATIONS, "userKey,offeringKey,passed,endDate\n7,L,1,2019-01-01\n"
    )

    assert (done, problems) == ({"created": 1}, [])


@pytest.mark.parametrize(
    ("line", "column", "rule"),
    [
        ("nobody@x.example,Ladders,,,,,", "email", "No user is known by this."),
        (",Ladders,,,,,", "userId", "Is required, or another column that names the user."),
        ("bo@x.example,Knots,,,,,", "offering", "No offering is known by this."),
        ("bo@x.example,Ladders,passed,,,,", "endDate", "Is required, because"),
        ("bo@x.example,Ladders,active,,,5,", "grade", "Must be empty while"),
        ("bo@x.example,Ladders,active,,2020-01-01,,", "endDate", "Must be empty while"),
        ("bo@x.example,Ladders,passed,no,2020-01-01,,", "passed", "Contradicts the status"),
        ("bo@x.example,Ladders,passed,,2027-01-01,,", "endDate", "Must not be in the future."),
        ("bo@x.example,Ladders,passed,,2020-01-01,,2021-01-01", "endDate", "Must not be before"),
        ("bo@x.example,Ladders,passed,,2020-01-01,101,", "grade", "Must be between 0 and 100."),
        ("ada@x.example,Fire safety,,,,,", None, "The user has an active registration"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_line_that_cannot_be_is_told_by_column_and_rule(catalogue, line, column, rule):
    ada, _ = list_users(catalogue)
    catalogue.registration(user=ada, offering=list_offerings(catalogue)[0])
    before = everything(catalogue)

    done, problems = bring(
        catalogue,
        REGISTRATIONS,
        f"email,offering,status,passed,endDate,grade,beginDate\n{line}\n",
    )

    assert done == {}
    assert problems[0][:2] == (2, column)
    assert problems[0][2].startswith(rule)
    assert everything(catalogue) == before


def test_a_day_that_is_not_over_ends_now(catalogue):
    table = "email,offering,passed,endDate\nada@x.example,Ladders,yes,2026-03-02\n"

    bring(catalogue, REGISTRATIONS, table)

    assert stored(catalogue)[0].end_at == NOW


def test_what_ended_here_is_not_reopened_by_a_line_that_calls_it_active(catalogue):
    line = "externalKey,email,offering,createdDate,comment\n1,bo@x.example,Ladders,2026-01-01,"
    bring(catalogue, REGISTRATIONS, line + "\n")
    (row,) = stored(catalogue)
    catalogue.ask(replace_id(row), Command.GRADE, grade="80")

    _, problems = bring(catalogue, REGISTRATIONS, line + "changed\n")
    active = bring(catalogue, REGISTRATIONS, line.replace("1,bo", "2,ada") + "x\n")
    still = bring(catalogue, REGISTRATIONS, line.replace("1,bo", "2,ada") + "y\n")

    assert problems[0][1] == "status"
    assert (active[0], still[0]) == ({"created": 1}, {"unchanged": 1})


def replace_id(row):
    """Something with the id of a stored registration, for `School.ask`."""
    from factories import a_registration  # noqa: PLC0415

    return a_registration(id=row.id)


# --- in batches, resumed


def test_an_import_goes_on_from_the_place_that_a_step_reached(school):
    lines = [f"{n},p{n}@x.example,P,{n}" for n in range(BATCH + 3)]
    table = "\n".join(["externalKey,email,firstName,lastName", *lines])
    reached = []

    first = next(iter(steps(school, USERS, table, record=lambda _, step: reached.append(step))))
    rest = list(steps(school, USERS, table, start=(first.end, first.line)))

    assert reached == [first]
    assert (first.read, first.line) == (BATCH, BATCH + 1)
    assert [step.read for step in rest] == [3]
    assert len(list_users(school)) == BATCH + 3
    assert bring(school, USERS, table)[0] == {"unchanged": BATCH + 3}


def test_what_is_recorded_is_committed_with_the_step_and_also_after_a_dry_run(school):
    audit = metadata.tables["audit"]

    def record(tx, step):
        tx.execute(audit.update().values(reason=f"reached {step.line}"))

    list(steps(school, USERS, PEOPLE, record=record, is_dry_run=True))

    with school.database.snapshot() as tx:
        assert set(tx.execute(select(audit.c.reason)).scalars()) == {"reached 3"}
    assert list_users(school) == []


def test_only_administrators_import_and_only_into_their_own_organization(school):
    other = open_school(school.database)
    bring(school, USERS, PEOPLE)

    for actor in (school.learner(), school.instructor()):
        with pytest.raises(ForbiddenError):
            bring(school, USERS, PEOPLE, actor=actor)
    assert bring(other, USERS, PEOPLE) == ({"created": 2}, [])
    assert bring(other, REGISTRATIONS, "userKey,offeringKey\n7,F\n")[1][0][1] == "offeringKey"


def test_a_file_without_the_needed_columns_is_refused_as_a_whole(school):
    with pytest.raises(InvalidInputError, match="No column is email"):
        bring(school, USERS, "a,b\n1,2\n")
