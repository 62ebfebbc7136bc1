"""`coursebell import`: what it says, where the bad lines go, its exit codes."""

import json

import pytest

from coursebell.cli.app import run

GOOD = "E-mail;Given name;Surname;Shoe\nada@x.example;Ada;Byron;39\nbo@x.example;Bo;Li;40\n"
BAD = GOOD + "bad;A;B;\n;A;B;\n"


@pytest.fixture
def coursebell(sqlite_url, capsys):
    """Runs a command on an installation, says its exit code, stdout and stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        code = run(["--database", sqlite_url, *map(str, arguments)])
        return code, *capsys.readouterr()

    assert command("init")[0] == 0
    return command


@pytest.fixture
def table(tmp_path):
    def table(text: str) -> object:
        path = tmp_path / "people.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return table


def test_a_good_file_is_imported_and_the_second_time_nothing_changes(coursebell, table):
    first = coursebell("import", "users", table(GOOD))
    second = coursebell("import", "users", table(GOOD))

    assert first[:2] == (0, "2 read, 2 created, 0 updated, 0 unchanged, 0 rejected\n")
    assert second[:2] == (0, "2 read, 0 created, 0 updated, 2 unchanged, 0 rejected\n")
    assert first[2] == "Columns that mean nothing here: Shoe\n"


def test_a_dry_run_says_so_and_every_bad_line(coursebell, table):
    code, out, err = coursebell("import", "users", table(BAD), "--dry-run")
    listed = coursebell("user", "list", "--json")[1]

    assert (code, out) == (1, "4 read, 2 created, 0 updated, 0 unchanged, 2 rejected\n")
    assert "line 4, email: Invalid email address.\n" in err
    assert "line 5, email: Is required.\n" in err
    assert "Nothing was changed" in err
    assert len(json.loads(listed)) == 1


def test_bad_lines_go_to_a_file_and_the_others_are_imported(coursebell, table, tmp_path):
    code, _, err = coursebell("import", "users", table(BAD), "--errors", tmp_path / "bad.csv")

    assert code == 1
    assert "The other lines were imported" in err
    assert (tmp_path / "bad.csv").read_text().splitlines() == [
        "line,column,rule",
        "4,email,Invalid email address.",
        "5,email,Is required.",
    ]


def test_programs_get_one_object_of_json(coursebell, table):
    code, out, _ = coursebell("import", "users", table(BAD), "--json")
    good = coursebell("import", "users", table(GOOD), "--json")[1]

    counts = {"read": 4, "created": 2, "updated": 0, "unchanged": 0, "rejected": 2}
    errors = [
        {"line": 4, "column": "email", "rule": "Invalid email address."},
        {"line": 5, "column": "email", "rule": "Is required."},
    ]
    assert (code, json.loads(out)) == (1, {"errors": errors, **counts})
    assert json.loads(good)["errors"] == []


def test_what_is_wrong_with_many_lines_is_told_once_for_all(coursebell, table):
    lines = "".join(f"bad{n};A;B;\n" for n in range(30))

    _, _, err = coursebell("import", "users", table(GOOD + lines))

    assert err.count("line ") == 10
    assert "  30 times email: Invalid email address.\n" in err
    assert "--errors FILE" in err


def test_headers_are_mapped_and_what_is_missing_is_one_line(coursebell, table):
    name, way = "Kurs;Wo\nFire;Hall\n", ("import", "offerings")

    refused = coursebell(*way, table(name))
    wrong = coursebell(*way, table(name), "--map", "Kurs")
    mapped = coursebell(*way, table(name), "--map", "Kurs=title", "--map", "wo=catalogDescription")

    assert refused[0] == wrong[0] == 1
    assert "No column is title" in refused[2]
    assert "--map needs HEADER=COLUMN" in wrong[2]
    assert mapped[:2] == (0, "1 read, 1 created, 0 updated, 0 unchanged, 0 rejected\n")


def test_registrations_tell_webhooks_only_when_asked(coursebell, table, monkeypatch):
    monkeypatch.setenv("COURSEBELL_ALLOWED_NETWORKS", "127.0.0.0/8")
    made = coursebell(
        "webhook", "add", "http://127.0.0.1:9/", "--event", "offering_completed", "--json"
    )
    webhook = json.loads(made[1])["id"]
    coursebell("import", "users", table(GOOD))
    coursebell("import", "offerings", table("title\nFire\n"))
    line = "email,course,passed,endDate\n{}@x.example,Fire,yes,2020-01-01\n"

    silent = coursebell("import", "registrations", table(line.format("ada")))
    told = coursebell("import", "registrations", table(line.format("bo")), "--send-events")

    assert silent[0] == told[0] == 0
    deliveries = json.loads(coursebell("webhook", "deliveries", webhook, "--json")[1])
    assert len(deliveries) == 1


def test_a_file_that_is_not_there_is_not_understood(coursebell, tmp_path):
    code, _, err = coursebell("import", "users", tmp_path / "none.csv")

    assert code == 2
    assert err.count("\n") == 1
