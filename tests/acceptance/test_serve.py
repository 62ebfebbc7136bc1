"""`coursebell serve` as its operators and its customers' receivers live with it."""

from __future__ import annotations

import re
import signal
import threading
from http import HTTPStatus

import pytest

from acceptance.audits import audit
from acceptance.crowds import Crowd, acting_learners, wishes_for
from acceptance.installations import Client, wait_until
from acceptance.receivers import Receiver, Request, accept, reserve_port
from acceptance.schools import school_in

NUMBER = 300


@pytest.fixture
def offering_id(admin) -> str:
    course_id = admin.create("courses", title="Safety at Sea")
    return admin.create("offerings", title="Safety at Sea", courseId=course_id)


@pytest.mark.timeout(300)
def test_work_in_flight_outlives_the_server_however_that_ends(
    installation, server, admin, offering_id, receiver, database
):
    school = school_in(database)
    places = school.places(offering_id, NUMBER, acting_learners(NUMBER))
    instructor = school.instructor_token()
    at_work, go_on = place_for_waiting(receiver)
    webhook_id, secret = admin.connect(
        receiver.url, "offering_completed", timeoutSeconds=30, retrySchedule=[1] * 12
    )

    for number in (signal.SIGTERM, signal.SIGKILL):
        wishes = wishes_for(places, giving_up=frozenset(range(NUMBER)))
        with Crowd(server, instructor, wishes) as crowd:
            crowd.wait_for(crowd.total // 10)
            wait_until(at_work.is_set, "the receiver has something in hand")
            code = server.stop(number)
            crowd.leave()
        wait_until(lambda: not server.left_behind(), "all processes are gone")  # noqa: B023
        assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        assert "child.killed" not in server.log  # they were quick enough: 10 seconds
        assert "Traceback" not in server.log
        at_work.clear()
        server = installation.serve()
    go_on.set()

    with server.client() as again:
        books = audit(again, receiver, webhook_id, secret)
    assert books.ended
    assert books.ended == books.events.keys() == books.received.keys()
    assert all(len(each) == 1 for each in books.events.values())
    for registration_id, received in books.received.items():
        assert {event.id for event in received} == set(books.events[registration_id])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_sqlite_file_has_one_dispatcher_and_others_are_told_so(installation, server):
    for command in (["dispatch"], ["serve", "--port", "0"]):
        second = installation.run(*command)

        assert second.returncode == 1
        assert "coursebell: Another dispatcher is running on " in second.stderr
        assert "SQLite takes one. Stop it first." in second.stderr
        assert "Traceback" not in second.stderr
    assert server.is_ready()


def test_a_receiver_that_is_down_at_first_gets_everything_later(server, admin, offering_id):
    closed = reserve_port()
    webhook_id, secret = admin.connect(
        f"http://127.0.0.1:{closed.getsockname()[1]}/hook",
        "offering_completed",
        retrySchedule=[1] * 30,
    )
    completed = {complete(admin, offering_id, number) for number in range(5)}
    wait_until(lambda: outcomes(admin, webhook_id) == ["connect"] * 5, "all were attempted")
    assert states(admin, webhook_id) == ["pending"] * 5

    with Receiver(bound=closed) as receiver:
        books = audit(admin, receiver, webhook_id, secret)

    assert books.received.keys() == completed
    assert server.look_at("/healthz")[0] == HTTPStatus.OK
    assert server.look_at("/readyz")[0] == HTTPStatus.OK
    wait_until(lambda: counted(server, 'attempts_total{outcome="delivered"}') == 5, "5 are counted")
    assert counted(server, 'attempts_total{outcome="connect"}') >= 5
    assert counted(server, "coursebell_deliveries_pending") == 0
    assert counted(server, 'completions_total{passed="true",source="ADMIN"}') == 5


def test_a_webhook_whose_receiver_is_gone_holds_until_it_resumes(
    server, admin, offering_id, receiver
):
    receiver.answer = lambda _: HTTPStatus.GONE
    webhook_id, secret = admin.connect(receiver.url, "offering_completed")

    first = complete(admin, offering_id, 1)
    wait_until(lambda: status_of(admin, webhook_id) == "disabled", "the webhook is disabled")
    later = [complete(admin, offering_id, number) for number in (2, 3)]

    assert "410" in admin.get(f"webhooks/{webhook_id}")["disabledReason"]
    assert states(admin, webhook_id) == ["held"] * 3
    assert counted(server, "coursebell_webhooks_disabled") == 1
    assert '"webhook.disabled"' in server.log
    assert len(receiver.books) == 1

    receiver.answer = accept
    admin.do("POST", f"webhooks/{webhook_id}/resume")
    books = audit(admin, receiver, webhook_id, secret)

    assert books.received.keys() == {first, *later}
    assert status_of(admin, webhook_id) == "active"
    assert "disabledReason" not in admin.get(f"webhooks/{webhook_id}")


def place_for_waiting(receiver: Receiver) -> tuple[threading.Event, threading.Event]:
    """Let deliveries wait at the receiver: set when one does; to be set when they may go on."""
    at_work, go_on = threading.Event(), threading.Event()

    def answer(_: Request) -> int:
        at_work.set()
        go_on.wait(30)
        return HTTPStatus.NO_CONTENT

    receiver.answer = answer
    return at_work, go_on


def complete(admin: Client, offering_id: str, number: int) -> str:
    """A new learner passes; the registration."""
    email = f"learner{number}@harbour.example"
    user_id = admin.create("users", firstName="Bo", lastName="Lind", email=email)
    registration_id = admin.create("registrations", userId=user_id, offeringId=offering_id)
    admin.do("PUT", f"registrations/{registration_id}", {"grade": 90})
    return registration_id


def outcomes(admin: Client, webhook_id: str) -> list[str | None]:
    return [each.get("lastOutcome") for each in admin.list(f"webhooks/{webhook_id}/deliveries")]


def states(admin: Client, webhook_id: str) -> list[str]:
    return [each["status"] for each in admin.list(f"webhooks/{webhook_id}/deliveries")]


def status_of(admin: Client, webhook_id: str) -> str:
    return admin.get(f"webhooks/{webhook_id}")["status"]


def counted(server, series: str) -> float:
    """What the scrape says of the only series that ends so; 0 without any."""
    _, text = server.look_at("/metrics")
    found = re.findall(rf"^\S*{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[0]) if found else 0.0
