"""Who calls: a token becomes an actor before anything else of a request is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Concatenate, ParamSpec, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from coursebell.domain.model import Actor, Role
from coursebell.errors import CoursebellError, UnauthenticatedError
from coursebell.services import organizations
from coursebell.services.registrar import Registrar
from coursebell.web.batches import Batches, Together
from coursebell.web.fields import instant_of

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")

Authenticate: TypeAlias = Callable[
    [Registrar, Sequence[str], datetime], Sequence[Actor | CoursebellError]
]

_MAX_TOKEN = 200  # characters; ours are far shorter


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The actor of a request, when it came, and the way to the use cases."""

    actor: Actor
    now: datetime
    registrar: Registrar
    together: Together

    async def run(
        self,
        use_case: Callable[Concatenate[Registrar, Actor, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a use case on a thread of its own: the event loop never waits for the database."""
        return await run_in_threadpool(use_case, self.registrar, self.actor, *args, **kwargs)

    async def run_batch(
        self,
        use_case: Callable[[Registrar, str, Sequence[Item], datetime], list[T]],
        items: Sequence[Item],
    ) -> list[T]:
        """Run a use case that takes items of one organization, each with its actor.

        A single item joins those of other requests that come at the same time.
        """
        if len(items) == 1:
            organization_id = self.actor.organization_id
            return [await self.together.submit(use_case, organization_id, items[0], self.now)]
        return await run_in_threadpool(
            use_case, self.registrar, self.actor.organization_id, items, self.now
        )

    async def zone(self) -> ZoneInfo:
        """The zone whose days are meant by plain dates."""
        return ZoneInfo((await self.run(organizations.get_organization)).zone)

    async def instant(self, written: str | None, name: str, *, end: bool) -> datetime | None:
        """What a date of the field `name` means. Raises InvalidInputError."""
        if written is None:
            return None
        return instant_of(written, await self.zone(), name, end=end)


class Porter:
    """Finds out whose tokens they are; those that come at the same time, in one query.

    Nothing is remembered between two queries, so a revoked token opens nothing from then on.
    """

    def __init__(self, registrar: Registrar, authenticate: Authenticate) -> None:
        def look_up(shown: Sequence[tuple[str, datetime]]) -> Sequence[Actor | CoursebellError]:
            latest = max(now for _, now in shown)
            return authenticate(registrar, [token for token, _ in shown], latest)

        self._batches = Batches(look_up)

    async def identify(self, token: str, now: datetime) -> Actor:
        """Raises UnauthenticatedError."""
        found = await self._batches.submit((token, now))
        if isinstance(found, CoursebellError):
            raise found
        return found


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets in who has `role` or more. Every route of the APIs stands behind one."""

    role: Role
    token_of: Callable[[Request], str]

    async def __call__(self, request: Request) -> Caller:
        """Who calls. Raises UnauthenticatedError and ForbiddenError."""
        state, now = request.app.state, datetime.now(UTC)
        actor = await state.porter.identify(self.token_of(request), now)
        actor.require(self.role)
        return Caller(actor=actor, now=now, registrar=state.registrar, together=state.together)


def bearer_token(request: Request) -> str:
    """The token of the `Authorization` header. Raises UnauthenticatedError when there is none."""
    scheme, _, token = _only(request, "authorization").partition(" ")
    if scheme.lower() != "bearer":
        raise UnauthenticatedError
    return _plausible(token.strip())


def api_key(request: Request) -> str:
    """The token of the `X-API-KEY` header. Raises UnauthenticatedError when there is none."""
    return _plausible(_only(request, "x-api-key").strip())


def _only(request: Request, header: str) -> str:
    """The value of a header that stands there once; where two contradict, neither is believed."""
    values = request.headers.getlist(header)
    return values[0] if len(values) == 1 else ""


def _plausible(token: str) -> str:
    if not token.isascii() or not 0 < len(token) <= _MAX_TOKEN:
        raise UnauthenticatedError
    return token


Learner: TypeAlias = Annotated[Caller, Depends(Gate(Role.LEARNER, bearer_token))]
Instructor: TypeAlias = Annotated[Caller, Depends(Gate(Role.INSTRUCTOR, bearer_token))]
Admin: TypeAlias = Annotated[Caller, Depends(Gate(Role.ADMIN, bearer_token))]

KeyedLearner: TypeAlias = Annotated[Caller, Depends(Gate(Role.LEARNER, api_key))]
KeyedInstructor: TypeAlias = Annotated[Caller, Depends(Gate(Role.INSTRUCTOR, api_key))]
KeyedAdmin: TypeAlias = Annotated[Caller, Depends(Gate(Role.ADMIN, api_key))]
