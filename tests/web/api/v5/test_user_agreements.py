from __future__ import annotations

import pytest

UNKNOWN = {"errors": ["No resource exists with the given id."]}


def path_of(school, role: str = "learner") -> str:
    return f"/users/{school.ids[role]}/agreements"


def test_a_user_is_to_agree_to_what_is_required(school):
    school.agreement("standard", title="Terms")
    school.agreement("custom", required=False)

    (found,) = school.learner.list(path_of(school))

    assert found.pop("createdDate").endswith("Z")
    assert found == {"type": "standard", "title": "Terms", "text": "Be kind.", "agreed": False}
    assert school.learner.get(f"{path_of(school)}/standard")["agreed"] is False
    assert school.learner("GET", f"/api/v5{path_of(school)}/custom").json() == UNKNOWN
    assert school.learner.put(f"{path_of(school)}/custom", {"agreed": True}).json() == UNKNOWN


def test_agreeing_is_dated_and_agreeing_again_changes_nothing(school):
    path = f"{path_of(school)}/{school.agreement()}"

    assert school.learner.put(path, {"agreed": True}).status_code == 204
    first = school.learner.get(path)
    assert school.learner.put(path, {"agreed": True}).status_code == 204

    assert first["agreed"] is True
    assert first["agreedDate"].endswith("Z")
    assert school.learner.get(path) == first
    agreed = [each for each in school.admin.list("/audit") if each["action"] == "user.agree"]
    assert [each["userId"] for each in agreed] == [school.ids["learner"]]


def test_who_agreed_keeps_the_wording_agreed_to_until_the_agreement_is_taken_back(school):
    path = f"{path_of(school)}/{school.agreement(text='Old words.')}"
    school.learner.put(path, {"agreed": True})
    school.agreement(text="New words.")
    kept = school.learner.get(path)

    school.admin.put(path, {"agreed": False})
    taken_back = school.learner.get(path)
    school.learner.put(path, {"agreed": True})

    assert (kept["text"], kept["agreed"]) == ("Old words.", True)
    assert (taken_back["text"], taken_back["agreed"]) == ("New words.", False)
    assert "agreedDate" not in taken_back
    assert school.learner.get(path)["text"] == "New words."


def test_what_was_agreed_to_is_there_again_when_the_agreement_is_turned_on_again(school):
    path = f"{path_of(school)}/{school.agreement()}"
    school.learner.put(path, {"agreed": True})
    school.agreement(required=False)
    off = school.learner("GET", f"/api/v5{path}")
    school.agreement(required=True)

    assert off.json() == UNKNOWN
    assert school.learner.get(path)["agreed"] is True


def test_a_learner_agrees_for_nobody_else_and_an_instructor_only_looks(school):
    kind = school.agreement()
    own, other = f"{path_of(school)}/{kind}", f"{path_of(school, 'admin')}/{kind}"

    assert school.learner("GET", f"/api/v5{other}").json() == UNKNOWN
    assert school.learner("GET", f"/api/v5{path_of(school, 'admin')}").json() == UNKNOWN
    assert school.learner.put(other, {"agreed": True}).json() == UNKNOWN
    assert school.instructor.get(own)["agreed"] is False
    assert school.instructor.put(own, {"agreed": True}).status_code == 403


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_only_agreed_can_be_written(school):
    path = f"{path_of(school)}/{school.agreement()}"

    answer = school.admin.put(path, {"agreed": True, "agreedDate": "2031-02-03"})

    assert list(answer.json()["fieldErrors"]) == ["agreedDate"]
    assert school.admin.get(path)["agreed"] is False


def test_a_deleted_user_agrees_to_nothing(school):
    user_id, kind = school.user("Ada"), school.agreement()
    school.admin.delete(f"/users/{user_id}")

    for path in ("", f"/{kind}"):
        assert school.admin("GET", f"/api/v5/users/{user_id}/agreements{path}").json() == UNKNOWN
    answer = school.admin.put(f"/users/{user_id}/agreements/{kind}", {"agreed": True})
    assert answer.json() == UNKNOWN


@pytest.mark.parametrize("kind", ["standard", "custom"])
def test_a_learner_registers_alone_only_after_agreeing_to_what_is_required(school, kind):
    school.agreement(kind)
    user_id = school.ids["learner"]
    wanted = {"userId": user_id, "offeringId": school.offering()}

    refused = school.learner.post("/registrations", wanted)
    school.learner.put(f"{path_of(school)}/{kind}", {"agreed": True})
    taken = school.learner.post("/registrations", wanted)

    assert refused.status_code == 400
    assert refused.json() == {
        "errors": [f"Agree to the {kind} agreement first: PUT users/{user_id}/agreements/{kind}."]
    }
    assert taken.status_code == 201


def test_whom_others_register_is_registered_whatever_there_is_to_agree_to(school):
    school.agreement()

    registration_id = school.registration()

    assert school.admin.get(f"/registrations/{registration_id}")["status"] == "active"
    assert school.learner.post(f"/registrations/{registration_id}/activity").status_code == 204


def test_an_agreement_that_is_off_holds_nobody_up(school):
    school.agreement(required=False)

    wanted = {"userId": school.ids["learner"], "offeringId": school.offering()}

    assert school.learner.post("/registrations", wanted).status_code == 201


def test_what_was_agreed_to_is_part_of_a_persons_data_and_goes_when_they_are_erased(school):
    user_id, kind = school.user("Ada"), school.agreement()
    school.admin.put(f"/users/{user_id}/agreements/{kind}", {"agreed": True})
    school.agreement(required=False)

    given = school.admin.get(f"/users/{user_id}/export")
    school.admin.post(f"/users/{user_id}/erase", {"reason": "asked"})

    assert [(each["type"], each["agreed"]) for each in given["agreements"]] == [(kind, True)]
    assert school.admin.get(f"/users/{user_id}/export")["agreements"] == []
