"""What receivers are told: keys and their order, bytes, profiles, filters."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.domain import events, samples
from coursebell.domain.events import EventName, encode, in_profile, matches, number
from coursebell.domain.model import MoveOn, Payload, Source, Status
from coursebell.domain.outcomes import outcome_of
from factories import (
    HOUR,
    NOW,
    a_policy,
    a_registration,
    a_user,
    an_element,
    an_offering,
    some_work,
)

GOLDEN = Path(__file__).parents[1] / "data" / "offering_completed.json"


def instant(text):
    return datetime.fromisoformat(text).astimezone(UTC)


def seed_event():
    """The values of the vendor's page, through our own types."""
    user = a_user(
        id="8920ae04b9d6461ea2c7de6f6240ec4f",
        first_name="Biondello",
        last_name="Brissette",
        username="biobr@infoseller.com",
        email="biobr@infoseller.com",
        locale="en",
    )
    registration = a_registration(
        Status.FAILED,
        id="0e110b8a72294161a589ade444bd978f",
        begin_at=instant("2013-09-19T00:39:57Z"),
        end_at=instant("2014-11-15T00:39:57Z"),
        grade=Decimal("58"),
        source=Source.SELF,
    )
    return events.registration_event(
        event_id="1" * 32,
        name=EventName.OFFERING_COMPLETED,
        source=Source.SELF,
        now=instant("2014-04-18T00:39:57Z"),
        user=user,
        registration=registration,
        registration_part=events.result_part(registration),
        offering=an_offering(id="c07fba9bfea94358b3fdd906b7d601a4", title="Sample Course"),
    )


def completed(registration, **parts):
    """The document of `offering_completed` for this registration."""
    return events.registration_event(
        event_id="1" * 32,
        name=EventName.OFFERING_COMPLETED,
        source=parts.get("source", Source.SELF),
        now=NOW,
        user=parts.get("user", a_user()),
        registration=registration,
        registration_part=events.result_part(registration),
        offering=parts.get("offering", an_offering()),
    ).document


def test_the_vendors_example_comes_out_key_for_key():
    assert encode(seed_event().document) == GOLDEN.read_bytes()


def test_an_event_knows_whom_and_what_it_is_about():
    event = seed_event()

    assert event.user_id == "8920ae04b9d6461ea2c7de6f6240ec4f"
    assert event.registration_id == "0e110b8a72294161a589ade444bd978f"
    assert event.offering_id == "c07fba9bfea94358b3fdd906b7d601a4"
    assert event.registration_seq == 2
    assert event.occurred_at == instant("2014-04-18T00:39:57Z")


def test_a_user_created_has_nothing_after_the_user_and_no_password():
    event = events.user_created(event_id="1" * 32, source=Source.ADMIN, now=NOW, user=a_user())

    assert list(event.document) == ["event", "date", "source", "user"]
    assert list(event.document["user"]) == [
        "id",
        "firstName",
        "lastName",
        "username",
        "email",
        "locale",
    ]
    assert (event.registration_id, event.registration_seq, event.offering_id) == (None, None, None)


def test_a_re_grade_says_what_was_before():
    before = a_registration(Status.FAILED, grade=Decimal("69.5"))
    after = replace(before, grade=Decimal("70"), status=Status.PASSED)

    part = events.regraded_part(after, before)

    assert list(part) == [
        "id",
        "beginDate",
        "endDate",
        "grade",
        "passed",
        "previousGrade",
        "previousPassed",
    ]
    assert (part["previousGrade"], part["previousPassed"]) == (Decimal("69.5"), False)


def test_a_re_grade_of_what_had_no_grade_leaves_the_previous_one_out():
    before = a_registration(Status.FAILED, grade=None)

    part = events.regraded_part(replace(before, grade=Decimal("70")), before)

    assert "previousGrade" not in part
    assert part["previousPassed"] is False


def test_an_ejection_has_what_has_a_value():
    ejected = a_registration(Status.EJECTED)

    assert list(events.result_part(ejected)) == ["id", "beginDate", "endDate"]


def test_a_failure_without_a_grade_leaves_it_out_and_says_not_passed():
    part = events.result_part(a_registration(Status.FAILED, grade=None))

    assert "grade" not in part
    assert part["passed"] is False


def test_whoever_is_registered_is_known_by_id_only():
    assert list(events.identity_part(a_registration())) == ["id"]


def test_a_fraction_of_a_second_is_cut_off():
    registration = a_registration(Status.PASSED, end_at=NOW.replace(microsecond=999_999))

    assert events.result_part(registration)["endDate"] == "2026-03-02T10:00:00Z"


# --- numbers and bytes


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        ("69.99999", "69.9999"),
        ("69.99995", "69.9999"),
        ("70", "70.0"),
        ("70.0000", "70.0"),
        ("1E+2", "100.0"),
        ("0", "0.0"),
        ("-0", "0.0"),
        ("0.0001", "0.0001"),
        ("0.00009", "0.0"),
        ("33.333333333333333333333333333333333333", "33.3333"),
    ],
)
def test_a_grade_is_sent_rounded_down_with_a_fraction_digit(stored, sent):
    assert encode({"grade": Decimal(stored)}) == f'{{"grade":{sent}}}'.encode()


@given(st.decimals(0, 100, allow_nan=False))
def test_a_grade_sent_is_the_stored_one_cut_after_four_decimals(grade):
    text = encode({"grade": grade}).decode().removeprefix('{"grade":').removesuffix("}")

    assert re.fullmatch(r"[0-9]+\.[0-9]{1,4}", text)
    assert Decimal(text) == grade.quantize(Decimal("0.0001"), rounding=ROUND_DOWN)


@given(
    grade=st.decimals(0, 100, places=7),
    mark=st.decimals(0, 100, places=4),
)
def test_a_fail_is_never_shown_beside_a_grade_that_reaches_the_mark(grade, mark):
    policy = a_policy(passing_grade=mark, move_on=MoveOn.PASSED)
    passed = outcome_of(policy, done=True, grade=grade) is Status.PASSED

    assert (number(grade) >= number(mark)) == passed


@given(st.decimals(0, 10**11, places=4))
def test_a_price_is_sent_exactly_without_an_exponent(price):
    text = encode({"price": price}).decode().removeprefix('{"price":').removesuffix("}")

    assert re.fullmatch(r"[0-9]+\.[0-9]{1,4}", text)
    assert Decimal(text) == price


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PARTS = st.dictionaries(TEXT, TEXT, max_size=3)
DOCUMENTS = st.dictionaries(TEXT, TEXT | st.booleans() | PARTS, max_size=4)


@given(DOCUMENTS)
def test_what_is_encoded_reads_back_the_same_in_the_same_order(document):
    decoded = json.loads(encode(document))

    assert json.dumps(decoded) == json.dumps(document)


def test_bytes_are_compact_utf_8_with_nothing_escaped_that_need_not_be():
    body = encode({"title": "Sécurité 消防 🔥", "text": 'a "quoted" line\n'})

    assert body == '{"title":"Sécurité 消防 🔥","text":"a \\"quoted\\" line\\n"}'.encode()


def test_what_has_no_place_in_an_event_is_refused():
    with pytest.raises(TypeError, match="datetime"):
        encode({"date": NOW})


def test_no_event_has_a_null():
    document = completed(a_registration(Status.FAILED, grade=None))

    assert b"null" not in encode(document)


# --- profiles


def test_the_full_profile_is_the_event_itself():
    event = seed_event()

    assert in_profile(event, Payload.FULL, None) is event.document


def test_the_ids_profile_has_ids_and_nothing_of_a_person():
    reduced = in_profile(seed_event(), Payload.IDS, "https://bell.example")

    assert reduced == {
        "event": "offering_completed",
        "date": "2014-04-18T00:39:57Z",
        "source": "SELF",
        "user": {"id": "8920ae04b9d6461ea2c7de6f6240ec4f"},
        "registration": {"id": "0e110b8a72294161a589ade444bd978f"},
        "offering": {"id": "c07fba9bfea94358b3fdd906b7d601a4"},
    }
    assert list(reduced) == ["event", "date", "source", "user", "registration", "offering"]


def test_the_thin_profile_links_to_the_registration():
    reduced = in_profile(seed_event(), Payload.THIN, "https://bell.example")

    assert reduced == {
        **in_profile(seed_event(), Payload.IDS, None),
        "link": "https://bell.example/api/v5/registrations/0e110b8a72294161a589ade444bd978f",
    }


def test_the_thin_profile_of_an_event_without_registration_links_to_the_user():
    user = a_user()
    event = events.user_created(event_id="1" * 32, source=Source.ADMIN, now=NOW, user=user)

    reduced = in_profile(event, Payload.THIN, "https://bell.example")

    assert reduced["link"] == f"https://bell.example/api/v5/users/{user.id}"
    assert reduced["user"] == {"id": user.id}


@pytest.mark.parametrize(
    ("name", "link", "told"),
    [
        (
            EventName.ELEMENT_COMPLETED,
            f"registrations/{'1111222233334444aaaabbbbccccdddd'}/elements/{samples.ELEMENT.id}",
            ["event", "date", "source", "user", "element", "offering", "link"],
        ),
        (
            EventName.ELEMENT_AWAITING_GRADE,
            f"registrations/{'1111222233334444aaaabbbbccccdddd'}/elements/{samples.ELEMENT.id}",
            ["event", "date", "user", "element", "offering", "link"],
        ),
        (
            EventName.ELEMENT_PUBLISHED,
            f"courses/{samples.COURSE.id}/elements/{samples.ELEMENT.id}",
            ["event", "date", "element", "course", "link"],
        ),
    ],
)
def test_the_thin_profile_of_an_element_links_to_it_and_tells_ids(name, link, told):
    event = samples.sample_event(name, "1" * 32, NOW)

    reduced = in_profile(event, Payload.THIN, "https://bell.example")

    assert list(reduced) == told
    assert reduced["link"] == f"https://bell.example/api/v5/{link}"
    assert all(list(part) == ["id"] for part in reduced.values() if isinstance(part, dict))


# --- elements


OURS = {
    EventName.REGISTRATION_GRADE_CHANGED,
    EventName.REGISTRATION_REOPENED,
    EventName.REGISTRATION_EJECTED,
    EventName.USER_ERASED,
}


@pytest.mark.parametrize("name", EventName)
def test_every_event_of_the_vendor_is_its_golden_file_byte_for_byte(name):
    """offering_completed is the vendor's own page; the others have its keys, order and types."""
    golden = GOLDEN.with_name(f"{name}.json")
    if name is EventName.OFFERING_COMPLETED:
        event = seed_event()
    else:
        event = samples.sample_event(name, "1" * 32, instant("2031-02-03T04:05:06Z"))

    assert golden.exists() == (name not in OURS)
    if golden.exists():
        assert encode(event.document) == golden.read_bytes()


@pytest.mark.parametrize(
    ("type_", "keys"),
    [
        ("assignment", ["type", "id", "title", "grade", "passed", "question", "response"]),
        ("test", ["type", "id", "title", "grade", "passed"]),
    ],
)
def test_only_an_assignment_tells_its_question_and_response(type_, keys):
    element = an_element(type_, question="Why?")

    part = events.element_part(element, some_work(element, grade=80, response="So."))

    assert list(part) == keys


def test_what_is_not_graded_has_neither_grade_nor_verdict():
    element = an_element("chalkboard")

    assert list(events.element_part(element, some_work(element))) == ["type", "id", "title"]


def test_a_course_without_an_instructor_publishes_without_a_name():
    event = events.element_published(
        event_id="1" * 32, now=NOW, element=samples.ELEMENT, course=samples.COURSE, instructor=None
    )

    assert list(event.document["course"]) == ["id", "title", "passingGrade"]
    assert (event.user_id, event.element_id) == (None, samples.ELEMENT.id)


# --- filters

OFFERING = an_offering(title="Fire Safety (100%_sure)", id="a" * 32)
DOCUMENT = completed(
    a_registration(Status.PASSED), offering=OFFERING, user=a_user(email="Mei@Learner.Example")
)


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"offering.id": "a" * 32},
        {"offering.id": ["b" * 32, "a" * 32]},
        {"offering.title.contains": "fire safety"},
        {"offering.title.contains": "100%_SURE"},
        {"user.email.endswith": "@learner.example"},
        {"registration.passed": True},
        {"source": "SELF"},
        {"source": "SELF", "registration.passed": True, "offering.id": "a" * 32},
    ],
)
def test_an_event_matches(filters):
    assert matches(DOCUMENT, filters)


@pytest.mark.parametrize(
    "filters",
    [
        {"offering.id": "b" * 32},
        {"offering.id": ["b" * 32, "c" * 32]},
        {"offering.title.contains": "first aid"},
        {"offering.title.contains": "fire%safety"},
        {"user.email.endswith": "learner"},
        {"registration.passed": False},
        {"source": "ADMIN"},
        {"source": "SELF", "registration.passed": False},
        {"element.type": "test"},
    ],
)
def test_an_event_does_not_match(filters):
    assert not matches(DOCUMENT, filters)


def test_a_filter_on_a_field_that_the_event_lacks_does_not_match():
    document = completed(a_registration(Status.EJECTED, end_at=NOW - HOUR))

    assert not matches(document, {"registration.passed": False})
    assert not matches({"event": "user_created", "user": {"id": "1"}}, {"offering.id": "a" * 32})


def test_letters_are_compared_without_case_by_unicodes_rules():
    document = completed(a_registration(Status.PASSED), offering=an_offering(title="Straße ΟΔΟΣ"))

    assert matches(document, {"offering.title.contains": "STRASSE"})
    assert matches(document, {"offering.title.contains": "οδοσ"})
