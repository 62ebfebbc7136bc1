"""Print what pyproject.toml asks for, a requirement a line, without this repository's packages.

`make lock` resolves these lines into constraints.txt and `make setup` installs them. Reading the
file here rather than with `pip install --group` keeps `make setup` working with the pip that comes
with Python 3.11, and only the standard library is needed before there is an environment.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCAL = {"coursebell", "coursebell-receiver"}


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
    ]
    lines = sorted(line for line in asked if name_of(line) not in LOCAL)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def name_of(requirement: str) -> str:
    """The normalised distribution name at the head of a requirement."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


if __name__ == "__main__":
    sys.exit(main())
