"""`coursebell backup`: a verified copy of an SQLite database that is in use."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from coursebell.cli.context import invocation_of
from coursebell.cli.output import say
from coursebell.errors import BackupError
from coursebell.settings import Settings
from coursebell.storage import backup as files
from coursebell.storage import migrations
from coursebell.storage.backup import Copy
from coursebell.storage.database import Database
from coursebell.storage.seal import key_file_of

_TOLD = ("users", "registrations", "events", "deliveries")


def backup(
    context: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes.")],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
) -> None:
    """Copy an SQLite database as it is at this moment, while it is in use, and check the copy.

    FILE appears only when the copy is whole. The key is not in it: back it up as well, and keep
    the two apart. For PostgreSQL, the command to use instead is named.

    For example, every night:

    `coursebell backup /backup/coursebell-$(date +%F).db`
    """
    invocation = invocation_of(context)
    settings = invocation.settings()
    with invocation.registrar() as registrar:
        if registrar.database.path is None:
            raise BackupError(_for_postgresql(registrar.database, file))
        migrations.check(registrar.database)
        started = time.monotonic()
        copy = files.back_up(registrar.database.path, file, replace=force, progress=_progress)
    _tell(copy, file, time.monotonic() - started)
    say(_about_key(settings, registrar.database.path))


def _for_postgresql(database: Database, file: Path) -> str:
    address = shlex.quote(database.url_without_password)
    return (
        "This is PostgreSQL, which has its own tool: "
        f"pg_dump --format=custom --file={shlex.quote(str(file))} {address} "
        "(to restore: pg_restore). Keep COURSEBELL_SECRET_KEY as well."
    )


def _progress(copied: int, total: int) -> None:
    if sys.stderr.isatty() and total:
        end = "\n" if copied == total else ""
        sys.stderr.write(f"\r{100 * copied // total:3} % copied{end}")


def _tell(copy: Copy, file: Path, seconds: float) -> None:
    rows = ", ".join(f"{copy.contents.rows[name]} {name}" for name in _TOLD)
    say(f"Copied {copy.size / 1e6:.1f} MB in {seconds:.1f} s to {file}.")
    say(f"Opened it and found no fault: schema {copy.contents.schema}, {rows}.")


def _about_key(settings: Settings, database: Path) -> str:
    if settings.keys:
        return "Without COURSEBELL_SECRET_KEY nothing can be sent from it: keep the key as well."
    return f"Without the key nothing can be sent from it: keep {key_file_of(database)} as well."
