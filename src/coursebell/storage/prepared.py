"""Hot statements: written in SQLAlchemy Core, compiled once, and run by the driver itself.

SQLAlchemy costs a statement 50 to 100 us, and each row of a batch as much again as SQLite does.
What runs for every completion or delivery is prepared here instead. A batch is one `executemany`
on SQLite; on PostgreSQL it is one statement that takes each column as an array (`unnest`).
Decision record 12 has the figures.
"""

from __future__ import annotations

import json
import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, BindParameter, ColumnElement, Dialect, Float, String, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement, Executable
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Boolean, TypeDecorator, TypeEngine

from coursebell.storage.columns import Instant
from coursebell.storage.database import Transaction, is_read_only

Row = Sequence[Any]
_Process = Callable[[Any], Any]


class Prepared:
    """One statement with named parameters (`bindparam`), executed once at a time."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, tx: Transaction, **parameters: object) -> list[Any]:
        """The rows it gives, as named tuples."""
        compiled = self._compiled_for(tx)
        return compiled.read(_execute(tx, compiled.sql, compiled.bound(parameters)))

    def run(self, tx: Transaction, **parameters: object) -> int:
        """How many rows it changed."""
        compiled = self._compiled_for(tx)
        count: int = _execute(tx, compiled.sql, compiled.bound(parameters)).rowcount
        return count

    def _compiled_for(self, tx: Transaction) -> _Compiled:
        dialect = tx.connection.dialect
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = _Compiled(self._statement, dialect)
        return found


Given = Mapping[str, ColumnElement[Any]]


class Batch:
    """One statement carried out for many rows at once.

    `columns` names what a row holds, in order, with the column or type it is bound as. `build`
    makes the statement from these: parameters on SQLite, columns of the arrays on PostgreSQL. So
    it must read the same for one row and for a set: `WHERE key = given["key"]`. Names that it
    takes from a `bindparam` of its own are shared by all rows.
    """

    def __init__(
        self,
        columns: Mapping[str, sa.Column[Any] | TypeEngine[Any]],
        build: Callable[[Given], Executable],
    ) -> None:
        self._types = {
            name: kind.type if isinstance(kind, sa.Column) else kind
            for name, kind in columns.items()
        }
        self._build = build
        self._compiled: dict[str, _Compiled] = {}

    def run(self, tx: Transaction, rows: Iterable[Row], **shared: object) -> None:
        """On PostgreSQL in no particular order, on SQLite one after the other."""
        columns = list(zip(*rows, strict=True))
        if columns:
            compiled = self._compiled_for(tx)
            parameters = compiled.bound(shared, dict(zip(self._types, columns, strict=True)))
            _execute(tx, compiled.sql, parameters, many=not tx.is_postgres)

    def returned(self, tx: Transaction, rows: Iterable[Row], **shared: object) -> list[Any]:
        """What a statement with RETURNING gives, as named tuples in no particular order."""
        columns = list(zip(*rows, strict=True))
        if not columns:
            return []
        compiled = self._compiled_for(tx)
        parameters = compiled.bound(shared, dict(zip(self._types, columns, strict=True)))
        if tx.is_postgres:
            return compiled.read(_execute(tx, compiled.sql, parameters))
        return compiled.read(_Each(tx, compiled.sql, parameters))

    def _compiled_for(self, tx: Transaction) -> _Compiled:
        dialect = tx.connection.dialect
        found = self._compiled.get(dialect.name)
        if found is None:
            given = _arrays(self._types, dialect) if tx.is_postgres else _parameters(self._types)
            found = _Compiled(self._build(given), dialect, self._types)
            self._compiled[dialect.name] = found
        return found


Expression = ColumnElement[Any] | Callable[[Given], ColumnElement[Any]]


def insertion(
    table: Table,
    *names: str,
    returning: Sequence[str] = (),
    **others: TypeEngine[Any] | Expression,
) -> Batch:
    """A batch that inserts rows of these columns, followed by what `others` give a type to.

    The rest of `others` are columns with an expression: one equal for all rows, or a function
    that makes it from what a row holds.
    """
    extra = {name: kind for name, kind in others.items() if isinstance(kind, TypeEngine)}
    expressions = {name: each for name, each in others.items() if not isinstance(each, TypeEngine)}

    def build(given: Given) -> Executable:
        values = {name: given[name] for name in names} | {
            name: each if isinstance(each, ColumnElement) else each(given)
            for name, each in expressions.items()
        }
        if any(isinstance(each, BindParameter) for each in given.values()):
            statement = sa.insert(table).values(values)
        else:
            source = sa.select(*(each.label(name) for name, each in values.items()))
            statement = sa.insert(table).from_select(list(values), source)
        return statement.returning(*(table.c[each] for each in returning))

    return Batch({**{name: table.c[name] for name in names}, **extra}, build)


class Listed(TypeDecorator[Iterable[Any]]):
    """Many values in one parameter: a JSON list on SQLite, an array on PostgreSQL."""

    impl = Text
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(ARRAY(self.item))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Iterable[Any] | None, dialect: Dialect) -> Any:
        values = list(value or ())
        return values if dialect.name == "postgresql" else json.dumps(values)


class _among(FunctionElement[bool]):  # noqa: N801 - reads as the SQL it is
    inherit_cache = True
    type = Boolean()

    def self_group(self, against: Any = None) -> Any:
        """As it is: SQLAlchemy would write `... = 1` on SQLite, and no index could be searched."""
        return self


def among(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Whether the column's text or number is in the list given as `name`, however long it is."""
    item = Text() if isinstance(column.type, String) else BigInteger()
    return _among(column, sa.bindparam(name, type_=Listed(item)))


@compiles(_among, "sqlite")
def _among_on_sqlite(element: _among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = (compiler.process(each, **kw) for each in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - both are ours


@compiles(_among, "postgresql")
def _among_on_postgres(element: _among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = (compiler.process(each, **kw) for each in element.clauses)
    return f"{column} = ANY ({values})"


class _clock(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL it is
    inherit_cache = True
    type = Instant()


def clock() -> ColumnElement[datetime]:
    """`Transaction.clock` for prepared statements, which are given `now`."""
    return _clock(sa.bindparam("now", type_=Instant()))


@compiles(_clock, "sqlite")
def _clock_on_sqlite(element: _clock, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


@compiles(_clock, "postgresql")
def _clock_on_postgres(_element: _clock, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "statement_timestamp()"


class _later(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL it is
    inherit_cache = True
    type = Instant()


def later(seconds: ColumnElement[float]) -> ColumnElement[datetime]:
    """`Transaction.later` for prepared statements, which are given `now`."""
    return _later(clock(), seconds)


@compiles(_later, "sqlite")
def _later_on_sqlite(element: _later, compiler: SQLCompiler, **kw: Any) -> str:
    start, seconds = (compiler.process(each, **kw) for each in element.clauses)
    return f"({start} + CAST({seconds} * 1000000 AS INTEGER))"


@compiles(_later, "postgresql")
def _later_on_postgres(element: _later, compiler: SQLCompiler, **kw: Any) -> str:
    start, seconds = (compiler.process(each, **kw) for each in element.clauses)
    return f"({start} + make_interval(secs => {seconds}))"


def _parameters(types: Mapping[str, TypeEngine[Any]]) -> Given:
    return {name: sa.bindparam(name, type_=kind) for name, kind in types.items()}


def _arrays(types: Mapping[str, TypeEngine[Any]], dialect: Dialect) -> Given:
    arrays = [sa.bindparam(name, type_=_array_of(kind, dialect)) for name, kind in types.items()]
    columns = [sa.column(name, kind) for name, kind in types.items()]
    unnested = sa.func.unnest(*arrays).table_valued(*columns, name="given")
    return dict(unnested.render_derived().c)


def _array_of(kind: TypeEngine[Any], dialect: Dialect) -> ARRAY[Any]:
    item = kind.load_dialect_impl(dialect) if isinstance(kind, TypeDecorator) else kind
    # A cast to varchar(n) would cut what is too long, where a column refuses it.
    return ARRAY(Text() if isinstance(item, String) else item)


class _Compiled:
    """A statement as text for one driver, and how values go in and come out."""

    def __init__(
        self,
        statement: Executable,
        dialect: Dialect,
        columns: Mapping[str, TypeEngine[Any]] | None = None,
    ) -> None:
        assert isinstance(statement, ClauseElement)  # noqa: S101 - as all of Core's are
        compiled = statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - it is no DDL
        self._dialect = dialect
        self._order: Sequence[str] | None = compiled.positiontup
        # binary, because psycopg writes arrays as text in Python and as bytes in C
        self.sql = re.sub(r"%\((\w+)\)s", r"%(\1)b", compiled.string)
        types = {name: bound.type for name, bound in compiled.binds.items()} | dict(columns or {})
        self._into = {name: _binder(kind, dialect) for name, kind in types.items()}
        self._fixed = {
            name: self._process(name, bound.effective_value)
            for name, bound in compiled.binds.items()
            if not bound.required
        }
        self._columns = _exported(statement)
        named: Any = namedtuple("Row", list(self._columns))  # type: ignore[misc]
        self._make: Callable[[Iterable[Any]], Any] = named._make
        self._out: Sequence[_Process | None] | None = None  # known when the first rows come

    def _process(self, name: str, value: object) -> Any:
        process = self._into[name]
        return value if process is None else process(value)

    def bound(
        self,
        parameters: Mapping[str, object],
        columns: Mapping[str, Sequence[object]] | None = None,
    ) -> Any:
        """What the driver takes: one set of parameters, or with `columns` one for each row.

        Parameters that this dialect's text does not have are left out: the clock, for one.
        """
        single = self._fixed | {
            name: self._process(name, value)
            for name, value in parameters.items()
            if name in self._into
        }
        if columns is None:
            return single if self._order is None else [single[name] for name in self._order]
        many = {name: self._process_all(name, column) for name, column in columns.items()}
        if self._order is None:
            return single | many
        return zip(*(many.get(name) or repeat(single[name]) for name in self._order), strict=False)

    def _process_all(self, name: str, values: Sequence[object]) -> list[Any]:
        process = self._into[name]
        return list(values) if process is None else [process(value) for value in values]

    def read(self, cursor: Any) -> list[Any]:
        """All rows of a cursor, as the types of the columns make them."""
        if self._out is None:
            self._out = [
                _reader(kind, self._dialect, described[1])
                for kind, described in zip(self._columns.values(), cursor.description, strict=True)
            ]
        rows = cursor.fetchall()
        if any(self._out):
            columns = zip(*rows, strict=True)
            rows = zip(
                *(
                    column if process is None else map(process, column)
                    for column, process in zip(columns, self._out, strict=False)
                ),
                strict=True,
            )
        return list(map(self._make, rows))


def _exported(statement: Executable) -> dict[str, TypeEngine[Any]]:
    """The columns a statement gives, by name."""
    exported = getattr(statement, "exported_columns", None) or {}
    return {name: column.type for name, column in exported.items()}


def _binder(kind: TypeEngine[Any], dialect: Dialect) -> _Process | None:
    if isinstance(kind, Float):
        return _float  # psycopg's arrays take no whole number among fractions
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _reader(kind: TypeEngine[Any], dialect: Dialect, code: object) -> _Process | None:
    return kind.dialect_impl(dialect).result_processor(dialect, code)


class _Each:
    """What a statement gives for each set of parameters; `executemany` would throw it away."""

    def __init__(self, tx: Transaction, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        self._rows: list[Any] = []
        for each in parameters:
            cursor = _execute(tx, sql, each)
            self._rows += cursor.fetchall()
        self.description = cursor.description

    def fetchall(self) -> list[Any]:
        return self._rows


def _execute(tx: Transaction, sql: str, parameters: Any, *, many: bool = False) -> Any:
    """The driver's cursor after `sql`. Its exceptions become SQLAlchemy's, as elsewhere."""
    connection = tx.connection
    driver: Any = connection.connection.driver_connection
    errors: Any = connection.dialect.loaded_dbapi.Error
    cursor: Any = None
    try:
        cursor = driver.cursor(binary=True) if tx.is_postgres else driver.cursor()
        (cursor.executemany if many else cursor.execute)(sql, parameters)
    except errors as exc:
        if is_read_only(exc):
            cursor.close()
            connection.invalidate(exc)
            connection.engine.dispose()
        raise sa.exc.DBAPIError.instance(
            None, None, exc, errors, hide_parameters=True, dialect=connection.dialect
        ) from exc
    return cursor
