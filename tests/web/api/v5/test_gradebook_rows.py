from __future__ import annotations

import csv
import io
import json

import pytest

from coursebell.services import gradebook_rows


@pytest.fixture
def lesson(school):
    """Two learners in an offering with a test and an essay: one ended, one waits for a grade."""
    course = school.course()
    test = school.element(course, title="Knots")
    essay = school.element(course, "assignment", title="Essay", weight=3)
    offering = school.offering(courseId=course)
    users = [school.user("Nia", lastName="Okoro"), school.user("Mei", lastName="Tanaka")]
    ended, waiting = [school.registration(offering, user) for user in users]
    path = "/registrations/{}/elements/{}".format
    for registration in (ended, waiting):
        school.instructor.post(path(registration, test), {"completed": True, "grade": 90})
        school.instructor.post(path(registration, essay), {"completed": True, "response": "So."})
    school.instructor.put(path(ended, essay), {"grade": 66.6667})
    return {
        "course": course,
        "offering": offering,
        "test": test,
        "essay": essay,
        "ended": ended,
        "waiting": waiting,
    }


def listed(school, lesson, query=""):
    return school.instructor.list(f"/offerings/{lesson['offering']}/gradebook{query}")


def exported(school, lesson, query=""):
    answer = school.instructor(
        "GET", f"/api/v5/offerings/{lesson['offering']}/gradebook/export{query}"
    )
    assert answer.status_code == 200, answer.text
    return answer


def table_of(answer):
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_a_row_has_the_learner_the_result_and_every_element(school, lesson):
    ended, waiting = listed(school, lesson)

    assert (ended["firstName"], ended["lastName"], ended["attempt"]) == ("Nia", "Okoro", 1)
    assert (ended["status"], ended["grade"], ended["done"]) == ("passed", 72.5, True)
    assert ended["endDate"]
    assert "currentGrade" not in ended
    assert ended["elements"][1] == {
        "elementId": lesson["essay"],
        "title": "Essay",
        "grade": 66.6667,
        "passed": False,
        "completed": True,
        "awaitingGrade": False,
        "exempt": False,
        "attemptCount": 1,
    }
    assert (waiting["status"], waiting["currentGrade"]) == ("active", 90.0)
    assert (waiting["awaitingGrade"], waiting["elements"][1]["awaitingGrade"]) == (True, True)
    assert "grade" not in waiting


def test_rows_are_filtered_and_paged(school, lesson):
    def ids(query):
        return [each["registrationId"] for each in listed(school, lesson, query)]

    both = [lesson["ended"], lesson["waiting"]]
    assert ids("?status=passed") == both[:1]
    assert ids("?name=mei%20T") == ids("?name=TANAKA") == both[1:]
    assert ids("?awaiting=true") == both[1:]
    assert ids("?awaiting=false") == both[:1]
    assert ids("?awaiting=") == both
    assert ids("?awaiting=true&status=passed") == []
    page = school.instructor.get(f"/offerings/{lesson['offering']}/gradebook?limit=1")
    assert [each["registrationId"] for each in page["results"]] == both[:1]
    assert page["next"].endswith("/gradebook?limit=1&offset=1")


@pytest.mark.parametrize("end", ["exempt", "draft"])
def test_what_need_not_be_graded_awaits_nothing(school, lesson, end):
    if end == "exempt":
        path = f"/registrations/{lesson['waiting']}/elements/{lesson['essay']}"
        school.element(lesson["course"])  # so that the exemption ends nothing
        school.instructor.put(path, {"exempt": True})
    else:
        path = f"/courses/{lesson['course']}/elements/{lesson['essay']}"
        school.admin.put(path, {"status": "draft"})

    assert listed(school, lesson, "?awaiting=true") == []
    row = listed(school, lesson)[1]
    assert (row["status"], row["awaitingGrade"]) == ("active", False)


def test_an_ended_row_shows_what_decided_and_an_active_one_the_elements_of_today(school, lesson):
    school.admin.put(f"/courses/{lesson['course']}/elements/{lesson['test']}", {"status": "draft"})
    school.element(lesson["course"], title="New")

    ended, waiting = listed(school, lesson)

    assert [each["title"] for each in ended["elements"]] == ["Knots", "Essay"]
    assert [each["title"] for each in waiting["elements"]] == ["Essay", "New"]
    assert list(table_of(exported(school, lesson))[0])[12:] == ["Knots", "Essay", "New"]


def test_the_export_is_a_table_with_a_column_for_each_element(school, lesson):
    answer = exported(school, lesson)

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert lesson["offering"] in answer.headers["content-disposition"]
    ended, waiting = table_of(answer)
    assert (ended["registrationId"], ended["lastName"]) == (lesson["ended"], "Okoro")
    assert (ended["grade"], ended["currentGrade"], ended["status"]) == ("72.5", "", "passed")
    assert (ended["Knots"], ended["Essay"]) == ("90.0", "66.6667")
    assert (waiting["grade"], waiting["currentGrade"]) == ("", "90.0")
    assert waiting["Essay"] == "awaiting grade"
    assert answer.text.endswith("\r\n")


def test_a_cell_without_a_grade_says_why(school, lesson):
    course = lesson["course"]
    board = school.element(course, "chalkboard", title="Board")
    sco = school.element(course, "sco", title="Sco")
    other = school.element(course, "sco", title="Sco")
    path = f"/registrations/{lesson['waiting']}/elements"
    school.instructor.post(f"{path}/{board}", {"completed": True})
    school.instructor.post(f"{path}/{sco}", {"completed": True, "passed": True})
    school.instructor.post(f"{path}/{other}", {"completed": True, "passed": False})
    school.instructor.put(f"{path}/{lesson['essay']}", {"exempt": True})

    ended, waiting = table_of(exported(school, lesson))

    told = (waiting["Essay"], waiting["Board"], waiting["Sco"], waiting["Sco (2)"])
    assert told == ("exempt", "completed", "passed", "failed")
    assert (ended["Board"], ended["Sco"]) == ("", "")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_cell_is_a_formula(school, lesson):
    user = school.admin.get(f"/registrations/{lesson['ended']}")["userId"]
    element = f"/courses/{lesson['course']}/elements/{lesson['test']}"
    school.admin.put(f"/users/{user}", {"firstName": 'A "quoted", name'})

    for start in ("=", "+", "-", "@", "\uff1d"):
        evil = f'{start}HYPERLINK("http://x.example";"A")'
        school.admin.put(element, {"title": evil})
        school.admin.put(f"/users/{user}", {"lastName": evil})
        answer = exported(school, lesson)
        row = table_of(answer)[0]

        assert (row["lastName"], row["firstName"]) == (f"'{evil}", 'A "quoted", name')
        assert row[f"'{evil}"] == "90.0"
        for line in csv.reader(io.StringIO(answer.text, newline="")):
            assert not any(cell.startswith(start) for cell in line)


def test_the_export_as_json_is_all_rows(school, lesson):
    answer = exported(school, lesson, "?format=json")

    document = json.loads(answer.text)
    assert answer.headers["content-type"] == "application/json"
    assert (document["offeringId"], document["title"]) == (lesson["offering"], "Ladder safety")
    assert document["results"] == listed(school, lesson)


def test_all_rows_come_whatever_the_size_of_a_step(school, lesson, monkeypatch):
    monkeypatch.setattr(gradebook_rows, "BATCH", 2)
    more = [
        school.registration(lesson["offering"], school.user(f"P{number}")) for number in range(3)
    ]

    rows = table_of(exported(school, lesson))

    expected = [lesson["ended"], lesson["waiting"], *more]
    assert [each["registrationId"] for each in rows] == expected
    assert len(json.loads(exported(school, lesson, "?format=json").text)["results"]) == 5


def test_an_empty_gradebook_is_a_line_of_names(school):
    lesson = {"offering": school.offering()}

    assert listed(school, lesson) == []
    assert exported(school, lesson).text.startswith("registrationId,userId,lastName")
    assert table_of(exported(school, lesson)) == []
    assert json.loads(exported(school, lesson, "?format=json").text)["results"] == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_no_gradebook_can_be_asked_is_refused_by_name(school):
    path = f"/api/v5/offerings/{school.offering()}/gradebook"

    for query, field in (
        ("?status=done", "status"),
        ("?awaiting=maybe", "awaiting"),
        ("?grade=90", "grade"),
        ("/export?format=xls", "format"),
        ("/export?limit=5", "limit"),
    ):
        answer = school.instructor("GET", path + query)
        assert (answer.status_code, list(answer.json()["fieldErrors"])) == (400, [field])
