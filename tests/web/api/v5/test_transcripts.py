from __future__ import annotations

import pytest


@pytest.fixture
def learned(school):
    """A learner who failed, passed and took another course: ids in order."""
    course, other = school.course(title="Ladders"), school.course(title="Knots")
    offering = school.offering(courseId=course, title="Spring", retakes=True)
    ids = []
    for grade in (60, 85):
        ids.append(school.registration(offering))
        school.instructor.put(f"/registrations/{ids[-1]}", {"grade": grade})
    ids.append(school.registration(school.offering(courseId=other, title="Autumn")))
    school.registration(offering, school.user("Nia"))  # another's
    return ids


def shown(client, user_id, query=""):
    return client.list(f"/users/{user_id}/transcript{query}")


def test_a_transcript_is_every_registration_with_attempt_grade_and_dates(school, learned):
    failed, passed, active = shown(school.learner, school.ids["learner"])

    registration = school.learner.get(f"/registrations/{learned[1]}")
    assert passed == {
        "registrationId": learned[1],
        "offeringId": registration["offeringId"],
        "title": "Spring",
        "courseId": failed["courseId"],
        "courseTitle": "Ladders",
        "attempt": 2,
        "status": "passed",
        "grade": 85.0,
        "createdDate": registration["createdDate"],
        "beginDate": registration["beginDate"],
        "endDate": registration["endDate"],
        "best": True,
        "latest": True,
    }
    assert (failed["attempt"], failed["grade"], failed["best"]) == (1, 60.0, False)
    assert (active["courseTitle"], active["best"], active["latest"]) == ("Knots", False, True)
    assert not {"grade", "endDate"} & active.keys()


def test_views_show_one_registration_of_each_course(school, learned):
    user_id = school.ids["learner"]

    def ids(query):
        return [each["registrationId"] for each in shown(school.instructor, user_id, query)]

    assert ids("?view=best") == learned[1:2]
    assert ids("?view=latest") == learned[1:]
    assert ids("?view=all") == ids("?view=") == ids("") == learned
    page = school.instructor.get(f"/users/{user_id}/transcript?limit=2&offset=1")
    assert [each["registrationId"] for each in page["results"]] == learned[1:]
    assert "next" not in page


def test_learners_see_their_own_and_history_outlives_the_user(school, learned):
    other, user_id = school.user("Mei"), school.ids["learner"]
    assert shown(school.instructor, other) == []
    assert school.learner("GET", f"/api/v5/users/{other}/transcript").status_code == 404

    school.admin.delete(f"/users/{user_id}")

    kept = shown(school.instructor, user_id)
    assert [each["status"] for each in kept] == ["failed", "passed", "ejected"]


def test_an_unknown_view_is_refused(school):
    answer = school.learner("GET", f"/api/v5/users/{school.ids['learner']}/transcript?view=worst")

    assert list(answer.json()["fieldErrors"]) == ["view"]
