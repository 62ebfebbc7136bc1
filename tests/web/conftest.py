"""A client that calls an application in this process, and an organization to call it about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI

from coursebell.domain.addresses import AddressRules
from coursebell.domain.model import Organization, Role, SignIn, new_id
from coursebell.metrics import Metrics
from coursebell.services import accounts, people
from coursebell.services.organizations import operator_of
from coursebell.services.people import NewUser
from coursebell.services.registrar import Registrar
from coursebell.storage.database import Database
from coursebell.storage.people import insert_organization
from coursebell.web.app import create_app

COLLECTIONS = (
    "users",
    "courses",
    "offerings",
    "offeringcategories",
    "registrations",
    "webhooks",
    "events",
    "tokens",
    "audit",
    "imports",
    "userfields",
    "agreements",
)


class Client:
    """Sends requests one at a time, each with the token it is told, as the API asked wants it."""

    def __init__(self, portal: BlockingPortal, app: FastAPI, token: str | None = None) -> None:
        self.app = app
        self._portal = portal
        self.token = token

    def holding(self, token: str) -> Client:
        return Client(self._portal, self.app, token)

    def __call__(self, method: str, url: str, token: str | None = "", **more) -> httpx.Response:
        headers = httpx.Headers(more.pop("headers", None))
        bearer = self.token if token == "" else token
        if bearer:
            headers.update(self.credentials(url, bearer))
        return self._portal.call(partial(self._send, method, url, headers=headers, **more))

    async def _send(self, method: str, url: str, **more) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, url, **more)

    def credentials(self, path: str, token: str | None = None) -> dict[str, str]:
        """The header with its token, or with another, as the API at `path` wants it."""
        token = token or self.token
        if path.startswith("/api/zapier"):
            return {"x-api-key": token}
        return {"authorization": f"Bearer {token}"}

    def get(self, path: str):
        """The document at a path of the API, which must be there."""
        answer = self("GET", f"/api/v5{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def list(self, path: str) -> list:
        return self.get(path)["results"]

    def post(self, path: str, body: object = None) -> httpx.Response:
        return self("POST", f"/api/v5{path}", json=body)

    def put(self, path: str, body: object) -> httpx.Response:
        return self("PUT", f"/api/v5{path}", json=body)

    def delete(self, path: str) -> httpx.Response:
        return self("DELETE", f"/api/v5{path}")

    def create(self, collection: str, **body) -> str:
        """Make something and return its id."""
        answer = self.post(f"/{collection}", body)
        assert answer.status_code == 201, answer.text
        return answer.headers["location"].rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class School:
    """An organization with a person of each role, and a client for each of them."""

    organization: Organization
    ids: dict[str, str]
    admin: Client
    instructor: Client
    learner: Client

    def client(self, role: str) -> Client:
        return getattr(self, role)

    def course(self, **fields) -> str:
        return self.admin.create("courses", **{"title": "Ladders", **fields})

    def element(self, course_id: str, type_: str = "test", **fields) -> str:
        """An active element of the course."""
        return self.admin.create(
            f"courses/{course_id}/elements",
            **{"type": type_, "title": "Knots", "status": "active", **fields},
        )

    def offering(self, **fields) -> str:
        course_id = fields.pop("courseId", None) or self.course()
        return self.admin.create(
            "offerings", **{"courseId": course_id, "title": "Ladder safety", **fields}
        )

    def registration(self, offering_id: str | None = None, user_id: str | None = None) -> str:
        return self.admin.create(
            "registrations",
            userId=user_id or self.ids["learner"],
            offeringId=offering_id or self.offering(),
        )

    def user(self, name: str, **fields) -> str:
        return self.admin.create(
            "users",
            **{
                "firstName": name,
                "lastName": "Berg",
                "email": f"{name.lower()}@berg.example",
                **fields,
            },
        )

    def one_of_each(self) -> dict[str, str]:
        """Make one thing of each kind; their ids, by path parameter."""
        webhook = self.webhook()
        shelf = self.admin.create("offeringcategories", name="Shelf")
        course = self.course()
        element = self.element(course)
        offering = self.offering(courseId=course, offeringCategoryIds=[shelf])
        user = self.user(self.organization.name)
        registration = self.registration(offering, user)
        self.admin.put(f"/registrations/{registration}", {"grade": 90})
        (delivery,) = self.admin.list(f"/webhooks/{webhook}/deliveries")
        token = self.admin.post("/tokens", {"userId": user, "name": "x"}).json()["id"]
        subscription = self.subscription()
        return {
            "user_id": user,
            "course_id": course,
            "element_id": element,
            "offering_id": offering,
            "category_id": shelf,
            "registration_id": registration,
            "webhook_id": webhook,
            "event_id": delivery["eventId"],
            "delivery_id": delivery["id"],
            "token_id": token,
            "subscription_id": subscription,
            "field_id": self.field(),
            "agreement_type": self.agreement(),
            "event": "offering_completed",
            "email": f"{self.organization.name.lower()}@berg.example",
            "entry_id": self.admin.list("/audit")[0]["id"],
            "kind": "users",
            "import_id": self.upload(),
        }

    def everything(self) -> dict[str, list]:
        """All that an administrator can see in lists, but for what asking for it changes."""
        found = {name: self.admin.list(f"/{name}?limit=100") for name in COLLECTIONS}
        for token in found["tokens"]:
            token.pop("lastUsedDate", None)
        return found

    def upload(self) -> str:
        """Ask for the import of a table of users, which nobody works on; its id."""
        table = "email,firstName,lastName\nada@x.example,Ada,Byron\n"
        answer = self.admin(
            "POST", "/api/v5/imports/users", content=table, headers={"content-type": "text/csv"}
        )
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def webhook(self, **fields) -> str:
        return self.admin.create(
            "webhooks",
            **{"url": "http://127.0.0.1:9/hook", "events": ["offering_completed"], **fields},
        )

    def field(self, type: str = "text", **fields) -> str:  # noqa: A002 - the wire's name
        defaults = {"name": "Shoe size", "categoryName": "Outfit"}
        return self.admin.create("userfields", type=type, **(defaults | fields))

    def agreement(self, type: str = "standard", **fields) -> str:  # noqa: A002 - the wire's name
        """Its type, by which it is known."""
        body = {"title": f"Terms of {self.organization.name}", "text": "Be kind."} | fields
        answer = self.admin.put(f"/agreements/{type}", body)
        assert answer.status_code == 204, answer.text
        return type

    def subscription(self, event: str = "offering_completed", **filters) -> str:
        """What a Zap gets when it is turned on."""
        body = {"hookUrl": "http://127.0.0.1:9/zap", **filters}
        answer = self.admin("POST", f"/api/zapier/subscription/{event}", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]


Found = Callable[..., School]


def open_school(
    registrar: Registrar,
    connect: Callable[[str], Client],
    name: str = "School",
    zone: str = "UTC",
    sign_in: str = "email",
) -> School:
    """`connect` makes a client of the application under test that holds a token."""
    now = datetime.now(UTC) - timedelta(hours=1)
    organization = Organization(
        id=new_id(), name=name, zone=zone, locale="en", sign_in=SignIn(sign_in), created_at=now
    )
    with registrar.database.transaction() as tx:
        insert_organization(tx, organization)
    operator = operator_of(organization)
    ids, clients = {}, {}
    for role in Role:
        new = NewUser(
            first_name=role.capitalize(),
            last_name=name,
            email=f"{role}@{name.lower()}.example",
            role=role,
        )
        user = people.create_user(registrar, operator, new, now)
        token = accounts.create_token(registrar, operator, user.id, "tests", now)
        ids[role.value] = user.id
        clients[role.value] = connect(token.secret)
    return School(organization=organization, ids=ids, **clients)


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="session")
def connect(portal: BlockingPortal) -> Callable[..., Client]:
    return partial(Client, portal)


@pytest.fixture
def registrar(database: Database, tmp_path: Path) -> Registrar:
    rules = AddressRules(allowed=(ip_network("127.0.0.0/8"),))
    return Registrar(
        database=database,
        public_url="https://learn.example",
        address_rules=rules,
        upload_directory=tmp_path / "uploads",
    )


@pytest.fixture
def app(registrar: Registrar) -> FastAPI:
    return create_app(registrar, Metrics(), lambda: None)


@pytest.fixture
def found(registrar: Registrar, app: FastAPI, connect) -> Found:
    """Makes schools: `found("Ada's", zone="Europe/Berlin", sign_in="username")`."""

    return partial(open_school, registrar, partial(connect, app))


@pytest.fixture
def school(found: Found) -> School:
    return found()
