"""docs/examples/a_term.py runs a term, and every record of it agrees with every other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "a_term.py"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_all_records_agree_to_the_last_grade_and_what_does_not_is_told(
    installation, server, tmp_path
):
    wrong = tmp_path / "a_term.py"  # a copy that calculates otherwise
    wrong.write_text(SCRIPT.read_text().replace("return max(grades)", "return min(grades) / 2"))
    url = f"http://{server.host}"

    done = run("--learners", "4", url=url, token=installation.token)
    told = run("--learners", "1", url=url, token=installation.token, script=wrong)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 registrations of 4 learners in 3 courses" in done.stdout
    assert "agree to the last grade" in done.stdout
    assert told.returncode == 1, told.stdout + told.stderr
    assert "disagreements" in told.stdout


def test_without_a_token_it_says_what_to_set():
    done = run(url="http://127.0.0.1:9", token="")

    assert done.returncode == 2
    assert "COURSEBELL_TOKEN" in done.stderr


def run(*arguments: str, url: str, token: str, script: Path = SCRIPT):
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**os.environ, "COURSEBELL_URL": url, "COURSEBELL_TOKEN": token},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
