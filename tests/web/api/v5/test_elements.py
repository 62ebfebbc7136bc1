from __future__ import annotations

import pytest

# What stands in the database is tested on both engines in tests/services.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def course_id(school):
    return school.course(instructor=school.ids["instructor"])


def test_an_element_is_made_shown_changed_and_deleted(school, course_id):
    base = f"/courses/{course_id}/elements"
    answer = school.admin.post(base, {"type": "assignment", "title": "Essay", "question": "Why?"})

    element_id = answer.headers["location"].rpartition("/")[2]
    assert answer.headers["location"] == f"/api/v5{base}/{element_id}"
    shown = school.instructor.get(f"{base}/{element_id}")
    assert shown.pop("createdDate").endswith("Z")
    assert shown == {
        "id": element_id,
        "courseId": course_id,
        "type": "assignment",
        "title": "Essay",
        "question": "Why?",
        "weight": 1.0,
        "required": True,
        "attemptsPolicy": "best",
        "status": "draft",
        "orderIndex": 0,
    }
    changes = {"weight": 2.5, "maxAttempts": 3, "passingGrade": 60, "attemptsPolicy": "average"}
    assert school.admin.put(f"{base}/{element_id}", changes).status_code == 204
    changed = school.instructor.get(f"{base}/{element_id}")
    assert {name: changed[name] for name in changes} == changes
    school.admin.put(f"{base}/{element_id}", {"maxAttempts": None, "passingGrade": None})
    assert (
        not {"maxAttempts", "passingGrade"} & school.instructor.get(f"{base}/{element_id}").keys()
    )
    assert school.admin.delete(f"{base}/{element_id}").status_code == 204
    assert school.admin("GET", f"/api/v5{base}/{element_id}").status_code == 404


def test_order_index_moves_an_element_and_the_others_close_up(school, course_id):
    base = f"/courses/{course_id}/elements"
    ids = [school.element(course_id, title=title) for title in "abc"]

    school.admin.put(f"{base}/{ids[2]}", {"orderIndex": 0})

    found = school.instructor.list(base)
    assert [(each["title"], each["orderIndex"]) for each in found] == [("c", 0), ("a", 1), ("b", 2)]


def test_elements_are_paged_and_filtered(school, course_id):
    base = f"/courses/{course_id}/elements"
    for title in "abc":
        school.element(course_id, title=title)
    school.element(course_id, "file", title="d", status="draft")

    page = school.instructor.get(f"{base}?limit=2&offset=1")

    assert [each["title"] for each in page["results"]] == ["b", "c"]
    assert page["next"] == f"/api/v5{base}?limit=2&offset=3"
    assert [each["title"] for each in school.instructor.list(f"{base}?type=file")] == ["d"]
    assert [each["title"] for each in school.instructor.list(f"{base}?status=draft")] == ["d"]
    assert [each["title"] for each in school.instructor.list(f"{base}?title=B")] == ["b"]


def test_what_no_element_can_be_is_refused_by_name(school, course_id):
    for body, field in (
        ({"type": "quiz"}, "type"),
        ({"weight": -1}, "weight"),
        ({"maxAttempts": 0}, "maxAttempts"),
        ({"attemptsPolicy": "worst"}, "attemptsPolicy"),
        ({"passingGrade": 100.5}, "passingGrade"),
        ({"status": "published"}, "status"),
        ({"question": "Why?"}, "question"),
    ):
        answer = school.admin.post(
            f"/courses/{course_id}/elements", {"type": "test", "title": "A", **body}
        )
        assert (answer.status_code, list(answer.json()["fieldErrors"])) == (400, [field])
    assert school.admin.list(f"/courses/{course_id}/elements") == []


def test_activating_is_told_with_the_instructors_name(school, course_id):
    element_id = school.element(course_id, status="draft")
    assert school.admin.list("/events?event=element_published") == []

    school.admin.put(f"/courses/{course_id}/elements/{element_id}", {"status": "active"})

    (event,) = school.admin.list("/events?event=element_published")
    assert (event["elementId"], event["userId"]) == (element_id, school.ids["instructor"])
    body = school.admin.get(f"/events/{event['id']}")["body"]
    assert body["course"]["instructor"] == "Instructor School"


def test_an_instructor_who_is_erased_is_named_no_more(school, course_id):
    school.element(course_id)

    school.admin.post(f"/users/{school.ids['instructor']}/erase", {"reason": "asked"})

    (event,) = school.admin.list("/events?event=element_published")
    body = school.admin.get(f"/events/{event['id']}")["body"]
    assert body["course"] == {"id": course_id}


def test_courses_and_offerings_say_whether_every_element_must_be_passed(school):
    course_id = school.course(requireEveryElementPassed=True)
    offering_id = school.offering(courseId=course_id)

    assert school.admin.get(f"/courses/{course_id}")["requireEveryElementPassed"] is True
    assert "requireEveryElementPassed" not in school.admin.get(f"/offerings/{offering_id}")
    for value in (False, None):
        school.admin.put(f"/offerings/{offering_id}", {"requireEveryElementPassed": value})
        shown = school.admin.get(f"/offerings/{offering_id}")
        assert shown.get("requireEveryElementPassed") is value
