"""Imports that were uploaded through the API: asking for one, working on it, its report.

The file lies in the upload directory until the import is finished. Whoever sees the file may claim
the import; what a step imports is committed together with the place in the file that it reaches, so
another worker goes on exactly there when this one dies.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from coursebell.domain.imports import ImportState, Problem
from coursebell.domain.lists import Page, Slice
from coursebell.domain.model import Actor, ActorKind, Role, new_id
from coursebell.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from coursebell.logs import logger
from coursebell.services.imports import Import, Plan, Step
from coursebell.services.registrar import Registrar
from coursebell.storage import audit, imports
from coursebell.storage.database import Transaction
from coursebell.storage.imports import Job

_log = logger(__name__)

LEASE_SECONDS = 60.0  # a step takes a second at most; held on by each
_ARRIVING_FOR = timedelta(days=1)  # longer than any upload takes
_SHOWN = 10  # problems beside the import itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How far an import is, and the first of what is wrong with the file."""

    job: Job
    problems: Slice[Problem]


@contextmanager
def upload(registrar: Registrar, job_id: str) -> Iterator[BinaryIO]:
    """The file to write what comes; it is kept under its name once all of it has come."""
    directory = registrar.upload_directory
    arriving = directory / f"{job_id}.arriving"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with arriving.open("xb") as stream:
            yield stream
            stream.flush()
        arriving.replace(directory / f"{job_id}.csv")
    except OSError as exc:
        raise UnavailableError(f"The upload cannot be kept in {directory}: {exc.strerror}") from exc
    finally:
        with suppress(OSError):  # it has its name by now, or could not be made
            arriving.unlink()


def ask_for_import(
    registrar: Registrar, actor: Actor, job_id: str, plan: Plan, now: datetime
) -> Job:
    """Let an uploaded file be imported. Raises `InvalidInputError` where its header does not do."""
    actor.require(Role.ADMIN)
    file = _file(registrar, job_id)
    try:
        with file.open("rb") as stream:
            checked = Import(registrar, actor, plan, stream)
    except InvalidInputError:
        file.unlink(missing_ok=True)
        raise
    job = Job(
        id=job_id,
        actor=actor,
        kind=plan.kind,
        state=ImportState.PENDING,
        mapping=plan.mapping,
        is_dry_run=plan.is_dry_run,
        sends_events=plan.sends_events,
        size=file.stat().st_size,
        created_at=now,
        started_at=None,
        finished_at=None,
        end=0,
        line=0,
        counts={},
        rejected=0,
        ignored=checked.layout.ignored,
        problem=None,
    )
    change = audit.Change(
        actor=actor,
        action="import.create",
        subject="import",
        subject_id=job_id,
        after={"kind": plan.kind, "dry_run": plan.is_dry_run, "send_events": plan.sends_events},
    )
    with registrar.database.transaction() as tx:
        imports.insert_job(tx, job)
        audit.insert_changes(tx, [change], now)
    return job


def get_import(registrar: Registrar, actor: Actor, job_id: str) -> Report:
    """Raises `NotFoundError`."""
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        job = _found(imports.find_job(tx, actor.organization_id, job_id))
        problems = imports.list_problems(tx, actor.organization_id, job_id, Page(limit=_SHOWN))
    return Report(job=job, problems=problems)


def list_imports(registrar: Registrar, actor: Actor, page: Page) -> Slice[Job]:
    """Newest first."""
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        return imports.list_jobs(tx, actor.organization_id, page)


def list_problems(registrar: Registrar, actor: Actor, job_id: str, page: Page) -> Slice[Problem]:
    """All that is wrong with the file, line by line. Raises `NotFoundError`."""
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        _found(imports.find_job(tx, actor.organization_id, job_id))
        return imports.list_problems(tx, actor.organization_id, job_id, page)


def cancel_import(registrar: Registrar, actor: Actor, job_id: str, now: datetime) -> None:
    """Import no more of it; what was imported stays. Raises `NotFoundError`, `ConflictError`."""
    actor.require(Role.ADMIN)
    change = audit.Change(actor=actor, action="import.cancel", subject="import", subject_id=job_id)
    with registrar.database.transaction() as tx:
        job = _found(imports.find_job(tx, actor.organization_id, job_id))
        if not imports.cancel_job(tx, actor.organization_id, job_id, now):
            raise ConflictError(f"The import is {job.state}.")
        audit.insert_changes(tx, [change], now)
    _file(registrar, job_id).unlink(missing_ok=True)


def list_due(registrar: Registrar, now: datetime) -> list[str]:
    """The imports that nobody works on and whose files are here, oldest first."""
    with registrar.database.snapshot() as tx:
        due = imports.list_due(tx, now)
    return [job_id for job_id in due if _file(registrar, job_id).is_file()]


def sweep_uploads(registrar: Registrar, now: datetime) -> int:
    """Delete what processes that died left in the upload directory; it may be about people.

    That is an upload that stopped arriving a day ago, and the file of an import that is over. A
    file that this database knows nothing of may be another's and stays. Returns how many.
    """
    directory = registrar.upload_directory
    stopped = [path for path in directory.glob("*.arriving") if _age(path, now) > _ARRIVING_FOR]
    files = {path.stem: path for path in directory.glob("*.csv")}
    with registrar.database.snapshot() as tx:
        over = imports.list_over(tx, list(files))
    swept = [*stopped, *(files[job_id] for job_id in over)]
    for path in swept:
        path.unlink(missing_ok=True)
    return len(swept)


def _age(path: Path, now: datetime) -> timedelta:
    """How long ago it was written to; none at all when it is gone meanwhile."""
    try:
        return now - datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return timedelta()


def work_on(
    registrar: Registrar,
    job_id: str,
    clock: Callable[[], datetime],
    keeps_on: Callable[[float], bool],
) -> None:
    """Import the file, step by step, until it is finished, was taken away, or is to be left.

    `keeps_on` is told how long a step took; it may wait, and says whether there is to be another.
    """
    lease = secrets.token_hex(16)
    with registrar.database.transaction() as tx:
        job = imports.claim_job(tx, job_id, lease, LEASE_SECONDS, clock())
    if job is None:
        return
    work = _Work(registrar, job, lease, clock)
    try:
        finished = work.run(keeps_on)
    except InvalidInputError as exc:
        work.finish(ImportState.FAILED, exc.message)
    except _LostError:
        _log.info("import.lost", import_id=job_id)
    else:
        work.finish(ImportState.DONE) if finished else work.release()


class _LostError(Exception):
    """Somebody else works on it by now, or it was cancelled."""


class _Work:
    """A claimed import."""

    def __init__(
        self, registrar: Registrar, job: Job, lease: str, clock: Callable[[], datetime]
    ) -> None:
        self._registrar = registrar
        self._job = job
        self._lease = lease
        self._clock = clock

    def run(self, keeps_on: Callable[[float], bool]) -> bool:
        """Whether it came to the end of the file."""
        job = self._job
        plan = Plan(
            kind=job.kind,
            mapping=job.mapping,
            is_dry_run=job.is_dry_run,
            sends_events=job.sends_events,
        )
        actor = replace(job.actor, kind=ActorKind.IMPORT)
        with _file(self._registrar, job.id).open("rb") as stream:
            running = Import(self._registrar, actor, plan, stream)
            steps = running.steps(self._clock, end=job.end, line=job.line, record=self._record)
            began = self._clock()
            for step in steps:
                self._job = _advanced(self._job, step)
                if not keeps_on((self._clock() - began).total_seconds()):
                    return False
                began = self._clock()
        return True

    def finish(self, state: ImportState, problem: str | None = None) -> None:
        with self._registrar.database.transaction() as tx:
            imports.finish_job(tx, self._job.id, self._lease, state, self._clock(), problem)
        _file(self._registrar, self._job.id).unlink(missing_ok=True)
        _log.info(
            "import.finished",
            import_id=self._job.id,
            kind=self._job.kind.value,
            state=state.value,
            read=self._job.read,
            rejected=self._job.rejected,
        )

    def release(self) -> None:
        with self._registrar.database.transaction() as tx:
            imports.release_job(tx, self._job.id, self._lease, self._clock())

    def _record(self, tx: Transaction, step: Step) -> None:
        job = _advanced(self._job, step)
        if not imports.advance_job(tx, job, self._lease, LEASE_SECONDS, self._clock()):
            raise _LostError
        imports.insert_problems(tx, job.actor.organization_id, job.id, step.problems)


def _advanced(job: Job, step: Step) -> Job:
    counts = {done: job.counts.get(done, 0) + step.counts.get(done, 0) for done in job.counts}
    return replace(
        job, end=step.end, line=step.line, counts=counts, rejected=job.rejected + step.rejected
    )


def new_job_id() -> str:
    """Known before the file comes, which is named by it."""
    return new_id()


def _file(registrar: Registrar, job_id: str) -> Path:
    return registrar.upload_directory / f"{job_id}.csv"


def _found(job: Job | None) -> Job:
    if job is None:
        raise NotFoundError
    return job
