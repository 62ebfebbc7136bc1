"""`init`, `user` and `token`, on both engines."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coursebell.cli.app import run
from coursebell.services import organizations, people
from coursebell.services.registrar import Registrar

TOKEN = re.compile(r"cb_[A-Za-z0-9_-]{43}")


@pytest.fixture(autouse=True)
def settings(monkeypatch, secret_key):
    monkeypatch.setenv("COURSEBELL_SECRET_KEY", secret_key)


@pytest.fixture
def coursebell(database_url, capsys):
    """Runs a command on an installation, says its exit code, stdout and stderr."""

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(["--database", database_url, *arguments])
        return code, *capsys.readouterr()

    assert (
        command("init", "--organization", "Harbour School", "--email", "ada@harbour.example")[0]
        == 0
    )
    return command


def test_init_needs_no_arguments_and_no_terminal(tmp_path: Path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COURSEBELL_")}
    command = [sys.executable, "-m", "coursebell", "init"]

    first, second = (
        subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        for _ in range(2)
    )

    assert first.returncode == 0
    assert TOKEN.fullmatch(first.stdout.rstrip("\n"))
    assert "Next: coursebell serve" in first.stderr
    assert second.returncode == 1
    assert second.stdout == ""
    assert second.stderr == (
        "coursebell: This database already has an organization; nothing was changed."
        " Run: coursebell serve, with --database before it if you gave one\n"
    )
    made = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert made.keys() == {"coursebell.db", "coursebell.db.key"}
    assert set(made.values()) == {0o600}


def test_init_makes_everything_in_an_empty_database(blank_database_url, capsys):
    here = ["--database", blank_database_url]

    code = run([*here, "init", "--organization", "Harbour School", "--zone", "Europe/Berlin"])

    captured = capsys.readouterr()
    assert code == 0
    assert TOKEN.fullmatch(captured.out.splitlines()[-1])
    assert "Made the organization Harbour School" in captured.err
    assert "Next: coursebell --database URL serve, with the same URL" in captured.err
    assert run([*here, "db", "check"]) == 0
    assert run([*here, "user", "list", "--json"]) == 0
    (admin,) = json.loads(capsys.readouterr().out)
    assert admin["role"] == "admin"


def test_init_shows_no_password_of_the_database(blank_postgres_url, capsys):
    with_password = blank_postgres_url.replace("@", ":opensesame@", 1)

    assert run(["--database", with_password, "init"]) == 0

    assert "opensesame" not in capsys.readouterr().err


def test_init_without_a_key_leaves_postgresql_as_it_was(blank_postgres_url, capsys, monkeypatch):
    monkeypatch.delenv("COURSEBELL_SECRET_KEY")

    assert run(["--database", blank_postgres_url, "init"]) == 1

    assert "COURSEBELL_SECRET_KEY is not set" in capsys.readouterr().err
    assert run(["--database", blank_postgres_url, "db", "check"]) == 1
    shown = blank_postgres_url.replace("+psycopg", "")
    told = f"coursebell: The database is empty: {shown}. Run: coursebell init\n"
    assert capsys.readouterr().err == told


def test_a_time_zone_that_is_none_is_one_line_and_makes_nothing(blank_sqlite_url, capsys, tmp_path):
    assert run(["--database", blank_sqlite_url, "init", "--zone", "Mars/Crater"]) == 1

    assert capsys.readouterr().err.startswith("coursebell: zone: Must be an IANA name")
    assert list(tmp_path.iterdir()) == []


def test_before_init_a_command_says_what_to_do(blank_sqlite_url, capsys, tmp_path):
    assert run(["--database", blank_sqlite_url, "user", "list"]) == 1

    path = blank_sqlite_url.removeprefix("sqlite:///")
    told = f"coursebell: The database is empty: {path}. Run: coursebell init\n"
    assert capsys.readouterr().err == told
    assert list(tmp_path.iterdir()) == []


def test_a_user_is_created_and_listed(coursebell):
    code, made, _ = coursebell(
        *("user", "create", "--email", "bo@harbour.example"),
        *("--first-name", "Bo", "--last-name", "Lind", "--role", "instructor"),
    )

    _, listed, _ = coursebell("user", "list", "--json", "--role", "instructor")
    _, table, _ = coursebell("user", "list", "--email", "BO@")
    assert code == 0
    (bo,) = json.loads(listed)
    assert bo["id"] == made.strip()
    assert bo["firstName"] == "Bo"
    assert bo["locale"] == "en"
    assert bo["createdDate"].endswith("Z")
    assert bo["lastLoginDate"] is None
    assert made.strip() in table
    assert "ada@harbour.example" not in table


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (" ", "Must not be empty"),
        ("x" * 101, "at most 100 characters"),
        ("Bo\x1b[31m", "control characters"),
        ("Bo\udcff", "UTF-8"),
    ],
)
def test_a_name_that_the_api_would_not_take_is_refused_in_one_line(coursebell, name, rule):
    commands = [
        ("user", "create", "--email", "b@x.example", "--first-name", "Bo", "--last-name", name),
        ("token", "create", "--user", "ada@harbour.example", "--name", name),
    ]

    for command in commands:
        code, out, err = coursebell(*command)

        assert (code, out, err.count("\n")) == (2, "", 1)
        assert rule in err
        assert command[-2] in err


@pytest.mark.parametrize("name", ["[bold]Bo", "Bo [/x]", "[fd00::1]", "Bo \\"])
def test_a_name_in_brackets_is_shown_as_it_is(coursebell, name):
    coursebell(
        *("user", "create", "--email", "bo@harbour.example"),
        *("--first-name", name, "--last-name", "Lind"),
    )

    code, table, _ = coursebell("user", "list")

    assert code == 0
    assert name in table


def test_all_users_are_listed_however_many(coursebell, database):
    registrar = Registrar(database=database)
    actor = organizations.operator_of(organizations.choose_organization(registrar, None))
    many = [
        people.NewUser(first_name="U", last_name="V", email=f"u{number}@harbour.example")
        for number in range(101)
    ]
    people.create_users(registrar, actor, many, datetime.now(UTC))

    _, listed, _ = coursebell("user", "list", "--json")

    assert len(json.loads(listed)) == 102


def test_a_user_that_breaks_a_rule_is_one_line(coursebell):
    code, out, err = coursebell(
        "user", "create", "--email", "nowhere", "--first-name", "No", "--last-name", "Where"
    )

    assert (code, out) == (1, "")
    assert err == "coursebell: email: Invalid email address\n"


def test_a_token_is_printed_alone_listed_without_its_secret_and_revoked(coursebell):
    _, made, _ = coursebell("token", "create", "--user", "ada@harbour.example", "--name", "player")

    _, listed, _ = coursebell("token", "list", "--user", "ada@harbour.example", "--json")
    tokens = {token["name"]: token for token in json.loads(listed)}
    code, _, said = coursebell("token", "revoke", tokens["player"]["id"])
    _, left, _ = coursebell("token", "list")

    assert TOKEN.fullmatch(made.strip())
    assert made.strip() not in listed
    assert tokens.keys() == {"coursebell init", "player"}
    assert (code, said) == (0, "Revoked.\n")
    assert "player" not in left


def test_a_token_for_nobody_is_one_line(coursebell):
    code, out, err = coursebell("token", "create", "--user", "nobody@harbour.example")

    assert (code, out) == (1, "")
    assert err == "coursebell: No user has the e-mail address nobody@harbour.example.\n"


def test_a_token_that_does_not_exist_cannot_be_revoked(coursebell):
    assert coursebell("token", "revoke", "0" * 32)[0] == 1


def test_an_organization_that_does_not_exist_is_one_line(coursebell):
    code, _, err = coursebell("--organization", "Elsewhere", "user", "list")

    assert code == 1
    assert err == "coursebell: No organization is called Elsewhere. There are: Harbour School\n"
