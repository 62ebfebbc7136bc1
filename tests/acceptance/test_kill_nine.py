"""`kill -9` of the dispatcher and the API, again and again, while a crowd works."""

from __future__ import annotations

import os

import pytest

from acceptance.audits import audit
from acceptance.crowds import Crowd, acting_learners, refuse_some, way_of, wishes_for
from acceptance.installations import wait_until
from acceptance.schools import school_in

NUMBER = 5_000 if os.environ.get("COURSEBELL_TEST_LONG") else 1_000
KILLS = 10


@pytest.mark.timeout(600)
def test_nothing_is_lost_when_processes_are_killed(server, admin, receiver, database):
    school = school_in(database)
    course_id = admin.create("courses", title="Safety at Sea")
    offering_id = admin.create("offerings", title="Safety at Sea", courseId=course_id)
    places = school.places(offering_id, NUMBER, acting_learners(NUMBER))
    instructor = school.instructor_token()
    receiver.answer = refuse_some
    webhook_id, secret = admin.connect(receiver.url, "offering_completed", retrySchedule=[1] * 12)
    giving_up = frozenset(range(0, NUMBER, 5))

    with Crowd(server, instructor, wishes_for(places, giving_up=giving_up)) as crowd:
        for number in range(KILLS):
            crowd.wait_for((number + 1) * crowd.total // (KILLS + 2))
            if number % 2:
                server.kill_child("api")
            else:
                wait_until(lambda: receiver.is_busy, "the dispatcher has something in hand")
                server.kill_child("dispatch")
    with server.client() as again:
        books = audit(again, receiver, webhook_id, secret)

    insisting = {p.registration_id for n, p in enumerate(places) if n not in giving_up}
    assert books.registrations.keys() == {place.registration_id for place in places}
    assert insisting <= books.ended
    assert books.ended == books.events.keys() == books.received.keys()
    for number, place in enumerate(places):
        if place.registration_id in books.ended:
            (event_id,) = books.events[place.registration_id]
            received = books.received[place.registration_id]
            assert {event.id for event in received} == {event_id}
        if place.registration_id in insisting:
            registration, way = books.registrations[place.registration_id], way_of(number)
            assert (registration["status"], registration["grade"]) == (way.status, way.grade)
    assert crowd.unanswered > 0
    again_delivered = sum(len(received) - 1 for received in books.received.values())
    print(
        f"{crowd.total} requests in {crowd.seconds:.1f} s, {crowd.unanswered} unanswered,"
        f" {crowd.busy} busy; {again_delivered} deliveries came again"
    )
    assert server.stop() == 0
    assert server.left_behind() == []
