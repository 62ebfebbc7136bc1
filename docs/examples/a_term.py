"""A term at a school, run through the REST API alone, with every record compared at the end.

Three courses with forty elements, three instructors, as many learners as you like. Learners work,
course players report, instructors grade, exempt, correct and close. Then the transcripts, the
gradebooks as CSV and the events that a webhook received must agree to the last grade.

    export COURSEBELL_ALLOWED_NETWORKS=127.0.0.0/8   # the receiver of this script is on loopback
    coursebell serve &
    COURSEBELL_TOKEN=... python docs/examples/a_term.py --learners 200

It needs an administrator's token, which `coursebell init` shows, and coursebell-receiver.
"""

from __future__ import annotations

import argparse
import csv
import http.client
import io
import json
import os
import random
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from coursebell_receiver import (
    ElementCompleted,
    Event,
    OfferingCompleted,
    RegistrationGradeChanged,
    receive,
)

COURSES = {"Ladder safety": 14, "Working at sea": 13, "First aid": 13}  # elements of each
KINDS = ("test", "assignment", "chalkboard", "sco", "file")
POLICIES = ("best", "last", "first", "average")
TOLD = ("element_completed", "offering_completed", "registration_grade_changed")
MARK = 60  # of each course
WORKERS = 8  # requests at once
IDLE = 2  # seconds after which a connection is not used again


class Api:
    """The REST API as one token may use it; each thread keeps a connection of its own."""

    def __init__(self, url: str, token: str) -> None:
        self._host = urlsplit(url).netloc
        self._url, self._headers = url, {"authorization": f"Bearer {token}"}
        self._local = threading.local()

    def holding(self, token: str) -> Api:
        return Api(self._url, token)

    def send(
        self, method: str, path: str, body: object = None
    ) -> tuple[http.client.HTTPResponse, str]:
        """The answer. Ends the script with what the server said when it refuses."""
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection(self._host, timeout=60)
        elif time.monotonic() - self._local.used > IDLE:
            self._local.connection.close()  # the server may have; the next request opens it anew
        headers = self._headers | ({} if body is None else {"content-type": "application/json"})
        sent = None if body is None else json.dumps(body)
        self._local.connection.request(method, f"/api/v5/{path}", sent, headers)
        answer = self._local.connection.getresponse()
        text = answer.read().decode()
        self._local.used = time.monotonic()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {text}")
        return answer, text

    def get(self, path: str) -> Any:
        return json.loads(self.send("GET", path)[1])

    def list(self, path: str) -> Iterator[dict[str, Any]]:
        """Every entry, page by page."""
        page = self.get(f"{path}{'&' if '?' in path else '?'}limit=100")
        while True:
            yield from page["results"]
            if "next" not in page:
                return
            page = self.get(page["next"].removeprefix("/api/v5/"))

    def create(self, collection: str, **body: object) -> str:
        """The id of what was made."""
        answer, _ = self.send("POST", collection, body)
        return str(answer.headers["location"]).rpartition("/")[2]

    def secret(self, collection: str, **body: object) -> str:
        """The secret that is shown once."""
        return str(json.loads(self.send("POST", collection, body)[1])["secret"])


@dataclass
class Books:
    """What a webhook was told, as a receiver keeps it: the latest by number, each event once."""

    ids: set[str] = field(default_factory=set)
    elements: dict[tuple[str, str], dict[int, ElementCompleted]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    results: dict[str, tuple[int, Event]] = field(default_factory=dict)
    completions: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, event: Event, number: int) -> None:
        with self._lock:
            if event.id in self.ids:
                return
            self.ids.add(event.id)
            if isinstance(event, ElementCompleted):
                self.elements[event.user.id, event.element.id][number] = event
            elif isinstance(event, OfferingCompleted | RegistrationGradeChanged):
                registration_id = event.registration.id
                if isinstance(event, OfferingCompleted):
                    self.completions.append(registration_id)
                if number >= self.results.get(registration_id, (0, event))[0]:
                    self.results[registration_id] = (number, event)


def receiver(books: Books, secret: list[str]) -> ThreadingHTTPServer:
    """A receiver on a free port of loopback; it knows its secret once the webhook is made."""

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            number = int(self.headers.get("ce-registrationseq", "0"))
            keep: Callable[[Event], None] = lambda event: books.keep(event, number)  # noqa: E731
            self.send_response(receive(self.headers, body, secret[0], keep))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: there will be thousands."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@dataclass
class Element:
    id: str
    course: str
    type: str
    weight: Decimal
    policy: str
    max_attempts: int | None


@dataclass
class Place:
    """A learner in an offering."""

    registration: str
    user: str
    api: Api  # with the learner's token
    instructor: Api
    offering: str
    elements: list[Element]
    exempt: set[str] = field(default_factory=set)
    by_hand: Decimal | None = None  # the last grade that an instructor gave


def everywhere(work: Callable[[Any], object], items: Iterable[Any]) -> list[Any]:
    """Do it for all, several at once; the results in order."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, items))


def build(
    admin: Api, chance: random.Random
) -> tuple[list[tuple[str, str, list[Element]]], list[Api]]:
    """Courses with their elements, each in an offering of its own; and the instructors."""
    offerings, instructors = [], []
    for number, (title, size) in enumerate(COURSES.items()):
        person = admin.create(
            "users",
            firstName="Instructor",
            lastName=str(number + 1),
            email=f"instructor{number}-{os.urandom(4).hex()}@term.example",
            role="instructor",
        )
        instructors.append(admin.holding(admin.secret("tokens", userId=person, name="a term")))
        course = admin.create("courses", title=title, instructor=person, passingGrade=MARK)
        elements = [an_element(admin, course, index, chance) for index in range(size)]
        offering = admin.create("offerings", courseId=course, title=f"{title}, spring term")
        offerings.append((offering, course, elements))
    return offerings, instructors


def an_element(admin: Api, course: str, index: int, chance: random.Random) -> Element:
    kind = KINDS[index % len(KINDS)]
    attempts = {"test": 2, "sco": 1, "assignment": 1}.get(kind)
    element = Element(
        id="",
        course=course,
        type=kind,
        weight=Decimal(chance.choice(["1", "2", "2.5", "3"])),
        policy=chance.choice(POLICIES),
        max_attempts=attempts,
    )
    element.id = admin.create(
        f"courses/{course}/elements",
        type=kind,
        title=f"{kind} {index + 1}",
        weight=float(element.weight),
        attemptsPolicy=element.policy,
        maxAttempts=attempts,
        status="active",
        **({"question": "What did you learn?"} if kind == "assignment" else {}),
    )
    return element


def enrol(admin: Api, number: int, offerings: list, instructors: list[Api]) -> list[Place]:
    """One more learner, in every offering."""
    email = f"learner{number}-{os.urandom(4).hex()}@term.example"
    user = admin.create("users", firstName="Learner", lastName=f"No. {number}", email=email)
    api = admin.holding(admin.secret("tokens", userId=user, name="a term"))
    return [
        Place(
            registration=api.create("registrations", userId=user, offeringId=offering),
            user=user,
            api=api,
            instructor=instructor,
            offering=offering,
            elements=elements,
        )
        for (offering, _, elements), instructor in zip(offerings, instructors, strict=True)
    ]


def study(place: Place) -> None:
    """Go through the elements until the course ends, the learner gives up, or nothing is left."""
    chance = random.Random(place.registration)
    gives_up = len(place.elements) // 2 if chance.random() < 0.1 else None
    for element in place.elements[:gives_up]:
        path = f"registrations/{place.registration}/elements/{element.id}"
        if chance.random() < 0.02:
            verdict = {"exempt": True, "comment": "Done elsewhere"}
            place.instructor.send("PUT", path, verdict)
            place.exempt.add(element.id)
        elif element.type in ("test", "sco"):
            for _ in range(element.max_attempts or 1):
                grade = chance.randint(300_000, 1_000_000) / 10_000
                report = {"completed": True, "grade": grade, "source": "SELF"}
                place.instructor.send("POST", path, report)
                if grade >= MARK:
                    break
        elif element.type == "assignment":
            place.api.send("POST", path, {"completed": True, "response": "That it takes time."})
        else:
            place.api.send("POST", path, {"completed": True})


def mark(place: Place) -> None:
    """Grade what awaits a grade, as the gradebook shows it."""
    chance = random.Random(place.registration + "marks")
    for record in place.instructor.list(f"registrations/{place.registration}/elements"):
        if record["awaitingGrade"]:
            path = f"registrations/{place.registration}/elements/{record['elementId']}"
            verdict = {"grade": chance.randint(40, 100), "comment": "Read"}
            place.instructor.send("PUT", path, verdict)


def close(places: list[Place], instructor: Api) -> None:
    """End what is still active, with what the elements give or else nothing; correct a few."""
    of = {place.registration: place for place in places}
    offering = places[0].offering
    rows = list(instructor.list(f"offerings/{offering}/gradebook?status=active"))
    for row in rows:
        of[row["registrationId"]].by_hand = None if "currentGrade" in row else Decimal(0)
    completions = [
        {"registrationId": row["registrationId"], **({} if "currentGrade" in row else {"grade": 0})}
        for row in rows
    ]
    instructor.send("POST", "gradebook/complete", {"completions": completions})
    again = places[:: max(1, len(places) // 10)]
    for place in again:
        place.by_hand = Decimal("77.7777")
    grades = [{"registrationId": each.registration, "grade": 77.7777} for each in again]
    instructor.send("POST", "gradebook/grade", {"grades": grades})


def wait_for_deliveries(admin: Api, webhook: str, patience: float = 600) -> None:
    deadline = time.monotonic() + patience
    while admin.get(f"webhooks/{webhook}/deliveries?status=pending&limit=1")["results"]:
        if time.monotonic() > deadline:
            raise SystemExit("The deliveries did not arrive; try: coursebell doctor")
        time.sleep(0.2)


def disagreements(admin: Api, places: list[Place], books: Books) -> Iterator[str]:
    """Whatever one record says of a grade and another does not."""
    offerings = {place.offering: place.instructor for place in places}
    table = {
        row["registrationId"]: row
        for offering, api in offerings.items()
        for row in csv.DictReader(
            io.StringIO(api.send("GET", f"offerings/{offering}/gradebook/export")[1], newline="")
        )
    }
    transcripts = {
        entry["registrationId"]: entry
        for entries in everywhere(
            lambda place: list(place.api.list(f"users/{place.user}/transcript")),
            {place.user: place for place in places}.values(),
        )
        for entry in entries
    }
    if sorted(books.completions) != sorted(place.registration for place in places):
        yield f"{len(books.completions)} completions were received for {len(places)} registrations"
    for place in places:
        row, entry = table[place.registration], transcripts[place.registration]
        event = books.results[place.registration][1].registration
        told = {
            "gradebook": (row["status"], row["grade"], row["endDate"]),
            "transcript": (entry["status"], repr(entry["grade"]), entry["endDate"]),
            "event": (
                "passed" if event.passed else "failed",
                str(event.grade),
                event.end_date.strftime("%Y-%m-%dT%H:%M:%SZ"),
            ),
        }
        if len(set(told.values())) != 1:
            yield f"{place.registration}: {told}"
        yield from element_disagreements(place, row, books)


def element_disagreements(place: Place, row: dict[str, str], books: Books) -> Iterator[str]:
    """Element by element, and the grade calculated anew from the events alone."""
    weighted, total = Fraction(0), Fraction(0)
    for cell, element in zip(
        list(row.values())[-len(place.elements) :], place.elements, strict=True
    ):
        events = [event for _, event in sorted(books.elements[place.user, element.id].items())]
        grades = [each.element.grade for each in events if each.element.grade is not None]
        if element.id in place.exempt:
            expected = "exempt"
        elif grades:
            grade = counted(element.policy, [Fraction(each) for each in grades])
            weighted, total = (
                weighted + grade * Fraction(element.weight),
                total + Fraction(element.weight),
            )
            expected = shown(grade)
        else:
            expected = "completed" if events else ""
        if cell != expected:
            where = f"{place.registration}, {element.type}"
            yield f"{where}: the gradebook has {cell}, the events make {expected}"
    calculated = weighted / total if total else None
    expected = shown(calculated) if place.by_hand is None else shown(Fraction(place.by_hand))
    if row["grade"] != expected:
        yield f"{place.registration}: the gradebook has {row['grade']}, calculated is {expected}"


def counted(policy: str, grades: list[Fraction]) -> Fraction:
    match policy:
        case "best":
            return max(grades)
        case "last":
            return grades[-1]
        case "first":
            return grades[0]
        case _:
            return sum(grades, Fraction(0)) / len(grades)


def shown(grade: Fraction | None) -> str:
    """As it is sent: rounded down to 4 decimals, with at least one."""
    if grade is None:
        return ""
    cut = Decimal(grade.numerator * 10_000 // grade.denominator).scaleb(-4)
    return str(float(cut.quantize(Decimal("0.0001"), rounding=ROUND_DOWN)))


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("--learners", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    token = os.environ.get("COURSEBELL_TOKEN")
    if not token:
        options.error("set COURSEBELL_TOKEN to an administrator's token")
    admin = Api(os.environ.get("COURSEBELL_URL", "http://127.0.0.1:8400"), token)
    books, secret = Books(), [""]
    server = receiver(books, secret)
    url = f"http://127.0.0.1:{server.server_port}/"
    made = json.loads(admin.send("POST", "webhooks", {"url": url, "events": list(TOLD)})[1])
    secret[0] = made["secret"]
    started = time.monotonic()

    offerings, instructors = build(admin, random.Random(given.seed))
    enrolled = everywhere(
        lambda number: enrol(admin, number, offerings, instructors), range(given.learners)
    )
    places = [place for each in enrolled for place in each]
    print(f"{len(places)} registrations of {given.learners} learners in {len(offerings)} courses")
    everywhere(study, places)
    everywhere(mark, places)
    for offering, instructor in zip(offerings, instructors, strict=True):
        close([place for place in places if place.offering == offering[0]], instructor)
    wait_for_deliveries(admin, made["id"])
    admin.send("DELETE", f"webhooks/{made['id']}")
    server.shutdown()

    found = list(disagreements(admin, places, books))
    for each in found:
        print(each)
    passed = sum(bool(event.registration.passed) for _, event in books.results.values())
    print(f"{len(books.ids)} events received, {passed} passed, {len(places) - passed} failed")
    if found:
        print(f"{len(found)} disagreements")
        return 1
    seconds = time.monotonic() - started
    print(f"Transcripts, gradebooks and events agree to the last grade ({seconds:.0f} s).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
