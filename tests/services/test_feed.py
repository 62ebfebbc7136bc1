"""The feed: who reads on from a cursor sees every event once, in the order of commits."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event as Signal

import pytest

from coursebell.domain import samples
from coursebell.domain.completion import Command
from coursebell.domain.events import EventName
from coursebell.domain.feed import START, parse_cursor
from coursebell.domain.lists import EventFilters
from coursebell.domain.model import new_id
from coursebell.errors import ForbiddenError, InvalidInputError
from coursebell.services import feed, upkeep, webhooks
from coursebell.services.publishing import publish
from factories import DAY, NOW, open_school

COMPLETED = EventName.OFFERING_COMPLETED


def read(school, after=START, limit=1000, span=feed.SPAN, **filters):
    wanted = EventFilters(**filters)
    return feed.read_feed(school.registrar, school.admin, wanted, after, limit, span=span)


def read_all(school, after=START, **how):
    """What a reader sees that follows the cursors until there is no more."""
    seen, more = [], True
    while more:
        page = read(school, after, **how)
        seen.extend(page.events)
        after, more = page.cursor, page.more
    return seen, after


def positions(found):
    return [event.position for event in found]


def tell(tx, school, number=1, name=COMPLETED):
    """Publish that many events inside a transaction."""
    new = [samples.sample_event(name, new_id(), NOW) for _ in range(number)]
    publish(tx, school.registrar, school.organization.id, new, NOW)


def told(school, *numbers, name=COMPLETED):
    """A transaction for each number of events."""
    for number in numbers:
        with school.database.transaction() as tx:
            tell(tx, school, number, name)


def test_events_come_oldest_first_with_their_bodies_and_without_a_gap(school):
    registration = school.registration()
    school.ask(registration, Command.GRADE, grade="80")

    page = read(school)

    assert positions(page.events) == [1, 2, 3, 4]
    assert [event.name for event in page.events] == [
        "user_created",
        "user_created",
        "offering_registered",
        "offering_completed",
    ]
    assert list(page.events) == school.events()
    assert page.events[-1].body.startswith(b'{"event":"offering_completed"')
    assert not page.more


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
def test_pages_of_any_size_join_into_the_whole(school, limit):
    told(school, 3, 1, 2)

    seen, cursor = read_all(school, limit=limit)

    assert positions(seen) == list(range(1, 8))
    assert read(school, cursor).events == []
    told(school, 1)
    assert positions(read(school, cursor).events) == [8]


def test_at_the_end_the_cursor_stays_where_it_is(school):
    _, cursor = read_all(school)

    page = read(school, cursor)

    assert (page.events, page.cursor, page.more) == ([], cursor, False)


def test_an_organization_without_events_has_a_feed_that_can_be_followed(database):
    school = open_school(database)
    other = replace(school, admin=open_school(database, name="Other").admin)

    page = read(other)
    told(school, 1)

    assert positions(page.events) == [1]
    assert positions(read(other, page.cursor).events) == []
    assert positions(read(school).events) == [1, 2]


def test_filters_leave_events_out_and_the_cursor_goes_on(school):
    told(school, 2, name=EventName.USER_CREATED)
    told(school, 1)
    told(school, 2, name=EventName.USER_CREATED)

    page = read(school, event="offering_completed")

    assert positions(page.events) == [4]
    assert page.cursor.position == 6
    assert read(school, event="user_created", limit=2).cursor.position == 2
    registration = page.events[0].registration_id
    assert positions(read(school, registration_id=registration).events) == [4]
    assert positions(read(school, user_id=page.events[0].user_id, limit=2).events) == [2, 3]


def test_a_filter_that_matches_nothing_costs_a_bounded_page(school):
    told(school, 6)

    page = read(school, span=3, event="registration_reopened")

    assert (page.events, page.cursor.position, page.more) == ([], 3, True)
    assert read_all(school, span=3, event="registration_reopened")[1].position == 7
    assert positions(read_all(school, span=3, event="offering_completed")[0]) == [*range(2, 8)]


def test_tests_never_happened(school):
    connected = school.webhook()
    webhooks.test_webhook(school.registrar, school.admin, connected.webhook.id, NOW)
    told(school, 1)

    assert positions(read(school).events) == [1, 2]


def test_what_retention_took_keeps_its_place(school):
    told(school, 2)
    list(upkeep.forget_history(school.registrar, NOW + DAY))

    seen = read(school).events

    assert positions(seen) == [1, 2, 3]
    assert {event.body for event in seen} == {None}


@pytest.mark.parametrize(
    ("cursor", "found"),
    [("9", "The newest event has position 4."), ("2-00000000", "stands another event")],
)
def test_a_cursor_of_another_history_is_refused_rather_than_followed(school, cursor, found):
    told(school, 3)

    with pytest.raises(InvalidInputError, match="was a backup restored") as refused:
        read(school, parse_cursor(cursor))

    assert found in refused.value.field_errors["after"]


def test_a_bare_position_is_followed(school):
    told(school, 3)

    assert positions(read(school, parse_cursor("2")).events) == [3, 4]
    assert read(school, parse_cursor("4")).cursor.mark is not None


def test_only_administrators_read_it(school):
    with pytest.raises(ForbiddenError):
        feed.read_feed(school.registrar, school.instructor(), EventFilters(), START, 10)


def test_what_commits_late_is_not_missed(school):
    """Another transaction publishes and tries to commit before the one that began first."""
    first_has_published, reader_has_read = Signal(), Signal()

    def commit_late():
        with school.database.transaction() as tx:
            tell(tx, school, 2)
            first_has_published.set()
            assert reader_has_read.wait(30)

    with ThreadPoolExecutor(2) as threads:
        late = threads.submit(commit_late)
        assert first_has_published.wait(30)
        early = threads.submit(told, school, 3)
        with pytest.raises(TimeoutError):
            early.result(0.2)  # where it could commit by now, the reader would pass over the late
        before, cursor = read_all(school)
        reader_has_read.set()
        late.result(30)
        early.result(30)

    after, _ = read_all(school, cursor)
    assert positions(before) == [1]
    assert positions(after) == [2, 3, 4, 5, 6]


def test_positions_of_what_is_rolled_back_are_given_again(school):
    def fail():
        with school.database.transaction() as tx:
            tell(tx, school, 5)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    told(school, 2)

    assert positions(read(school).events) == [1, 2, 3]


WRITERS, TRANSACTIONS, SIZE = 8, 10, 3


def test_a_reader_among_many_writers_misses_nothing_and_sees_no_disorder(school):
    """Each writer tells its events in an order of its own, which the feed must keep, too."""
    finished = Signal()
    ids = [[[new_id() for _ in range(SIZE)] for _ in range(TRANSACTIONS)] for _ in range(WRITERS)]

    def write(transactions):
        for each in transactions:
            with school.database.transaction() as tx:
                new = [samples.sample_event(COMPLETED, event_id, NOW) for event_id in each]
                publish(tx, school.registrar, school.organization.id, new, NOW)

    def follow():
        seen, cursor = [], START
        while True:
            ending = finished.is_set()
            found, cursor = read_all(school, cursor, limit=7)
            seen.extend(found)
            if ending:
                return seen

    with ThreadPoolExecutor(WRITERS + 1) as threads:
        reader = threads.submit(follow)
        for done in [threads.submit(write, each) for each in ids]:
            done.result(60)
        finished.set()
        seen = reader.result(60)

    assert positions(seen) == list(range(1, 2 + WRITERS * TRANSACTIONS * SIZE))
    place = {event.id: event.position for event in seen}
    for transactions in ids:
        mine = [place[event_id] for each in transactions for event_id in each]
        assert mine == sorted(mine)
        for each in transactions:  # a transaction's events stand together
            assert place[each[-1]] - place[each[0]] == SIZE - 1
