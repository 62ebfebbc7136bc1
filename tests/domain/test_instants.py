from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.domain.instants import (
    InstantRange,
    InvalidInstantError,
    format_instant,
    parse_date_filter,
    parse_instant,
)

BERLIN = ZoneInfo("Europe/Berlin")
OFFSETS = st.integers(-18 * 60, 18 * 60)
SECONDS = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001
    max_value=datetime(9998, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda instant: instant.replace(microsecond=0))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "written"),
    [
        (datetime(2014, 4, 18, 0, 39, 57, tzinfo=UTC), "2014-04-18T00:39:57Z"),
        (datetime(2014, 4, 18, 0, 39, 57, 999_999, tzinfo=UTC), "2014-04-18T00:39:57Z"),
        (datetime(7, 1, 2, tzinfo=UTC), "0007-01-02T00:00:00Z"),
        (
            datetime(2031, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            "2030-12-31T20:00:00Z",
        ),
    ],
)
def test_an_instant_is_written_in_utc_with_whole_seconds_and_a_literal_z(instant, written):
    assert format_instant(instant) == written


@given(SECONDS)
def test_what_is_written_is_read_back(instant):
    assert parse_instant(format_instant(instant), BERLIN, end=False) == instant
    assert parse_instant(format_instant(instant), BERLIN, end=True) == instant


@given(SECONDS, OFFSETS)
def test_an_offset_names_the_same_instant(instant, minutes):
    local = instant.astimezone(timezone(timedelta(minutes=minutes)))

    assert parse_instant(local.isoformat(), BERLIN, end=False) == instant


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2031-02-03T04:05:06Z", "2031-02-03T04:05:06"),
        ("2031-02-03t04:05:06z", "2031-02-03T04:05:06"),
        ("2031-02-03T04:05:06.999999999Z", "2031-02-03T04:05:06"),
        ("2031-02-03T04:05:06-00:00", "2031-02-03T04:05:06"),
        ("2031-02-03T04:05:06+05:45", "2031-02-02T22:20:06"),
        ("2031-02-03T04:05:06-18:00", "2031-02-03T22:05:06"),
        ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00"),
    ],
)
def test_a_timestamp_is_rfc_3339_with_its_fraction_cut_off(text, instant):
    assert parse_instant(text, BERLIN, end=False) == utc(instant)


@pytest.mark.parametrize(
    ("zone", "day", "begin", "end"),
    [
        ("UTC", "2031-02-03", "2031-02-03T00:00:00", "2031-02-04T00:00:00"),
        ("UTC", "2028-02-29", "2028-02-29T00:00:00", "2028-03-01T00:00:00"),
        ("Asia/Kathmandu", "2031-02-03", "2031-02-02T18:15:00", "2031-02-03T18:15:00"),
        # A day of 23 and one of 25 hours.
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00", "2026-03-29T22:00:00"),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
        # Midnight does not exist: the day begins at one, and the day before ends there too.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00", "2018-11-05T02:00:00"),
        ("America/Sao_Paulo", "2018-11-03", "2018-11-03T03:00:00", "2018-11-04T03:00:00"),
        ("Africa/Cairo", "2024-04-26", "2024-04-25T22:00:00", "2024-04-26T21:00:00"),
        # The hour before midnight is repeated: the day has 25 hours.
        ("Africa/Cairo", "2024-10-31", "2024-10-30T21:00:00", "2024-10-31T22:00:00"),
        # Midnight strikes twice: the first begins the day and ends the one before.
        ("America/Havana", "2024-11-03", "2024-11-03T04:00:00", "2024-11-04T05:00:00"),
        ("America/Havana", "2024-11-02", "2024-11-02T04:00:00", "2024-11-03T04:00:00"),
        ("Atlantic/Azores", "2024-10-27", "2024-10-27T00:00:00", "2024-10-28T01:00:00"),
        # A whole day that Samoa skipped.
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00", "2011-12-30T10:00:00"),
    ],
)
def test_a_plain_date_is_a_day_of_the_zone(zone, day, begin, end):
    assert parse_instant(day, ZoneInfo(zone), end=False) == utc(begin)
    assert parse_instant(day, ZoneInfo(zone), end=True) == utc(end)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2031",
        "2031-02",
        "2031-2-3",
        "20310203",
        "2031-W05-1",
        "+2031-02-03",
        "2031-02-03 ",
        "2031-02-03\n",
        "2031-02-30",
        "2027-02-29",
        "0000-01-01",
        "٢٠٣١-02-03",
        "2031-02-03T04:05:06",
        "2031-02-03 04:05:06Z",
        "2031-02-03T04:05Z",
        "2031-02-03T24:00:00Z",
        "2031-02-03T04:05:60Z",
        "2031-02-03T04:05:06.Z",
        "2031-02-03T04:05:06+0100",
        "2031-02-03T04:05:06+18:01",
        "2031-02-03T04:05:06+99:00",
        "2031-02-03T04:05:06+01:60",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "10000-01-01T00:00:00Z",
    ],
)
def test_anything_else_is_refused_as_a_date(text):
    with pytest.raises(InvalidInstantError):
        parse_instant(text, BERLIN, end=False)


def test_a_day_that_ends_or_begins_outside_the_calendar_is_refused():
    with pytest.raises(InvalidInstantError):
        parse_instant("9999-12-31", BERLIN, end=True)
    with pytest.raises(InvalidInstantError):
        parse_instant("0001-01-01", BERLIN, end=False)


@given(st.text(max_size=40), st.booleans())
def test_no_text_breaks_the_reader_of_dates(text, end):
    try:
        found = parse_instant(text, BERLIN, end=end)
    except InvalidInstantError:
        return
    assert found.tzinfo is UTC
    assert found.microsecond == 0


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2031", "2031-01-01T00:00:00", "2032-01-01T00:00:00"),
        ("2028", "2028-01-01T00:00:00", "2029-01-01T00:00:00"),
        ("2031-02", "2031-02-01T00:00:00", "2031-03-01T00:00:00"),
        ("2028-02", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
        ("2031-12", "2031-12-01T00:00:00", "2032-01-01T00:00:00"),
        ("2031-02-28", "2031-02-28T00:00:00", "2031-03-01T00:00:00"),
        ("2031-02-03T04", "2031-02-03T04:00:00", "2031-02-03T05:00:00"),
        ("2031-02-03T00", "2031-02-03T00:00:00", "2031-02-03T01:00:00"),
        ("2031-02-03T23", "2031-02-03T23:00:00", "2031-02-04T00:00:00"),
        ("2031-02-03T04:05:06Z", "2031-02-03T04:05:06", "2031-02-03T04:05:07"),
        ("2031-02-03T04:05:06.9+01:00", "2031-02-03T03:05:06", "2031-02-03T03:05:07"),
        ("2031..2032", "2031-01-01T00:00:00", "2033-01-01T00:00:00"),
        ("2031-02..2031-02-03", "2031-02-01T00:00:00", "2031-02-04T00:00:00"),
        ("2031-02-03T04:05:06Z..2031", "2031-02-03T04:05:06", "2032-01-01T00:00:00"),
        ("2031-02-03..", "2031-02-03T00:00:00", None),
        ("..2031-02-03", None, "2031-02-04T00:00:00"),
        ("9999", "9999-01-01T00:00:00", None),
        ("9999-12", "9999-12-01T00:00:00", None),
        ("9999-12-31", "9999-12-31T00:00:00", None),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59", None),
    ],
)
def test_a_date_filter_names_whole_spans_of_utc(text, start, end):
    assert parse_date_filter(text) == InstantRange(
        start=utc(start) if start else None, end=utc(end) if end else None
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "...",
        "2031..2032..2033",
        "2032..2031",
        "2031-02-03T04:05:06Z..2031-02-03T04:05:05Z",
        "0000",
        "2031-00",
        "2031-13",
        "2031-02-00",
        "2031-02-30",
        "2031-02-03T24",
        "2031-02-03T04:05",
        "2031-02-03T04:05:06",
        "203",
        "20311",
        "2031-",
        "2031 ",
        "2031\n",
        "last week",
        "٢٠٣١",
    ],
)
def test_anything_else_is_refused_as_a_date_filter(text):
    with pytest.raises(InvalidInstantError):
        parse_date_filter(text)


@given(st.text(alphabet="0123456789-T:Z.+", max_size=50) | st.text(max_size=50))
def test_no_text_breaks_the_reader_of_date_filters(text):
    try:
        found = parse_date_filter(text)
    except InvalidInstantError:
        return
    assert found.start is None or found.end is None or found.start < found.end


@given(SECONDS)
def test_every_precision_of_an_instant_contains_it(instant):
    written = format_instant(instant)

    for length in (4, 7, 10, 13, 20):
        span = parse_date_filter(written[:length])
        assert instant in span
        assert span.end not in span


@given(SECONDS, SECONDS, SECONDS)
def test_a_range_contains_both_its_ends_and_what_lies_between(one, two, three):
    first, middle, last = sorted([one, two, three])

    span = parse_date_filter(f"{format_instant(first)}..{format_instant(last)}")

    assert first in span
    assert middle in span
    assert last in span
    assert first - timedelta(seconds=1) not in span
    assert last + timedelta(seconds=1) not in span
