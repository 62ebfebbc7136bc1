"""Importing offerings: by their key, else by their title. Courses that are missing are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from coursebell.domain.imports import Done, Line
from coursebell.domain.model import Course, MoveOn, Offering, new_id
from coursebell.errors import CoursebellError, InvalidInputError
from coursebell.services import trail
from coursebell.services.courses import DEFAULT_PASSING_GRADE
from coursebell.services.importing import Taken, Work, external_key, value
from coursebell.services.offerings import window_errors
from coursebell.storage import audit, courses, offerings
from coursebell.storage.external_keys import Known

_FIELDS = {
    "title": "title",
    "beginDate": "begin_at",
    "endDate": "end_at",
    "registrationBeginDate": "registration_begin_at",
    "registrationEndDate": "registration_end_at",
    "catalogDescription": "catalog_description",
    "dashboardDescription": "dashboard_description",
    "deliveryDescription": "delivery_description",
    "price": "price",
    "tags": "tags",
    "orderIndex": "order_index",
    "passingGrade": "passing_grade",
    "moveOn": "move_on",
    "requireEveryElementPassed": "require_every_element_passed",
    "retakes": "retakes",
}


class OfferingImporter:
    """Makes offerings, and courses for them."""

    subject = "offering"

    def __init__(self, work: Work, lines: Sequence[Line]) -> None:
        self._work = work
        tx, organization_id = work.tx, work.organization_id
        titles = {str(line.values["title"]) for line in lines}
        self._by_title = dict(offerings.ids_by_title(tx, organization_id, titles))
        named = titles | {str(line.values.get("course", "")) for line in lines}
        self._courses = dict(courses.ids_by_title(tx, organization_id, named))
        asked = {str(line.values["courseId"]) for line in lines if "courseId" in line.values}
        self._known_courses = courses.known_courses(tx, organization_id, asked)
        self._stored: dict[str, Offering] = {}
        self._new_courses: list[Course] = []
        self._new: list[Offering] = []
        self._changed: list[tuple[Offering, Offering]] = []

    def key_of(self, line: Line) -> str:
        return external_key(line, str(line.values["title"]))

    def prepare(self, known: Mapping[str, Known]) -> None:
        wanted = {each.subject_id for each in known.values()}
        wanted |= {each for ids in self._by_title.values() for each in ids}
        found = offerings.ruled_offerings(self._work.tx, self._work.organization_id, wanted)
        self._stored = {each: ruled.offering for each, ruled in found.items()}

    def take(self, line: Line, subject_id: str | None) -> Taken:
        before = self._stored.get(subject_id or self._by_its_title(line) or "")
        if before is None:
            offering = self._made(line)
            self._new.append(offering)
            self._by_title.setdefault(offering.title, []).append(offering.id)
            self._stored[offering.id] = offering
            return Taken(offering.id, Done.CREATED)
        after = self._changed_by(line, before)
        if after == before:
            return Taken(before.id, Done.UNCHANGED)
        self._changed.append((before, after))
        self._stored[after.id] = after
        return Taken(before.id, Done.UPDATED)

    def finish(self) -> Mapping[int, CoursebellError]:
        tx, actor = self._work.tx, self._work.actor
        for course in self._new_courses:
            courses.insert_course(tx, actor.organization_id, course)
        for offering in self._new:
            offerings.insert_offering(tx, actor.organization_id, offering)
        for _, after in self._changed:
            offerings.update_offering(tx, actor.organization_id, after)
        changes = [
            *(trail.change(actor, "course.create", None, each) for each in self._new_courses),
            *(trail.change(actor, "offering.create", None, each) for each in self._new),
            *(trail.change(actor, "offering.update", *each) for each in self._changed),
        ]
        audit.insert_changes(tx, changes, self._work.now)
        return {}

    def _by_its_title(self, line: Line) -> str | None:
        """Without a key of its own, an offering is the one with this title."""
        if "externalKey" in line.values:
            return None
        ids = self._by_title.get(str(line.values["title"]), [])
        if len(ids) > 1:
            rule = "Several offerings have this title; give each a key of its own (externalKey)."
            raise InvalidInputError(field_errors={"title": rule})
        return ids[0] if ids else None

    def _made(self, line: Line) -> Offering:
        now = self._work.now
        blank = Offering(
            id=new_id(),
            course_id="",
            title="",
            created_at=value(line, "createdDate", datetime) or now,
            begin_at=None,
            end_at=None,
            registration_begin_at=None,
            registration_end_at=None,
            catalog_description=None,
            dashboard_description=None,
            delivery_description=None,
            price=None,
            category_ids=(),
            tags=(),
            order_index=0,
            passing_grade=None,
            move_on=None,
            require_every_element_passed=None,
            retakes=False,
        )
        offering = _with_values(blank, line)
        self._check(line, offering)
        return replace(offering, course_id=self._course_of(line))

    def _changed_by(self, line: Line, before: Offering) -> Offering:
        after = _with_values(before, line)
        self._check(line, after)
        if "courseId" in line.values or "course" in line.values:
            after = replace(after, course_id=self._course_of(line))
        return after

    def _check(self, line: Line, offering: Offering) -> None:
        field_errors = window_errors(offering)
        if offering.created_at > self._work.now:
            field_errors["createdDate"] = "Must not be in the future."
        if "courseId" in line.values and line.values["courseId"] not in self._known_courses:
            field_errors["courseId"] = "No course exists with this id."
        if field_errors:
            raise InvalidInputError(field_errors=field_errors)

    def _course_of(self, line: Line) -> str:
        """The course that is named, by id or title; it is made if there is none of that title."""
        if "courseId" in line.values:
            return str(line.values["courseId"])
        title = str(line.values.get("course") or line.values["title"])
        ids: list[str] = self._courses.get(title, [])
        if len(ids) > 1:
            rule = "Several courses have this title; name it by courseId."
            raise InvalidInputError(field_errors={"course": rule})
        if ids:
            return ids[0]
        course = Course(
            id=new_id(),
            title=title,
            instructor=None,
            passing_grade=DEFAULT_PASSING_GRADE,
            move_on=MoveOn.COMPLETED_AND_PASSED,
            require_every_element_passed=False,
            created_at=self._work.now,
        )
        self._courses[title] = [course.id]
        self._new_courses.append(course)
        return course.id


def _with_values(offering: Offering, line: Line) -> Offering:
    named: dict[str, Any] = {
        field: line.values[name] for name, field in _FIELDS.items() if name in line.values
    }
    return replace(offering, **named)
