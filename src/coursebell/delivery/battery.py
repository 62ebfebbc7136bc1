"""What `coursebell check-receiver` sends: every kind of delivery that a receiver must stand.

Each probe says what is sent, what is right to answer, and what goes wrong otherwise. The events are
samples: made-up people, made-up results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from coursebell.domain import samples
from coursebell.domain.conduct import Should
from coursebell.domain.events import Document, EventName, NewEvent, encode, user_part
from coursebell.domain.instants import format_instant
from coursebell.domain.model import DeliveryKind, new_id
from coursebell.services.headers import USER_AGENT
from coursebell_receiver import Signer, generate_secret

LARGE = 200_000  # bytes of text: an assignment's response can be long
STALE = 600  # seconds; receivers allow 300
UNKNOWN_EVENT = "sample_of_an_event_to_come"
FOREIGN_USER = replace(
    samples.USER,
    first_name="Zoë 美咲",
    last_name="Łukasz-Ελένη \N{GRINNING FACE}",
    email="zoë@læring.example",
    username="zoë@læring.example",
)


Sign = Callable[[str, int, bytes], str]  # as `Signer.sign`


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One request: its headers, besides those that are custom, and its body."""

    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One thing to find out about a receiver."""

    name: str
    sent: str
    should: Should
    why: str  # what goes wrong with a receiver that does otherwise
    shots: Sequence[Shot]
    at_once: bool = False  # or one after the other


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery:
    """Makes the probes of one examination; every event in it has an id of its own."""

    signer: Signer
    stranger: Signer  # whose secret the receiver does not know
    now: datetime
    kind: DeliveryKind

    def probes(self) -> Iterator[Probe]:
        """In the order in which they are to be sent."""
        yield from self._genuine()
        yield from self._forged()
        yield from self._rotated()
        yield from self._strange()
        yield from self._known()

    def _genuine(self) -> Iterator[Probe]:
        event = self._event()
        yield Probe(
            name="valid",
            sent="a delivery as Coursebell sends it",
            should=Should.ACCEPT,
            why="nothing arrives",
            shots=[self._shot(event)],
        )
        yield Probe(
            name="duplicate",
            sent="the same event again, signed anew",
            should=Should.ACCEPT,
            why="an event whose answer was lost comes again; refused, it is tried for three days",
            shots=[self._shot(event, later=1)],
        )
        yield Probe(
            name="out_of_order",
            sent="a registration's second event, then its first",
            should=Should.ACCEPT,
            why="a resent event may be older than the last one; ignore what is old, but accept it",
            shots=self._out_of_order(),
        )
        repeated = self._event()
        yield Probe(
            name="slow_repeat",
            sent="one event twice at the same moment, as after a timeout",
            should=Should.ACCEPT_ONE,
            why="a repetition that meets the first must not fail both, nor be refused for good",
            shots=[self._shot(repeated), self._shot(repeated)],
            at_once=True,
        )

    def _forged(self) -> Iterator[Probe]:
        altered = encode(self._event().document).replace(b'"passed":true', b'"passed":false')
        yield self._refused(
            "old_timestamp",
            "rightly signed, but started ten minutes ago",
            "whoever recorded a delivery can play it to you again at any time",
            self._shot(self._event(), later=-STALE),
        )
        yield self._refused(
            "future_timestamp",
            "rightly signed, but starting in ten minutes",
            "a recording made with a wrong clock would be good for longer than five minutes",
            self._shot(self._event(), later=STALE),
        )
        yield self._refused(
            "wrong_signature",
            "signed with another secret",
            "anyone who knows your address can make learners pass",
            self._shot(self._event(), sign=self.stranger.sign),
        )
        yield self._refused(
            "missing_signature",
            "without webhook-signature",
            "anyone who knows your address can make learners pass",
            self._shot(self._event(), without=("webhook-signature",)),
        )
        yield self._refused(
            "tampered_body",
            "a genuine signature, and a body that was changed on the way",
            "a failed learner can be made a passed one",
            self._shot(self._event(), body=altered),
        )
        yield self._refused(
            "unknown_version_alone",
            "no signature but one of an unknown version",
            "a version that you do not know proves nothing; it must be skipped",
            self._shot(self._event(), sign=self._v2),
        )

    def _rotated(self) -> Iterator[Probe]:
        ours, theirs = self.signer.sign, self.stranger.sign
        yield Probe(
            name="several_signatures",
            sent="the right signature after, then before, that of another secret",
            should=Should.ACCEPT,
            why="while a secret rotates, deliveries are signed with the old and the new one",
            shots=[
                self._shot(self._event(), sign=lambda *s: f"{theirs(*s)} {ours(*s)}"),
                self._shot(self._event(), sign=lambda *s: f"{ours(*s)} {theirs(*s)}"),
            ],
        )
        yield Probe(
            name="unknown_version",
            sent="the right signature beside one of an unknown version",
            should=Should.ACCEPT,
            why="new kinds of signature will be added beside the old one",
            shots=[
                self._shot(self._event(), sign=lambda *s: f"{self._v2(*s)} {ours(*s)}"),
                self._shot(self._event(), sign=lambda *s: f"{ours(*s)} {self._v2(*s)}"),
            ],
        )

    def _strange(self) -> Iterator[Probe]:
        event = self._event()
        yield Probe(
            name="unknown_event",
            sent=f"an event named {UNKNOWN_EVENT}",
            should=Should.ACCEPT,
            why="a later version has more events; refused, each is tried for three days",
            shots=[self._changed(event, {"event": UNKNOWN_EVENT})],
        )
        yield Probe(
            name="unknown_field",
            sent="an event with fields that are not documented",
            should=Should.ACCEPT,
            why="a later version has more fields",
            shots=[self._changed(self._event(), {"sampleField": {"is": ["new", 1.5, None]}})],
        )
        yield Probe(
            name="large_body",
            sent=f"an event of {LARGE // 1000} KB",
            should=Should.ACCEPT,
            why="long answers of learners are part of an event; allow a megabyte",
            shots=[self._changed(self._event(), {"sampleField": "long " * (LARGE // 5)})],
        )
        yield Probe(
            name="non_ascii_text",
            sent="names in several scripts",
            should=Should.ACCEPT,
            why="the signature covers raw bytes in UTF-8: do not parse and write JSON before it",
            shots=[self._changed(self._event(), {"user": user_part(FOREIGN_USER)})],
        )

    def _known(self) -> Iterator[Probe]:
        for name in EventName:
            yield Probe(
                name=name.value,
                sent=f"a sample of {name}",
                should=Should.ACCEPT,
                why="answer 2xx also to what you do not use, or leave it out of the webhook",
                shots=[self._shot(self._event(name))],
            )

    def _event(self, name: EventName = EventName.OFFERING_COMPLETED) -> NewEvent:
        """Of a registration of its own, so that no probe is out of order with another."""
        return _about(samples.sample_event(name, new_id(), self.now), new_id())

    def _out_of_order(self) -> list[Shot]:
        first = self._event()
        second = self._event(EventName.REGISTRATION_GRADE_CHANGED)
        second = _about(second, first.registration_id or "")
        second = replace(second, registration_seq=(first.registration_seq or 0) + 1)
        return [self._shot(second), self._shot(first)]

    def _changed(self, event: NewEvent, changes: Document) -> Shot:
        name = str(changes.get("event", event.name))
        return self._shot(event, body=encode(event.document | changes), name=name, signs_body=True)

    def _refused(self, name: str, sent: str, why: str, shot: Shot) -> Probe:
        return Probe(name=name, sent=sent, should=Should.REFUSE, why=why, shots=[shot])

    def _shot(
        self,
        event: NewEvent,
        *,
        later: int = 0,
        sign: Sign | None = None,
        body: bytes | None = None,
        signs_body: bool = False,
        name: str | None = None,
        without: Sequence[str] = (),
    ) -> Shot:
        """A request for `event`; a `body` in place of its own is signed only with `signs_body`."""
        timestamp = int(self.now.timestamp()) + later
        own = encode(event.document)
        sent = own if body is None else body
        signature = (sign or self.signer.sign)(event.id, timestamp, sent if signs_body else own)
        headers = {
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            "webhook-id": event.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature,
            "ce-specversion": "1.0",
            "ce-id": event.id,
            "ce-type": name or event.name.value,
            "ce-source": "urn:coursebell:check-receiver",
            "ce-time": format_instant(event.occurred_at),
            "ce-subject": event.registration_id or event.user_id or "",
            "ce-registrationseq": str(event.registration_seq or ""),
            "coursebell-delivery": self.kind.value,
        }
        kept = tuple((key, value) for key, value in headers.items() if value and key not in without)
        return Shot(headers=kept, body=sent)

    def _v2(self, message_id: str, timestamp: int, body: bytes) -> str:
        return "v2," + self.signer.sign(message_id, timestamp, body).removeprefix("v1,")


def _about(event: NewEvent, registration_id: str) -> NewEvent:
    """The event, told of another registration; as it is, where it is not told of one."""
    part = event.document.get("registration")
    if not isinstance(part, dict):
        return event
    document = event.document | {"registration": part | {"id": registration_id}}
    return replace(event, registration_id=registration_id, document=document)


def battery(secret: str, now: datetime, kind: DeliveryKind) -> Battery:
    """Raises `coursebell_receiver.SecretError`."""
    return Battery(signer=Signer(secret), stranger=Signer(generate_secret()), now=now, kind=kind)
