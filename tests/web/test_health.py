from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from coursebell.errors import SchemaVersionError, UnavailableError
from coursebell.metrics import Metrics
from coursebell.web.app import create_app


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def trouble() -> list[Exception]:
    """What keeps the server from being ready."""
    return []


@pytest.fixture
def client(connect, metrics, trouble):
    def check_ready() -> None:
        if trouble:
            raise trouble[0]

    return connect(create_app(None, metrics, check_ready))


def test_the_process_answers_and_is_ready(client):
    assert client("GET", "/healthz").json() == {"status": "ok"}
    assert client("GET", "/readyz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "error", [UnavailableError("host db.internal is gone"), SchemaVersionError("schema 7")]
)
def test_what_cannot_serve_is_up_but_not_ready_and_tells_no_stranger_why(client, trouble, error):
    trouble.append(error)

    answer = client("GET", "/readyz")

    assert client("GET", "/healthz").status_code == 200
    assert answer.status_code == 503
    assert str(error) not in answer.text


def test_requests_are_counted_by_route_and_never_by_what_was_asked(client):
    with capture_logs():  # there is no database here
        client("GET", "/dc/api/v5/users/secret-id/", "nobody")
    client("GET", "/nowhere/secret-path")
    client("BREW", "/healthz")

    shown = client("GET", "/metrics")

    assert shown.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'method="GET",route="/api/v5/users/{user_id}",status="500"' in shown.text
    assert 'method="GET",route="unknown",status="404"' in shown.text
    assert 'method="other"' in shown.text
    assert "secret" not in shown.text
