"""What happens by the clock, on both databases."""

import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from coursebell.domain.imports import ImportKind
from coursebell.domain.model import Status
from coursebell.schedule import Schedule
from coursebell.services import deliveries, import_jobs, webhooks
from coursebell.services.imports import Plan
from coursebell.storage.database import Database
from coursebell.storage.tables import attempts as attempts_table
from coursebell.storage.tables import deliveries as deliveries_table
from coursebell.storage.tables import events as events_table
from factories import DAY, HOUR, NOW, School, open_school


@pytest.fixture
def school(database: Database) -> School:
    return open_school(database)


def test_a_process_is_asked_for_while_an_upload_waits(database, tmp_path):
    school = open_school(database, upload_directory=tmp_path / "uploads")
    started = []
    schedule = Schedule(school.registrar, None, lambda: started.append(True))
    schedule.tick(NOW)
    job_id = import_jobs.new_job_id()
    with import_jobs.upload(school.registrar, job_id) as stream:
        stream.write(b"title\nRopes\n")
    plan = Plan(kind=ImportKind.OFFERINGS)
    import_jobs.ask_for_import(school.registrar, school.admin, job_id, plan, NOW)

    schedule.tick(NOW + HOUR)
    waited = len(started)
    import_jobs.work_on(school.registrar, job_id, lambda: NOW + HOUR, lambda _: True)
    schedule.tick(NOW + HOUR)

    assert (waited, len(started)) == (1, 1)


def test_uploads_are_swept_every_hour(database, tmp_path):
    uploads = tmp_path / "uploads"
    school = open_school(database, upload_directory=uploads)
    schedule = Schedule(school.registrar, None)
    now = datetime.now(UTC) + 2 * DAY
    schedule.tick(now)
    uploads.mkdir()
    (uploads / "x.arriving").write_text("")

    schedule.tick(now + timedelta(minutes=59))
    kept = list(uploads.iterdir())
    with capture_logs() as logs:
        schedule.tick(now + HOUR)

    assert (len(kept), list(uploads.iterdir())) == (1, [])
    (line,) = [each for each in logs if each["event"] == "schedule.uploads_swept"]
    assert line["files"] == 1


def write(school, statement, rows=None):
    with school.database.transaction() as tx:
        tx.execute(statement, rows)


def read(school, query):
    with school.database.snapshot() as tx:
        return list(tx.execute(query).scalars())


def statuses(school, webhook):
    return [each.status.value for each in school.deliveries(webhook)]


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_what_is_active_at_an_offerings_end_is_halted_then_and_not_before(school):
    webhook = school.webhook(events=("offering_completed",))
    ending = school.offering(end_at=NOW + HOUR)
    lasting = school.offering(end_at=NOW + DAY)
    one, two, other = (school.registration(offering=each) for each in [ending, ending, lasting])
    schedule = Schedule(school.registrar, None)

    schedule.tick(NOW + HOUR - timedelta(seconds=1))
    assert school.stored(one).status is Status.ACTIVE

    with capture_logs() as logs:
        schedule.tick(NOW + HOUR)
        schedule.tick(NOW + HOUR)

    assert [school.stored(each).status for each in (one, two)] == [Status.FAILED] * 2
    assert school.stored(other).status is Status.ACTIVE
    assert statuses(school, webhook) == ["pending"] * 2
    (line,) = [each for each in logs if each["event"] == "schedule.halted"]
    assert line["registrations"] == 2


def stored_statuses(school, webhook):
    of_webhook = deliveries_table.c.webhook_id == webhook.webhook.id
    return read(school, sa.select(deliveries_table.c.status).where(of_webhook))


def delete_with_a_backlog(school):
    webhook = school.webhook()
    school.user()
    webhooks.delete_webhook(school.registrar, school.admin, webhook.webhook.id, NOW)
    return webhook


def test_what_deleted_webhooks_left_is_tidied_up_every_five_seconds(school):
    schedule = Schedule(school.registrar, None)
    schedule.tick(NOW)
    deleted = delete_with_a_backlog(school)

    schedule.tick(NOW + timedelta(seconds=4))
    assert stored_statuses(school, deleted) == ["pending"]

    schedule.tick(NOW + timedelta(seconds=5))
    assert stored_statuses(school, deleted) == ["cancelled"]


def test_upkeep_does_not_wait_for_a_clock_that_was_set_back(school):
    schedule = Schedule(school.registrar, None)
    schedule.tick(NOW + HOUR)
    deleted = delete_with_a_backlog(school)

    schedule.tick(NOW)

    assert stored_statuses(school, deleted) == ["cancelled"]


def test_order_is_mended_every_five_minutes(school):
    webhook = school.webhook(events=("offering_registered",))
    schedule = Schedule(school.registrar, None)
    schedule.tick(NOW)
    school.registration()
    write(school, sa.update(deliveries_table).values(due_at=None))  # though nothing is before it

    with capture_logs() as logs:
        schedule.tick(NOW + timedelta(minutes=4))
        assert logs == []
        schedule.tick(NOW + timedelta(minutes=5))

    assert [each["event"] for each in logs] == ["deliveries.stuck"]
    assert school.deliveries(webhook)[0].next_attempt_at is not None


def test_retention_drops_only_old_history_with_nothing_open(school):
    webhook = school.webhook(events=("user_created",))
    old_settled, old_open, old_tried = (school.user() for _ in range(3))
    young = school.user(now=NOW + 5 * DAY)
    settle(school, old_settled, "delivered")
    settle(school, old_tried, "pending")
    settle(school, young, "failed")
    assert len(read(school, sa.select(attempts_table.c.key))) == 3

    Schedule(school.registrar, 3 * DAY).tick(NOW + 6 * DAY)

    kept = {each.user_id for each in school.events() if each.body is not None}
    assert kept == {old_open.id, old_tried.id, young.id}
    assert len(read(school, sa.select(attempts_table.c.key))) == 2
    assert len(school.deliveries(webhook)) == 4
    settled = next(each for each in school.deliveries(webhook) if each.status == "delivered")
    found = deliveries.get_delivery(school.registrar, school.admin, settled.id)
    assert found.attempts == []


def settle(school, user, status):
    """Its delivery has been attempted, and stands so."""
    event = sa.select(events_table.c.key).where(events_table.c.user_id == user.id)
    of_event = deliveries_table.c.event_key.in_(event)
    (key,) = read(school, sa.select(deliveries_table.c.key).where(of_event))
    write(school, sa.update(deliveries_table).where(of_event).values(status=status))
    attempt = {
        "delivery_key": key,
        "number": 1,
        "started_at": NOW,
        "duration_ms": 1,
        "outcome": "http_500",
        "truncated": False,
    }
    write(school, sa.insert(attempts_table), [attempt])


def test_without_retention_everything_is_kept_and_with_it_once_an_hour(school):
    school.user()

    Schedule(school.registrar, None).tick(NOW + 1000 * DAY)
    assert all(each.body for each in school.events())

    schedule = Schedule(school.registrar, 3 * DAY)
    schedule.tick(NOW + DAY)
    schedule.tick(NOW + DAY + HOUR - timedelta(seconds=1))
    assert all(each.body for each in school.events())

    schedule.tick(NOW + 4 * DAY)
    assert not any(each.body for each in school.events())


def test_a_task_that_fails_is_logged_and_keeps_no_other_from_its_work(school):
    deleted = delete_with_a_backlog(school)
    rename(school, "offerings", "away")

    with capture_logs() as logs:
        Schedule(school.registrar, None).tick(NOW)
    rename(school, "away", "offerings")

    assert stored_statuses(school, deleted) == ["cancelled"]
    (line,) = logs
    assert (line["event"], line["log_level"], line["task"]) == ("schedule.failed", "error", "_halt")


def rename(school, name, new):
    write(school, sa.text(f"ALTER TABLE {name} RENAME TO {new}"))


def test_the_thread_lives_on_after_an_error_and_stops_when_told(school):
    ending = school.offering(end_at=NOW + HOUR)  # long past by the real clock
    registration = school.registration(offering=ending)
    rename(school, "offerings", "away")
    schedule = Schedule(school.registrar, None)

    with capture_logs() as logs:
        schedule.start()
        wait_until(lambda: [each for each in logs if each["event"] == "schedule.failed"])
        rename(school, "away", "offerings")
        wait_until(lambda: school.stored(registration).status is Status.FAILED)
        schedule.stop()

    assert not schedule._thread.is_alive()


def test_retention_stops_between_two_steps(school):
    for number in range(2):
        school.user(now=NOW + number * timedelta(seconds=1))
    schedule = Schedule(school.registrar, timedelta(0))
    schedule._stop.set()

    schedule.tick(NOW + DAY)

    assert not any(each.body for each in school.events())  # the first step had them all
