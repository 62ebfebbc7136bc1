"""Learners' stories, told to the API by many clients at once, and what must come of each.

A client insists until it knows that a step is done: after a broken connection or a 503 it asks
again, and what is done already counts. So each story's events are known exactly, whatever was
killed meanwhile.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Protocol

from acceptance.installations import UNANSWERED, Answer, Client

REGISTERED = "offering_registered"
COMPLETED = "offering_completed"
REGRADED = "registration_grade_changed"
REOPENED = "registration_reopened"
EVENTS = (REGISTERED, COMPLETED, REGRADED, REOPENED)

_GIVES_UP = 180.0  # seconds without a step done, after which something is wrong
_PAUSE = 0.25  # seconds before a client asks again
_UNKNOWN = (HTTPStatus.SERVICE_UNAVAILABLE,)  # not done, as a rule; a lost commit may be

Granted = Callable[[Answer], bool]


@dataclass(slots=True)
class Story:
    """One learner and one registration."""

    email: str
    offering_id: str
    registration_id: str = ""
    events: list[str] = field(default_factory=list)  # that the steps done so far must have fired
    grade: float = 0.0  # of the last step done


class Place(Protocol):
    """Where the server is now."""

    def client(self, token: str | None = None) -> Client: ...


class StoryTellers:
    """Clients on threads of their own while the context is open; each then ends its story.

    `rate` is how many stories a second they begin together; None: as many as they can.
    """

    def __init__(self, place: Place, offering_id: str, *, number: int, rate: float | None) -> None:
        self.stories: list[Story] = []
        self.problems: list[str] = []
        self.unanswered = 0  # requests whose connection broke
        self.busy = 0  # answers that said to come again
        self.requests = 0
        self._place = place
        self.offering_id = offering_id
        self._interval = 0.0 if rate is None else number / rate
        self._names = itertools.count()
        self._run = f"{random.getrandbits(40):x}"
        self._lock = threading.Lock()
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._tell_stories) for _ in range(number)]

    def __enter__(self) -> StoryTellers:
        self.began = datetime.now(UTC)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def count(self, **more: int) -> None:
        with self._lock:
            for name, number in more.items():
                setattr(self, name, getattr(self, name) + number)

    def _tell_stories(self) -> None:
        teller = _Teller(self._place, self)
        start = time.monotonic() + random.random() * self._interval
        while not self._enough.wait(max(0.0, start - time.monotonic())):
            start = max(start, time.monotonic() - self._interval) + self._interval
            email = f"learner-{self._run}-{next(self._names)}@harbour.example"
            story = Story(email=email, offering_id=self.offering_id)
            with self._lock:
                self.stories.append(story)
            try:
                teller.tell(story)
            except Exception as exc:  # whatever it is, it is in the books' problems
                self.problems.append(f"{story.email}: {exc!r}")
                break
        teller.leave()


class _Teller:
    """One client that insists."""

    def __init__(self, place: Place, tellers: StoryTellers) -> None:
        self._place = place
        self._tellers = tellers
        self._client: Client | None = None

    def tell(self, story: Story) -> None:
        user_id = self._make_user(story)
        self._register(story, user_id)
        self._end(story)
        chance = random.random()
        if chance < 0.3:
            self._grade(story, REGRADED)
        if chance < 0.15:
            self._reopen(story)
            self._grade(story, COMPLETED)

    def leave(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _make_user(self, story: Story) -> str:
        body = {"firstName": "Mei", "lastName": "Tanaka", "email": story.email}
        answer = self._insist(
            "POST",
            "users",
            body,
            lambda a: a.status in (HTTPStatus.CREATED, HTTPStatus.BAD_REQUEST),
        )
        if answer.status == HTTPStatus.CREATED:
            return answer.location.rpartition("/")[2]
        (user,) = self._found(f"users?email={story.email}")
        return str(user["id"])

    def _register(self, story: Story, user_id: str) -> None:
        body = {"userId": user_id, "offeringId": story.offering_id}
        answer = self._insist(
            "POST",
            "registrations",
            body,
            lambda a: a.status in (HTTPStatus.CREATED, HTTPStatus.BAD_REQUEST),
        )
        if answer.status == HTTPStatus.CREATED:
            story.registration_id = answer.location.rpartition("/")[2]
        else:
            (found,) = self._found(f"registrations?userId={user_id}&offeringId={story.offering_id}")
            story.registration_id = found["id"]
        story.events.append(REGISTERED)

    def _end(self, story: Story) -> None:
        """By any of the three ways."""
        grade = _some_grade()
        resource = f"registrations/{story.registration_id}"
        entry = {"registrationId": story.registration_id, "grade": grade}
        ways: tuple[tuple[str, str, object], ...] = (
            ("PUT", resource, {"grade": grade}),
            ("POST", f"{resource}/complete", {"grade": grade, "source": "SELF"}),
            ("POST", "gradebook/complete", {"completions": [entry]}),
        )
        self._insist(*random.choice(ways), _is_ended)
        story.events.append(COMPLETED)
        story.grade = grade

    def _grade(self, story: Story, fires: str) -> None:
        grade = (story.grade + 1 + random.randrange(98)) % 100  # another one
        self._insist("PUT", f"registrations/{story.registration_id}", {"grade": grade}, _is_done)
        story.events.append(fires)
        story.grade = grade

    def _reopen(self, story: Story) -> None:
        self._insist(
            "POST",
            f"registrations/{story.registration_id}/reopen",
            {"reason": "the kit wants it"},
            lambda a: a.status in (HTTPStatus.NO_CONTENT, HTTPStatus.CONFLICT),
        )
        story.events.append(REOPENED)

    def _found(self, resource: str) -> list[dict[str, str]]:
        answer = self._insist("GET", resource, None, lambda a: a.status == HTTPStatus.OK)
        return list(answer.document["results"])

    def _insist(self, method: str, resource: str, body: object, granted: Granted) -> Answer:
        deadline = time.monotonic() + _GIVES_UP
        while time.monotonic() < deadline:
            answer = self._ask(method, resource, body)
            if answer is not None:
                assert granted(answer), f"{method} {resource}: {answer.status} {answer.text}"
                return answer
            time.sleep(_PAUSE)
        raise AssertionError(f"{method} {resource}: not done in {_GIVES_UP:.0f} s")

    def _ask(self, method: str, resource: str, body: object) -> Answer | None:
        """None: it is not known whether it is done."""
        self._tellers.count(requests=1)
        try:
            if self._client is None:
                self._client = self._place.client()
            answer = self._client.ask(method, resource, body)
        except UNANSWERED:
            self.leave()
            self._tellers.count(unanswered=1)
            return None
        if answer.status in _UNKNOWN:
            self._tellers.count(busy=1)
            return None
        return answer


def _some_grade() -> float:
    return random.randrange(400) / 4


def _is_done(answer: Answer) -> bool:
    return answer.status == HTTPStatus.NO_CONTENT


def _is_ended(answer: Answer) -> bool:
    if answer.status != HTTPStatus.OK:
        return _is_done(answer)
    return answer.document["results"][0]["result"] in ("completed", "already_ended")
