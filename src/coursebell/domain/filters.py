"""What a webhook may filter by: names, and the values each takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from coursebell.domain.elements import ElementType
from coursebell.domain.events import FILTERS
from coursebell.domain.model import Source
from coursebell.errors import InvalidInputError

_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
ELEMENT_TYPES = tuple(ElementType)
_MAX_IDS = 100
_MAX_TEXT = 255


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _is_id_or_ids(value: object) -> bool:
    if isinstance(value, list):
        return 0 < len(value) <= _MAX_IDS and all(_is_id(each) for each in value)
    return _is_id(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and value.isprintable()


_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "offering.id": (_is_id_or_ids, "an id, or a list of 1 to 100 ids"),
    "offering.title.contains": (_is_text, "a text of 1 to 255 characters"),
    "user.email.endswith": (_is_text, "a text of 1 to 255 characters"),
    "registration.passed": (lambda value: isinstance(value, bool), "true or false"),
    "source": (lambda value: value in tuple(Source), "SELF or ADMIN"),
    "element.type": (lambda value: value in ELEMENT_TYPES, f"one of {', '.join(ELEMENT_TYPES)}"),
}


def check_filters(filters: Mapping[str, object]) -> None:
    """Raise `InvalidInputError` naming each filter that is unknown or has a bad value."""
    field_errors = {}
    for name, value in filters.items():
        if name not in FILTERS:
            field_errors[f"filters.{name}"] = f"Unknown. Known are {', '.join(FILTERS)}."
            continue
        accepts, rule = _RULES[name]
        if not accepts(value):
            field_errors[f"filters.{name}"] = f"Must be {rule}."
    if field_errors:
        raise InvalidInputError(field_errors=field_errors)
