"""`coursebell db`, on both engines."""

import sqlite3

from coursebell.cli.app import run
from coursebell.storage.migrations import newest


def test_an_empty_database_is_upgraded_once(blank_database_url, capsys):
    here = ["--database", blank_database_url, "db"]

    assert run([*here, "check"]) == 1
    assert run([*here, "upgrade"]) == 0
    assert run([*here, "upgrade"]) == 0
    assert run([*here, "check"]) == 0

    shown = blank_database_url.removeprefix("sqlite:///").replace("+psycopg", "")
    assert capsys.readouterr().err.splitlines() == [
        f"coursebell: The database is empty: {shown}. Run: coursebell init",
        f"Upgraded the database from nothing to schema {newest()}.",
        f"The database has schema {newest()} already; nothing was changed.",
        f"The database has schema {newest()}, as it should.",
    ]


def test_a_database_of_a_newer_version_is_left_alone(sqlite_url, capsys):
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    codes = [run(["--database", sqlite_url, "db", command]) for command in ("check", "upgrade")]

    assert codes == [1, 1]
    for line in capsys.readouterr().err.splitlines():
        assert line.startswith("coursebell: The database has schema 9999, which this version")


def test_a_database_that_cannot_be_reached_is_one_line(capsys):
    code = run(["--database", "postgresql://nobody@127.0.0.1:1/nothing", "db", "check"])

    captured = capsys.readouterr()
    assert code == 1
    assert captured.err.startswith("coursebell: The database cannot be used: ")
    assert captured.err.count("\n") == 1


def test_secrets_are_sealed_anew_and_the_old_key_can_go(database_url, capsys, monkeypatch):
    old, new = "an old key of these tests", "a new key of these tests"

    def coursebell(*arguments: str, keys: str) -> tuple[int, str]:
        monkeypatch.setenv("COURSEBELL_SECRET_KEY", keys)
        code = run(["--database", database_url, *arguments])
        return code, capsys.readouterr().err

    hook = ("webhook", "add", "https://lms.example/", "--event", "offering_completed")
    assert coursebell("init", keys=old)[0] == 0
    assert coursebell(*hook, keys=old)[0] == 0

    lost = coursebell("db", "reseal", keys=new)
    sealed = coursebell("db", "reseal", keys=f"{new},{old}")
    again = coursebell("db", "reseal", keys=new)

    assert lost[0] == 1
    assert "No key opens the secrets of webhook " in lost[1]
    assert "Do not drop any key." in lost[1]
    assert sealed[0] == 0
    assert sealed[1].startswith("Sealed the secrets of 1 of 1 webhooks anew.\n")
    assert "The others can be dropped" in sealed[1]
    assert again[0] == 0
    assert again[1].startswith("Sealed the secrets of 0 of 1 webhooks anew.\n")
