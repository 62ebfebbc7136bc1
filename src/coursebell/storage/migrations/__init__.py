"""Schema versions: upgrading, and refusing to run ahead of or behind the code."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from coursebell.errors import SchemaVersionError
from coursebell.storage.database import Database


def newest() -> str:
    """The schema version this code is written for."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def current(database: Database) -> str | None:
    """The schema version the database has; None when it is empty.

    Asking about an SQLite file that does not exist does not make it.
    """
    if database.path is not None and not database.path.exists():
        return None
    with database.snapshot() as tx:
        return MigrationContext.configure(tx.connection).get_current_revision()


def upgrade(database: Database) -> None:
    """Bring the schema to `newest()`, in one transaction; nothing to do is fine.

    Raises `SchemaVersionError` when the database is newer than the code.
    """
    _refuse_newer(current(database))
    config = _config()
    with database.transaction() as tx:
        config.attributes["connection"] = tx.connection
        command.upgrade(config, "head")


def check(database: Database) -> None:
    """Raise `SchemaVersionError`, saying what to do, unless database and code fit."""
    found = current(database)
    if found is None:
        raise SchemaVersionError("The database is empty. Run: coursebell init")
    _refuse_newer(found)
    if found != newest():
        raise SchemaVersionError(
            f"The database has schema {found}, this version needs {newest()}. "
            "Back it up, then run: coursebell db upgrade"
        )


def _refuse_newer(found: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaVersionError(
            f"The database has schema {found}, which this version of Coursebell does not know. "
            "Install the version that made it, or a newer one."
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config
