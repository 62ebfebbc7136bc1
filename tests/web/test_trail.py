"""Whatever changes something leaves an entry in the audit trail.

Every mutating route is walked; one that this file does not know is sent the body that
`test_permissions.ROUTES` has for it, and must leave an entry all the same.
"""

from __future__ import annotations

from web.test_permissions import ROUTES, deleting_last, send

UPLOADS = ("POST", "/imports/{kind}")  # a table, in `api/v5/test_imports.py`
MUTATING = [route for route, _ in deleting_last(ROUTES) if route[0] != "GET" and route != UPLOADS]


def another_user(school, ids):
    return {"user_id": school.user("Ada")}


def active_registration(school, ids):
    return {"registration_id": school.registration(user_id=ids["user_id"])}


def untouched_element(school, ids):
    return {"element_id": school.element(ids["course_id"])}


def at_work(school, ids):
    """A registration in a course of two elements, so that one of them ends nothing."""
    course = school.course()
    element, _ = school.element(course), school.element(course)
    registration = school.registration(school.offering(courseId=course))
    return {"registration_id": registration, "element_id": element}


def empty_offering(school, ids):
    return {"offering_id": school.offering()}


def empty_course(school, ids):
    return {"course_id": school.course()}


def paused_webhook(school, ids):
    school.admin.post(f"/webhooks/{ids['webhook_id']}/pause")
    return {}


# What a route needs that `one_of_each` has not got; and the body, where another must be sent.
NEEDS = {
    ("DELETE", "/users/{user_id}"): another_user,
    ("DELETE", "/courses/{course_id}"): empty_course,
    ("DELETE", "/offerings/{offering_id}"): empty_offering,
    ("POST", "/registrations"): empty_offering,
    ("POST", "/registrations/{registration_id}/activity"): active_registration,
    ("POST", "/registrations/{registration_id}/complete"): active_registration,
    ("DELETE", "/courses/{course_id}/elements/{element_id}"): untouched_element,
    ("POST", "/registrations/{registration_id}/elements/{element_id}"): at_work,
    ("PUT", "/registrations/{registration_id}/elements/{element_id}"): at_work,
    ("PUT", "/registrations/{registration_id}"): active_registration,
    ("POST", "/gradebook/complete"): active_registration,
    ("POST", "/gradebook/grade"): active_registration,
    ("POST", "/webhooks/{webhook_id}/resume"): paused_webhook,
    ("POST", "/api/zapier/studentregistration"): empty_offering,
}
BODIES = {
    ("POST", "/gradebook/complete"): lambda ids: {
        "completions": [{"registrationId": ids["registration_id"], "grade": 90}]
    },
    ("POST", "/gradebook/grade"): lambda ids: {
        "grades": [{"registrationId": ids["registration_id"], "grade": 90}]
    },
    ("PUT", "/users/{user_id}/userfieldvalues"): lambda ids: {ids["field_id"]: "42"},
}


def test_every_call_that_changes_something_says_who_what_and_when(school):
    made = school.one_of_each()

    for route in MUTATING:
        method, path = route
        ids = made | NEEDS.get(route, lambda *_: {})(school, made)
        body = BODIES[route](ids) if route in BODIES else ROUTES[route][1]
        before = school.admin.list("/audit?limit=1")[0]["id"]

        answer = send(school.admin, method, path, body, ids)

        assert answer.status_code < 300, (route, answer.text)
        entry = school.admin.list("/audit?limit=1")[0]
        assert entry["id"] != before, route
        assert (entry["actor"], entry["userId"]) == ("admin", school.ids["admin"]), route
        assert entry["tokenId"], route
        assert entry["action"].startswith(f"{entry['subject']}."), route
