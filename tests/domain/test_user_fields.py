from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.domain.user_fields import (
    CategoryType,
    FieldType,
    Option,
    UserField,
    accepted,
    checked,
)
from coursebell.errors import InvalidInputError

NOTHING = "No user field exists with this id."
JSON = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers() | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def a_field(type: str = "text", **fields) -> UserField:  # noqa: A002 - the field it fills
    """A field of that type with all that the type needs."""
    kind = FieldType(type)
    is_message = kind is FieldType.MESSAGE
    defaults = {
        "id": "f",
        "type": kind,
        "name": None if is_message else "Shoe size",
        "category_name": "Outfit",
        "category_type": CategoryType.PUBLIC,
        "order_index": 0,
        "required": False,
        "options": options("S", "M", "L") if kind in CHOOSING else (),
        "constraints": {},
        "message": "Mind the gap." if is_message else None,
        "created_at": datetime(2031, 1, 1, tzinfo=UTC),
    }
    return UserField(**(defaults | fields))


CHOOSING = (FieldType.DROPDOWN, FieldType.RADIOBUTTONS, FieldType.CHECKBOXES)


def options(*names: str, selected: int = 0) -> tuple[Option, ...]:
    return tuple(Option(name=name, selected=i < selected) for i, name in enumerate(names))


def stored(field: UserField, value: object) -> object:
    return accepted({"f": field}, {"f": value})["f"]


@pytest.mark.parametrize("kind", FieldType)
def test_a_field_with_what_its_type_needs_is_fine(kind):
    assert checked(a_field(kind)) == a_field(kind)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        (a_field("text", name=None), "name"),
        (a_field("text", name=""), "name"),
        (a_field("text", message="x"), "message"),
        (a_field("message", message=None), "message"),
        (a_field("message", name="x"), "name"),
        (a_field("message", required=True), "required"),
        (a_field("checkbox", required=True), "required"),
        (a_field("text", options=options("a")), "options"),
        (a_field("dropdown", options=()), "options"),
        (a_field("checkboxes", options=options("a", "a")), "options"),
        (a_field("radiobuttons", options=options("a", "b", selected=2)), "options"),
        (a_field("text", constraints={"minimumValue": 1}), "constraints.minimumValue"),
        (a_field("yesno", constraints={"minimumLength": 1}), "constraints.minimumLength"),
        (a_field("text", constraints={"minimumLength": -1}), "constraints.minimumLength"),
        (a_field("text", constraints={"maximumLength": 10_001}), "constraints.maximumLength"),
        (a_field("email", constraints={"maximumLength": "5"}), "constraints.maximumLength"),
        (a_field("number", constraints={"minimumValue": 1.5}), "constraints.minimumValue"),
        (a_field("number", constraints={"minimumValue": True}), "constraints.minimumValue"),
        (a_field("decimal", constraints={"maximumValue": 10**11}), "constraints.maximumValue"),
        (a_field("date", constraints={"minimumDate": "2031-02-03"}), "constraints.minimumDate"),
        (a_field("date", constraints={"maximumDate": "02/30/2031"}), "constraints.maximumDate"),
        (
            a_field("number", constraints={"minimumValue": 2, "maximumValue": 1}),
            "constraints.maximumValue",
        ),
        (
            a_field("date", constraints={"minimumDate": "02/03/2031", "maximumDate": "12/31/2030"}),
            "constraints.maximumDate",
        ),
    ],
)
def test_what_does_not_fit_the_type_is_named(field, wrong):
    with pytest.raises(InvalidInputError) as refused:
        checked(field)

    assert list(refused.value.field_errors) == [wrong]


def test_checkboxes_may_begin_with_several_chosen():
    checked(a_field("checkboxes", options=options("a", "b", selected=2)))


def test_constraints_are_stored_as_json_knows_them():
    sent = {"minimumValue": Decimal("1.5"), "maximumValue": Decimal("3.0")}

    field = checked(a_field("decimal", constraints=sent))

    assert field.constraints == {"minimumValue": 1.5, "maximumValue": 3}


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        (a_field("text"), "Nia\nOkoro", "Nia\nOkoro"),
        (a_field("text", constraints={"minimumLength": 3}), "abc", "abc"),
        (a_field("text", constraints={"maximumLength": 3}), "abc", "abc"),
        (a_field("number"), 42, 42),
        (a_field("number"), Decimal("42.0"), 42),
        (a_field("number"), -(10**10), -(10**10)),
        (a_field("number"), 0, 0),
        (a_field("decimal"), Decimal("0.0001"), 0.0001),
        (a_field("decimal"), 5, 5.0),
        (a_field("decimal", constraints={"minimumValue": 0.1}), Decimal("0.1"), 0.1),
        (a_field("email"), "nia@lab.test", "nia@lab.test"),
        (a_field("date"), "02/29/2028", "02/29/2028"),
        (a_field("date", constraints={"minimumDate": "02/03/2031"}), "02/03/2031", "02/03/2031"),
        (a_field("dropdown"), "M", "M"),
        (a_field("radiobuttons"), "L", "L"),
        (a_field("checkbox"), False, False),
        (a_field("checkboxes"), ["L", "S", "L"], ["S", "L"]),
        (a_field("truefalse"), True, True),
        (a_field("yesno"), "no", "no"),
    ],
)
def test_a_value_that_fits_is_kept(field, value, kept):
    found = stored(field, value)

    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize("kind", FieldType)
@pytest.mark.parametrize("nothing", [None, "", []])
def test_nothing_takes_the_value_of_any_field_away(kind, nothing):
    assert stored(a_field(kind), nothing) is None


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        (a_field("text"), 5, "Must be a string."),
        (a_field("text"), "a\0b", "Must not contain control characters."),
        (a_field("text"), "a" * 10_001, "Must have at most 10000 characters."),
        (
            a_field("text", constraints={"minimumLength": 3}),
            "ab",
            "Must have at least 3 characters.",
        ),
        (
            a_field("email", constraints={"maximumLength": 5}),
            "a@b.example",
            "Must have at most 5 characters.",
        ),
        (a_field("number"), "42", "Must be a number."),
        (a_field("number"), True, "Must be a number."),
        (a_field("number"), Decimal("1.5"), "Must be a whole number."),
        (a_field("number"), 10**10 + 1, "Must be between -10000000000 and 10000000000."),
        (a_field("number", constraints={"maximumValue": 9}), 10, "Must be at most 9."),
        (a_field("decimal"), Decimal("0.00001"), "Must have at most 4 decimals."),
        (
            a_field("decimal", constraints={"minimumValue": 0.1}),
            Decimal("0.0999"),
            "Must be at least 0.1.",
        ),
        (a_field("email"), "nobody", "Invalid email address."),
        (a_field("date"), "2031-02-03", "Must be a date written MM/dd/yyyy."),
        (a_field("date"), "2/3/2031", "Must be a date written MM/dd/yyyy."),
        (a_field("date"), "02/29/2031", "No such date exists."),
        (a_field("date"), "00/01/2031", "No such date exists."),
        (
            a_field("date", constraints={"maximumDate": "02/03/2031"}),
            "02/04/2031",
            "Must not be after 02/03/2031.",
        ),
        (
            a_field("date", constraints={"minimumDate": "02/03/2031"}),
            "12/31/2030",
            "Must not be before 02/03/2031.",
        ),
        (a_field("dropdown"), "m", "Must be one of S, M, L."),
        (a_field("radiobuttons"), ["M"], "Must be one of S, M, L."),
        (a_field("checkbox"), 1, "Must be true or false."),
        (a_field("checkboxes"), "S", "Must be a list of some of S, M, L."),
        (a_field("checkboxes"), ["S", "XL"], "Must be a list of some of S, M, L."),
        (a_field("truefalse"), "true", "Must be true or false."),
        (a_field("yesno"), True, "Must be yes or no."),
        (a_field("yesno"), "Yes", "Must be yes or no."),
        (a_field("message"), "x", "A message holds no value."),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_rule(field, value, rule):
    with pytest.raises(InvalidInputError) as refused:
        stored(field, value)

    assert refused.value.field_errors == {"f": rule}


def test_every_bad_value_is_named_and_none_is_let_through():
    with pytest.raises(InvalidInputError) as refused:
        accepted({"f": a_field()}, {"f": 5, "g": 5, "h": None})

    assert refused.value.field_errors == {"f": "Must be a string.", "g": NOTHING, "h": NOTHING}


@given(st.decimals(-(10**10), 10**10, places=4))
def test_a_decimal_is_kept_exactly(value):
    found = stored(a_field("decimal"), value)

    assert found is None or Decimal(str(found)) == value


@given(st.sampled_from(FieldType), JSON)
def test_no_value_breaks_a_field_otherwise_than_by_refusal(kind, value):
    try:
        found = stored(a_field(kind), value)
    except InvalidInputError:
        return
    assert found is None or stored(a_field(kind), found) == found


@given(st.sampled_from(FieldType), st.dictionaries(st.text(), JSON, max_size=3))
def test_no_constraints_break_a_field_otherwise_than_by_refusal(kind, constraints):
    try:
        field = checked(a_field(kind, constraints=constraints))
    except InvalidInputError:
        return
    assert checked(field) == field
    assert replace(field, constraints={}) == a_field(kind)
