from __future__ import annotations

import pytest

UNKNOWN = {"errors": ["No resource exists with the given id."]}


def see(school, registration_id: str) -> dict:
    return school.admin.get(f"/registrations/{registration_id}")


def events(school) -> list[str]:
    names = [event["event"] for event in school.admin.list("/events?limit=100")]
    return [name for name in names if name != "user_created"]


def test_a_registration_begins_active_and_says_little(school):
    offering_id = school.offering()

    registration = see(school, school.registration(offering_id))

    assert registration.pop("createdDate")
    assert registration.pop("id")
    assert registration == {
        "userId": school.ids["learner"],
        "offeringId": offering_id,
        "title": "Ladder safety",
        "attempt": 1,
        "status": "active",
    }
    assert events(school) == ["offering_registered"]


def test_unknown_ids_are_named(school):
    answer = school.admin.post("/registrations", {"userId": "x", "offeringId": "y"})

    assert answer.status_code == 400
    assert sorted(answer.json()["fieldErrors"]) == ["offeringId", "userId"]


def test_one_active_attempt_at_a_time_and_another_only_where_retakes_are_allowed(school):
    learner, offering = school.ids["learner"], school.offering(retakes=True)
    once = school.offering()
    body = {"userId": learner, "offeringId": offering}
    first = school.registration(offering)

    while_active = school.admin.post("/registrations", body)
    school.admin.put(f"/registrations/{first}", {"grade": 10})
    second = school.admin.post("/registrations", body)
    school.admin.put(f"/registrations/{school.registration(once)}", {"grade": 100})
    refused = school.admin.post("/registrations", {"userId": learner, "offeringId": once})

    assert while_active.status_code == 400
    assert second.status_code == 201
    attempt = school.admin("GET", second.headers["location"]).json()["attempt"]
    assert attempt == 2
    assert refused.status_code == 400


def test_closed_registration_opens_for_an_administrator_with_a_reason(school):
    body = {
        "userId": school.ids["learner"],
        "offeringId": school.offering(registrationEndDate="2020-01-01"),
    }

    assert school.admin.post("/registrations", body).status_code == 400
    no_reason = school.admin.post("/registrations", body | {"override": True})
    assert list(no_reason.json()["fieldErrors"]) == ["reason"]
    because = body | {"override": True, "reason": "Was ill"}
    assert school.instructor.post("/registrations", because).status_code == 403
    assert school.admin.post("/registrations", because).status_code == 201


def test_a_learner_registers_and_sees_only_the_own_person(school):
    offering = school.offering()
    foreign = school.registration(offering, school.ids["instructor"])

    own = school.learner.create("registrations", userId=school.ids["learner"], offeringId=offering)
    for_other = school.learner.post(
        "/registrations", {"userId": school.ids["admin"], "offeringId": offering}
    )

    assert for_other.status_code == 403
    assert [each["id"] for each in school.learner.list("/registrations")] == [own]
    assert school.learner.list(f"/registrations?userId={school.ids['instructor']}") == []
    assert school.learner("GET", f"/api/v5/registrations/{foreign}").json() == UNKNOWN
    for verb in ("activity", "complete"):
        answer = school.learner.post(f"/registrations/{foreign}/{verb}")
        assert (answer.status_code, answer.json()) == (404, UNKNOWN)


def test_activity_begins_a_registration_once(school):
    registration_id = school.registration()

    answer = school.learner.post(f"/registrations/{registration_id}/activity")
    begun = see(school, registration_id)
    school.learner.post(f"/registrations/{registration_id}/activity", {})

    assert answer.status_code == 204
    assert begun["beginDate"] == begun["lastActiveDate"]
    assert see(school, registration_id)["beginDate"] == begun["beginDate"]
    assert "endDate" not in begun


def test_activity_outside_the_window_needs_an_administrator_with_a_reason(school):
    path = f"/registrations/{school.registration(school.offering(beginDate='2099-01-01'))}"

    assert school.learner.post(f"{path}/activity").status_code == 400
    overriding = {"override": True, "reason": "Early bird"}
    assert school.instructor.post(f"{path}/activity", overriding).status_code == 403
    assert school.admin.post(f"{path}/activity", overriding).status_code == 204


def test_a_learner_completes_without_a_grade(school):
    registration_id = school.registration(school.offering(moveOn="Completed"))

    answers = [school.learner.post(f"/registrations/{registration_id}/complete") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 204]
    registration = see(school, registration_id)
    assert registration["status"] == "passed"
    assert "grade" not in registration
    assert registration["beginDate"] <= registration["endDate"]
    assert events(school) == ["offering_completed", "offering_registered"]


@pytest.mark.parametrize(
    "body",
    [{"grade": 90}, {"grade": "x"}, {"passed": True}, {"source": "SELF"}, {"grade": None, "x": 1}],
)
def test_a_learner_does_not_grade(school, body):
    registration_id = school.registration()

    answer = school.learner.post(f"/registrations/{registration_id}/complete", body)

    assert answer.status_code == 403
    assert answer.json()["error"] == "insufficient_scope"
    assert see(school, registration_id)["status"] == "active"


def test_a_course_player_reports_a_grade_for_the_learner(school):
    path = f"/registrations/{school.registration()}"

    answer = school.instructor.post(f"{path}/complete", {"grade": 69.9999, "source": "SELF"})

    assert answer.status_code == 204
    assert school.admin.get(path)["status"] == "failed"
    assert school.admin.get(path)["grade"] == 69.9999
    assert school.admin.list("/events?event=offering_completed")[0]["source"] == "SELF"


def test_completing_an_ended_one_otherwise_conflicts_and_says_how_it_ended(school):
    path = f"/registrations/{school.registration()}"
    school.instructor.post(f"{path}/complete", {"grade": 80})

    same = school.instructor.post(f"{path}/complete", {"grade": 80.0})
    other = school.instructor.post(f"{path}/complete", {"grade": 81})

    assert same.status_code == 204
    assert other.status_code == 409
    assert "passed with grade 80" in other.json()["errors"][0]
    assert school.admin.get(path)["grade"] == 80.0


def test_a_grade_by_hand_ends_and_a_second_one_decides_again(school):
    path = f"/registrations/{school.registration()}"

    first = school.instructor.put(path, {"grade": 58, "graderComment": "Almost\nthere"})
    ended = school.admin.get(path)
    again = school.instructor.put(path, {"grade": 58})
    better = school.instructor.put(path, {"grade": 70})

    assert (first.status_code, again.status_code, better.status_code) == (204, 204, 204)
    assert (ended["status"], ended["grade"]) == ("failed", 58.0)
    assert ended["graderId"] == school.ids["instructor"]
    assert ended["graderComment"] == "Almost\nthere"
    after = school.admin.get(path)
    assert (after["status"], after["endDate"]) == ("passed", ended["endDate"])
    assert after["graderComment"] == "Almost\nthere"
    assert events(school) == [
        "registration_grade_changed",
        "offering_completed",
        "offering_registered",
    ]


def test_null_takes_the_comment_away(school):
    path = f"/registrations/{school.registration()}"
    school.instructor.put(path, {"grade": 58, "graderComment": "Almost"})

    school.instructor.put(path, {"grade": 58, "graderComment": None})

    assert "graderComment" not in school.admin.get(path)


@pytest.mark.parametrize("grade", [-1, 100.5, 99.99999, "80", True, None])
def test_a_bad_grade_changes_nothing(school, grade):
    path = f"/registrations/{school.registration()}"

    answer = school.instructor.put(path, {"grade": grade})

    assert answer.status_code == 400
    assert list(answer.json()["fieldErrors"]) == ["grade"]
    assert school.admin.get(path)["status"] == "active"


def test_an_active_registration_is_ejected_and_a_grade_clears_that(school):
    path = f"/registrations/{school.registration()}"

    ejected = school.instructor.put(path, {"status": "ejected"})
    again = school.instructor.put(path, {"status": "ejected"})
    gone = school.admin.get(path)
    school.instructor.put(path, {"grade": 90})

    assert ejected.status_code == 204
    assert again.status_code == 400
    assert list(again.json()["fieldErrors"]) == ["status"]
    assert gone["status"] == "ejected"
    assert "grade" not in gone
    assert school.admin.get(path)["status"] == "passed"
    assert events(school)[:2] == ["offering_completed", "registration_ejected"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"status": "passed"}, ["status"]),
        ({"status": None}, ["status"]),
        ({"status": "ejected", "grade": 90, "graderComment": "x"}, ["grade", "graderComment"]),
        ({"graderComment": "x"}, ["grade"]),
        ({}, ["grade"]),
        ({"grade": 90, "endDate": "2020-01-01"}, ["reason"]),
        ({"grade": 90, "endDate": "2099-01-01", "reason": "x"}, ["endDate"]),
        ({"grade": 90, "endDate": "9999-12-31", "reason": "x"}, ["endDate"]),
    ],
)
def test_what_makes_no_sense_is_named(school, body, fields):
    path = f"/registrations/{school.registration()}"

    answer = school.admin.put(path, body)

    assert answer.status_code == 400
    assert sorted(answer.json()["fieldErrors"]) == fields
    assert school.admin.get(path)["status"] == "active"


def test_an_administrator_backdates_with_a_reason(found):
    school = found(zone="Europe/Berlin")
    path = f"/registrations/{school.registration()}"
    body = {"grade": 90, "endDate": "2024-10-27", "reason": "On paper"}

    assert school.instructor.put(path, body).status_code == 403
    assert school.admin.put(path, body).status_code == 204
    registration = school.admin.get(path)
    assert registration["endDate"] == registration["beginDate"] == "2024-10-27T23:00:00Z"


def test_an_ended_registration_is_reopened_with_a_reason(school):
    path = f"/registrations/{school.registration()}"
    active = school.instructor.post(f"{path}/reopen", {"reason": "x"})
    school.learner.post(f"{path}/activity")
    school.instructor.put(path, {"grade": 20})
    before = school.admin.get(path)

    bare = school.instructor.post(f"{path}/reopen", {})
    reopened = school.instructor.post(f"{path}/reopen", {"reason": "Wrong sheet"})
    by_learner = school.learner.post(f"{path}/reopen", {"reason": "Please"})

    assert active.status_code == 409
    assert list(bare.json()["fieldErrors"]) == ["reason"]
    assert (reopened.status_code, by_learner.status_code) == (204, 403)
    after = school.admin.get(path)
    assert (after["status"], after["beginDate"]) == ("active", before["beginDate"])
    assert not {"grade", "endDate", "graderId"} & after.keys()


def test_registrations_are_filtered_by_everything_together(school):
    offering = school.offering(retakes=True)
    one = school.registration(offering)
    school.admin.put(f"/registrations/{one}", {"grade": 90})
    two = school.registration(offering)
    three = school.registration(offering, school.ids["admin"])

    def ids(query: str) -> list[str]:
        return [each["id"] for each in school.instructor.list(f"/registrations?{query}")]

    learner = school.ids["learner"]
    assert ids(f"offeringId={offering}") == [one, two, three]
    assert ids(f"userId={learner}&status=active") == [two]
    assert ids("status=passed&endDate=2020..&beginDate=2020..") == [one]
    assert ids("lastActiveDate=2020..") == []
    assert ids("createdDate=2020") == []
    assert ids("userId=nobody") == []
    assert ids("userId=") == [one, two, three]
    assert school.instructor("GET", "/api/v5/registrations?status=done").status_code == 400
