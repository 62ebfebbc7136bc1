"""Agreements in every wording they had, and who agreed to which."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, delete, func, insert, select, update

from coursebell.domain.agreements import Agreement, AgreementType, UserAgreement
from coursebell.domain.lists import Page, Slice
from coursebell.domain.model import new_id
from coursebell.storage.database import Transaction
from coursebell.storage.lists import slice_of
from coursebell.storage.tables import agreement_texts, agreements, user_agreements


def insert_agreement(tx: Transaction, organization_id: str, agreement: Agreement) -> None:
    """Raises `RaceError` when the organization has one of this type by now."""
    tx.execute(
        insert(agreements).values(
            organization_id=organization_id,
            type=agreement.type,
            required=agreement.required,
            text_key=_insert_text(tx, organization_id, agreement),
            created_at=agreement.created_at,
        )
    )


def update_agreement(
    tx: Transaction, organization_id: str, agreement: Agreement, *, reworded: bool
) -> None:
    """Write what may change; what users agreed to in another wording stays as it was."""
    values: dict[str, Any] = {"required": agreement.required}
    if reworded:
        values["text_key"] = _insert_text(tx, organization_id, agreement)
    statement = update(agreements).where(_is(organization_id, agreement.type))
    tx.execute(statement.values(values))


def _insert_text(tx: Transaction, organization_id: str, agreement: Agreement) -> int:
    statement = insert(agreement_texts).values(
        id=new_id(),
        organization_id=organization_id,
        title=agreement.title,
        text=agreement.text,
        created_at=agreement.updated_at,
    )
    key: int = tx.execute(statement.returning(agreement_texts.c.key)).scalar_one()
    return key


def find_agreement(
    tx: Transaction, organization_id: str, kind: AgreementType, *, for_update: bool = False
) -> Agreement | None:
    query = _in_words().where(_is(organization_id, kind))
    locked = query.with_for_update(of=agreements)
    row = tx.execute(locked if for_update else query).one_or_none()
    return None if row is None else _agreement(row)


def list_agreements(tx: Transaction, organization_id: str, page: Page) -> Slice[Agreement]:
    query = _in_words().where(agreements.c.organization_id == organization_id)
    return slice_of(tx, query.order_by(agreements.c.key), page, _agreement)


def list_user_agreements(
    tx: Transaction, organization_id: str, user_id: str, page: Page
) -> Slice[UserAgreement]:
    """Of the agreements that are on."""
    query = _of_user(organization_id, user_id).where(agreements.c.required.is_(True))
    return slice_of(tx, query.order_by(agreements.c.key), page, _user_agreement)


def find_user_agreement(
    tx: Transaction, organization_id: str, user_id: str, kind: AgreementType
) -> UserAgreement | None:
    """None also while the agreement is off."""
    query = _of_user(organization_id, user_id).where(
        agreements.c.type == kind, agreements.c.required.is_(True)
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else _user_agreement(row)


def list_agreed(tx: Transaction, organization_id: str, user_id: str) -> list[UserAgreement]:
    """All that a user agreed to, also what is off by now."""
    query = _of_user(organization_id, user_id).where(user_agreements.c.key.is_not(None))
    return [_user_agreement(row) for row in tx.execute(query.order_by(agreements.c.key))]


def insert_user_agreement(
    tx: Transaction, organization_id: str, user_id: str, kind: AgreementType, now: datetime
) -> None:
    """To the newest wording."""
    newest = select(agreements.c.text_key).where(_is(organization_id, kind)).scalar_subquery()
    tx.execute(
        insert(user_agreements).values(
            organization_id=organization_id,
            user_id=user_id,
            type=kind,
            text_key=newest,
            agreed_at=now,
        )
    )


def delete_user_agreements(
    tx: Transaction, organization_id: str, user_id: str, kinds: Collection[AgreementType]
) -> None:
    tx.execute(
        delete(user_agreements).where(
            user_agreements.c.organization_id == organization_id,
            user_agreements.c.user_id == user_id,
            user_agreements.c.type.in_(kinds),
        )
    )


def list_outstanding(
    tx: Transaction, organization_id: str, user_ids: Collection[str]
) -> Mapping[str, list[AgreementType]]:
    """What each of these users has still to agree to, where there is something."""
    required = select(agreements.c.type).where(
        agreements.c.organization_id == organization_id, agreements.c.required.is_(True)
    )
    wanted = [AgreementType(each) for each in tx.execute(required).scalars()]
    if not wanted:
        return {}
    query = select(user_agreements.c.user_id, user_agreements.c.type).where(
        user_agreements.c.organization_id == organization_id,
        user_agreements.c.user_id.in_(user_ids),
    )
    agreed = {(row.user_id, row.type) for row in tx.execute(query)}
    missing = {
        user_id: [kind for kind in wanted if (user_id, kind) not in agreed] for user_id in user_ids
    }
    return {user_id: kinds for user_id, kinds in missing.items() if kinds}


def _in_words() -> Select[Any]:
    """Every agreement in its newest wording."""
    return select(
        agreements.c.type,
        agreements.c.required,
        agreements.c.created_at,
        agreement_texts.c.title,
        agreement_texts.c.text,
        agreement_texts.c.created_at.label("updated_at"),
    ).join(agreement_texts, agreement_texts.c.key == agreements.c.text_key)


def _of_user(organization_id: str, user_id: str) -> Select[Any]:
    """Every agreement in the wording that the user agreed to, or else the newest."""
    shown = func.coalesce(user_agreements.c.text_key, agreements.c.text_key)
    return (
        select(
            agreements.c.type,
            agreements.c.created_at,
            agreement_texts.c.title,
            agreement_texts.c.text,
            user_agreements.c.agreed_at,
        )
        .outerjoin(
            user_agreements,
            and_(user_agreements.c.type == agreements.c.type, user_agreements.c.user_id == user_id),
        )
        .join(agreement_texts, agreement_texts.c.key == shown)
        .where(agreements.c.organization_id == organization_id)
    )


def _is(organization_id: str, kind: AgreementType) -> ColumnElement[bool]:
    return and_(agreements.c.organization_id == organization_id, agreements.c.type == kind)


def _agreement(row: Row[Any]) -> Agreement:
    return Agreement(
        type=AgreementType(row.type),
        title=row.title,
        text=row.text,
        required=row.required,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _user_agreement(row: Row[Any]) -> UserAgreement:
    return UserAgreement(
        type=AgreementType(row.type),
        title=row.title,
        text=row.text,
        created_at=row.created_at,
        agreed_at=row.agreed_at,
    )
