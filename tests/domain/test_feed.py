"""Cursors of the feed: what is read is what was written, and nothing else is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.domain.feed import START, Cursor, InvalidCursorError, cursor_at, parse_cursor
from coursebell.domain.model import new_id


@given(st.integers(min_value=0, max_value=10**18 - 1), st.uuids())
def test_a_cursor_that_was_written_is_read_back_and_fits_its_event(position, event_id):
    cursor = cursor_at(position, event_id.hex)

    assert parse_cursor(str(cursor)) == cursor
    assert cursor.fits(event_id.hex)


@pytest.mark.parametrize("text", ["", "0"])
def test_the_feed_begins_at_nothing_and_at_0(text):
    assert parse_cursor(text) == START


def test_a_bare_position_is_a_cursor_that_fits_any_event():
    cursor = parse_cursor("41")

    assert cursor == Cursor(position=41, mark=None)
    assert str(cursor) == "41"
    assert cursor.fits(new_id())


def test_a_mark_fits_its_own_event_only():
    """Also where two events are of the same moment, which the beginning of an id tells."""
    assert not cursor_at(1, "0" * 32).fits("1" * 32)
    one, other = new_id(), new_id()
    assert not cursor_at(1, one).fits(other)


@pytest.mark.parametrize(
    "text", ["-1", "1.5", "x", "1-", "1-8d1f0a3", "1-8D1F0A3C", "1 ", "٣", "9" * 19, "1-8d1f0a3c\n"]
)
def test_nothing_else_is_a_cursor(text):
    with pytest.raises(InvalidCursorError):
        parse_cursor(text)


@given(st.text(max_size=40))
def test_whatever_comes_is_a_cursor_or_refused_as_none(text):
    try:
        cursor = parse_cursor(text)
    except InvalidCursorError:
        return
    assert parse_cursor(str(cursor)) == cursor
