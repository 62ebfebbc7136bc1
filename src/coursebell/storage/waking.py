"""How a dispatcher learns, without polling, that there is something to claim.

On PostgreSQL by LISTEN/NOTIFY; on SQLite by a Unix datagram socket beside the file, which every
committing process rings. Both may miss a ring, so `missed_rings` looks at the database itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
import sqlite3
from pathlib import Path
from typing import Protocol

from sqlalchemy import text

from coursebell.errors import ConfigurationError, UnavailableError
from coursebell.storage.database import Database, Transaction

RUN_ID_LENGTH = 16  # hexadecimal digits, half a lease


class Bell(Protocol):
    """Rings when deliveries were committed."""

    @property
    def run_id(self) -> str:
        """Names the dispatcher's run; on PostgreSQL others see whether it is still there."""

    @property
    def patience(self) -> float:
        """After how many seconds without a ring to ask `missed_rings`."""

    def descriptors(self) -> tuple[int, ...]:
        """What to wait on: readable means rung."""

    def silence(self) -> None:
        """Take note of all rings so far. Raises `UnavailableError` when the bell is broken."""

    def missed_rings(self) -> bool:
        """Whether something was committed since the last look."""

    def close(self) -> None: ...


def new_run_id() -> str:
    """Names a dispatcher's run as no other."""
    return secrets.token_hex(RUN_ID_LENGTH // 2)


def hang_bell(database: Database) -> Bell:
    """The bell of this database. Raises `UnavailableError`."""
    if database.path is None:
        from coursebell.storage.notifications import NotifyBell  # noqa: PLC0415 - loads psycopg

        return NotifyBell(database.url.render_as_string(hide_password=False), new_run_id())
    assert database.bell_path is not None  # noqa: S101 - SQLite has both
    return DatagramBell(database.path, database.bell_path)


def list_connected_runs(tx: Transaction) -> set[str]:
    """The run ids of the dispatchers whose `NotifyBell` is connected. PostgreSQL only."""
    locks = text(
        "SELECT lpad(to_hex(classid::bigint), 8, '0') || lpad(to_hex(objid::bigint), 8, '0')"
        " FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return set(tx.execute(locks).scalars())


class DatagramBell:
    """A socket beside the SQLite file; where its path is too long for one, only `missed_rings`."""

    patience = 0.25

    def __init__(self, database: Path, path: Path) -> None:
        self.run_id = new_run_id()
        self._path = path
        try:
            self._connection = sqlite3.connect(database, check_same_thread=False)
        except sqlite3.Error as exc:  # the file, or its directory, cannot be opened
            raise UnavailableError from exc
        try:
            self._version = self._data_version()
        except UnavailableError:
            self._connection.close()
            raise
        self._socket = _bound(path)

    def descriptors(self) -> tuple[int, ...]:
        return () if self._socket is None else (self._socket.fileno(),)

    def silence(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self._socket.recv(16)
        self._version = self._data_version()

    def missed_rings(self) -> bool:
        return self._data_version() != self._version

    def close(self) -> None:
        self._connection.close()
        if self._socket is not None:
            self._socket.close()
            with contextlib.suppress(OSError):  # the next one replaces it
                self._path.unlink(missing_ok=True)

    def _data_version(self) -> int:
        try:
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as exc:
            raise UnavailableError from exc
        return int(version)


def _bound(path: Path) -> socket.socket | None:
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bell.setblocking(False)
    try:
        path.unlink(missing_ok=True)  # left by a dispatcher that was killed
        bell.bind(str(path))
        path.chmod(0o600)
    except OSError:  # the path is longer than a socket's may be, or the disk is read-only or full
        bell.close()
        return None
    return bell


class OnlyDispatcher:
    """The right to dispatch from an SQLite file: one process has it, until it ends however it ends.

    Raises `ConfigurationError` when another process has it, `UnavailableError` when the lock file
    cannot be opened. PostgreSQL needs no such thing.
    """

    def __init__(self, database: Path) -> None:
        database = database.resolve()  # by whatever links it is reached
        lock = database.with_name(database.name + ".lock")
        try:
            self._descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise UnavailableError(f"{lock} cannot be opened: {exc.strerror}.") from exc
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._descriptor)
            raise ConfigurationError(
                f"Another dispatcher is running on {database}; SQLite takes one. Stop it first."
            ) from exc

    def release(self) -> None:
        os.close(self._descriptor)
