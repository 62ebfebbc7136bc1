"""Schema versions: upgrading, and refusing to run ahead of or behind the code.

Only upgrading loads Alembic: every process of the server asks for the version and none needs more.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from coursebell.errors import SchemaVersionError
from coursebell.storage.database import Database

_FOLDER = Path(__file__).parent
_VERSION = sa.table("alembic_version", sa.column("version_num", sa.String()))


def known() -> list[str]:
    """The schema versions of this code, oldest first: its migrations' files begin with them."""
    return sorted(path.name.partition("_")[0] for path in _FOLDER.glob("versions/[0-9]*.py"))


def newest() -> str:
    """The schema version this code is written for."""
    return known()[-1]


def current(database: Database) -> str | None:
    """The schema version the database has; None when it is empty.

    Asking about an SQLite file that does not exist does not make it.
    """
    if database.path is not None and not database.path.exists():
        return None
    with database.snapshot() as tx:
        if not sa.inspect(tx.connection).has_table(_VERSION.name):
            return None
        found: str | None = tx.execute(sa.select(_VERSION.c.version_num)).scalar_one_or_none()
        return found


def upgrade(database: Database) -> None:
    """Bring the schema to `newest()`, in one transaction; nothing to do is fine.

    Raises `SchemaVersionError` when the database is newer than the code.
    """
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    _refuse_newer(current(database))
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    if database.path is not None:
        with suppress(OSError):  # SQLite says better what is wrong
            database.path.touch(mode=0o600)  # people's names and results; its log is made alike
    with database.transaction() as tx:
        config.attributes["connection"] = tx.connection
        command.upgrade(config, "head")


def check(database: Database) -> None:
    """Raise `SchemaVersionError`, saying what to do, unless database and code fit."""
    found = current(database)
    if found is None:
        where = database.path or database.url_without_password
        raise SchemaVersionError(f"The database is empty: {where}. Run: coursebell init")
    _refuse_newer(found)
    if found != newest():
        raise SchemaVersionError(
            f"The database has schema {found}, this version needs {newest()}. "
            "Back it up, then run: coursebell db upgrade"
        )


def _refuse_newer(found: str | None) -> None:
    if found is not None and found not in known():
        raise SchemaVersionError(
            f"The database has schema {found}, which this version of Coursebell does not know. "
            "Install the version that made it, or a newer one."
        )
