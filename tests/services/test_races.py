"""The same thing asked by many at the same instant, by real threads on both engines."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from coursebell.domain.completion import Command, Effect, Transition
from coursebell.domain.lists import Page, RegistrationFilters, UserFilters
from coursebell.domain.model import Role, Source, Status
from coursebell.errors import ConflictError, CoursebellError, InvalidInputError, NotFoundError
from coursebell.services import (
    dispatching,
    gradebook,
    offerings,
    organizations,
    people,
    upkeep,
    webhooks,
)
from coursebell.services.organizations import NewOrganization
from coursebell.services.people import NewUser, UserChanges
from coursebell.storage.database import RaceError
from factories import HOUR, NOW, a_registrar

CALLERS = 16


def at_once(calls):
    """Call all of them, as nearly as can be at the same instant; what each gave or raised."""
    barrier = Barrier(len(calls))

    def run(call):
        barrier.wait()
        try:
            return call()
        except CoursebellError as exc:
            return exc

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def effects(results) -> Counter:
    return Counter(each.effect if isinstance(each, Transition) else type(each) for each in results)


def completions(school, registration):
    return school.documents(event="offering_completed", registration=registration)


def active(school, **filters):
    found = gradebook.list_registrations(
        school.registrar,
        school.admin,
        RegistrationFilters(status="active", **filters),
        Page(limit=100),
    )
    return [each.registration for each in found.items]


def test_sixteen_callers_ending_one_registration_give_one_event(school):
    connected = school.webhook(events=("offering_completed",))
    registration = school.registration()
    learner = school.learner_of(registration)

    results = at_once([lambda: school.ask(registration, Command.COMPLETE, actor=learner)] * CALLERS)

    assert effects(results) == {Effect.END: 1, Effect.NOTHING: CALLERS - 1}
    assert len(completions(school, registration)) == 1
    assert len(school.deliveries(connected)) == 1
    assert school.stored(registration).event_count == 2


def test_learner_and_instructor_at_once_give_one_transition(school):
    registrations = school.registrations(8)
    instructor = school.instructor()

    def by_learner(registration):
        actor = school.learner_of(registration)
        return lambda: school.ask(registration, Command.COMPLETE, actor=actor)

    def by_instructor(registration):
        return lambda: school.ask(registration, Command.COMPLETE, actor=instructor, grade="80")

    results = at_once([by(each) for each in registrations for by in (by_learner, by_instructor)])

    for index, registration in enumerate(registrations):
        first, second = results[2 * index : 2 * index + 2]
        assert effects([first, second]) == {Effect.END: 1, ConflictError: 1}
        (document,) = completions(school, registration)
        winner = Source.SELF if isinstance(first, Transition) else Source.ADMIN
        assert document["source"] == winner == school.stored(registration).source


def test_the_last_element_at_once_with_everything_else_ends_it_once(school):
    course = school.course()
    first, last = school.element(course), school.element(course, "assignment")
    registration = school.registration(offering=school.offering(course=course))
    learner = school.learner_of(registration)
    school.report(registration, first, grade=90)
    calls = [
        lambda: school.report(registration, last, actor=learner),
        lambda: school.judge(registration, last, grade=80),
        lambda: school.judge(registration, last, exempt=True),
        lambda: school.report(registration, first, grade=100),
        lambda: school.ask(registration, Command.COMPLETE, actor=learner),
        lambda: school.ask(registration, Command.COMPLETE_ONCE),
    ]

    results = at_once(calls * 2)

    assert RaceError not in effects(results)
    assert effects(results)[Effect.END] == 1
    assert len(completions(school, registration)) == 1
    events = school.events(registration=registration)
    assert [event.registration_seq for event in events] == list(range(1, len(events) + 1))
    assert events[-1].name == "offering_completed"


def test_everything_at_once_leaves_one_result_and_numbers_without_gaps(school):
    registration = school.registration()
    calls = [
        lambda command=command, grade=grade: school.ask(registration, command, grade=grade)
        for command, grade in [
            (Command.GRADE, "80"),
            (Command.GRADE, "40"),
            (Command.EJECT, None),
            (Command.REOPEN, None),
            (Command.COMPLETE_ONCE, "90"),
            (Command.COMPLETE, "70"),
            (Command.ACTIVITY, None),
            (Command.HALT, None),
        ]
    ]

    results = at_once(calls * 2)

    assert RaceError not in effects(results)
    events = school.events(registration=registration)
    assert [event.registration_seq for event in events] == list(range(1, len(events) + 1))
    assert school.stored(registration).event_count == len(events)
    ended = effects(results)[Effect.END]
    assert len(completions(school, registration)) == ended >= 1


def test_batches_that_overlap_in_opposite_orders_do_not_stop_each_other(school):
    registrations = school.registrations(10)
    requests = [school.request(each, Command.COMPLETE_ONCE, grade="80") for each in registrations]

    def call(ordered):
        return lambda: gradebook.change_registrations(
            school.registrar, school.organization.id, ordered, NOW
        )

    batches = at_once([call(requests), call(requests[::-1])] * 4)

    results = [each for batch in batches for each in batch]
    assert effects(results) == {Effect.END: 10, Effect.NOTHING: 70}
    assert len(school.events(event="offering_completed")) == 10


def test_of_many_first_organizations_there_is_one(database):
    registrar = a_registrar(database)

    def found():
        admin = NewUser(first_name="A", last_name="B", email="a@school.example")
        return organizations.found(registrar, NewOrganization(name="X"), admin, NOW)

    results = at_once([found] * 8)

    assert len([each for each in results if isinstance(each, ConflictError)]) == 7
    assert len(organizations.list_organizations(registrar)) == 1


def test_registering_a_user_many_times_at_once_gives_one_registration(school):
    offering, user = school.offering(retakes=True), school.user()

    results = at_once([lambda: school.registration(offering=offering, user=user)] * CALLERS)

    refused = [each for each in results if isinstance(each, InvalidInputError)]
    assert len(refused) == CALLERS - 1
    assert len(active(school, user_id=user.id)) == 1
    assert len(school.events(event="offering_registered")) == 1


def test_reopening_two_attempts_at_once_leaves_one_active(school):
    offering, user = school.offering(retakes=True), school.user()
    attempts = []
    for _ in range(2):
        attempts.append(school.registration(offering=offering, user=user))
        school.ask(attempts[-1], Command.GRADE, grade="40")

    results = at_once(
        [lambda each=each: school.ask(each, Command.REOPEN, reason="x") for each in attempts]
    )

    assert effects(results) == {Effect.REOPEN: 1, InvalidInputError: 1}
    assert len(active(school)) == 1


def test_one_address_asked_for_many_times_at_once_goes_to_one_user(school):
    results = at_once(
        [lambda: school.user(email="mei@school.org")] * (CALLERS // 2)
        + [lambda: school.user(email="MEI@SCHOOL.ORG")] * (CALLERS // 2)
    )

    refused = [each for each in results if isinstance(each, InvalidInputError)]
    assert len(refused) == CALLERS - 1
    assert {tuple(each.field_errors) for each in refused} == {("email",)}
    found = people.list_users(
        school.registrar, school.admin, UserFilters(email="mei@school.org"), Page()
    )
    assert len(found.items) == 1


@pytest.mark.parametrize("how", ["demote", "delete"])
def test_administrators_who_remove_each_other_at_once_leave_one(school, how):
    admins = [school.user(role=Role.ADMIN) for _ in range(3)]
    ids = [school.admin.user_id, *(each.id for each in admins)]

    def remove(user_id):
        if how == "delete":
            return people.delete_user(school.registrar, school.operator, user_id, NOW)
        changes = UserChanges(role=Role.LEARNER)
        return people.change_user(school.registrar, school.operator, user_id, changes, NOW)

    results = at_once([lambda each=each: remove(each) for each in ids])

    left = people.list_users(school.registrar, school.operator, UserFilters(role="admin"), Page())
    assert len(left.items) == 1
    assert len([each for each in results if isinstance(each, InvalidInputError)]) == 1


def test_a_user_deleted_while_being_registered_has_nothing_active(school):
    offerings_ = [school.offering() for _ in range(7)]
    user = school.user()

    results = at_once(
        [
            lambda: people.delete_user(school.registrar, school.admin, user.id, NOW),
            *(
                lambda each=each: school.registration(offering=each, user=user)
                for each in offerings_
            ),
        ]
    )

    assert results[0] is None
    assert active(school, user_id=user.id) == []
    registered = [each for each in results[1:] if not isinstance(each, Exception)]
    assert len(school.events(event="registration_ejected")) == len(registered)


def test_an_offering_deleted_while_being_taken_is_one_or_the_other(school):
    offering = school.offering()
    users = [school.user() for _ in range(3)]

    deleted, *registered = at_once(
        [
            lambda: offerings.delete_offering(school.registrar, school.admin, offering.id, NOW),
            *(
                lambda each=each: school.registration(offering=offering, user=each)
                for each in users
            ),
        ]
    )

    if deleted is None:
        assert all(isinstance(each, InvalidInputError) for each in registered)
        with pytest.raises(NotFoundError):
            offerings.get_offering(school.registrar, school.admin, offering.id)
    else:
        assert isinstance(deleted, InvalidInputError)
        assert {each.status for each in registered} == {Status.ACTIVE}


def test_the_end_of_the_offering_and_the_learner_at_once_give_one_transition(school):
    offering = school.offering(end_at=NOW + HOUR)
    registrations = [school.registration(offering=offering) for _ in range(6)]

    def by_learner(registration):
        actor = school.learner_of(registration)
        return lambda: school.ask(registration, Command.COMPLETE, actor=actor, now=NOW)

    halted, *finished = at_once(
        [
            lambda: gradebook.halt_ended_offerings(school.registrar, NOW + HOUR),
            *(by_learner(each) for each in registrations),
        ]
    )

    assert halted + effects(finished)[Effect.END] == len(registrations)
    for registration in registrations:
        assert len(completions(school, registration)) == 1


def test_dispatchers_that_claim_at_once_share_and_never_overlap(school):
    school.webhook(events=("offering_registered",))
    school.registrations(20)

    batches = at_once(
        [
            lambda lease=f"{number:032x}": dispatching.claim(
                school.registrar, {}, 5, lease, 60.0, NOW
            )
            for number in range(4)
        ]
    )

    keys = [each.key for batch in batches for each in batch.claimed]
    assert len(keys) == len(set(keys))
    again = dispatching.claim(school.registrar, {}, 100, "f" * 32, 60.0, NOW)
    assert len(keys) + len(again.claimed) == 20


def test_a_webhook_deleted_while_completions_commit_owes_nothing_once_settled(school):
    connected = school.webhook(events=("offering_completed",))
    registrations = school.registrations(6)

    results = at_once(
        [
            lambda: webhooks.delete_webhook(
                school.registrar, school.admin, connected.webhook.id, NOW
            ),
            *(
                lambda each=each: school.ask(each, Command.GRADE, grade="80")
                for each in registrations
            ),
        ]
    )

    assert effects(results[1:]) == {Effect.END: 6}
    list(upkeep.cancel_of_deleted(school.registrar, NOW))
    assert dispatching.claim(school.registrar, {}, 100, "1" * 32, 60.0, NOW).claimed == []
