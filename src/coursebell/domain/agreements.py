"""Agreements: the texts that an organization has its users agree to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AgreementType(StrEnum):
    """Which of the two agreements an organization may have; the words are the vendor's."""

    STANDARD = "standard"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A text that users are to agree to, in its newest wording."""

    type: AgreementType
    title: str
    text: str  # may be HTML; it is kept as it came
    required: bool  # learners must agree before they register themselves; else it is off
    created_at: datetime
    updated_at: datetime  # when this wording was written

    @property
    def id(self) -> str:
        """What the audit trail calls it: an organization has one of each type."""
        return self.type.value


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAgreement:
    """An agreement as one user has it: in the wording they agreed to, or are to agree to."""

    type: AgreementType
    title: str
    text: str
    created_at: datetime  # of the agreement
    agreed_at: datetime | None  # None: not agreed
