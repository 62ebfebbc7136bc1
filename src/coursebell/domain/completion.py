"""How a registration changes: the transition table, and what each request makes of it.

`docs/reference/completions.md` is this module in prose. `decide` takes the registration as it is
and answers with what it becomes, or raises what the caller is told; nothing here reads a clock or
writes a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from coursebell.domain.dates import backdated, begin_for, check_open
from coursebell.domain.grading import NO_ELEMENTS, Standing
from coursebell.domain.instants import format_instant
from coursebell.domain.model import Actor, Offering, Policy, Registration, Source, Status
from coursebell.domain.outcomes import ends_by_itself, needs_grade, outcome_of
from coursebell.domain.progress import Report, Verdict
from coursebell.errors import ConflictError, InvalidInputError

MAX_GRADE = 100


class Command(StrEnum):
    """What can be asked of a registration."""

    ACTIVITY = "activity"  # the learner did something
    PROGRESS = "progress"  # the learner worked on an element, or completed it
    GRADE_ELEMENT = "grade_element"  # by hand: a grade for an element, or an exemption from it
    COMPLETE = "complete"  # finish: by the learner, or reported for the learner
    COMPLETE_ONCE = "complete_once"  # the gradebook's bulk form: never re-grades
    GRADE = "grade"  # by hand: ends an active one, re-grades an ended one
    EJECT = "eject"
    REOPEN = "reopen"
    HALT = "halt"  # the offering has ended
    IMPORT = "import"  # as another system has decided it


class Effect(StrEnum):
    """What a command does to a registration in a given state."""

    TOUCH = "touch"  # remember the activity
    WORK = "work"  # keep what was done about an element; END instead, once the rule is met
    END = "end"  # decide passed or failed: fires offering_completed
    REGRADE = "regrade"  # decide again: fires registration_grade_changed
    EJECT = "eject"  # fires registration_ejected
    REOPEN = "reopen"  # fires registration_reopened
    SAME_OR_CONFLICT = "same_or_conflict"  # no change if it repeats what is stored, else refused
    NOTHING = "nothing"
    CONFLICT = "conflict"  # refused: the state does not allow it
    INVALID = "invalid"  # refused as bad input, as the vendor does


_A, _P, _F, _E = Status.ACTIVE, Status.PASSED, Status.FAILED, Status.EJECTED

TRANSITIONS: dict[Command, dict[Status, Effect]] = {
    Command.ACTIVITY: {
        _A: Effect.TOUCH,
        _P: Effect.CONFLICT,
        _F: Effect.CONFLICT,
        _E: Effect.CONFLICT,
    },
    Command.PROGRESS: {
        _A: Effect.WORK,
        _P: Effect.CONFLICT,
        _F: Effect.CONFLICT,
        _E: Effect.CONFLICT,
    },
    Command.GRADE_ELEMENT: {
        _A: Effect.WORK,
        _P: Effect.CONFLICT,
        _F: Effect.CONFLICT,
        _E: Effect.CONFLICT,
    },
    Command.COMPLETE: {
        _A: Effect.END,
        _P: Effect.SAME_OR_CONFLICT,
        _F: Effect.SAME_OR_CONFLICT,
        _E: Effect.CONFLICT,
    },
    Command.COMPLETE_ONCE: {
        _A: Effect.END,
        _P: Effect.NOTHING,
        _F: Effect.NOTHING,
        _E: Effect.NOTHING,
    },
    Command.GRADE: {
        _A: Effect.END,
        _P: Effect.REGRADE,
        _F: Effect.REGRADE,
        _E: Effect.END,  # grading clears an ejection
    },
    Command.EJECT: {
        _A: Effect.EJECT,
        _P: Effect.INVALID,
        _F: Effect.INVALID,
        _E: Effect.INVALID,
    },
    Command.REOPEN: {
        _A: Effect.CONFLICT,
        _P: Effect.REOPEN,
        _F: Effect.REOPEN,
        _E: Effect.CONFLICT,
    },
    Command.HALT: {
        _A: Effect.END,
        _P: Effect.NOTHING,
        _F: Effect.NOTHING,
        _E: Effect.NOTHING,
    },
    Command.IMPORT: {
        _A: Effect.END,  # or EJECT, as it was there
        _P: Effect.REGRADE,
        _F: Effect.REGRADE,
        _E: Effect.END,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One command for one registration, and who gives it."""

    registration_id: str
    command: Command
    actor: Actor
    grade: Decimal | None = None
    comment: str | None = None
    source: Source | None = None  # None: SELF for the learner's own action, else ADMIN
    end_at: datetime | None = None  # backdates the end (administrators, with a reason)
    override: bool = False  # passes the windows (administrators, with a reason)
    reason: str | None = None
    status: Status | None = None  # what another system decided (import); None: decided here
    element_id: str | None = None  # with a report (progress) or a verdict (grade_element)
    report: Report | None = None
    verdict: Verdict | None = None

    @property
    def is_graded(self) -> bool:
        """Whether it says how good it was, which a learner's word is not taken for."""
        report = self.report
        judged = report is not None and (report.grade is not None or report.passed is not None)
        return judged or self.grade is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What a request does: the registration afterwards, and the effect that took place."""

    before: Registration
    after: Registration
    effect: Effect  # never CONFLICT, INVALID or SAME_OR_CONFLICT

    @property
    def changes(self) -> bool:
        return self.effect is not Effect.NOTHING


def decide(
    request: Request,
    registration: Registration,
    offering: Offering,
    policy: Policy,
    now: datetime,
    standing: Standing = NO_ELEMENTS,
) -> Transition:
    """What `request` makes of `registration`, which stands so with the elements of its course.

    Raises `ConflictError` where the state does not allow it, `InvalidInputError` where the input
    does not. A `Transition` with `Effect.NOTHING` means: already so.
    """
    _check_grade(request)
    if request.command is Command.IMPORT:
        return _imported(request, registration, policy, now)
    effect = effect_of(request, registration, offering, now)
    match effect:
        case Effect.TOUCH:
            after = _touched(request, registration, offering, now)
        case Effect.WORK:
            effect, after = _worked(request, registration, offering, policy, now, standing)
        case Effect.END:
            after = _ended(request, registration, offering, policy, now, standing)
        case Effect.REGRADE:
            after = _regraded(request, registration, policy, now)
        case Effect.EJECT:
            after = _ejected(request, registration, now)
        case Effect.REOPEN:
            after = _reopened(registration)
        case _:
            after = registration
    return Transition(before=registration, after=after, effect=effect)


def _check_grade(request: Request) -> None:
    grade = request.grade
    if grade is not None and not (grade.is_finite() and 0 <= grade <= MAX_GRADE):
        raise InvalidInputError(field_errors={"grade": f"Must be from 0 to {MAX_GRADE}."})


def effect_of(
    request: Request, registration: Registration, offering: Offering, now: datetime
) -> Effect:
    """What the table says, once it is known whether the request only repeats what is stored.

    Raises `ConflictError` and `InvalidInputError` as `decide` does.
    """
    effect = TRANSITIONS[request.command][registration.status]
    if effect is Effect.INVALID:
        rule = f"Only an active registration can be ejected; this one is {registration.status}."
        raise InvalidInputError(field_errors={"status": rule})
    repeats = (
        (effect is Effect.SAME_OR_CONFLICT and _repeats_completion(request, registration))
        or (effect is Effect.REGRADE and _repeats_grade(request, registration))
        or (request.command is Command.HALT and not _is_due_to_halt(registration, offering, now))
    )
    if repeats:
        return Effect.NOTHING
    if effect in (Effect.SAME_OR_CONFLICT, Effect.CONFLICT):
        raise ConflictError(_how_it_ended(registration) + _what_to_do(request))
    if request.command is Command.PROGRESS:
        _check_window(request, registration, offering, now)
    return effect


def _is_due_to_halt(registration: Registration, offering: Offering, now: datetime) -> bool:
    return not registration.extended and offering.end_at is not None and offering.end_at <= now


def source_of(request: Request, registration: Registration) -> Source:
    """SELF when the learner's own action ends it, else ADMIN, unless the request says."""
    if request.source is not None:
        return request.source
    own = request.actor.is_self(registration.user_id)
    ends = request.command in (Command.COMPLETE, Command.PROGRESS)
    return Source.SELF if own and ends and not request.is_graded else Source.ADMIN


def _check_window(
    request: Request, registration: Registration, offering: Offering, now: datetime
) -> None:
    if not request.override:
        check_open(registration, offering, now)


def _touched(
    request: Request, registration: Registration, offering: Offering, now: datetime
) -> Registration:
    _check_window(request, registration, offering, now)
    late = offering.end_at is not None and now >= offering.end_at
    return replace(
        registration,
        begin_at=registration.begin_at or now,
        last_active_at=max(now, registration.last_active_at or now),
        extended=registration.extended or (request.override and late),
    )


def _worked(
    request: Request,
    registration: Registration,
    offering: Offering,
    policy: Policy,
    now: datetime,
    standing: Standing,
) -> tuple[Effect, Registration]:
    """With an element done or graded; `standing` knows of it already, and may meet the rule."""
    by_learner = request.command is Command.PROGRESS
    after = _touched(request, registration, offering, now) if by_learner else registration
    if not ends_by_itself(policy, standing):
        return Effect.WORK, after
    return Effect.END, _ended(request, after, offering, policy, now, standing)


def _ended(
    request: Request,
    registration: Registration,
    offering: Offering,
    policy: Policy,
    now: datetime,
    standing: Standing,
) -> Registration:
    if request.command is Command.COMPLETE:
        _check_window(request, registration, offering, now)
        _check_nothing_awaits(request, standing)
    grade = standing.grade if request.grade is None else request.grade
    _check_grade_by_hand(request, policy, grade)
    grader_id, grader_comment = _by_hand(request, registration)
    end_at = _end_of(request, registration, offering, now)
    source = source_of(request, registration)
    by_hand = request.command in (Command.GRADE, Command.COMPLETE_ONCE)
    return replace(
        registration,
        status=outcome_of(
            policy,
            done=by_hand or _is_done(request, standing),
            grade=grade,
            every_passed=by_hand or standing.every_passed,
        ),
        grade=grade,
        computed=request.grade is None and bool(standing.elements),
        source=source,
        policy=policy,
        begin_at=begin_for(registration, end_at),
        last_active_at=end_at if source is Source.SELF else registration.last_active_at,
        end_at=end_at,
        grader_id=grader_id,
        grader_comment=grader_comment,
    )


def _is_done(request: Request, standing: Standing) -> bool:
    """As the elements say. Where there are none, an explicit `complete` is all there is to do."""
    return standing.done if standing.elements else request.command is Command.COMPLETE


def _check_nothing_awaits(request: Request, standing: Standing) -> None:
    """The end waits for the grade of what was handed in (domain rule 10), unless one is given."""
    if request.grade is None and standing.awaiting:
        waiting = ", ".join(f'"{each.title}"' for each in standing.elements if each.awaiting)
        raise ConflictError(f"The registration cannot end yet: {waiting} awaits a grade.")


def _check_grade_by_hand(request: Request, policy: Policy, grade: Decimal | None) -> None:
    """By hand a grade may be left out only where no mark is needed (domain rule 11)."""
    if request.command is Command.COMPLETE_ONCE and grade is None and needs_grade(policy):
        rule = f"Required, because the offering's moveOn is {policy.move_on}."
        raise InvalidInputError(field_errors={"grade": rule})


def _end_of(
    request: Request, registration: Registration, offering: Offering, now: datetime
) -> datetime:
    """When the rule was met: now, the end of the offering, or what an administrator says."""
    if request.end_at is not None:
        return backdated(request.end_at, registration, now)
    end_at = offering.end_at if request.command is Command.HALT and offering.end_at else now
    return max(end_at, registration.begin_at or end_at)


def _regraded(
    request: Request, registration: Registration, policy: Policy, now: datetime
) -> Registration:
    """Decided again by the policy that decided first: editing marks never changes a result."""
    decided_by = registration.policy or policy
    end_at = registration.end_at or now
    if request.end_at is not None:
        end_at = backdated(request.end_at, registration, now)
    grader_id, grader_comment = _by_hand(request, registration)
    return replace(
        registration,
        status=outcome_of(decided_by, done=True, grade=request.grade),
        grade=request.grade,
        computed=False,
        policy=decided_by,
        begin_at=begin_for(registration, end_at),
        end_at=end_at,
        grader_id=grader_id,
        grader_comment=grader_comment,
    )


def _by_hand(request: Request, registration: Registration) -> tuple[str | None, str | None]:
    """Who graded, and with which words, where a person did. A comment not given stays."""
    if request.command not in (Command.GRADE, Command.COMPLETE_ONCE):
        return None, None
    stays = request.comment is None
    comment = registration.grader_comment if stays else request.comment or None
    return request.actor.user_id, comment


def _ejected(request: Request, registration: Registration, now: datetime) -> Registration:
    end_at = max(now, registration.begin_at or now)
    return replace(
        registration,
        status=Status.EJECTED,
        source=source_of(request, registration),
        begin_at=registration.begin_at or end_at,
        end_at=end_at,
    )


def _reopened(registration: Registration) -> Registration:
    return replace(
        registration,
        status=Status.ACTIVE,
        grade=None,
        computed=False,
        source=None,
        policy=None,
        grader_id=None,
        grader_comment=None,
        end_at=None,
        extended=True,
    )


def _imported(
    request: Request, registration: Registration, policy: Policy, now: datetime
) -> Transition:
    """As it was in another system, whose own rules may have decided; windows are passed over."""
    end_at = backdated(request.end_at or now, registration, now)
    wanted = request.status or outcome_of(policy, done=True, grade=request.grade)
    after = replace(
        registration,
        status=wanted,
        grade=request.grade,
        computed=False,
        source=source_of(request, registration),
        policy=policy if request.status is None else None,
        begin_at=begin_for(registration, end_at),
        end_at=end_at,
        grader_comment=request.comment or registration.grader_comment,
    )
    return Transition(
        before=registration, after=after, effect=_effect_of_import(registration, after)
    )


def _effect_of_import(registration: Registration, after: Registration) -> Effect:
    if after == replace(registration, policy=after.policy):
        return Effect.NOTHING
    if after.status is not Status.EJECTED:
        return TRANSITIONS[Command.IMPORT][registration.status]
    if registration.status is not Status.ACTIVE:
        raise ConflictError(_how_it_ended(registration))
    return Effect.EJECT


def _repeats_grade(request: Request, registration: Registration) -> bool:
    same_comment = request.comment is None or (request.comment or None) == (
        registration.grader_comment
    )
    same_end = request.end_at is None or request.end_at == registration.end_at
    return request.grade == registration.grade and same_comment and same_end


def _repeats_completion(request: Request, registration: Registration) -> bool:
    same_source = source_of(request, registration) == registration.source
    left_to_elements = request.grade is None and registration.computed
    return (left_to_elements or request.grade == registration.grade) and same_source


def _what_to_do(request: Request) -> str:
    if request.command is not Command.GRADE_ELEMENT:
        return ""
    return " Grade the registration itself, or reopen it first."


def _how_it_ended(registration: Registration) -> str:
    if registration.end_at is None:
        return "The registration is active; it has not ended."
    grade = "" if registration.grade is None else f" with grade {registration.grade}"
    source = "" if registration.source is None else f", source {registration.source}"
    ended = format_instant(registration.end_at)
    return f"The registration ended as {registration.status}{grade} at {ended}{source}."
