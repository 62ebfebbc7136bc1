"""Every benchmark still runs, at a size that says nothing about speed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import unmeasured

ROOT = Path(__file__).resolve().parent.parent.parent
# Those that stand together share a process, which takes most of the time at this size.
TOGETHER = [
    ["drain-sqlite"],
    ["drain-postgres"],
    ["api"],
    ["bulk", "import"],
    ["latency"],
    ["idle"],
    ["start"],
    ["memory"],
    ["backlog", "growth", "fanout"],
    ["isolation"],
    ["dispatchers", "receivers", "tls"],
]
NAMES = [name for names in TOGETHER for name in names]
FIGURE = r" [\w-]+=[\d.e+-]+(?P<unit>s|ms|us|MB|%|/s|)( budget=[\d.]+(?P=unit))?"


@pytest.mark.parametrize("names", TOGETHER, ids=" ".join)
def test_benchmarks_run_and_end_with_their_verdicts(names, postgres_server):
    done = run(*names, "--smoke")

    assert done.returncode == 0, done.stderr
    assert not done.stderr
    verdicts = done.stdout.splitlines()[-len(names) :]
    for name, verdict in zip(names, verdicts, strict=True):
        assert re.fullmatch(rf"{name}({FIGURE})+( ok| short)?", verdict)
        assert ("budget=" in verdict) == verdict.endswith((" ok", " short"))
    assert done.stdout.count("machine  ") == len(names)
    assert done.stdout.count("software  ") == len(names)


def test_each_of_them_is_run_here():
    refused = run("nothing")

    told = re.search(r"choose from (.*)\)", refused.stderr)
    assert refused.returncode == 2
    assert {each.strip("'\" ") for each in told[1].split(",")} == {*NAMES, "all"}


@pytest.mark.parametrize(
    ("option", "word"), [(["--save"], "--save"), (["--seconds", "9"], "--seconds")]
)
def test_an_option_that_means_nothing_to_a_benchmark_is_refused(option, word):
    refused = run("start", *option)

    assert refused.returncode == 2
    assert f"{word} means nothing to start" in refused.stderr


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        env=unmeasured.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
