"""Schemathesis invents requests from the OpenAPI document, good ones and bad ones, as each role.

No answer may be a 5xx or other than described, and none may tell of another organization. Set
COURSEBELL_TEST_EXAMPLES to more than the default to look longer.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from coursebell.domain.agreements import AgreementType
from coursebell.domain.imports import ImportKind
from coursebell.services.zapier import Trigger

EXAMPLES = int(os.environ.get("COURSEBELL_TEST_EXAMPLES", "3"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
INVENTIVE = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
REFERENCES = {"userId": "user_id", "courseId": "course_id", "offeringId": "offering_id"}
REFRESH = 10  # operations, after which to look what there is by now
STRANGER = "Nightingale"  # stands in everything that belongs to the other organization


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("database_url", "role"),
    [
        ("sqlite", "learner"),
        ("sqlite", "instructor"),
        ("sqlite", "admin"),
        ("postgres", "admin"),
    ],
    indirect=["database_url"],
)
def test_no_invented_request_gets_an_answer_that_is_not_described(app, found, role):
    other, school = furnished(found(STRANGER)), furnished(found("School"))
    before = other.everything()
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)

    for number, result in enumerate(schema.get_all_operations()):
        if number % REFRESH == 0:
            ids = known_ids(school, other)
        for mode in GenerationMode:
            attack(result.ok(), mode, ids, school.client(role))

    assert other.everything() == before


def attack(operation: Any, mode: GenerationMode, ids: dict[str, list[str]], client: Any) -> None:
    @INVENTIVE
    @given(operation.as_strategy(generation_mode=mode), st.data())
    def request(case: Any, data: Any) -> None:
        for name in case.path_parameters or {}:
            known = data.draw(st.sampled_from([case.path_parameters[name], *ids[name]]))
            case.path_parameters[name] = known
        if isinstance(case.body, dict):
            for name in case.body.keys() & REFERENCES.keys():
                known = st.sampled_from([case.body[name], *ids[REFERENCES[name]]])
                case.body[name] = data.draw(known)
        answer = case.call(headers=client.credentials(operation.path))
        case.validate_response(answer, checks=CHECKS)
        assert STRANGER not in answer.text

    request()


def furnished(school: Any) -> Any:
    """With something of every kind, so that there is something to find."""
    name = school.organization.name
    shelf = school.admin.create("offeringcategories", name=name)
    course = school.course(title=name)
    for type_ in ("test", "assignment", "file"):
        school.element(course, type_, title=name, weight=2)
    offering = school.offering(courseId=course, title=name, offeringCategoryIds=[shelf])
    school.webhook(name=name, events=["offering_registered", "offering_completed"])
    school.admin.put(f"/registrations/{school.registration(offering)}", {"grade": 90})
    school.registration(offering, school.user(name))
    school.subscription()
    school.field(name=name)
    school.agreement(title=name)
    return school


def known_ids(school: Any, other: Any) -> dict[str, list[str]]:
    """Ids to put into paths, by parameter: of the school and of the other one."""
    collections = {
        "course_id": "/courses",
        "offering_id": "/offerings",
        "category_id": "/offeringcategories",
        "registration_id": "/registrations",
        "webhook_id": "/webhooks",
        "subscription_id": "/webhooks",
        "field_id": "/userfields",
        "event_id": "/events",
        "entry_id": "/audit",
        "import_id": "/imports",
    }
    ids = {
        name: [each["id"] for one in (school, other) for each in one.admin.list(path)]
        for name, path in collections.items()
    }
    # Not the callers' own: without them, nobody would be let in.
    users = [*school.admin.list("/users?limit=100"), *other.admin.list("/users")]
    ids["user_id"] = [user["id"] for user in users if user["id"] not in school.ids.values()]
    ids["event"], ids["agreement_type"] = list(Trigger), list(AgreementType)
    ids["kind"] = list(ImportKind)
    ids["token_id"] = [each["id"] for each in other.admin.list("/tokens")]
    ids["element_id"] = [
        element["id"]
        for one in (school, other)
        for course in one.admin.list("/courses")
        for element in one.admin.list(f"/courses/{course['id']}/elements")
    ]
    ids["delivery_id"] = [delivery for one in (school, other) for delivery in deliveries_of(one)]
    return ids


def deliveries_of(school: Any) -> list[str]:
    return [
        delivery["id"]
        for webhook in school.admin.list("/webhooks")
        for delivery in school.admin.list(f"/webhooks/{webhook['id']}/deliveries")
    ]
