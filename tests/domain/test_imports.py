"""Headers are found, lines are read, and what is wrong is told by line, column and rule."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from coursebell.domain.imports import COLUMNS, ImportKind, Line, Reader, lay_out
from coursebell.errors import InvalidInputError

UTC = ZoneInfo("UTC")


def names(kind: ImportKind, header: list[str], **mapping: str) -> dict[str, str]:
    layout = lay_out(kind, header, mapping)
    return {header[place]: column.name for place, column in layout.columns.items()}


@pytest.mark.parametrize("kind", ImportKind)
def test_the_own_names_of_all_columns_are_found(kind):
    header = [column.name for column in COLUMNS[kind]]

    assert names(kind, header) == dict(zip(header, header, strict=True))


@pytest.mark.parametrize("kind", ImportKind)
def test_no_header_can_mean_two_columns(kind):
    said = [each.lower() for column in COLUMNS[kind] for each in (column.name, *column.also)]

    assert len(said) == len(set(said))


def test_headers_of_other_systems_are_found_whatever_their_case_and_punctuation():
    header = ["E-Mail Address", "GIVEN NAME", "Surname", "shoe size"]

    assert names(ImportKind.USERS, header) == {
        "E-Mail Address": "email",
        "GIVEN NAME": "firstName",
        "Surname": "lastName",
    }
    assert lay_out(ImportKind.USERS, header, {}).ignored == ("shoe size",)


def test_a_columns_own_name_wins_over_other_names_and_a_mapping_over_both():
    header = ["email", "offering", "course", "id"]

    assert names(ImportKind.REGISTRATIONS, header)["offering"] == "offering"
    mapped = names(ImportKind.REGISTRATIONS, header, Course="offering", id="externalKey")
    assert mapped == {"email": "email", "course": "offering", "id": "externalKey"}


@pytest.mark.parametrize(
    ("header", "mapping", "rule"),
    [
        (["email", "firstName"], {}, "No column is lastName"),
        (["email", "firstName", "lastName"], {"X": "role"}, 'no column "X"'),
        (["email", "firstName", "lastName"], {"email": "shoe"}, "There is no shoe"),
        (["email", "firstName", "lastName", "Email"], {}, "Several columns are email"),
    ],
)
def test_a_header_that_does_not_do_is_refused(header, mapping, rule):
    with pytest.raises(InvalidInputError, match=rule):
        lay_out(ImportKind.USERS, header, mapping)


def test_a_registration_must_name_its_user_and_its_offering():
    with pytest.raises(InvalidInputError, match="userId or userKey or email or username"):
        lay_out(ImportKind.REGISTRATIONS, ["offering"], {})
    with pytest.raises(InvalidInputError, match="offeringId or offeringKey or offering"):
        lay_out(ImportKind.REGISTRATIONS, ["email"], {})


def test_a_line_is_read_and_empty_cells_say_nothing():
    layout = lay_out(ImportKind.REGISTRATIONS, ["email", "course", "score", "status"], {})

    line = Reader(layout=layout, zone=UTC).read(7, [" a@b.example ", "Ladders", "80", ""])

    values = {"email": "a@b.example", "offering": "Ladders", "grade": Decimal(80)}
    assert line == Line(number=7, values=values)


def test_everything_that_is_wrong_with_a_line_is_told():
    layout = lay_out(ImportKind.USERS, ["email", "firstName", "lastName", "role"], {})

    problems = Reader(layout=layout, zone=UTC).read(7, ["x", "", "B", "king", "more"])

    assert [(problem.line, problem.column, problem.rule) for problem in problems] == [
        (7, None, "Has more cells than the header."),
        (7, "email", "Invalid email address."),
        (7, "role", "Must be one of learner, instructor, admin."),
        (7, "firstName", "Is required."),
    ]
