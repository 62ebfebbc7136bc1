"""Imports: CSV files that are uploaded, and become users, offerings or registrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.imports import Done, ImportKind, ImportState, Problem
from coursebell.errors import InvalidInputError
from coursebell.services import import_jobs
from coursebell.services.import_jobs import Report
from coursebell.services.imports import Plan
from coursebell.storage.imports import Job
from coursebell.web import paging
from coursebell.web.answers import begun, done, listed, shown
from coursebell.web.auth import Admin
from coursebell.web.documents import Absent, Document, Id, Instant, ListDocument, Strings
from coursebell.web.fields import ListQuery, Member, PathId, Switch, TextFilter
from coursebell.web.openapi import BODY, CONFLICT, UNKNOWN, accepts_table, accomplishes, shows
from coursebell.web.routes import ApiRoute
from coursebell.web.tables import receive_table, require_table

router = APIRouter(prefix="/api/v5/imports", route_class=ApiRoute, tags=["imports"])


class ImportQuery(BaseModel):
    """How a table is to be read, and what is to be done with it."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    map: list[TextFilter] = Field(
        default_factory=list,
        description="`HEADER=COLUMN`: what a header of the table means. Repeatable.",
    )
    dry_run: Annotated[bool | None, Switch()] = Field(
        None, description="Check every line and change nothing."
    )
    send_events: Annotated[bool | None, Switch()] = Field(
        None, description="Tell webhooks, as if it happened now."
    )


class ImportProblem(Document):
    """What is wrong with a line."""

    line: int = Field(description="The header is line 1.")
    column: str | Absent = Field(None, description="Absent: the line as a whole.")
    rule: str


class ImportDocument(Document):
    """A file that was uploaded, and how far its import is."""

    id: Id
    kind: ImportKind
    state: ImportState
    dry_run: bool
    send_events: bool
    map: Mapping[str, str]
    created_date: Instant
    started_date: Instant | Absent = None
    finished_date: Instant | Absent = None
    size: int = Field(description="Bytes of the file.")
    done: int = Field(description="Bytes of it that are dealt with.")
    read: int = Field(description="Lines.")
    created: int
    updated: int
    unchanged: int
    rejected: int
    ignored_columns: Strings = Field(description="Headers that mean nothing here.")
    problem: str | Absent = Field(None, description="Why it failed as a whole.")


class ImportReport(ImportDocument):
    """An import with the first ten of its bad lines' errors, and where all of them are."""

    errors: Sequence[ImportProblem]
    errors_link: str


@router.get("", **shows(ListDocument[ImportDocument]))
async def list_imports(
    request: Request, caller: Admin, query: Annotated[ListQuery, Query()]
) -> Response:
    """Imports, newest first."""
    found = await caller.run(import_jobs.list_imports, query.page)
    return listed(request, query.page, found, _document)


@router.post("/{kind}", **accepts_table(ImportDocument, *UNKNOWN, *BODY))
async def start_import(
    kind: Annotated[ImportKind, Member(ImportKind)],
    request: Request,
    caller: Admin,
    query: Annotated[ImportQuery, Query()],
) -> Response:
    """Upload a CSV file, up to 512 MB, to be imported: `users`, `offerings` or `registrations`."""
    plan = Plan(
        kind=ImportKind(kind),
        mapping=_mapping(query.map),
        is_dry_run=query.dry_run or False,
        sends_events=query.send_events or False,
    )
    require_table(request)
    job_id = import_jobs.new_job_id()
    with import_jobs.upload(caller.registrar, job_id) as stream:
        await receive_table(request, stream)
    job = await caller.run(import_jobs.ask_for_import, job_id, plan, caller.now)
    return begun(request, "imports", job.id, _document(job))


@router.get("/{import_id}", **shows(ImportReport, *UNKNOWN))
async def get_import(import_id: PathId, request: Request, caller: Admin) -> Response:
    """How far an import is, and the first of what is wrong with the file."""
    return shown(_report(request, await caller.run(import_jobs.get_import, import_id)))


@router.get("/{import_id}/errors", **shows(ListDocument[ImportProblem], *UNKNOWN))
async def list_import_errors(
    import_id: PathId,
    request: Request,
    caller: Admin,
    query: Annotated[ListQuery, Query()],
) -> Response:
    """Everything that is wrong with the file, in the order of its lines."""
    found = await caller.run(import_jobs.list_problems, import_id, query.page)
    return listed(request, query.page, found, _problem)


@router.delete("/{import_id}", **accomplishes(*UNKNOWN, *CONFLICT))
async def cancel_import(import_id: PathId, caller: Admin) -> Response:
    """Import no more of it; what was imported stays. 409 when it is finished."""
    await caller.run(import_jobs.cancel_import, import_id, caller.now)
    return done()


def _mapping(pairs: Sequence[str | None]) -> dict[str, str]:
    mapping = {}
    for pair in pairs:
        if pair is None:
            continue
        head, sign, name = pair.rpartition("=")
        if not (sign and head and name):
            raise InvalidInputError(field_errors={"map": "Must be HEADER=COLUMN."})
        mapping[head] = name.strip()
    return mapping


def _document(job: Job) -> ImportDocument:
    return ImportDocument(
        id=job.id,
        kind=job.kind,
        state=job.state,
        dry_run=job.is_dry_run,
        send_events=job.sends_events,
        map=job.mapping,
        created_date=job.created_at,
        started_date=job.started_at,
        finished_date=job.finished_at,
        size=job.size,
        done=job.end,
        read=job.read,
        created=job.counts.get(Done.CREATED, 0),
        updated=job.counts.get(Done.UPDATED, 0),
        unchanged=job.counts.get(Done.UNCHANGED, 0),
        rejected=job.rejected,
        ignored_columns=tuple(job.ignored),
        problem=job.problem,
    )


def _report(request: Request, report: Report) -> ImportReport:
    address = f"/imports/{report.job.id}/errors"
    return ImportReport(
        **dict(_document(report.job)),
        errors=[_problem(each) for each in report.problems.items],
        errors_link=paging.address_of(request.scope, address),
    )


def _problem(problem: Problem) -> ImportProblem:
    return ImportProblem(line=problem.line, column=problem.column, rule=problem.rule)
