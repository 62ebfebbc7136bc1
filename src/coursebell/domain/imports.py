"""What an import reads: the columns of each kind of table, and what may stand in them.

A column is found by its own name or by one that other systems give it, whatever its case, spaces
and punctuation. A cell becomes a value of the domain, or breaks a rule that is told with its line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from coursebell.domain.cells import (
    CellError,
    Read,
    email,
    instant,
    number,
    plain_name,
    tags,
    text,
    whole,
    word,
)
from coursebell.domain.model import MoveOn, Role, Status
from coursebell.errors import InvalidInputError

MAX_KEY = 200
_MAX_GRADE, _MAX_PRICE = Decimal(100), Decimal(1_000_000_000)


class ImportKind(StrEnum):
    """What the lines of a table are."""

    USERS = "users"
    OFFERINGS = "offerings"
    REGISTRATIONS = "registrations"


class Done(StrEnum):
    """What an import did with a line that was not rejected."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class ImportState(StrEnum):
    """What has become of an import that was uploaded."""

    PENDING = "pending"  # waits, or is being worked on
    DONE = "done"
    FAILED = "failed"  # the file as a whole cannot be imported; `problem` says why
    CANCELLED = "cancelled"  # by a person; what was imported before stays


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that an import knows."""

    name: str  # as the REST API names the field
    read: Read
    also: tuple[str, ...] = ()  # what others call it
    is_required: bool = False  # in every line


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with a line: the column, where it is one, and the rule."""

    line: int
    column: str | None
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the table that can be read, with a value for each cell that is not empty."""

    number: int  # of its first line in the file, the header being 1
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where in a line each column stands."""

    kind: ImportKind
    columns: Mapping[int, Column]
    width: int  # cells in the header
    ignored: tuple[str, ...] = ()  # headers that mean nothing here


_TRUTH = word({"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False})
_KEY = Column(
    name="externalKey",
    also=("external id", "externalid", "source id", "record id", "key"),
    read=text(MAX_KEY),
)


class Outcome(StrEnum):
    """How a registration stood in the other system."""

    ACTIVE = Status.ACTIVE.value
    COMPLETED = "completed"  # ended; whether it passed is decided here
    PASSED = Status.PASSED.value
    FAILED = Status.FAILED.value
    EJECTED = Status.EJECTED.value


_OUTCOMES = {
    **{each.value: each for each in Outcome},
    "in progress": Outcome.ACTIVE,
    "not started": Outcome.ACTIVE,
    "enrolled": Outcome.ACTIVE,
    "registered": Outcome.ACTIVE,
    "complete": Outcome.COMPLETED,
    "finished": Outcome.COMPLETED,
    "pass": Outcome.PASSED,
    "fail": Outcome.FAILED,
    "withdrawn": Outcome.EJECTED,
    "dropped": Outcome.EJECTED,
    "cancelled": Outcome.EJECTED,
}


def _created(*also: str) -> Column:
    return Column(
        name="createdDate", read=instant(end=False), also=("created", "created at", *also)
    )


COLUMNS: Mapping[ImportKind, tuple[Column, ...]] = {
    ImportKind.USERS: (
        _KEY,
        Column(
            name="email", read=email, also=("e-mail", "email address", "mail"), is_required=True
        ),
        Column(name="firstName", read=text(100), also=("given name", "forename"), is_required=True),
        Column(name="lastName", read=text(100), also=("surname", "family name"), is_required=True),
        Column(name="username", read=text(254), also=("user name", "login")),
        Column(name="locale", read=text(100), also=("language", "lang")),
        Column(name="tags", read=tags, also=("groups",)),
        Column(name="role", read=word({role.value: role for role in Role})),
        _created("registered", "registration date"),
    ),
    ImportKind.OFFERINGS: (
        _KEY,
        Column(name="title", read=text(255), also=("name", "offering"), is_required=True),
        Column(name="courseId", read=text(32)),
        Column(name="course", read=text(255), also=("course title", "course name")),
        Column(name="beginDate", read=instant(end=False), also=("start date", "starts")),
        Column(name="endDate", read=instant(end=True), also=("finish date", "ends")),
        Column(name="registrationBeginDate", read=instant(end=False)),
        Column(name="registrationEndDate", read=instant(end=True)),
        Column(
            name="catalogDescription",
            read=text(50_000, several_lines=True),
            also=("description",),
        ),
        Column(name="dashboardDescription", read=text(50_000, several_lines=True)),
        Column(name="deliveryDescription", read=text(50_000, several_lines=True)),
        Column(name="price", read=number(Decimal(0), _MAX_PRICE), also=("cost",)),
        Column(name="tags", read=tags),
        Column(name="orderIndex", read=whole, also=("order",)),
        Column(
            name="passingGrade",
            read=number(Decimal(0), _MAX_GRADE),
            also=("passing score", "mark"),
        ),
        Column(name="moveOn", read=word({each.value: each for each in MoveOn})),
        Column(name="requireEveryElementPassed", read=_TRUTH),
        Column(name="retakes", read=_TRUTH, also=("allow retakes",)),
        _created(),
    ),
    ImportKind.REGISTRATIONS: (
        _KEY,
        Column(name="userId", read=text(32)),
        Column(name="userKey", read=text(MAX_KEY), also=("user external key", "learner id")),
        Column(name="email", read=text(254), also=("e-mail", "user email", "learner email")),
        Column(name="username", read=text(254), also=("user name", "login", "learner")),
        Column(name="offeringId", read=text(32)),
        Column(name="offeringKey", read=text(MAX_KEY), also=("offering external key",)),
        Column(
            name="offering",
            read=text(255),
            also=("offering title", "title", "course", "course title", "course name"),
        ),
        Column(name="status", read=word(_OUTCOMES), also=("completion status", "state", "result")),
        Column(name="passed", read=_TRUTH),
        Column(name="grade", read=number(Decimal(0), _MAX_GRADE), also=("score", "final grade")),
        Column(
            name="graderComment",
            read=text(10_000, several_lines=True),
            also=("comment", "comments", "note"),
        ),
        _created(
            "enrolled", "enrollment date", "enrolment date", "registration date", "registered"
        ),
        Column(
            name="beginDate",
            read=instant(end=False),
            also=("start date", "started", "first access"),
        ),
        Column(
            name="lastActiveDate",
            read=instant(end=False),
            also=("last active", "last access", "last accessed"),
        ),
        Column(
            name="endDate",
            read=instant(end=True),
            also=("completion date", "completed date", "date completed", "completed at", "ended"),
        ),
    ),
}

# Of each of these groups a table must have at least one column.
_ONE_OF: Mapping[ImportKind, tuple[tuple[str, ...], ...]] = {
    ImportKind.USERS: (),
    ImportKind.OFFERINGS: (),
    ImportKind.REGISTRATIONS: (
        ("userId", "userKey", "email", "username"),
        ("offeringId", "offeringKey", "offering"),
    ),
}


def lay_out(kind: ImportKind, header: Sequence[str], mapping: Mapping[str, str]) -> Layout:
    """Which column stands where; `mapping` gives a header its column and wins over what is guessed.

    A column's own name wins over other names for it. Raises `InvalidInputError` naming the header.
    """
    known = {column.name: column for column in COLUMNS[kind]}
    _check_mapping(known, header, mapping)
    wanted = {plain_name(head): name for head, name in mapping.items()}
    places: dict[int, Column] = {
        place: known[wanted[plain_name(head)]]
        for place, head in enumerate(header)
        if plain_name(head) in wanted
    }
    own = {plain_name(name): name for name in known}
    others = {plain_name(each): column.name for column in known.values() for each in column.also}
    for names in (own, others):
        taken = {column.name for column in places.values()}
        for place, head in enumerate(header):
            name = names.get(plain_name(head))
            if name is not None and name not in taken:
                places.setdefault(place, known[name])
    _check_layout(kind, header, places)
    return Layout(
        kind=kind,
        columns=places,
        width=len(header),
        ignored=tuple(head for place, head in enumerate(header) if place not in places),
    )


def _check_mapping(
    known: Mapping[str, Column], header: Sequence[str], mapping: Mapping[str, str]
) -> None:
    heads = {plain_name(head) for head in header}
    for head, name in mapping.items():
        if plain_name(head) not in heads:
            raise InvalidInputError([f'The table has no column "{head}" to be {name}.'])
        if name not in known:
            raise InvalidInputError([f"There is no {name}; known are {', '.join(known)}."])


def _check_layout(kind: ImportKind, header: Sequence[str], places: Mapping[int, Column]) -> None:
    found = [column.name for column in places.values()]
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        heads = ", ".join(f'"{header[at]}"' for at, each in places.items() if each.name == twice)
        raise InvalidInputError(
            [f"Several columns are {twice}: {heads}. Say which with a mapping."]
        )
    for column in COLUMNS[kind]:
        if column.is_required and column.name not in found:
            raise InvalidInputError([_missing(column.name, header)])
    for group in _ONE_OF[kind]:
        if not set(group).intersection(found):
            raise InvalidInputError([_missing(" or ".join(group), header)])


def _missing(names: str, header: Sequence[str]) -> str:
    there = ", ".join(f'"{head}"' for head in header[:20])
    advice = "say with a mapping (--map HEADER=COLUMN, or `map` in the query) which of them it is"
    return f"No column is {names}. The table has {there}; {advice}."


@dataclass(slots=True)
class Reader:
    """Makes lines of cells. Problems stand in order of the columns."""

    layout: Layout
    zone: ZoneInfo
    _required: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._required = frozenset(
            column.name for column in self.layout.columns.values() if column.is_required
        )

    def read(self, number: int, cells: Sequence[str]) -> Line | list[Problem]:
        """The line, or everything that is wrong with it."""
        values: dict[str, object] = {}
        problems: list[Problem] = []
        if any(cell.strip() for cell in cells[self.layout.width :]):
            problems.append(
                Problem(line=number, column=None, rule="Has more cells than the header.")
            )
        for place, column in self.layout.columns.items():
            cell = cells[place].strip() if place < len(cells) else ""
            if not cell:
                continue
            try:
                values[column.name] = column.read(cell, self.zone)
            except CellError as exc:
                problems.append(Problem(line=number, column=column.name, rule=f"{exc}."))
        broken = {problem.column for problem in problems}
        problems += [
            Problem(line=number, column=name, rule="Is required.")
            for name in sorted(self._required - values.keys() - broken)
        ]
        return problems or Line(number=number, values=values)
