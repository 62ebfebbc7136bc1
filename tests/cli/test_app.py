"""The `coursebell` command as a whole: help, errors, and that every command is documented."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from coursebell.cli.app import everything, run, servers

REFERENCE = Path(__file__).parents[2] / "docs/reference/cli.md"


def commands() -> Iterator[tuple[str, object]]:
    """Every visible command with its full name, groups left out."""
    yield from _commands_of("coursebell", typer.main.get_command(everything()))


def _commands_of(name: str, command: object) -> Iterator[tuple[str, object]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child_name, child in children.items():
        if not child.hidden:
            yield from _commands_of(f"{name} {child_name}", child)


COMMANDS = dict(commands())


def test_without_arguments_it_shows_its_help(capsys):
    assert run([]) == 0

    assert "Usage: coursebell" in capsys.readouterr().out


def test_the_version_is_one_line(capsys):
    assert run(["--version"]) == 0

    assert re.fullmatch(r"coursebell \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    "arguments",
    [["ring"], ["--loud"], ["listen", "--port", "x"], ["listen", "--port"], ["user", "show"]],
)
def test_what_it_does_not_understand_is_one_line_and_exit_code_2(capsys, arguments):
    assert run(arguments) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("coursebell: ")
    assert captured.err.count("\n") == 1
    assert re.search(r" See: coursebell( listen| user)? --help\n", captured.err)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("webhook", "rotate", "W", "--overlap", "abc"), "'--overlap': Must be a whole number."),
        (("webhook", "rotate", "W", "--overlap", "1.5"), "'--overlap': Must be a whole number."),
        (("webhook", "rotate", "W", "--overlap", ""), "'--overlap': Must be a whole number."),
        (("webhook", "rotate", "W", "--overlap=-1"), "'--overlap': Must be at least 0."),
        (("listen", "--delay", "abc"), "'--delay': Must be a number."),
        (("webhook", "rotate", "W", "--overlap", "9" * 9), "'--overlap': Must be at most 2592000."),
    ],
)
def test_a_number_that_will_not_do_is_told_why_in_our_words(capsys, arguments, told):
    assert run(arguments) == 2

    assert f"Invalid value for {told} See: coursebell" in capsys.readouterr().err


def test_a_global_option_in_the_wrong_place_is_told_where_it_belongs(capsys):
    assert run(["init", "--database", "sqlite:///school.db"]) == 2

    told = "No such option: --database It stands before the command: coursebell --database ..."
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_gives_an_example(capsys, name):
    assert run([*name.split()[1:], "--help"]) == 0

    shown = capsys.readouterr().out
    assert f"Usage: {name}" in shown
    assert shown.partition("\u256d")[0].count(name) >= 2  # once as usage


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_in_the_reference(name):
    sections = dict(
        re.findall(r"^## `([^`]+)`\n(.*?)(?=^## |\Z)", REFERENCE.read_text(), re.DOTALL | re.M)
    )

    assert name in sections
    for parameter in COMMANDS[name].params:
        is_shown = parameter.param_type_name == "option" and not parameter.hidden
        for option in parameter.opts if is_shown else ():
            assert f"`{option}" in sections[name], f"{name} {option}"


def test_the_global_options_are_in_the_reference():
    text = REFERENCE.read_text()

    for parameter in typer.main.get_command(everything()).params:
        assert all(f"`{option}" in text for option in parameter.opts)


def test_the_supervisor_starts_without_loading_what_only_others_run():
    script = """
import sys
from coursebell.cli import app
try:
    app.run(["serve", "--help"])
finally:
    print(*sorted(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    shown, _, last = done.stdout.rstrip("\n").rpartition("\n")
    loaded = set(last.split())
    assert "--api-workers" in shown
    assert {"coursebell.cli.serve", "coursebell.bootstrap"} <= loaded
    others = {"coursebell.schedule", "coursebell.cli.accounts", "fastapi", "pycurl", "psycopg"}
    assert not loaded & others


def test_the_commands_of_servers_are_the_same_alone():
    alone, among = (typer.main.get_command(each()).commands for each in (servers, everything))

    assert set(alone) == {"serve", "dispatch", "api", "import-jobs"}
    for name, command in alone.items():
        assert [each.name for each in command.params] == [each.name for each in among[name].params]
        assert command.hidden == among[name].hidden
