"""`coursebell import`: users, offerings and registrations from CSV files."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, BinaryIO, Protocol, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from coursebell.cli.context import clock, invocation_of
from coursebell.cli.output import answer, say
from coursebell.domain.imports import Done, ImportKind, Problem
from coursebell.domain.model import ActorKind
from coursebell.errors import InvalidInputError
from coursebell.services.imports import REST, Import, Plan, Step

app = typer.Typer(no_args_is_help=False, help="Bring in users, offerings and registrations.")

_SHOWN = 10  # problems, and kinds of problems, on the screen

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A CSV file in UTF-8."),
]
Mapping = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="HEADER=COLUMN",
        help="What a header of the file means; repeat it for several.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check every line and change nothing.")]
SendEvents = Annotated[
    bool, typer.Option("--send-events", help="Tell webhooks as if it happened now.")
]
Errors = Annotated[
    Path | None,
    typer.Option(
        "--errors", metavar="FILE", dir_okay=False, help="Write every bad line there, as CSV."
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the counts and every bad line as a JSON object.")
]


@app.command("users")
def users(
    context: typer.Context,
    *,
    file: File,
    mapping: Mapping = None,
    dry_run: DryRun = False,
    send_events: SendEvents = False,
    errors: Errors = None,
    as_json: AsJson = False,
) -> None:
    """Import users. Importing a file again changes nothing.

    Columns: externalKey, email, firstName, lastName, username, locale, tags, role, createdDate.

    Look first, then do it:

    `coursebell import users people.csv --map "E-mail=email" --dry-run`

    `coursebell import users people.csv --map "E-mail=email"`
    """
    plan = _plan(ImportKind.USERS, mapping, dry_run=dry_run, send_events=send_events)
    _run(context, file, plan, errors, as_json=as_json)


@app.command("offerings")
def offerings(
    context: typer.Context,
    *,
    file: File,
    mapping: Mapping = None,
    dry_run: DryRun = False,
    send_events: SendEvents = False,
    errors: Errors = None,
    as_json: AsJson = False,
) -> None:
    """Import offerings; courses that they name and that are missing are made.

    Columns: externalKey, title, course or courseId, beginDate, endDate, registrationBeginDate,
    registrationEndDate, catalogDescription, dashboardDescription, deliveryDescription, price, tags,
    orderIndex, passingGrade, moveOn, requireEveryElementPassed, retakes, createdDate.

    For example:

    `coursebell import offerings catalogue.csv --map "Course name=title"`
    """
    plan = _plan(ImportKind.OFFERINGS, mapping, dry_run=dry_run, send_events=send_events)
    _run(context, file, plan, errors, as_json=as_json)


@app.command("registrations")
def registrations(
    context: typer.Context,
    *,
    file: File,
    mapping: Mapping = None,
    dry_run: DryRun = False,
    send_events: SendEvents = False,
    errors: Errors = None,
    as_json: AsJson = False,
) -> None:
    """Import registrations: past completions with their own dates, and active ones.

    Columns: externalKey; userId, userKey, email or username; offeringId, offeringKey or offering;
    status, passed, grade, graderComment, createdDate, beginDate, lastActiveDate, endDate.

    Webhooks are told nothing unless `--send-events` is given; a backfill can tell them later.

    For example:

    `coursebell import registrations history.csv --errors bad-lines.csv`
    """
    plan = _plan(ImportKind.REGISTRATIONS, mapping, dry_run=dry_run, send_events=send_events)
    _run(context, file, plan, errors, as_json=as_json)


def _plan(kind: ImportKind, mapping: list[str] | None, *, dry_run: bool, send_events: bool) -> Plan:
    pairs = {}
    for given in mapping or []:
        head, sign, name = given.rpartition("=")
        if not sign or not head or not name:
            raise InvalidInputError([f'--map needs HEADER=COLUMN, such as "E-mail=email": {given}'])
        pairs[head] = name.strip()
    return Plan(kind=kind, mapping=pairs, is_dry_run=dry_run, sends_events=send_events)


@dataclass(slots=True)
class _Tally:
    counts: Counter[Done] = field(default_factory=Counter)
    rejected: int = 0
    first: list[Problem] = field(default_factory=list)
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, step: Step) -> None:
        self.counts.update(step.counts)
        self.rejected += step.rejected
        self.first += step.problems[: _SHOWN - len(self.first)]
        self.rules.update((problem.column or "line", problem.rule) for problem in step.problems)
        if len(self.rules) > 10 * _SHOWN:  # rules that quote the line would grow without end
            self.rules = Counter(dict(self.rules.most_common(_SHOWN)))

    def as_row(self) -> dict[str, int]:
        read = self.counts.total() + self.rejected
        done = {each.value: self.counts[each] for each in Done}
        return {"read": read, **done, "rejected": self.rejected}


class _Report(Protocol):
    """Where every bad line goes, as it is found."""

    def add(self, problem: Problem) -> None: ...


def _run(
    context: typer.Context, file: Path, plan: Plan, errors: Path | None, *, as_json: bool
) -> None:
    tally = _Tally()
    with ExitStack() as stack:
        registrar, operator = stack.enter_context(invocation_of(context).office())
        stream = stack.enter_context(file.open("rb"))
        actor = replace(operator, kind=ActorKind.IMPORT)
        running = Import(registrar, actor, plan, stream)
        _tell_layout(running)
        reports: list[_Report] = []
        if errors is not None:
            reports.append(_AsCsv(stack.enter_context(errors.open("w", newline=""))))
        if as_json:
            reports.append(stack.enter_context(_as_json(tally)))
        rest = 0.0 if registrar.database.is_postgres else REST
        for step in _watched(running.steps(clock), stream, file.stat().st_size, rest):
            tally.add(step)
            for report in reports:
                for problem in step.problems:
                    report.add(problem)
    _tell(tally, plan, errors, as_json=as_json)
    if tally.rejected:
        raise typer.Exit(1)


def _tell_layout(running: Import) -> None:
    if running.layout.ignored:
        say(f"Columns that mean nothing here: {', '.join(running.layout.ignored)}")


def _watched(steps: Iterator[Step], stream: BinaryIO, size: int, rest: float) -> Iterator[Step]:
    """The steps, with a bar on stderr while they are taken, and a rest after each."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.fields[lines]} lines"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=size, lines=0)
        started = time.monotonic()
        for step in steps:
            bar.update(task, completed=step.end, lines=step.line)
            yield step
            time.sleep(rest * (time.monotonic() - started))
            started = time.monotonic()


class _AsCsv:
    def __init__(self, stream: TextIO) -> None:
        self._writer = csv.writer(stream)
        self._writer.writerow(("line", "column", "rule"))

    def add(self, problem: Problem) -> None:
        self._writer.writerow((problem.line, problem.column or "", problem.rule))


class _AsJsonArray:
    def __init__(self) -> None:
        self._is_first = True

    def add(self, problem: Problem) -> None:
        row = {"line": problem.line, "column": problem.column, "rule": problem.rule}
        sys.stdout.write("\n " if self._is_first else ",\n ")
        sys.stdout.write(json.dumps(row, ensure_ascii=False))
        self._is_first = False


@contextmanager
def _as_json(tally: _Tally) -> Iterator[_AsJsonArray]:
    """Writes `{"errors": [...], "read": ...}` as it goes, however many errors there are."""
    sys.stdout.write('{"errors": [')
    yield _AsJsonArray()
    sys.stdout.write(f"],\n {json.dumps(tally.as_row())[1:]}\n")


def _tell(tally: _Tally, plan: Plan, errors: Path | None, *, as_json: bool) -> None:
    row = tally.as_row()
    if not as_json:
        answer(", ".join(f"{count} {name}" for name, count in row.items()))
    for problem in tally.first:
        say(f"line {problem.line}, {problem.column or 'the line'}: {problem.rule}")
    if tally.rejected:
        _tell_rules(tally, errors)
    if plan.is_dry_run:
        say("Nothing was changed: this was a dry run. Without --dry-run it is done.")
    elif tally.rejected:
        say("The other lines were imported. Correct these and import the file again.")


def _tell_rules(tally: _Tally, errors: Path | None) -> None:
    if tally.rules.total() <= len(tally.first):
        return
    say(f"{tally.rejected} lines are bad; most often:")
    for (column, rule), count in tally.rules.most_common(_SHOWN):
        say(f"  {count} times {column}: {rule}")
    where = f"All of them are in {errors}." if errors else "To see all of them: --errors FILE"
    say(where)
