"""Values come back from both engines as they went in."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
import sqlalchemy as sa

from coursebell.domain.model import new_id
from coursebell.storage import offerings, people
from coursebell.storage.columns import Instant
from coursebell.storage.tables import users
from factories import NOW


@pytest.mark.parametrize(
    "instant",
    [
        NOW,
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=-12))),
    ],
)
def test_an_instant_comes_back_as_the_same_one_in_utc(database, instant):
    with database.snapshot() as tx:
        found = tx.execute(sa.select(sa.literal(instant, Instant()))).scalar_one()

    assert found == instant
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "grade", ["0", "100", "70.0", "70.0000", "69.99999999999999999999", "0.0001", "33.3333333333"]
)
def test_a_decimal_comes_back_digit_for_digit(school, grade):
    offering = school.offering(passing_grade=Decimal(grade))

    with school.database.snapshot() as tx:
        found = offerings.find_offering(tx, school.organization.id, offering.id)

    assert str(found.passing_grade) == grade


@pytest.mark.parametrize("tags", [(), ("a",), ("a", "b"), ("é", "消防", "a%_'\"\\")])
def test_words_come_back_in_order(school, tags):
    user = school.user(tags=tags)

    with school.database.snapshot() as tx:
        assert people.find_user(tx, school.organization.id, user.id).tags == tags


@pytest.mark.parametrize("text", ["", " ", "Zoë 🔥", "a\nb\tc", "'; DROP TABLE users; --", "%_\\"])
def test_text_comes_back_as_it_was(school, text):
    user = school.user(first_name=text, last_name=text, locale=text or "x")

    with school.database.snapshot() as tx:
        assert people.find_user(tx, school.organization.id, user.id) == user


def test_a_reference_to_nothing_is_refused_by_the_database(school):
    with pytest.raises(Exception, match="try again"), school.database.transaction() as tx:
        tx.execute(sa.update(users).values(organization_id=new_id()))


def test_living_users_are_counted(school):
    school.user()

    with school.database.snapshot() as tx:
        assert people.count_users(tx) == 2
