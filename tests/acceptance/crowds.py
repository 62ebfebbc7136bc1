"""Sixteen clients who end registrations at once, and the receiver that they give work to."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from acceptance.installations import PATIENCE, UNANSWERED, Answer, Client, Server, wait_until
from acceptance.receivers import Request
from acceptance.schools import Place

CLIENTS = 16
REFUSED = 0.2  # of all deliveries
PAUSE = 0.1  # seconds before a client asks again


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a registration is ended, and what it is graded with in the end."""

    grade: float
    status: str
    by_learner_too: bool = False  # who does not know the grade
    method: str = "POST"
    resource: Callable[[str], str]
    body: Callable[[str], object]


WAYS = (
    Way(
        grade=80.5,
        status="passed",
        method="PUT",
        resource=lambda registration_id: f"registrations/{registration_id}",
        body=lambda _: {"grade": 80.5},
    ),
    Way(
        grade=64.0,
        status="failed",
        resource=lambda registration_id: f"registrations/{registration_id}/complete",
        body=lambda _: {"grade": 64.0, "source": "SELF"},
    ),
    Way(
        grade=91.25,
        status="passed",
        resource=lambda _: "gradebook/complete",
        body=lambda registration_id: {
            "completions": [{"registrationId": registration_id, "grade": 91.25}]
        },
    ),
    Way(
        grade=75.0,
        status="passed",
        by_learner_too=True,
        method="PUT",
        resource=lambda registration_id: f"registrations/{registration_id}",
        body=lambda _: {"grade": 75.0},
    ),
)
"""A place is ended in the way of its number."""


def way_of(number: int) -> Way:
    return WAYS[number % len(WAYS)]


def acting_learners(number: int) -> range:
    """The numbers of those, among the first `number`, who complete by themselves."""
    return range(len(WAYS) - 1, number, len(WAYS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One request that a client makes until it is granted."""

    token: str | None  # of a learner; None: the client's own, an instructor's
    method: str
    resource: str
    body: object
    insists: bool = True  # asks again when the connection broke

    def is_granted(self, answer: Answer) -> bool:
        if self.token is not None:  # the instructor may have been first
            return answer.status in (HTTPStatus.NO_CONTENT, HTTPStatus.CONFLICT)
        if self.resource != "gradebook/complete":
            return answer.status == HTTPStatus.NO_CONTENT
        return answer.status == HTTPStatus.OK and answer.document["results"][0]["result"] in (
            "completed",
            "already_ended",
        )


def wishes_for(places: Sequence[Place], *, giving_up: frozenset[int] = frozenset()) -> list[Wish]:
    """For every place what its way calls for, in random order; for half of them twice.

    What concerns one place stays together, so that different clients ask for it at once.
    """
    groups = [
        list(_wishes(number, place, insists=number not in giving_up))
        for number, place in enumerate(places)
    ]
    random.shuffle(groups)
    return list(itertools.chain.from_iterable(groups))


def _wishes(number: int, place: Place, *, insists: bool) -> Iterator[Wish]:
    way, round_number = way_of(number), number // len(WAYS)
    by_instructor = Wish(
        token=None,
        method=way.method,
        resource=way.resource(place.registration_id),
        body=way.body(place.registration_id),
        insists=insists,
    )
    by_learner = Wish(
        token=place.learner_token,
        method="POST",
        resource=f"registrations/{place.registration_id}/complete",
        body=None,
        insists=insists,
    )
    both = [by_instructor, by_learner][:: -1 if round_number % 4 > 1 else 1]
    wanted = both if way.by_learner_too else [by_instructor]
    for _ in range(2 if round_number % 2 else 1):
        yield from wanted


class Crowd:
    """Clients on threads of their own, from the start of the context until all is granted.

    The end of the context fails if something was refused.
    """

    def __init__(self, server: Server, instructor_token: str, wishes: Sequence[Wish]) -> None:
        self.total = len(wishes)
        self.answered = 0
        self.unanswered = 0  # requests whose connection broke
        self.busy = 0  # answers that said to try again
        self.seconds = 0.0
        self._server = server
        self._token = instructor_token
        self._wishes = iter(wishes)
        self._lock = threading.Lock()
        self._refused: list[str] = []
        self._threads = [threading.Thread(target=self._work) for _ in range(CLIENTS)]

    def __enter__(self) -> Crowd:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failed: object) -> None:
        if any(failed):
            self.leave()
        for thread in self._threads:
            thread.join()
        self.seconds = time.monotonic() - self._began
        assert not self._refused, self._refused[:5]

    def wait_for(self, answered: int) -> None:
        """Until so many wishes are granted."""
        wait_until(lambda: self.answered >= answered or self._refused, f"{answered} are answered")

    def leave(self) -> None:
        """Nobody asks for anything new."""
        with self._lock:
            self._wishes = iter(())

    def _work(self) -> None:
        with self._server.client(self._token) as own:
            while (wish := self._next()) is not None:
                if wish.token is None:
                    self._see_to(wish, own)
                else:
                    with self._server.client(wish.token) as learner:
                        self._see_to(wish, learner)

    def _next(self) -> Wish | None:
        with self._lock:
            return next(self._wishes, None)

    def _see_to(self, wish: Wish, client: Client) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._is_settled(wish, client):
            if time.monotonic() > deadline:
                self._refused.append(f"{wish.method} {wish.resource}: never answered")
                break
            time.sleep(PAUSE)
        with self._lock:
            self.answered += 1

    def _is_settled(self, wish: Wish, client: Client) -> bool:
        """Whether there is nothing more to ask."""
        try:
            answer = client.ask(wish.method, wish.resource, wish.body)
        except UNANSWERED:
            with self._lock:
                self.unanswered += 1
            return not wish.insists
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            with self._lock:
                self.busy += 1
            return False
        if not wish.is_granted(answer):
            self._refused.append(f"{wish.method} {wish.resource}: {answer.status} {answer.text}")
        return True


def refuse_some(_: Request) -> int:
    """What a receiver in trouble answers, after a moment."""
    time.sleep(0.01)
    refused = random.random() < REFUSED
    return HTTPStatus.INTERNAL_SERVER_ERROR if refused else HTTPStatus.NO_CONTENT
