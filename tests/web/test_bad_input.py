"""Bad input for each field of each body: refused in the contract's shape, and nothing changes.

The fields come from the OpenAPI document, so that none is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coursebell.metrics import Metrics
from coursebell.web.app import create_app
from coursebell.web.bodies import MAX_BYTES

# For each operation with a body: one that would do.
GOOD: dict[str, dict] = {
    "create_user": {"firstName": "A", "lastName": "B", "email": "a@b.example"},
    "change_user": {},
    "erase_user": {"reason": "A"},
    "create_course": {"title": "A"},
    "change_course": {},
    "create_element": {"type": "test", "title": "A"},
    "change_element": {},
    "create_offering": {"title": "A", "courseId": "{course_id}"},
    "change_offering": {},
    "create_offering_category": {"name": "A"},
    "change_offering_category": {},
    "register": {"userId": "{user_id}", "offeringId": "{offering_id}"},
    "grade_registration": {"grade": 50},
    "record_activity": {},
    "complete_registration": {},
    "reopen_registration": {"reason": "A"},
    "report_progress": {"completed": True},
    "grade_element": {"grade": 50},
    "grade_by_hand": {"grades": []},
    "complete_by_hand": {"completions": []},
    "create_webhook": {"url": "http://127.0.0.1:9/", "events": ["user_created"]},
    "change_webhook": {},
    "rotate_secret": {},
    "replay_webhook": {"since": "2026-01-01"},
    "backfill_webhook": {"since": "2026-01-01"},
    "create_token": {"userId": "{user_id}", "name": "A"},
    "create_user_field": {"type": "text", "name": "A", "categoryName": "A"},
    "change_user_field": {},
    "change_user_field_values": {},
    "write_agreement": {},
    "agree": {"agreed": True},
    "subscribe": {"hookUrl": "http://127.0.0.1:9/"},
    "create_zapier_user": {"firstName": "A", "lastName": "B", "emailAddress": "c@d.example"},
    "register_student": {"emailAddress": "{email}", "offeringId": "{offering_id}"},
}
BY_TYPE = {
    "string": [5, True, ["x"], {"x": 1}],
    "number": ["5", True, [5], {}],
    "integer": ["5", False, 1.5, [5]],
    "boolean": [1, "true", []],
    "array": ["x", {}, 5, None],
    "object": ["x", [], 5, None],
}

SPEC = create_app(None, Metrics(), lambda: None).openapi()


def operations() -> Iterator[tuple[str, str, dict]]:
    for path, methods in SPEC["paths"].items():
        for method, operation in methods.items():
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                yield method, path, operation


OPERATIONS = {operation["operationId"]: (method, path) for method, path, operation in operations()}
BODIES = {operation["operationId"]: operation["requestBody"] for _, _, operation in operations()}


def resolved(schema: dict) -> dict:
    """The schema itself: references followed, null left aside."""
    if "$ref" in schema:
        return resolved(SPEC["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return resolved(next(each for each in schema["anyOf"] if each.get("type") != "null"))
    return schema


def body_schema(name: str) -> dict:
    return resolved(BODIES[name]["content"]["application/json"]["schema"])


def bad_values(schema: dict) -> Iterator[tuple[object, str]]:
    """Values that break the rule of `schema`, and where in it they do: `` or `[0].grade`."""
    schema = resolved(schema)
    for value in BY_TYPE[schema["type"]]:
        yield value, ""
    if "enum" in schema:
        yield "no such word", ""
    elif "maxLength" in schema:
        yield "x" * (schema["maxLength"] + 1), ""
    if "minLength" in schema:
        yield "   ", ""
    if "maximum" in schema:
        yield schema["maximum"] + 1, ""
        yield schema["minimum"] - 1, ""
    if schema["type"] == "number":
        yield 0.00001, ""
    if schema["type"] == "array":
        yield from bad_items(schema)
    if schema["type"] == "object" and schema.get("additionalProperties"):
        value, _ = next(bad_values(schema["additionalProperties"]))
        yield {"name": value}, ".name"
        yield {"x" * 101: value}, "."


def bad_items(schema: dict) -> Iterator[tuple[object, str]]:
    item = resolved(schema["items"])
    if item["type"] != "object":
        yield [next(bad_values(item))[0]], "[0]"
        return
    for name, field in item["properties"].items():
        for value, where in bad_values(field):
            yield [{name: value}], f"[0].{name}{where}"
    yield [{"unheard": 1}], "[0].unheard"
    yield ["x"], "[0]"


def cases() -> Iterator[tuple[str, str, object, str]]:
    for name in OPERATIONS:
        for field, schema in body_schema(name)["properties"].items():
            for value, where in bad_values(schema):
                yield name, field, value, f"{field}{where}"


def test_every_operation_with_a_body_is_looked_at():
    assert OPERATIONS.keys() == GOOD.keys()


def test_every_bad_value_of_every_field_is_refused_by_name_and_changes_nothing(school):
    ids = school.one_of_each()
    before = school.everything()

    tried = 0
    for name, field, value, broken in cases():
        answer = send(school, name, ids, json=good(name, ids) | {field: value})

        assert answer.status_code == 400, (name, field, value, answer.text)
        assert any(each.startswith(broken) for each in answer.json()["fieldErrors"]), (
            name,
            field,
            value,
            answer.text,
        )
        assert is_refusal(answer.json())
        tried += 1

    assert tried > 400
    assert school.everything() == before


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b'{"unheard": 1}', "application/json", 400),
        (b'{"broken"', "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b'{"a": "\xff"}', "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"firstName=A", "application/x-www-form-urlencoded", 415),
        (b"{}".ljust(8 * MAX_BYTES + 1), "application/json", 413),
    ],
)
def test_every_body_that_is_none_is_refused_and_changes_nothing(
    school, content, content_type, status
):
    ids = school.one_of_each()
    before = school.everything()

    for name in OPERATIONS:
        headers = {"content-type": content_type}
        answer = send(school, name, ids, content=content, headers=headers)

        assert answer.status_code == status, (name, answer.text)
        assert is_refusal(answer.json())

    assert school.everything() == before


def test_a_body_that_is_needed_must_be_there(school):
    ids = school.one_of_each()

    for name, body in BODIES.items():
        if body.get("required"):
            answer = send(school, name, ids)
            assert answer.status_code == 400, name
            assert answer.json() == {"errors": ["The request body: Is required."]}


def good(name: str, ids: dict[str, str]) -> dict:
    return {
        field: value.format(**ids) if isinstance(value, str) else value
        for field, value in GOOD[name].items()
    }


def send(school, name: str, ids: dict[str, str], **more):
    method, path = OPERATIONS[name]
    return school.admin(method.upper(), path.format(**ids), **more)


def is_refusal(answer: dict) -> bool:
    """`errors`, a list of strings, and `fieldErrors`, strings by name; at least one of them."""
    errors, fields = answer.get("errors", []), answer.get("fieldErrors", {})
    return (
        len(answer) > 0
        and answer.keys() <= {"errors", "fieldErrors"}
        and all(isinstance(each, str) for each in [*errors, *fields, *fields.values()])
        and bool(errors or fields)
    )
