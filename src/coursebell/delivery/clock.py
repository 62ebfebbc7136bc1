"""Notices when somebody sets the machine's clock, which moves every due time that is stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

TOLERANCE = 2.0  # seconds; what is less is the slow correction of a clock that is kept right


def steady_seconds() -> float:
    """A clock that nobody sets, and that goes on while the machine sleeps where one does."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class WallClock:
    """Compares `wall` with `steady`; both give seconds from whenever."""

    __slots__ = ("_ahead", "_steady", "_wall")

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = steady_seconds,
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._ahead = wall() - steady()

    def step(self) -> float:
        """By how many seconds it was set since this was asked before; 0 below `TOLERANCE`."""
        ahead = self._wall() - self._steady()
        step, self._ahead = ahead - self._ahead, ahead
        return step if abs(step) >= TOLERANCE else 0.0

    def now(self) -> datetime:
        """The time as if the clock had not been set since `step()` was asked: what is written by
        it is moved with the rest when a step is told."""
        return datetime.fromtimestamp(self._steady() + self._ahead, UTC)
