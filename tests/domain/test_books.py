"""What has become of an event for a webhook, whatever number of deliveries it took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.domain.books import Account, Books, Ledger, Standing, standing_of
from coursebell.domain.model import DeliveryStatus, new_id
from factories import DAY, HOUR, NOW

D = DeliveryStatus


@pytest.mark.parametrize(
    ("statuses", "active", "inactive"),
    [
        ([], Standing.UNTOLD, Standing.UNTOLD),
        ([D.DELIVERED], Standing.DELIVERED, Standing.DELIVERED),
        ([D.PENDING], Standing.PENDING, Standing.HELD),
        ([D.HELD], Standing.PENDING, Standing.HELD),
        ([D.FAILED], Standing.FAILED, Standing.FAILED),
        ([D.CANCELLED], Standing.CANCELLED, Standing.CANCELLED),
        ([D.FAILED, D.DELIVERED], Standing.DELIVERED, Standing.DELIVERED),
        ([D.DELIVERED, D.FAILED], Standing.DELIVERED, Standing.DELIVERED),
        ([D.FAILED, D.PENDING], Standing.PENDING, Standing.HELD),
        ([D.CANCELLED, D.FAILED], Standing.FAILED, Standing.FAILED),
    ],
)
def test_what_arrived_makes_up_for_what_did_not(statuses, active, inactive):
    assert standing_of(statuses, is_active=True) is active
    assert standing_of(statuses, is_active=False) is inactive


@given(st.lists(st.sampled_from(DeliveryStatus)), st.booleans())
def test_an_event_is_square_only_when_it_arrived_or_nothing_else_is_left(statuses, is_active):
    standing = standing_of(statuses, is_active=is_active)

    arrived = D.DELIVERED in statuses
    cancelled = bool(statuses) and set(statuses) == {D.CANCELLED}
    assert standing.is_square == (arrived or cancelled)
    assert not (standing.is_square and standing.is_open)


def account(standing, occurred_at=NOW):
    return Account(
        event_id=new_id(),
        event="offering_completed",
        position=1,
        occurred_at=occurred_at,
        registration_id=None,
        standing=standing,
        delivery_id=None,
    )


def books(ledger):
    return Books(
        webhook_id=new_id(),
        since=NOW,
        until=NOW + DAY,
        counts=ledger.counts,
        untold_before=ledger.untold_before,
        gone=ledger.gone,
        listed=ledger.listed,
    )


@given(st.lists(st.sampled_from(Standing)), st.integers(min_value=0, max_value=3))
def test_the_sum_is_every_event_and_what_is_owed_is_listed_up_to_the_limit(standings, limit):
    ledger = Ledger(made_at=NOW, limit=limit)
    accounts = [account(standing) for standing in standings]
    for each in accounts:
        ledger.enter(each)

    found = books(ledger)

    owed = [each for each in accounts if not each.standing.is_square]
    assert found.total == len(accounts)
    assert found.owed == len(owed)
    assert found.balance == (not owed)
    for standing in Standing:
        mine = [each for each in owed if each.standing is standing]
        assert list(found.listed.get(standing, [])) == mine[:limit]


def test_what_came_before_the_webhook_is_told_apart():
    ledger = Ledger(made_at=NOW, limit=5)
    ledger.enter(account(Standing.UNTOLD, NOW - HOUR))
    ledger.enter(account(Standing.UNTOLD, NOW))
    ledger.enter(account(Standing.DELIVERED, NOW - HOUR))

    found = books(ledger)
    assert (found.untold_before, found.total, found.owed) == (1, 2, 1)
    assert [each.occurred_at for each in found.listed[Standing.UNTOLD]] == [NOW]


def test_what_came_before_the_webhook_is_not_owed():
    ledger = Ledger(made_at=NOW, limit=5)
    ledger.enter(account(Standing.UNTOLD, NOW - HOUR))
    ledger.enter(account(Standing.DELIVERED))

    assert books(ledger).balance
    assert ledger.listed == {}
