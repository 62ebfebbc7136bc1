"""`idle`: what `coursebell serve` uses of a core when nothing happens, all its processes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench import machine
from bench.databases import POSTGRES, opened, throw_away
from bench.machine import cpu_seconds, family
from bench.processes import COURSEBELL, environment_of, running
from bench.report import Figure, table
from bench.schools import open_school
from bench.start import wait_until_answered

KINDS = ("sqlite", "postgres")
BUDGET = 1.0  # percent of a core
_NOWHERE = "http://127.0.0.1:9/"


def measure(*, smoke: bool) -> list[Figure]:
    settling, seconds = (0.5, 1.5) if smoke else (8.0, 60.0)
    print(*machine.describe(POSTGRES), sep="\n")
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(_server(kind)) for kind in KINDS}
        for process, log in servers.values():
            wait_until_answered(process, log)
        time.sleep(settling)
        families = {kind: family(process.pid) for kind, (process, _) in servers.items()}
        before = {kind: cpu_seconds(pids) for kind, pids in families.items()}
        time.sleep(seconds)
        used = {kind: cpu_seconds(pids) - before[kind] for kind, pids in families.items()}
    shares = {kind: used[kind] / seconds * 100 for kind in KINDS}
    rows = [[kind, f"{shares[kind]:.3f}", f"{len(families[kind])}"] for kind in KINDS]
    print(f"\n`coursebell serve` with one webhook, {seconds:g} s without a request\n")
    print(table(["", "% of a core", "processes"], rows))
    return [Figure(name="cpu", value=max(shares.values()), budget=BUDGET, unit="%")]


@contextmanager
def _server(kind: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with throw_away(kind) as url:
        with opened(url) as database:
            open_school(database).connect(_NOWHERE)
        command = [*COURSEBELL, "serve", "--port", "0"]
        with running(command, None, environment=environment_of(url)) as server:
            yield server
