"""Prepared statements: what goes in comes out, on both drivers; errors are told as elsewhere."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from coursebell.domain.model import Role, Status
from coursebell.errors import UnavailableError
from coursebell.storage.columns import Exact, Instant, Words
from coursebell.storage.database import Database, RaceError
from coursebell.storage.prepared import Batch, Prepared, among, clock, insertion, later
from factories import NOW

things = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("key", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("name", sa.String(8), nullable=False, unique=True),
    sa.Column("grade", Exact),
    sa.Column("at", Instant),
    sa.Column("tags", Words),
    sa.Column("note", sa.JSON(none_as_null=True)),
    sa.Column("body", sa.LargeBinary),
    sa.Column("open", sa.Boolean),
)
NAMES = [column.name for column in things.c if column.name != "key"]
INSERT = insertion(things, *NAMES, returning=("key", "name"))
READ = Prepared(sa.select(*(things.c[name] for name in NAMES)).order_by(things.c.key))
BY_NAME = Prepared(
    sa.select(things.c.name).where(among(things.c.name, "names")).order_by(things.c.key)
)
BY_KEY = Prepared(sa.select(things.c.name).where(among(things.c.key, "keys")))

ROW = ("a", Decimal("69.999999"), NOW, ("x", "y"), {"b": [1, None, "ü"]}, b"\x00\xff", True)
EMPTY = ("b", None, None, (), None, None, None)


@pytest.fixture
def filled(blank_database_url):
    """A database with one table, in which nothing stands yet."""
    database = Database(blank_database_url)
    with database.transaction() as tx:
        things.create(tx.connection)
    yield database
    with database.transaction() as tx:
        things.drop(tx.connection)
    database.close()


def names_in(database) -> list[str]:
    with database.snapshot() as tx:
        return [row.name for row in READ.rows(tx)]


def test_what_a_batch_inserts_is_read_as_it_was(filled):
    with filled.transaction() as tx:
        INSERT.run(tx, [ROW, EMPTY])

    with filled.snapshot() as tx:
        assert [tuple(row) for row in READ.rows(tx)] == [ROW, EMPTY]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
rows = st.tuples(
    texts,
    st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=6, max_value=10**9),
    st.none() | st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.just(("x",)),
    st.none() | st.dictionaries(texts, st.integers(-(2**53), 2**53) | texts | st.none()),
    st.none() | st.binary(max_size=20),
    st.none() | st.booleans(),
)


@given(written=st.lists(rows, max_size=5, unique_by=lambda row: row[0]))
@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_any_values_survive_the_arrays(filled, written):
    with filled.transaction() as tx:
        tx.execute(sa.delete(things))
        keys = {row.name: row.key for row in INSERT.returned(tx, written)}
        found = {row.name: tuple(row) for row in READ.rows(tx)}
        chosen = [row.name for row in BY_NAME.rows(tx, names=[row[0] for row in written])]

    assert found == {row[0]: row for row in written}
    assert sorted(chosen) == sorted(keys)


def test_a_batch_gives_back_what_the_database_made(filled):
    with filled.transaction() as tx:
        keys = {row.name: row.key for row in INSERT.returned(tx, [ROW, EMPTY])}
        nothing = INSERT.returned(tx, [])
        named = [row.name for row in BY_KEY.rows(tx, keys=[keys["b"]])]

    assert keys.keys() == {"a", "b"}
    assert (nothing, named) == ([], ["b"])


def test_a_batch_of_nothing_does_nothing(filled):
    with filled.transaction() as tx:
        INSERT.run(tx, iter([]))

    assert names_in(filled) == []


def test_one_statement_changes_each_row_in_its_own_way(filled):
    change = Batch(
        {"which": things.c.name, "grade": things.c.grade, "more": sa.Integer()},
        lambda row: (
            sa.update(things)
            .where(things.c.name == row["which"])
            .values(
                grade=row["grade"],
                at=sa.bindparam("at", type_=Instant()),
                open=sa.case((row["more"] > 1, sa.true()), else_=sa.false()),
            )
        ),
    )
    later = NOW + timedelta(days=1)

    with filled.transaction() as tx:
        INSERT.run(tx, [ROW, EMPTY])
        change.run(tx, [("a", Decimal(1), 1), ("b", Decimal("2.5"), 2)], at=later)
        found = [(row.name, row.grade, row.at, row.open) for row in READ.rows(tx)]

    assert found == [("a", Decimal(1), later, False), ("b", Decimal("2.5"), later, True)]


def test_whole_numbers_and_fractions_go_in_together(filled):
    postpone = Batch(
        {"which": things.c.name, "seconds": sa.Float()},
        lambda row: (
            sa.update(things).where(things.c.name == row["which"]).values(at=later(row["seconds"]))
        ),
    )

    with filled.transaction() as tx:
        INSERT.run(tx, [ROW, EMPTY])
        postpone.run(tx, [("a", 3600), ("b", 0.5)], now=NOW)
        found = {row.name: row.at for row in READ.rows(tx)}

    assert timedelta(seconds=3599) <= found["a"] - found["b"] <= timedelta(seconds=3600)


def test_words_of_an_enumeration_go_in_as_text_beside_others(filled):
    with filled.transaction() as tx:
        INSERT.run(tx, [(name, *EMPTY[1:]) for name in (Status.ACTIVE, "other", Role.ADMIN)])

    assert names_in(filled) == ["active", "other", "admin"]


def test_expressions_and_shared_values_are_the_same_for_all_rows(filled):
    insert = insertion(
        things,
        "name",
        at=clock(),
        open=sa.literal(True),
        body=sa.bindparam("body", type_=sa.LargeBinary()),
    )

    with filled.transaction() as tx:
        moment = tx.read_clock(NOW)
        insert.run(tx, [("a",), ("b",)], now=NOW, body=b"same")
        found = [(row.name, row.open, row.body, row.at >= moment) for row in READ.rows(tx)]

    assert found == [("a", True, b"same", True), ("b", True, b"same", True)]


def test_a_single_statement_says_how_many_rows_it_changed(filled):
    close = Prepared(
        sa.update(things)
        .where(things.c.name != sa.bindparam("besides", type_=sa.String()))
        .values(open=False)
    )

    with filled.transaction() as tx:
        INSERT.run(tx, [ROW, EMPTY])
        assert close.run(tx, besides="a") == 1
        assert close.run(tx, besides="nobody") == 2


def test_no_value_is_cut_to_fit(postgres_url):
    database = Database(postgres_url)
    with database.transaction() as tx:
        things.create(tx.connection)

    with pytest.raises(sa.exc.DataError, match="too long"), database.transaction() as tx:
        INSERT.run(tx, [("a long name", *EMPTY[1:])])

    with database.transaction() as tx:
        things.drop(tx.connection)
    database.close()


def test_a_value_that_must_be_unique_is_a_race_and_leaves_nothing(filled):
    with pytest.raises(RaceError), filled.transaction() as tx:
        INSERT.run(tx, [ROW, EMPTY, ROW])

    assert names_in(filled) == []


def test_a_statement_that_is_wrong_is_told_as_such_without_its_values(filled):
    secret = "never-in-a-log"
    wrong = Prepared(
        sa.select(sa.column("nothing"))
        .select_from(things)
        .where(things.c.name == sa.bindparam("name", type_=sa.String()))
    )

    with (
        pytest.raises((sa.exc.ProgrammingError, UnavailableError)) as told,
        filled.snapshot() as tx,
    ):
        wrong.rows(tx, name=secret)

    assert "nothing" in str(told.value)
    assert secret not in str(told.value)


def test_a_connection_that_is_lost_is_the_database_being_away_and_the_next_one_works(postgres_url):
    database = Database(postgres_url)
    ask = Prepared(sa.select(sa.func.pg_backend_pid().label("pid")))

    def lose_it():
        with database.transaction() as tx:
            (mine,) = ask.rows(tx)
            with psycopg.connect(postgres_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (mine.pid,))
            ask.rows(tx)

    with pytest.raises(UnavailableError):
        lose_it()

    with database.snapshot() as tx:
        assert len(ask.rows(tx)) == 1
    database.close()


def test_a_list_is_looked_up_in_the_index_however_long_it_is():
    compiled = str(BY_NAME._statement.compile(dialect=sqlite.dialect()))

    assert "WHERE things.name IN (SELECT value FROM json_each(?)) ORDER" in compiled
