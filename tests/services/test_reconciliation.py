"""Whether a webhook was told everything: every way in which it can lack an event is found."""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from coursebell.domain import samples
from coursebell.domain.books import Standing
from coursebell.domain.completion import Command
from coursebell.domain.events import EventName
from coursebell.domain.model import Attempt, DeliveryStatus, new_id
from coursebell.errors import ForbiddenError, NotFoundError
from coursebell.services import deliveries, dispatching, reconciliation, upkeep, webhooks
from coursebell.storage import outbox
from coursebell.storage.claims import Recorded
from coursebell.storage.tables import webhooks as webhook_rows
from coursebell_receiver import generate_secret, read_reconciliation, sign, tally
from factories import DAY, HOUR, NOW

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)  # NOW is ten hours later


def reconcile(school, connected, since=MIDNIGHT, until=NOW + DAY, **how):
    return reconciliation.reconcile(
        school.registrar, school.admin, connected.webhook.id, since, until, **how
    )


def counts(books):
    return {standing: count for standing, count in books.counts.items() if count}


def attempt(school, status=DeliveryStatus.DELIVERED, number=100):
    """Attempt that many due deliveries, with this result."""
    batch = dispatching.claim(school.registrar, {}, number, "1" * 32, 60.0, NOW + HOUR)
    results = [
        Recorded(
            key=each.key,
            lease=each.lease,
            status=status,
            delay_seconds=3600.0,
            attempt=Attempt(
                number=each.attempts + 1,
                started_at=NOW,
                duration_ms=1,
                outcome="delivered",
                status_code=204,
                address=None,
                response_headers=None,
                response_body=None,
                truncated=False,
            ),
        )
        for each in batch.claimed
    ]
    dispatching.record(school.registrar, results, {}, NOW)
    return batch.claimed


def finish(school, number, now=NOW):
    """Registrations that end at `now`; the events of it."""
    for registration in school.registrations(number, now=now):
        school.ask(registration, Command.GRADE, grade="80", now=now)
    return school.events(event="offering_completed")[-number:]


@pytest.fixture
def connected(school):
    return school.webhook(events=("offering_completed",))


def test_books_balance_when_all_was_delivered(school, connected):
    finish(school, 3)
    attempt(school)

    books = reconcile(school, connected)

    assert counts(books) == {Standing.DELIVERED: 3}
    assert books.balance
    assert books.listed == {}


def test_what_is_on_its_way_is_owed_and_listed_oldest_first(school, connected):
    events = finish(school, 3)
    (delivered,) = attempt(school, number=1)

    books = reconcile(school, connected, limit=1)

    assert counts(books) == {Standing.DELIVERED: 1, Standing.PENDING: 2}
    assert not books.balance
    (listed,) = books.listed[Standing.PENDING]
    waiting = [each for each in events if each.id != delivered.event_id]
    assert listed.event_id == waiting[0].id
    assert listed.registration_id == waiting[0].registration_id
    assert listed.delivery_id in {each.id for each in school.deliveries(connected)}


def test_what_failed_is_owed_until_it_is_sent_again(school, connected):
    finish(school, 1)
    attempt(school, DeliveryStatus.FAILED)
    before = reconcile(school, connected)

    (delivery,) = school.deliveries(connected)
    deliveries.resend(school.registrar, school.admin, delivery.id, NOW)
    between = reconcile(school, connected)
    attempt(school)

    assert counts(before) == {Standing.FAILED: 1}
    assert counts(between) == {Standing.PENDING: 1}
    assert counts(reconcile(school, connected)) == {Standing.DELIVERED: 1}


def test_what_a_paused_webhook_misses_is_held(school, connected):
    finish(school, 1)
    webhooks.pause_webhook(school.registrar, school.admin, connected.webhook.id, NOW)
    finish(school, 1)

    assert counts(reconcile(school, connected)) == {Standing.HELD: 2}


def test_what_was_committed_before_the_webhook_is_counted_apart_and_not_owed(school):
    finish(school, 2)
    late = school.webhook(events=("offering_completed",), now=NOW + HOUR)
    finish(school, 1, now=NOW + HOUR)
    attempt(school)

    books = reconcile(school, late)

    assert counts(books) == {Standing.DELIVERED: 1}
    assert (books.untold_before, books.balance, books.listed) == (2, True, {})


def test_what_an_import_told_nobody_is_untold_though_the_webhook_was_there(school, connected):
    with school.database.transaction() as tx:
        event = samples.sample_event(EventName.OFFERING_COMPLETED, new_id(), NOW)
        outbox.insert_events(tx, school.organization.id, [event])

    books = reconcile(school, connected)

    assert counts(books) == {Standing.UNTOLD: 1}
    assert (books.untold_before, books.balance) == (0, False)
    assert [each.delivery_id for each in books.listed[Standing.UNTOLD]] == [None]


def test_only_what_the_webhook_wants_counts(school):
    passing, failing = school.registrations(2)
    school.ask(passing, Command.GRADE, grade="80")
    school.ask(failing, Command.GRADE, grade="20")
    filters = {"registration.passed": False}
    late = school.webhook(events=("offering_completed",), filters=filters, now=NOW + HOUR)
    with school.database.transaction() as tx:
        tx.execute(update(webhook_rows).values(created_at=NOW))

    books = reconcile(school, late)

    assert counts(books) == {Standing.UNTOLD: 1}
    assert books.listed[Standing.UNTOLD][0].registration_id == failing.id


def test_what_retention_took_and_nobody_was_told_is_only_counted(school):
    finish(school, 2)
    list(upkeep.forget_history(school.registrar, NOW + DAY))
    late = school.webhook(events=("offering_completed",), now=NOW + DAY)

    books = reconcile(school, late)

    assert (books.total, books.gone, books.balance) == (0, 2, True)


def test_tests_and_other_webhooks_are_not_in_the_books(school, connected):
    other = school.webhook(events=("offering_completed",))
    webhooks.test_webhook(school.registrar, school.admin, connected.webhook.id, NOW)
    finish(school, 1)
    webhooks.pause_webhook(school.registrar, school.admin, connected.webhook.id, NOW)
    attempt(school)

    assert counts(reconcile(school, connected)) == {Standing.HELD: 1}
    assert counts(reconcile(school, other)) == {Standing.DELIVERED: 1}


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        (NOW, NOW + HOUR, 1),
        (NOW + HOUR, NOW + 2 * HOUR, 2),
        (NOW, NOW + 2 * HOUR, 3),
        (NOW + 2 * HOUR, NOW + 30 * DAY, 3),
        (NOW - 30 * DAY, NOW, 0),
        (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), 6),
    ],
)
def test_the_beginning_belongs_to_the_stretch_and_the_end_does_not(
    school, connected, since, until, found
):
    for number, now in ((1, NOW), (2, NOW + HOUR), (3, NOW + 2 * HOUR)):
        finish(school, number, now=now)

    assert reconcile(school, connected, since, until).total == found


def test_events_that_were_committed_out_of_the_order_of_their_dates_are_found(school, connected):
    minute = HOUR / 60
    for minutes in (30, 0, 45, 10, 59, 20):
        finish(school, 1, now=NOW + minutes * minute)

    books = reconcile(school, connected, NOW + 10 * minute, NOW + 45 * minute, limit=9)

    found = [each.occurred_at for each in books.listed[Standing.PENDING]]
    assert found == [NOW + minutes * minute for minutes in (30, 10, 20)]


def test_many_events_are_read_in_steps_and_progress_is_told(school, connected):
    with school.database.transaction() as tx:
        new = [
            samples.sample_event(EventName.OFFERING_COMPLETED, new_id(), NOW)
            for _ in range(reconciliation.STEP + 1)
        ]
        outbox.insert_events(tx, school.organization.id, new)
    told = []

    books = reconcile(school, connected, progress=lambda *each: told.append(each))

    assert books.total == reconciliation.STEP + 1
    assert told[0][0] == reconciliation.STEP
    assert told[-1][0] == told[-1][1] == len(new) + 1


def sum_up(school, connected, begin=MIDNIGHT, now=NOW + DAY):
    return reconciliation.sum_up_day(
        school.registrar, school.admin, connected.webhook.id, begin, now
    )


def test_a_day_is_summed_up_by_digest(school, connected):
    yesterday = finish(school, 2, now=NOW - DAY)
    delivered = attempt(school, number=1)
    today = finish(school, 1)

    day = sum_up(school, connected, MIDNIGHT - DAY)

    (arrived,) = {each.event_id for each in delivered}
    (waits,) = {each.id for each in yesterday} - {arrived}
    assert day.all == tally(each.id for each in yesterday)
    assert day.by_standing == {
        Standing.DELIVERED: tally([arrived]),
        Standing.PENDING: tally([waits]),
    }
    assert not day.is_settled
    assert sum_up(school, connected).all == tally(each.id for each in today)


def test_a_day_is_settled_when_it_is_over_and_nothing_is_open(school, connected):
    finish(school, 2)
    attempt(school)

    assert not sum_up(school, connected, now=NOW).is_settled
    assert not sum_up(school, connected, now=MIDNIGHT + DAY).is_settled
    assert sum_up(school, connected, now=MIDNIGHT + DAY + HOUR).is_settled


def test_what_is_to_arrive_is_all_but_what_was_cancelled(school, connected):
    events = finish(school, 4)
    attempt(school, number=1)
    failed = attempt(school, DeliveryStatus.FAILED, number=1)
    (cancelled,) = attempt(school, DeliveryStatus.CANCELLED, number=1)

    day = sum_up(school, connected)

    ids = {each.id for each in events}
    assert day.all == day.wanted == tally(ids)
    assert day.expected == tally(ids - {cancelled.event_id})
    assert day.by_standing[Standing.FAILED] == tally(each.event_id for each in failed)


def test_what_a_reader_of_the_feed_has_besides_is_what_the_webhook_wants_today(school):
    passing, failing = school.registrations(2)
    school.ask(passing, Command.GRADE, grade="80")
    school.ask(failing, Command.GRADE, grade="20")
    ids = {each.registration_id: each.id for each in school.events(event="offering_completed")}
    completed = ("offering_completed",)
    late = school.webhook(events=completed)
    choosy = school.webhook(events=completed, filters={"registration.passed": False})

    before = sum_up(school, late), sum_up(school, choosy)
    list(upkeep.forget_history(school.registrar, NOW + DAY))
    after = sum_up(school, late), sum_up(school, choosy)

    assert [each.expected for each in before] == [tally([]), tally([])]
    assert [each.wanted for each in before] == [tally(ids.values()), tally([ids[failing.id]])]
    assert [each.wanted for each in after] == [tally(ids.values()), tally([])]


def test_a_day_before_the_webhook_is_empty(school):
    finish(school, 1)
    late = school.webhook(events=("offering_completed",))

    day = sum_up(school, late)

    assert (day.all, day.by_standing) == (tally([]), {})


def test_an_answer_is_signed_so_that_the_receiver_can_read_it(school, connected):
    document = {"webhookId": "x", "date": "2026-03-02", "settled": True, "statuses": {}}
    none = {"count": 0, "digest": tally([]).digest}
    body = json.dumps(document | none | {"expected": none, "wanted": none}).encode()

    signature = reconciliation.sign_answer(
        school.registrar, school.admin, connected.webhook.id, "msg", NOW, body
    )

    headers = {
        "webhook-id": "msg",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": signature,
    }
    found = read_reconciliation(headers, body, connected.secret, now=int(NOW.timestamp()))
    assert found.all.count == 0


def test_while_a_secret_rotates_an_answer_is_signed_with_both(school, connected):
    """As a delivery is: the receiver may know either."""
    old = generate_secret()
    sealed = school.database.seal.seal(old.encode())
    with school.database.transaction() as tx:
        tx.execute(
            update(webhook_rows).values(old_secret_sealed=sealed, old_secret_until=NOW + HOUR)
        )

    def signatures(now):
        signed = reconciliation.sign_answer(
            school.registrar, school.admin, connected.webhook.id, "msg", now, b"body"
        )
        return signed.split()

    def by(secret, now):
        return sign(secret, "msg", int(now.timestamp()), b"body")

    assert signatures(NOW) == [by(connected.secret, NOW), by(old, NOW)]
    over = NOW + HOUR
    assert signatures(over) == [by(connected.secret, over)]


def test_the_books_are_for_administrators_of_the_organization(school, connected):
    instructor = school.instructor()
    for actor, webhook_id, error in (
        (instructor, connected.webhook.id, ForbiddenError),
        (school.admin, new_id(), NotFoundError),
    ):
        with pytest.raises(error):
            reconciliation.reconcile(school.registrar, actor, webhook_id, MIDNIGHT, NOW)
        with pytest.raises(error):
            reconciliation.sum_up_day(school.registrar, actor, webhook_id, MIDNIGHT, NOW)
        with pytest.raises(error):
            reconciliation.sign_answer(school.registrar, actor, webhook_id, "m", NOW, b"")
