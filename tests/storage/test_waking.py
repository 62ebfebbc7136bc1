"""The bell, rung by other processes; and the right to be the only dispatcher."""

import select
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from coursebell.errors import ConfigurationError, UnavailableError
from coursebell.storage.database import Database
from coursebell.storage.notifications import NotifyBell
from coursebell.storage.waking import (
    RUN_ID_LENGTH,
    DatagramBell,
    OnlyDispatcher,
    hang_bell,
    list_connected_runs,
    new_run_id,
)
from factories import open_school

RING = """
import sys
from coursebell.storage.database import Database
database = Database(sys.argv[1], secret_keys=["x"])
with database.transaction() as tx:
    tx.wake_dispatcher()
database.close()
"""

HOLD = """
import sys, time
from pathlib import Path
from coursebell.storage.waking import OnlyDispatcher
only = OnlyDispatcher(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def wait_until(condition):
    """The server notices a closed connection in its own time."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def is_rung(bell, seconds=0.0):
    return bool(select.select(bell.descriptors(), [], [], seconds)[0])


def write_something(database):
    with database.transaction() as tx:
        tx.wake_dispatcher()


def wake_and_fail(database):
    with database.transaction() as tx:
        tx.wake_dispatcher()
        raise RuntimeError


def test_the_bell_rings_when_another_process_commits(database):
    with closing(hang_bell(database)) as bell:
        bell.silence()
        assert not is_rung(bell)

        url = database.url.render_as_string(hide_password=False)
        subprocess.run([sys.executable, "-c", RING, url], check=True)

        assert is_rung(bell, 10)


def test_the_bell_does_not_ring_for_what_is_undone_or_wakes_nobody(database):
    with closing(hang_bell(database)) as bell:
        with pytest.raises(RuntimeError):
            wake_and_fail(database)
        with database.transaction():
            pass

        assert not is_rung(bell, 0.1)


def test_many_rings_are_silenced_at_once_and_the_next_one_rings_again(database):
    with closing(hang_bell(database)) as bell:
        for _ in range(20):
            write_something(database)
        assert is_rung(bell, 10)

        while is_rung(bell, 0.1):  # PostgreSQL's may still be on their way
            bell.silence()

        write_something(database)
        assert is_rung(bell, 10)


def test_each_bell_has_a_run_id_of_its_own(database):
    with closing(hang_bell(database)) as one, closing(hang_bell(database)) as two:
        assert len(one.run_id) == len(two.run_id) == RUN_ID_LENGTH
        assert one.run_id != two.run_id


# SQLite


@pytest.fixture
def sqlite(sqlite_url, secret_key):
    with closing(Database(sqlite_url, secret_keys=[secret_key])) as database:
        yield database


def test_a_commit_is_noticed_without_a_ring(sqlite):
    with closing(DatagramBell(sqlite.path, sqlite.bell_path)) as bell:
        assert not bell.missed_rings()

        open_school(sqlite)
        assert bell.missed_rings()

        bell.silence()
        assert not bell.missed_rings()


def test_a_path_too_long_for_a_socket_leaves_looking_at_the_file(
    sqlite_template, tmp_path, secret_key
):
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    path = folder / "coursebell.db"
    path.write_bytes(sqlite_template.read_bytes())
    with (
        closing(Database(f"sqlite:///{path}", secret_keys=[secret_key])) as database,
        closing(hang_bell(database)) as bell,
    ):
        assert bell.descriptors() == ()

        open_school(database, now=datetime.now(UTC))

        assert bell.missed_rings()
        bell.silence()
        assert not bell.missed_rings()


def test_a_socket_left_by_a_killed_dispatcher_is_replaced_and_only_its_owner_may_ring(sqlite):
    with closing(DatagramBell(sqlite.path, sqlite.bell_path)):
        with closing(DatagramBell(sqlite.path, sqlite.bell_path)) as bell:
            assert sqlite.bell_path.stat().st_mode & 0o777 == 0o600
            write_something(sqlite)
            assert is_rung(bell, 10)
        assert not sqlite.bell_path.exists()


def test_a_bell_of_a_file_that_is_no_database_is_unavailable(tmp_path):
    path = tmp_path / "no.db"
    path.write_bytes(b"not a database at all" * 200)

    with pytest.raises(UnavailableError):
        DatagramBell(path, tmp_path / "no.db.bell")


def test_a_bell_of_a_file_that_cannot_be_opened_is_unavailable(tmp_path):
    nowhere = tmp_path / "nowhere" / "bell.db"

    with pytest.raises(UnavailableError):
        DatagramBell(nowhere, nowhere.with_name("bell"))


def test_a_lock_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "bell.db.lock").mkdir()  # root may write everywhere, but not into a directory

    with pytest.raises(UnavailableError) as refused:
        OnlyDispatcher(tmp_path / "bell.db")

    assert refused.value.message == f"{tmp_path}/bell.db.lock cannot be opened: Is a directory."


def test_where_no_socket_can_be_bound_the_file_is_looked_at(sqlite, tmp_path):
    (tmp_path / "bell").mkdir()  # neither to be removed nor replaced, as on a read-only disk

    with closing(DatagramBell(sqlite.path, tmp_path / "bell")) as bell:
        assert bell.descriptors() == ()
        open_school(sqlite)
        assert bell.missed_rings()


def test_only_one_may_dispatch_from_a_file_by_whatever_name(sqlite, tmp_path):
    link = tmp_path / "link.db"
    link.symlink_to(sqlite.path)
    only = OnlyDispatcher(sqlite.path)

    for path in [sqlite.path, link]:
        with pytest.raises(ConfigurationError, match="Another dispatcher is running"):
            OnlyDispatcher(path)

    only.release()
    OnlyDispatcher(link).release()


def test_the_right_to_dispatch_ends_with_a_killed_process(sqlite):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(sqlite.path)], stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigurationError):
            OnlyDispatcher(Path(sqlite.path))

        holder.send_signal(signal.SIGKILL)
        holder.wait()

    OnlyDispatcher(Path(sqlite.path)).release()


# PostgreSQL


@pytest.fixture
def postgres(postgres_url, secret_key):
    with closing(Database(postgres_url, secret_keys=[secret_key])) as database:
        yield database


def connected(database):
    with database.snapshot() as tx:
        return list_connected_runs(tx)


@contextmanager
def without_connections(url):
    base, _, name = url.rpartition("/")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            [name],
        )
        try:
            yield
        finally:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def test_a_broken_bell_says_so_and_is_hung_again(postgres, postgres_url):
    with closing(hang_bell(postgres)) as bell:
        with without_connections(postgres_url):
            while bell.descriptors():
                assert is_rung(bell, 10)
                with suppress(UnavailableError):
                    bell.silence()
            with pytest.raises(UnavailableError):
                bell.silence()

        bell.silence()
        write_something(postgres)

        assert is_rung(bell, 10)
        assert bell.run_id in connected(postgres)


def test_a_missed_ring_is_always_possible(postgres):
    with closing(hang_bell(postgres)) as bell:
        assert bell.missed_rings()


def test_a_run_is_seen_as_long_as_its_bell_hangs(postgres):
    with closing(hang_bell(postgres)) as one:
        with closing(hang_bell(postgres)) as two:
            assert {one.run_id, two.run_id} <= connected(postgres)
        wait_until(lambda: two.run_id not in connected(postgres))
        assert one.run_id in connected(postgres)

    wait_until(lambda: one.run_id not in connected(postgres))


def test_a_bell_without_a_server_is_unavailable(free_port):
    with pytest.raises(UnavailableError):
        NotifyBell(f"postgresql+psycopg://nobody@127.0.0.1:{free_port}/none", new_run_id())
