"""Connections and transactions: what is undone, what is tried again, what callers are told."""

import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event

import pytest
import sqlalchemy as sa

from coursebell.domain.model import Organization, SignIn, new_id
from coursebell.errors import ConfigurationError, UnavailableError
from coursebell.storage import people
from coursebell.storage.database import Database, RaceError
from coursebell.storage.prepared import Prepared
from coursebell.storage.tables import organizations
from factories import NOW
from faults import disks
from needs import require

PASSWORD = "open-sesame"


def insert(tx, organization_id=None) -> Organization:
    organization = Organization(
        id=organization_id or new_id(),
        name="X",
        zone="UTC",
        locale="en",
        sign_in=SignIn.EMAIL,
        created_at=NOW,
    )
    people.insert_organization(tx, organization)
    return organization


def count(database: Database) -> int:
    with database.snapshot() as tx:
        return tx.execute(sa.select(sa.func.count()).select_from(organizations)).scalar_one()


def test_a_transaction_is_undone_by_an_exception_which_goes_on(database):
    def insert_and_fail():
        with database.transaction() as tx:
            insert(tx)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        insert_and_fail()
    assert count(database) == 0


def test_a_snapshot_sees_one_state_of_the_database(database):
    with database.snapshot() as tx:
        before = len(people.list_organizations(tx))
    with database.transaction() as tx:
        insert(tx)

    assert (before, count(database)) == (0, 1)


RENAME = sa.update(organizations).values(name="Y")


@pytest.mark.parametrize(
    "write",
    [lambda tx: tx.execute(RENAME), lambda tx: Prepared(RENAME).run(tx)],
    ids=["plain", "prepared"],
)
def test_what_was_opened_on_a_read_only_disk_is_written_when_the_disk_can_be(
    sqlite_template, write
):
    require("root, unshare, nsenter and mount", disks.can_mount())
    with ExitStack() as stack:
        disk = stack.enter_context(closing(disks.Disk()))
        path, killed = disk.path / "coursebell.db", disk.path / "killed.db"
        database = stack.enter_context(closing(Database(f"sqlite:///{path}")))

        def add() -> None:
            with database.transaction() as tx:
                write(tx)

        def leave_behind() -> None:
            shutil.copyfile(sqlite_template, killed)
            with closing(sqlite3.connect(killed)) as connection:
                connection.execute("UPDATE alembic_version SET version_num = version_num")
                connection.commit()
                for suffix in ("", "-wal", "-shm"):  # as a process leaves them that is killed
                    shutil.copyfile(f"{killed}{suffix}", f"{path}{suffix}")

        disk.inside(leave_behind)
        disk.make_read_only()
        for _ in range(3):
            assert disk.inside(lambda: count(database)) == 0  # reading goes on, and is kept ready
            with pytest.raises(UnavailableError, match="readonly"):
                disk.inside(add)
        with ExitStack() as meanwhile:  # somebody reads, and gives the connection back later
            reading = disk.inside(lambda: meanwhile.enter_context(database.snapshot()))
            reading.execute(sa.select(organizations))
            with pytest.raises(UnavailableError, match="readonly"):
                disk.inside(add)
        disk.make_writable()

        disk.inside(add)  # nothing of the connections before is left


def test_on_sqlite_readers_do_not_wait_for_the_writer(sqlite_url):
    database = Database(sqlite_url)

    with database.transaction() as tx:
        insert(tx)
        with ThreadPoolExecutor(1) as thread:
            seen = thread.submit(count, database).result(timeout=5)

    database.close()
    assert seen == 0


def test_two_of_a_kind_lose_a_race(database):
    with database.transaction() as tx:
        first = insert(tx)

    with pytest.raises(RaceError), database.transaction() as tx:
        insert(tx, first.id)

    assert count(database) == 1


def test_work_that_loses_a_race_starts_again(database):
    ids = [new_id(), new_id()]
    with database.transaction() as tx:
        insert(tx, ids[0])
    tried = []

    def work(tx):
        tried.append(ids[len(tried)])
        return insert(tx, tried[-1]).id

    assert database.run(work) == ids[1]
    assert tried == ids
    assert count(database) == 2


def test_work_that_keeps_losing_gives_up_and_says_so(database):
    with database.transaction() as tx:
        taken = insert(tx).id
    tried = []

    def work(tx):
        tried.append(None)
        insert(tx, taken)

    with pytest.raises(RaceError):
        database.run(work)

    assert len(tried) == 4


def test_other_errors_are_not_tried_again(database):
    tried = []

    def work(_tx):
        tried.append(None)
        raise UnavailableError

    with pytest.raises(UnavailableError):
        database.run(work)

    assert len(tried) == 1


def test_a_deadlock_is_a_race(postgres_url):
    database = Database(postgres_url)
    with database.transaction() as tx:
        one, two = insert(tx).id, insert(tx).id

    both_hold_one = Barrier(2)

    def lock_in_turn(first, second):
        with database.transaction() as tx:
            tx.execute(sa.text("SET LOCAL deadlock_timeout = '50ms'"))
            for number, organization_id in enumerate((first, second)):
                query = sa.select(organizations).where(organizations.c.id == organization_id)
                tx.execute(query.with_for_update())
                if number == 0:
                    both_hold_one.wait(10)

    with ThreadPoolExecutor(2) as threads:
        tasks = [threads.submit(lock_in_turn, one, two), threads.submit(lock_in_turn, two, one)]
        outcomes = [type(task.exception(timeout=30)) for task in tasks]

    database.close()
    assert sorted(outcomes, key=str) == [type(None), RaceError]


def test_a_locked_sqlite_file_is_unavailable(sqlite_url, monkeypatch):
    monkeypatch.setattr("coursebell.storage.database._BUSY_SECONDS", 0.05)
    database = Database(sqlite_url)
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(UnavailableError, match="locked"), database.transaction():
        pass

    other.close()
    database.close()


def test_a_writer_gets_its_turn_beside_a_process_that_hardly_pauses(sqlite_url):
    database, stop = Database(sqlite_url), Event()

    def keep_busy():
        with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
            while not stop.wait(0.001):
                other.execute("BEGIN IMMEDIATE")
                time.sleep(0.05)
                other.execute("ROLLBACK")

    def write(number):
        for _ in range(number):
            time.sleep(0.02)
            with database.transaction():
                pass

    with ThreadPoolExecutor(2) as threads:
        busy = threads.submit(keep_busy)
        try:
            # one look in fifty meets a pause: a look every tenth of a second takes half a minute
            threads.submit(write, 10).result(timeout=10)
        finally:
            stop.set()
        busy.result(timeout=30)
    database.close()


def test_a_pool_that_is_used_up_is_unavailable(database_url, monkeypatch):
    monkeypatch.setattr("coursebell.storage.database._BUSY_SECONDS", 0.05)
    database = Database(database_url, pool_size=1)

    with database.snapshot(), pytest.raises(UnavailableError), database.snapshot():
        pass

    database.close()


def test_a_server_that_is_not_there_is_unavailable_and_no_password_is_told(free_port):
    database = Database(f"postgresql://bell:{PASSWORD}@127.0.0.1:{free_port}/bell")

    with pytest.raises(UnavailableError, match="cannot be used") as told, database.snapshot():
        pass

    database.close()
    assert PASSWORD not in told.value.message
    assert "\n" not in told.value.message


def test_a_directory_that_is_not_there_is_unavailable(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/missing/coursebell.db")

    with pytest.raises(UnavailableError, match="unable to open"), database.snapshot():
        pass

    database.close()


def test_a_file_that_is_no_database_is_unavailable(tmp_path):
    path = tmp_path / "coursebell.db"
    path.write_text("This is a letter, not a database. " * 100)
    database = Database(f"sqlite:///{path}")

    with pytest.raises(UnavailableError, match="not a database"), database.snapshot():
        pass

    database.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "coursebell.db",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://localhost/bell",
        "postgresql://127.0.0.1:port/bell",
    ],
)
def test_a_url_of_no_use_is_refused_by_the_settings_name(url):
    with pytest.raises(ConfigurationError, match="COURSEBELL_DATABASE_URL"):
        Database(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_postgresql_url_may_begin_in_several_ways(scheme):
    database = Database(f"{scheme}://127.0.0.1/bell")

    database.close()
    assert (database.is_postgres, database.path, database.bell_path) == (True, None, None)


def test_a_commit_on_sqlite_survives_a_power_cut(sqlite_url):
    database = Database(sqlite_url)
    with database.snapshot() as tx:
        found = [
            tx.execute(sa.text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    database.close()
    assert found == ["wal", 2, 1]


def test_the_clock_stands_still_in_a_statement_and_is_the_servers_where_there_is_one(database):
    long_ago = NOW - timedelta(days=400)

    with database.snapshot() as tx:
        told = tx.read_clock(long_ago)

    if database.is_postgres:
        assert abs((told - datetime.now(UTC)).total_seconds()) < 60
    else:
        assert told == long_ago


@pytest.mark.parametrize("seconds", [0.0, 0.25, 75.0, 86_400.5, -1.0])
def test_later_is_that_many_seconds_after_the_clock(database, seconds):
    with database.snapshot() as tx:
        parts = (tx.clock(NOW), tx.later(NOW, sa.literal(seconds, sa.Float())))
        clock, later = tx.execute(sa.select(*parts)).one()

    assert later - clock == timedelta(seconds=seconds)


def test_a_wrong_statement_is_our_mistake_and_not_translated(postgres_url):
    database = Database(postgres_url)

    with pytest.raises(sa.exc.ProgrammingError), database.snapshot() as tx:
        tx.execute(sa.text("SELECT nothing_of_the_kind"))

    database.close()
