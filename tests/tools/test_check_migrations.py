"""Migrations and the tables in the code are the same thing, on both engines."""

from sqlalchemy import text

import check_migrations
from coursebell.storage.database import Database


def test_the_migrations_make_the_tables_that_the_code_describes(database: Database) -> None:
    assert check_migrations.differences(database) == []


def test_a_table_that_the_code_does_not_describe_is_found(database: Database) -> None:
    with database.transaction() as tx:
        tx.execute(text("CREATE TABLE stray (key INTEGER)"))

    try:
        (difference,) = check_migrations.differences(database)
    finally:
        with database.transaction() as tx:
            tx.execute(text("DROP TABLE stray"))

    assert "stray" in difference


def test_the_migrations_are_one_line() -> None:
    assert list(check_migrations.forks()) == []


def test_the_files_are_named_by_their_versions() -> None:
    assert list(check_migrations.misnamed()) == []
