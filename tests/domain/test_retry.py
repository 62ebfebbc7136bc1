"""What an attempt's outcome means for its delivery."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.domain.retry import (
    DAY,
    DEFAULT_SCHEDULE,
    Delivered,
    Failed,
    Gone,
    Outcome,
    RetryAfter,
    RetryPolicy,
    decide,
    outcome_of,
    parse_retry_after,
)

NOW = datetime(2026, 11, 24, 3, 30, tzinfo=UTC)
POLICY = RetryPolicy()
MIDDLE = 0.5  # the jitter that changes nothing

jitters = st.floats(min_value=0, max_value=1, exclude_max=True)
schedules = st.lists(st.integers(1, 172_800), max_size=12).map(tuple)
failed_names = st.sampled_from(
    ["redirect", "timeout", "dns", "connect", "tls", "blocked_address", "bad_response"]
)


def test_the_default_schedule_is_the_contracts():
    assert DEFAULT_SCHEDULE == (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
    assert RetryPolicy().schedule == DEFAULT_SCHEDULE


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (0, "bad_response"),
        (100, "bad_response"),
        (101, "bad_response"),
        (199, "bad_response"),
        (200, "delivered"),
        (204, "delivered"),
        (299, "delivered"),
        (300, "redirect"),
        (304, "redirect"),
        (399, "redirect"),
        (400, "http_400"),
        (410, "http_410"),
        (429, "http_429"),
        (500, "http_500"),
        (599, "http_599"),
        (600, "bad_response"),
        (999, "bad_response"),
    ],
)
def test_a_status_has_a_name(status, name):
    assert outcome_of(status).name == name


@given(st.integers(0, 999))
def test_only_2xx_is_success_over_the_whole_range_of_statuses(status):
    outcome = outcome_of(status, truncated=True)

    assert outcome.delivered == (200 <= status <= 299)
    assert outcome.status_code == status
    assert outcome.truncated


@pytest.mark.parametrize(
    ("outcome", "failures", "decision"),
    [
        (outcome_of(204), 0, Delivered()),
        (outcome_of(200, truncated=True), 9, Delivered()),
        (outcome_of(410), 0, Gone()),
        (outcome_of(410), 9, Gone()),
        (Outcome(name="bad_response", status_code=410), 0, RetryAfter(5)),
        (outcome_of(500), 0, RetryAfter(5)),
        (outcome_of(404), 1, RetryAfter(300)),
        (outcome_of(302), 2, RetryAfter(1800)),
        (Outcome(name="timeout"), 3, RetryAfter(7200)),
        (Outcome(name="dns"), 4, RetryAfter(18000)),
        (Outcome(name="connect"), 5, RetryAfter(36000)),
        (Outcome(name="tls"), 6, RetryAfter(50400)),
        (Outcome(name="blocked_address"), 7, RetryAfter(72000)),
        (Outcome(name="bad_response"), 8, RetryAfter(86400)),
        (outcome_of(500), 9, Failed()),
        (outcome_of(500), 1000, Failed()),
        (outcome_of(429, retry_after=60), 0, RetryAfter(60)),
        (outcome_of(503, retry_after=60), 0, RetryAfter(60)),
        (outcome_of(503, retry_after=60), 1, RetryAfter(300)),
        (outcome_of(503, retry_after=0), 0, RetryAfter(5)),
        (outcome_of(503), 0, RetryAfter(5)),
        (outcome_of(429, retry_after=10**9), 0, RetryAfter(DAY)),
        (outcome_of(429, retry_after=60), 9, Failed()),
        (outcome_of(500, retry_after=60), 0, RetryAfter(5)),
        (Outcome(name="bad_response", status_code=429, retry_after=60), 0, RetryAfter(5)),
    ],
)
def test_an_outcome_decides_what_happens_next(outcome, failures, decision):
    assert decide(outcome, failures, POLICY, MIDDLE) == decision


@given(schedules, st.data(), jitters)
def test_a_failure_waits_its_step_give_or_take_a_tenth(schedule, data, jitter):
    failures = data.draw(st.integers(0, len(schedule) + 2))
    outcome = Outcome(name=data.draw(failed_names))

    decision = decide(outcome, failures, RetryPolicy(schedule=schedule), jitter)

    if failures >= len(schedule):
        assert decision == Failed()
    else:
        assert isinstance(decision, RetryAfter)
        assert 0.899999 * schedule[failures] <= decision.seconds < 1.100001 * schedule[failures]


@given(st.integers(0, 8), jitters, jitters)
def test_jitter_moves_a_wait_steadily_from_the_earliest_to_the_latest(failures, one, other):
    waits = [decide(outcome_of(500), failures, POLICY, jitter) for jitter in sorted([one, other])]

    first, second = (wait.seconds for wait in waits if isinstance(wait, RetryAfter))
    assert first <= second


@given(st.sampled_from([429, 503]), st.integers(0, 10**10), st.integers(0, 8), jitters)
def test_what_a_busy_receiver_asks_for_is_kept_but_never_beyond_a_day(
    status, asked, failures, jitter
):
    decision = decide(outcome_of(status, retry_after=asked), failures, POLICY, jitter)

    own = decide(outcome_of(status), failures, POLICY, jitter)  # up to 26.4 hours, by jitter
    assert isinstance(decision, RetryAfter)
    assert isinstance(own, RetryAfter)
    assert decision.seconds == max(own.seconds, min(asked, DAY))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("007", 7),
        ("-5", 0),
        ("-0", 0),
        ("9" * 10, 9_999_999_999),
        ("9" * 5000, 10**10),
        ("-" + "9" * 5000, 0),
        ("Tue, 24 Nov 2026 03:30:30 GMT", 30),
        ("Tuesday, 24-Nov-26 03:31:00 GMT", 60),
        ("Tue Nov 24 04:30:00 2026", 3600),
        ("Tue, 24 Nov 2026 04:30:00 +0100", 0),
        ("Tue, 24 Nov 2026 03:29:59 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("", None),
        ("soon", None),
        ("1.5", None),
        ("+5", None),
        ("5 s", None),
        ("5, 6", None),
        ("\u0661", None),
        ("Tue, 99 Nov 2026 03:30:30 GMT", None),
        ("Tue, 24 Nov 2026", None),
        ("Tue, 24 Nov 99999 03:30:30 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(text, seconds):
    result = parse_retry_after(text, NOW)

    if text == "Fri, 31 Dec 9999 23:59:59 -2359":
        assert result is None or result > DAY
    else:
        assert result == seconds


def test_a_date_is_rounded_up_so_that_no_attempt_comes_early():
    early = NOW - timedelta(milliseconds=1)

    assert parse_retry_after("Tue, 24 Nov 2026 03:30:30 GMT", early) == 31


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_no_text_breaks_the_reading_of_retry_after(text):
    seconds = parse_retry_after(text, NOW)

    assert seconds is None or seconds >= 0


@given(
    st.lists(
        st.sampled_from(["Mon,Nov", "0123456789:-+GMT26", "Tue", "Dec", "19", "99"]), max_size=9
    )
)
def test_nothing_that_resembles_a_date_breaks_the_reading_either(parts):
    seconds = parse_retry_after(" ".join(parts), NOW)

    assert seconds is None or seconds >= 0


@given(st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)))  # noqa: DTZ001
def test_any_date_in_http_form_is_understood(moment):
    moment = moment.replace(tzinfo=UTC, microsecond=0)

    seconds = parse_retry_after(format_datetime(moment, usegmt=True), NOW)

    assert seconds == max(0, (moment - NOW).total_seconds())
