"""What may stand in a cell of a table, and what it means."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.domain import cells
from coursebell.domain.cells import CellError

BERLIN = ZoneInfo("Europe/Berlin")
GRADE = cells.number(Decimal(0), Decimal(100))


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cell", "end", "meant"),
    [
        ("2031-02-03", False, "2031-02-02T23:00:00"),
        ("2031-02-03", True, "2031-02-03T23:00:00"),
        ("2031-02-03 04:05", True, "2031-02-03T03:05:00"),
        ("2031-02-03T04:05:06", False, "2031-02-03T03:05:06"),
        ("2031-07-03 04:05:06", False, "2031-07-03T02:05:06"),
        ("2031-02-03T04:05:06Z", False, "2031-02-03T04:05:06"),
        ("2031-02-03T04:05:06.789+05:30", False, "2031-02-02T22:35:06"),
        ("2031-03-30 02:30", False, "2031-03-30T01:30:00"),  # the clock skips it
        ("2031-10-26 02:30", False, "2031-10-26T00:30:00"),  # the clock strikes it twice
        ("2032-02-29", False, "2032-02-28T23:00:00"),
    ],
)
def test_dates_are_days_and_times_of_the_organizations_clocks(cell, end, meant):
    assert cells.instant(end=end)(cell, BERLIN) == instant(meant)


@pytest.mark.parametrize(
    "cell",
    ["03.02.2031", "2/3/2031", "2031-02-30", "2031-02-30 10:00", "9999-12-31", "soon", "2031"],
)
def test_other_dates_are_refused(cell):
    with pytest.raises(CellError, match=r"Must be 2031|No such"):
        cells.instant(end=True)(cell, BERLIN)


@pytest.mark.parametrize(
    ("cell", "number"),
    [("0", "0"), ("87,55555", "87.55555"), ("87.5 %", "87.5"), ("+7", "7"), ("100", "100")],
)
def test_numbers_are_read_exactly(cell, number):
    assert str(GRADE(cell, BERLIN)) == number


@pytest.mark.parametrize("cell", ["-1", "100.00001", "1e2", "A", "NaN", "1.000,5", "٣", "1 2"])
def test_other_numbers_are_refused(cell):
    with pytest.raises(CellError):
        GRADE(cell, BERLIN)


@given(st.decimals(0, 100, places=12))
def test_a_grade_comes_out_as_it_was_written(grade):
    assert GRADE(f"{grade:f}", BERLIN) == grade


@pytest.mark.parametrize("cell", ["-1", "1.5", "2000000", "x"])
def test_only_whole_numbers_that_are_not_negative_are_whole(cell):
    assert cells.whole("17", BERLIN) == 17
    with pytest.raises(CellError):
        cells.whole(cell, BERLIN)


def test_text_is_short_enough_and_has_no_control_characters():
    assert cells.text(5)("Zoë 1", BERLIN) == "Zoë 1"
    assert cells.text(9, several_lines=True)("a\r\n\tb", BERLIN) == "a\r\n\tb"
    assert cells.text(3)("a\u200db", BERLIN) == "a\u200db"
    for broken, rule in [("123456", "at most 5"), ("a\nb", "control"), ("Zo\udceb", "UTF-8")]:
        with pytest.raises(CellError, match=rule):
            cells.text(5)(broken, BERLIN)


def test_words_are_found_whatever_their_case_and_what_is_unknown_is_told():
    read = cells.word({"in progress": 1, "passed": 2})

    assert (read("In-Progress", BERLIN), read("PASSED", BERLIN)) == (1, 2)
    with pytest.raises(CellError, match="in progress, passed"):
        read("done", BERLIN)


def test_tags_are_words_and_addresses_are_addresses():
    assert cells.tags("a, b  a", BERLIN) == ("a", "b")
    assert cells.email("zoë@x.example", BERLIN) == "zoë@x.example"
    with pytest.raises(CellError, match="Invalid email address"):
        cells.email("zoë", BERLIN)
