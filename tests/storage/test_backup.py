"""Copying an SQLite database that is in use: whole, or not at all."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from coursebell.domain import samples
from coursebell.domain.events import EventName
from coursebell.domain.model import new_id
from coursebell.errors import BackupError
from coursebell.storage import outbox
from coursebell.storage.backup import back_up, verify
from coursebell.storage.database import Database
from factories import NOW, open_school


@pytest.fixture
def database(sqlite_url):
    database = Database(sqlite_url)
    yield database
    database.close()


@pytest.fixture
def school(database):
    return open_school(database)


def copy(database, target, *, replace=False, progress=lambda *_: None):
    return back_up(database.path, target, replace=replace, progress=progress)


def tell(school, number=1, bulk=0):
    with school.database.transaction() as tx:
        events = [
            samples.sample_event(EventName.USER_CREATED, new_id(), NOW) for _ in range(number)
        ]
        for event in events:
            event.document["bulk"] = "x" * bulk
        outbox.insert_events(tx, school.organization.id, events)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_copy_holds_what_the_database_does(school, tmp_path):
    school.registrations(3)
    target = tmp_path / "copy.db"

    made = copy(school.database, target)

    assert made.contents.rows["registrations"] == 3
    assert made.contents.rows["events"] == 7
    assert made.size == target.stat().st_size
    assert verify(target) == made.contents
    opened = Database(f"sqlite:///{target}")
    with opened.snapshot() as tx:
        assert outbox.find_event(tx, school.organization.id, school.events()[0].id)
    opened.close()


def test_only_its_owner_reads_the_copy(school, tmp_path):
    copy(school.database, tmp_path / "copy.db")

    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600


def test_nothing_but_the_copy_is_left(school, tmp_path):
    before = files(tmp_path)

    copy(school.database, tmp_path / "copy.db")

    assert files(tmp_path) - before == {"copy.db"}


def test_progress_is_told_to_the_end(school, tmp_path):
    tell(school, 300, bulk=40_000)
    told = []

    copy(school.database, tmp_path / "copy.db", progress=lambda *each: told.append(each))

    assert len(told) >= 3
    assert told[-1][0] == told[-1][1]
    assert told == sorted(told)


def test_a_copy_is_of_one_moment_although_others_write_on(school, tmp_path):
    """A commit after every step: the copy neither starts anew nor sees any of them."""
    tell(school, 300, bulk=40_000)
    before = verify_counts(school)
    steps = []

    def interfere(copied, total):
        steps.append(copied)
        tell(school)

    made = copy(school.database, tmp_path / "copy.db", progress=interfere)

    assert made.contents.rows["events"] == before
    assert steps == sorted(set(steps))
    assert verify_counts(school) == before + len(steps)


def verify_counts(school) -> int:
    with closing(sqlite3.connect(school.database.path)) as connection:
        return connection.execute("SELECT count(*) FROM events").fetchone()[0]


def test_a_copy_among_busy_writers_ends(school, tmp_path):
    tell(school, 200, bulk=20_000)
    stop = threading.Event()

    def write():
        while not stop.is_set():
            tell(school)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = copy(school.database, tmp_path / "copy.db")
    finally:
        stop.set()
        writer.join()

    assert made.contents.rows["events"] >= 200


def test_a_file_that_is_there_is_kept_unless_it_may_be_replaced(school, tmp_path):
    target = tmp_path / "copy.db"
    target.write_text("precious")

    with pytest.raises(BackupError, match="--force replaces it"):
        copy(school.database, target)
    assert target.read_text() == "precious"

    copy(school.database, target, replace=True)
    assert verify(target).rows["events"] == 1


def test_a_file_that_appears_meanwhile_is_kept(school, tmp_path):
    target = tmp_path / "copy.db"

    with pytest.raises(BackupError, match="File exists"):
        copy(school.database, target, progress=lambda *_: target.write_text("precious"))

    assert target.read_text() == "precious"
    assert files(tmp_path) == {
        "copy.db",
        *(name for name in files(tmp_path) if "coursebell" in name),
    }


def test_a_failure_leaves_nothing_and_the_earlier_copy_stays(school, tmp_path):
    target = tmp_path / "copy.db"
    copy(school.database, target)
    earlier, before = target.read_bytes(), files(tmp_path)

    def fail(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(BackupError, match="No space left on device"):
        copy(school.database, target, replace=True, progress=fail)

    assert target.read_bytes() == earlier
    assert files(tmp_path) == before


def test_breaking_it_off_leaves_nothing(school, tmp_path):
    before = files(tmp_path)

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(school.database, tmp_path / "copy.db", progress=interrupt)

    assert files(tmp_path) == before


def test_a_damaged_database_gives_no_backup(school, tmp_path):
    tell(school, 200, bulk=2_000)
    school.database.close()
    with closing(sqlite3.connect(school.database.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with school.database.path.open("r+b") as file:
        for page in range(20, 120, 3):
            file.seek(page * size)
            file.write(os.urandom(200))
    before = files(tmp_path)

    with pytest.raises(BackupError):
        copy(school.database, tmp_path / "copy.db")

    assert "copy.db" not in files(tmp_path)
    assert {name for name in files(tmp_path) - before if name.startswith(".")} == set()


def test_a_file_in_which_sqlite_finds_a_fault_is_damaged(tmp_path):
    path = tmp_path / "copy.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE grades (grade INTEGER CHECK (grade <= 100))")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("INSERT INTO grades VALUES (101)")
        connection.commit()

    with pytest.raises(BackupError, match="The copy is damaged: CHECK constraint failed"):
        verify(path)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("coursebell.db", "That is the database itself."),
        ("nowhere/copy.db", "could not be made: No such file or directory."),
        (".", "is a directory"),
    ],
)
def test_a_place_where_it_cannot_be_is_refused(school, tmp_path, target, message):
    with pytest.raises(BackupError, match=message):
        copy(school.database, tmp_path / target, replace=True)


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(BackupError, match="There is no database"):
        back_up(tmp_path / "no.db", tmp_path / "copy.db", replace=False, progress=lambda *_: None)

    assert files(tmp_path) == set()
