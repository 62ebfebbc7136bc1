"""Copying an SQLite database while it is in use, and making sure of the copy."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from coursebell.errors import BackupError
from coursebell.storage.tables import metadata

_PAGES = 1_000  # copied in one step: 4 MB

Progress = Callable[[int, int], None]  # pages copied so far, and in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a database file holds."""

    schema: str
    rows: Mapping[str, int]  # by table


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy that was opened and found to be whole."""

    size: int  # bytes
    contents: Contents


def back_up(source: Path, target: Path, *, replace: bool, progress: Progress) -> Copy:
    """Copy the database file `source`, as it is at one moment, to `target`.

    Others go on reading and writing meanwhile. The copy is written beside `target` and gets its
    name when it was opened, checked and compared; on any failure nothing of it is left, and an
    earlier `target` stays. Raises `BackupError`, also when `target` is there and not to be
    replaced.
    """
    _check_target(source, target, replace=replace)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        expected = _copy(source, draft, progress)
        found = verify(draft)
        if found != expected:
            raise BackupError("The copy does not hold what the database does; try again.")
        size = draft.stat().st_size
        _publish(draft, target, replace=replace)
    except (OSError, sqlite3.Error) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise BackupError(f"The backup {target} could not be made: {reason}.") from exc
    finally:
        for leftover in (
            draft,
            *(Path(f"{draft}{suffix}") for suffix in ("-journal", "-wal", "-shm")),
        ):
            leftover.unlink(missing_ok=True)
    return Copy(size=size, contents=found)


def verify(path: Path) -> Contents:
    """What the database file holds, once SQLite has found no fault in all of it.

    Raises `BackupError` when it has, `sqlite3.Error` for what is no database.
    """
    with closing(sqlite3.connect(path)) as connection:
        faults = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
        if faults != ["ok"]:
            raise BackupError(f"The copy is damaged: {faults[0]}.")
        return _contents(connection)


def _check_target(source: Path, target: Path, *, replace: bool) -> None:
    if not source.exists():
        raise BackupError(f"There is no database {source} to back up.")
    if target.exists() and target.samefile(source):
        raise BackupError("That is the database itself.")
    if target.is_dir():
        raise BackupError(f"{target} is a directory; name the file to write.")
    if target.exists() and not replace:
        raise BackupError(f"{target} is there already; --force replaces it.")


def _copy(source: Path, draft: Path, progress: Progress) -> Contents:
    """Copy in steps; what the source held. An open snapshot keeps commits from starting it anew."""
    with _snapshot(source) as reading, closing(sqlite3.connect(draft)) as writing:
        contents = _contents(reading)
        reading.backup(
            writing,
            pages=_PAGES,
            progress=lambda _, left, total: progress(total - left, total),
        )
    return contents


@contextmanager
def _snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.isolation_level = None
        connection.execute("BEGIN")
        yield connection


def _contents(connection: sqlite3.Connection) -> Contents:
    (schema,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return Contents(
        schema=schema,
        rows={
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608
            for name in metadata.tables
        },
    )


def _publish(draft: Path, target: Path, *, replace: bool) -> None:
    """Give the draft its name, once it is on the disk."""
    _flush(draft)
    if replace:
        draft.replace(target)
    else:
        os.link(draft, target)  # fails where somebody made it meanwhile
        draft.unlink()
    _flush(target.absolute().parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
