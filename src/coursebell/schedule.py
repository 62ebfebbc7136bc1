"""What happens by the clock, inside the product: halting at an offering's end, upkeep.

Runs beside the dispatcher, in a thread with connections of its own. Every task is safe to run in
several processes at once and safe to be cut off: what is not done now is done next time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from coursebell.errors import CoursebellError
from coursebell.logs import logger
from coursebell.services import gradebook, import_jobs, upkeep
from coursebell.services.registrar import Registrar

_log = logger(__name__)

_TICK_SECONDS = 1.0  # how late an offering's end may be noticed
_TIDY_EVERY = timedelta(seconds=5)  # what is left of deleted webhooks, and lost leases
_MEND_EVERY = timedelta(minutes=5)
_RETENTION_EVERY = timedelta(hours=1)
_SWEEP_EVERY = timedelta(hours=1)
_REST_SECONDS = 0.05  # between two steps, so that others get the database
_STOP_SECONDS = 1.0  # what the task at hand gets to come to an end
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Schedule:
    """Does what is due every second until stopped. `retention` of None keeps everything.

    `start_importing` is called while there are uploaded files to import; a process of its own does
    that, because it would fill the dispatcher's core for minutes. `own_run` is the run id of the
    dispatcher in this process.
    """

    def __init__(
        self,
        registrar: Registrar,
        retention: timedelta | None,
        start_importing: Callable[[], None] | None = None,
        *,
        own_run: str | None = None,
    ) -> None:
        self._registrar = registrar
        self._start_importing = start_importing
        self._own_run = own_run
        self._retention = retention
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedule", daemon=True)
        self._ticked_at = _LONG_AGO
        self._next_tidying = self._next_mending = _LONG_AGO
        self._next_sweep = self._next_retention = _LONG_AGO
        self._suspects: frozenset[str] = frozenset()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the task at hand is done, or at once when that would take long."""
        self._stop.set()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.tick(datetime.now(UTC))
            self._stop.wait(_TICK_SECONDS)

    def tick(self, now: datetime) -> None:
        """Do what is due at `now`. What goes wrong is logged, and keeps no other task from it."""
        if now < self._ticked_at:  # the clock was set back: nothing waits until it is there again
            self._make_all_due()
        self._ticked_at = now
        self._try(self._halt, now)
        self._try(self._import, now)
        if now >= self._next_tidying:
            self._next_tidying = now + _TIDY_EVERY
            self._try(self._cancel_of_deleted, now)
            self._try(self._recover_lost_leases, now)
        if now >= self._next_mending:
            self._next_mending = now + _MEND_EVERY
            self._try(self._mend_order, now)
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP_EVERY
            self._try(self._sweep, now)
        if self._retention is not None and now >= self._next_retention:
            self._next_retention = now + _RETENTION_EVERY
            self._try(self._forget, now - self._retention)

    def _make_all_due(self) -> None:
        self._next_tidying = self._next_mending = _LONG_AGO
        self._next_sweep = self._next_retention = _LONG_AGO

    def _try(self, task: Callable[[datetime], None], moment: datetime) -> None:
        try:
            task(moment)
        except CoursebellError as exc:
            _log.error("schedule.failed", task=task.__name__, problem=exc.message)
        except Exception:  # this thread must live on, whatever it is
            _log.exception("schedule.failed", task=task.__name__)

    def _import(self, now: datetime) -> None:
        if self._start_importing is not None and import_jobs.list_due(self._registrar, now):
            self._start_importing()

    def _halt(self, now: datetime) -> None:
        halted = gradebook.halt_ended_offerings(self._registrar, now)
        if halted:
            _log.info("schedule.halted", registrations=halted)

    def _cancel_of_deleted(self, now: datetime) -> None:
        self._go_through(upkeep.cancel_of_deleted(self._registrar, now))

    def _mend_order(self, now: datetime) -> None:
        self._go_through(upkeep.mend_order(self._registrar, now))

    def _recover_lost_leases(self, now: datetime) -> None:
        self._suspects = upkeep.recover_lost_leases(
            self._registrar, self._suspects, now, own_run=self._own_run
        )

    def _sweep(self, now: datetime) -> None:
        swept = import_jobs.sweep_uploads(self._registrar, now)
        if swept:
            _log.info("schedule.uploads_swept", files=swept)

    def _forget(self, before: datetime) -> None:
        self._go_through(upkeep.forget_history(self._registrar, before))

    def _go_through(self, steps: Iterator[int]) -> None:
        for _ in steps:
            if self._stop.wait(_REST_SECONDS):
                return
