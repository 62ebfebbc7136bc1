"""Tokens: who gets in with one, and who no longer."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from coursebell.domain.lists import Page
from coursebell.domain.model import ActorKind, Role, new_id
from coursebell.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
)
from coursebell.services import accounts, people
from coursebell.services.people import UserChanges
from coursebell.storage import audit
from coursebell.storage.tables import tokens
from factories import NOW, identify, open_school

SECOND = timedelta(seconds=1)


def token_for(school, user, name="phone"):
    return accounts.create_token(school.registrar, school.admin, user.id, name, NOW)


def used(school, made):
    return accounts.get_token(school.registrar, school.admin, made.token.id).last_used_at


@pytest.mark.parametrize("role", Role)
def test_a_token_has_the_permissions_of_its_user(school, role):
    user = school.user(role=role)
    made = token_for(school, user)

    actor = identify(school.registrar, made.secret, NOW)

    assert (actor.organization_id, actor.user_id) == (school.organization.id, user.id)
    assert (actor.role, actor.kind) == (role, ActorKind(role))
    assert actor.token_id == made.token.id


def test_permissions_follow_the_users_role_at_once(school):
    user = school.user()
    made = token_for(school, user)

    people.change_user(
        school.registrar, school.admin, user.id, UserChanges(role=Role.INSTRUCTOR), NOW
    )

    assert identify(school.registrar, made.secret, NOW).role is Role.INSTRUCTOR


@pytest.mark.parametrize("secret", ["", "cb_", "cb_" + "x" * 43, "ä", "\ud800", "x" * 10_000])
def test_nobody_gets_in_with_anything_else(school, secret):
    token_for(school, school.user())

    with pytest.raises(UnauthenticatedError):
        identify(school.registrar, secret, NOW)


def test_nobody_gets_in_with_a_revoked_token(school):
    user = school.user()
    revoked, kept = token_for(school, user), token_for(school, user)

    accounts.revoke_token(school.registrar, school.admin, revoked.token.id, NOW)

    with pytest.raises(UnauthenticatedError):
        identify(school.registrar, revoked.secret, NOW)
    assert identify(school.registrar, kept.secret, NOW)
    with pytest.raises(NotFoundError):
        accounts.get_token(school.registrar, school.admin, revoked.token.id)
    with pytest.raises(NotFoundError):
        accounts.revoke_token(school.registrar, school.admin, revoked.token.id, NOW)


def test_tokens_that_come_together_are_answered_in_their_order(school):
    users = [school.user(role=role) for role in Role]
    secrets = [token_for(school, user).secret for user in users]

    found = accounts.authenticate(
        school.registrar, [secrets[2], "cb_unknown", secrets[0], secrets[2]], NOW
    )

    assert isinstance(found[1], UnauthenticatedError)
    assert [found[place].user_id for place in (0, 2, 3)] == [users[2].id, users[0].id, users[2].id]


def test_the_secret_is_long_random_and_stored_hashed(school):
    made = [token_for(school, school.user()) for _ in range(2)]

    with school.database.snapshot() as tx:
        rows = repr(tx.execute(tokens.select()).all())

    assert len({each.secret for each in made}) == 2
    for each in made:
        assert each.secret.startswith("cb_")
        assert len(each.secret) >= 43
        assert each.secret not in rows


def test_use_is_remembered_to_the_minute(school):
    made = token_for(school, school.user())
    assert used(school, made) is None

    for seconds, remembered in [(0, 0), (59, 0), (60, 60)]:
        at = NOW + seconds * SECOND
        identify(school.registrar, made.secret, at)
        assert used(school, made) == NOW + remembered * SECOND


def test_nobody_waits_to_remember_a_use_that_another_is_writing_about(school):
    busy, free = (token_for(school, school.user()) for _ in range(2))
    if not school.database.is_postgres:  # which has one writer at a time
        return
    with school.database.transaction() as tx:
        tx.execute(select(tokens).where(tokens.c.id == busy.token.id).with_for_update())

        accounts.authenticate(school.registrar, [busy.secret, free.secret], NOW)

    assert (used(school, busy), used(school, free)) == (None, NOW)


def test_a_token_is_for_a_user_of_the_organization(school):
    for user_id in (new_id(), open_school(school.database).user().id):
        with pytest.raises(InvalidInputError) as refused:
            accounts.create_token(school.registrar, school.admin, user_id, "phone", NOW)
        assert list(refused.value.field_errors) == ["userId"]


def test_tokens_are_listed_in_order_and_by_user(school):
    one, two = school.user(), school.user()
    made = [token_for(school, user).token for user in (one, two, one)]

    def listed(user_id):
        found = accounts.list_tokens(school.registrar, school.admin, user_id, Page())
        return list(found.items)

    assert listed(None) == made
    assert listed(one.id) == [made[0], made[2]]
    assert listed(new_id()) == []


def test_tokens_are_for_administrators_of_the_same_organization(school):
    user = school.user()
    made = token_for(school, user)
    other = open_school(school.database)

    for actor in (school.actor(user), school.instructor()):
        for call in (
            lambda who: accounts.create_token(school.registrar, who, user.id, "x", NOW),
            lambda who: accounts.get_token(school.registrar, who, made.token.id),
            lambda who: accounts.list_tokens(school.registrar, who, None, Page()),
            lambda who: accounts.revoke_token(school.registrar, who, made.token.id, NOW),
        ):
            with pytest.raises(ForbiddenError):
                call(actor)
    with pytest.raises(NotFoundError):
        accounts.get_token(other.registrar, other.admin, made.token.id)
    with pytest.raises(NotFoundError):
        accounts.revoke_token(other.registrar, other.admin, made.token.id, NOW)
    assert accounts.list_tokens(other.registrar, other.admin, None, Page()).items == []


def test_making_and_revoking_are_in_the_trail_without_the_secret(school):
    made = token_for(school, school.user())
    accounts.revoke_token(school.registrar, school.admin, made.token.id, NOW)

    with school.database.snapshot() as tx:
        entries = audit.list_changes_of(tx, school.organization.id, made.token.id)

    assert [entry.action for entry in entries] == ["token.create", "token.revoke"]
    assert made.secret not in repr(entries)
