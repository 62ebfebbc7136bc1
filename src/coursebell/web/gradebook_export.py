"""A whole gradebook written out piece by piece: as a table for spreadsheets, and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

from coursebell.domain.elements import Element
from coursebell.domain.events import number
from coursebell.domain.grading import ElementStanding
from coursebell.domain.instants import format_instant
from coursebell.domain.model import Status
from coursebell.services.gradebook_rows import Gradebook, GradebookRow
from coursebell.web.record_documents import gradebook_row_document

COLUMNS = (
    "registrationId",
    "userId",
    "lastName",
    "firstName",
    "username",
    "email",
    "attempt",
    "status",
    "grade",
    "currentGrade",
    "beginDate",
    "endDate",
)
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def as_csv(gradebook: Gradebook) -> Iterator[bytes]:
    """RFC 4180 in UTF-8: a line of names, then one for each registration, a column an element."""
    yield _line([*COLUMNS, *(_safe(title) for title in _titles(gradebook.elements))])
    for row in gradebook.rows:
        yield _line(_cells(row, gradebook.elements))


def as_json(gradebook: Gradebook) -> Iterator[bytes]:
    """A `GradebookDocument`."""
    offering = gradebook.offering
    head = json.dumps({"offeringId": offering.id, "title": offering.title}, ensure_ascii=False)
    yield head.removesuffix("}").encode() + b', "results": ['
    for index, row in enumerate(gradebook.rows):
        yield (b",\n" if index else b"\n") + gradebook_row_document(row).to_json()
    yield b"\n]}\n"


def _titles(elements: Sequence[Element]) -> Iterator[str]:
    """The titles; a second one of the same name is told apart by its number."""
    seen: Counter[str] = Counter()
    for element in elements:
        seen[element.title] += 1
        again = seen[element.title]
        yield element.title if again == 1 else f"{element.title} ({again})"


def _cells(row: GradebookRow, elements: Sequence[Element]) -> list[str]:
    registration = row.enrolled.registration
    active = registration.status is Status.ACTIVE
    by_element = {each.element_id: each for each in row.standing.elements}
    return [
        registration.id,
        registration.user_id,
        _safe(row.enrolled.last_name),
        _safe(row.enrolled.first_name),
        _safe(row.enrolled.username),
        _safe(row.enrolled.email),
        str(registration.attempt),
        registration.status.value,
        _grade(registration.grade),
        _grade(row.standing.grade if active else None),
        "" if registration.begin_at is None else format_instant(registration.begin_at),
        "" if registration.end_at is None else format_instant(registration.end_at),
        *(_cell(by_element.get(element.id)) for element in elements),
    ]


def _cell(standing: ElementStanding | None) -> str:
    """The grade; where there is none, the word that says why."""
    if standing is None:
        return ""
    if standing.grade is not None:
        return _grade(standing.grade)
    if standing.exempt:
        return "exempt"
    if standing.awaiting:
        return "awaiting grade"
    if standing.passed is not None:
        return "passed" if standing.passed else "failed"
    return "completed" if standing.completed else ""


def _grade(grade: Decimal | None) -> str:
    return "" if grade is None else repr(number(grade))


def _safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula (OWASP: CSV injection)."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _line(cells: Sequence[str]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written).writerow(cells)
    return written.getvalue().encode()
