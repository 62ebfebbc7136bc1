from __future__ import annotations

import pytest

UNKNOWN = {"errors": ["No resource exists with the given id."]}
OPTIONS = [{"name": "S"}, {"name": "M"}]


def values_of(school, role: str = "learner") -> str:
    return f"/users/{school.ids[role]}/userfieldvalues"


def test_what_is_set_is_one_object_and_at_first_an_empty_one(school):
    school.field()

    assert school.admin.get(values_of(school)) == {}


@pytest.mark.parametrize(
    ("kind", "more", "value", "written"),
    [
        ("text", {}, "42 ½", '"42 ½"'),
        ("number", {}, 42, "42"),
        ("decimal", {}, 42, "42.0"),
        ("decimal", {}, 0.0001, "0.0001"),
        ("email", {}, "a@b.example", '"a@b.example"'),
        ("date", {}, "02/03/2031", '"02/03/2031"'),
        ("dropdown", {"options": OPTIONS}, "M", '"M"'),
        ("radiobuttons", {"options": OPTIONS}, "S", '"S"'),
        ("checkbox", {}, False, "false"),
        ("checkboxes", {"options": OPTIONS}, ["S", "M"], '["S","M"]'),
        ("truefalse", {}, True, "true"),
        ("yesno", {}, "yes", '"yes"'),
    ],
)
def test_each_type_has_its_json_type(school, kind, more, value, written):
    field_id = school.field(kind, **more)

    answer = school.admin.put(values_of(school), {field_id: value})

    assert (answer.status_code, answer.content) == (204, b"")
    shown = school.admin("GET", f"/api/v5{values_of(school)}")
    assert shown.text == f'{{"{field_id}":{written}}}'


def test_put_touches_only_what_is_named_and_null_takes_away(school):
    shoe, hat, coat = school.field(), school.field(), school.field()
    school.admin.put(values_of(school), {shoe: "42", hat: "56", coat: "L"})

    school.admin.put(values_of(school), {shoe: "43", hat: None})

    assert school.admin.get(values_of(school)) == {shoe: "43", coat: "L"}


def test_one_bad_value_is_named_and_none_is_set(school):
    shoe, size = school.field(), school.field("number", constraints={"maximumValue": 60})

    answer = school.admin.put(values_of(school), {shoe: "42", size: 61, "0" * 32: 1})

    assert answer.status_code == 400
    assert answer.json() == {
        "fieldErrors": {
            size: "Must be at most 60.",
            "0" * 32: "No user field exists with this id.",
        }
    }
    assert school.admin.get(values_of(school)) == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_id_as_long_as_the_body_is_named_in_short(school):
    answer = school.admin.put(values_of(school), {"x" * 5000: 1})

    assert list(answer.json()["fieldErrors"]) == ["x" * 100 + "..."]


def test_more_values_than_any_form_has_are_refused(school):
    answer = school.admin.put(values_of(school), {f"field{n}": 1 for n in range(70_000)})

    assert answer.status_code == 400
    assert answer.json() == {"errors": ["At most 1000 values can be set at once."]}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_required_value_can_be_taken_away_as_the_vendor_has_it(school):
    shoe = school.field(required=True)
    school.admin.put(values_of(school), {shoe: "42"})

    assert school.admin.put(values_of(school), {shoe: None}).status_code == 204


def test_a_value_stays_when_the_field_becomes_stricter(school):
    shoe = school.field()
    school.admin.put(values_of(school), {shoe: "42"})

    school.admin.put(f"/userfields/{shoe}", {"constraints": {"minimumLength": 3}})

    assert school.admin.get(values_of(school)) == {shoe: "42"}
    assert school.admin.put(values_of(school), {shoe: "42"}).status_code == 400


def test_a_learner_answers_for_oneself_in_public_fields(school):
    shoe, note = school.field(), school.field(categoryName="Notes", categoryType="private")
    own, other = values_of(school), values_of(school, "admin")
    school.admin.put(own, {note: "always late"})

    assert school.learner.put(own, {shoe: "42"}).status_code == 204
    assert school.learner.get(own) == {shoe: "42"}
    assert school.instructor.get(own) == {shoe: "42", note: "always late"}
    assert list(school.learner.put(own, {note: "never"}).json()["fieldErrors"]) == [note]
    assert school.learner("GET", f"/api/v5{other}").json() == UNKNOWN
    assert school.learner.put(other, {shoe: "1"}).json() == UNKNOWN


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_instructor_answers_for_nobody_else(school):
    shoe = school.field()

    answer = school.instructor.put(values_of(school), {shoe: "42"})

    assert answer.status_code == 403
    assert answer.json()["error"] == "insufficient_scope"
    assert school.instructor.put(values_of(school, "instructor"), {shoe: "42"}).status_code == 204


def test_a_deleted_user_has_no_values_to_show_or_set(school):
    user_id = school.user("Ada")
    path = f"/users/{user_id}/userfieldvalues"
    school.admin.delete(f"/users/{user_id}")

    assert school.admin("GET", f"/api/v5{path}").json() == UNKNOWN
    assert school.admin.put(path, {}).json() == UNKNOWN


def test_answers_are_in_the_audit_trail_and_the_same_again_is_no_change(school):
    shoe = school.field()
    for value in ("42", "42", "43"):
        school.admin.put(values_of(school), {shoe: value})

    entries = [each for each in school.admin.list("/audit") if each["action"] == "user.answer"]

    assert [(each.get("before"), each["after"]) for each in entries] == [
        ({shoe: "42"}, {shoe: "43"}),
        (None, {shoe: "42"}),
    ]


def test_who_is_given_everything_is_given_the_answers_and_who_is_erased_leaves_none(school):
    user_id, shoe = school.user("Ada"), school.field(categoryType="private")
    school.admin.put(f"/users/{user_id}/userfieldvalues", {shoe: "telling"})

    given = school.admin.get(f"/users/{user_id}/export")
    school.admin.post(f"/users/{user_id}/erase", {"reason": "asked"})

    assert given["userFieldValues"] == {shoe: "telling"}
    left = school.admin("GET", f"/api/v5/users/{user_id}/export")
    assert left.json()["userFieldValues"] == {}
    assert "telling" not in left.text


@pytest.mark.parametrize("name", ["", "x", "a\0b", "ä" * 1000])
def test_what_cannot_be_an_id_is_an_unknown_field(school, name):
    answer = school.learner.put(values_of(school), {name: "42"})

    assert answer.status_code == 400
    assert list(answer.json()["fieldErrors"].values()) == ["No user field exists with this id."]
