"""Transcripts: all that a learner took, and which of several attempts at a course stands out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from coursebell.domain.model import Registration, Status


class TranscriptView(StrEnum):
    """What of a transcript is wanted."""

    ALL = "all"
    BEST = "best"  # of each course, the registration with the best result
    LATEST = "latest"  # of each course, the last registration


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A registration with the names of what was taken."""

    registration: Registration
    course_id: str
    offering_title: str
    course_title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptEntry:
    """A registration on a transcript."""

    taken: Taken
    is_best: bool  # passed before failed, then by grade; the first of equals
    is_latest: bool


def transcript_of(taken: Sequence[Taken], view: TranscriptView) -> list[TranscriptEntry]:
    """The entries of a view, in the order of `taken`, which is oldest first.

    What has no result is never the best.
    """
    best, latest = _best(taken), {each.course_id: each.registration.id for each in taken}
    entries = [
        TranscriptEntry(
            taken=each,
            is_best=best.get(each.course_id) == each.registration.id,
            is_latest=latest[each.course_id] == each.registration.id,
        )
        for each in taken
    ]
    match view:
        case TranscriptView.BEST:
            return [each for each in entries if each.is_best]
        case TranscriptView.LATEST:
            return [each for each in entries if each.is_latest]
        case _:
            return entries


def _best(taken: Iterable[Taken]) -> dict[str, str]:
    """The id of the best registration of each course."""
    best: dict[str, Registration] = {}
    for each in taken:
        found = each.registration
        stands = best.get(each.course_id)
        if found.status.has_result and (stands is None or _worth(found) > _worth(stands)):
            best[each.course_id] = found
    return {course_id: found.id for course_id, found in best.items()}


def _worth(registration: Registration) -> tuple[bool, Decimal]:
    grade = registration.grade
    return registration.status is Status.PASSED, Decimal(-1) if grade is None else grade
