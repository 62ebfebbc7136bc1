"""Every benchmark still runs, at a size that says nothing about speed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = ("drain-sqlite", "drain-postgres", "api", "bulk", "latency", "idle", "start")
FIGURE = r" \w+=[\d.e+]+(s|ms|%|) budget=[\d.]+\2"


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs_and_ends_with_its_verdict(name, postgres_server):
    done = run(name, "--smoke")

    assert done.returncode == 0, done.stderr
    assert not done.stderr
    *_, last = done.stdout.splitlines()
    assert re.fullmatch(rf"{name}({FIGURE})+ (ok|short)", last)
    assert "machine " in done.stdout
    assert "software " in done.stdout


def test_each_of_them_is_run_here():
    refused = run("nothing")

    told = re.search(r"choose from (.*)\)", refused.stderr)
    assert refused.returncode == 2
    assert {each.strip("'\" ") for each in told[1].split(",")} == {*NAMES, "all"}


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
