"""What happens by the clock, inside the product: halting at an offering's end, upkeep.

Runs beside the dispatcher, in a thread with connections of its own. Every task is safe to run in
several processes at once and safe to be cut off: what is not done now is done next time.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from coursebell.errors import CoursebellError
from coursebell.logs import logger
from coursebell.services import gradebook, upkeep
from coursebell.services.registrar import Registrar

_log = logger(__name__)

_TICK_SECONDS = 1.0  # how late an offering's end may be noticed
_STRAYS_EVERY = timedelta(seconds=5)
_RETENTION_EVERY = timedelta(hours=1)
_RETENTION_REST_SECONDS = 0.05  # between two steps, so that others get the database


class Schedule:
    """Does what is due every second until stopped. `retention` of None keeps everything."""

    def __init__(self, registrar: Registrar, retention: timedelta | None) -> None:
        self._registrar = registrar
        self._retention = retention
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedule", daemon=True)
        self._next_strays = self._next_retention = datetime.min.replace(tzinfo=UTC)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the task at hand has come to a safe end."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.tick(datetime.now(UTC))
            except CoursebellError as exc:
                _log.error("schedule.failed", problem=exc.message)
            self._stop.wait(_TICK_SECONDS)

    def tick(self, now: datetime) -> None:
        """Do what is due at `now`."""
        halted = gradebook.halt_ended_offerings(self._registrar, now)
        if halted:
            _log.info("schedule.halted", registrations=halted)
        if now >= self._next_strays:
            self._next_strays = now + _STRAYS_EVERY
            upkeep.settle_strays(self._registrar, now)
        if self._retention is not None and now >= self._next_retention:
            self._next_retention = now + _RETENTION_EVERY
            self._forget(now - self._retention)

    def _forget(self, before: datetime) -> None:
        for _ in upkeep.forget_history(self._registrar, before):
            if self._stop.wait(_RETENTION_REST_SECONDS):
                return
