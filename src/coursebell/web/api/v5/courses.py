"""Courses: what is taught, and the rules by which a registration in it ends."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.changes import UNSET, Unset
from coursebell.domain.lists import CourseFilters
from coursebell.domain.model import MoveOn
from coursebell.services import courses
from coursebell.services.courses import DEFAULT_PASSING_GRADE, CourseChanges, NewCourse
from coursebell.web.answers import created, done, listed, shown
from coursebell.web.auth import Admin, Instructor
from coursebell.web.documents import CourseDocument, ListDocument, course_document
from coursebell.web.fields import (
    GRADE,
    REFERENCE,
    Body,
    Clearable,
    DateFilter,
    Line,
    ListQuery,
    Member,
    PathId,
    TextFilter,
    Truth,
)
from coursebell.web.openapi import BODY, UNKNOWN, accomplishes, creates, shows
from coursebell.web.routes import ApiRoute

router = APIRouter(prefix="/api/v5/courses", route_class=ApiRoute, tags=["courses"])

_TITLE = Line(255)
_MOVE_ON = Member(MoveOn)


class CourseQuery(ListQuery):
    created_date: DateFilter = None
    title: TextFilter = None


class CourseCreation(Body):
    title: Annotated[str, _TITLE]
    instructor: Annotated[str | None, Clearable(REFERENCE)] = None
    passing_grade: Annotated[Decimal, GRADE] = DEFAULT_PASSING_GRADE
    move_on: Annotated[MoveOn, _MOVE_ON] = MoveOn.COMPLETED_AND_PASSED
    require_every_element_passed: Annotated[bool, Truth()] = False


class CourseUpdate(Body):
    title: Annotated[str | Unset, _TITLE] = UNSET
    instructor: Annotated[str | Unset | None, Clearable(REFERENCE)] = UNSET
    passing_grade: Annotated[Decimal | Unset, GRADE] = UNSET
    move_on: Annotated[MoveOn | Unset, _MOVE_ON] = UNSET
    require_every_element_passed: Annotated[bool | Unset, Truth()] = UNSET


@router.get("", **shows(ListDocument[CourseDocument]))
async def list_courses(
    request: Request, caller: Instructor, query: Annotated[CourseQuery, Query()]
) -> Response:
    """Courses, in the order in which they were created."""
    filters = CourseFilters(created=query.created_date, title=query.title)
    found = await caller.run(courses.list_courses, filters, query.page)
    return listed(request, query.page, found, course_document)


@router.get("/{course_id}", **shows(CourseDocument, *UNKNOWN))
async def get_course(course_id: PathId, caller: Instructor) -> Response:
    return shown(course_document(await caller.run(courses.get_course, course_id)))


@router.post("", **creates(*BODY))
async def create_course(request: Request, caller: Admin, body: CourseCreation) -> Response:
    course = await caller.run(courses.create_course, NewCourse(**body.named()), caller.now)
    return created(request, "courses", course.id)


@router.put("/{course_id}", **accomplishes(*UNKNOWN, *BODY))
async def change_course(course_id: PathId, caller: Admin, body: CourseUpdate) -> Response:
    """Change what is named. Results that stand keep the rules that decided them."""
    changes = CourseChanges(**body.named())
    await caller.run(courses.change_course, course_id, changes, caller.now)
    return done()


@router.delete("/{course_id}", **accomplishes(*UNKNOWN))
async def delete_course(course_id: PathId, caller: Admin) -> Response:
    """Delete a course, its elements and offerings; refused while one has a registration."""
    await caller.run(courses.delete_course, course_id, caller.now)
    return done()
