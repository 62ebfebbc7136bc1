"""Rounds: a load, a few inflictions at random moments, quiet, and the books."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from faults.books import Findings
from faults.inflictions import Infliction
from faults.ledgers import Ledger, refusing_some
from faults.scenes import Scene

TELLERS = 8
PATIENT = [1, 1, 1, 1, 1, 2, 2, 2, 2, 2] + [5] * 20  # seconds; nothing is given up in a round


@dataclass(slots=True, kw_only=True)
class Round:
    """What happened in a round and what came of it."""

    inflicted: list[str] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    seconds: float = 0.0
    settled: float = 0.0  # seconds from the last infliction's end until all was delivered
    requests: int = 0
    unanswered: int = 0
    busy: int = 0
    memory: dict[str, int] = field(default_factory=dict)  # MB resident, of the largest of each kind


@contextmanager
def connected_receivers(scene: Scene) -> Iterator[None]:
    """One that is mostly well, and one that inflictions may put into a mood."""
    well, moody = Ledger(refusing_some(0.05)), Ledger(refusing_some(0.02))
    with (
        scene.connected(well, retrySchedule=PATIENT, timeoutSeconds=30),
        scene.connected(moody, retrySchedule=PATIENT, timeoutSeconds=1),
    ):
        yield


def play(
    scene: Scene,
    inflictions: Sequence[Infliction],
    rng: random.Random,
    *,
    rate: float | None = None,
    calm: Callable[[], float] = lambda: 1.0,
) -> Round:
    """One round. `calm` gives the seconds before, between and after inflictions."""
    played, start = Round(), time.monotonic()
    with scene.tellers(number=TELLERS, rate=rate) as tellers:
        time.sleep(calm())
        for each in inflictions:
            played.inflicted.append(each.name)
            try:
                each.inflict(scene, rng)
            except Exception as exc:  # it is a finding like any other
                played.findings.problems.append(f"{each.name}: {exc!r}")
            time.sleep(calm())
    try:
        played.settled = scene.settle()
    except AssertionError as exc:
        played.findings.problems.append(str(exc))
    moody = any(each.name.startswith("receiver:") for each in inflictions)
    troubled = [each.webhook_id for each in scene.webhooks[-1:] if moody]
    kills = sum(each.kills for each in inflictions)
    played.findings.add(scene.audit(tellers, troubled=troubled, kills=kills))
    played.seconds = time.monotonic() - start
    played.requests, played.busy = tellers.requests, tellers.busy
    played.unanswered = tellers.unanswered
    children = scene.server.children()
    played.memory = {name: max(map(resident, pids)) for name, pids in children.items()}
    return played


def resident(pid: int) -> int:
    """Megabytes of memory; 0 when it has ended."""
    return _megabytes(pid, "VmRSS:")


def peak(pid: int) -> int:
    """The most megabytes that it has had, since `forget_peak` where the kernel can forget."""
    return _megabytes(pid, "VmHWM:")


def forget_peak(pid: int) -> None:
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _megabytes(pid: int, name: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    words = status.partition(name)[2].split()
    return int(words[0]) // 1024 if words else 0
