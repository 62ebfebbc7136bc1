"""What Zapier asks of Coursebell, under the vendor's names."""

from __future__ import annotations

import pytest

from coursebell.domain.events import FILTERS
from coursebell.services.zapier import Trigger
from coursebell.web.api.zapier import Subscription

UNKNOWN = {"errors": ["No resource exists with the given id."]}
ADA = {"firstName": "Ada", "lastName": "Berg", "emailAddress": "ada@berg.example"}


def zap(client, method: str, path: str, **more):
    return client(method, f"/api/zapier{path}", **more)


def subscribe(client, event: str, **body):
    body = {"hookUrl": "http://127.0.0.1:9/zap"} | body
    return zap(client, "POST", f"/subscription/{event}", json=body)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("event", Trigger)
def test_a_sample_is_an_array_of_one_event_without_a_password(school, event):
    (sample,) = zap(school.admin, "GET", f"/subscription/{event}").json()

    assert sample["event"] == event
    assert "password" not in sample["user"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("event", ["element_published", "registration_ejected", "nothing", "0"])
def test_what_is_no_trigger_is_unknown(school, event):
    assert zap(school.admin, "GET", f"/subscription/{event}").json() == UNKNOWN
    assert subscribe(school.admin, event).json() == UNKNOWN


def test_a_subscription_is_a_webhook_that_says_so(school):
    plain = school.webhook()

    answer = subscribe(school.admin, "user_created", **{"user.email.endswith": "@berg.example"})

    made = answer.json()
    assert answer.status_code == 201
    assert list(made) == ["id"]
    assert answer.headers["location"] == f"/api/v5/webhooks/{made['id']}"
    shown = school.admin.get(f"/webhooks/{made['id']}")
    assert shown["kind"] == "zapier"
    assert shown["name"] == "Zapier: user_created"
    assert shown["events"] == ["user_created"]
    assert shown["filters"] == {"user.email.endswith": "@berg.example"}
    assert school.admin.get(f"/webhooks/{plain}")["kind"] == "webhook"


def test_a_subscription_is_told_what_passes_its_filters_from_now_on(school):
    school.user("Early")
    hook = subscribe(
        school.admin, "user_created", **{"user.email.endswith": "@berg.example"}
    ).json()["id"]
    school.user("Bo", email="bo@other.example")
    zap(school.admin, "POST", "/user", json=ADA)

    (delivery,) = school.admin.list(f"/webhooks/{hook}/deliveries")

    event = school.admin.get(f"/events/{delivery['eventId']}")
    assert event["body"]["user"]["email"] == "ada@berg.example"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_empty_filter_is_as_good_as_none(school):
    empty = {"offering.id": None, "offering.title.contains": "", "registration.passed": None}

    hook = subscribe(school.admin, "offering_completed", **empty).json()["id"]

    assert school.admin.get(f"/webhooks/{hook}")["filters"] == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_false_is_a_filter(school):
    hook = subscribe(school.admin, "offering_completed", **{"registration.passed": False}).json()

    shown = school.admin.get(f"/webhooks/{hook['id']}")
    assert shown["filters"] == {"registration.passed": False}


def test_zaps_have_the_filters_of_webhooks_and_no_others():
    known = {field.alias for field in Subscription.model_fields.values()} - {"hookUrl"}

    assert known == FILTERS.keys()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"hookUrl": "ftp://x.example/"}, "hookUrl"),
        ({"hookUrl": "http://10.0.0.1/"}, "hookUrl"),
        ({"hookUrl": None}, "hookUrl"),
        ({"offering.id": "x"}, "offering.id"),
        ({"offering.id": []}, "offering.id"),
        ({"registration.passed": "true"}, "registration.passed"),
        ({"source": "self"}, "source"),
        ({"element.type": "video"}, "element.type"),
        ({"user.shoe": "42"}, "user.shoe"),
        ({"offering_id": "0" * 32}, "offering_id"),
    ],
)
def test_a_bad_field_is_named_as_it_was_sent(school, body, field):
    answer = subscribe(school.admin, "offering_completed", **body)

    assert answer.status_code == 400
    assert list(answer.json()["fieldErrors"]) == [field]
    assert school.admin.list("/webhooks") == []


def test_unsubscribing_takes_exactly_the_subscription_that_is_named(school):
    hook, other = school.subscription(), school.subscription()
    plain = school.webhook()

    wrong = [
        zap(school.admin, "DELETE", f"/subscription/user_created/{hook}"),
        zap(school.admin, "DELETE", f"/subscription/offering_completed/{plain}"),
    ]
    right = zap(school.admin, "DELETE", f"/subscription/offering_completed/{hook}/")
    again = zap(school.admin, "DELETE", f"/subscription/offering_completed/{hook}")

    assert [answer.json() for answer in wrong] == [UNKNOWN, UNKNOWN]
    assert (right.status_code, right.content) == (204, b"")
    assert again.json() == UNKNOWN
    assert [each["id"] for each in school.admin.list("/webhooks")] == [other, plain]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("headers", [{}, {"authorization": "{}"}, {"x-api-key": "x{}"}])
def test_only_the_key_in_its_own_header_opens(school, headers):
    sent = {name: value.format(school.admin.token) for name, value in headers.items()}

    answer = school.admin("GET", "/api/zapier/studentregistration", None, headers=sent)

    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_token"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_two_keys_are_none(school):
    headers = [("x-api-key", school.admin.token), ("x-api-key", school.learner.token)]

    assert (
        zap(school.admin, "GET", "/studentregistration", token=None, headers=headers).status_code
        == 401
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_key_is_not_taken_where_a_bearer_token_is_wanted(school):
    headers = {"x-api-key": school.admin.token}

    assert school.admin("GET", "/api/v5/users", None, headers=headers).status_code == 401


def test_a_user_is_made_and_shown_in_the_vendors_words(school):
    answer = zap(school.admin, "POST", "/user", json=ADA)

    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v5/users/{made['id']}"
    assert made == ADA | {
        "id": made["id"],
        "username": "ada@berg.example",
        "localeCode": "en",
    }
    assert list(made) == ["id", "firstName", "lastName", "username", "emailAddress", "localeCode"]
    assert school.admin.get(f"/users/{made['id']}")["role"] == "learner"


def test_a_username_may_be_given_where_one_signs_in_with_it(found):
    school = found(sign_in="username")

    made = zap(school.admin, "POST", "/user", json=ADA | {"username": "ada"}).json()

    assert made["username"] == "ada"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"emailAddress": "nobody"}, "emailAddress"),
        ({"emailAddress": "learner@school.example"}, "emailAddress"),
        ({"email": "ada@berg.example"}, "email"),
        ({"username": "ada"}, "username"),
        ({"firstName": ""}, "firstName"),
        ({"password": "ladder 66"}, "password"),
    ],
)
def test_a_bad_field_of_a_user_is_named_in_the_vendors_words(school, body, field):
    answer = zap(school.admin, "POST", "/user", json=ADA | body)

    assert answer.status_code == 400
    assert list(answer.json()["fieldErrors"]) == [field]


def test_the_offerings_that_are_open_are_a_bare_array_of_names_and_ids(school):
    is_open = school.offering(title="Ladders", registrationBeginDate="2020-01-01")
    school.offering(registrationBeginDate="2099-01-01")
    school.offering(registrationEndDate="2020-01-01")
    school.offering(endDate="2020-01-01")

    answer = zap(school.learner, "GET", "/studentregistration/")

    assert answer.json() == [{"name": "Ladders", "id": is_open}]


def test_nothing_open_is_an_empty_array(school):
    assert zap(school.admin, "GET", "/studentregistration").json() == []


def test_a_student_is_registered_by_address_whatever_its_case(school):
    offering_id = school.offering(title="Ladders")
    wanted = {"emailAddress": "LEARNER@school.example", "offeringId": offering_id}

    answer = zap(school.instructor, "POST", "/studentregistration", json=wanted)

    assert answer.status_code == 201
    assert answer.json() == {
        "studentId": school.ids["learner"],
        "studentName": "Learner School",
        "studentEmail": "learner@school.example",
        "offeringTitle": "Ladders",
        "offeringId": offering_id,
    }
    registration = school.admin("GET", answer.headers["location"]).json()
    assert (registration["status"], registration["userId"]) == ("active", school.ids["learner"])
    again = zap(school.instructor, "POST", "/studentregistration", json=wanted)
    assert again.json() == {"errors": ["The user has an active registration for this offering."]}


def test_an_unknown_student_and_an_unknown_offering_are_both_named(school):
    wanted = {"emailAddress": "nobody@school.example", "offeringId": "0" * 32}

    answer = zap(school.admin, "POST", "/studentregistration", json=wanted)

    assert answer.status_code == 400
    assert sorted(answer.json()["fieldErrors"]) == ["emailAddress", "offeringId"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_zapier_api_has_no_other_base(school):
    for path in ("/dc/api/zapier/studentregistration", "/api/zapier", "/api/zapier/"):
        answer = school.admin("GET", path, headers={"x-api-key": school.admin.token})
        assert answer.status_code == 404
