"""`coursebell demo`: the main job once, with the real server and a real receiver."""

from __future__ import annotations

import queue
import signal
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import typer

from coursebell.cli.output import answer, say
from coursebell.cli.reception import Receiver, Reception
from coursebell.cli.trial import PATIENCE, Customer, TrialError, server

_ORGANIZATION = "Harbour School"
_RETRY_SCHEDULE = [1, 1, 2]  # seconds; by default it goes from 5 s to 24 h


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """A person of the demo, and how the course ends for them."""

    first_name: str
    last_name: str
    grade: float
    source: str  # SELF: the course player reports the grade; ADMIN: an instructor enters it
    passed: bool
    refusals: int = 0  # how often the receiver refuses the delivery first


LEARNERS = (
    Learner(first_name="Ada", last_name="Byron", grade=92.5, source="SELF", passed=True),
    Learner(first_name="Bo", last_name="Lind", grade=71.5, source="ADMIN", passed=True, refusals=1),
    Learner(first_name="Chidi", last_name="Okafor", grade=58.0, source="SELF", passed=False),
)


def demo(
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the server up until Ctrl-C; print URL and token.")
    ] = False,
) -> None:
    """Show the main job: three learners complete an offering and a receiver is told, verified.

    Runs the real server on a throw-away SQLite file, uses its REST API as a customer would, and
    ends by itself. The exit code is 0 only if everything arrived as it should.

    `coursebell demo`

    With a server to play with afterwards:

    `coursebell demo --keep`
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # by way of the ends
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="coursebell-demo-"))
        address, token = stack.enter_context(server(Path(directory), _ORGANIZATION))
        stage = Stage()
        stack.enter_context(stage.receiver)
        answer(f"A server for {_ORGANIZATION}, and a receiver that its webhook calls.")
        play(Customer(address, token), stage)
        if keep:
            _stay(address, token)


def play(customer: Customer, stage: Stage) -> None:
    """Let every learner complete, and check what the receiver is told. Raises `TrialError`."""
    webhook_id = stage.connect(customer)
    course_id = customer.create("courses", {"title": "Safety at Sea", "passingGrade": 70.0})
    offering = {"title": "Safety at Sea, autumn", "courseId": course_id}
    offering_id = customer.create("offerings", offering)
    for learner in LEARNERS:
        answer(complete(customer, learner, offering_id))
        stage.expect(learner)
    attempts = _attempts(customer, webhook_id)
    if attempts != [1 + learner.refusals for learner in LEARNERS]:
        raise TrialError(f"The server's log has other attempts: {attempts}.")
    answer(f"Done: {len(attempts)} completions, {len(attempts)} verified deliveries.")


def complete(customer: Customer, learner: Learner, offering_id: str) -> str:
    """Register a learner and end the registration; a sentence that says so."""
    email = f"{learner.first_name.lower()}@harbour.example"
    person = {"firstName": learner.first_name, "lastName": learner.last_name, "email": email}
    user_id = customer.create("users", person)
    registration_id = customer.create(
        "registrations", {"userId": user_id, "offeringId": offering_id}
    )
    resource = f"registrations/{registration_id}"
    if learner.source == "ADMIN":
        customer.send("PUT", resource, {"grade": learner.grade})
        return f"An instructor completes {learner.first_name} with {learner.grade}:"
    customer.send("POST", f"{resource}/complete", {"grade": learner.grade, "source": "SELF"})
    return f"{learner.first_name} finishes with {learner.grade}:"


class Stage:
    """The receiver, what it refuses, and what it has seen."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._seen: queue.SimpleQueue[tuple[Reception, int]] = queue.SimpleQueue()
        self.receiver = Receiver(answer=_status, report=lambda *seen: self._seen.put(seen))

    def connect(self, customer: Customer) -> str:
        """Make the webhook that calls the receiver; its id."""
        webhook_id, secret = customer.connect(
            {
                "url": self.receiver.url,
                "events": ["offering_completed"],
                "retrySchedule": _RETRY_SCHEDULE,
            }
        )
        self.receiver.secrets = [secret]
        return webhook_id

    def expect(self, learner: Learner) -> None:
        """Wait for the delivery about this learner and print it. Raises `TrialError`."""
        for attempt in range(1, learner.refusals + 2):
            verdict = "refused" if attempt <= learner.refusals else "verified"
            expected = _line(verdict, "offering_completed", learner.source, learner.passed, attempt)
            seen = self._next()
            answer(f"  {seen}")
            if seen != expected:
                raise TrialError(f"This was expected: {expected}")

    def _next(self) -> str:
        try:
            reception, status = self._seen.get(timeout=self._patience)
        except queue.Empty:
            raise TrialError("The receiver was told nothing.") from None
        if reception.event is None:
            raise TrialError(f"A delivery did not verify: {reception.reason}")
        document = reception.event.document
        registration = document["registration"]
        assert isinstance(registration, dict)  # noqa: S101 the SDK has parsed it
        verdict = "verified" if status == HTTPStatus.NO_CONTENT else "refused"
        passed = registration["passed"] is True
        return _line(verdict, document["event"], document["source"], passed, reception.attempt)


def _line(verdict: str, event: object, source: object, passed: object, attempt: int) -> str:
    return f"{verdict} {event} {source} passed={str(passed).lower()} attempt={attempt}"


def _status(reception: Reception) -> int:
    """Refuse what an instructor completed the first time it comes."""
    first = reception.attempt == 1 and reception.document.get("source") == "ADMIN"
    return HTTPStatus.SERVICE_UNAVAILABLE if first else HTTPStatus.NO_CONTENT


def _attempts(customer: Customer, webhook_id: str) -> list[int]:
    """How many attempts each delivery took, oldest first, once the server has recorded them."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        rows = customer.read(f"webhooks/{webhook_id}/deliveries")["results"]
        if all(row["status"] == "delivered" for row in rows):
            return [row["attemptCount"] for row in reversed(rows)]
        time.sleep(0.05)
    raise TrialError("The server's log has deliveries that are not delivered.")


def _stay(address: str, token: str) -> None:
    say("The server stays up until Ctrl-C. Its address, and the administrator's token:")
    answer(address)
    answer(token)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
