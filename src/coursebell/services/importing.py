"""What the imports of users, offerings and registrations have in common.

A line is known by its key. One that is the same as when it was imported last is left alone, even
if the thing was changed here meanwhile; so importing a file again changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from coursebell.domain.changes import plain
from coursebell.domain.imports import Done, Line, Problem
from coursebell.domain.model import Actor
from coursebell.errors import CoursebellError, InvalidInputError
from coursebell.services.registrar import Registrar
from coursebell.storage import external_keys
from coursebell.storage.database import Transaction
from coursebell.storage.external_keys import DERIVED, GIVEN, Known, Linked

T = TypeVar("T")


Result = Done | list[Problem]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A batch of an import: one transaction."""

    tx: Transaction
    registrar: Registrar
    actor: Actor
    now: datetime
    is_told: bool  # whether webhooks are told of what is imported

    @property
    def organization_id(self) -> str:
        return self.actor.organization_id


@dataclass(frozen=True, slots=True)
class Taken:
    """A line that became something."""

    subject_id: str
    done: Done


class Importer(Protocol):
    """One kind of import, at work on the lines of a batch."""

    subject: str  # whose keys these are

    def key_of(self, line: Line) -> str:
        """What the line is known by. Raises what keeps it from having a key."""

    def prepare(self, known: Mapping[str, Known]) -> None:
        """Read what is needed of things that exist, given those whose lines have changed."""

    def take(self, line: Line, subject_id: str | None) -> Taken:
        """Make something of the line, or change what it is about. Raises what is wrong with it."""

    def finish(self) -> Mapping[int, CoursebellError]:
        """Write what was taken; what went wrong after all, by the line's number."""


def external_key(line: Line, otherwise: str) -> str:
    """The key in its own column; without one, what the line is about."""
    given = line.values.get("externalKey")
    return f"{DERIVED}{otherwise}" if given is None else keyed(str(given))


def keyed(given: str) -> str:
    """A key of another system, told from those that are made of what a line is about."""
    return f"{GIVEN}{given}"


def value(line: Line, name: str, kind: type[T]) -> T | None:
    """The value of a cell; None where it was empty."""
    found = line.values.get(name)
    assert found is None or isinstance(found, kind)  # noqa: S101 - as its column reads it
    return found


def digest_of(line: Line) -> str:
    """The same for lines that say the same."""
    written = json.dumps(plain(line.values), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(written.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class _Keyed:
    line: Line
    key: str
    digest: str


def carry_out(work: Work, importer: Importer, lines: Sequence[Line]) -> list[Result]:
    """Import the lines of a batch: what was done with each, or what is wrong with it, in order."""
    results: dict[int, Result] = {}
    keyed_lines = _with_keys(importer, lines, results)
    known = external_keys.find_known(
        work.tx, work.organization_id, importer.subject, {each.key for each in keyed_lines}
    )
    changed = [each for each in keyed_lines if not _is_known(each, known)]
    importer.prepare({each.key: known[each.key] for each in changed if each.key in known})
    taken: dict[int, tuple[_Keyed, Taken]] = {}
    for each in changed:
        try:
            made = importer.take(each.line, _subject_of(each, known))
        except CoursebellError as exc:
            results[each.line.number] = problems_of(each.line.number, exc)
        else:
            results[each.line.number] = made.done
            taken[each.line.number] = each, made
    for number, error in importer.finish().items():
        results[number] = problems_of(number, error)
        del taken[number]
    _link(work, importer.subject, known, taken.values())
    return [results.get(line.number, Done.UNCHANGED) for line in lines]


def _with_keys(
    importer: Importer, lines: Sequence[Line], results: dict[int, Result]
) -> list[_Keyed]:
    """Lines to look at, each with a key of its own; what is wrong with others is a result."""
    first: dict[str, _Keyed] = {}
    for line in lines:
        try:
            found = _Keyed(line, importer.key_of(line), digest_of(line))
            earlier = first.setdefault(found.key, found)
            if earlier.digest != found.digest:
                rule = f"Has the key of line {earlier.line.number}, and says something else."
                raise InvalidInputError([rule])
        except CoursebellError as exc:
            results[line.number] = problems_of(line.number, exc)
    return list(first.values())


def _is_known(keyed_line: _Keyed, known: Mapping[str, Known]) -> bool:
    found = known.get(keyed_line.key)
    return found is not None and found.digest == keyed_line.digest


def _subject_of(keyed_line: _Keyed, known: Mapping[str, Known]) -> str | None:
    found = known.get(keyed_line.key)
    return None if found is None else found.subject_id


def _link(
    work: Work,
    subject: str,
    known: Mapping[str, Known],
    taken: Iterable[tuple[_Keyed, Taken]],
) -> None:
    links = [Linked(each.key, made.subject_id, each.digest) for each, made in taken]
    new = [link for link in links if link.external_key not in known]
    old = [link for link in links if link.external_key in known]
    external_keys.insert_links(work.tx, work.organization_id, subject, new)
    external_keys.update_links(work.tx, work.organization_id, subject, old)


def problems_of(number: int, error: CoursebellError) -> list[Problem]:
    """What is wrong with a line, as its report says it."""
    if not isinstance(error, InvalidInputError):
        return [Problem(line=number, column=None, rule=error.message)]
    whole = [Problem(line=number, column=None, rule=rule) for rule in error.errors]
    return whole + [
        Problem(line=number, column=name, rule=rule) for name, rule in error.field_errors.items()
    ]
