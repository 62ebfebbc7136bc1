"""User field values: one object for each user, its names the ids of user fields."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, RootModel
from starlette.responses import Response

from coursebell.errors import InvalidInputError
from coursebell.services import user_fields
from coursebell.web.answers import JSON, done
from coursebell.web.auth import Learner
from coursebell.web.fields import PathId
from coursebell.web.openapi import BODY, UNKNOWN, accomplishes, shows
from coursebell.web.routes import ApiRoute
from coursebell.web.rules import shortened

router = APIRouter(
    prefix="/api/v5/users/{user_id}/userfieldvalues",
    route_class=ApiRoute,
    tags=["userfieldvalues"],
)


_MAX_VALUES = 1000


class UserFieldValuesDocument(RootModel[dict[str, str | bool | float | list[str]]]):
    """What a user has, by the id of the field; only what is set."""


class UserFieldValues(BaseModel):
    """What to set, by the id of the field; null takes a value away."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"maxProperties": _MAX_VALUES})

    def by_id(self) -> dict[str, Any]:
        """Raises InvalidInputError for more than can be set at once."""
        extra = self.model_extra or {}
        if len(extra) > _MAX_VALUES:
            raise InvalidInputError([f"At most {_MAX_VALUES} values can be set at once."])
        return {shortened(field_id): value for field_id, value in extra.items()}


@router.get("", **shows(UserFieldValuesDocument, *UNKNOWN))
async def get_user_field_values(user_id: PathId, caller: Learner) -> Response:
    """All that is set, in one object; learners see their own, without private fields."""
    values = await caller.run(user_fields.get_values, user_id)
    content = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return Response(content, media_type=JSON)


@router.put("", **accomplishes(*UNKNOWN, *BODY))
async def change_user_field_values(
    user_id: PathId, caller: Learner, body: UserFieldValues
) -> Response:
    """Set what is named; learners their own, in public fields. One bad value, and none is set."""
    await caller.run(user_fields.change_values, user_id, body.by_id(), caller.now)
    return done()
