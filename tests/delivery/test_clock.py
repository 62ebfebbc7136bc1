"""A clock that is set is noticed, once; one that is kept right is not."""

from __future__ import annotations

import time

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


def test_small_corrections_add_up_and_are_not_steps():
    times = Times()

    for _ in range(5):
        times.pass_(100, wall=100.3)
        assert times.clock.step() == 0
    for _ in range(5):
        times.pass_(100, wall=100.3)
    assert times.clock.step() == pytest.approx(3.0)  # in the end they are as good as one


def test_the_machines_own_clocks_go_together():
    clock, before = WallClock(), steady_seconds()

    time.sleep(0.01)

    assert clock.step() == 0
    assert steady_seconds() > before
