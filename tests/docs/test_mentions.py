"""What the pages mention is there: commands, targets, settings, metrics and calls."""

import re

import pytest
import typer
from fastapi.routing import iter_route_contexts

from check_docs import check_index
from coursebell.cli.app import everything
from coursebell.metrics import Metrics
from coursebell.settings import TEST_PREFIX, Settings, variable
from coursebell.web.app import create_app
from docs.pages import PAGES, ROOT, code

HAND_WRITTEN = [name for name in PAGES if "decisions" not in name]
APP = create_app(None, Metrics(), lambda: None)
CALLS = {
    (method, re.sub(r"\{\w+\}", "{id}", route.path.removeprefix("/api/v5/")))
    for route in iter_route_contexts(APP.routes)
    if route.path.startswith("/api/v5/")
    for method in route.methods
}


def commands() -> set[str]:
    known = set()
    for name, command in typer.main.get_command(everything()).commands.items():
        known.add(name)
        known |= {f"{name} {each}" for each in getattr(command, "commands", {})}
    return known


COMMANDS = commands()


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_commands_exist(name):
    command = r"(?:^|[ `/(])coursebell ([a-z][a-z-]*)(?: ([a-z]+)\b)?"
    told = re.findall(command, code(PAGES[name]), re.MULTILINE)

    for first, second in told:
        assert first in COMMANDS, f"coursebell {first}"
        if any(known.startswith(f"{first} ") for known in COMMANDS) and second:
            assert f"{first} {second}" in COMMANDS


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_make_targets_exist(name):
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert set(re.findall(r"^make ([a-z]+)", code(PAGES[name]), re.MULTILINE)) <= set(targets)


def variables_of_tests() -> set[str]:
    """Variables that no process of the product reads, but tests and benchmarks do."""
    sources = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").glob("*.py")]
    read = rf"environ\.get\(\s*\"({TEST_PREFIX}[A-Z_]+)\""
    return {name for source in sources for name in re.findall(read, source.read_text())}


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_settings_exist(name):
    settings = {variable(field) for field in Settings.model_fields} | variables_of_tests()

    assert set(re.findall(r"COURSEBELL_[A-Z_]+[A-Z]", PAGES[name])) <= settings


def test_the_variables_of_tests_are_found():
    assert f"{TEST_PREFIX}POSTGRES" in variables_of_tests()


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_metrics_exist(name):
    metrics = (ROOT / "src/coursebell/metrics.py").read_text()

    for told in re.findall(r"`coursebell_([a-z_]+)`", PAGES[name]):
        if told != "receiver":
            assert told.removesuffix("_total") in metrics


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_calls_exist(name):
    call = r"(?:^ *|`)(GET|POST|PUT|DELETE) (?:/api/v5/)?([a-z][a-z/{}]*)"
    told = set(re.findall(call, PAGES[name], re.MULTILINE))

    assert told <= CALLS


def test_every_page_is_in_the_index():
    assert list(check_index(ROOT)) == []
