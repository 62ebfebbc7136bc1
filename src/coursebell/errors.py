"""The one tree of errors. It knows no HTTP and no SQL; each edge translates it once.

The first line of a class's docstring is its default message, so a message is never written twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class CoursebellError(Exception):
    """Something went wrong in Coursebell."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])

    @property
    def message(self) -> str:
        return str(self.args[0])


class InvalidInputError(CoursebellError):
    """The input breaks a rule.

    `errors` are about the input as a whole; `field_errors` maps the name a client sent to the
    rule it broke. At least one of them is filled.
    """

    def __init__(
        self,
        errors: Sequence[str] = (),
        field_errors: Mapping[str, str] | None = None,
    ) -> None:
        self.errors = tuple(errors)
        self.field_errors = dict(field_errors or {})
        whole = [*self.errors, *(f"{name}: {rule}" for name, rule in self.field_errors.items())]
        super().__init__("; ".join(whole) or None)


class UnauthenticatedError(CoursebellError):
    """The access token is missing, unknown or revoked."""


class ForbiddenError(CoursebellError):
    """Your role may not do this."""


class NotFoundError(CoursebellError):
    """No resource exists with the given id."""


class ConflictError(CoursebellError):
    """The resource is in a state that does not allow this."""


class UnavailableError(CoursebellError):
    """The database is busy; try again in a moment."""


class ConfigurationError(CoursebellError):
    """A setting is missing or wrong."""


class SchemaVersionError(ConfigurationError):
    """The database's schema does not fit this version of Coursebell."""


class BackupError(CoursebellError):
    """The backup could not be made."""


class SealError(CoursebellError):
    """A stored secret cannot be read with any key in COURSEBELL_SECRET_KEY."""
