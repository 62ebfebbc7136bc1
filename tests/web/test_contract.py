"""The contract of the REST API, line by line: each resource, parameter and error has its test.

The tables are the contract, written down by hand. A parameter that the OpenAPI document has and
they have not must be added to them, with its test.
"""
# ruff: noqa: E501 - the names of tests are as long as they are

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from coursebell.metrics import Metrics
from coursebell.services.zapier import Trigger
from coursebell.storage import tables
from coursebell.storage.database import Database
from coursebell.web.app import create_app
from coursebell.web.bodies import MAX_BYTES
from factories import a_registrar
from web.conftest import open_school
from web.test_dates import COLUMNS

TESTS = Path(__file__).parents[1]
SPEC = create_app(None, Metrics(), lambda: None).openapi()


@dataclass(frozen=True, kw_only=True)
class Resource:
    """What the contract says there is at a collection."""

    document: str
    vendor: str  # fields, in the vendor's words
    ours: str = ""
    calls: str = "GET POST GET/{} PUT/{} DELETE/{}"
    filters: str = ""


RESOURCES = {
    "users": Resource(
        document="UserDocument",
        vendor="id firstName lastName username email locale tags createdDate lastLoginDate",
        ours="role",
        filters="createdDate lastLoginDate firstName lastName username email role",
    ),
    "offerings": Resource(
        document="OfferingDocument",
        vendor="id title createdDate beginDate endDate registrationBeginDate registrationEndDate"
        " catalogDescription dashboardDescription deliveryDescription price offeringCategoryIds"
        " tags orderIndex",
        ours="courseId passingGrade moveOn retakes",
        filters="createdDate title offeringCategoryId categoryId tag studentId userId",
    ),
    "registrations": Resource(
        document="RegistrationDocument",
        vendor="id userId offeringId title status grade graderId graderComment createdDate"
        " beginDate lastActiveDate endDate",
        ours="attempt",
        calls="GET POST GET/{} PUT/{} POST/{}/activity POST/{}/complete POST/{}/reopen",
        filters="status userId offeringId createdDate beginDate lastActiveDate endDate",
    ),
    "offeringcategories": Resource(
        document="CategoryDocument",
        vendor="id name description color orderIndex",
        ours="createdDate",
        filters="createdDate name",
    ),
    "userfields": Resource(
        document="UserFieldDocument",
        vendor="id type name categoryName categoryType orderIndex required createdDate options"
        " constraints message",
        filters="createdDate name type categoryName categoryType",
    ),
    "users/{user_id}/userfieldvalues": Resource(
        document="UserFieldValuesDocument", vendor="", calls="GET PUT"
    ),
    "agreements": Resource(
        document="AgreementDocument",
        vendor="type title text createdDate updatedDate required",
        calls="GET GET/{} PUT/{}",
    ),
    "users/{user_id}/agreements": Resource(
        document="UserAgreementDocument",
        vendor="type title text createdDate agreed agreedDate",
        calls="GET GET/{} PUT/{}",
    ),
    "courses": Resource(
        document="CourseDocument",
        vendor="",
        ours="id title instructor passingGrade moveOn createdDate",
        filters="createdDate title",
    ),
    "webhooks": Resource(
        document="WebhookDocument",
        vendor="",
        ours="id kind name url method events filters headers payload timeoutSeconds retrySchedule"
        " maxInFlight ratePerSecond status disabledReason createdDate",
        calls="GET POST GET/{} PUT/{} DELETE/{} POST/{}/pause POST/{}/resume POST/{}/test"
        " GET/{}/deliveries POST/{}/rotate POST/{}/replay POST/{}/backfill",
    ),
    "tokens": Resource(
        document="TokenDocument",
        vendor="",
        ours="id name userId createdDate lastUsedDate",
        calls="GET POST GET/{} DELETE/{}",
        filters="userId",
    ),
    "events": Resource(
        document="EventDocument",
        vendor="",
        ours="id event source date userId registrationId offeringId registrationSeq body",
        calls="GET GET/{}",
        filters="event registrationId userId date",
    ),
    "deliveries": Resource(
        document="DeliveryDocument",
        vendor="",
        ours="id webhookId eventId event registrationId kind status attemptCount createdDate"
        " nextAttemptDate finishedDate lastOutcome attempts",
        calls="GET/{} POST/{}/resend",
    ),
}


def calls_at(collection: str) -> set[str]:
    """As the table above writes them: `GET`, `GET/{}`, `POST/{}/pause`."""
    base = f"/api/v5/{collection}"
    return {
        f"{method.upper()}{re.sub(r'{[^}]*}', '{}', path.removeprefix(base))}"
        for path, methods in SPEC["paths"].items()
        if path == base or path.startswith(f"{base}/")
        for method in methods
    }


def parameters_at(path: str) -> set[str]:
    """The query parameters of a list, but for those that every list has."""
    given = SPEC["paths"][f"/api/v5{path}"].get("get", {}).get("parameters", [])
    names = {each["name"] for each in given if each["in"] == "query"}
    return names - {"limit", "offset"} if {"limit", "offset"} <= names else set()


@pytest.mark.parametrize("collection", RESOURCES)
def test_resource(collection):
    """It has the fields, calls and filters of the contract."""
    resource = RESOURCES[collection]
    schema = SPEC["components"]["schemas"][resource.document]

    fields = schema.get("properties", {}).keys()
    assert set(resource.vendor.split()) | set(resource.ours.split()) <= fields
    assert set(resource.calls.split()) <= calls_at(collection)
    if "GET" in resource.calls.split():
        assert set(resource.filters.split()) <= parameters_at(f"/{collection}")


def test_zapier_has_the_calls_and_the_four_events_of_the_contract():
    calls = {
        f"{method.upper()} {path.removeprefix('/api/zapier')}"
        for path, methods in SPEC["paths"].items()
        if path.startswith("/api/zapier/")
        for method in methods
    }

    assert calls == {
        "GET /subscription/{event}",
        "POST /subscription/{event}",
        "DELETE /subscription/{event}/{subscription_id}",
        "POST /user",
        "GET /studentregistration",
        "POST /studentregistration",
    }
    assert set(Trigger) == {
        "user_created",
        "offering_registered",
        "offering_completed",
        "element_completed",
    }


# --- parameters

TEXT = "50%_Ärger"
LIKE = ["ärg", "ÄRGER", "50%", "%_", "0%_ä", ""]
UNLIKE = ["5_%", "50__", "%ärger%", "50 %", "%25"]

# Filters that look for a part of a text, whatever the case.
TEXTS = {
    ("/users", "firstName"): tables.users.c.first_name,
    ("/users", "lastName"): tables.users.c.last_name,
    ("/users", "username"): tables.users.c.username,
    ("/users", "email"): tables.users.c.email,
    ("/userfields", "name"): tables.user_fields.c.name,
    ("/userfields", "categoryName"): tables.user_fields.c.category_name,
    ("/courses", "title"): tables.courses.c.title,
    ("/courses/{course_id}/elements", "title"): tables.elements.c.title,
    ("/offerings", "title"): tables.offerings.c.title,
    ("/offeringcategories", "name"): tables.offering_categories.c.name,
}
# Filters that take an id or a word as it stands in the document, under the filter's own name
# unless another is given.
EXACT = {
    ("/users", "role"): "",
    ("/userfields", "type"): "",
    ("/userfields", "categoryType"): "",
    ("/courses/{course_id}/elements", "type"): "",
    ("/courses/{course_id}/elements", "status"): "",
    ("/offerings", "offeringCategoryId"): "offeringCategoryIds",
    ("/offerings", "categoryId"): "offeringCategoryIds",
    ("/offerings", "tag"): "tags",
    ("/offerings/{offering_id}/gradebook", "status"): "",
    ("/registrations", "status"): "",
    ("/registrations", "userId"): "",
    ("/registrations", "offeringId"): "",
    ("/webhooks/{webhook_id}/deliveries", "status"): "",
    ("/webhooks/{webhook_id}/deliveries", "event"): "",
    ("/webhooks/{webhook_id}/deliveries", "registrationId"): "",
    ("/events", "event"): "",
    ("/events", "registrationId"): "",
    ("/events", "userId"): "",
    ("/tokens", "userId"): "",
    ("/audit", "actor"): "",
    ("/audit", "userId"): "",
    ("/audit", "action"): "",
    ("/audit", "subject"): "",
    ("/audit", "subjectId"): "",
}
# Filters that mean something else, with the test that shows it.
SPECIAL = {
    ("/offerings", "studentId"): "test_offerings_a_user_could_register_for_now_are_told",
    ("/offerings", "userId"): "test_offerings_a_user_could_register_for_now_are_told",
    ("/offerings/{offering_id}/gradebook", "name"): "test_rows_are_filtered_and_paged",
    ("/offerings/{offering_id}/gradebook", "awaiting"): "test_rows_are_filtered_and_paged",
    ("/users/{user_id}/transcript", "view"): "test_views_show_one_registration_of_each_course",
    ("/events", "after"): "test_a_poller_keeps_one_link_and_sees_each_event_once",
}


@pytest.fixture(scope="module")
def furnished(
    sqlite_template: Path, secret_key: str, tmp_path_factory: pytest.TempPathFactory, connect
) -> Iterator[tuple[object, dict[str, str]]]:
    """A school with one thing of each kind, whose texts are all TEXT; read by every test here."""
    path = tmp_path_factory.mktemp("contract") / "coursebell.db"
    shutil.copyfile(sqlite_template, path)
    database = Database(f"sqlite:///{path}", secret_keys=[secret_key])
    registrar = a_registrar(database, upload_directory=path.parent / "uploads")
    app = create_app(registrar, Metrics(), lambda: None)
    school = open_school(registrar, partial(connect, app))
    ids = school.one_of_each()
    school.admin.put(f"/offerings/{ids['offering_id']}", {"tags": ["crane"]})
    with database.transaction() as tx:
        for column in TEXTS.values():
            tx.execute(sa.update(column.table).values({column: TEXT}))
    yield school, ids
    database.close()


def named(filters) -> list:
    return [pytest.param(*each, id=f"{each[0]}?{each[1]}") for each in filters]


def test_every_parameter_of_every_list_has_its_test():
    """A new one belongs into TEXTS, EXACT or SPECIAL, and a date into test_dates.COLUMNS."""
    lists = [path.removeprefix("/api/v5") for path in SPEC["paths"] if "/api/v5" in path]
    given = {(path, name) for path in lists for name in parameters_at(path)}

    assert given == COLUMNS.keys() | TEXTS.keys() | EXACT.keys() | SPECIAL.keys()
    assert set(SPECIAL.values()) <= all_tests()


@pytest.mark.parametrize(("path", "name"), named(TEXTS))
def test_parameter_text(furnished, path, name):
    """A part of the text, whatever the case; `%` and `_` are ordinary; empty is none."""
    school, ids = furnished
    address = path.format(**ids)

    for written in LIKE:
        assert school.admin.list(f"{address}?{name}={quote(written)}"), written
    for written in UNLIKE:
        assert not school.admin.list(f"{address}?{name}={quote(written)}"), written


@pytest.mark.parametrize(("path", "name"), named(EXACT))
def test_parameter_exact(furnished, path, name):
    """The whole word in its own case; anything else is refused or finds nothing."""
    school, ids = furnished
    address = path.format(**ids)
    field = EXACT[path, name] or name
    everything = school.admin.list(f"{address}?limit=100")
    value = next(each[field] for each in everything if each.get(field))
    word = value[0] if isinstance(value, list) else value

    found = school.admin.list(f"{address}?limit=100&{name}={quote(word)}")

    assert found == [each for each in everything if word in (each.get(field) or ())]
    assert school.admin.list(f"{address}?limit=100&{name}=") == everything
    for other in (word[:-1], word.upper() if word != word.upper() else word.lower()):
        answer = school.admin("GET", f"/api/v5{address}?{name}={quote(other)}")
        named = list(answer.json().get("fieldErrors", []))
        assert (answer.status_code, named) == (400, [name]) or answer.json() == {"results": []}


def test_parameters_are_anded(furnished):
    school, ids = furnished
    query = f"/registrations?userId={ids['user_id']}&status="

    assert len(school.admin.list(f"{query}passed")) == 1
    assert school.admin.list(f"{query}failed") == []


# --- errors

MALFORMED = {"content": b"{", "headers": {"content-type": "application/json"}}
LARGE = {"content": b" " * (MAX_BYTES + 1), "headers": {"content-type": "application/json"}}
PLAIN = {"content": b"{}", "headers": {"content-type": "text/plain"}}
ERRORS = {
    "400 malformed JSON": ("POST", "/users", MALFORMED, 400, "errors"),
    "400 wrong type": ("PUT", "/users/{user_id}", {"json": {"firstName": 5}}, 400, "firstName"),
    "400 too long": ("PUT", "/users/{user_id}", {"json": {"locale": "x" * 101}}, 400, "locale"),
    "400 unknown property": ("PUT", "/users/{user_id}", {"json": {"shoe": 5}}, 400, "shoe"),
    "400 unknown parameter": ("GET", "/users?shoe=5", {}, 400, "shoe"),
    "400 bad value": (
        "PUT",
        "/registrations/{registration_id}",
        {"json": {"grade": 101}},
        400,
        "grade",
    ),
    "400 bad limit": ("GET", "/users?limit=101", {}, 400, "limit"),
    "400 bad offset": ("GET", "/users?offset=-1", {}, 400, "offset"),
    "400 status that cannot be set": (
        "PUT",
        "/registrations/{registration_id}",
        {"json": {"status": "ejected"}},
        400,
        "status",
    ),
    "401 no token": ("GET", "/users", {"token": None}, 401, "invalid_token"),
    "401 unknown token": ("GET", "/users", {"token": "nonsense"}, 401, "invalid_token"),
    "403 role": ("GET", "/users", {"as": "learner"}, 403, "insufficient_scope"),
    "404 unknown id": ("GET", "/users/" + "0" * 32, {}, 404, "errors"),
    "404 of another person": ("GET", "/users/{user_id}", {"as": "learner"}, 404, "errors"),
    "405 method": ("PATCH", "/users", {}, 405, "errors"),
    "409 state": (
        "POST",
        "/registrations/{registration_id}/complete",
        {"json": {"grade": 1}},
        409,
        "errors",
    ),
    "413 too large": ("POST", "/users", LARGE, 413, "errors"),
    "415 no JSON": ("POST", "/users", PLAIN, 415, "errors"),
}


@pytest.mark.parametrize("base", ["/api/v5", "/dc/api/v5"])
@pytest.mark.parametrize("error", ERRORS)
def test_error(furnished, error, base):
    """Its status, JSON in the contract's shape, and the field by its name."""
    school, ids = furnished
    method, path, more, status, said = ERRORS[error]
    more = dict(more)
    client = school.client(more.pop("as", "admin"))

    answer = client(method, base + path.format(**ids), **more)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    if status in (401, 403):
        assert list(body) == ["error", "error_description"]
        assert body["error"] == said
    elif said == "errors":
        assert list(body) == ["errors"]
        assert all(isinstance(each, str) for each in body["errors"])
    else:
        assert list(body) == ["fieldErrors"]
        assert list(body["fieldErrors"]) == [said]
    assert status != 404 or body == {"errors": ["No resource exists with the given id."]}


# --- everything else the contract promises, and the tests that show it

PROMISES = {
    "both bases, a trailing slash is served": "test_both_bases_are_served_with_and_without_a_trailing_slash",
    "a token has its user's permissions": "test_a_role_gets_no_further_than_it_may",
    "an object one may not see is unknown": "test_what_belongs_to_another_organization_is_unknown",
    "a list has results, next, prev and previous": "test_a_list_is_paged_in_the_order_of_creation",
    "links keep the query": "test_both_bases_are_served_with_and_without_a_trailing_slash",
    "no link where there is no page": "test_the_first_page_has_no_link_back_and_fifteen_entries",
    "limit 15 and at most 100": "test_a_bad_query_parameter_is_named_and_refused",
    "create answers 201 with Location and no body": "test_a_user_is_created_with_what_is_needed_and_shown_in_full",
    "a secret is shown once": "test_a_webhook_has_the_usual_manners_and_shows_its_secret_once",
    "update is partial": "test_a_change_touches_only_what_is_named",
    "after delete a GET gives 404": "test_a_deleted_user_is_gone_with_tokens_and_address_but_not_with_history",
    "a field with no value is left out": "test_what_has_no_value_is_left_out",
    "429 and 503 in the same shape": "test_an_error_of_a_use_case_has_its_status_and_shape",
    "never a 500": "test_no_invented_request_gets_an_answer_that_is_not_described",
    "date filters": "test_a_date_filter_takes_every_way_of_writing_a_date",
    "plain dates in bodies": "test_a_plain_date_is_a_day_of_the_organizations_zone_from_end_to_end",
    "fractions cut off": "test_a_timestamp_in_a_form_is_an_instant_whatever_the_zone",
    "grades read exactly": "test_a_grade_is_written_with_a_fraction_and_read_exactly",
    "the last administrator stays": "test_the_last_administrator_can_neither_be_deleted_nor_demoted",
    "e-mail syntax in the vendor's words": "test_a_malformed_address_is_refused_in_the_vendors_words",
    "e-mail unique whatever the case": "test_an_address_belongs_to_one_user_whatever_its_case",
    "username follows the e-mail": "test_where_one_signs_in_by_address_the_username_follows_it",
    "password 6 to 64 with letter and digit": "test_a_weak_password_is_refused",
    "tags are split and replaced": "test_a_tag_with_a_space_or_comma_is_split_and_put_replaces_all_tags",
    "tag repeated or split, all must match": "test_offerings_are_found_by_title_category_and_all_of_their_tags",
    "no deletion of what has registrations": "test_an_offering_with_registrations_cannot_be_deleted",
    "registrations: active has no grade nor end": "test_a_registration_begins_active_and_says_little",
    "registrations: POST with unknown ids": "test_unknown_ids_are_named",
    "registrations: POST twice, or again without retakes": "test_one_active_attempt_at_a_time_and_another_only_where_retakes_are_allowed",
    "registrations: POST outside the window": "test_closed_registration_opens_for_an_administrator_with_a_reason",
    "registrations: PUT grade, and again": "test_a_grade_by_hand_ends_and_a_second_one_decides_again",
    "registrations: PUT grade outside 0 to 100": "test_a_bad_grade_changes_nothing",
    "registrations: PUT status ejected, and a grade": "test_an_active_registration_is_ejected_and_a_grade_clears_that",
    "registrations: activity": "test_activity_begins_a_registration_once",
    "registrations: complete, and again otherwise": "test_completing_an_ended_one_otherwise_conflicts_and_says_how_it_ended",
    "registrations: reopen": "test_an_ended_registration_is_reopened_with_a_reason",
    "registrations: who may grade": "test_a_learner_does_not_grade",
    "registrations: a course player reports": "test_a_course_player_reports_a_grade_for_the_learner",
    "registrations: override and backdating": "test_an_administrator_backdates_with_a_reason",
    "userfieldvalues: only what is set": "test_what_is_set_is_one_object_and_at_first_an_empty_one",
    "userfieldvalues: JSON types": "test_each_type_has_its_json_type",
    "userfieldvalues: 400 naming the field": "test_one_bad_value_is_named_and_none_is_set",
    "constraints are replaced as a set": "test_put_replaces_the_constraints_and_an_empty_set_clears_them",
    "a disabled agreement is unknown": "test_a_user_is_to_agree_to_what_is_required",
    "Zapier: sample": "test_a_sample_is_an_array_of_one_event_without_a_password",
    "Zapier: subscribe": "test_a_subscription_is_a_webhook_that_says_so",
    "Zapier: unsubscribe": "test_unsubscribing_takes_exactly_the_subscription_that_is_named",
    "Zapier: filters": "test_zaps_have_the_filters_of_webhooks_and_no_others",
    "Zapier: POST user": "test_a_user_is_made_and_shown_in_the_vendors_words",
    "Zapier: GET studentregistration": "test_the_offerings_that_are_open_are_a_bare_array_of_names_and_ids",
    "Zapier: POST studentregistration": "test_a_student_is_registered_by_address_whatever_its_case",
    "OpenAPI 3.1 with every event": "test_every_event_is_a_webhook_with_a_schema_that_its_example_fits",
}


def all_tests() -> set[str]:
    return {
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }


def test_every_promise_has_a_test():
    assert set(PROMISES.values()) <= all_tests()
