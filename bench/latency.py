"""`latency`: from the commit of a completion to its first byte at the receiver, 200 a second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median, quantiles

from bench import machine
from bench.databases import POSTGRES, throw_away
from bench.machine import MEASURED_CORE, OTHER_CORE
from bench.processes import COURSEBELL, Child, child, environment_of, running
from bench.report import Figure, table
from bench.sinks import Receiver, receiver

PER_SECOND = 200
P50_BUDGET, P99_BUDGET = 6.0, 30.0  # milliseconds
_WARM_UP = 50  # completions
_PATIENCE = 30.0  # seconds until the last delivery has come


def measure(*, smoke: bool) -> list[Figure]:
    number, rounds = (60, 1) if smoke else (2_000, 3)
    print(*machine.describe(POSTGRES), sep="\n")
    rows, p50s, p99s = [], [], []
    for kind in ("sqlite", "postgres"):
        found = _rounds(kind, number, rounds)
        p50, p99 = (median(_percentile(each, share) for each in found) for share in (50, 99))
        worst = max(max(each) for each in found)
        rows.append([kind, f"{p50:.1f}", f"{p99:.1f}", f"{worst:.1f}"])
        p50s.append(p50)
        p99s.append(p99)
    print(
        f"\n{rounds} rounds of {number} completions, {PER_SECOND} a second, one webhook\n"
        f"`coursebell dispatch` on core {MEASURED_CORE}; who completes, by the use case in a"
        f" process of its own, and the sink on core {OTHER_CORE}\n"
    )
    print(table(["committed to first byte", "p50 ms", "p99 ms", "most ms"], rows))
    return [
        Figure(name="p50", value=max(p50s), budget=P50_BUDGET, unit="ms"),
        Figure(name="p99", value=max(p99s), budget=P99_BUDGET, unit="ms"),
    ]


def _rounds(kind: str, number: int, rounds: int) -> list[list[float]]:
    """Milliseconds of each completion, by round."""
    with throw_away(kind) as url, receiver(stamp=True) as sink:
        given = {
            "url": url,
            "receiver": sink.urls[0],
            "per_second": PER_SECOND,
            "users": min(number, 500),
        }
        dispatch = [*COURSEBELL, "dispatch"]
        with (
            child("completer", OTHER_CORE, given) as completer,
            running(dispatch, MEASURED_CORE, environment=environment_of(url)),
        ):
            _round(completer, sink, _WARM_UP)
            return [_round(completer, sink, number) for _ in range(rounds)]


def _round(completer: Child, sink: Receiver, number: int) -> list[float]:
    committed: dict[str, float] = completer.ask(number)
    stamps = _stamps(sink, list(committed))
    return [(stamps[each] - at) * 1_000 for each, at in committed.items()]


def _stamps(sink: Receiver, ids: Sequence[str]) -> dict[str, float]:
    deadline = time.monotonic() + _PATIENCE
    while True:
        stamps: dict[str, float] = sink.told()["stamps"]
        if stamps.keys() >= set(ids):
            return stamps
        if time.monotonic() > deadline:
            raise RuntimeError("not everything was delivered")
        time.sleep(0.2)


def _percentile(values: Sequence[float], share: int) -> float:
    return quantiles(values, n=100, method="inclusive")[share - 1]
