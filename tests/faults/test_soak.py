"""`make soak` at a size that proves nothing but that it runs, tells, and notices."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import unmeasured
from faults import disks
from faults.soak import Tally
from needs import require

ROOT = Path(__file__).parents[2]
GOOD_ROUND = {
    "inflicted": ["kill -9 of the API"],
    "findings": {
        "problems": [],
        "registrations": 3,
        "events": 6,
        "deliveries": 12,
        "attempts": 13,
        "arrivals": 13,
        "repeated": 0,
        "unlogged": 0,
    },
    "settled": 0.5,
    "requests": 20,
    "unanswered": 1,
    "busy": 0,
    "memory": {"api": 100},
}
BAD_ROUND = {**GOOD_ROUND, "findings": {**GOOD_ROUND["findings"], "problems": ["lost"]}}


def soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faults.soak", *arguments],
        cwd=ROOT,
        env=unmeasured.environment(PYTHONPATH="tests"),
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@pytest.mark.timeout(300)
def test_a_round_ends_with_a_table_and_balanced_books():
    require("root, unshare, nsenter and mount", disks.can_mount())

    done = soak("--minutes", "0.01", "--seed", "16", "--databases", "sqlite")

    assert done.returncode == 0, done.stdout + done.stderr
    directory = re.search(r"seed 16, logs in (\S+)", done.stdout)
    assert not Path(directory[1]).exists()  # what balanced needs no logs
    rows = {line[:34].strip(): line[34:].split() for line in done.stdout.splitlines()}
    assert rows["rounds"] == ["1"]
    assert int(rows["registrations"][0]) > 0
    assert rows["problems"] == rows["tracebacks in logs"] == ["0"]
    assert re.search(r"soak: all books balance after [\d.]+ minutes\.$", done.stdout.strip())


def test_there_must_be_something_to_run_on():
    refused = soak("--databases", "oracle")

    assert refused.returncode == 2
    assert "soak: nothing to run oracle on" in refused.stdout


@pytest.mark.parametrize(
    ("told", "balances"),
    [
        ([GOOD_ROUND, {"tracebacks": 0}], True),
        ([GOOD_ROUND, BAD_ROUND, GOOD_ROUND, {"tracebacks": 0}], False),
        ([GOOD_ROUND, {"tracebacks": 1}], False),
        ([GOOD_ROUND], False),  # it died before it could say
        ([{"tracebacks": 0}], False),  # nothing was played
    ],
)
def test_a_single_problem_unbalances_all(told, balances):
    tally = Tally()

    for each in told:
        tally.take(each)

    assert tally.balances is balances


def test_a_tally_adds_up_and_remembers_the_worst():
    tally = Tally()

    for settled in (0.5, 4.0, 1.0):
        tally.take({**GOOD_ROUND, "settled": settled})

    assert (tally.rounds, tally.settled) == (3, 4.0)
    assert tally.figures["deliveries"] == 36
    assert tally.inflicted == {"kill -9 of the API": 3}
    assert tally.memory == {"api": [100, 100, 100]}
