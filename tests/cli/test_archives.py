"""`coursebell export` and `coursebell import-archive`: files, messages, exit codes."""

import stat

import pytest

from coursebell.cli.app import run


@pytest.fixture
def coursebell(tmp_path, capsys, monkeypatch):
    """Runs a command on the database of that name, says its exit code, stdout and stderr."""
    monkeypatch.setenv("COURSEBELL_ALLOWED_NETWORKS", "127.0.0.0/8")

    def command(database: str, *arguments: object) -> tuple[int, str, str]:
        code = run(["--database", f"sqlite:///{tmp_path / database}", *map(str, arguments)])
        return code, *capsys.readouterr()

    assert command("a.db", "init", "--organization", "Harbour School")[0] == 0
    return command


def test_an_organization_moves_by_a_file_and_says_what_is_to_be_issued_again(coursebell, tmp_path):
    webhook = ("webhook", "add", "http://127.0.0.1:9/", "--event", "user_created", "--name", "CRM")
    assert coursebell("a.db", *webhook)[0] == 0
    file, again = tmp_path / "school.jsonl", tmp_path / "again.jsonl"

    code, out, err = coursebell("a.db", "export", file)
    brought = coursebell("b.db", "import-archive", file)
    coursebell("b.db", "export", again)

    assert (code, out) == (0, "")
    assert "1 tokens" in err
    assert "coursebell init, of user" in err
    assert "CRM" in err
    assert brought[:2] == (0, "")
    assert "coursebell token create" in brought[2]
    assert file.read_text().splitlines()[1:] == again.read_text().splitlines()[1:]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.glob("*.jsonl*")) == [again.name, file.name]


def test_without_a_file_it_goes_to_stdout(coursebell):
    code, out, _ = coursebell("a.db", "export")

    assert code == 0
    assert out.startswith('{"format":"coursebell-archive-1"')
    assert out.endswith("}\n")


def test_a_file_that_is_there_is_replaced_only_on_request(coursebell, tmp_path):
    file = tmp_path / "school.jsonl"
    file.write_text("mine")

    refused = coursebell("a.db", "export", file)
    kept = file.read_text()
    forced = coursebell("a.db", "export", file, "--force")

    assert (refused[0], kept, forced[0]) == (1, "mine", 0)
    assert "--force" in refused[2]
    assert file.read_text().startswith("{")


def test_a_place_that_cannot_be_written_is_one_line(coursebell, tmp_path):
    code, _, err = coursebell("a.db", "export", tmp_path / "nowhere" / "school.jsonl")

    assert code == 1
    assert err.count("\n") == 1


def test_a_database_in_use_takes_no_archive_and_a_broken_one_leaves_nothing(coursebell, tmp_path):
    file = tmp_path / "school.jsonl"
    coursebell("a.db", "export", file)

    in_use = coursebell("a.db", "import-archive", file)
    file.write_text(file.read_text()[:-20])
    broken = coursebell("c.db", "import-archive", file)
    empty = coursebell("c.db", "user", "list")

    assert in_use[0] == broken[0] == empty[0] == 1
    assert "needs an empty database" in in_use[2]
    assert "is not JSON" in broken[2]
    assert "There is no organization yet" in empty[2]
