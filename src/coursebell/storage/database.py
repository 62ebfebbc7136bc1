"""The database: connections, transactions, and the two dialects' differences in them."""

from __future__ import annotations

import select
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, CursorResult, Executable
from sqlalchemy.engine import URL, make_url

from coursebell.errors import ConfigurationError, UnavailableError
from coursebell.storage.columns import Instant, fold_text, microseconds
from coursebell.storage.seal import Seal, key_file_of, read_or_make_key_file

T = TypeVar("T")

CHANNEL = "coursebell_deliveries"  # PostgreSQL's NOTIFY channel for new deliveries
_BUSY_SECONDS = 10.0  # how long a writer waits for another process's lock on SQLite
_POLL_SECONDS = 0.001
_RACES = 4  # how often a use case that lost a race starts again


class RaceError(UnavailableError):
    """Somebody changed the same thing at the same moment; try again."""


class Transaction:
    """An open transaction. Storage functions take it first; only use cases open one."""

    __slots__ = ("_connection", "_woken", "is_postgres")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._woken = False
        self.is_postgres = connection.dialect.name == "postgresql"

    def execute(
        self,
        statement: Executable,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> CursorResult[Any]:
        return self._connection.execute(statement, parameters)

    def widen_cache(self) -> None:
        """Keep 64 MB of SQLite's pages at hand on this connection, for work on many rows.

        With its usual 2 MB, an import reads a hundred pages again for each line.
        """
        if not self.is_postgres:
            self.execute(sa.text("PRAGMA cache_size = -65536"))

    @property
    def connection(self) -> Connection:
        """The driver seam: COPY and other things SQLAlchemy does not speak."""
        return self._connection

    @property
    def woken(self) -> bool:
        return self._woken

    def wake_dispatcher(self) -> None:
        """Tell dispatchers, once this commits, that there are deliveries to claim."""
        if not self._woken and self.is_postgres:
            self.execute(sa.select(sa.func.pg_notify(CHANNEL, "")))
        self._woken = True

    def clock(self, now: datetime) -> ColumnElement[datetime]:
        """The clock that due times and leases go by: the server's on PostgreSQL, else `now`.

        It stands still during a statement, so that an index can be searched by it.
        """
        if self.is_postgres:
            return sa.func.statement_timestamp(type_=Instant())
        return sa.literal(now, Instant())

    def read_clock(self, now: datetime) -> datetime:
        """What `clock(now)` says at this moment."""
        moment: datetime = self.execute(sa.select(self.clock(now))).scalar_one()
        return moment

    def later(self, now: datetime, seconds: ColumnElement[Any]) -> ColumnElement[Any]:
        """`seconds` after `clock(now)`."""
        if self.is_postgres:
            return self.clock(now) + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        start = sa.literal(microseconds(now), sa.BigInteger())
        return sa.type_coerce(start + sa.cast(seconds * 1_000_000, sa.BigInteger()), Instant())


class Database:
    """A Coursebell database: one SQLite file, or one PostgreSQL database.

    Thread-safe. `secret_keys` seal what must not lie in the clear; without any, an SQLite database
    uses the key file beside it and PostgreSQL is refused.
    """

    def __init__(self, url: str, *, secret_keys: Sequence[str] = (), pool_size: int = 16) -> None:
        self.url = _with_driver(url)
        self._secret_keys = tuple(secret_keys)
        self._engine = _engine(self.url, pool_size)
        # One writer at a time inside this process, so that threads queue instead of polling.
        self._writer: AbstractContextManager[Any] = (
            nullcontext() if self.is_postgres else threading.Lock()
        )
        self._bell = None if self.is_postgres else _bell()

    @property
    def is_postgres(self) -> bool:
        return self.url.get_backend_name() == "postgresql"

    @property
    def url_without_password(self) -> str:
        """As a person or another program writes it."""
        bare = self.url._replace(drivername=self.url.get_backend_name(), password=None)
        return bare.difference_update_query(["password", "sslpassword"]).render_as_string()

    @property
    def path(self) -> Path | None:
        """The SQLite file; None on PostgreSQL."""
        return None if self.is_postgres else Path(self.url.database or "")

    @property
    def bell_path(self) -> Path | None:
        """The socket that wakes the dispatcher of an SQLite file; None on PostgreSQL."""
        path = self.path
        return None if path is None else path.with_name(path.name + ".bell")

    @cached_property
    def seal(self) -> Seal:
        """Raise `ConfigurationError` on PostgreSQL without a key, or when the key file is lost.

        A key is made only where nothing can have been sealed with another one.
        """
        if self._secret_keys:
            return Seal(self._secret_keys)
        if self.path is None:
            raise ConfigurationError(
                "COURSEBELL_SECRET_KEY is not set; PostgreSQL needs one. "
                "Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        key_file = key_file_of(self.path)
        if not key_file.exists() and self._has_webhooks():
            raise ConfigurationError(
                f"The key file {key_file} is missing, and the webhooks' secrets cannot be read "
                "without it: put it back. If it is lost, set COURSEBELL_SECRET_KEY to a new key, "
                "give every receiver a new secret (coursebell webhook rotate ID), and send custom "
                "header values anew"
            )
        return Seal([read_or_make_key_file(key_file)])

    def _has_webhooks(self) -> bool:
        if self.path is None or not self.path.exists():
            return False
        is_made = sa.text("SELECT 1 FROM sqlite_master WHERE name = 'webhooks'")
        has_any = sa.text("SELECT 1 FROM webhooks LIMIT 1")
        with self.snapshot() as tx:
            return all(tx.execute(query).first() is not None for query in (is_made, has_any))

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction that may write; committed at the end, undone by an exception.

        Raises `RaceError` when it lost a race, `UnavailableError` when the database cannot be
        reached or stays locked.
        """
        with self._writer, _translated(), self._engine.begin() as connection:
            transaction = Transaction(connection)
            yield transaction
        if transaction.woken:
            self._ring()

    @contextmanager
    def frozen(self) -> Iterator[Transaction]:
        """A snapshot in which all statements see the state that the first one saw."""
        with self.snapshot() as tx:
            if tx.is_postgres:  # on SQLite every transaction is so
                tx.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            yield tx

    @contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """A transaction that only reads.

        On PostgreSQL each statement sees what is committed when it begins; see `frozen`.
        """
        reading = self._engine.execution_options(coursebell_reads=True)
        with _translated(), reading.begin() as connection:
            yield Transaction(connection)

    def run(self, work: Callable[[Transaction], T]) -> T:
        """What `work` gives in one transaction, started again when it loses a race."""
        for attempt in range(1, _RACES):
            try:
                with self.transaction() as tx:
                    return work(tx)
            except RaceError:
                time.sleep(0.005 * attempt)
        with self.transaction() as tx:
            return work(tx)

    def close(self) -> None:
        self._engine.dispose()
        if self._bell is not None:
            self._bell.close()

    def _ring(self) -> None:
        if self._bell is None:
            return
        with suppress(OSError):  # no dispatcher is listening, or it has been rung often enough
            self._bell.sendto(b"!", str(self.bell_path))


def _with_driver(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError) as exc:  # a port that is no number, among others
        raise ConfigurationError("COURSEBELL_DATABASE_URL is not a database URL.") from exc
    match parsed.get_backend_name():
        case "sqlite" if parsed.database not in (None, "", ":memory:"):
            return parsed
        case "postgresql" | "postgres":
            return parsed.set(drivername="postgresql+psycopg")
        case _:
            raise ConfigurationError(
                "COURSEBELL_DATABASE_URL must start with sqlite:/// and a file, or postgresql://."
            )


def _engine(url: URL, pool_size: int) -> sa.Engine:
    pool: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": _BUSY_SECONDS,
        "hide_parameters": True,  # an error in the log shows no digest and no sealed secret
    }
    if url.get_backend_name() == "postgresql":
        return sa.create_engine(url, pool_pre_ping=True, **pool)
    engine = sa.create_engine(
        url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}, **pool
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    sa.event.listen(engine, "handle_error", _handle_read_only)
    _close_what_comes_back_late(engine)
    return engine


def _close_what_comes_back_late(engine: sa.Engine) -> None:
    """A pool that was disposed of would keep the connections that were in use then."""

    @sa.event.listens_for(engine, "connect")
    def note_pool(_connection: Any, record: Any) -> None:
        record.info["pool"] = engine.pool

    @sa.event.listens_for(engine, "checkin")
    def compare_pool(connection: Any, record: Any) -> None:
        if connection is not None and record.info["pool"] is not engine.pool:
            record.invalidate()


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.create_function("fold", 1, _fold, deterministic=True)


def _fold(text: str | None) -> str | None:
    return None if text is None else fold_text(text)


def _begin_sqlite(connection: Connection) -> None:
    if "coursebell_reads" in connection.get_execution_options():
        connection.exec_driver_sql("BEGIN")
    else:
        _begin_writing(connection)


def _begin_writing(connection: Connection) -> None:
    """Wait for another process's lock, looking every millisecond.

    SQLite's own waiting looks ever more rarely, down to every tenth of a second, and so hardly ever
    meets the moment between two transactions of a process that is busy: a dispatcher waited for
    seconds while completions came.
    """
    driver: Any = connection.connection.driver_connection
    deadline = time.monotonic() + _BUSY_SECONDS
    try:
        driver.execute("PRAGMA busy_timeout = 0")
        while True:
            try:
                driver.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as exc:
                if _code(exc) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    break
            else:
                return
            # time.sleep waits until an absolute time, which fails where the clock is being set
            select.select((), (), (), _POLL_SECONDS)
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # for what SQLAlchemy makes of the error
    finally:
        with suppress(sqlite3.ProgrammingError):  # closed, after an error that makes it useless
            driver.execute(f"PRAGMA busy_timeout = {round(_BUSY_SECONDS * 1000)}")


def _handle_read_only(context: sa.engine.ExceptionContext) -> None:
    if is_read_only(context.original_exception):
        context.is_disconnect = True
        if context.execution_context is not None:  # while its cursor lives, the file stays open
            context.execution_context.cursor.close()
        if context.engine is not None:
            context.engine.dispose()


def is_read_only(error: BaseException) -> bool:
    """Whether SQLite may not write to the file.

    A file that was opened while its disk was read-only stays so for as long as this process has it
    open at all. So no connection may be kept: not the one with this error, no idle one, and none
    that reads meanwhile once it is given back.
    """
    return _code(error) == sqlite3.SQLITE_READONLY


def _code(error: BaseException) -> int:
    """SQLite's primary code; the other bits of its codes say more exactly what is meant."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def _bell() -> socket.socket:
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bell.setblocking(False)
    return bell


_RACE_STATES = ("40001", "40P01", "55P03")  # serialization, deadlock, lock not available


@contextmanager
def _translated() -> Iterator[None]:
    """Drivers' exceptions end here."""
    try:
        yield
    except sa.exc.IntegrityError as exc:
        raise RaceError from exc
    except sa.exc.TimeoutError as exc:
        raise UnavailableError from exc
    except sa.exc.OperationalError as exc:
        if getattr(exc.orig, "sqlstate", None) in _RACE_STATES:
            raise RaceError from exc
        raise UnavailableError(_plain(exc)) from exc
    except sa.exc.DatabaseError as exc:
        if type(exc) is not sa.exc.DatabaseError:
            raise  # a statement of ours is wrong
        raise UnavailableError(_plain(exc)) from exc  # the file is no database, or is damaged


def _plain(exc: sa.exc.DatabaseError) -> str:
    """The driver's own first line, which names the file or host but no secret."""
    return f"The database cannot be used: {str(exc.orig).strip().splitlines()[0]}"
