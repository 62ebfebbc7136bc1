"""Throw-away databases, migrated and empty."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from coursebell.storage.database import Database
from coursebell.storage.migrations import upgrade

POSTGRES = os.environ.get(
    "COURSEBELL_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres"
)
KINDS = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
SECRET_KEY = "a-key-that-only-benchmarks-use"  # noqa: S105 - of databases that are thrown away


@contextmanager
def throw_away(kind: str) -> Iterator[str]:
    """The URL of a migrated database of `kind` (sqlite or postgres), removed at the end."""
    with _sqlite() if kind == "sqlite" else _postgres() as url:
        with opened(url) as database:
            upgrade(database)
        yield url


@contextmanager
def opened(url: str) -> Iterator[Database]:
    with closing(Database(url, secret_keys=[SECRET_KEY])) as database:
        yield database


@contextmanager
def _sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="coursebell-bench-") as directory:
        yield f"sqlite:///{Path(directory) / 'bench.db'}"


@contextmanager
def _postgres() -> Iterator[str]:
    name = sql.Identifier(plain := f"coursebell_bench_{secrets.token_hex(6)}")
    with psycopg.connect(POSTGRES, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            there = conninfo_to_dict(POSTGRES)
            password = f":{there['password']}" if "password" in there else ""
            user = f"{there['user']}{password}@" if "user" in there else ""
            yield f"postgresql://{user}{there['host']}:{there.get('port', 5432)}/{plain}"
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def backends(url: str) -> list[int]:
    """The server's processes that serve connections to this database; none for SQLite."""
    if url.startswith("sqlite"):
        return []
    with psycopg.connect(url) as connection:
        query = (
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return [pid for (pid,) in connection.execute(query)]


def move_backends(url: str, core: int) -> bool:
    """Move the server's processes of this database to `core`; whether that was possible."""
    try:
        for pid in backends(url):
            os.sched_setaffinity(pid, {core})
    except (PermissionError, ProcessLookupError):  # another's, or on another machine
        return False
    return True


def settle(url: str) -> None:
    """Leave nothing of the preparation to be done while something is measured."""
    if url.startswith("sqlite"):
        with opened(url) as database, database.snapshot() as tx:
            tx.connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
    time.sleep(0.2)


def size_of(url: str) -> int:
    """Bytes on the disk."""
    if url.startswith("sqlite"):
        return Path(url.removeprefix("sqlite:///")).stat().st_size
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT pg_database_size(current_database())").fetchall()
    size: int = found[0][0]
    return size
