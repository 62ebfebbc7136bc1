"""When a webhook backs off, is probed, recovers, and is given up."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.domain.health import HEALTHY, Attempted, Health, after
from factories import HOUR, NOW

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
FAILED, DELIVERED = Attempted(delivered=False), Attempted(delivered=True)
PROBED = Attempted(delivered=False, is_probe=True)


def failing(failures, since=NOW):
    return Health(failures=failures, failing_since=since)


def backed_off(probes=0, since=NOW):
    return Health(failures=10, failing_since=since, probe_at=NOW + MINUTE, probes=probes)


@pytest.mark.parametrize(
    ("before", "attempts", "seconds", "expected"),
    [
        (HEALTHY, [DELIVERED], 0, HEALTHY),
        (HEALTHY, [FAILED], 0, failing(1)),
        (HEALTHY, [FAILED, FAILED, DELIVERED], 0, HEALTHY),
        (HEALTHY, [DELIVERED, FAILED], 5, failing(1, NOW + 5 * SECOND)),
        (failing(9), [FAILED], 59, failing(10)),
        (failing(50), [FAILED], 59, failing(51)),
        (failing(8), [FAILED], 3600, failing(9)),
        (failing(9), [DELIVERED], 3600, HEALTHY),
    ],
)
def test_few_failures_or_a_short_time_of_them_are_borne(before, attempts, seconds, expected):
    assert after(before, attempts, NOW + seconds * SECOND) == expected


def test_ten_failures_in_a_row_over_a_minute_back_off_for_a_minute():
    moment = NOW + 60 * SECOND

    health = after(failing(9), [FAILED], moment)

    assert health == Health(failures=10, failing_since=NOW, probe_at=moment + MINUTE, probes=0)
    assert health.is_backed_off


@pytest.mark.parametrize(
    ("probes", "minutes"), [(0, 2), (1, 4), (2, 8), (3, 16), (4, 32), (5, 60), (6, 60), (999, 60)]
)
def test_each_failed_probe_doubles_the_rest_up_to_an_hour(probes, minutes):
    health = after(backed_off(probes), [PROBED], NOW)

    assert (health.probe_at, health.probes) == (NOW + minutes * MINUTE, probes + 1)


def test_a_probe_that_is_asked_to_wait_waits():
    asked = Attempted(delivered=False, is_probe=True, asked_seconds=7200)

    assert after(backed_off(), [asked], NOW).probe_at == NOW + 2 * HOUR


def test_other_failures_do_not_move_the_probe():
    health = after(backed_off(), [FAILED, FAILED], NOW + MINUTE)

    assert (health.probe_at, health.probes, health.failures) == (NOW + MINUTE, 0, 12)


@pytest.mark.parametrize("attempts", [[DELIVERED], [FAILED, DELIVERED], [PROBED, DELIVERED]])
def test_the_first_success_is_a_full_recovery(attempts):
    assert after(backed_off(5), attempts, NOW) == HEALTHY


@pytest.mark.parametrize(
    ("health", "hours", "hopeless"),
    [
        (backed_off(), 72, True),
        (backed_off(), 71.99, False),
        (failing(9), 100, False),
        (HEALTHY, 100, False),
    ],
)
def test_after_three_days_without_success_there_is_no_hope(health, hours, hopeless):
    assert health.is_hopeless(NOW + hours * HOUR) is hopeless


attempted = st.builds(
    Attempted,
    delivered=st.sampled_from([False, False, False, True]),
    is_probe=st.booleans(),
    asked_seconds=st.sampled_from([0, 0, 30, 86_400]),
)


@given(steps=st.lists(st.tuples(attempted, st.integers(0, 7200)), max_size=60))
def test_at_every_moment_the_health_says_what_has_happened(steps):
    health, now, run, since = HEALTHY, NOW, 0, None
    for attempt, seconds in steps:
        now += seconds * SECOND
        health = after(health, [attempt], now)
        run, since = (0, None) if attempt.delivered else (run + 1, since or now)

        assert (health.failures, health.failing_since) == (run, since)
        if health.is_backed_off:
            assert run >= 10
            assert now - since >= 60 * SECOND
        if attempt.delivered:
            assert health == HEALTHY


@given(attempts=st.lists(attempted, max_size=30), cut=st.integers(0, 30))
def test_a_batch_is_judged_as_its_parts_one_after_the_other(attempts, cut):
    at_once = after(HEALTHY, attempts, NOW)

    assert after(after(HEALTHY, attempts[:cut], NOW), attempts[cut:], NOW) == at_once
