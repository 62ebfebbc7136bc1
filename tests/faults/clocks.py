"""A wall clock that can be stepped, for the processes started with `settings` (libfaketime)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_LIBRARIES = "lib/*/faketime/libfaketimeMT.so.1"


def library() -> Path | None:
    """Debian's package `faketime`; None where it is not installed."""
    return next(Path("/usr").glob(_LIBRARIES), None)


class Clock:
    """Right until it is stepped. Monotonic clocks stay as they are."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clock"
        self.step(0)

    @property
    def settings(self) -> Mapping[str, str]:
        """The environment of the processes that go by it; they notice a step within a second."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }

    def step(self, seconds: int) -> None:
        """From now on it is so far ahead of the real one; behind where negative."""
        self._file.write_text(f"{seconds:+d}\n")
