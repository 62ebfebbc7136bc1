"""Importing registrations: past completions with their own dates, and those still active.

They end through `transitions.apply`, as all do, and are taken as the other system decided them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from coursebell.domain.completion import Command, Request
from coursebell.domain.imports import Done, Line, Outcome
from coursebell.domain.instants import format_instant
from coursebell.domain.model import Registration, Status, User, new_id
from coursebell.errors import CoursebellError, InvalidInputError
from coursebell.services import transitions
from coursebell.services.importing import Taken, Work, external_key, keyed, value
from coursebell.services.transitions import Arrivals
from coursebell.storage import external_keys, offerings, people, registrations
from coursebell.storage.external_keys import Known
from coursebell.storage.offerings import RuledOffering
from coursebell.storage.people import fold

_DAY = timedelta(days=1)
_REASON = "imported"
_USER_COLUMNS = ("userId", "userKey", "email", "username")
_OFFERING_COLUMNS = ("offeringId", "offeringKey", "offering")
_Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """How the registration stood in the other system, and when."""

    outcome: Outcome
    grade: Decimal | None
    comment: str | None
    created_at: datetime
    begin_at: datetime | None
    last_active_at: datetime | None
    end_at: datetime | None

    @property
    def status(self) -> Status | None:
        """What was decided there; None where that is left to the rules here."""
        return None if self.outcome is Outcome.COMPLETED else Status(self.outcome.value)


class RegistrationImporter:
    """Makes registrations, each an attempt of its own; a line that has changed is graded anew."""

    subject = "registration"

    def __init__(self, work: Work, lines: Sequence[Line]) -> None:
        self._work = work
        self._user_ids = _UserIds(work, lines)
        self._offering_ids = _OfferingIds(work, lines)
        self._users: Mapping[str, User] = {}
        self._offerings: Mapping[str, RuledOffering] = {}
        self._attempts: dict[_Pair, int] = {}
        self._active: dict[_Pair, str] = {}
        self._stored: Mapping[str, Registration] = {}
        self._arrivals: list[Registration] = []
        self._requests: list[tuple[int, Request]] = []
        self._load(lines)

    def key_of(self, line: Line) -> str:
        if "externalKey" in line.values:
            return external_key(line, "")
        dates = (value(line, name, datetime) for name in ("endDate", "beginDate", "createdDate"))
        first = next((each for each in dates if each is not None), None)
        when = "" if first is None else format_instant(first)
        return external_key(line, f"{self._user(line)}:{self._offering(line)}:{when}")

    def prepare(self, known: Mapping[str, Known]) -> None:
        wanted = {each.subject_id for each in known.values()}
        self._stored = registrations.lock_registrations(
            self._work.tx, self._work.organization_id, wanted
        )

    def take(self, line: Line, subject_id: str | None) -> Taken:
        past = _past_of(line, self._work.now)
        if subject_id is not None and subject_id in self._stored:
            return self._change(line, past, self._stored[subject_id])
        registration = self._made(line, past)
        self._arrivals.append(registration)
        if past.end_at is not None:
            self._ask(line, registration.id, past)
        return Taken(registration.id, Done.CREATED)

    def finish(self) -> Mapping[int, CoursebellError]:
        work = self._work
        results = transitions.apply(
            work.registrar,
            work.organization_id,
            [request for _, request in self._requests],
            work.now,
            work.tx,
            arrivals=Arrivals(registrations=self._arrivals, actor=work.actor),
            is_told=work.is_told,
        )
        return {
            number: result
            for (number, _), result in zip(self._requests, results, strict=True)
            if isinstance(result, CoursebellError)
        }

    def _load(self, lines: Sequence[Line]) -> None:
        tx, organization_id = self._work.tx, self._work.organization_id
        named = [(self._user_ids.find(line), self._offering_ids.find(line)) for line in lines]
        users = {user_id for user_id, _ in named if user_id is not None}
        self._users = people.lock_living_users(tx, organization_id, users)
        ids = {offering_id for _, offering_id in named if offering_id is not None}
        self._offerings = offerings.ruled_offerings(tx, organization_id, ids)
        pairs = {
            (user_id, offering_id)
            for user_id, offering_id in named
            if user_id in self._users and offering_id in self._offerings
            if user_id is not None and offering_id is not None
        }
        self._attempts = dict(registrations.last_attempts(tx, pairs))
        self._active = dict(registrations.active_attempts(tx, pairs))

    def _user(self, line: Line) -> str:
        found = self._user_ids.find(line)
        if found is None or found not in self._users:
            raise InvalidInputError(field_errors=_unknown(line, "user", _USER_COLUMNS))
        return found

    def _offering(self, line: Line) -> str:
        found = self._offering_ids.find(line)
        if found is None or found not in self._offerings:
            raise InvalidInputError(field_errors=_unknown(line, "offering", _OFFERING_COLUMNS))
        return found

    def _made(self, line: Line, past: _Past) -> Registration:
        pair = self._user(line), self._offering(line)
        is_active = past.end_at is None
        if is_active and pair in self._active:
            raise InvalidInputError(["The user has an active registration for this offering."])
        attempt = self._attempts[pair] = self._attempts.get(pair, 0) + 1
        offering = self._offerings[pair[1]].offering
        late = offering.end_at is not None and offering.end_at <= self._work.now
        registration = Registration(
            id=new_id(),
            user_id=pair[0],
            offering_id=pair[1],
            attempt=attempt,
            status=Status.ACTIVE,
            grade=None,
            computed=False,
            source=None,
            grader_id=None,
            grader_comment=past.comment,
            created_at=past.created_at,
            begin_at=past.begin_at,
            last_active_at=past.last_active_at,
            end_at=None,
            extended=late,
            event_count=1,
            policy=None,
        )
        if is_active:
            self._active[pair] = registration.id
        return registration

    def _change(self, line: Line, past: _Past, stored: Registration) -> Taken:
        if past.end_at is None:
            if stored.status is Status.ACTIVE:
                return Taken(stored.id, Done.UNCHANGED)
            rule = f"Is active, but here it has ended as {stored.status}; reopen it first."
            raise InvalidInputError(field_errors={"status": rule})
        self._ask(line, stored.id, past)
        return Taken(stored.id, Done.UPDATED)

    def _ask(self, line: Line, registration_id: str, past: _Past) -> None:
        request = Request(
            registration_id=registration_id,
            command=Command.IMPORT,
            actor=self._work.actor,
            grade=past.grade,
            comment=past.comment,
            end_at=past.end_at,
            status=past.status,
            reason=_REASON,
        )
        self._requests.append((line.number, request))


def _past_of(line: Line, now: datetime) -> _Past:
    """Raises `InvalidInputError` where the line contradicts itself or the calendar."""
    outcome = _outcome_of(line)
    end_at = _until_now(value(line, "endDate", datetime), now)
    begin_at = value(line, "beginDate", datetime)
    past = _Past(
        outcome=outcome,
        grade=value(line, "grade", Decimal),
        comment=value(line, "graderComment", str),
        created_at=value(line, "createdDate", datetime) or begin_at or end_at or now,
        begin_at=begin_at,
        last_active_at=value(line, "lastActiveDate", datetime),
        end_at=end_at,
    )
    if field_errors := {**_wrong_outcome(past), **_wrong_dates(line, past, now)}:
        raise InvalidInputError(field_errors=field_errors)
    return past


def _outcome_of(line: Line) -> Outcome:
    status = value(line, "status", Outcome)
    passed = value(line, "passed", bool)
    if status is None and passed is None:
        ended = "endDate" in line.values or "grade" in line.values
        return Outcome.COMPLETED if ended else Outcome.ACTIVE
    if passed is None:
        assert status is not None  # noqa: S101 - one of them is there
        return status
    decided = Outcome.PASSED if passed else Outcome.FAILED
    if status not in (None, Outcome.COMPLETED, decided):
        rule = f"Contradicts the status, which is {status}."
        raise InvalidInputError(field_errors={"passed": rule})
    return decided


def _until_now(end_at: datetime | None, now: datetime) -> datetime | None:
    """A plain date means the end of that day, and today has not come to its end."""
    return now if end_at is not None and end_at - _DAY < now < end_at else end_at


def _wrong_outcome(past: _Past) -> dict[str, str]:
    if past.outcome is Outcome.ACTIVE:
        return {
            name: "Must be empty while the registration is active."
            for name, given in (("endDate", past.end_at), ("grade", past.grade))
            if given is not None
        }
    if past.end_at is None:
        return {"endDate": f"Is required, because the registration is {past.outcome}."}
    return {}


def _wrong_dates(line: Line, past: _Past, now: datetime) -> dict[str, str]:
    given = {
        "createdDate": value(line, "createdDate", datetime),
        "beginDate": past.begin_at,
        "lastActiveDate": past.last_active_at,
        "endDate": past.end_at,
    }
    wrong = {
        name: "Must not be in the future."
        for name, date in given.items()
        if date is not None and date > now
    }
    if past.begin_at is not None and past.end_at is not None and past.end_at < past.begin_at:
        wrong.setdefault("endDate", "Must not be before beginDate.")
    return wrong


def _unknown(line: Line, what: str, columns: Sequence[str]) -> dict[str, str]:
    name = next((each for each in columns if each in line.values), None)
    if name is None:
        return {columns[0]: f"Is required, or another column that names the {what}."}
    return {name: f"No {what} is known by this."}


class _UserIds:
    """Finds the user of a line by id, key, e-mail address or username, whichever comes first."""

    def __init__(self, work: Work, lines: Sequence[Line]) -> None:
        tx, organization_id = work.tx, work.organization_id
        keys = _given(lines, "userKey")
        self._by_key = external_keys.find_known(tx, organization_id, "user", map(keyed, keys))
        wanted = {fold(each) for name in ("email", "username") for each in _given(lines, name)}
        names = people.list_names(tx, organization_id, wanted) if wanted else []
        self._by_email = {each.email: each.user_id for each in names}
        self._by_username = {each.username: each.user_id for each in names}

    def find(self, line: Line) -> str | None:
        values = line.values
        if "userId" in values:
            return str(values["userId"])
        if "userKey" in values:
            known = self._by_key.get(keyed(str(values["userKey"])))
            return None if known is None else known.subject_id
        if "email" in values:
            return self._by_email.get(fold(str(values["email"])))
        return self._by_username.get(fold(str(values.get("username", ""))))


class _OfferingIds:
    """Finds the offering of a line by id, key or title."""

    def __init__(self, work: Work, lines: Sequence[Line]) -> None:
        tx, organization_id = work.tx, work.organization_id
        keys = _given(lines, "offeringKey")
        self._by_key = external_keys.find_known(tx, organization_id, "offering", map(keyed, keys))
        titles = _given(lines, "offering")
        self._by_title = offerings.ids_by_title(tx, organization_id, titles) if titles else {}

    def find(self, line: Line) -> str | None:
        """Raises nothing: a title that several offerings have is no name of any."""
        values = line.values
        if "offeringId" in values:
            return str(values["offeringId"])
        if "offeringKey" in values:
            known = self._by_key.get(keyed(str(values["offeringKey"])))
            return None if known is None else known.subject_id
        ids = self._by_title.get(str(values.get("offering", "")), [])
        return ids[0] if len(ids) == 1 else None


def _given(lines: Sequence[Line], name: str) -> set[str]:
    return {str(line.values[name]) for line in lines if name in line.values}
