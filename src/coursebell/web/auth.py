"""Who calls: a Bearer token becomes an actor before anything else of a request is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Concatenate, ParamSpec, TypeAlias, TypeVar

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from coursebell.domain.model import Actor, Role
from coursebell.errors import UnauthenticatedError
from coursebell.storage.database import Database

P = ParamSpec("P")
T = TypeVar("T")

_MAX_TOKEN = 200  # characters; ours are far shorter


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The actor of a request, when it came, and the way to the use cases."""

    actor: Actor
    now: datetime
    database: Database

    async def run(
        self,
        use_case: Callable[Concatenate[Database, Actor, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a use case on a thread of its own: the event loop never waits for the database."""
        return await run_in_threadpool(use_case, self.database, self.actor, *args, **kwargs)


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets in who has `role` or more. Every route of the API stands behind one."""

    role: Role

    async def admit(self, request: Request) -> None:
        """Remember the caller. Raises UnauthenticatedError and ForbiddenError."""
        now = datetime.now(UTC)
        actor = await run_in_threadpool(request.app.state.authenticate, bearer_token(request), now)
        actor.require(self.role)
        request.scope["coursebell.caller"] = Caller(
            actor=actor, now=now, database=request.app.state.database
        )

    async def __call__(self, request: Request) -> Caller:
        caller: Caller = request.scope["coursebell.caller"]
        return caller


def bearer_token(request: Request) -> str:
    """The token of the `Authorization` header. Raises UnauthenticatedError when there is none."""
    values = request.headers.getlist("authorization")
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    token = token.strip()
    if scheme.lower() != "bearer" or not token.isascii() or not 0 < len(token) <= _MAX_TOKEN:
        raise UnauthenticatedError
    return token


Learner: TypeAlias = Annotated[Caller, Depends(Gate(Role.LEARNER))]
Instructor: TypeAlias = Annotated[Caller, Depends(Gate(Role.INSTRUCTOR))]
Admin: TypeAlias = Annotated[Caller, Depends(Gate(Role.ADMIN))]
