"""Every route, as every role, with ids of one's own and of another organization.

The table below is the whole of what may be done. A route that it does not know fails the test, so
nobody adds one without saying who may use it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coursebell.metrics import Metrics
from coursebell.web.app import create_app

ROLES = ("learner", "instructor", "admin")
UNKNOWN = {"errors": ["No resource exists with the given id."]}
PUBLIC = {"/docs", "/docs/static", "/openapi.json", "/healthz", "/readyz", "/metrics"}

# The least role that gets past the gate, and a body that would do.
ROUTES: dict[tuple[str, str], tuple[str, object]] = {
    ("GET", "/users"): ("instructor", None),
    ("GET", "/users/{user_id}"): ("learner", None),
    ("POST", "/users"): ("admin", {"firstName": "A", "lastName": "B", "email": "a@b.example"}),
    ("PUT", "/users/{user_id}"): ("learner", {"firstName": "Eve"}),
    ("DELETE", "/users/{user_id}"): ("admin", None),
    ("GET", "/users/{user_id}/export"): ("learner", None),
    ("POST", "/users/{user_id}/erase"): ("admin", {"reason": "A"}),
    ("GET", "/courses"): ("instructor", None),
    ("GET", "/courses/{course_id}"): ("instructor", None),
    ("POST", "/courses"): ("admin", {"title": "A"}),
    ("PUT", "/courses/{course_id}"): ("admin", {"title": "Eve"}),
    ("DELETE", "/courses/{course_id}"): ("admin", None),
    ("GET", "/courses/{course_id}/elements"): ("instructor", None),
    ("GET", "/courses/{course_id}/elements/{element_id}"): ("instructor", None),
    ("POST", "/courses/{course_id}/elements"): ("admin", {"type": "test", "title": "A"}),
    ("PUT", "/courses/{course_id}/elements/{element_id}"): ("admin", {"title": "Eve"}),
    ("DELETE", "/courses/{course_id}/elements/{element_id}"): ("admin", None),
    ("GET", "/offerings"): ("learner", None),
    ("GET", "/offerings/{offering_id}"): ("learner", None),
    ("POST", "/offerings"): ("admin", {"title": "A", "courseId": "{course_id}"}),
    ("PUT", "/offerings/{offering_id}"): ("admin", {"title": "Eve"}),
    ("DELETE", "/offerings/{offering_id}"): ("admin", None),
    ("GET", "/offeringcategories"): ("learner", None),
    ("GET", "/offeringcategories/{category_id}"): ("learner", None),
    ("POST", "/offeringcategories"): ("admin", {"name": "A"}),
    ("PUT", "/offeringcategories/{category_id}"): ("admin", {"name": "Eve"}),
    ("DELETE", "/offeringcategories/{category_id}"): ("admin", None),
    ("GET", "/registrations"): ("learner", None),
    ("GET", "/registrations/{registration_id}"): ("learner", None),
    ("POST", "/registrations"): (
        "learner",
        {"userId": "{user_id}", "offeringId": "{offering_id}"},
    ),
    ("PUT", "/registrations/{registration_id}"): ("instructor", {"grade": 90}),
    ("POST", "/registrations/{registration_id}/activity"): ("learner", None),
    ("POST", "/registrations/{registration_id}/complete"): ("learner", None),
    ("POST", "/registrations/{registration_id}/reopen"): ("instructor", {"reason": "A"}),
    ("GET", "/registrations/{registration_id}/elements"): ("learner", None),
    ("GET", "/registrations/{registration_id}/elements/{element_id}"): ("learner", None),
    ("POST", "/registrations/{registration_id}/elements/{element_id}"): (
        "learner",
        {"completed": True},
    ),
    ("PUT", "/registrations/{registration_id}/elements/{element_id}"): (
        "instructor",
        {"grade": 90},
    ),
    ("GET", "/registrations/{registration_id}/explanation"): ("learner", None),
    ("POST", "/gradebook/grade"): ("instructor", {"grades": []}),
    ("GET", "/offerings/{offering_id}/gradebook"): ("instructor", None),
    ("GET", "/offerings/{offering_id}/gradebook/export"): ("instructor", None),
    ("GET", "/users/{user_id}/transcript"): ("learner", None),
    ("POST", "/gradebook/complete"): ("instructor", {"completions": []}),
    ("GET", "/webhooks"): ("admin", None),
    ("GET", "/webhooks/{webhook_id}"): ("admin", None),
    ("POST", "/webhooks"): (
        "admin",
        {"url": "http://127.0.0.1:9/", "events": ["user_created"]},
    ),
    ("PUT", "/webhooks/{webhook_id}"): ("admin", {"name": "Eve"}),
    ("DELETE", "/webhooks/{webhook_id}"): ("admin", None),
    ("POST", "/webhooks/{webhook_id}/pause"): ("admin", None),
    ("POST", "/webhooks/{webhook_id}/resume"): ("admin", None),
    ("POST", "/webhooks/{webhook_id}/test"): ("admin", None),
    ("POST", "/webhooks/{webhook_id}/rotate"): ("admin", {}),
    ("POST", "/webhooks/{webhook_id}/replay"): ("admin", {"since": "2026-01-01"}),
    ("POST", "/webhooks/{webhook_id}/backfill"): ("admin", {"since": "2026-01-01"}),
    ("GET", "/webhooks/{webhook_id}/deliveries"): ("admin", None),
    ("GET", "/webhooks/{webhook_id}/reconciliation"): ("admin", None),
    ("GET", "/events"): ("admin", None),
    ("GET", "/events/{event_id}"): ("admin", None),
    ("GET", "/deliveries/{delivery_id}"): ("admin", None),
    ("POST", "/deliveries/{delivery_id}/resend"): ("admin", None),
    ("GET", "/tokens"): ("admin", None),
    ("GET", "/tokens/{token_id}"): ("admin", None),
    ("POST", "/tokens"): ("admin", {"userId": "{user_id}", "name": "A"}),
    ("DELETE", "/tokens/{token_id}"): ("admin", None),
    ("GET", "/userfields"): ("learner", None),
    ("GET", "/userfields/{field_id}"): ("learner", None),
    ("POST", "/userfields"): ("admin", {"type": "text", "name": "A", "categoryName": "A"}),
    ("PUT", "/userfields/{field_id}"): ("admin", {"name": "Eve"}),
    ("DELETE", "/userfields/{field_id}"): ("admin", None),
    ("GET", "/agreements"): ("learner", None),
    ("GET", "/agreements/{agreement_type}"): ("learner", None),
    ("PUT", "/agreements/{agreement_type}"): ("admin", {"title": "Eve"}),
    ("GET", "/users/{user_id}/agreements"): ("learner", None),
    ("GET", "/users/{user_id}/agreements/{agreement_type}"): ("learner", None),
    ("PUT", "/users/{user_id}/agreements/{agreement_type}"): ("learner", {"agreed": True}),
    ("GET", "/users/{user_id}/userfieldvalues"): ("learner", None),
    ("PUT", "/users/{user_id}/userfieldvalues"): ("learner", {}),
    ("GET", "/api/zapier/subscription/{event}"): ("admin", None),
    ("POST", "/api/zapier/subscription/{event}"): ("admin", {"hookUrl": "http://127.0.0.1:9/"}),
    ("DELETE", "/api/zapier/subscription/{event}/{subscription_id}"): ("admin", None),
    ("POST", "/api/zapier/user"): (
        "admin",
        {"firstName": "A", "lastName": "B", "emailAddress": "c@d.example"},
    ),
    ("GET", "/api/zapier/studentregistration"): ("learner", None),
    ("POST", "/api/zapier/studentregistration"): (
        "instructor",
        {"emailAddress": "{email}", "offeringId": "{offering_id}"},
    ),
    ("GET", "/imports"): ("admin", None),
    ("POST", "/imports/{kind}"): ("admin", None),
    ("GET", "/imports/{import_id}"): ("admin", None),
    ("GET", "/imports/{import_id}/errors"): ("admin", None),
    ("DELETE", "/imports/{import_id}"): ("admin", None),
    ("GET", "/audit"): ("admin", None),
    ("GET", "/audit/{entry_id}"): ("admin", None),
}
# What an instructor is told to leave to others, whoever the user is.
OF_ONESELF = {
    ("PUT", "/users/{user_id}"),
    ("GET", "/users/{user_id}/export"),
    ("PUT", "/users/{user_id}/userfieldvalues"),
    ("PUT", "/users/{user_id}/agreements/{agreement_type}"),
}
REFERRING = [route for route, (_, body) in ROUTES.items() if "_id}" in str(body)]


def served() -> Iterator[tuple[str, str]]:
    """Every method and path that the application answers to."""
    from fastapi.routing import iter_route_contexts  # noqa: PLC0415

    app = create_app(None, Metrics(), lambda: None)
    for route in iter_route_contexts(app.routes):
        for method in route.methods or {"GET"}:
            yield method, route.path


def test_every_route_is_known():
    unknown = {
        (method, path)
        for method, path in served()
        if path not in PUBLIC and (method, path.removeprefix("/api/v5")) not in ROUTES
    }

    assert unknown == set()
    assert {(method, address(path)) for method, path in ROUTES} <= set(served())


@pytest.mark.parametrize("role", [*ROLES, "stranger"])
def test_a_role_gets_no_further_than_it_may(found, role):
    """403 for whole verbs and collections, whatever the id; 401 for who has no token."""
    school = found("One")
    ids = school.one_of_each()
    client = school.admin.holding("nonsense") if role == "stranger" else school.client(role)

    for (method, path), (least, body) in deleting_last(ROUTES):
        answer = send(client, method, path, body, ids)

        if role == "stranger":
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
        elif ROLES.index(role) < ROLES.index(least):
            assert answer.status_code == 403, (method, path)
            assert answer.json()["error"] == "insufficient_scope"
        else:
            assert answer.status_code not in (401, 500), (method, path, answer.text)
            assert role != "admin" or answer.status_code < 300 or method != "GET", (method, path)


@pytest.mark.parametrize("role", ROLES)
def test_what_belongs_to_another_organization_is_unknown(found, role):
    """An id of another organization is answered as one that nobody has, and nothing changes."""
    school, other = found("One"), found("Two")
    foreign, nobody = other.one_of_each(), unheard_of(school.one_of_each())
    before = other.everything()

    for (method, path), (least, body) in ROUTES.items():
        if "_id}" not in path or ROLES.index(role) < ROLES.index(least):
            continue
        answer = send(school.client(role), method, path, body, foreign)

        is_own_rule = role == "instructor" and (method, path) in OF_ONESELF
        if not is_own_rule:
            assert (answer.status_code, answer.json()) == (404, UNKNOWN), (method, path)
        unknown = send(school.client(role), method, path, body, nobody)
        assert (unknown.status_code, unknown.json()) == (answer.status_code, answer.json())

    assert other.everything() == before


@pytest.mark.parametrize(("method", "path"), REFERRING)
def test_what_belongs_to_another_organization_cannot_be_referred_to(found, method, path):
    school, other = found("One"), found("Two")
    _, body = ROUTES[method, path]
    foreign = other.one_of_each()
    before = other.everything()

    answer = send(school.admin, method, path, body, foreign)
    unknown = send(school.admin, method, path, body, dict.fromkeys(school.one_of_each(), "0" * 32))

    assert (answer.status_code, answer.json()) == (unknown.status_code, unknown.json())
    assert answer.status_code == 400
    assert other.everything() == before


def test_lists_hold_nothing_of_another_organization(found):
    school, other = found("One"), found("Two")
    mine = school.one_of_each()
    foreign = set(other.one_of_each().values()).difference(mine.values())

    for role in ROLES:
        for (method, path), (least, _) in ROUTES.items():
            if method == "GET" and ROLES.index(role) >= ROLES.index(least):
                shown = send(school.client(role), method, path, None, mine).text
                assert not any(each in shown for each in foreign), (role, path)


def unheard_of(ids: dict[str, str]) -> dict[str, str]:
    """Ids that nobody has; words stay, as they are the same everywhere."""
    return {name: "0" * 32 if name.endswith("_id") else word for name, word in ids.items()}


def deleting_last(routes):
    """Deletions come last, and what cannot be undone after them."""
    return sorted(
        routes.items(), key=lambda item: (item[0][1].endswith("/erase"), item[0][0] == "DELETE")
    )


def send(client, method: str, path: str, body: object, ids: dict[str, str]):
    if isinstance(body, dict):
        body = {name: filled(value, ids) for name, value in body.items()}
    return client(method, address(path).format(**ids), json=body)


def address(path: str) -> str:
    return path if path.startswith("/api/") else f"/api/v5{path}"


def filled(value: object, ids: dict[str, str]) -> object:
    return value.format(**ids) if isinstance(value, str) else value
