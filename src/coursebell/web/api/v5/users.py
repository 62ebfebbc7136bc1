"""Users: the people of an organization."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.changes import UNSET, Unset
from coursebell.domain.lists import UserFilters
from coursebell.domain.model import Role
from coursebell.services import people, privacy
from coursebell.services.people import NewUser, UserChanges
from coursebell.web.answers import created, done, listed, shown
from coursebell.web.auth import Admin, Instructor, Learner
from coursebell.web.documents import ListDocument, UserDocument, user_document
from coursebell.web.dossiers import DossierDocument, dossier_document
from coursebell.web.fields import (
    Body,
    Choice,
    Clearable,
    DateFilter,
    Items,
    Line,
    ListQuery,
    Member,
    PathId,
    Secret,
    TextFilter,
)
from coursebell.web.openapi import BODY, UNKNOWN, accomplishes, creates, shows
from coursebell.web.routes import ApiRoute

router = APIRouter(prefix="/api/v5/users", route_class=ApiRoute, tags=["users"])

_NAME = Line(100)
_EMAIL = Line(254)  # RFC 5321 allows no more
_USERNAME = Line(254)
_PASSWORD = Secret(1000)  # the use case says what a good one is
_LOCALE = Line(100)
_TAGS = Items(Line(100), max_length=100)
_ROLE = Member(Role)
_REASON = Line(1_000)


class UserQuery(ListQuery):
    created_date: DateFilter = None
    last_login_date: DateFilter = None
    first_name: TextFilter = None
    last_name: TextFilter = None
    username: TextFilter = None
    email: TextFilter = None
    role: Annotated[Role | None, Choice(Role)] = None


class UserCreation(Body):
    first_name: Annotated[str, _NAME]
    last_name: Annotated[str, _NAME]
    email: Annotated[str, _EMAIL]
    username: Annotated[str | None, Clearable(_USERNAME)] = None
    password: Annotated[str | None, Clearable(_PASSWORD)] = None
    locale: Annotated[str | None, Clearable(_LOCALE)] = None
    tags: Annotated[tuple[str, ...], _TAGS] = ()
    role: Annotated[Role, _ROLE] = Role.LEARNER


class Erasure(Body):
    reason: Annotated[str, _REASON]


class UserUpdate(Body):
    first_name: Annotated[str | Unset, _NAME] = UNSET
    last_name: Annotated[str | Unset, _NAME] = UNSET
    email: Annotated[str | Unset, _EMAIL] = UNSET
    username: Annotated[str | Unset, _USERNAME] = UNSET
    password: Annotated[str | Unset, _PASSWORD] = UNSET
    locale: Annotated[str | Unset, _LOCALE] = UNSET
    tags: Annotated[tuple[str, ...] | Unset, _TAGS] = UNSET
    role: Annotated[Role | Unset, _ROLE] = UNSET


@router.get("", **shows(ListDocument[UserDocument]))
async def list_users(
    request: Request, caller: Instructor, query: Annotated[UserQuery, Query()]
) -> Response:
    """Users, in the order in which they were created."""
    filters = UserFilters(
        created=query.created_date,
        last_login=query.last_login_date,
        first_name=query.first_name,
        last_name=query.last_name,
        username=query.username,
        email=query.email,
        role=query.role,
    )
    found = await caller.run(people.list_users, filters, query.page)
    return listed(request, query.page, found, user_document)


@router.get("/{user_id}", **shows(UserDocument, *UNKNOWN))
async def get_user(user_id: PathId, caller: Learner) -> Response:
    """One user; learners see themselves only."""
    return shown(user_document(await caller.run(people.get_user, user_id)))


@router.post("", **creates(*BODY))
async def create_user(request: Request, caller: Admin, body: UserCreation) -> Response:
    """Create a user. Without a password the user cannot sign in until one is set."""
    user = await caller.run(people.create_user, NewUser(**body.named()), caller.now)
    return created(request, "users", user.id)


@router.put("/{user_id}", **accomplishes(*UNKNOWN, *BODY))
async def change_user(user_id: PathId, caller: Learner, body: UserUpdate) -> Response:
    """Change what is named; learners their own name, locale and password."""
    await caller.run(people.change_user, user_id, UserChanges(**body.named()), caller.now)
    return done()


@router.delete("/{user_id}", **accomplishes(*UNKNOWN))
async def delete_user(user_id: PathId, caller: Admin) -> Response:
    """Delete a user: tokens are revoked, active registrations ejected, history is kept."""
    await caller.run(people.delete_user, user_id, caller.now)
    return done()


@router.get("/{user_id}/export", **shows(DossierDocument, *UNKNOWN))
async def export_user(user_id: PathId, caller: Learner) -> Response:
    """Everything that is kept about a person, and who was told of them when; one's own, or any."""
    return shown(dossier_document(await caller.run(privacy.export_person, user_id)))


@router.post("/{user_id}/erase", **accomplishes(*UNKNOWN, *BODY))
async def erase_user(user_id: PathId, caller: Admin, body: Erasure) -> Response:
    """Forget who a user was; grades and dates stay, under the same id. Cannot be undone."""
    await caller.run(privacy.erase_user, user_id, body.reason, caller.now)
    return done()
