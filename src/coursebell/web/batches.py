"""Requests that come at the same time go to the database together.

Whatever arrives while one batch commits forms the next, so a lone request never waits, and a
hundred concurrent ones cost about two transactions instead of a hundred.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from starlette.concurrency import run_in_threadpool

from coursebell.errors import CoursebellError
from coursebell.services.registrar import Registrar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

LARGEST = 500  # items that one batch takes


class Batches(Generic[Item, Answer]):
    """Runs `work` on a thread, on everything that was submitted since it last began.

    `work` gives one answer for each item, in order. When it raises a `CoursebellError`, each item
    of that batch gets it; after any other exception each item is tried by itself. Belongs to one
    event loop.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Answer]]) -> None:
        self._work = work
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Answer:
        """The answer for `item`. A caller who goes away undoes nothing and stops nobody."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._worker is None:
            self._worker = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(LARGEST, len(self._waiting)))]
            await self._answer(batch)
        self._worker = None

    async def _answer(self, batch: Sequence[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await run_in_threadpool(self._work, [item for item, _ in batch])
        except CoursebellError as exc:  # the database, and so the fault of none of them
            for _, answer in batch:
                _fail(answer, exc)
        except Exception as exc:
            if len(batch) == 1:
                _fail(batch[0][1], exc)
                return
            for each in batch:  # one of them has it; it must not be its neighbours' too
                await self._answer([each])
        else:
            for (_, answer), found in zip(batch, answers, strict=True):
                if not answer.done():  # else the caller has gone
                    answer.set_result(found)


def _fail(answer: asyncio.Future[Answer], exc: Exception) -> None:
    if not answer.done():
        answer.set_exception(exc)


UseCase = Callable[[Registrar, str, Sequence[Item], datetime], list[Answer]]


class Together:
    """The batches of an application: one kind for each use case and organization."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar
        self._batches: dict[tuple[object, str], Batches[Any, Any]] = {}

    async def submit(
        self, use_case: UseCase[Item, Answer], organization_id: str, item: Item, now: datetime
    ) -> Answer:
        """What `use_case` answers for `item`, in a batch whose now is that of its last item."""
        key = (use_case, organization_id)
        batches: Batches[tuple[Item, datetime], Answer] | None = self._batches.get(key)
        if batches is None:

            def work(items: Sequence[tuple[Item, datetime]]) -> list[Answer]:
                latest = max(came for _, came in items)
                each = [item for item, _ in items]
                return use_case(self._registrar, organization_id, each, latest)

            batches = self._batches[key] = Batches(work)
        return await batches.submit((item, now))
