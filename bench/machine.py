"""The machine: which cores there are, what is installed, and how much CPU a process has used."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pycurl

CORES = tuple(sorted(os.sched_getaffinity(0)))
MEASURED_CORE = CORES[0]  # where what is measured runs
OTHER_CORE = CORES[-1]  # where its counterpart runs


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes started in here run on `core` only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def describe(postgres_url: str | None = None) -> list[str]:
    """Lines that say what a figure depends on."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    versions = [
        f"Python {platform.python_version()}",
        pycurl.version.split()[1],
        f"SQLite {sqlite3.sqlite_version}",
        *_postgres(postgres_url),
    ]
    lines = [
        f"machine   {_processor()}, {len(CORES)} cores, load {load} at the start",
        f"software  {', '.join(versions)}",
    ]
    if MEASURED_CORE == OTHER_CORE:
        lines.append("warning   one core only: what is measured shares it with its counterpart")
    return lines


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _postgres(url: str | None) -> list[str]:
    if url is None:
        return []
    with psycopg.connect(url) as connection:
        return [f"PostgreSQL {connection.info.server_version // 10_000}"]


def cpu_seconds(pids: Iterable[int]) -> float:
    """What the living threads of these processes have used so far, to the nanosecond."""
    return sum(_on_cpu(path) for pid in pids for path in Path("/proc").glob(f"{pid}/task/*")) / 1e9


def _on_cpu(thread: Path) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        return int((thread / "schedstat").read_text().split()[0])
    return 0


def family(pid: int) -> list[int]:
    """The process and its children, and theirs."""
    found = [pid]
    for each in found:
        with suppress(FileNotFoundError, ProcessLookupError):
            children = Path(f"/proc/{each}/task/{each}/children").read_text().split()
            found.extend(int(child) for child in children)
    return found


def memory_mb(pid: int) -> tuple[float, float]:
    """What the process holds alone, and what others of its program may hold with it."""
    held: defaultdict[str, int] = defaultdict(int)
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        kind, *words = line.split()
        if kind.startswith(("Private_", "Shared_")):
            held[kind.partition("_")[0]] += int(words[0]) * 1_024
    return held["Private"] / 1e6, held["Shared"] / 1e6


def role_of(pid: int) -> str:
    """The command that a process of the product runs: `serve`, `api` or `dispatch`."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return words[words.index("coursebell") + 1]
