"""What every route of the API does alike, shown on a small application of the same parts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

import anyio
import pytest
from fastapi import APIRouter, Header, HTTPException, Query
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from structlog.testing import capture_logs

from coursebell.domain.changes import UNSET, Unset
from coursebell.domain.model import Actor, ActorKind, Role
from coursebell.errors import (
    ConfigurationError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    SealError,
    UnauthenticatedError,
    UnavailableError,
)
from coursebell.web import paging
from coursebell.web.app import assemble
from coursebell.web.auth import Admin, Learner
from coursebell.web.bodies import MAX_BYTES, parse_object
from coursebell.web.errors import LastResort
from coursebell.web.fields import (
    Amount,
    Anything,
    Body,
    Choice,
    Clearable,
    DateFilter,
    Items,
    Line,
    ListQuery,
    Member,
    Pairs,
    Prose,
    Secret,
    TextFilter,
    Truth,
    Whole,
    Written,
    instant_of,
)
from coursebell.web.fields import Color as Shade
from coursebell.web.routes import ApiRoute, BulkRoute

TOKENS = {"learner-token": Role.LEARNER, "admin-token": Role.ADMIN}
ERRORS = {
    "conflict": ConflictError("It ended."),
    "unknown": NotFoundError(),
    "busy": UnavailableError(),
    "sealed": SealError(),
    "unset": ConfigurationError("COURSEBELL_SECRET_KEY is empty"),
    "rule": InvalidInputError(["The lamp is lit."], {"wick": "Must be short"}),
    "slow-down": HTTPException(429, "Too many requests", headers={"retry-after": "7"}),
    "bug": ZeroDivisionError("a secret detail"),
}


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class Wick(Body):
    length: Annotated[int, Whole(1, 30)]


class Lamp(Body):
    name: Annotated[str, Line(10)]
    grade: Annotated[Decimal | None, Clearable(Amount(0, 100))] = None
    begin_date: Annotated[str | Unset, Written()] = UNSET
    note: Annotated[str | None, Clearable(Prose(20))] = None
    password: Annotated[str | Unset, Secret(8)] = UNSET
    color: Annotated[Color, Member(Color)] = Color.RED
    lit: Annotated[bool, Truth()] = False
    wicks: list[Wick] = Field(default_factory=list, max_length=3)
    labels: Annotated[dict[str, str], Pairs(Line(5), 2)] = Field(default_factory=dict)
    tags: Annotated[tuple[str, ...], Items(Line(5), 3, min_length=1)] = ()
    shade: Annotated[str | None, Clearable(Shade())] = None
    extra: Annotated[object, Anything()] = None


class LampQuery(ListQuery):
    name: TextFilter = None
    created_date: DateFilter = None
    color: Annotated[Color | None, Choice(Color)] = None
    tag: list[TextFilter] = Field(default_factory=list)


router = APIRouter(prefix="/api/v5/lamps", route_class=ApiRoute)
bulk = APIRouter(prefix="/api/v5/bulk", route_class=BulkRoute)


@router.get("")
async def lamps(request: Request, _caller: Learner, query: Annotated[LampQuery, Query()]):
    shown = {
        "name": query.name,
        "tag": query.tag,
        "color": query.color,
        "since": query.created_date and query.created_date.start.isoformat(),
        "limit": query.page.limit,
        "offset": query.page.offset,
    }
    return JSONResponse(shown | paging.links(request, query.page, more=True))


@router.post("")
async def light(_caller: Admin, body: Lamp):
    given = {name: getattr(body, name) for name in body.model_fields_set}
    return JSONResponse(json.loads(json.dumps(given, default=repr)))


@router.post("/{lamp_id}/lit")
async def lit(lamp_id: Annotated[str, Line(5)], _caller: Learner, body: Wick | None = None):
    return JSONResponse({"id": lamp_id, "length": body and body.length})


@router.get("/{error}")
async def fail(error: str, _caller: Learner):
    raise ERRORS[error]


@router.put("/{error}")
async def change(error: str, _caller: Learner):
    return Response(status_code=204)


@bulk.post("")
async def many(_caller: Learner, body: Lamp):
    return Response(status_code=204)


def authenticate(_registrar, presented, _now: datetime) -> list[Actor | UnauthenticatedError]:
    return [_holder(token) if token in TOKENS else UnauthenticatedError() for token in presented]


def _holder(token: str) -> Actor:
    return Actor(organization_id="o" * 32, role=TOKENS[token], kind=ActorKind.API, user_id="u" * 32)


@pytest.fixture(scope="module")
def client(connect):
    return connect(assemble(None, authenticate, [router, bulk]), token="admin-token")


@pytest.mark.parametrize("base", ["/api/v5", "/dc/api/v5"])
@pytest.mark.parametrize("end", ["", "/"])
def test_both_bases_are_served_with_and_without_a_trailing_slash(client, base, end):
    answer = client("GET", f"{base}/lamps{end}?name=x&offset=20&limit=5&tag=a&tag=b%26c")

    assert answer.status_code == 200
    query = "name=x&limit=5&tag=a&tag=b%26c"
    assert answer.json()["next"] == f"{base}/lamps?{query}&offset=25"
    assert answer.json()["prev"] == f"{base}/lamps?{query}&offset=15"
    assert answer.json()["previous"] == answer.json()["prev"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v5",
        "/api/v5/",
        "/api/v5/lamps//",
        "/api/v5//lamps",
        "/api/v5/lamps/x%2Flit",
        "/api/v5/lamps%2flit",
        "/dc/api/v5/lamps%2F",
        "/dc/lamps",
        "/dc/api/v5/dc/api/v5/lamps",
        "/lamps",
        "/API/v5/lamps",
    ],
)
def test_no_other_address_is_taken_for_a_resource(client, path):
    answer = client("GET", path)

    assert answer.status_code == 404
    assert answer.json() == {"errors": ["Nothing is served at this address."]}


def test_the_first_page_has_no_link_back_and_fifteen_entries(client):
    answer = client("GET", "/api/v5/lamps").json()

    assert answer["limit"] == 15
    assert answer["offset"] == 0
    assert answer["next"] == "/api/v5/lamps?offset=15"
    assert "prev" not in answer
    assert "previous" not in answer


def test_the_page_before_an_odd_offset_begins_at_the_beginning(client):
    assert client("GET", "/api/v5/lamps?offset=7").json()["prev"] == "/api/v5/lamps?offset=0"


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("limit=0", {"limit": "Must be between 1 and 100"}),
        ("limit=101", {"limit": "Must be between 1 and 100"}),
        ("limit=", {"limit": "Must be a whole number"}),
        ("limit=%2B5", {"limit": "Must be a whole number"}),
        ("limit=5.0", {"limit": "Must be a whole number"}),
        ("limit=٣", {"limit": "Must be a whole number"}),
        ("offset=-1", {"offset": "Must be a whole number"}),
        ("offset=9999999999", {"offset": "Must be between 0 and 2147483647"}),
        ("offset=99999999999999999999", {"offset": "Must be between 0 and 2147483647"}),
        (f"offset={'9' * 5000}", {"offset": "Must be between 0 and 2147483647"}),
        ("limit=5&limit=5", {"limit": "Is given more than once"}),
        ("colour=red", {"colour": "Unknown parameter"}),
        ("color=Red", {"color": "Must be one of red, blue"}),
        ("createdDate=soon..", None),
        ("created_date=2031", {"created_date": "Unknown parameter"}),
        ("name=a%00b", {"name": "Must not contain control characters"}),
        ("name=" + "a" * 401, {"name": "Must have at most 400 characters"}),
        ("tag=ok&tag=%07", {"tag[1]": "Must not contain control characters"}),
        ("x" * 101 + "=1", {"x" * 100 + "...": "Unknown parameter"}),
    ],
)
def test_a_bad_query_parameter_is_named_and_refused(client, query, errors):
    answer = client("GET", f"/api/v5/lamps?{query}")

    assert answer.status_code == 400
    if errors:
        assert answer.json() == {"fieldErrors": sentences(errors)}


def test_an_empty_filter_is_ignored(client):
    answer = client("GET", "/api/v5/lamps?name=&createdDate=&color=&tag=")

    assert answer.status_code == 200
    assert answer.json()["name"] is None
    assert answer.json()["color"] is None
    assert answer.json()["since"] is None


def test_filters_reach_the_handler_as_what_they_mean(client):
    answer = client("GET", "/api/v5/lamps?name=50%25&createdDate=2031-02&color=red").json()

    assert answer["name"] == "50%"
    assert answer["since"] == "2031-02-01T00:00:00+00:00"
    assert answer["color"] == "red"


def test_a_route_without_filters_refuses_every_parameter(client):
    answer = client("POST", "/api/v5/lamps?limit=5", json={"name": "A"})

    assert answer.json() == {"fieldErrors": {"limit": "Unknown parameter."}}


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "admin-token",
        "Bearer unknown",
        "Bearer \xe9",
        "Bearer " + "a" * 5000,
    ],
)
def test_without_a_valid_token_nothing_else_is_looked_at(client, authorization):
    headers = {} if authorization is None else {"authorization": authorization}

    answer = client("POST", "/api/v5/lamps?x=1", None, content=b"{", headers=encoded(headers))

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["error"] == "invalid_token"
    assert answer.json()["error_description"]


def post(client, content, content_type: str | None = "application/json", **more):
    headers = {"content-type": content_type} if content_type else {}
    headers |= more.pop("headers", {})
    return client("POST", "/api/v5/lamps", content=content, headers=headers, **more)


def sentences(rules: dict[str, str]) -> dict[str, str]:
    return {name: f"{rule}." for name, rule in rules.items()}


def encoded(headers: dict[str, str]) -> dict[str, bytes]:
    return {name: value.encode("latin-1") for name, value in headers.items()}


def test_two_authorizations_are_none(client):
    both = [("authorization", "Bearer admin-token"), ("authorization", "Bearer learner-token")]

    answer = client("GET", "/api/v5/lamps", None, headers=both)

    assert answer.status_code == 401


def test_a_role_that_may_not_is_told_so_before_its_body_is_read(client):
    answer = client("POST", "/api/v5/lamps", "learner-token", content=b"{")

    assert answer.status_code == 403
    assert answer.json()["error"] == "insufficient_scope"
    assert "admin" in answer.json()["error_description"]


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("conflict", 409, {"errors": ["It ended."]}),
        ("unknown", 404, {"errors": ["No resource exists with the given id."]}),
        (
            "rule",
            400,
            {"errors": ["The lamp is lit."], "fieldErrors": {"wick": "Must be short"}},
        ),
        ("slow-down", 429, {"errors": ["Too many requests."]}),
        ("busy", 503, {"errors": ["The database is busy; try again in a moment."]}),
    ],
)
def test_an_error_of_a_use_case_has_its_status_and_shape(client, name, status, body):
    answer = client("GET", f"/api/v5/lamps/{name}")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == body
    assert ("retry-after" in answer.headers) == (status in (429, 503))


@pytest.mark.parametrize("name", ["sealed", "unset"])
def test_a_fault_of_the_installation_is_logged_and_not_told_to_callers(client, name):
    with capture_logs() as logs:
        answer = client("GET", f"/api/v5/lamps/{name}")

    assert answer.status_code == 503
    assert [(line["event"], line["error"]) for line in logs] == [
        ("request.failed", str(ERRORS[name]))
    ]
    assert answer.json() == {"errors": ["The server is not set up correctly; its log says why."]}


def test_an_unexpected_error_is_a_500_in_the_same_shape(client):
    with capture_logs() as logs:
        answer = client("GET", "/api/v5/lamps/bug")

    assert answer.status_code == 500
    assert [(line["event"], line["log_level"]) for line in logs] == [("request.failed", "error")]
    assert list(answer.json()) == ["errors"]
    assert "secret detail" not in answer.text


def test_a_method_that_is_not_served_is_told_which_ones_are(client):
    answer = client("DELETE", "/api/v5/lamps/any/")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, PUT"
    assert answer.json() == {"errors": ["This address does not answer to that method."]}


@pytest.mark.parametrize(
    ("sent", "errors"),
    [
        ({}, {"name": "Is required"}),
        ({"name": None}, {"name": "Must be a string"}),
        ({"name": 5}, {"name": "Must be a string"}),
        ({"name": " \t "}, {"name": "Must not be empty"}),
        ({"name": "a" * 11}, {"name": "Must have at most 10 characters"}),
        ({"name": "a\nb"}, {"name": "Must not contain control characters"}),
        ({"name": "a\0b"}, {"name": "Must not contain control characters"}),
        ({"grade": "50"}, {"grade": "Must be a number"}),
        ({"grade": True}, {"grade": "Must be a number"}),
        ({"grade": -0.0001}, {"grade": "Must be between 0 and 100"}),
        ({"grade": 100.0001}, {"grade": "Must be between 0 and 100"}),
        ({"grade": 50.00001}, {"grade": "Must have at most 4 decimals"}),
        ({"note": ["x"]}, {"note": "Must be a string"}),
        ({"note": "a\x7fb"}, {"note": "Must not contain control characters"}),
        ({"password": 12345678}, {"password": "Must be a string"}),
        ({"password": "123456789"}, {"password": "Must have at most 8 characters"}),
        ({"color": "green"}, {"color": "Must be one of red, blue"}),
        ({"color": 1}, {"color": "Must be a string"}),
        ({"color": None}, {"color": "Must be a string"}),
        ({"lit": 1}, {"lit": "Must be true or false"}),
        ({"beginDate": "soon"}, None),
        ({"beginDate": 2031}, {"beginDate": "Must be a string"}),
        ({"beginDate": "2031-02-03T04:05:06." + "0" * 90 + "Z"}, None),
        ({"begin_date": "2031-02-03"}, {"begin_date": "Unknown property"}),
        ({"wicks": {}}, {"wicks": "Must be a list"}),
        ({"wicks": ["x"]}, {"wicks[0]": "Must be an object"}),
        (
            {"wicks": [{"length": 1}, {"length": 31}]},
            {"wicks[1].length": "Must be between 1 and 30"},
        ),
        ({"wicks": [{"length": 1.5}]}, {"wicks[0].length": "Must be a whole number"}),
        ({"wicks": [{}, {"x": 1}]}, None),
        ({"wicks": [{"length": 1}] * 4}, {"wicks": "Must have at most 3 entries"}),
        ({"labels": []}, {"labels": "Must be an object"}),
        ({"labels": {"X-Foo": 5}}, {"labels.X-Foo": "Must be a string"}),
        ({"labels": {"a": "b", "c": "d", "e": "f"}}, {"labels": "Must have at most 2 entries"}),
        ({"labels": {"a\0b": "c"}}, None),
        ({"tags": "a"}, {"tags": "Must be a list"}),
        ({"tags": []}, {"tags": "Must have at least 1 entry"}),
        ({"tags": ["a", ""]}, {"tags[1]": "Must not be empty"}),
        ({"tags": ["a"] * 4}, {"tags": "Must have at most 3 entries"}),
        ({"tags": None}, {"tags": "Must be a list"}),
        ({"shade": "red"}, {"shade": "Must be a color such as #1a2b3c"}),
        ({"unheard": 1}, {"unheard": "Unknown property"}),
        ({"u" * 200: 1}, {"u" * 100 + "...": "Unknown property"}),
    ],
)
def test_a_bad_field_is_named_as_it_was_sent_with_the_rule_it_breaks(client, sent, errors):
    complete = sent if "name" in sent or not sent else {"name": "A", **sent}

    answer = post(client, json.dumps(complete).encode())

    assert answer.status_code == 400
    assert list(answer.json()) == ["fieldErrors"]
    if errors:
        assert answer.json()["fieldErrors"] == sentences(errors)


def test_of_many_bad_fields_a_hundred_are_named(client):
    answer = post(client, json.dumps({f"field{n}": 1 for n in range(150)} | {"name": "A"}).encode())

    assert len(answer.json()["fieldErrors"]) == 100
    assert answer.json()["errors"] == ["50 more fields are wrong."]


def test_good_fields_reach_the_handler_exactly(client):
    sent = (
        '{"name": "  Ada ", "grade": 71.5000, "note": "one\\ntwo", "color": "blue", "lit": true,'
        ' "wicks": [{"length": 5.0}], "password": " \\u0007 "}'
    )

    answer = post(client, sent.encode())

    assert answer.status_code == 200
    assert answer.json()["name"] == "Ada"
    assert answer.json()["grade"] == "Decimal('71.5')"
    assert answer.json()["note"] == "one\ntwo"
    assert answer.json()["password"] == " \x07 "
    assert answer.json()["wicks"] == ["Wick(length=5)"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "line 1, column 2"),
        (b"[1]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"x"', "must be a JSON object"),
        (b"nonsense", "line 1, column 1"),
        (b'{"name": "A"} trailing', "column 15"),
        (b'{"name": "\xff"}', "not UTF-8"),
        ('{"name": "A"}'.encode("utf-16"), "not UTF-8"),
        (b'{"name": "\\ud800"}', "not UTF-8"),
        (b'{"\\udfff": 1}', "not UTF-8"),
        (b'{"name": "A", "grade": NaN}', "NaN is not JSON"),
        (b'{"name": "A", "grade": -Infinity}', "-Infinity is not JSON"),
        (b'{"name": "A", "grade": 1e99999999999999999999}', "number is too long"),
        (b'{"grade": ' + b"9" * 5000 + b"}", "number is too long"),
        (b'{"name": "A", "name": "B"}', '"name" stands in one object twice'),
        (b'{"wicks": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b"", None),
        (b"   ", "line 1, column"),
    ],
)
def test_what_is_no_json_object_is_refused_and_told_why(client, content, words):
    answer = post(client, content)

    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert words is None or words in error


def test_a_byte_order_mark_is_skipped(client):
    assert post(client, b'\xef\xbb\xbf{"name": "A"}').status_code == 200


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("APPLICATION/JSON; charset=UTF-8", 200),
        ("application/merge-patch+json", 200),
        ("application/json; charset=latin-1", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("text/json", 415),
        ("json", 415),
        ('application/json;;;="', 200),
        (None, 415),
    ],
)
def test_only_json_is_taken(client, content_type, status):
    answer = post(client, b'{"name": "A"}', content_type)

    assert answer.status_code == status
    if status == 415:
        assert answer.json() == {
            "errors": ["The request body must be sent as application/json, in UTF-8."]
        }


def test_a_compressed_body_is_not_taken(client):
    answer = post(client, b'{"name": "A"}', headers={"content-encoding": "gzip"})

    assert answer.status_code == 415


def test_a_body_may_have_a_megabyte_and_no_more(client):
    exact = b'{"name": "A", "note": null}'.ljust(MAX_BYTES)

    assert post(client, exact).status_code == 200
    refused = post(client, exact + b" ")
    assert refused.status_code == 413
    assert refused.json() == {"errors": ["The request body is larger than 1 MB."]}


def test_a_bulk_route_takes_eight_megabytes(client):
    large = b'{"name": "A"}'.ljust(8 * MAX_BYTES)
    headers = {"content-type": "application/json"}

    assert client("POST", "/api/v5/bulk", content=large, headers=headers).status_code == 204
    refused = client("POST", "/api/v5/bulk", content=large + b" ", headers=headers)
    assert refused.json() == {"errors": ["The request body is larger than 8 MB."]}


def test_a_body_of_unknown_length_is_read_no_further_than_the_limit(client):
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 65536
            yield b" " * 65536

    answer = post(client, endless())

    assert answer.status_code == 413
    assert read <= MAX_BYTES + 2 * 65536


def test_a_body_that_may_be_left_out_may(client):
    url = "/api/v5/lamps/l1/lit"

    assert client("POST", url).json() == {"id": "l1", "length": None}
    assert client("POST", url, json={"length": 3}).json() == {"id": "l1", "length": 3}
    assert client("POST", url, json={"lenght": 3}).status_code == 400


def test_an_id_of_the_wrong_shape_is_an_unknown_one(client):
    answer = client("POST", "/api/v5/lamps/too-long/lit")

    assert answer.status_code == 404
    assert answer.json() == {"errors": ["No resource exists with the given id."]}


def test_a_client_that_leaves_while_it_sends_is_no_error(client):
    sent = []

    async def leave() -> None:
        async def receive():
            return {"type": "http.disconnect"}

        async def send(message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/v5/lamps",
            "raw_path": b"/api/v5/lamps",
            "query_string": b"",
            "headers": [(b"authorization", b"Bearer admin-token")],
        }
        await client.app(scope, receive, send)

    anyio.run(leave)

    assert sent == []


@pytest.mark.parametrize("error", [ZeroDivisionError, UnavailableError])
def test_an_answer_that_breaks_off_is_left_to_the_server(connect, error):
    async def broken(_scope, _receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    with pytest.raises(error):
        connect(LastResort(broken))("GET", "/")


def test_a_route_without_a_gate_cannot_be_made():
    open_router = APIRouter(route_class=ApiRoute)

    with pytest.raises(ValueError, match="unpack"):
        open_router.get("/open")(lambda: None)


def test_a_handler_that_asks_for_what_it_is_not_given_cannot_be_made():
    curious = APIRouter(route_class=ApiRoute)

    async def nosy(_caller: Learner, agent: Annotated[str, Header()]): ...

    with pytest.raises(ValueError, match="asks for what no handler"):
        curious.get("/nosy")(nosy)


def test_the_docs_page_needs_nobody_else(client):
    page = client("GET", "/docs", None)

    assert page.status_code == 200
    assert "https://" not in page.text
    assert "http://" not in page.text
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"):
        assert f"/docs/static/{asset}" in page.text
        assert client("GET", f"/docs/static/{asset}", None).status_code == 200


def test_a_date_of_a_body_is_a_day_of_the_zone():
    berlin = ZoneInfo("Europe/Berlin")

    assert instant_of("2031-02-03", berlin, "beginDate", end=False) == datetime(
        2031, 2, 2, 23, tzinfo=UTC
    )
    assert instant_of(None, berlin, "beginDate", end=False) is None


def test_a_day_beyond_the_calendar_is_an_error_of_its_field():
    with pytest.raises(InvalidInputError) as refused:
        instant_of("9999-12-31", ZoneInfo("UTC"), "endDate", end=True)

    assert refused.value.field_errors == {"endDate": "No such day exists."}


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader_of_bodies(raw):
    try:
        found = parse_object(raw)
    except InvalidInputError:
        return
    assert isinstance(found, dict)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.integers() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_value_breaks_a_rule_otherwise_than_by_refusal(value):
    for name in Lamp.model_fields:
        try:
            Lamp.model_validate({"name": "A", name: value})
        except ValidationError:
            continue


@given(st.decimals(0, 100, places=4))
def test_a_grade_is_read_exactly(grade):
    lamp = Lamp.model_validate({"name": "A", "grade": grade})

    assert lamp.grade == grade
    assert "E" not in str(lamp.grade)
    assert not lamp.grade.is_signed()
