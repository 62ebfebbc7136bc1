"""Whether a commit is on the disk when it is answered, as `docs/reliability.md` promises."""

from __future__ import annotations

from sqlalchemy import text

from coursebell.storage.database import Transaction

# https://www.postgresql.org/docs/current/runtime-config-wal.html
_LAX = text(
    "SELECT name FROM pg_settings"
    " WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'"
    " ORDER BY name"
)


def list_lax_settings(tx: Transaction) -> list[str]:
    """PostgreSQL's settings that let a crash lose what was committed; SQLite's are our own."""
    return list(tx.execute(_LAX).scalars()) if tx.is_postgres else []
