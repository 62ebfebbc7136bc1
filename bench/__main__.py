"""`python -m bench NAME...`: measure, print a table, and end with one line for each budget."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module

from bench.report import Figure, verdict

Benchmark = Callable[..., list[Figure]]


def _in(module: str, *arguments: str) -> Benchmark:
    """Loads the module when it is wanted: none needs what another one does."""
    return lambda *, smoke: partial(import_module(f"bench.{module}").measure, *arguments)(
        smoke=smoke
    )


BENCHMARKS: dict[str, Benchmark] = {
    "drain-sqlite": _in("drain", "sqlite"),
    "drain-postgres": _in("drain", "postgres"),
    "api": _in("api"),
    "bulk": _in("bulk"),
    "latency": _in("latency"),
    "idle": _in("idle"),
    "start": _in("start"),
}


def main() -> int:
    """A budget that is not met is a finding, not a failure: the exit code is 0 all the same."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*BENCHMARKS, "all"], metavar="NAME")
    parser.add_argument("--smoke", action="store_true", help="as little as shows that it works")
    chosen = parser.parse_args()
    names = list(BENCHMARKS) if "all" in chosen.names else chosen.names
    verdicts = []
    for name in names:
        print(f"== {name}", flush=True)
        verdicts.append(verdict(name, BENCHMARKS[name](smoke=chosen.smoke)))
        print(f"\n{verdicts[-1]}\n" if len(names) > 1 else f"\n{verdicts[-1]}", flush=True)
    if len(names) > 1:
        print(*verdicts, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
