"""Requests that come together share a transaction, and nothing else."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from coursebell.errors import UnavailableError
from coursebell.web.batches import LARGEST, Batches, Together

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Desk:
    """Work that notes its batches, and waits at the first until it is let go on."""

    def __init__(self) -> None:
        self.batches = []
        self.go_on = threading.Event()

    def work(self, items):
        self.batches.append(list(items))
        self.go_on.wait(10)
        for item in items:
            if isinstance(item, Exception):
                raise item
        return [f"answer to {item}" for item in items]


async def together(desk, *items):
    """Submit the first, and the others while it is being worked on."""
    batches = Batches(desk.work)
    first = asyncio.create_task(batches.submit(items[0]))
    while not desk.batches:
        await asyncio.sleep(0.001)
    others = [asyncio.create_task(batches.submit(item)) for item in items[1:]]
    await asyncio.sleep(0)
    return batches, [first, *others]


async def answers(desk, *items):
    _, tasks = await together(desk, *items)
    desk.go_on.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_what_arrives_while_one_batch_commits_forms_the_next():
    desk = Desk()

    found = asyncio.run(answers(desk, "a", "b", "c"))

    assert desk.batches == [["a"], ["b", "c"]]
    assert found == ["answer to a", "answer to b", "answer to c"]


def test_a_batch_has_a_largest_size():
    desk = Desk()

    asyncio.run(answers(desk, *range(LARGEST + 2)))

    assert [len(batch) for batch in desk.batches] == [1, LARGEST, 1]


def test_an_unexpected_exception_is_its_own_items_alone():
    desk, poison = Desk(), ValueError("poison")

    found = asyncio.run(answers(desk, "a", "b", poison, "c"))

    assert found == ["answer to a", "answer to b", poison, "answer to c"]


def test_when_the_database_is_gone_everyone_is_told():
    desk, gone = Desk(), UnavailableError()

    found = asyncio.run(answers(desk, "a", "b", gone))

    assert found == ["answer to a", gone, gone]
    assert len(desk.batches) == 2


@pytest.mark.parametrize("last", ["c", UnavailableError()])
def test_a_caller_who_goes_away_undoes_nothing(last):
    desk = Desk()

    async def story():
        _, tasks = await together(desk, "a", "b", last)
        tasks[1].cancel()
        await asyncio.sleep(0)
        desk.go_on.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(story())

    assert desk.batches[1] == ["b", last]
    assert isinstance(found[1], asyncio.CancelledError)
    assert found[2] in ("answer to c", last)


def test_after_a_pause_it_works_again():
    desk = Desk()
    desk.go_on.set()

    async def story():
        batches = Batches(desk.work)
        return [await batches.submit("a"), await batches.submit("b")]

    assert asyncio.run(story()) == ["answer to a", "answer to b"]


def test_organizations_and_use_cases_do_not_mix_and_now_is_the_latest():
    calls = []

    def greet(_registrar, organization_id, items, now):
        calls.append((organization_id, list(items), now))
        return items

    async def story():
        shared = Together(registrar=None)
        later = NOW + timedelta(seconds=1)
        await asyncio.gather(
            shared.submit(greet, "one", "a", NOW),
            shared.submit(greet, "one", "b", later),
            shared.submit(greet, "one", "c", NOW),
            shared.submit(greet, "two", "d", NOW),
        )

    asyncio.run(story())

    assert sorted(calls, key=lambda call: call[0]) == [
        ("one", ["a", "b", "c"], NOW + timedelta(seconds=1)),
        ("two", ["d"], NOW),
    ]
