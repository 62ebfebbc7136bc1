"""`coursebell backup`: what it says, what it refuses, and that a restored copy works."""

from __future__ import annotations

import pytest

from coursebell.cli.app import run
from coursebell.storage.backup import verify


@pytest.fixture
def coursebell(sqlite_url, capsys, monkeypatch):
    """Runs a command on an SQLite file with a key file: its exit code, stdout and stderr."""
    monkeypatch.delenv("COURSEBELL_SECRET_KEY", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["--database", sqlite_url, *arguments])
        return code, *capsys.readouterr()

    assert call("init")[0] == 0
    return call


def test_a_backup_is_told_with_what_was_found_in_it(coursebell, tmp_path):
    target = tmp_path / "copy.db"

    code, out, err = coursebell("backup", str(target))

    assert (code, out) == (0, "")
    lines = err.splitlines()
    assert lines[0].endswith(f" to {target}.")
    assert lines[1] == (
        "Opened it and found no fault: schema 0001, "
        "1 users, 0 registrations, 1 events, 0 deliveries."
    )
    assert lines[2].endswith(f"keep {tmp_path / 'coursebell.db.key'} as well.")
    assert verify(target).rows["users"] == 1


def test_with_a_key_from_the_environment_it_is_that_key_that_matters(
    coursebell, tmp_path, monkeypatch, secret_key
):
    monkeypatch.setenv("COURSEBELL_SECRET_KEY", secret_key)

    _, _, err = coursebell("backup", str(tmp_path / "copy.db"))

    assert "Without COURSEBELL_SECRET_KEY nothing can be sent" in err
    assert secret_key not in err


def test_a_file_is_replaced_only_by_force(coursebell, tmp_path):
    target = tmp_path / "copy.db"
    target.write_text("x")

    refused = coursebell("backup", str(target))
    forced = coursebell("backup", str(target), "--force")

    assert refused == (1, "", f"coursebell: {target} is there already; --force replaces it.\n")
    assert forced[0] == 0


def test_an_empty_database_is_not_backed_up(blank_sqlite_url, tmp_path, capsys):
    code = run(["--database", blank_sqlite_url, "backup", str(tmp_path / "copy.db")])

    assert code == 1
    assert "The database is empty: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_postgresql_is_told_the_command_of_its_own_without_the_password(capsys, tmp_path):
    url = "postgresql://bell:hush@db.example:5432/coursebell?sslmode=require"

    code = run(["--database", url, "backup", "/backup/of today.dump"])

    err = capsys.readouterr().err
    assert code == 1
    assert (
        "pg_dump --format=custom --file='/backup/of today.dump' "
        "'postgresql://bell@db.example:5432/coursebell?sslmode=require'"
    ) in err
    assert "COURSEBELL_SECRET_KEY" in err
    assert "hush" not in err
    assert err.count("\n") == 1
