"""Reading events: every name, every profile, and what is not in the shape of an event."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell_receiver import (
    Course,
    Element,
    ElementAwaitingGrade,
    ElementCompleted,
    ElementPublished,
    Event,
    Offering,
    OfferingCompleted,
    OfferingRegistered,
    Reason,
    Registration,
    RegistrationEjected,
    RegistrationGradeChanged,
    RegistrationReopened,
    RegradedRegistration,
    Source,
    UnknownEvent,
    User,
    UserCreated,
    UserErased,
    VerificationError,
)
from coursebell_receiver.parsing import EVENT_NAMES, parse_event

DATE = "2031-02-03T04:05:06Z"
AT = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
USER = {
    "id": "u1",
    "firstName": "Ada",
    "lastName": "Lovelace",
    "username": "ada",
    "email": "ada@example.com",
    "locale": "en_GB",
}
ADA = User(
    id="u1",
    first_name="Ada",
    last_name="Lovelace",
    username="ada",
    email="ada@example.com",
    locale="en_GB",
)
RESULT = {"id": "r1", "beginDate": DATE, "endDate": DATE, "grade": 71.5, "passed": True}
OFFERING = {"id": "o1", "title": "Algebra"}
ALGEBRA = Offering(id="o1", title="Algebra")


def document_of(name: str, **fields: object) -> dict[str, object]:
    return {"event": name, "date": DATE, **fields}


def parse(document: object) -> Event:
    return parse_event(json.dumps(document).encode(), event_id="e1")


def complaint_about(document: object) -> str:
    with pytest.raises(VerificationError) as caught:
        parse(document)
    assert caught.value.reason is Reason.MALFORMED_EVENT
    return caught.value.message


def test_the_vendors_example_is_read_value_for_value(completed_body: bytes) -> None:
    event = parse_event(completed_body, event_id="e1")

    assert event == OfferingCompleted(
        id="e1",
        event="offering_completed",
        date=datetime(2014, 4, 18, 0, 39, 57, tzinfo=UTC),
        source=Source.SELF,
        user=User(
            id="8920ae04b9d6461ea2c7de6f6240ec4f",
            first_name="Biondello",
            last_name="Brissette",
            username="biobr@infoseller.com",
            email="biobr@infoseller.com",
            locale="en",
        ),
        registration=Registration(
            id="0e110b8a72294161a589ade444bd978f",
            begin_date=datetime(2013, 9, 19, 0, 39, 57, tzinfo=UTC),
            end_date=datetime(2014, 11, 15, 0, 39, 57, tzinfo=UTC),
            grade=Decimal("58.0"),
            passed=False,
        ),
        offering=Offering(id="c07fba9bfea94358b3fdd906b7d601a4", title="Sample Course"),
        document={},
    )
    assert event.document == json.loads(completed_body, parse_float=Decimal)


def test_an_end_later_than_the_event_is_accepted_as_in_the_vendors_example(
    completed_body: bytes,
) -> None:
    event = parse_event(completed_body, event_id="e1")

    assert isinstance(event, OfferingCompleted)
    assert event.registration.end_date is not None
    assert event.registration.end_date > event.date


def test_a_registration_for_an_offering_is_read() -> None:
    parts = {"user": USER, "registration": {"id": "r1"}, "offering": OFFERING}

    event = parse(document_of("offering_registered", source="ADMIN", **parts))

    assert event == OfferingRegistered(
        id="e1",
        event="offering_registered",
        date=AT,
        source=Source.ADMIN,
        user=ADA,
        registration=Registration(id="r1"),
        offering=ALGEBRA,
        document={},
    )


def test_a_changed_grade_is_read_with_the_result_before() -> None:
    registration = {**RESULT, "previousGrade": 69.9999, "previousPassed": False}

    event = parse(
        document_of(
            "registration_grade_changed", user=USER, registration=registration, offering=OFFERING
        )
    )

    assert isinstance(event, RegistrationGradeChanged)
    assert event.registration == RegradedRegistration(
        id="r1",
        begin_date=AT,
        end_date=AT,
        grade=Decimal("71.5"),
        passed=True,
        previous_grade=Decimal("69.9999"),
        previous_passed=False,
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("registration_reopened", RegistrationReopened),
        ("registration_ejected", RegistrationEjected),
    ],
)
def test_other_events_of_a_registration_are_read(name: str, kind: type[Event]) -> None:
    registration = {"id": "r1", "beginDate": DATE}

    event = parse(document_of(name, user=USER, registration=registration, offering=OFFERING))

    assert event == kind(
        id="e1",
        event=name,
        date=AT,
        user=ADA,
        registration=Registration(id="r1", begin_date=AT),
        offering=ALGEBRA,
        document={},
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("element_completed", ElementCompleted),
        ("element_awaiting_grade", ElementAwaitingGrade),
    ],
)
def test_events_of_an_element_are_read(name: str, kind: type[Event]) -> None:
    element = {
        "type": "assignment",
        "id": "l1",
        "title": "Essay",
        "grade": 100,
        "passed": True,
        "question": "Why?",
        "response": "Because.",
    }

    event = parse(document_of(name, user=USER, element=element, offering=OFFERING))

    assert event == kind(
        id="e1",
        event=name,
        date=AT,
        user=ADA,
        element=Element(
            id="l1",
            type="assignment",
            title="Essay",
            grade=Decimal(100),
            passed=True,
            question="Why?",
            response="Because.",
        ),
        offering=ALGEBRA,
        document={},
    )


def test_a_published_element_is_read_without_a_user() -> None:
    course = {"id": "c1", "title": "Maths", "instructor": "A. Lovelace", "passingGrade": 70.0}
    element = {"type": "test", "id": "l1", "title": "Final", "question": "1+1?"}

    event = parse(document_of("element_published", element=element, course=course))

    assert event == ElementPublished(
        id="e1",
        event="element_published",
        date=AT,
        element=Element(id="l1", type="test", title="Final", question="1+1?"),
        course=Course(
            id="c1", title="Maths", instructor="A. Lovelace", passing_grade=Decimal("70.0")
        ),
        document={},
    )


def test_events_of_a_user_are_read() -> None:
    created = parse(document_of("user_created", source="SELF", user=USER))
    erased = parse(document_of("user_erased", user={"id": "u1"}))

    assert isinstance(created, UserCreated)
    assert isinstance(erased, UserErased)
    assert created.user == ADA
    assert erased.user == User(id="u1")


@pytest.mark.parametrize("name", sorted(EVENT_NAMES))
def test_every_event_is_read_in_the_profiles_that_name_things_by_id_alone(name: str) -> None:
    parts = ("user", "registration", "offering", "element", "course")
    link = "https://lms.example/api/v5/registrations/r1"

    event = parse(document_of(name, link=link, **{part: {"id": part} for part in parts}))

    assert event.event == name
    assert not isinstance(event, UnknownEvent)
    assert event.link == link


def test_an_event_of_a_newer_server_is_unknown_and_keeps_its_document() -> None:
    document = document_of("badge_awarded", badge={"id": "b1", "points": 1.50})

    event = parse_event(json.dumps(document).encode(), event_id="e1")

    assert event == UnknownEvent(id="e1", event="badge_awarded", date=AT, document={})
    assert event.document == {**document, "badge": {"id": "b1", "points": Decimal("1.5")}}


def test_fields_of_a_newer_server_and_nulls_are_ignored() -> None:
    user = {**USER, "email": None, "pronouns": "she"}

    event = parse(document_of("user_created", user=user, source=None, trace="x"))

    assert isinstance(event, UserCreated)
    assert event.user.email is None
    assert event.source is None


@given(grade=st.decimals(0, 100, places=4))
def test_grades_are_read_exactly(grade: Decimal) -> None:
    body = b'{"event":"offering_completed","date":"%b","user":{"id":"u1"},"offering":{"id":"o1"},'
    body += b'"registration":{"id":"r1","grade":%b}}'

    event = parse_event(body % (DATE.encode(), f"{grade:f}".encode()), event_id="e1")

    assert isinstance(event, OfferingCompleted)
    assert event.registration.grade == grade


@pytest.mark.parametrize("grade", [-0.1, 100.0001, 1e300, True, "71.5", [], {}])
def test_a_grade_that_is_no_number_from_0_to_100_is_malformed(grade: object) -> None:
    parts = {"user": USER, "registration": {**RESULT, "grade": grade}, "offering": OFFERING}

    complaint = complaint_about(document_of("offering_completed", **parts))

    assert complaint == "registration.grade is not a number from 0 to 100"


@pytest.mark.parametrize(
    "date",
    [
        "",
        "2031-02-03",
        "2031-02-03T04:05:06",
        "2031-02-03T04:05:06+00:00",
        "2031-02-03T04:05:06.5Z",
        "2031-02-03 04:05:06Z",
        "2031-02-30T04:05:06Z",
        "2031-02-03T24:05:06Z",
        "2031-02-03T04:05:06Z\n",
        "\uff12031-02-03T04:05:06Z",
    ],
)
def test_a_timestamp_in_any_other_form_is_malformed(date: str) -> None:
    complaint = complaint_about({"event": "user_created", "date": date, "user": USER})

    assert complaint == "date is not a timestamp such as 2014-04-18T00:39:57Z"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"event": None}, "event is missing"),
        ({"event": 7}, "event is not a string"),
        ({"date": None}, "date is missing"),
        ({"date": 1614265330}, "date is not a string"),
        ({"source": "self"}, "source is not SELF or ADMIN"),
        ({"source": ["SELF"]}, "source is not a string"),
        ({"link": {}}, "link is not a string"),
        ({"user": None}, "user is not an object"),
        ({"user": "u1"}, "user is not an object"),
        ({"user": {}}, "user.id is missing"),
        ({"user": {"id": 1}}, "user.id is not a string"),
        ({"registration": [RESULT]}, "registration is not an object"),
        ({"registration": {**RESULT, "passed": 1}}, "registration.passed is not true or false"),
        ({"offering": {"id": "o1", "title": 1}}, "offering.title is not a string"),
    ],
)
def test_a_wrong_shape_is_malformed_and_the_message_says_where(
    change: dict[str, object], complaint: str
) -> None:
    document = document_of("offering_completed", user=USER, registration=RESULT, offering=OFFERING)

    assert complaint_about({**document, **change}) == complaint


@pytest.mark.parametrize("document", [None, True, 1, 1.5, "event", [], [{}]])
def test_a_body_that_is_no_object_is_malformed(document: object) -> None:
    assert complaint_about(document) == "the body is not an object"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
PARTS = ("user", "registration", "offering", "element", "course", "source", "link")
PART = st.fixed_dictionaries(
    {"id": st.just("x") | JSON},
    optional=dict.fromkeys(
        ("grade", "passed", "beginDate", "endDate", "type", "title", "passingGrade"), JSON
    ),
)


@given(
    name=st.sampled_from(sorted(EVENT_NAMES)) | st.text(max_size=5),
    parts=st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("user", "registration", "offering", "element", "course", "source", "link"), PART | JSON
        ),
    ),
)
def test_any_json_is_an_event_or_a_verification_error(name: str, parts: dict[str, object]) -> None:
    try:
        event = parse(document_of(name, **parts))
    except VerificationError as error:
        assert error.reason in {Reason.MALFORMED_EVENT, Reason.NOT_JSON}  # noqa: PT017
    else:
        assert event.event == name
