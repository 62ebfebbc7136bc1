"""What is installed is pinned, named by no address, and explained in the first decision record."""

import json
import re
from pathlib import Path

import pytest

import requirements

ROOT = Path(requirements.__file__).parent.parent
PIN = re.compile(r"([a-z0-9-]+)==(\S+)(?: ; [^#]+)?(?:\s+# via .+)?")
UNEXPLAINED = {"setuptools"}  # it builds the packages and is part of neither


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]) -> set[str]:
    """The names of what pyproject.toml asks for, without this repository's own packages."""
    requirements.main()
    return {requirements.name_of(line) for line in capsys.readouterr().out.splitlines()}


@pytest.fixture
def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [PIN.fullmatch(line) for line in lines if line and not line.startswith("#")]
    assert all(pins), "constraints.txt holds a line that is no pin"
    return {pin.group(1): pin.group(2) for pin in pins}


def test_everything_that_is_asked_for_is_pinned(asked: set[str], pinned: dict[str, str]) -> None:
    assert asked - set(pinned) == set(), "run make lock"


def test_the_packages_of_this_repository_are_installed_from_it(
    asked: set[str], pinned: dict[str, str]
) -> None:
    assert requirements.LOCAL & (asked | set(pinned)) == set()


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("psycopg[binary]>=3.3", "psycopg"),
        ("uvloop>=0.23; sys_platform != 'win32'", "uvloop"),
        ("Some_Package", "some-package"),
    ],
)
def test_the_name_of_a_requirement_is_normalised(requirement: str, name: str) -> None:
    assert requirements.name_of(requirement) == name


def test_every_dependency_is_explained(asked: set[str]) -> None:
    record = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text()
    explained = set(re.findall(r"`([a-z0-9-]+)(?:\[\w+\])?`", record))

    assert asked - explained - UNEXPLAINED == set()


def test_the_npm_package_is_pinned_with_its_hash_and_no_address() -> None:
    folder = ROOT / "tests" / "node"
    package = json.loads((folder / "package.json").read_text())
    lock = json.loads((folder / "package-lock.json").read_text())

    installed = {name: entry for name, entry in lock["packages"].items() if name}

    assert re.fullmatch(r"\d+\.\d+\.\d+", package["dependencies"]["standardwebhooks"])
    assert all(entry["integrity"].startswith("sha512-") for entry in installed.values())
    assert not any("resolved" in entry for entry in installed.values())
