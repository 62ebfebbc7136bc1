"""What the API shows of what users are asked: fields to fill in, and agreements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from coursebell.domain.agreements import Agreement, AgreementType, UserAgreement
from coursebell.domain.user_fields import CategoryType, FieldType, UserField
from coursebell.web.documents import Absent, Document, Id, Instant


class OptionDocument(Document):
    """A value that may be chosen."""

    name: str
    selected: bool = Field(description="Chosen to begin with.")


class UserFieldDocument(Document):
    """Something that the organization asks of its users."""

    id: Id
    type: FieldType
    name: str | Absent = Field(None, description="Absent in a message.")
    category_name: str
    category_type: CategoryType = Field(description="`private`: not for learners.")
    order_index: int
    required: bool
    options: Sequence[OptionDocument] | Absent = None
    constraints: dict[str, Any] | Absent = None
    message: str | Absent = Field(None, description="The text of a message.")
    created_date: Instant


def user_field_document(field: UserField) -> UserFieldDocument:
    options = [OptionDocument(name=each.name, selected=each.selected) for each in field.options]
    return UserFieldDocument(
        id=field.id,
        type=field.type,
        name=field.name,
        category_name=field.category_name,
        category_type=field.category_type,
        order_index=field.order_index,
        required=field.required,
        options=options or None,
        constraints=dict(field.constraints) or None,
        message=field.message,
        created_date=field.created_at,
    )


class AgreementDocument(Document):
    """A text that users are to agree to."""

    type: AgreementType
    title: str
    text: str = Field(description="May be HTML; it is kept as it came.")
    required: bool = Field(description="False: it is off.")
    created_date: Instant
    updated_date: Instant = Field(description="When this wording was written.")


def agreement_document(agreement: Agreement) -> AgreementDocument:
    return AgreementDocument(
        type=agreement.type,
        title=agreement.title,
        text=agreement.text,
        required=agreement.required,
        created_date=agreement.created_at,
        updated_date=agreement.updated_at,
    )


class UserAgreementDocument(Document):
    """An agreement in the wording that a user agreed to, or is to agree to."""

    type: AgreementType
    title: str
    text: str
    created_date: Instant = Field(description="Of the agreement.")
    agreed: bool
    agreed_date: Instant | Absent = None


def user_agreement_document(agreement: UserAgreement) -> UserAgreementDocument:
    return UserAgreementDocument(
        type=agreement.type,
        title=agreement.title,
        text=agreement.text,
        created_date=agreement.created_at,
        agreed=agreement.agreed_at is not None,
        agreed_date=agreement.agreed_at,
    )
