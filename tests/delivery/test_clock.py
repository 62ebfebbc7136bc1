"""A clock that is set is noticed, once; one that is kept right is not."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from coursebell.delivery.clock import WallClock, steady_seconds


class Times:
    """A wall clock and a steady one, in hand."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_700_000_000.0, 50.0
        self.clock = WallClock(lambda: self.wall, lambda: self.steady)

    def pass_(self, seconds: float, *, wall: float | None = None) -> None:
        self.steady += seconds
        self.wall += seconds if wall is None else wall


@pytest.mark.parametrize("step", [3600.0, -3600.0, 2.5, -2.5])
def test_a_step_is_told_once(step):
    times = Times()
    times.pass_(10, wall=10 + step)

    assert times.clock.step() == pytest.approx(step)
    assert times.clock.step() == 0
    times.pass_(3600)
    assert times.clock.step() == 0


def test_there_and_back_are_two_steps():
    times = Times()
    times.wall += 3600
    there = times.clock.step()
    times.wall -= 3600

    assert (there, times.clock.step()) == (3600, -3600)


def test_small_corrections_are_followed_and_are_not_steps():
    times = Times()

    for _ in range(10):
        times.pass_(100, wall=100.3)
        assert times.clock.step() == 0
    assert times.clock.now().timestamp() == pytest.approx(times.wall, abs=1e-5)


def test_until_a_step_is_told_it_is_as_late_as_without_it():
    times = Times()
    times.pass_(10, wall=10 + 3600)

    before = times.clock.now()
    told = times.clock.step()

    assert before == datetime.fromtimestamp(1_700_000_010, UTC)
    assert times.clock.now() - before == timedelta(seconds=told) == timedelta(hours=1)


def test_the_machines_own_clocks_go_together():
    clock, before = WallClock(), steady_seconds()

    time.sleep(0.01)

    assert clock.step() == 0
    assert steady_seconds() > before
