from __future__ import annotations

import pytest

UNKNOWN = {"errors": ["No resource exists with the given id."]}
TERMS = {"title": "Terms", "text": "<p>Be kind.</p>"}


def test_an_agreement_is_written_and_is_then_required(school):
    answer = school.admin.put("/agreements/custom", TERMS)

    assert (answer.status_code, answer.content) == (204, b"")
    shown = school.learner.get("/agreements/custom")
    assert shown.pop("createdDate") == shown.pop("updatedDate")
    assert shown == TERMS | {"type": "custom", "required": True}
    assert [each["type"] for each in school.learner.list("/agreements")] == ["custom"]


def test_at_first_there_is_none(school):
    assert school.learner.list("/agreements") == []
    assert school.learner("GET", "/api/v5/agreements/standard").json() == UNKNOWN


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", ["other", "Standard", "standard%2Fx"])
def test_there_are_two_types_and_no_others(school, kind):
    assert school.admin("GET", f"/api/v5/agreements/{kind}").status_code == 404
    assert school.admin.put(f"/agreements/{kind}", TERMS).status_code == 404


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_new_agreement_needs_its_words(school):
    answer = school.admin.put("/agreements/standard", {"required": False})

    assert answer.json() == {"fieldErrors": {"title": "Is required.", "text": "Is required."}}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": ""}, "text"),
        ({"text": " \n"}, "text"),
        ({"title": " "}, "title"),
        ({"required": 1}, "required"),
    ],
)
def test_a_bad_field_is_named(school, body, field):
    answer = school.admin.put("/agreements/standard", TERMS | body)

    assert list(answer.json()["fieldErrors"]) == [field]
    assert school.admin.list("/agreements") == []


def test_a_change_touches_only_what_is_named_and_turning_it_off_is_no_new_wording(school):
    school.agreement(**TERMS)
    before = school.admin.get("/agreements/standard")

    school.admin.put("/agreements/standard", {"required": False})

    assert school.admin.get("/agreements/standard") == before | {"required": False}


def test_what_becomes_of_an_agreement_is_in_the_audit_trail(school):
    school.agreement(**TERMS)
    school.agreement(title="New terms", text="Be kind.")

    newer, older = [each for each in school.admin.list("/audit") if each["subject"] == "agreement"]

    assert (older["action"], newer["action"]) == ("agreement.create", "agreement.update")
    assert (newer["before"]["title"], newer["after"]["title"]) == ("Terms", "New terms")
