"""Check that the migrations make exactly the tables that the code describes.

Works on an SQLite file of its own; tests/tools asks the same of PostgreSQL.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from coursebell.storage import migrations
from coursebell.storage.database import Database
from coursebell.storage.tables import metadata


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'check.db'}")
        migrations.upgrade(database)
        findings = [*differences(database), *forks(), *misnamed()]
        database.close()
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def differences(database: Database) -> list[str]:
    """What Alembic would still change in an upgraded database, a line each."""
    with database.snapshot() as tx:
        context = MigrationContext.configure(tx.connection, opts={"compare_type": True})
        return [
            f"not in the migrations: {change}" for change in compare_metadata(context, metadata)
        ]


def forks() -> Iterator[str]:
    """The newest revisions, when there is more than one: a database can only follow one line."""
    folder = Path(migrations.__file__).parent
    heads = ScriptDirectory(str(folder)).get_heads()
    if len(heads) > 1:
        yield f"more than one newest revision: {', '.join(heads)}"


def misnamed() -> Iterator[str]:
    """The code takes the versions it knows from the names of the files, without Alembic."""
    folder = Path(migrations.__file__).parent
    revisions = [script.revision for script in ScriptDirectory(str(folder)).walk_revisions()]
    if (named := migrations.known()) != revisions[::-1]:
        yield f"files are named {', '.join(named)} and revisions {', '.join(revisions[::-1])}"


if __name__ == "__main__":
    sys.exit(main())
