"""Work on an element within a registration: handed in, graded by hand, or not asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from coursebell.domain.changes import snapshot_of
from coursebell.domain.completion import Command, Request, source_of
from coursebell.domain.elements import Element, Exemption, Work
from coursebell.domain.model import Policy, Registration
from coursebell.domain.progress import Report, Verdict, check_report, grade_by_hand, hand_in
from coursebell.errors import NotFoundError
from coursebell.services.progress import Progress
from coursebell.storage.offerings import RuledOffering


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a request did about an element."""

    element: Element
    work: Work | None = None  # an attempt that is new, or has another grade: fires an event
    before: dict[str, object] | None = None  # for the audit trail
    after: dict[str, object] | None = None  # None: nothing changed


def do(
    progress: Progress,
    request: Request,
    registration: Registration,
    ruled: RuledOffering,
    now: datetime,
) -> Done:
    """Carry it out in `progress`. Raises what the request is refused with, and then does nothing.

    An element that is a draft, or of another course, is unknown.
    """
    element = progress.element(ruled.offering.course_id, request.element_id)
    if element is None:
        raise NotFoundError
    if request.command is Command.PROGRESS:
        return _report(progress, request, registration, element, ruled.policy, now)
    return _judge(progress, request, registration, element, ruled.policy, now)


def _report(
    progress: Progress,
    request: Request,
    registration: Registration,
    element: Element,
    policy: Policy,
    now: datetime,
) -> Done:
    report = request.report or Report(completed=False)
    check_report(report, element)
    if not report.completed:
        return Done(element=element)
    work = hand_in(
        registration.id,
        report,
        element,
        progress.attempts_at(registration.id, element.id),
        policy,
        source=source_of(request, registration),
        by_learner=request.actor.is_self(registration.user_id),
        now=now,
    )
    if work is None:
        return Done(element=element)
    progress.hand_in(work)
    return Done(element=element, work=work, after=_told(work))


def _judge(
    progress: Progress,
    request: Request,
    registration: Registration,
    element: Element,
    policy: Policy,
    now: datetime,
) -> Done:
    verdict = request.verdict or Verdict()
    if verdict.exempt is not None:
        return _exempt(progress, request, verdict, registration, element, now)
    attempts = progress.attempts_at(registration.id, element.id)
    work = grade_by_hand(
        registration.id,
        verdict,
        element,
        attempts,
        policy,
        grader_id=request.actor.user_id,
        now=now,
    )
    was = attempts[-1] if attempts else None
    exemption = progress.exemption(registration.id, element.id)
    progress.take_exemption_back(registration.id, element.id)
    if work is was and exemption is None:
        return Done(element=element)
    progress.grade(work)
    is_news = was is None or _result(was) != _result(work)
    return Done(
        element=element,
        work=work if is_news else None,
        before=None if was is None else _told(was),
        after=_told(work),
    )


def _result(work: Work) -> tuple[object, ...]:
    return work.grade, work.passed, work.awaiting


def _exempt(
    progress: Progress,
    request: Request,
    verdict: Verdict,
    registration: Registration,
    element: Element,
    now: datetime,
) -> Done:
    was = progress.exemption(registration.id, element.id)
    before: dict[str, object] = {"element_id": element.id, "exempt": was is not None}
    after: dict[str, object] = {"element_id": element.id, "exempt": bool(verdict.exempt)}
    if not verdict.exempt:
        progress.take_exemption_back(registration.id, element.id)
        return Done(element=element, before=before, after=after if was is not None else None)
    if was is not None and verdict.comment in (None, was.comment):
        return Done(element=element)
    exemption = Exemption(
        registration_id=registration.id,
        element_id=element.id,
        created_at=now,
        grader_id=request.actor.user_id,
        comment=verdict.comment or None,
    )
    progress.exempt(exemption)
    return Done(element=element, before=before, after={**after, "comment": exemption.comment})


def _told(work: Work) -> dict[str, object]:
    """An attempt as the audit trail keeps it: without what the learner wrote."""
    told = snapshot_of(replace(work, response=None))
    del told["registration_id"]
    return told
