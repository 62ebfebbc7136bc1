"""An offering ends while the server runs, and nobody has to ask for anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from acceptance.installations import Client, wait_until
from acceptance.receivers import Receiver
from coursebell_receiver import OfferingCompleted, Source, verify


def test_at_the_end_of_an_offering_registrations_end_by_themselves(admin, receiver):
    _, secret = admin.connect(receiver.url, "offering_completed")
    course_id = admin.create("courses", title="Safety at Sea")
    offering_id = admin.create("offerings", title="Safety at Sea", courseId=course_id)
    idle, busy = (register(admin, offering_id, name) for name in ("idle", "busy"))
    admin.do("POST", f"registrations/{busy}/activity")
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)

    admin.do("PUT", f"offerings/{offering_id}", {"endDate": end.isoformat()})
    events = wait_for(receiver, 2, secret)

    assert events.keys() == {idle, busy}
    for registration_id, event in events.items():
        stored = admin.get(f"registrations/{registration_id}")
        assert event.source is Source.ADMIN
        assert event.registration.end_date == end
        assert event.date >= end
        assert event.registration.passed is False
        assert event.registration.grade is None
        assert stored["status"] == "failed"
        assert stored["endDate"] == end.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert events[idle].registration.begin_date == end  # never active: it ended as it began
    assert events[busy].registration.begin_date < end


def register(admin: Client, offering_id: str, name: str) -> str:
    email = f"{name}@harbour.example"
    user_id = admin.create("users", firstName=name, lastName="Lind", email=email)
    return admin.create("registrations", userId=user_id, offeringId=offering_id)


def wait_for(receiver: Receiver, number: int, secret: str) -> dict[str, OfferingCompleted]:
    """What was received, by registration."""
    wait_until(lambda: len(receiver.books) >= number, f"{number} events are delivered")
    requests = [received.request for received in receiver.books]
    events = [verify(request.headers, request.body, secret) for request in requests]
    return {event.registration.id: event for event in events}
