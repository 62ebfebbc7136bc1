"""The quickstart works: its commands run here in one shell, and say what the page shows."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from docs.pages import PAGES, blocks, masked
from needs import require

PAGE = PAGES["docs/quickstart.md"]
BREAK = "----8<----"  # printed between the blocks


def steps() -> list[tuple[str, str]]:
    """Each block of commands, and the output that is shown below it."""
    found = [*blocks(PAGE), ("sh", "")]
    return [
        (body, found[place + 1][1] if found[place + 1][0] == "text" else "")
        for place, (language, body) in enumerate(found[:-1])
        if language == "sh"
    ]


def test_every_block_is_a_step_or_the_output_of_one():
    languages = [language for language, _ in blocks(PAGE)]

    assert set(languages) == {"sh", "text"}
    assert languages.count("text") == sum(1 for _, shown in steps() if shown)


@pytest.mark.timeout(300)  # a dozen processes, on a machine that may be busy
def test_the_commands_do_what_the_page_shows(tmp_path):
    require("bash and curl on PATH", shutil.which("bash") and shutil.which("curl"))
    script = f"\necho '{BREAK}'\n".join(["set -eu", *(commands for commands, _ in steps())])

    told, said, status = run(on_free_ports(script), tmp_path)

    assert status == 0, said
    printed = [masked(each).strip() for each in told.split(f"{BREAK}\n")[1:]]
    assert printed == [masked(shown).strip() for _, shown in steps()]


def on_free_ports(script: str) -> str:
    """The same commands, where nothing else listens."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        api, receiver = one.getsockname()[1], two.getsockname()[1]
    return (
        script.replace("coursebell serve", f"coursebell serve --port {api}")
        .replace("127.0.0.1:8400", f"127.0.0.1:{api}")
        .replace("127.0.0.1:9000", f"127.0.0.1:{receiver}")
        .replace("--port 9000", f"--port {receiver}")
    )


def run(script: str, directory: Path) -> tuple[str, str, int]:
    """Run it in a shell of its own; whatever it leaves running ends with it."""
    bin_directory = os.path.dirname(sys.executable)  # noqa: PTH120 - not resolved
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COURSEBELL_")}
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=directory,
        env={**inherited, "PATH": f"{bin_directory}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            told, said = shell.communicate(timeout=240)
        finally:
            end_group(shell.pid)
    return told, said, shell.returncode


def end_group(leader: int) -> None:
    with suppress(ProcessLookupError):  # the page's last step has ended everything
        os.killpg(leader, signal.SIGTERM)
