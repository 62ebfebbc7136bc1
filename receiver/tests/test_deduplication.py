"""Handling once: first, again, at the same time, after a failure, and when memory is full."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from coursebell_receiver import Claim, InMemoryDeduplicator, InProgressError, once


def handle_once(deduplicator: InMemoryDeduplicator, message_id: str) -> bool:
    with once(deduplicator, message_id) as first:
        return first


def test_an_event_is_handled_the_first_time_only() -> None:
    deduplicator = InMemoryDeduplicator()

    answers = [handle_once(deduplicator, name) for name in ("e1", "e1", "e2", "e1", "e2")]

    assert answers == [True, False, True, False, False]


def test_an_event_whose_handling_failed_is_handled_at_its_next_attempt() -> None:
    deduplicator = InMemoryDeduplicator()
    with pytest.raises(RuntimeError), once(deduplicator, "e1"):
        raise RuntimeError

    assert handle_once(deduplicator, "e1")


def test_an_event_whose_handling_was_cancelled_is_handled_at_its_next_attempt() -> None:
    deduplicator = InMemoryDeduplicator()

    async def hang() -> None:
        with once(deduplicator, "e1"):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(hang(), timeout=0.01))

    assert handle_once(deduplicator, "e1")


def test_an_event_in_progress_is_neither_handled_twice_nor_acknowledged() -> None:
    deduplicator = InMemoryDeduplicator()

    with once(deduplicator, "e1"):
        with pytest.raises(InProgressError):
            handle_once(deduplicator, "e1")
        assert handle_once(deduplicator, "e2")

    assert not handle_once(deduplicator, "e1")


def test_a_duplicate_that_fails_leaves_the_event_handled() -> None:
    deduplicator = InMemoryDeduplicator()
    handle_once(deduplicator, "e1")

    with pytest.raises(RuntimeError), once(deduplicator, "e1"):
        raise RuntimeError

    assert not handle_once(deduplicator, "e1")


def test_of_many_threads_one_gets_the_event() -> None:
    deduplicator = InMemoryDeduplicator()

    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(deduplicator.claim, ["e1"] * 200))

    assert claims.count(Claim.FIRST) == 1
    assert claims.count(Claim.IN_PROGRESS) == 199


def test_the_oldest_events_are_forgotten_when_the_capacity_is_reached() -> None:
    deduplicator = InMemoryDeduplicator(capacity=2)
    for name in ("e1", "e2", "e2", "e3"):
        handle_once(deduplicator, name)

    claims = [deduplicator.claim(name) for name in ("e3", "e2", "e1")]

    assert claims == [Claim.DONE, Claim.DONE, Claim.FIRST]


def test_a_memory_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        InMemoryDeduplicator(capacity=0)
