"""A receiver that books every arrival in a few words, and can be told to misbehave."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from acceptance.receivers import Manner, Receiver, Request
from coursebell_receiver import VerificationError, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request that was read whole."""

    event_id: str
    registration_id: str
    seq: int
    digest: bytes  # of the body
    came: float  # monotonic: when it was read
    accepted: float | None  # monotonic: when a 2xx was decided on; None: never


@dataclass(frozen=True, slots=True)
class Treatment:
    """What a request gets. `accepted` says whether that is a success for the sender."""

    answer: int | Manner
    accepted: bool


Treat = Callable[[Request], Treatment]


def accepting(_: Request) -> Treatment:
    return Treatment(HTTPStatus.NO_CONTENT, accepted=True)


def refusing_some(share: float) -> Treat:
    """A receiver that is mostly well."""

    def treat(request: Request) -> Treatment:
        refused = random.random() < share
        return Treatment(HTTPStatus.INTERNAL_SERVER_ERROR, False) if refused else accepting(request)

    return treat


class Ledger(Receiver):
    """Verifies each request and treats it as `treat` says; `wrong` collects what did not verify."""

    def __init__(self, treat: Treat = accepting) -> None:
        super().__init__()
        self.treat = treat
        self.secret = ""  # known when the webhook is made
        self.wrong: list[str] = []
        self._arrivals: list[Arrival] = []

    def take(self, request: Request) -> int | Manner:
        came = time.monotonic()
        try:
            self._verify(request)
        except (VerificationError, AssertionError) as exc:
            self.wrong.append(f"{request.header('webhook-id')}: {exc}")
        treatment = self.treat(request)
        arrival = Arrival(
            event_id=request.header("webhook-id") or "",
            registration_id=request.header("ce-subject") or "",
            seq=int(request.header("ce-registrationseq") or 0),
            digest=hashlib.sha256(request.body).digest(),
            came=came,
            accepted=time.monotonic() if treatment.accepted else None,
        )
        with self._lock:
            self._arrivals.append(arrival)
        return treatment.answer

    def __len__(self) -> int:
        """How many have come since the page was turned over."""
        return len(self._arrivals)

    def turn_over(self) -> list[Arrival]:
        """What has come since the last time, in order; the next page is empty."""
        with self._lock:
            page, self._arrivals = self._arrivals, []
        return sorted(page, key=lambda arrival: arrival.came)

    def _verify(self, request: Request) -> None:
        # the clock of a sender may be an hour off: that it is fresh is not asked here
        sent = int(request.header("webhook-timestamp") or 0)
        event = verify(request.headers, request.body, self.secret, now=sent)
        assert event.registration.id == request.header("ce-subject"), "another registration's"
