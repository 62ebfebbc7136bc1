"""What may stand in a user's fields."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from coursebell.domain.model import User
from coursebell.errors import InvalidInputError

_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"\d")
MIN_PASSWORD, MAX_PASSWORD = 6, 64

# The library refuses `.local`, `.invalid` and the like unless told otherwise, and this is how.
SPECIAL_USE_DOMAIN_NAMES.clear()


def check_email(email: str) -> None:
    """Syntax only (RFC 5322 as the web uses it): special-use domains are fine, DNS is not asked.

    Raises `InvalidInputError` with the vendor's words.
    """
    try:
        validate_email(email, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as exc:
        raise InvalidInputError(field_errors={"email": "Invalid email address"}) from exc


def check_password(password: str) -> None:
    """6 to 64 characters with a letter and a digit, as the vendor asks."""
    long_enough = MIN_PASSWORD <= len(password) <= MAX_PASSWORD
    if not (long_enough and _LETTER.search(password) and _DIGIT.search(password)):
        rule = "Must have 6 to 64 characters, among them a letter and a digit."
        raise InvalidInputError(field_errors={"password": rule})


def split_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags have no space or comma: one that has is split into several. Repeats are dropped."""
    return tuple(dict.fromkeys(word for tag in tags for word in re.split(r"[\s,]+", tag) if word))


def pseudonym_of(user: User, locale: str) -> User:
    """The user with nothing left that says who it was; `locale` is the organization's.

    The id stays, so that what was learned and told still belongs together.
    """
    address = f"{user.id}@erased.invalid"  # RFC 2606: a name that nobody can ever have
    return replace(
        user,
        first_name="Erased",
        last_name="User",
        username=address,
        email=address,
        locale=locale,
        tags=(),
        last_login_at=None,
    )
