"""Many clients, repeated requests, a receiver in trouble: one event each, and each delivered."""

from __future__ import annotations

import pytest

from acceptance.audits import audit
from acceptance.crowds import Crowd, acting_learners, refuse_some, way_of, wishes_for
from acceptance.schools import school_in

NUMBER = 1_000


@pytest.mark.timeout(300)
def test_a_thousand_registrations_end_once_each_and_each_end_is_delivered(
    server, admin, receiver, database, record_property
):
    school = school_in(database)
    course_id = admin.create("courses", title="Safety at Sea")
    offering_id = admin.create("offerings", title="Safety at Sea", courseId=course_id)
    places = school.places(offering_id, NUMBER, acting_learners(NUMBER))
    instructor = school.instructor_token()
    receiver.answer = refuse_some
    webhook_id, secret = admin.connect(receiver.url, "offering_completed", retrySchedule=[1] * 12)

    with Crowd(server, instructor, wishes_for(places)) as crowd:
        pass
    books = audit(admin, receiver, webhook_id, secret)

    everybody = {place.registration_id for place in places}
    assert books.registrations.keys() == books.events.keys() == books.received.keys() == everybody
    for number, place in enumerate(places):
        registration, way = books.registrations[place.registration_id], way_of(number)
        (event_id,) = books.events[place.registration_id]
        received = books.received[place.registration_id]
        assert (registration["status"], registration["grade"]) == (way.status, way.grade)
        assert {event.id for event in received} == {event_id}
        first = received[0].registration
        if way.by_learner_too and not first.passed:
            assert first.grade is None  # the learner was first; the instructor graded again
        else:
            assert (first.passed, first.grade) == (way.status == "passed", way.grade)
    assert books.refusals > 0
    assert crowd.unanswered == 0
    record_property("requests", crowd.total)
    record_property("busy", crowd.busy)
    record_property("seconds", round(crowd.seconds, 2))
    print(f"{crowd.total} requests in {crowd.seconds:.2f} s, {crowd.busy} busy")
