"""Standings as JSON: exact numbers are strings in it, and what has no value is left out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from coursebell.domain.elements import AttemptsPolicy, ElementType
from coursebell.domain.grading import ElementStanding, Standing


def standing_to(standing: Standing) -> dict[str, Any]:
    return _without_empty(
        {
            "grade": _text(standing.grade),
            "elements": [_element_to(each) for each in standing.elements],
        }
    )


def standing_from(stored: dict[str, Any]) -> Standing:
    return Standing(
        grade=_exact(stored.get("grade")),
        elements=tuple(_element_from(each) for each in stored["elements"]),
    )


def _element_to(each: ElementStanding) -> dict[str, Any]:
    return _without_empty(
        {
            "element_id": each.element_id,
            "type": each.type.value,
            "title": each.title,
            "required": each.required,
            "weight": str(each.weight),
            "attempts_policy": each.attempts_policy.value,
            "max_attempts": each.max_attempts,
            "passing_grade": str(each.passing_grade),
            "made": each.made,
            "counted": list(each.counted),
            "grade": _text(each.grade),
            "passed": each.passed,
            "completed": each.completed,
            "awaiting": each.awaiting,
            "exempt": each.exempt,
            "share": _text(each.share),
        }
    )


def _element_from(stored: dict[str, Any]) -> ElementStanding:
    return ElementStanding(
        element_id=stored["element_id"],
        type=ElementType(stored["type"]),
        title=stored["title"],
        required=stored["required"],
        weight=Decimal(stored["weight"]),
        attempts_policy=AttemptsPolicy(stored["attempts_policy"]),
        max_attempts=stored.get("max_attempts"),
        passing_grade=Decimal(stored["passing_grade"]),
        made=stored["made"],
        counted=tuple(stored["counted"]),
        grade=_exact(stored.get("grade")),
        passed=stored.get("passed"),
        completed=stored["completed"],
        awaiting=stored["awaiting"],
        exempt=stored["exempt"],
        share=_exact(stored.get("share")),
    )


def _text(number: Decimal | None) -> str | None:
    return None if number is None else str(number)


def _exact(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
