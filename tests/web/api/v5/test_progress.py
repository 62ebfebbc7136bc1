from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from coursebell.services import dispatching

# What stands in the database is tested on both engines in tests/services.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@dataclass
class Lesson:
    """The learner, registered in a course with a test and an essay."""

    school: object
    course: str
    test: str
    essay: str
    registration: str

    @property
    def path(self) -> str:
        return f"/registrations/{self.registration}"

    def report(self, client, element: str, **body):
        return client.post(f"{self.path}/elements/{element}", {"completed": True, **body})


@pytest.fixture
def lesson(school):
    course = school.course()
    test = school.element(course, title="Knots")
    essay = school.element(course, "assignment", title="Essay", question="Why?", weight=3)
    registration = school.registration(school.offering(courseId=course))
    return Lesson(school, course, test, essay, registration)


def test_a_learner_works_and_an_instructor_grades(school, lesson):
    assert lesson.report(school.instructor, lesson.test, grade=90, source="SELF").status_code == 204
    assert lesson.report(school.learner, lesson.essay, response="So.").status_code == 204
    graded = school.instructor.put(
        f"{lesson.path}/elements/{lesson.essay}", {"grade": 80, "comment": "Good"}
    )

    assert graded.status_code == 204
    registration = school.learner.get(lesson.path)
    assert (registration["status"], registration["grade"]) == ("passed", 82.5)
    assert "graderId" not in registration
    test, essay = school.learner.list(f"{lesson.path}/elements")
    assert (test["grade"], test["passed"], test["share"]) == (90.0, True, 25.0)
    assert (essay["elementId"], essay["question"]) == (lesson.essay, "Why?")
    (attempt,) = essay["attempts"]
    assert (attempt["source"], attempt["response"], attempt["grade"]) == ("SELF", "So.", 80.0)
    assert (attempt["graderId"], attempt["graderComment"]) == (school.ids["instructor"], "Good")
    assert school.learner.get(f"{lesson.path}/elements/{lesson.essay}") == essay


def test_an_explanation_says_what_a_grade_is_made_of(school, lesson):
    lesson.report(school.instructor, lesson.test, grade=90)
    so_far = school.learner.get(f"{lesson.path}/explanation")
    lesson.report(school.instructor, lesson.essay, grade=66.6667)
    school.admin.put(f"/courses/{lesson.course}", {"passingGrade": 10})

    found = school.learner.get(f"{lesson.path}/explanation")

    assert (so_far["status"], so_far["grade"], so_far["done"]) == ("active", 90.0, False)
    assert (found["status"], found["grade"], found["exactGrade"]) == ("passed", 72.5, "72.500025")
    assert (found["gradedBy"], found["done"], found["awaitingGrade"]) == ("elements", True, False)
    assert found["everyElementPassed"] is False
    assert found["policy"] == {
        "passingGrade": 70.0,
        "moveOn": "CompletedAndPassed",
        "requireEveryElementPassed": False,
    }
    assert [each["share"] for each in found["elements"]] == [25.0, 75.0]
    assert [each["countedAttempts"] for each in found["elements"]] == [[1], [1]]
    school.instructor.put(lesson.path, {"grade": 95})
    assert school.learner.get(f"{lesson.path}/explanation")["gradedBy"] == "hand"


def test_an_explanation_without_elements_has_the_policy_alone(school):
    registration = school.registration()

    found = school.learner.get(f"/registrations/{registration}/explanation")

    assert (found["elements"], found["done"], "grade" in found) == ([], False, False)
    assert school.learner.list(f"/registrations/{registration}/elements") == []


def test_a_learner_may_send_completed_and_response_only(school, lesson):
    for said in ({"grade": 80}, {"passed": True}, {"source": "SELF"}):
        answer = lesson.report(school.learner, lesson.test, **said)
        assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")

    assert school.learner.get(f"{lesson.path}/elements/{lesson.test}")["attempts"] == []


def test_a_verdict_is_a_grade_or_an_exemption(school, lesson):
    path = f"{lesson.path}/elements/{lesson.essay}"

    for body, field in (
        ({}, "grade"),
        ({"comment": "Good"}, "grade"),
        ({"grade": 80, "exempt": True}, "exempt"),
        ({"grade": 100.5}, "grade"),
    ):
        answer = school.instructor.put(path, body)
        assert (answer.status_code, list(answer.json()["fieldErrors"])) == (400, [field])
    assert school.instructor.put(path, {"exempt": True, "comment": "Ill"}).status_code == 204
    shown = school.learner.get(path)
    assert (shown["exempt"], shown["exemptionComment"]) == (True, "Ill")
    assert school.instructor.put(path, {"exempt": False}).status_code == 204
    assert "exemptionComment" not in school.learner.get(path)


def test_what_the_state_does_not_allow_is_a_conflict_that_says_why(school, lesson):
    school.admin.put(f"/courses/{lesson.course}/elements/{lesson.test}", {"maxAttempts": 1})
    lesson.report(school.instructor, lesson.test, grade=10)
    used_up = lesson.report(school.instructor, lesson.test, grade=90)
    lesson.report(school.learner, lesson.essay, response="So.")
    again = lesson.report(school.learner, lesson.essay, response="And so.")
    complete = school.learner.post(f"{lesson.path}/complete")

    assert [each.status_code for each in (used_up, again, complete)] == [409, 409, 409]
    assert used_up.json() == {"errors": ["All attempts at this element are used up: there are 1."]}
    assert again.json() == {"errors": ["The last attempt at this element awaits a grade."]}
    assert '"Essay" awaits a grade' in complete.json()["errors"][0]


def test_completing_with_elements_takes_their_grade_and_can_be_repeated(school, lesson):
    lesson.report(school.instructor, lesson.test, grade=90)

    answers = [school.learner.post(f"{lesson.path}/complete") for _ in range(2)]

    assert [each.status_code for each in answers] == [204, 204]
    registration = school.learner.get(lesson.path)
    assert (registration["status"], registration["grade"]) == ("failed", 90.0)  # not done


def test_a_response_belongs_to_an_assignment(school, lesson):
    answer = lesson.report(school.learner, lesson.test, response="So.")

    assert answer.json() == {
        "fieldErrors": {"response": "A test has no response; only an assignment has."}
    }


def test_elements_of_a_registration_are_paged(school, lesson):
    page = school.learner.get(f"{lesson.path}/elements?limit=1")

    assert [each["title"] for each in page["results"]] == ["Knots"]
    assert page["next"] == f"/api/v5{lesson.path}/elements?limit=1&offset=1"


def test_a_person_is_given_what_they_handed_in_and_it_is_forgotten_with_them(school, lesson):
    lesson.report(school.learner, lesson.essay, response="I was there.")
    school.instructor.put(
        f"{lesson.path}/elements/{lesson.test}", {"exempt": True, "comment": "ill"}
    )
    learner = school.ids["learner"]

    given = school.admin.get(f"/users/{learner}/export")
    school.admin.post(f"/users/{learner}/erase", {"reason": "asked"})

    assert [each["response"] for each in given["attempts"]] == ["I was there."]
    assert [each["comment"] for each in given["exemptions"]] == ["ill"]
    left = school.admin.get(f"/users/{learner}/export")
    assert "response" not in left["attempts"][0]
    assert "comment" not in left["exemptions"][0]
    everything = school.admin("GET", f"/api/v5/users/{learner}/export").text
    assert "I was there" not in everything


def test_the_links_of_thin_events_lead_to_the_element(school, lesson, registrar):
    """In its registration, and, for one that was published, in its course."""
    names = ["element_published", "element_awaiting_grade"]
    school.webhook(events=names, payload="thin")
    school.element(lesson.course, "chalkboard")
    lesson.report(school.learner, lesson.essay, response="So.")

    now = datetime.now(UTC)
    claimed = dispatching.claim(registrar, {}, 100, "1" * 32, 60, now).claimed

    told = {each.event: json.loads(each.body) for each in claimed}
    assert told.keys() == set(names)
    for document in told.values():
        shown = school.instructor.get(document["link"].removeprefix("https://learn.example/api/v5"))
        assert document["element"]["id"] in (shown.get("elementId"), shown.get("id"))
        assert "Why?" not in json.dumps(document)
