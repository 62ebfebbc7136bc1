"""Imports that were uploaded: rows that wait, are worked on under a lease, and report."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Float, Row, and_, bindparam, func, insert, literal, not_, select, update

from coursebell.domain.imports import Done, ImportKind, ImportState, Problem
from coursebell.domain.lists import Page, Slice
from coursebell.domain.model import Actor, ActorKind, Role
from coursebell.storage.columns import Instant, is_exactly
from coursebell.storage.database import Transaction
from coursebell.storage.lists import slice_of
from coursebell.storage.prepared import insertion
from coursebell.storage.tables import import_problems, imports

_PENDING = is_exactly(imports.c.state, ImportState.PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An import that was uploaded, and how far it is."""

    id: str
    actor: Actor
    kind: ImportKind
    state: ImportState
    mapping: Mapping[str, str]
    is_dry_run: bool
    sends_events: bool
    size: int  # bytes of the file
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    end: int  # the place in the file that is reached
    line: int
    counts: Mapping[Done, int]
    rejected: int
    ignored: Sequence[str]  # headers that mean nothing
    problem: str | None  # why it failed as a whole

    @property
    def read(self) -> int:
        """Lines with something in them, the header left out."""
        return sum(self.counts.values()) + self.rejected


def insert_job(tx: Transaction, job: Job) -> None:
    tx.execute(
        insert(imports).values(
            id=job.id,
            organization_id=job.actor.organization_id,
            kind=job.kind,
            state=job.state,
            mapping=dict(job.mapping),
            is_dry_run=job.is_dry_run,
            sends_events=job.sends_events,
            user_id=job.actor.user_id,
            token_id=job.actor.token_id,
            size=job.size,
            created_at=job.created_at,
            due_at=tx.clock(job.created_at),
            end_byte=job.end,
            end_line=job.line,
            created=0,
            updated=0,
            unchanged=0,
            rejected=0,
            ignored=list(job.ignored),
        )
    )


def list_due(tx: Transaction, now: datetime) -> list[str]:
    """The ids of those that nobody works on, of all organizations, oldest first."""
    query = select(imports.c.id).where(_PENDING, imports.c.due_at <= tx.clock(now))
    return list(tx.execute(query.order_by(imports.c.key)).scalars())


def list_over(tx: Transaction, ids: Collection[str]) -> list[str]:
    """Those of `ids` whose imports are finished, failed or cancelled."""
    query = select(imports.c.id).where(imports.c.id.in_(ids), not_(_PENDING))
    return list(tx.execute(query).scalars())


def claim_job(
    tx: Transaction, job_id: str, lease: str, lease_seconds: float, now: datetime
) -> Job | None:
    """The job, which is the caller's until the lease ends; None when it is somebody else's."""
    statement = (
        update(imports)
        .where(imports.c.id == job_id, _PENDING, imports.c.due_at <= tx.clock(now))
        .values(
            lease=lease,
            due_at=tx.later(now, literal(lease_seconds, Float())),
            started_at=func.coalesce(imports.c.started_at, literal(now, Instant())),
        )
    )
    if not tx.execute(statement).rowcount:
        return None
    return _job(tx.execute(select(imports).where(imports.c.id == job_id)).one())


def advance_job(
    tx: Transaction,
    job: Job,
    lease: str,
    lease_seconds: float,
    now: datetime,
) -> bool:
    """Write how far it is, and hold it on; whether the lease still stood."""
    statement = (
        update(imports)
        .where(imports.c.id == job.id, imports.c.lease == lease, _PENDING)
        .values(
            end_byte=job.end,
            end_line=job.line,
            rejected=job.rejected,
            due_at=tx.later(now, literal(lease_seconds, Float())),
            **{done.value: job.counts.get(done, 0) for done in Done},
        )
    )
    return bool(tx.execute(statement).rowcount)


def finish_job(
    tx: Transaction,
    job_id: str,
    lease: str,
    state: ImportState,
    now: datetime,
    problem: str | None = None,
) -> None:
    """Nobody works on it any more, nor will."""
    tx.execute(
        update(imports)
        .where(imports.c.id == job_id, imports.c.lease == lease, _PENDING)
        .values(state=state, lease=None, finished_at=now, problem=problem)
    )


def release_job(tx: Transaction, job_id: str, lease: str, now: datetime) -> None:
    """Somebody else may go on with it at once."""
    tx.execute(
        update(imports)
        .where(imports.c.id == job_id, imports.c.lease == lease, _PENDING)
        .values(lease=None, due_at=tx.clock(now))
    )


def cancel_job(tx: Transaction, organization_id: str, job_id: str, now: datetime) -> bool:
    """Whether it was not finished; who works on it notices at its next step."""
    statement = (
        update(imports)
        .where(imports.c.organization_id == organization_id, imports.c.id == job_id, _PENDING)
        .values(state=ImportState.CANCELLED, lease=None, finished_at=now)
    )
    return bool(tx.execute(statement).rowcount)


def find_job(tx: Transaction, organization_id: str, job_id: str) -> Job | None:
    query = select(imports).where(
        imports.c.organization_id == organization_id, imports.c.id == job_id
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else _job(row)


def list_jobs(tx: Transaction, organization_id: str, page: Page) -> Slice[Job]:
    """Newest first."""
    query = select(imports).where(imports.c.organization_id == organization_id)
    return slice_of(tx, query.order_by(imports.c.key.desc()), page, _job)


def insert_problems(
    tx: Transaction, organization_id: str, job_id: str, problems: Sequence[Problem]
) -> None:
    rows = [(each.line, each.column, each.rule) for each in problems]
    _INSERT_PROBLEMS.run(tx, rows, organization_id=organization_id, import_id=job_id)


_INSERT_PROBLEMS = insertion(
    import_problems,
    "line",
    "column",
    "rule",
    organization_id=bindparam("organization_id", type_=imports.c.organization_id.type),
    import_id=bindparam("import_id", type_=imports.c.id.type),
)


def list_problems(tx: Transaction, organization_id: str, job_id: str, page: Page) -> Slice[Problem]:
    """In the order of the lines."""
    query = (
        select(import_problems)
        .where(
            and_(
                import_problems.c.organization_id == organization_id,
                import_problems.c.import_id == job_id,
            )
        )
        .order_by(import_problems.c.line, import_problems.c.key)
    )
    return slice_of(tx, query, page, _problem)


def _problem(row: Row[Any]) -> Problem:
    return Problem(line=row.line, column=row.column, rule=row.rule)


def _job(row: Row[Any]) -> Job:
    actor = Actor(
        organization_id=row.organization_id,
        role=Role.ADMIN,
        kind=ActorKind.IMPORT,
        user_id=row.user_id,
        token_id=row.token_id,
    )
    return Job(
        id=row.id,
        actor=actor,
        kind=ImportKind(row.kind),
        state=ImportState(row.state),
        mapping=row.mapping,
        is_dry_run=row.is_dry_run,
        sends_events=row.sends_events,
        size=row.size,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        end=row.end_byte,
        line=row.end_line,
        counts={
            Done.CREATED: row.created,
            Done.UPDATED: row.updated,
            Done.UNCHANGED: row.unchanged,
        },
        rejected=row.rejected,
        ignored=row.ignored,
        problem=row.problem,
    )
