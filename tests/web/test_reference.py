"""The reference names every call with its role, every field and every filter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts

from coursebell.metrics import Metrics
from coursebell.web.app import create_app
from coursebell.web.errors import STATUSES
from coursebell.web.routes import gate_of

APP = create_app(None, Metrics(), lambda: None)
SPEC = APP.openapi()
PAGE = (Path(__file__).parents[2] / "docs/reference/api.md").read_text()
CALLS = {
    (method, route.path.removeprefix("/api/v5")): gate_of(route.dependant).role
    for route in iter_route_contexts(APP.routes)
    if route.path.startswith("/api/")
    for method in route.methods
}
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
SCHEMAS = {
    "Users": ("UserDocument", "UserCreation", "DossierDocument", "DisclosureDocument"),
    "Courses": ("CourseDocument", "CourseCreation"),
    "Elements": ("ElementDocument", "ElementCreation"),
    "Offerings": ("OfferingDocument", "OfferingCreation"),
    "Offering categories": ("CategoryDocument", "CategoryCreation"),
    "Registrations": ("RegistrationDocument", "RegistrationCreation", "Grading", "Completion"),
    "Progress": (
        "ElementRecordDocument",
        "WorkDocument",
        "ExplanationDocument",
        "PolicyDocument",
        "ProgressReport",
        "ElementVerdict",
    ),
    "Gradebook": (
        "HandCompletion",
        "CompletionResult",
        "HandGrade",
        "GradeResult",
        "GradebookRowDocument",
        "GradebookCellDocument",
        "GradebookDocument",
    ),
    "Transcripts": ("TranscriptEntryDocument",),
    "Webhooks": ("WebhookDocument", "WebhookCreation", "ReconciliationDocument"),
    "Events": ("EventDocument",),
    "Deliveries": ("DeliveryDocument", "AttemptDocument"),
    "Tokens": ("TokenDocument", "TokenCreation"),
    "Agreements": ("AgreementDocument", "AgreementUpdate", "UserAgreementDocument", "Agreeing"),
    "User fields": ("UserFieldDocument", "UserFieldCreation", "OptionDocument"),
    "Zapier": (
        "Subscription",
        "SubscriptionDocument",
        "ZapierUserCreation",
        "ZapierUserDocument",
        "OpenOfferingDocument",
        "StudentRegistration",
        "StudentRegistrationDocument",
    ),
    "Audit": ("AuditDocument",),
    "Imports": ("ImportReport", "ImportProblem"),
}


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_every_call_is_in_the_reference_with_its_role_and_filters(method, path):
    row = re.search(rf"^\| `{method} {re.escape(path)}` \| (\w+) \|(.*)$", PAGE, re.MULTILINE)

    assert row, f"{method} {path}"
    assert row[1] == CALLS[method, path]
    address = path if path.startswith("/api/") else f"/api/v5{path}"
    operation = SPEC["paths"][address][method.lower()]
    asked = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
    assert asked - {"limit", "offset"} <= set(re.findall(r"\w+", row[2]))


def test_the_reference_has_no_call_that_is_not_served():
    told = set(re.findall(r"^\| `([A-Z]+) (/[^`]*)` \|", PAGE, re.MULTILINE))

    assert told == set(CALLS)


@pytest.mark.parametrize("section", SCHEMAS)
def test_every_field_stands_in_the_section_of_its_resource(section):
    words = {word.strip(".") for word in re.findall(r"[\w.]+", SECTIONS[section])}

    for schema in SCHEMAS[section]:
        assert SPEC["components"]["schemas"][schema]["properties"].keys() <= words


def test_every_status_of_an_error_is_explained():
    for status in {str(status.value) for _, status in STATUSES} | {"405"}:
        assert f"| {status} |" in SECTIONS["Errors"]
