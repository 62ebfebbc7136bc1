"""`start`: from starting `coursebell serve` to its first answer, beside a bare FastAPI app."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench import machine
from bench.databases import opened, throw_away
from bench.processes import COURSEBELL, environment_of, running
from bench.report import Figure, spread, table
from bench.schools import open_school

BUDGET = 3.0
_PATIENCE = 60.0  # seconds until a server answers even on a busy machine
_POLL = 0.002


def measure(*, smoke: bool) -> list[Figure]:
    rounds = 1 if smoke else 7
    print(*machine.describe(), sep="\n")
    bare, ours = [], []
    with throw_away("sqlite") as url:
        with opened(url) as database:
            open_school(database)
        environment = environment_of(url)
        for _ in range(rounds):
            bare.append(_seconds([sys.executable, "-m", "bench.children.plain"], environment))
            ours.append(_seconds([*COURSEBELL, "serve", "--port"], environment))
    ratio = median(a / b for a, b in zip(ours, bare, strict=True))
    print(f"\n{rounds} rounds, interleaved; from the start to the answer of GET /healthz\n")
    rows = [
        ["bare FastAPI app, same imports", *_figures(bare), "1"],
        ["coursebell serve", *_figures(ours), f"{ratio:.2f}"],
    ]
    print(table(["", "s", "rounds", "ratio"], rows))
    return [Figure(name="ratio", value=ratio, budget=BUDGET)]


def wait_until_answered(process: subprocess.Popen[str], log: str) -> int:
    """The port of the server that says its address in `log`, once it answers."""
    while not (said := re.search(r"http://127\.0\.0\.1:(\d+)", Path(log).read_text())):
        if process.poll() is not None:
            raise RuntimeError("the server did not start")
        time.sleep(0.05)
    port = int(said[1])
    _answer(port)
    return port


def _seconds(command: Sequence[str], environment: dict[str, str]) -> float:
    port = _free_port()
    start = time.perf_counter()
    with running([*command, str(port)], None, environment=environment):
        _answer(port)
        return time.perf_counter() - start


def _answer(port: int) -> None:
    """Ask as soon as somebody listens, and wait for the answer."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except (ConnectionError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise
        finally:
            connection.close()
        time.sleep(_POLL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _figures(seconds: Sequence[float]) -> tuple[str, str]:
    return f"{median(seconds):.2f}", spread(seconds, 2)
