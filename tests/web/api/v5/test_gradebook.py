from __future__ import annotations

from coursebell.web.bodies import MAX_BYTES


def complete(school, *completions, client=None):
    return (client or school.instructor).post(
        "/gradebook/complete", {"completions": list(completions)}
    )


def test_each_completion_is_told_its_own_result_in_order(found):
    school, other = found("One"), found("Two")
    passed, failed, ended = (school.registration() for _ in range(3))
    foreign = other.registration()
    school.admin.put(f"/registrations/{ended}", {"grade": 90})

    answer = complete(
        school,
        {"registrationId": passed, "grade": 70, "comment": "Well done"},
        {"registrationId": "nobody", "grade": 70},
        {"registrationId": failed, "grade": 69.9999},
        {"registrationId": ended, "grade": 10},
        {"registrationId": foreign, "grade": 10},
        {"registrationId": passed, "grade": 10},
    )

    assert answer.status_code == 200
    unknown = ["No resource exists with the given id."]
    assert answer.json()["results"] == [
        {"registrationId": passed, "result": "completed", "status": "passed"},
        {"registrationId": "nobody", "result": "error", "errors": unknown},
        {"registrationId": failed, "result": "completed", "status": "failed"},
        {"registrationId": ended, "result": "already_ended", "status": "passed"},
        {"registrationId": foreign, "result": "error", "errors": unknown},
        {"registrationId": passed, "result": "already_ended", "status": "passed"},
    ]
    registration = school.admin.get(f"/registrations/{passed}")
    assert registration["graderComment"] == "Well done"
    assert registration["graderId"] == school.ids["instructor"]
    assert other.admin.get(f"/registrations/{foreign}")["status"] == "active"


def test_without_a_grade_only_where_no_mark_is_needed(school):
    marked, unmarked = (
        school.registration(),
        school.registration(school.offering(moveOn="Completed")),
    )

    results = complete(
        school, {"registrationId": marked, "grade": None}, {"registrationId": unmarked}
    ).json()["results"]

    assert results[0]["result"] == "error"
    assert results[0]["errors"][0].startswith("grade: ")
    assert results[1]["status"] == "passed"


def test_a_bad_field_of_one_refuses_all(school):
    good = school.registration()

    answer = complete(
        school, {"registrationId": good, "grade": 90}, {"registrationId": good, "grade": "x"}
    )

    assert answer.status_code == 400
    assert answer.json() == {"fieldErrors": {"completions[1].grade": "Must be a number."}}
    assert school.admin.get(f"/registrations/{good}")["status"] == "active"


def test_in_a_long_body_too_a_bad_field_of_one_refuses_all(school):
    good = {"registrationId": school.registration(), "grade": 90, "comment": "x" * 10_000}

    answer = complete(school, *[good] * 9, {"registrationId": 5, "comment": "y"})

    assert answer.status_code == 400
    broken = {"completions[9].registrationId": "Must be a string."}
    assert answer.json() == {"fieldErrors": broken}
    assert school.admin.get(f"/registrations/{good['registrationId']}")["status"] == "active"


def test_ten_thousand_are_taken_and_no_more(school):
    nobody = {"registrationId": "0" * 32, "grade": 90}

    taken = complete(school, *[nobody] * 10_000)
    refused = complete(school, *[nobody] * 10_001)

    assert len(taken.json()["results"]) == 10_000
    assert refused.json() == {"fieldErrors": {"completions": "Must have at most 10000 entries."}}


def test_a_body_of_eight_megabytes_is_the_most(school):
    headers = {"content-type": "application/json"}
    filler = b'{"completions":[]}'.ljust(8 * MAX_BYTES)

    fits = school.instructor("POST", "/api/v5/gradebook/complete", content=filler, headers=headers)
    over = school.instructor(
        "POST", "/api/v5/gradebook/complete", content=filler + b" ", headers=headers
    )

    assert fits.json() == {"results": []}
    assert over.status_code == 413


def test_a_learner_completes_nobody_by_hand(school):
    answer = complete(school, client=school.learner)

    assert answer.status_code == 403


def test_a_class_is_graded_at_once_and_graded_again(school):
    offering = school.offering()
    ids = [school.registration(offering, school.user(f"G{number}")) for number in range(3)]
    school.admin.put(f"/registrations/{ids[2]}", {"status": "ejected"})
    grades = [
        {"registrationId": ids[0], "grade": 90, "comment": "Good"},
        {"registrationId": ids[1], "grade": 40},
        {"registrationId": ids[2], "grade": 70},
        {"registrationId": "0" * 32, "grade": 70},
    ]

    first = school.instructor.post("/gradebook/grade", {"grades": grades}).json()["results"]
    grades[1]["grade"] = 75
    second = school.instructor.post("/gradebook/grade", {"grades": grades}).json()["results"]

    assert [(each["result"], each.get("status")) for each in first] == [
        ("graded", "passed"),
        ("graded", "failed"),
        ("graded", "passed"),
        ("error", None),
    ]
    assert first[3]["errors"] == ["No resource exists with the given id."]
    assert [each["result"] for each in second] == ["unchanged", "graded", "unchanged", "error"]
    names = [each["event"] for each in school.admin.list("/events?limit=100")]
    assert names.count("offering_completed") == 3
    assert names.count("registration_grade_changed") == 1
    assert school.admin.get(f"/registrations/{ids[0]}")["graderComment"] == "Good"


def test_a_grade_is_needed_to_grade(school):
    answer = school.instructor.post("/gradebook/grade", {"grades": [{"registrationId": "0" * 32}]})

    assert answer.json() == {"fieldErrors": {"grades[0].grade": "Is required."}}
