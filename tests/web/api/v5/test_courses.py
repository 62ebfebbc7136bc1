from __future__ import annotations

from decimal import Decimal


def test_a_course_has_the_usual_rules_unless_it_says_otherwise(school):
    usual = school.admin.get(f"/courses/{school.course()}")
    strict_id = school.course(
        passingGrade=80.25, moveOn="Passed", instructor=school.ids["instructor"]
    )
    strict = school.admin.get(f"/courses/{strict_id}")

    assert (usual["passingGrade"], usual["moveOn"]) == (70.0, "CompletedAndPassed")
    assert "instructor" not in usual
    assert (strict["passingGrade"], strict["moveOn"]) == (80.25, "Passed")
    assert strict["instructor"] == school.ids["instructor"]


def test_a_grade_is_written_with_a_fraction_and_read_exactly(school):
    answer = school.admin(
        "POST",
        "/api/v5/courses",
        content=b'{"title":"Exact","passingGrade":70.0001}',
        headers={"content-type": "application/json"},
    )

    shown = school.admin("GET", answer.headers["location"])
    assert '"passingGrade":70.0001,' in shown.text
    assert '"passingGrade":70.0,' in school.admin("GET", f"/api/v5/courses/{school.course()}").text
    assert Decimal("70.0001") == Decimal(str(shown.json()["passingGrade"]))


def test_null_takes_the_instructor_away(school):
    course_id = school.course(instructor=school.ids["instructor"])

    answer = school.admin.put(f"/courses/{course_id}", {"instructor": None, "title": "New"})

    assert answer.status_code == 204
    course = school.admin.get(f"/courses/{course_id}")
    assert "instructor" not in course
    assert course["title"] == "New"


def test_a_learner_is_no_instructor_of_a_course(school):
    answer = school.admin.post("/courses", {"title": "A", "instructor": school.ids["learner"]})

    assert list(answer.json()["fieldErrors"]) == ["instructor"]


def test_a_course_is_deleted_with_its_offerings_unless_somebody_is_registered(school):
    course_id, taken_id = school.course(), school.course()
    offering_id = school.offering(courseId=course_id)
    school.registration(school.offering(courseId=taken_id))

    assert school.admin.delete(f"/courses/{course_id}").status_code == 204
    assert school.admin("GET", f"/api/v5/courses/{course_id}").status_code == 404
    assert school.admin("GET", f"/api/v5/offerings/{offering_id}").status_code == 404
    assert school.admin.delete(f"/courses/{taken_id}").status_code == 400


def test_courses_are_listed_by_title_and_date(school):
    ladders, _ = school.course(title="Ladders"), school.course(title="Cranes")

    assert [course["id"] for course in school.instructor.list("/courses?title=LADD")] == [ladders]
    assert school.instructor.list("/courses?createdDate=..2020") == []
