"""Which rule an input breaks, in plain words: pydantic's findings, said as the contract says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

# One entry of `pydantic.ValidationError.errors()`; its shape is pydantic's.
Problem: TypeAlias = Mapping[str, Any]

RULE = "coursebell_rule"  # the type of problems whose message is ours already
_MAX_NAME = 100  # of a field name in an answer: an unknown one can be as long as the body

_RULES: Mapping[str, Callable[[Problem], str]] = {
    RULE: lambda problem: str(problem["msg"]),
    "missing": lambda _: "Is required",
    "extra_forbidden": lambda _: "Unknown property",
    "list_type": lambda _: "Must be a list",
    "dict_type": lambda _: "Must be an object",
    "model_type": lambda _: "Must be an object",
    "model_attributes_type": lambda _: "Must be an object",
    "too_long": lambda problem: f"Must have at most {_entries(problem, 'max_length')}",
    "too_short": lambda problem: f"Must have at least {_entries(problem, 'min_length')}",
}


def field_errors_of(problems: Sequence[Problem]) -> tuple[list[str], dict[str, str]]:
    """The rules that `problems` broke: of the body as a whole, and by field. First come first."""
    errors: list[str] = []
    field_errors: dict[str, str] = {}
    for problem in problems:
        if name := name_of(problem["loc"][1:]):
            field_errors.setdefault(name, f"{rule_of(problem)}.")
        else:
            errors.append(f"The request body: {rule_of(problem)}.")
    return errors, field_errors


def rule_of(problem: Problem) -> str:
    """The rule a problem broke, as a phrase without a full stop: `Must be a string`."""
    say = _RULES.get(problem["type"])
    return say(problem) if say else "Is not valid"


def name_of(path: Sequence[str | int]) -> str:
    """A field as its sender would point at it: `headers.X-Foo`, `completions[3].grade`."""
    name = ""
    for part in path:
        if isinstance(part, int):
            name += f"[{part}]"
        elif part != "[key]":  # pydantic's word for: the key itself is wrong
            name += f".{part}" if name else part
    return shortened(name)


def shortened(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}..."


def _entries(problem: Problem, bound: str) -> str:
    count = problem["ctx"][bound]
    return "1 entry" if count == 1 else f"{count} entries"
