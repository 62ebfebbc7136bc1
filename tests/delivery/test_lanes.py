import math
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from coursebell.delivery.lanes import Held, Hosts, Lane, Lanes
from coursebell.domain.model import DeliveryKind
from coursebell.storage.claims import Claimed


def held(webhook_id: str = "w", key: int = 1, lease_ends: float = math.inf) -> Held:
    delivery = Claimed(
        key=key,
        id=f"d{key}",
        lease="lease",
        webhook_id=webhook_id,
        organization_id="o",
        kind=DeliveryKind.LIVE,
        attempts=0,
        event_id="e",
        event="user_created",
        occurred_at=datetime(2026, 3, 2, tzinfo=UTC),
        user_id="u",
        registration_id=None,
        registration_seq=None,
        element_id=None,
        body=b"{}",
    )
    return Held(delivery, lease_ends, 0.0)


def lane(*waiting: Held) -> Lane:
    made = Lane("w")
    made.waiting.extend(waiting)
    return made


def test_a_lane_starts_its_deliveries_in_the_order_they_came():
    both = lane(held(key=1), held(key=2))

    started = [both.start(None, 0.0).key for _ in range(2)]

    assert started == [1, 2]
    assert (both.in_flight, both.in_hand, len(both.waiting)) == (2, 2, 0)


def test_a_lane_may_start_below_its_cap_and_with_something_that_waits():
    assert not lane().may_start(1, 0.0)

    one = lane(held(), held(), held())
    one.start(None, 0.0)

    assert one.may_start(2, 0.0)
    assert not one.may_start(1, 0.0)


@given(
    rate=st.integers(1, 1000),
    lateness=st.lists(st.floats(0, 3), min_size=2, max_size=30),
)
def test_a_rate_is_never_exceeded_however_late_starts_come(rate, lateness):
    limited = lane(*(held() for _ in lateness))

    starts, now = [], 100.0
    for late in lateness:
        now = max(now, limited.next_start) + late
        assert limited.may_start(100, now)
        limited.start(rate, now)
        starts.append(now)

    for first, start in enumerate(starts):
        for later, end in enumerate(starts[first:]):
            assert end - start >= later / rate - 0.02 - 1e-6


def test_without_a_rate_the_next_may_start_at_once():
    free = lane(held(), held())

    free.start(None, 5.0)

    assert free.may_start(2, 5.0)


def test_what_has_a_lease_too_near_its_end_is_taken_out():
    mixed = lane(held(key=1, lease_ends=10.0), held(key=2, lease_ends=20.0))

    assert [each.delivery.key for each in mixed.take_stale(15.0)] == [1]
    assert [each.delivery.key for each in mixed.waiting] == [2]
    assert mixed.take_stale(15.0) == []
    assert [each.delivery.key for each in mixed.take_stale(math.inf)] == [2]


def test_lanes_keep_the_deliveries_of_each_webhook_apart():
    lanes = Lanes()

    for webhook_id in ["a", "b", "a"]:
        lanes.add(held(webhook_id))

    assert lanes.in_hand() == {"a": 2, "b": 1}
    assert len(lanes) == 2
    assert [each.delivery.webhook_id for each in lanes.waiting()] == ["a", "a", "b"]


def test_what_is_claimed_anew_waits_once_and_as_the_last():
    lanes = Lanes()
    for key in (1, 2, 3):
        lanes.add(held("a", key=key))
    lanes.add(held("b", key=4))
    anew = held("a", key=1, lease_ends=9.0)

    lanes.forget([anew.delivery, held("c", key=5).delivery])
    lanes.add(anew)

    assert [each.delivery.key for each in lanes.waiting()] == [2, 3, 1, 4]
    assert lanes.waiting()[2] is anew


def test_a_lane_that_had_its_turn_goes_behind_the_others():
    lanes = Lanes()
    for webhook_id in ["a", "b", "c"]:
        lanes.add(held(webhook_id))

    first = next(iter(lanes))
    lanes.had_its_turn(first)

    assert [each.webhook_id for each in lanes] == ["b", "c", "a"]


def test_empty_lanes_are_forgotten_but_not_a_rate_limit_in_force():
    lanes = Lanes()
    for webhook_id in ["empty", "limited", "busy", "waiting"]:
        lanes.add(held(webhook_id))
    empty, limited, busy, _ = lanes
    for each, rate in [(empty, None), (limited, 1), (busy, None)]:
        each.start(rate, 100.0)
    empty.in_flight = limited.in_flight = 0

    lanes.sweep(100.5)
    assert set(lanes.in_hand()) == {"limited", "busy", "waiting"}

    lanes.sweep(101.5)
    assert set(lanes.in_hand()) == {"busy", "waiting"}


@given(limit=st.integers(1, 4), wishes=st.lists(st.tuples(st.sampled_from("ab"), st.booleans())))
def test_a_host_has_room_below_its_limit_whatever_the_others_do(limit, wishes):
    hosts, there = Hosts(limit), {"a": 0, "b": 0}

    for host, comes in wishes:
        if comes and hosts.has_room(host):
            hosts.enter(host)
            there[host] += 1
        elif not comes and there[host]:
            hosts.leave(host)
            there[host] -= 1
        assert [hosts.has_room(each) for each in "ab"] == [there[each] < limit for each in "ab"]
