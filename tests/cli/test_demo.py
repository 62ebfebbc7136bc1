"""`coursebell demo`: the main job, with everything real."""

import os
import re
import signal
import subprocess
import sys

from coursebell.cli.trial import Customer

DEMO = [sys.executable, "-m", "coursebell", "demo"]
STORY = """\
A server for Harbour School, and a receiver that its webhook calls.
Ada finishes with 92.5:
  verified offering_completed SELF passed=true attempt=1
An instructor completes Bo with 71.5:
  refused offering_completed ADMIN passed=true attempt=1
  verified offering_completed ADMIN passed=true attempt=2
Chidi finishes with 58.0:
  verified offering_completed SELF passed=false attempt=1
Done: 3 completions, 3 verified deliveries.
"""


def test_it_tells_the_story_and_ends_by_itself(tmp_path):
    environment = {**os.environ, "COURSEBELL_LOG_LEVEL": "loud", "TMPDIR": str(tmp_path)}

    outcome = subprocess.run(
        DEMO, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert outcome.stderr == ""
    assert outcome.stdout == STORY
    assert outcome.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_it_can_leave_a_server_to_play_with(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*DEMO, "--keep"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        told = [process.stdout.readline() for _ in range(STORY.count("\n"))]
        address, token = process.stdout.readline().strip(), process.stdout.readline().strip()
        users = Customer(address, token).read("users")["results"]
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

    assert "".join(told) == STORY
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
    assert [user["firstName"] for user in users] == ["First", "Ada", "Bo", "Chidi"]
    assert "stays up until Ctrl-C" in said
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []
