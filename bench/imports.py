"""`import`: a million registrations from a CSV file by the command line, on both databases.

The command runs twice: the second time everything is there already and nothing may change.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from bench import machine
from bench.databases import KINDS, opened, settle, throw_away
from bench.processes import COURSEBELL, environment_of
from bench.report import Figure, table
from bench.schools import open_school
from coursebell.storage.tables import registrations

MEMORY_BUDGET = 300.0  # MB
_KB_IN_MB = 1024 if sys.platform == "linux" else 1024 * 1024  # units of ru_maxrss
_LEARNERS, _COURSES = 20_000, 50
_FIRST_DAY = date(2015, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    seconds: float
    cpu: float
    peak: float  # MB
    said: str


def measure(*, smoke: bool) -> list[Figure]:
    number, learners = (100, 10) if smoke else (1_000_000, _LEARNERS)
    kinds = ["sqlite"] if smoke else list(KINDS)
    print(*machine.describe(), sep="\n")
    print(f"\n{number} registrations of {learners} learners in {_COURSES} offerings, all ended\n")
    rows, figures = [], []
    with tempfile.TemporaryDirectory(prefix="coursebell-bench-") as folder:
        files = _write(Path(folder), number, learners)
        for kind in kinds:
            with throw_away(kind) as url:
                first, again = _import(url, files, number)
            for name, run in ((kind, first), (f"{kind}, again", again)):
                cells = (number / run.seconds, run.cpu / number * 1e6, run.peak)
                rows.append([name, f"{run.seconds:.0f}", *(f"{cell:,.0f}" for cell in cells)])
            figures += [
                Figure(name=f"{kind}-rows", value=number / first.seconds, unit="/s"),
                Figure(
                    name=f"{kind}-memory",
                    value=max(first.peak, again.peak),
                    budget=MEMORY_BUDGET,
                    unit="MB",
                ),
            ]
    head = ["", "seconds", "rows/s", "CPU of each row, us", "peak memory, MB"]
    print(table(head, rows))
    return figures


def _write(folder: Path, number: int, learners: int) -> dict[str, Path]:
    """The three tables, as another system would export them."""
    files = {name: folder / f"{name}.csv" for name in ("users", "offerings", "registrations")}
    with files["users"].open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("id", "E-mail", "First name", "Last name", "createdDate"))
        for each in range(learners):
            rows.writerow((f"u{each}", f"learner{each}@bench.example", "Nia", each, "2014-12-31"))
    with files["offerings"].open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("id", "title"))
        rows.writerows((f"o{each}", f"Course {each}") for each in range(_COURSES))
    with files["registrations"].open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("id", "E-mail", "Course", "Status", "Score", "Enrolled", "Completion date"))
        for each in range(number):
            learner, course = each % learners, each // learners % _COURSES
            began = _FIRST_DAY + timedelta(days=each % 3_000)
            score = each % 1_000 / 10
            rows.writerow(
                (
                    f"r{each}",
                    f"learner{learner}@bench.example",
                    f"Course {course}",
                    "passed" if score >= 70 else "failed",
                    score,
                    began,
                    began + timedelta(days=7),
                )
            )
    return files


def _import(url: str, files: dict[str, Path], number: int) -> tuple[Run, Run]:
    with opened(url) as database:
        open_school(database)
    for name in ("users", "offerings"):
        _command(url, name, files[name])
    settle(url)
    first = _command(url, "registrations", files["registrations"])
    settle(url)
    again = _command(url, "registrations", files["registrations"])
    _check(url, first, again, number)
    return first, again


def _command(url: str, name: str, file: Path) -> Run:
    """One run of the command, alone on the machine."""
    arguments = ["import", name, str(file), "--map", "id=externalKey"]
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*COURSEBELL, *arguments],
            env={**os.environ, **environment_of(url)},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        answer = said.read()
    if process.returncode:
        raise RuntimeError(f"the import of {name} failed: {answer[-2000:]}")
    return Run(
        seconds=seconds,
        cpu=used.ru_utime + used.ru_stime,
        peak=used.ru_maxrss / _KB_IN_MB,
        said=answer,
    )


def _check(url: str, first: Run, again: Run, number: int) -> None:
    with opened(url) as database, database.snapshot() as tx:
        stored = len(
            tx.execute(registrations.select().with_only_columns(registrations.c.key)).all()
        )
    if stored != number:
        raise RuntimeError(f"{stored} registrations are there instead of {number}")
    if f"{number} created" not in first.said or f"{number} unchanged" not in again.said:
        raise RuntimeError(f"not what it should have done: {first.said} {again.said}")
