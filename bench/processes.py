"""Starting what is measured and its counterpart, each on a core of its own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.databases import SECRET_KEY
from bench.machine import on_core
from bench.schools import ALLOWED, PUBLIC_URL

COURSEBELL = (sys.executable, "-m", "coursebell")
_SILENCE = 240.0  # seconds; none of what children do takes so long
_PATIENCE = 30  # seconds in which a process ends that was told to


class Child:
    """A process of `bench.children`: it was given one JSON document and says others."""

    def __init__(self, process: subprocess.Popen[str], log: str) -> None:
        self.process = process
        self._log = log
        self.first: Any = None  # what it said when it was ready

    def say(self) -> Any:
        """The next document that it says.

        Raises `RuntimeError` when it died, with its log, and when it says nothing for minutes.
        """
        assert self.process.stdout is not None  # noqa: S101 - opened as a pipe
        if not select.select([self.process.stdout], [], [], _SILENCE)[0]:
            raise RuntimeError(f"a child says nothing: {self.process.args!r}")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a child ended early: {Path(self._log).read_text()[-2000:]}")
        return json.loads(line)

    def ask(self, document: Any = None) -> Any:
        """What it says to `document`."""
        self.tell(document)
        return self.say()

    def tell(self, document: Any = None) -> None:
        assert self.process.stdin is not None  # noqa: S101 - opened as a pipe
        self.process.stdin.write(json.dumps(document) + "\n")
        self.process.stdin.flush()


@contextmanager
def child(
    role: str, core: int, given: Any = None, *, environment: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """A process that runs `bench.children.<role>`; told to end, at the end, by SIGTERM."""
    command = [sys.executable, "-m", f"bench.children.{role}"]
    with running(command, core, environment=environment) as (process, log):
        started = Child(process, log)
        started.first = started.ask(given)
        yield started


@contextmanager
def running(
    command: list[str],
    core: int | None,
    *,
    environment: Mapping[str, str] | None = None,
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process and the file of its stderr, where logs go as in production."""
    with tempfile.NamedTemporaryFile("w+", prefix="coursebell-bench-") as log:
        with _nowhere() if core is None else on_core(core):
            process = subprocess.Popen(  # noqa: S603 - commands of this package
                command,
                env=None if environment is None else {**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        with process:
            try:
                yield process, log.name
            finally:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_PATIENCE)
                process.kill()


@contextmanager
def _nowhere() -> Iterator[None]:
    yield


def environment_of(url: str) -> dict[str, str]:
    """What the product's own commands need to work on this database."""
    return {
        "COURSEBELL_DATABASE_URL": url,
        "COURSEBELL_SECRET_KEY": SECRET_KEY,
        "COURSEBELL_ALLOWED_NETWORKS": ALLOWED,
        "COURSEBELL_PUBLIC_URL": PUBLIC_URL,
        "COURSEBELL_LOG_FORMAT": "json",
    }
