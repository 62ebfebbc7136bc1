"""What can go wrong: a delivery that is not to be trusted, and a secret that is not a secret."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a delivery was refused; stable codes, fit for logs and metrics."""

    MISSING_HEADER = "missing_header"
    """`webhook-id`, `webhook-timestamp` or `webhook-signature` is absent."""
    DUPLICATE_HEADER = "duplicate_header"
    """A header that may stand once stands twice."""
    MALFORMED_HEADER = "malformed_header"
    """A header's value is not ASCII text, or `webhook-id` is empty, too long or has a full stop."""
    BAD_TIMESTAMP = "bad_timestamp"
    """`webhook-timestamp` is not a whole number of seconds of at most 12 digits."""
    TOO_OLD = "too_old"
    """The attempt started longer ago than the tolerance: a recording, or a slow clock there."""
    TOO_NEW = "too_new"
    """The attempt starts further in the future than the tolerance: a clock is wrong."""
    NO_MATCHING_SIGNATURE = "no_matching_signature"
    """Forged, altered on the way, or signed with a secret that you do not hold."""
    NOT_JSON = "not_json"
    """Rightly signed, but the body is not UTF-8 JSON (RFC 8259)."""
    MALFORMED_EVENT = "malformed_event"
    """Rightly signed JSON, but not in the shape of an event."""
    MALFORMED_RECONCILIATION = "malformed_reconciliation"
    """Rightly signed JSON, but not in the shape of a reconciliation."""


class VerificationError(Exception):
    """The delivery is not to be trusted: answer 400 and do nothing else.

    `reason` is the stable code; `message` is for people and quotes nothing that the sender wrote.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.message}"


class SecretError(ValueError):
    """A secret of your own configuration is missing or malformed.

    Never caused by what a sender wrote, so it is no `VerificationError`: let it become a 500, and
    Coursebell tries again once the configuration is right.
    """


class InProgressError(Exception):
    """The same event is being handled at this moment: answer 503, and it is sent again."""
