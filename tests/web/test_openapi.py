from __future__ import annotations

import json
from datetime import UTC, datetime

import jsonschema_rs
import pytest

from coursebell.domain.events import EventName, encode
from coursebell.domain.model import new_id
from coursebell.domain.samples import sample_event
from coursebell.metrics import Metrics
from coursebell.web.app import create_app
from coursebell.web.event_schemas import SCHEMAS, schema_name

SPEC = create_app(None, Metrics(), lambda: None).openapi()
OPERATIONS = [
    (method, path, operation)
    for path, methods in SPEC["paths"].items()
    for method, operation in methods.items()
]


def test_the_document_is_openapi_3_1_and_served(connect):
    client = connect(create_app(None, Metrics(), lambda: None))

    answers = [client("GET", "/openapi.json", None) for _ in range(2)]

    assert [answer.json() for answer in answers] == [SPEC, SPEC]
    assert SPEC["openapi"].startswith("3.1")
    assert SPEC["security"] == [{"token": []}]
    assert all(path.startswith(("/api/v5/", "/api/zapier/")) for path in SPEC["paths"])


def test_each_api_says_how_its_callers_show_who_they_are():
    for _, path, operation in OPERATIONS:
        is_zapier = path.startswith("/api/zapier/")
        assert operation.get("security") == ([{"key": []}] if is_zapier else None), path
    assert SPEC["components"]["securitySchemes"]["key"]["name"] == "X-API-KEY"


def test_every_operation_tells_what_it_answers():
    for _, path, operation in OPERATIONS:
        answers = operation["responses"]
        assert {"400", "401", "403", "503"} <= answers.keys(), path
        assert "422" not in answers
        assert ("404" in answers) == ("{" in path), path
        assert ({"413", "415"} <= answers.keys()) == ("requestBody" in operation), path
        assert "201" not in answers or "Location" in answers["201"]["headers"], path
        for status, answer in answers.items():
            empty = status == "204" or (status == "201" and "content" not in answer)
            assert empty or is_told(answer["content"]["application/json"]["schema"]), (path, status)


def is_told(schema: dict) -> bool:
    """Whether it is a document of the components, one of several, or an array of such."""
    schema = schema.get("items", schema)
    return all("$ref" in each for each in schema.get("anyOf", [schema]))


def test_no_document_has_a_field_that_could_be_null():
    shown = SPEC["components"]["schemas"]
    documents = [name for name in shown if name.endswith(("Document", "Summary", "Result"))]

    assert len(documents) > 10
    for name in documents:
        assert "null" not in json.dumps(shown[name])


def test_nothing_of_the_inside_is_told():
    told = json.dumps(SPEC)

    for inside in ("Unset", "ValidationError", "UNSET", "pydantic"):
        assert inside not in told


@pytest.mark.parametrize("event", EventName)
def test_every_event_is_a_webhook_with_a_schema_that_its_example_fits(event):
    operation = SPEC["webhooks"][event.value]["post"]
    content = operation["requestBody"]["content"]["application/json"]

    name = content["schema"]["$ref"].rpartition("/")[2]
    example = content["examples"]["sample"]["value"]

    assert SPEC["components"]["schemas"][name] == SCHEMAS[schema_name(event)]
    jsonschema_rs.validate(SCHEMAS[name], example)
    assert example["event"] == event.value
    now = json.loads(encode(sample_event(event, new_id(), datetime.now(UTC)).document))
    jsonschema_rs.validate(SCHEMAS[name], now)


@pytest.mark.parametrize("event", EventName)
def test_an_event_with_a_field_too_many_or_too_few_does_not_fit_its_schema(event):
    schema = SCHEMAS[schema_name(event)]
    example = json.loads(encode(sample_event(event, new_id(), datetime.now(UTC)).document))

    without = {name: value for name, value in example.items() if name != "date"}
    for wrong in (example | {"password": "x"}, example | {"source": None}, without):
        with pytest.raises(jsonschema_rs.ValidationError):
            jsonschema_rs.validate(schema, wrong)


def test_what_receivers_are_really_sent_fits_the_schemas(school):
    path = f"/registrations/{school.registration()}"
    school.admin.put(path, {"status": "ejected"})
    school.admin.put(path, {"grade": 60})
    school.admin.put(path, {"grade": 90})
    school.admin.post(f"{path}/reopen", {"reason": "x"})
    course = school.course()
    essay = school.element(course, "assignment", question="Why?")
    lesson = f"/registrations/{school.registration(school.offering(courseId=course))}"
    school.learner.post(f"{lesson}/elements/{essay}", {"completed": True, "response": "So."})
    school.instructor.put(f"{lesson}/elements/{essay}", {"grade": 80})
    forgotten = school.user("Ada")
    school.admin.post(f"/users/{forgotten}/erase", {"reason": "x"})

    seen = set()
    for event in school.admin.list("/events?limit=100"):
        if event.get("userId") == forgotten and event["event"] != "user_erased":
            continue  # reduced to ids
        body = school.admin.get(f"/events/{event['id']}")["body"]
        jsonschema_rs.validate(SCHEMAS[schema_name(EventName(body["event"]))], body)
        seen.add(body["event"])
    assert seen == {name.value for name in EventName}
