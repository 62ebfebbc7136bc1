"""Handling an event once, although it may be delivered more than once.

Coursebell delivers at least once: an answer that is lost or late makes it send the same event, with
the same `webhook-id`, again. An event whose handling failed must stay new, and one that is still
being handled must be neither handled twice nor acknowledged: its first attempt may yet fail.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Protocol, assert_never

from coursebell_receiver.errors import InProgressError


class Claim(Enum):
    """The answer to whoever wants to handle an event."""

    FIRST = auto()
    """It is yours: handle it, then `complete` it, or `release` it if that failed."""
    IN_PROGRESS = auto()
    """Somebody is handling it: refuse it for now."""
    DONE = auto()
    """It was handled: acknowledge it and do nothing."""


class Deduplicator(Protocol):
    """Remembers by `webhook-id` which events were handled; use it through `once`.

    Only one caller gets `Claim.FIRST` for an id until it is released. A shared or durable
    implementation lets a claim lapse that is neither completed nor released, because its process
    died. It remembers for at least 4 days: attempts go on for up to 84 hours.
    """

    def claim(self, message_id: str, /) -> Claim:
        """Ask to handle the event."""
        ...

    def complete(self, message_id: str, /) -> None:
        """Remember that the event was handled."""
        ...

    def release(self, message_id: str, /) -> None:
        """Let the event be handled at its next attempt, because handling it failed."""
        ...


class InMemoryDeduplicator:
    """Remembers the last `capacity` events of this process; safe to share between threads.

    It forgets all when the process ends and knows nothing of other processes.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        if capacity < 1:
            raise ValueError("capacity is at least 1")
        self._capacity = capacity
        self._lock = threading.Lock()
        self._in_progress: set[str] = set()
        self._done: OrderedDict[str, None] = OrderedDict()

    def claim(self, message_id: str, /) -> Claim:
        with self._lock:
            if message_id in self._done:
                return Claim.DONE
            if message_id in self._in_progress:
                return Claim.IN_PROGRESS
            self._in_progress.add(message_id)
            return Claim.FIRST

    def complete(self, message_id: str, /) -> None:
        with self._lock:
            self._in_progress.discard(message_id)
            self._done[message_id] = None
            if len(self._done) > self._capacity:
                self._done.popitem(last=False)

    def release(self, message_id: str, /) -> None:
        with self._lock:
            self._in_progress.discard(message_id)


@contextmanager
def once(deduplicator: Deduplicator, message_id: str) -> Iterator[bool]:
    """`with once(deduplicator, event.id) as first:` - handle the event inside if `first` is true.

    Completes the event when the block ends and releases it when the block raises, also when it is
    cancelled. Raises `InProgressError` while another block handles the same event.
    """
    claim = deduplicator.claim(message_id)
    match claim:
        case Claim.FIRST:
            with _completing(deduplicator, message_id):
                yield True
        case Claim.DONE:
            yield False
        case Claim.IN_PROGRESS:
            raise InProgressError("the event is being handled at this moment")
        case _:
            assert_never(claim)


@contextmanager
def _completing(deduplicator: Deduplicator, message_id: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        deduplicator.release(message_id)
        raise
    deduplicator.complete(message_id)
