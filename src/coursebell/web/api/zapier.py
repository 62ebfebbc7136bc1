"""The API for Zapier: REST hooks, and the vendor's actions under the vendor's field names.

It stands under `/api/zapier`; the key in the header `X-API-KEY` is an ordinary token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Concatenate, ParamSpec, TypeVar

from fastapi import APIRouter
from pydantic import Field
from pydantic_core import CoreSchema, core_schema
from starlette.responses import Response

from coursebell.domain.events import encode
from coursebell.domain.filters import ELEMENT_TYPES
from coursebell.domain.model import Actor, Source, User, new_id
from coursebell.domain.samples import sample_event
from coursebell.domain.targets import MAX_URL_LENGTH
from coursebell.errors import InvalidInputError
from coursebell.services import people, zapier
from coursebell.services.people import NewUser
from coursebell.services.registrar import Registrar
from coursebell.services.zapier import Registered, Trigger
from coursebell.web.answers import JSON, done, made, shown_bare
from coursebell.web.auth import KeyedAdmin, KeyedInstructor, KeyedLearner
from coursebell.web.bases import BASE, ZAPIER
from coursebell.web.documents import Document, Id
from coursebell.web.fields import REFERENCE, Body, Clearable, Line, Member, PathId, Shape
from coursebell.web.openapi import BODY, UNKNOWN, accomplishes, creates_shown, shows, shows_events
from coursebell.web.routes import ApiRoute

P = ParamSpec("P")
T = TypeVar("T")

router = APIRouter(prefix=ZAPIER, route_class=ApiRoute, tags=["zapier"])

_NAME = Line(100)
_EMAIL = Line(254)  # RFC 5321 allows no more
_FILTERS = "filters."

# The vendor's words for fields that the use cases call otherwise.
_WORDS = {"url": "hookUrl", "email": "emailAddress", "userId": "emailAddress"}


@dataclass(frozen=True)
class Filter(Shape):
    """The value of a filter, which the use case judges: here stands only what is told of it."""

    told: Mapping[str, object]

    def core(self) -> CoreSchema:
        return core_schema.any_schema()

    def schema(self) -> dict[str, object]:
        return dict(self.told)


_ID = {"type": "string", "pattern": "^([0-9a-f]{32})?$"}
_IDS = {"anyOf": [_ID, {"type": "array", "items": _ID, "minItems": 1, "maxItems": 100}]}
_TEXT = {"type": "string", "maxLength": 255}


class Subscription(Body):
    """Where a Zap wants to be called, and its filters beside; an empty one is as good as none."""

    hook_url: Annotated[str, Line(MAX_URL_LENGTH)]
    offering_id: Annotated[object, Clearable(Filter(_IDS))] = Field(None, alias="offering.id")
    offering_title_contains: Annotated[object, Clearable(Filter(_TEXT))] = Field(
        None, alias="offering.title.contains"
    )
    user_email_endswith: Annotated[object, Clearable(Filter(_TEXT))] = Field(
        None, alias="user.email.endswith"
    )
    registration_passed: Annotated[object, Clearable(Filter({"type": "boolean"}))] = Field(
        None, alias="registration.passed"
    )
    source: Annotated[object, Clearable(Filter({"type": "string", "enum": [*Source, ""]}))] = None
    element_type: Annotated[
        object, Clearable(Filter({"type": "string", "enum": [*ELEMENT_TYPES, ""]}))
    ] = Field(None, alias="element.type")

    def filters(self) -> dict[str, object]:
        values = self.model_dump(by_alias=True, exclude={"hook_url"})
        return {name: value for name, value in values.items() if value not in (None, "")}


class ZapierUserCreation(Body):
    first_name: Annotated[str, _NAME]
    last_name: Annotated[str, _NAME]
    email_address: Annotated[str, _EMAIL]
    username: Annotated[str | None, Clearable(_EMAIL)] = None


class StudentRegistration(Body):
    email_address: Annotated[str, _EMAIL]
    offering_id: Annotated[str, REFERENCE]


class SubscriptionDocument(Document):
    """What a Zap unsubscribes with; it is also the id of the webhook."""

    id: Id


class OpenOfferingDocument(Document):
    """An offering that is open for registration."""

    name: str
    id: Id


class ZapierUserDocument(Document):
    """A user, in the words of the vendor's Zapier API."""

    id: Id
    first_name: str
    last_name: str
    username: str
    email_address: str
    locale_code: str


class StudentRegistrationDocument(Document):
    """Who was registered for what, in the words of the vendor's Zapier API."""

    student_id: Id
    student_name: str
    student_email: str
    offering_title: str
    offering_id: Id


TriggerName = Annotated[Trigger, Member(Trigger)]


@router.get("/subscription/{event}", **shows_events([each.event for each in Trigger], *UNKNOWN))
async def sample_subscription(event: TriggerName, caller: KeyedAdmin) -> Response:
    """One made-up event, from which a Zap learns the fields."""
    sample = sample_event(event.event, new_id(), caller.now)
    return Response(b"[" + encode(sample.document) + b"]", media_type=JSON)


@router.post("/subscription/{event}", **creates_shown(SubscriptionDocument, *UNKNOWN, *BODY))
async def subscribe(event: TriggerName, caller: KeyedAdmin, body: Subscription) -> Response:
    """Call `hookUrl` with each event from now on that passes the filters."""
    use_case = in_zapiers_words(zapier.subscribe)
    webhook = await caller.run(use_case, event, body.hook_url, body.filters(), caller.now)
    return made(f"{BASE}/webhooks/{webhook.id}", SubscriptionDocument(id=webhook.id))


@router.delete("/subscription/{event}/{subscription_id}", **accomplishes(*UNKNOWN))
async def unsubscribe(event: TriggerName, subscription_id: PathId, caller: KeyedAdmin) -> Response:
    """Call it no more; what was on its way is cancelled."""
    await caller.run(zapier.unsubscribe, event, subscription_id, caller.now)
    return done()


@router.post("/user", **creates_shown(ZapierUserDocument, *BODY))
async def create_zapier_user(caller: KeyedAdmin, body: ZapierUserCreation) -> Response:
    """Create a learner."""
    new = NewUser(
        first_name=body.first_name,
        last_name=body.last_name,
        email=body.email_address,
        username=body.username,
    )
    user = await caller.run(in_zapiers_words(people.create_user), new, caller.now)
    return made(f"{BASE}/users/{user.id}", _user_document(user))


@router.get("/studentregistration", **shows(list[OpenOfferingDocument]))
async def list_open_offerings(caller: KeyedLearner) -> Response:
    """The offerings that are open for registration now, all at once."""
    found = await caller.run(zapier.list_open_offerings, caller.now)
    return shown_bare(OpenOfferingDocument(name=each.title, id=each.id) for each in found)


@router.post("/studentregistration", **creates_shown(StudentRegistrationDocument, *BODY))
async def register_student(caller: KeyedInstructor, body: StudentRegistration) -> Response:
    """Register the user with this e-mail address for an offering."""
    use_case = in_zapiers_words(zapier.register_student)
    found = await caller.run(use_case, body.email_address, body.offering_id, caller.now)
    location = f"{BASE}/registrations/{found.registration.id}"
    return made(location, _registration_document(found))


def in_zapiers_words(
    use_case: Callable[Concatenate[Registrar, Actor, P], T],
) -> Callable[Concatenate[Registrar, Actor, P], T]:
    """The use case, naming wrong fields as they were sent."""

    @wraps(use_case)
    def run(registrar: Registrar, actor: Actor, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return use_case(registrar, actor, *args, **kwargs)
        except InvalidInputError as exc:
            named = {_word(name): rule for name, rule in exc.field_errors.items()}
            raise InvalidInputError(exc.errors, named) from exc

    return run


def _word(name: str) -> str:
    return _WORDS.get(name) or name.removeprefix(_FILTERS)


def _user_document(user: User) -> ZapierUserDocument:
    return ZapierUserDocument(
        id=user.id,
        first_name=user.first_name,
        last_name=user.last_name,
        username=user.username,
        email_address=user.email,
        locale_code=user.locale,
    )


def _registration_document(found: Registered) -> StudentRegistrationDocument:
    return StudentRegistrationDocument(
        student_id=found.user.id,
        student_name=f"{found.user.first_name} {found.user.last_name}",
        student_email=found.user.email,
        offering_title=found.offering.title,
        offering_id=found.offering.id,
    )
