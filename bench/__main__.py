"""`python -m bench NAME...`: measure, print a table, and end with one line for each budget."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from bench.report import Figure, verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """Where a benchmark is, and which options it takes besides `--smoke`."""

    module: str
    arguments: tuple[str, ...] = ()
    options: frozenset[str] = frozenset()

    def run(self, *, smoke: bool, options: Mapping[str, Any]) -> list[Figure]:
        """Its module is loaded now: none needs what another one does."""
        measure: Callable[..., list[Figure]] = import_module(f"bench.{self.module}").measure
        return measure(*self.arguments, smoke=smoke, **options)


def _in(module: str, *arguments: str, options: Iterable[str] = ()) -> Benchmark:
    return Benchmark(module=module, arguments=arguments, options=frozenset(options))


BENCHMARKS: dict[str, Benchmark] = {
    "drain-sqlite": _in("drain", "sqlite"),
    "drain-postgres": _in("drain", "postgres"),
    "backlog": _in("growth", "backlog"),
    "dispatchers": _in("dispatchers"),
    "api": _in("api"),
    "bulk": _in("bulk"),
    "latency": _in("latency"),
    "memory": _in("memory", options=["seconds"]),
    "idle": _in("idle"),
    "start": _in("start"),
    "isolation": _in("isolation"),
    "receivers": _in("receivers", options=["save"]),
    "fanout": _in("fanout", options=["save"]),
    "tls": _in("tls", options=["save"]),
    "growth": _in("growth", "growth", options=["save"]),
    "import": _in("imports"),
}

# its database grows in steps, and the last of them is all of the other's
_INCLUDES = {"growth": "backlog"}
_ALONE = frozenset({"import"})  # takes an hour


def main() -> int:
    """A budget that is not met is a finding, not a failure: the exit code is 0 all the same."""
    parser = _parser()
    chosen = parser.parse_args()
    apart = {*_INCLUDES.values(), *_ALONE}
    everything = [name for name in BENCHMARKS if name not in apart]
    names = everything if "all" in chosen.names else chosen.names
    options = {name: _options(BENCHMARKS[name], chosen) for name in names}
    for option in ("save", "seconds"):
        if getattr(chosen, option) and not any(option in taken for taken in options.values()):
            parser.error(f"--{option} means nothing to {' and '.join(names)}")
    verdicts = []
    for name in names:
        print(f"== {name}", flush=True)
        figures = BENCHMARKS[name].run(smoke=chosen.smoke, options=options[name])
        verdicts.append(verdict(name, figures))
        print(f"\n{verdicts[-1]}\n" if len(names) > 1 else f"\n{verdicts[-1]}", flush=True)
        if name in _INCLUDES and _INCLUDES[name] not in names:
            verdicts.append(verdict(_INCLUDES[name], figures))
    if len(names) > 1:
        print(*verdicts, sep="\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*BENCHMARKS, "all"], metavar="NAME")
    parser.add_argument("--smoke", action="store_true", help="as little as shows that it works")
    parser.add_argument(
        "--save", action="store_true", help="draw what is measured into docs/plots, where it can be"
    )
    parser.add_argument(
        "--seconds", type=int, help="how long `memory` watches; 3600 for an hour (default: 60)"
    )
    return parser


def _options(benchmark: Benchmark, chosen: argparse.Namespace) -> dict[str, Any]:
    """Those that were given and that it takes."""
    given = {"save": chosen.save, "seconds": chosen.seconds}
    return {name: value for name, value in given.items() if value and name in benchmark.options}


if __name__ == "__main__":
    sys.exit(main())
