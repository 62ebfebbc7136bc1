"""`coursebell demo`: the main job, with everything real."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from coursebell.cli.demo import LEARNERS, Stage
from coursebell.cli.trial import Customer, TrialError, server
from coursebell_receiver import generate_secret, sign

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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_tidies_up(tmp_path, number, code):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

    with subprocess.Popen(DEMO, env=environment, **pipes) as process:
        process.stdout.readline()
        process.send_signal(number)
        _, said = process.communicate(timeout=60)

    assert process.returncode == code
    assert said == ""
    assert list(tmp_path.iterdir()) == []


def test_killed_it_leaves_no_server(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([*DEMO, "--keep"], env=environment, stdout=subprocess.PIPE) as process:
        told = [process.stdout.readline() for _ in range(STORY.count("\n") + 1)]
        process.kill()

    assert is_unreachable_soon(told[-1].decode().strip())


def is_unreachable_soon(address: str) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}/healthz", timeout=30).close()  # noqa: S310
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_a_server_that_cannot_start_ends_it_with_what_the_server_said(tmp_path):
    with (
        pytest.raises(TrialError, match=r"There is no directory"),
        server(tmp_path / "nowhere", "Harbour School"),
    ):
        pass


@pytest.fixture
def stage():
    stage = Stage(patience=0.1)
    stage.receiver.secrets = [generate_secret()]
    with stage.receiver:
        yield stage


def deliver(stage: Stage, secret: str, *, passed: bool) -> None:
    body = {
        "event": "offering_completed",
        "date": "2031-02-03T04:05:06Z",
        "source": "SELF",
        "user": {"id": "u"},
        "registration": {"id": "r", "passed": passed},
        "offering": {"id": "o"},
    }
    content, now = json.dumps(body).encode(), int(time.time())
    headers = {
        "webhook-id": "m",
        "webhook-timestamp": str(now),
        "webhook-signature": sign(secret, "m", now, content),
    }
    request = urllib.request.Request(stage.receiver.url, content, headers)  # noqa: S310
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(request).close()  # noqa: S310


def test_a_delivery_as_expected_is_printed(stage, capsys):
    deliver(stage, stage.receiver.secrets[0], passed=True)

    stage.expect(LEARNERS[0])

    assert capsys.readouterr().out == "  verified offering_completed SELF passed=true attempt=1\n"


def test_a_delivery_that_says_something_else_ends_it(stage):
    deliver(stage, stage.receiver.secrets[0], passed=False)

    with pytest.raises(TrialError, match=r"This was expected: verified .* passed=true attempt=1"):
        stage.expect(LEARNERS[0])


def test_a_delivery_that_does_not_verify_ends_it(stage):
    deliver(stage, generate_secret(), passed=True)

    with pytest.raises(TrialError, match="did not verify: no_matching_signature"):
        stage.expect(LEARNERS[0])


def test_a_receiver_that_is_told_nothing_ends_it(stage):
    with pytest.raises(TrialError, match="was told nothing"):
        stage.expect(LEARNERS[0])
