from __future__ import annotations

import pytest

UNKNOWN = {"errors": ["No resource exists with the given id."]}
SHOE = {"type": "text", "name": "Shoe size", "categoryName": "Outfit"}
SIZES = [{"name": "S"}, {"name": "M", "selected": True}]


def test_a_field_is_made_with_what_is_needed_and_shown_without_what_it_lacks(school):
    answer = school.admin.post("/userfields", SHOE)

    assert answer.status_code == 201
    assert answer.content == b""
    field = school.learner("GET", answer.headers["location"]).json()
    assert field.pop("createdDate").endswith("Z")
    assert field == SHOE | {
        "id": answer.headers["location"].rpartition("/")[2],
        "categoryType": "public",
        "orderIndex": 0,
        "required": False,
    }


def test_options_and_constraints_are_shown_as_they_were_sent(school):
    sizes = school.field("dropdown", options=SIZES, required=True)
    length = school.field(constraints={"minimumLength": 2, "maximumLength": 5})

    shown = school.admin.get(f"/userfields/{sizes}")
    assert shown["options"] == [
        {"name": "S", "selected": False},
        {"name": "M", "selected": True},
    ]
    assert shown["required"] is True
    constraints = school.admin.get(f"/userfields/{length}")["constraints"]
    assert constraints == {"minimumLength": 2, "maximumLength": 5}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_message_has_a_text_and_no_name(school):
    body = {"type": "message", "categoryName": "Outfit", "message": "Mind\nthe gap"}

    field_id = school.admin.create("userfields", **body)

    shown = school.admin.get(f"/userfields/{field_id}")
    assert shown["message"] == "Mind\nthe gap"
    assert "name" not in shown


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_radios_is_another_word_for_radiobuttons(school):
    field_id = school.field("radios", options=SIZES)

    assert school.admin.get(f"/userfields/{field_id}")["type"] == "radiobuttons"
    assert school.admin.put(f"/userfields/{field_id}", {"type": "radios"}).status_code == 204


def test_a_field_comes_after_the_last_of_its_category_unless_it_is_told_where(school):
    ids = [school.field(), school.field(orderIndex=7), school.field()]
    ids.append(school.field(categoryName="Address"))

    places = [school.admin.get(f"/userfields/{each}")["orderIndex"] for each in ids]

    assert places == [0, 7, 8, 0]


def test_the_type_of_a_category_is_that_of_all_its_fields(school):
    first, second = school.field(), school.field()
    other = school.field(categoryName="Address", categoryType="private")

    school.admin.put(f"/userfields/{second}", {"categoryType": "private"})
    third = school.field()
    school.admin.put(f"/userfields/{other}", {"categoryName": "New"})

    def kinds() -> list[str]:
        return [each["categoryType"] for each in school.admin.list("/userfields")]

    assert kinds() == ["private"] * 4
    school.field(categoryType="public")
    assert kinds() == ["public", "public", "private", "public", "public"]
    school.admin.put(f"/userfields/{other}", {"categoryName": "Outfit"})
    assert kinds() == ["public"] * 5
    assert [each["id"] for each in school.admin.list("/userfields")][:4] == [
        first,
        second,
        other,
        third,
    ]


def test_put_replaces_the_constraints_and_an_empty_set_clears_them(school):
    path = f"/userfields/{school.field(constraints={'minimumLength': 2, 'maximumLength': 5})}"

    school.admin.put(path, {"constraints": {"maximumLength": 9}})
    replaced = school.admin.get(path)["constraints"]
    school.admin.put(path, {"constraints": {}})

    assert replaced == {"maximumLength": 9}
    assert "constraints" not in school.admin.get(path)


def test_a_change_touches_only_what_is_named(school):
    path = f"/userfields/{school.field('checkboxes', options=SIZES)}"
    before = school.admin.get(path)

    assert school.admin.put(path, {"required": True, "orderIndex": 3}).status_code == 204

    assert school.admin.get(path) == before | {"required": True, "orderIndex": 3}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "shoe"}, "type"),
        ({"type": "dropdown"}, "options"),
        ({"type": "dropdown", "options": [{"name": ""}]}, "options[0].name"),
        ({"type": "dropdown", "options": [{"selected": True}]}, "options[0].name"),
        ({"type": "dropdown", "options": [{"name": "a", "x": 1}]}, "options[0].x"),
        ({"options": [{"name": "a"}]}, "options"),
        ({"name": None}, "name"),
        ({"constraints": {"minimumLength": 1.5}}, "constraints.minimumLength"),
        ({"constraints": {"minimumDate": "01/01/2031"}}, "constraints.minimumDate"),
        ({"categoryType": "secret"}, "categoryType"),
        ({"id": "x"}, "id"),
        ({"message": "x"}, "message"),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_made(school, body, field):
    answer = school.admin.post("/userfields", SHOE | body)

    assert answer.status_code == 400
    assert list(answer.json()["fieldErrors"]) == [field]
    assert school.admin.list("/userfields") == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_type_of_a_field_cannot_be_changed(school):
    answer = school.admin.put(f"/userfields/{school.field()}", {"type": "number"})

    assert answer.json()["fieldErrors"]["type"].startswith("Is text and cannot be changed")


def test_fields_are_found_by_name_type_category_and_date(school):
    shoe = school.field()
    street = school.field("text", name="Street", categoryName="Address", categoryType="private")
    size = school.field("dropdown", name="Hat size", options=SIZES)

    def ids(query: str, client=school.admin) -> list[str]:
        return [each["id"] for each in client.list(f"/userfields?{query}")]

    assert ids("name=SIZE") == [shoe, size]
    assert ids("type=text") == [shoe, street]
    assert ids("categoryName=addr") == [street]
    assert ids("categoryType=public") == [shoe, size]
    assert ids("createdDate=..2020") == []
    assert ids("", school.learner) == ids("categoryType=public", school.learner) == [shoe, size]
    assert ids("categoryType=private", school.learner) == []
    assert ids("categoryType=private", school.instructor) == [street]


def test_a_learner_does_not_know_of_private_fields(school):
    private = school.field(categoryType="private")

    assert school.learner("GET", f"/api/v5/userfields/{private}").json() == UNKNOWN
    assert school.instructor.get(f"/userfields/{private}")["categoryType"] == "private"


def test_a_field_is_deleted_with_its_values(school):
    shoe, hat = school.field(), school.field(name="Hat")
    values = f"/users/{school.ids['learner']}/userfieldvalues"
    school.admin.put(values, {shoe: "42", hat: "56"})

    assert school.admin.delete(f"/userfields/{shoe}").status_code == 204

    assert school.admin("GET", f"/api/v5/userfields/{shoe}").json() == UNKNOWN
    assert school.admin.get(values) == {hat: "56"}
    assert list(school.admin.put(values, {shoe: "1"}).json()["fieldErrors"]) == [shoe]
