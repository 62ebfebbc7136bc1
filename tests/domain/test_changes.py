"""Partial changes, and what the audit trail says of them."""

from dataclasses import dataclass, replace
from decimal import Decimal

from coursebell.domain.changes import UNSET, Unset, changed, difference, named, plain, snapshot_of
from coursebell.domain.model import MoveOn
from factories import NOW, a_policy, a_registration, an_offering


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    title: str | Unset = UNSET
    price: Decimal | Unset | None = UNSET


def test_only_what_is_named_counts_and_none_is_a_name():
    assert named(Changes()) == {}
    assert named(Changes(price=None)) == {"price": None}
    assert named(Changes(title="")) == {"title": ""}


def test_what_is_not_named_keeps_its_value():
    offering = an_offering(price=Decimal("9.5"))

    assert changed(offering, named(Changes(title="Other"))) == replace(offering, title="Other")
    assert changed(offering, named(Changes(price=None))) == replace(offering, price=None)


def test_the_difference_names_only_what_differs():
    before = an_offering(tags=("a",), price=Decimal("9.50"))
    after = replace(before, tags=("a", "b"), price=None, begin_at=NOW)

    old, new = difference(before, after)

    assert old == {"tags": ["a"], "price": "9.50", "begin_at": None}
    assert new == {"tags": ["a", "b"], "price": None, "begin_at": "2026-03-02T10:00:00Z"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    text: str


def test_a_value_of_one_field_is_compared_as_others_are():
    assert difference(Note(text="a"), Note(text="b")) == ({"text": "a"}, {"text": "b"})
    assert snapshot_of(Note(text="a")) == {"text": "a"}


def test_nothing_differs_from_itself():
    assert difference(a_policy(), a_policy()) == ({}, {})


def test_a_snapshot_leaves_out_what_is_empty():
    policy = a_policy(move_on=MoveOn.COMPLETED)

    assert snapshot_of(policy) == {
        "passing_grade": "70.0",
        "move_on": "Completed",
        "require_every_element_passed": False,
    }
    assert "price" not in snapshot_of(an_offering())


def test_json_gets_its_own_types_and_the_text_of_others():
    assert plain({"a": (1, True, None), 2: [Decimal("1.0")]}) == {
        "a": [1, True, None],
        "2": ["1.0"],
    }
    assert type(plain(MoveOn.PASSED)) is str


def test_instants_are_written_as_everywhere_and_values_in_values_are_objects():
    assert plain(NOW) == "2026-03-02T10:00:00Z"
    assert plain(a_registration(policy=a_policy()).policy) == {
        "passing_grade": "70.0",
        "move_on": "CompletedAndPassed",
        "require_every_element_passed": False,
    }
