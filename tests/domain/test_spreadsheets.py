"""CSV as other programs write it."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.domain.spreadsheets import Sheet
from coursebell.errors import InvalidInputError


def sheet(content: bytes | str) -> Sheet:
    return Sheet(io.BytesIO(content.encode() if isinstance(content, str) else content))


def cells(content: bytes | str) -> list[list[str]]:
    return [list(row.cells) for row in sheet(content).rows()]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_delimiters_marks_and_line_endings_of_other_programs_are_read(delimiter, mark, ending):
    lines = [delimiter.join(each) for each in (("E-mail", "Name"), ("zoë@x.example", "Zoë"))]
    found = sheet(mark + ending.join(lines).encode())

    assert found.header == ["E-mail", "Name"]
    assert [list(row.cells) for row in found.rows()] == [["zoë@x.example", "Zoë"]]


def test_delimiters_within_quotes_do_not_count():
    assert sheet('"a,b,c,d";e\n').header == ["a,b,c,d", "e"]


def test_rows_know_their_lines_also_where_a_cell_has_several():
    found = sheet('a,b\n1,"x\ny"\n\n , \n2,z\n')

    assert [(row.number, row.last_line) for row in found.rows()] == [(2, 3), (6, 6)]


def test_what_is_no_csv_is_told_and_the_next_row_is_read():
    broken, good = sheet('a,b\n"x"y,1\n2,z\n').rows()

    assert (broken.number, broken.problem[:12]) == (2, "Is not CSV: ")
    assert (good.number, list(good.cells)) == (3, ["2", "z"])


def test_a_quote_that_is_never_closed_is_told():
    (row,) = sheet('a,b\n1,"x\n2,y\n').rows()

    assert row.problem == "Is not CSV: unexpected end of data."


def test_bytes_that_are_no_utf8_stay_to_be_told_by_their_cell():
    assert cells(b"a\nZo\xeb\n") == [["Zo\udceb"]]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        ("a,b\n".encode("utf-16"), "UTF-16"),
        (b'a,"b\n', "Line 1 cannot be read"),
        (b"a,Gr\xf6\xdfe\n", "Line 1 is not UTF-8"),
    ],
)
def test_what_has_no_header_is_refused(content, rule):
    with pytest.raises(InvalidInputError, match=rule):
        sheet(content)


def test_a_line_without_end_is_refused_before_it_fills_the_memory():
    found = sheet(b"a\n" + b"x" * 3_000_000)

    with pytest.raises(InvalidInputError, match="Line 2 is longer"):
        list(found.rows())


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8)
tables = st.lists(st.lists(texts, min_size=2, max_size=2), max_size=6)


@given(tables, st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]))
def test_what_a_program_wrote_is_read_and_reading_goes_on_from_any_row(rows, delimiter, ending):
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, lineterminator=ending)
    writer.writerows([["head", "other"], *rows])
    content = written.getvalue().encode()
    full = [row for row in rows if any(map(str.strip, row))]

    found = list(sheet(content).rows())

    assert [list(row.cells) for row in found] == full
    for place, row in enumerate(found):
        rest = sheet(content).rows(end=row.end, line=row.last_line)
        assert [(each.number, each.cells) for each in rest] == [
            (each.number, each.cells) for each in found[place + 1 :]
        ]
