"""The README shows what really happens."""

import os
import re
import shutil
import subprocess
import sys

from docs.pages import PAGES, ROOT, blocks, masked
from needs import require

README = PAGES["README.md"]
SHOWN = dict(blocks(README))


def test_make_demo_prints_what_the_readme_shows(tmp_path):
    require("make on PATH", shutil.which("make"))
    # these tests run inside `make test`, whose flags and level are not this command's
    environment = {
        name: value for name, value in os.environ.items() if "MAKE" not in name and name != "MFLAGS"
    }
    # what is set up already must not be set up once more
    make = ["make", "--old-file=.venv/.installed", f"BIN={os.path.dirname(sys.executable)}"]  # noqa: PTH120 - a resolved path would leave the environment

    done = subprocess.run(
        [*make, "demo"],
        cwd=ROOT,
        env={**environment, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert masked(done.stdout) == masked(SHOWN["text"])


def test_the_eight_line_receiver_is_the_example():
    example = (ROOT / "docs/examples/receiver_eight_lines.py").read_text()

    assert SHOWN["python"] == example
    assert len([line for line in example.splitlines() if line.strip()]) == 8


def test_the_readme_says_what_it_is_in_two_sentences():
    first = README.split("\n\n")[1]

    assert len(re.findall(r"[.](?:\s|$)", first)) == 2
