"""What a webhook may filter by."""

import pytest

from coursebell.domain.events import FILTERS
from coursebell.domain.filters import check_filters
from coursebell.errors import InvalidInputError

ID = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("offering.id", ID),
        ("offering.id", [ID]),
        ("offering.id", [ID] * 100),
        ("offering.title.contains", "é%_"),
        ("offering.title.contains", "x" * 255),
        ("user.email.endswith", "@learner.example"),
        ("registration.passed", False),
        ("source", "SELF"),
        ("source", "ADMIN"),
        ("element.type", "assignment"),
    ],
)
def test_a_filter_is_accepted(name, value):
    check_filters({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("offering.id", []),
        ("offering.id", [ID] * 101),
        ("offering.id", [ID, 3]),
        ("offering.id", ID.upper()),
        ("offering.id", ID + "\n"),
        ("offering.id", None),
        ("offering.id", {}),
        ("offering.title.contains", ""),
        ("offering.title.contains", "x" * 256),
        ("offering.title.contains", 7),
        ("offering.title.contains", "a\x00b"),
        ("user.email.endswith", ["@learner.example"]),
        ("registration.passed", "true"),
        ("registration.passed", 1),
        ("registration.passed", None),
        ("source", "self"),
        ("source", ["SELF"]),
        ("source", None),
        ("element.type", "quiz"),
        ("element.type", []),
        ("element.type", {}),
    ],
)
def test_a_bad_value_is_refused_by_the_filters_name(name, value):
    with pytest.raises(InvalidInputError) as refused:
        check_filters({name: value})

    assert list(refused.value.field_errors) == [f"filters.{name}"]


def test_an_unknown_filter_is_refused_and_the_known_ones_are_named():
    with pytest.raises(InvalidInputError) as refused:
        check_filters({"offering.ID": ID, "user.email.endswith": ""})

    assert list(refused.value.field_errors) == [
        "filters.offering.ID",
        "filters.user.email.endswith",
    ]
    for name in FILTERS:
        assert name in refused.value.field_errors["filters.offering.ID"]


def test_no_filters_are_fine():
    check_filters({})
