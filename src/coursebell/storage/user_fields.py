"""User fields, and the values that users have in them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, select, true, update

from coursebell.domain.lists import Page, Slice, UserFieldFilters
from coursebell.domain.user_fields import CategoryType, FieldType, Option, UserField, Value
from coursebell.storage.database import Transaction
from coursebell.storage.lists import equals, has_text, in_range, slice_of
from coursebell.storage.tables import user_field_values, user_fields


def insert_field(tx: Transaction, organization_id: str, field: UserField) -> None:
    tx.execute(
        insert(user_fields).values(
            id=field.id,
            organization_id=organization_id,
            type=field.type,
            created_at=field.created_at,
            **_changeable(field),
        )
    )


def update_field(tx: Transaction, organization_id: str, field: UserField) -> None:
    statement = update(user_fields).where(_is(organization_id, field.id))
    tx.execute(statement.values(_changeable(field)))


def delete_field(tx: Transaction, organization_id: str, field_id: str) -> None:
    """Delete it with every value that users have in it."""
    tx.execute(
        delete(user_field_values).where(
            user_field_values.c.organization_id == organization_id,
            user_field_values.c.field_id == field_id,
        )
    )
    tx.execute(delete(user_fields).where(_is(organization_id, field_id)))


def set_category_type(
    tx: Transaction, organization_id: str, category_name: str, category_type: CategoryType
) -> None:
    """Of every field in the category."""
    statement = update(user_fields).where(
        user_fields.c.organization_id == organization_id,
        user_fields.c.category_name == category_name,
    )
    tx.execute(statement.values(category_type=category_type))


def find_category(
    tx: Transaction, organization_id: str, category_name: str
) -> tuple[CategoryType, int] | None:
    """The type of a category, and the place after its last field; None without any field."""
    query = select(
        func.max(user_fields.c.category_type).label("type"),
        func.max(user_fields.c.order_index).label("last"),
    ).where(
        user_fields.c.organization_id == organization_id,
        user_fields.c.category_name == category_name,
    )
    row = tx.execute(query).one()
    return None if row.type is None else (CategoryType(row.type), row.last + 1)


def find_field(
    tx: Transaction, organization_id: str, field_id: str, *, for_update: bool = False
) -> UserField | None:
    query = select(user_fields).where(_is(organization_id, field_id))
    row = tx.execute(query.with_for_update() if for_update else query).one_or_none()
    return None if row is None else _field(row)


def list_fields(
    tx: Transaction, organization_id: str, filters: UserFieldFilters, page: Page
) -> Slice[UserField]:
    query = (
        select(user_fields)
        .where(
            user_fields.c.organization_id == organization_id,
            in_range(user_fields.c.created_at, filters.created),
            has_text(user_fields.c.name, filters.name),
            has_text(user_fields.c.category_name, filters.category_name),
            equals(user_fields.c.type, filters.type),
            equals(user_fields.c.category_type, filters.category_type),
        )
        .order_by(user_fields.c.key)
    )
    return slice_of(tx, query, page, _field)


def fields_by_id(
    tx: Transaction, organization_id: str, field_ids: Collection[str], *, with_private: bool
) -> Mapping[str, UserField]:
    """Those of `field_ids` that exist, whatever is written there."""
    plausible = [each for each in field_ids if "\0" not in each]  # PostgreSQL looks for none
    query = select(user_fields).where(
        user_fields.c.organization_id == organization_id,
        user_fields.c.id.in_(plausible),
        _seen(with_private=with_private),
    )
    return {row.id: _field(row) for row in tx.execute(query)}


def list_values(
    tx: Transaction, organization_id: str, user_id: str, *, with_private: bool
) -> dict[str, Value]:
    """What a user has, by the id of the field, in the order of the fields."""
    query = (
        select(user_field_values.c.field_id, user_field_values.c.value)
        .join(user_fields, user_fields.c.id == user_field_values.c.field_id)
        .where(
            user_field_values.c.organization_id == organization_id,
            user_field_values.c.user_id == user_id,
            _seen(with_private=with_private),
        )
        .order_by(user_fields.c.key)
    )
    return {row.field_id: json.loads(row.value) for row in tx.execute(query)}


def replace_values(
    tx: Transaction, organization_id: str, user_id: str, values: Mapping[str, Value | None]
) -> None:
    """Put `values` in the place of what stands in these fields; None leaves it empty."""
    tx.execute(
        delete(user_field_values).where(
            user_field_values.c.organization_id == organization_id,
            user_field_values.c.user_id == user_id,
            user_field_values.c.field_id.in_(values),
        )
    )
    rows = [
        {
            "organization_id": organization_id,
            "user_id": user_id,
            "field_id": field_id,
            "value": json.dumps(value),
        }
        for field_id, value in values.items()
        if value is not None
    ]
    if rows:
        tx.execute(insert(user_field_values), rows)


def delete_values_of_user(tx: Transaction, organization_id: str, user_id: str) -> None:
    tx.execute(
        delete(user_field_values).where(
            user_field_values.c.organization_id == organization_id,
            user_field_values.c.user_id == user_id,
        )
    )


def _seen(*, with_private: bool) -> ColumnElement[bool]:
    return true() if with_private else user_fields.c.category_type == CategoryType.PUBLIC


def _is(organization_id: str, field_id: str) -> ColumnElement[bool]:
    return and_(user_fields.c.organization_id == organization_id, user_fields.c.id == field_id)


def _changeable(field: UserField) -> dict[str, Any]:
    return {
        "name": field.name,
        "category_name": field.category_name,
        "category_type": field.category_type,
        "order_index": field.order_index,
        "required": field.required,
        "options": [{"name": each.name, "selected": each.selected} for each in field.options],
        "constraints": dict(field.constraints),
        "message": field.message,
    }


def _field(row: Row[Any]) -> UserField:
    return UserField(
        id=row.id,
        type=FieldType(row.type),
        name=row.name,
        category_name=row.category_name,
        category_type=CategoryType(row.category_type),
        order_index=row.order_index,
        required=row.required,
        options=tuple(Option(**each) for each in row.options),
        constraints=row.constraints,
        message=row.message,
        created_at=row.created_at,
    )
