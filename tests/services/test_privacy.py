"""Erasing a person, and giving them all that is kept."""

import json

import pytest
from sqlalchemy import select

from coursebell.domain.completion import Command
from coursebell.domain.lists import AuditFilters, Page
from coursebell.domain.model import Attempt, DeliveryStatus, Payload, Role, Status
from coursebell.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
)
from coursebell.services import accounts, deliveries, dispatching, people, privacy, trail
from coursebell.storage.claims import Recorded, claim
from coursebell.storage.tables import metadata
from factories import DAY, HOUR, NOW, identify, open_school

TELLING = "Zebulon"  # stands in whatever is about the person


@pytest.fixture
def person(school):
    """A learner with a past: an ended and an active registration, a token, deliveries, a trail."""
    return school.user(
        first_name=TELLING,
        last_name=f"{TELLING}son",
        email=f"{TELLING}@learner.example",
        tags=(TELLING,),
        password="s3cret-word",
        locale=TELLING,
    )


@pytest.fixture
def past(school, person):
    hooks = [school.webhook(payload=payload) for payload in Payload]
    token = accounts.create_token(school.registrar, school.admin, person.id, TELLING, NOW)
    gone = accounts.create_token(school.registrar, school.admin, person.id, f"{TELLING} 2", NOW)
    accounts.revoke_token(school.registrar, school.admin, gone.token.id, NOW)
    ended = school.registration(user=person)
    school.ask(ended, Command.GRADE, grade="81.5", comment=f"Well done, {TELLING}")
    school.ask(ended, Command.REOPEN, reason=f"{TELLING} asked")
    school.ask(ended, Command.GRADE, grade="82.5", comment=f"Better, {TELLING}")
    active = school.registration(user=person)
    attempt_once(school, hooks[0].webhook.id)
    return ended, active, token, hooks


def attempt_once(school, webhook_id):
    """One delivery fails, and its receiver answers with the name it was told."""
    record(school, begin(school, webhook_id))


def begin(school, webhook_id):
    """One delivery is on its way."""
    with school.database.transaction() as tx:
        (claimed,) = claim(tx, {webhook_id: 1}, "l" * 32, 60.0, NOW + HOUR)
    return claimed


def record(school, claimed):
    tried = Attempt(
        number=1,
        started_at=NOW,
        duration_ms=5,
        outcome="http_500",
        status_code=500,
        address="127.0.0.1",
        response_headers=f"x-name: {TELLING}",
        response_body=TELLING.encode(),
        truncated=False,
    )
    result = Recorded(
        key=claimed.key,
        lease=claimed.lease,
        status=DeliveryStatus.PENDING,
        delay_seconds=60,
        attempt=tried,
    )
    assert dispatching.record(school.registrar, [result], {}, NOW).keys == {claimed.key}


def erase(school, user, *, actor=None, now=NOW + DAY):
    privacy.erase_user(school.registrar, actor or school.admin, user.id, "asked by letter", now)


def everything(school) -> str:
    """Whatever stands in the database, as text."""
    with school.database.snapshot() as tx:
        return "\n".join(
            str([bytes(each) if isinstance(each, memoryview) else each for each in row])
            for table in metadata.tables.values()
            for row in tx.execute(select(table))
        )


def test_nothing_in_the_database_says_who_it_was(school, person, past):
    assert TELLING.lower() in everything(school).lower()

    erase(school, person)

    assert TELLING.lower() not in everything(school).lower()


def test_what_a_receiver_answers_after_the_erasure_is_not_kept(school, person, past):
    _, _, _, hooks = past
    claimed = begin(school, hooks[0].webhook.id)
    erase(school, person)

    record(school, claimed)

    assert TELLING.lower() not in everything(school).lower()
    found = deliveries.get_delivery(school.registrar, school.admin, claimed.id)
    assert found.delivery.status is DeliveryStatus.CANCELLED
    assert [each.outcome for each in found.attempts][:1] == ["http_500"]


def test_what_was_learned_stays(school, person, past):
    ended, active, _, _ = past
    before = school.stored(ended)

    erase(school, person)

    after = school.stored(ended)
    assert (after.status, after.grade, after.end_at) == (Status.PASSED, before.grade, before.end_at)
    assert (after.user_id, after.policy) == (person.id, before.policy)
    assert school.stored(active).status is Status.EJECTED


def test_the_erased_cannot_come_in_and_are_not_found_and_their_names_are_free(school, person, past):
    _, _, token, _ = past

    erase(school, person)

    with pytest.raises(UnauthenticatedError):
        identify(school.registrar, token.secret, NOW)
    with pytest.raises(NotFoundError):
        people.get_user(school.registrar, school.admin, person.id)
    assert school.user(email=person.email).id != person.id


def test_open_deliveries_about_them_are_cancelled_and_all_others_go_on(school, person, past):
    _, _, _, hooks = past
    other = school.registration()

    erase(school, person)

    for hook in hooks:
        found = school.deliveries(hook)
        about = [each for each in found if each.registration_id not in (None, other.id)]
        assert {each.status for each in about} == {DeliveryStatus.CANCELLED}
        assert all(each.finished_at == NOW + DAY for each in about)
        (going_on,) = [each for each in found if each.registration_id == other.id]
        assert going_on.status is DeliveryStatus.PENDING


def test_events_keep_their_ids_and_say_no_more(school, person, past):
    ended, _, _, _ = past
    before = school.documents(registration=ended)

    erase(school, person)

    for was, document in zip(before, school.documents(registration=ended), strict=True):
        assert list(document) == ["event", "date", "source", "user", "registration", "offering"]
        assert document["user"] == {"id": person.id}
        assert document["registration"] == {"id": ended.id}
        assert (document["event"], document["date"]) == (was["event"], was["date"])


def test_only_webhooks_that_name_it_are_told_of_the_erasure_and_only_the_id(school, person):
    told = school.webhook(events=("user_erased",))
    school.webhook(events=("offering_completed",))

    erase(school, person)

    (document,) = school.documents(event="user_erased")
    assert document == {
        "event": "user_erased",
        "date": "2026-03-03T10:00:00Z",
        "source": "ADMIN",
        "user": {"id": person.id},
    }
    (delivery,) = school.deliveries(told)
    assert (delivery.event, delivery.status) == ("user_erased", DeliveryStatus.PENDING)


def test_the_trail_keeps_who_did_what_and_when(school, person, past):
    ended, _, _, _ = past

    erase(school, person)

    page = Page(limit=1000)
    found = trail.list_changes(
        school.registrar, school.admin, AuditFilters(subject_id=ended.id), page
    )
    assert [entry.action for entry in reversed(found.items)] == [
        "registration.create",
        "registration.end",
        "registration.reopen",
        "registration.end",
    ]
    assert {(entry.before, entry.after, entry.reason) for entry in found.items} == {
        (None, None, None)
    }
    (erased,) = trail.list_changes(
        school.registrar, school.admin, AuditFilters(action="user.erase"), page
    ).items
    assert (erased.subject_id, erased.reason) == (person.id, "asked by letter")
    assert erased.user_id == school.admin.user_id


def test_others_are_left_alone(school, person, past):
    other = school.registration()
    school.ask(other, Command.GRADE, grade="90", comment="Fine")
    before = (school.stored(other), school.documents(registration=other))

    erase(school, person)

    assert (school.stored(other), school.documents(registration=other)) == before


def test_erasing_again_changes_nothing_and_a_deleted_user_can_be_erased(school, person, past):
    people.delete_user(school.registrar, school.admin, person.id, NOW)
    erase(school, person)
    before = everything(school)

    erase(school, person, now=NOW + 2 * DAY)

    assert everything(school) == before
    assert TELLING not in before


def test_the_last_administrator_and_strangers_cannot_be_erased(school, person):
    admin = people.get_user(school.registrar, school.admin, school.admin.user_id)
    with pytest.raises(InvalidInputError, match="last administrator"):
        erase(school, admin)
    with pytest.raises(NotFoundError):
        erase(school, open_school(school.database).user())
    for actor in (school.instructor(), school.actor(person)):
        with pytest.raises(ForbiddenError):
            erase(school, person, actor=actor)


def test_what_retention_removed_stays_removed(school, person, past):
    with school.database.transaction() as tx:
        tx.execute(metadata.tables["events"].update().values(body=None))

    erase(school, person)

    ejected, erased = school.events()[-2:]
    assert (ejected.name, erased.name) == ("registration_ejected", "user_erased")
    assert {event.body for event in school.events()[:-2]} == {None}


# --- giving them all that is kept


def test_a_person_gets_everything_about_them_and_who_was_told_when(school, person, past):
    ended, active, token, hooks = past
    school.registration()  # of somebody else

    dossier = privacy.export_person(school.registrar, school.actor(person), person.id)

    assert dossier.user == person
    assert [each.registration.id for each in dossier.registrations] == [ended.id, active.id]
    assert [each.id for each in dossier.tokens] == [token.token.id]
    assert [each.name for each in dossier.events] == [
        "user_created",
        "offering_registered",
        "offering_completed",
        "registration_reopened",
        "offering_completed",
        "offering_registered",
    ]
    assert json.loads(dossier.events[0].body)["user"]["firstName"] == TELLING
    (disclosure,) = dossier.disclosures
    assert (disclosure.webhook_id, disclosure.attempts) == (hooks[0].webhook.id, 1)
    assert (disclosure.first_attempt_at, disclosure.last_attempt_at) == (NOW, NOW)
    actions = [entry.action for entry in dossier.changes]
    assert actions[0] == "user.create"
    assert actions.count("token.create") == 2
    assert actions.count("registration.end") == 2


def test_only_oneself_and_administrators_are_given_it(school, person):
    stranger = open_school(school.database)

    assert privacy.export_person(school.registrar, school.admin, person.id).user == person
    with pytest.raises(NotFoundError):
        privacy.export_person(school.registrar, school.learner(), person.id)
    with pytest.raises(ForbiddenError):
        privacy.export_person(school.registrar, school.instructor(), person.id)
    with pytest.raises(NotFoundError):
        privacy.export_person(stranger.registrar, stranger.admin, person.id)


def test_of_a_deleted_user_and_of_an_erased_one_it_shows_what_is_left(school, person, past):
    people.delete_user(school.registrar, school.admin, person.id, NOW)
    assert privacy.export_person(school.registrar, school.admin, person.id).user == person

    erase(school, person)
    left = privacy.export_person(school.registrar, school.admin, person.id)

    assert left.user.first_name == "Erased"
    assert left.user.email == f"{person.id}@erased.invalid"
    assert left.user.role is Role.LEARNER
    assert TELLING not in str(left)
