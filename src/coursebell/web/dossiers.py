"""What a person is shown of all that is kept about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from coursebell.domain.elements import Exemption, Work
from coursebell.domain.model import DeliveryKind, DeliveryStatus
from coursebell.services.privacy import Dossier
from coursebell.storage.privacy import Disclosure
from coursebell.web.documents import (
    Absent,
    AuditDocument,
    Document,
    EventDocument,
    Id,
    Instant,
    RegistrationDocument,
    TokenDocument,
    UserDocument,
    audit_document,
    event_document,
    registration_document,
    token_document,
    user_document,
)
from coursebell.web.profile_documents import UserAgreementDocument, user_agreement_document
from coursebell.web.record_documents import WorkDocument, work_document


class DisclosureDocument(Document):
    """A delivery about the person that was attempted, so that the receiver may know of them."""

    delivery_id: Id
    webhook_id: Id
    recipient: str = Field(description="The name of the webhook, or the host it calls.")
    host: str
    event_id: Id
    event: str
    kind: DeliveryKind
    status: DeliveryStatus
    attempt_count: int
    created_date: Instant
    first_attempt_date: Instant | Absent = Field(None, description="Absent: removed by retention.")
    last_attempt_date: Instant | Absent = Field(None, description="Absent: removed by retention.")


class PersonalWorkDocument(WorkDocument):
    """One attempt at an element, and where it was made."""

    registration_id: Id
    element_id: Id


class ExemptionDocument(Document):
    """An element that the person need not do."""

    registration_id: Id
    element_id: Id
    created_date: Instant
    grader_id: Id | Absent = None
    comment: str | Absent = None


class DossierDocument(Document):
    """Everything that is kept about a person, each part oldest first."""

    user: UserDocument
    user_field_values: dict[str, Any] = Field(description="By the id of the user field.")
    agreements: Sequence[UserAgreementDocument] = Field(description="What they agreed to.")
    registrations: Sequence[RegistrationDocument]
    attempts: Sequence[PersonalWorkDocument] = Field(description="What was done about elements.")
    exemptions: Sequence[ExemptionDocument]
    tokens: Sequence[TokenDocument]
    events: Sequence[EventDocument]
    disclosures: Sequence[DisclosureDocument] = Field(description="Who was told of them, and when.")
    audit: Sequence[AuditDocument] = Field(description="What was changed about them.")


def dossier_document(dossier: Dossier) -> DossierDocument:
    return DossierDocument(
        user=user_document(dossier.user),
        user_field_values=dict(dossier.field_values),
        agreements=[user_agreement_document(each) for each in dossier.agreements],
        registrations=[
            registration_document(each.registration, each.title) for each in dossier.registrations
        ],
        attempts=[_work_document(each) for each in dossier.work],
        exemptions=[_exemption_document(each) for each in dossier.exemptions],
        tokens=[token_document(each) for each in dossier.tokens],
        events=[event_document(each) for each in dossier.events],
        disclosures=[_disclosure_document(each) for each in dossier.disclosures],
        audit=[audit_document(each) for each in dossier.changes],
    )


def _work_document(work: Work) -> PersonalWorkDocument:
    return PersonalWorkDocument(
        **dict(work_document(work)),
        registration_id=work.registration_id,
        element_id=work.element_id,
    )


def _exemption_document(exemption: Exemption) -> ExemptionDocument:
    return ExemptionDocument(
        registration_id=exemption.registration_id,
        element_id=exemption.element_id,
        created_date=exemption.created_at,
        grader_id=exemption.grader_id,
        comment=exemption.comment,
    )


def _disclosure_document(disclosure: Disclosure) -> DisclosureDocument:
    """Whoever knows the whole address may write to some receivers, so only its host is shown."""
    host = urlsplit(disclosure.url).hostname or ""
    is_named = "://" not in disclosure.webhook_name  # without a name it is called as its address
    return DisclosureDocument(
        delivery_id=disclosure.delivery_id,
        webhook_id=disclosure.webhook_id,
        recipient=disclosure.webhook_name if is_named else host,
        host=host,
        event_id=disclosure.event_id,
        event=disclosure.event,
        kind=disclosure.kind,
        status=disclosure.status,
        attempt_count=disclosure.attempts,
        created_date=disclosure.created_at,
        first_attempt_date=disclosure.first_attempt_at,
        last_attempt_date=disclosure.last_attempt_at,
    )
