"""`make soak MINUTES=60`: faults at random, on both databases side by side, until the time is up.

A process for each database plays one round after another and audits the books after each. A line
a minute tells how far it is; a table at the end tells everything. The exit code is 1 when books do
not balance, and the logs of the processes are then kept.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from faults import clusters, disks
from faults.clusters import Cluster
from faults.disks import Disk
from faults.inflictions import Infliction, on
from faults.rounds import connected_receivers, play
from faults.scenes import MAX_REQUESTS, TWO_OF_EACH, Scene

ROOT = Path(__file__).parents[2]
CODE = ("src", "receiver/src", "tests")
KINDS = ("sqlite", "postgres")
RATE = 12.0  # stories a second, four requests and more each
FIGURES = ("registrations", "events", "deliveries", "attempts", "arrivals", "repeated", "unlogged")
SETTINGS = {"COURSEBELL_MAX_REQUESTS": str(MAX_REQUESTS)}
_SHOWN = 10  # problems of a round


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all books balance, 1 when some do not, 2 when there is nothing to run on."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None, help="the same faults in the same order")
    parser.add_argument("--databases", default=",".join(KINDS), help="sqlite, postgres or both")
    parser.add_argument("--play", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    seed = random.randrange(10**6) if chosen.seed is None else chosen.seed
    if chosen.play is not None:
        return play_rounds(chosen.play, chosen.minutes * 60, seed, chosen.directory)
    kinds = [each for each in chosen.databases.split(",") if each in KINDS]
    lacking = [each for each in kinds if not _can_play(each)]
    if lacking or not kinds:
        print(f"soak: nothing to run {', '.join(lacking) or chosen.databases} on: it needs root")
        print("soak: with unshare, nsenter and mount, and PostgreSQL's programs with their user")
        return 2
    return Soak(kinds, chosen.minutes, seed).run()


def _can_play(kind: str) -> bool:
    return disks.can_mount() if kind == "sqlite" else clusters.binaries() is not None


def play_rounds(kind: str, seconds: float, seed: int, directory: Path) -> int:
    """Play until the time is up; a line of JSON on stdout for each round."""
    rng = random.Random(f"{seed} {kind}")
    with ExitStack() as stack:
        cluster, disk = (None, Disk()) if kind == "sqlite" else (Cluster(), None)
        stack.callback((cluster or disk).close)  # type: ignore[union-attr]
        scene = Scene(
            cluster=cluster,
            disk=disk,
            directory=directory,
            settings=SETTINGS,
            options=() if kind == "sqlite" else TWO_OF_EACH,
        )
        stack.callback(scene.close)
        stack.enter_context(connected_receivers(scene))
        end = time.monotonic() + seconds
        for inflictions in _programme(kind, rng):
            if time.monotonic() >= end:
                break
            played = play(scene, inflictions, rng, rate=RATE, calm=lambda: rng.uniform(0.5, 3))
            print(json.dumps(asdict(played)), flush=True)
        tracebacks = scene.installation.log.count("Traceback")
        print(json.dumps({"tracebacks": tracebacks}), flush=True)
    return 0


def _programme(kind: str, rng: random.Random) -> Iterator[list[Infliction]]:
    """Two or three inflictions a round; each comes once before any comes again."""
    left: list[Infliction] = []
    while True:
        wanted = rng.randint(2, 3)
        if len(left) < wanted:
            fresh = on(kind)
            rng.shuffle(fresh)
            left += fresh
        yield [left.pop(0) for _ in range(wanted)]


@dataclass(slots=True)
class Tally:
    """What one database has been through."""

    rounds: int = 0
    figures: Counter[str] = field(default_factory=Counter)
    inflicted: Counter[str] = field(default_factory=Counter)
    slowest: Counter[str] = field(default_factory=Counter)  # ms to settle, after rounds with it
    unbalanced: Counter[str] = field(default_factory=Counter)
    memory: dict[str, list[int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    settled: float = 0.0
    tracebacks: int | None = None  # told at the end

    @property
    def balances(self) -> bool:
        return not self.problems and self.rounds > 0 and self.tracebacks == 0

    def take(self, told: Mapping[str, Any]) -> None:
        if "tracebacks" in told:
            self.tracebacks = told["tracebacks"]
            return
        self.rounds += 1
        findings = told["findings"]
        self.figures.update({name: findings[name] for name in FIGURES})
        self.figures.update({name: told[name] for name in ("requests", "unanswered", "busy")})
        self.problems += findings["problems"]
        self.settled = max(self.settled, told["settled"])
        for name in told["inflicted"]:
            self.inflicted[name] += 1
            self.slowest[name] = max(self.slowest[name], round(told["settled"] * 1000))
            self.unbalanced[name] += bool(findings["problems"])
        for name, megabytes in told["memory"].items():
            self.memory.setdefault(name, []).append(megabytes)


class Soak:
    """A process for each database, and what they tell."""

    def __init__(self, kinds: Sequence[str], minutes: float, seed: int) -> None:
        self._minutes = minutes
        self._seed = seed
        self._directory = Path(tempfile.mkdtemp(prefix="coursebell-soak-"))
        self._tallies = {kind: Tally() for kind in kinds}
        self._codes: dict[str, int] = {}

    def run(self) -> int:
        start = time.monotonic()
        print(f"soak: {self._minutes:g} minutes on {' and '.join(self._tallies)},", end=" ")
        print(f"seed {self._seed}, logs in {self._directory}", flush=True)
        self._code()
        threads = [threading.Thread(target=self._follow, args=(kind,)) for kind in self._tallies]
        for thread in threads:
            thread.start()
        minute = 1
        while any(thread.is_alive() for thread in threads):
            threads_left = [thread for thread in threads if thread.is_alive()]
            threads_left[0].join(min(1.0, max(0.0, start + 60 * minute - time.monotonic())))
            if time.monotonic() >= start + 60 * minute:
                print(self._line(), flush=True)
                minute += 1
        return self._report(time.monotonic() - start)

    def _follow(self, kind: str) -> None:
        directory = self._directory / kind
        directory.mkdir()
        # should it die of a signal, it says where
        command = [sys.executable, "-X", "faulthandler", "-m", "faults.soak", "--play", kind]
        command += ["--minutes", str(self._minutes), "--seed", str(self._seed)]
        command += ["--directory", str(directory)]
        environment = os.environ | {"PYTHONPATH": ":".join(map(str, self._code()))}
        with (directory / "kit.log").open("w") as stderr:
            player = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
            )
            assert player.stdout is not None
            for line in player.stdout:
                told = json.loads(line)
                self._tallies[kind].take(told)
                self._tell_problems(kind, told)
            self._codes[kind] = player.wait()

    def _code(self) -> list[Path]:
        """A copy of what runs, so that nobody's edits come into it before the hour is over."""
        copies = [self._directory / "code" / each for each in CODE]
        for original, copy in zip(CODE, copies, strict=True):
            if not copy.exists():
                shutil.copytree(ROOT / original, copy, ignore=shutil.ignore_patterns("node*"))
        return copies

    def _tell_problems(self, kind: str, told: Mapping[str, Any]) -> None:
        problems = told.get("findings", {}).get("problems", ())
        if problems:
            print(f"{kind}: {', '.join(told['inflicted'])}: the books do not balance", flush=True)
        for problem in problems[:_SHOWN]:
            print(f"  {problem}", flush=True)

    def _line(self) -> str:
        parts = [
            f"{kind} {tally.rounds} rounds, {tally.figures['registrations']:,} registrations,"
            f" {tally.figures['deliveries']:,} deliveries, {tally.figures['repeated']:,} repeated:"
            f" {'balanced' if not tally.problems else f'{len(tally.problems)} PROBLEMS'}"
            for kind, tally in self._tallies.items()
        ]
        return f"{datetime.now(UTC):%H:%M} " + "; ".join(parts)

    def _report(self, seconds: float) -> int:
        print()
        print(*_faults_table(self._tallies), sep="\n")
        print()
        print(*_figures_table(self._tallies), sep="\n")
        good = all(each.balances for each in self._tallies.values())
        good = good and not any(self._codes.values())
        for kind, code in self._codes.items():
            if code:
                log = self._directory / kind / "kit.log"
                told = log.read_text()[-2000:]
                print(f"{kind}: the kit itself failed with {code}: {told}")
        if good:
            shutil.rmtree(self._directory)
            print(f"\nsoak: all books balance after {seconds / 60:.1f} minutes.")
            return 0
        print(f"\nsoak: books do not balance. Logs: {self._directory}")
        return 1


def _faults_table(tallies: Mapping[str, Tally]) -> Iterator[str]:
    """How often each fault came, and the longest time until all was delivered after its round."""
    kinds = list(tallies)
    yield _row("fault", [f"{kind}: times  worst, s  bad" for kind in kinds])
    for name in sorted({name for tally in tallies.values() for name in tally.inflicted}):
        cells = [
            f"{tally.inflicted[name]:>5}  {tally.slowest[name] / 1000:>8.1f}"
            f"  {tally.unbalanced[name]:>3}"
            for tally in tallies.values()
        ]
        yield _row(name, cells)


def _figures_table(tallies: Mapping[str, Tally]) -> Iterator[str]:
    yield _row("", tallies)
    for name in ("rounds", "requests", "unanswered", "busy", *FIGURES, "problems"):
        yield _row(name, [f"{_figure(tally, name):,}" for tally in tallies.values()])
    yield _row("slowest to settle, s", [f"{tally.settled:.1f}" for tally in tallies.values()])
    yield _row("tracebacks in logs", [str(tally.tracebacks) for tally in tallies.values()])
    for child in ("api", "dispatch"):
        cells = [_memory(tally.memory.get(child, [])) for tally in tallies.values()]
        yield _row(f"memory of {child}, MB", cells)


def _figure(tally: Tally, name: str) -> int:
    if name == "rounds":
        return tally.rounds
    return len(tally.problems) if name == "problems" else tally.figures[name]


def _memory(megabytes: Sequence[int]) -> str:
    return f"{min(megabytes)}-{max(megabytes)}" if megabytes else "-"


def _row(first: str, others: Iterable[str]) -> str:
    return f"{first:<34}" + "".join(f"{each:>34}" for each in others)


if __name__ == "__main__":
    sys.exit(main())
