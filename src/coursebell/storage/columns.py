"""Column types and expressions that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Dialect,
    Numeric,
    String,
    literal_column,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Text, TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(instant: datetime) -> int:
    """Since 1970."""
    return (instant - _EPOCH) // _MICROSECOND


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime: `timestamptz` on PostgreSQL, microseconds since 1970 on SQLite."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if dialect.name == "postgresql":
            instant: datetime = value
            return instant.astimezone(UTC)
        return _EPOCH + timedelta(microseconds=value)


class Exact(TypeDecorator[Decimal]):
    """A `Decimal` stored exactly: `numeric` on PostgreSQL, text on SQLite."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric())
        return dialect.type_descriptor(String())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class Words(TypeDecorator[tuple[str, ...]]):
    """Words without white space, in order, in one text column: `" a b "`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str:
        return f" {' '.join(value)} " if value else ""

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[str, ...]:
        return tuple(value.split()) if value else ()


# A capital sigma becomes another small letter at the end of a word than within it.
_SIGMA, _FINAL_SIGMA = "\N{GREEK SMALL LETTER SIGMA}", "\N{GREEK SMALL LETTER FINAL SIGMA}"


def fold_text(text: str) -> str:
    """Text as filters compare it: in lower case by Unicode's rules, with one small sigma."""
    return text.lower().replace(_FINAL_SIGMA, _SIGMA)


class folded(FunctionElement[str]):  # noqa: N801 - reads as the SQL function it is
    """Text as `fold_text` makes it, whatever the database's own locale is."""

    inherit_cache = True
    type = String()


@compiles(folded, "sqlite")
def _folded_on_sqlite(element: folded, compiler: SQLCompiler, **kw: Any) -> str:
    return f"fold({compiler.process(element.clauses, **kw)})"


@compiles(folded, "postgresql")
def _folded_on_postgres(element: folded, compiler: SQLCompiler, **kw: Any) -> str:
    text = compiler.process(element.clauses, **kw)
    return f"""replace(lower(({text}) COLLATE "und-x-icu"), '{_FINAL_SIGMA}', '{_SIGMA}')"""


class position(FunctionElement[int]):  # noqa: N801 - reads as the SQL function it is
    """Where the second text starts in the first, from 1; 0 if nowhere."""

    inherit_cache = True
    type = BigInteger()


@compiles(position, "sqlite")
def _position_on_sqlite(element: position, compiler: SQLCompiler, **kw: Any) -> str:
    return f"instr({compiler.process(element.clauses, **kw)})"


@compiles(position, "postgresql")
def _position_on_postgres(element: position, compiler: SQLCompiler, **kw: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **kw)})"


def contains_text(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Case-insensitive substring; `%` and `_` are ordinary characters."""
    return position(folded(column), fold_text(text)) > 0


def contains_word(column: ColumnElement[Any], word: str) -> ColumnElement[bool]:
    """Whether a `Words` column has this word."""
    return position(type_coerce(column, Text()), f" {word} ") > 0


def is_exactly(column: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    """Equality with a constant of our own, spelled out in the SQL.

    Both databases use a partial index only when they can read its condition in the statement.
    """
    return column == literal_column(f"'{value}'")


class _unindexed(FunctionElement[str]):  # noqa: N801 - reads as the SQL it is
    inherit_cache = True
    type = String()


@compiles(_unindexed, "sqlite")
def _unindexed_on_sqlite(element: _unindexed, compiler: SQLCompiler, **kw: Any) -> str:
    return f"+{compiler.process(element.clauses, **kw)}"


@compiles(_unindexed, "postgresql")
def _unindexed_on_postgres(element: _unindexed, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


def belongs_to(column: ColumnElement[str], organization_id: Any) -> ColumnElement[bool]:
    """Whether a row that is found by something rarer is the organization's.

    SQLite, which keeps no statistics, takes an organization for ten rows and would rather read all
    of them than look up a few by their ids. A unary plus keeps a column from being searched by
    (SQLite, "The Query Optimizer Overview", section 2.1).
    """
    is_its: ColumnElement[bool] = _unindexed(column) == organization_id
    return is_its
