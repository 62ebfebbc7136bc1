"""The guard against names that lie, through libcurl's own resolution.

A script runs in a network namespace of its own, with a DNS server of its own: see namespace.py.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from needs import require

PUBLIC = "93.184.216.34"


def unshared(*command: str) -> list[str]:
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *as_root, "--net", "--mount", *command]


def can_unshare() -> bool:
    if not all(shutil.which(tool) for tool in ("unshare", "ip", "mount")):
        return False
    probe = unshared("ip", "link", "set", "lo", "up")
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def story():
    require("unshare, ip and the right to make a network namespace", can_unshare())
    script = Path(__file__).with_name("namespace.py")
    done = subprocess.run(
        unshared(sys.executable, str(script)),
        env=os.environ | {"RES_OPTIONS": "timeout:2 attempts:1"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_name_that_is_public_first_and_loopback_next_is_blocked_at_the_new_connection(story):
    assert story["flips"] == [
        ["delivered", PUBLIC],
        ["blocked_address", "127.0.0.1"],
        ["blocked_address", "127.0.0.1"],
    ]


@pytest.mark.parametrize("name", ["mixed", "mixed6"])
def test_a_name_with_public_and_private_answers_uses_the_public_one(story, name):
    assert story[name] == ["delivered", PUBLIC]


@pytest.mark.parametrize("name", ["private", "metadata"])
def test_a_name_with_private_answers_only_is_blocked(story, name):
    assert story[name][0] == "blocked_address"


def test_a_name_that_does_not_exist_is_named_dns(story):
    assert story["missing"] == ["dns", None]


def test_a_look_up_without_an_answer_runs_into_the_deadline_and_delays_nobody(story):
    assert story["silent"] == [["timeout", None]] + [["delivered", PUBLIC]] * 3


def test_nothing_reached_the_receiver_on_loopback(story):
    assert story["connections"] == {"public": 6, "trap": 0}
