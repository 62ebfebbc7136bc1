"""Uploaded imports: claimed, resumed at the byte, cancelled, reported."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from coursebell.domain.imports import Done, ImportKind, ImportState
from coursebell.domain.lists import Page
from coursebell.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from coursebell.services import import_jobs
from coursebell.services.imports import BATCH, Plan
from coursebell.storage.tables import metadata
from factories import HOUR, NOW, open_school

HEAD = "externalKey,email,firstName,lastName\n"
GOOD = BATCH + 1  # lines: more than a step
TABLE = HEAD + "".join(f"{n},p{n}@x.example,P,{n}\n" for n in range(GOOD)) + "x,bad,A,B\n"
LATER = timedelta(days=400)  # whatever the server's clock says, leases have lapsed


@pytest.fixture
def school(database, tmp_path):
    return open_school(database, upload_directory=tmp_path / "uploads")


def ask(school, table=TABLE, *, actor=None, **plan):
    job_id = import_jobs.new_job_id()
    with import_jobs.upload(school.registrar, job_id) as stream:
        stream.write(table.encode())
    plan = Plan(kind=ImportKind.USERS, **plan)
    return import_jobs.ask_for_import(school.registrar, actor or school.admin, job_id, plan, NOW)


def files(school):
    return sorted(path.name for path in school.registrar.upload_directory.iterdir())


def due(school):
    return import_jobs.list_due(school.registrar, NOW)


def work(school, job, steps=100):
    left = iter(range(steps - 1))
    import_jobs.work_on(
        school.registrar, job.id, lambda: NOW, lambda _: next(left, None) is not None
    )
    return report(school, job)


def report(school, job):
    return import_jobs.get_import(school.registrar, school.admin, job.id)


def test_an_upload_waits_and_is_imported_and_the_file_is_gone(school):
    job = ask(school)

    assert (job.state, due(school), files(school)) == (
        ImportState.PENDING,
        [job.id],
        [f"{job.id}.csv"],
    )
    done = work(school, job)

    assert (done.job.state, done.job.finished_at) == (ImportState.DONE, NOW)
    assert (done.job.counts[Done.CREATED], done.job.rejected, done.job.read) == (GOOD, 1, GOOD + 1)
    assert done.job.end == job.size == len(TABLE)
    assert [(each.line, each.column) for each in done.problems.items] == [(GOOD + 2, "email")]
    assert (due(school), files(school)) == ([], [])


def test_it_goes_on_exactly_where_a_worker_left_it(school):
    job = ask(school)

    left = work(school, job, steps=1)

    assert (left.job.state, left.job.read, due(school)) == (ImportState.PENDING, BATCH, [job.id])
    done = work(school, job)
    assert (done.job.read, done.job.counts[Done.CREATED]) == (GOOD + 1, GOOD)
    assert done.job.counts[Done.UNCHANGED] == 0
    assert len(done.problems.items) == 1


def test_one_that_died_is_gone_on_with_when_its_lease_has_lapsed(school):
    job = ask(school)

    class DiedError(BaseException):
        pass

    def die(_seconds):
        raise DiedError

    with pytest.raises(DiedError):
        import_jobs.work_on(school.registrar, job.id, lambda: NOW, die)
    assert due(school) == []
    import_jobs.work_on(school.registrar, job.id, lambda: NOW, lambda _: True)  # not claimable
    assert report(school, job).job.read == BATCH

    lapse(school)

    assert work(school, job).job.counts[Done.CREATED] == GOOD


def lapse(school):
    table = metadata.tables["imports"]
    with school.database.transaction() as tx:
        tx.execute(table.update().values(due_at=NOW - LATER))


def test_a_worker_that_was_overtaken_changes_nothing_more(school):
    job = ask(school)

    def overtaken(_seconds):
        lapse(school)
        work(school, job)
        return True

    import_jobs.work_on(school.registrar, job.id, lambda: NOW, overtaken)

    done = report(school, job)
    assert (done.job.state, done.job.counts[Done.CREATED]) == (ImportState.DONE, GOOD)
    assert len(done.problems.items) == 1


def test_cancelling_stops_it_and_keeps_what_was_imported(school):
    job = ask(school)

    def cancel(_seconds):
        import_jobs.cancel_import(school.registrar, school.admin, job.id, NOW + HOUR)
        return True

    import_jobs.work_on(school.registrar, job.id, lambda: NOW, cancel)

    cancelled = report(school, job).job
    assert (cancelled.state, cancelled.finished_at, cancelled.read) == (
        ImportState.CANCELLED,
        NOW + HOUR,
        BATCH,
    )
    assert (due(school), files(school)) == ([], [])
    with pytest.raises(ConflictError, match="cancelled"):
        import_jobs.cancel_import(school.registrar, school.admin, job.id, NOW)


def test_a_dry_run_keeps_its_report_and_nothing_else(school):
    job = ask(school, is_dry_run=True)

    done = work(school, job)

    assert (done.job.counts[Done.CREATED], done.job.rejected) == (GOOD, 1)
    assert len(done.problems.items) == 1
    with school.database.snapshot() as tx:
        assert len(tx.execute(select(metadata.tables["users"])).all()) == 1


def test_a_file_that_stops_being_one_fails_with_what_is_wrong(school):
    job = ask(school, TABLE + "x" * 2_000_000)

    failed = work(school, job).job

    assert (failed.state, failed.counts[Done.CREATED]) == (ImportState.FAILED, BATCH)
    assert failed.problem == f"Line {GOOD + 3} is longer than a million bytes."
    assert files(school) == []


def test_a_header_that_does_not_do_is_refused_at_once(school):
    with pytest.raises(InvalidInputError, match="No column is email"):
        ask(school, "a,b\n")

    assert files(school) == []


def test_an_upload_that_breaks_off_leaves_nothing(school):
    def break_off():
        with import_jobs.upload(school.registrar, import_jobs.new_job_id()) as stream:
            stream.write(b"a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()

    assert files(school) == []


def test_what_dead_processes_left_is_swept_and_nothing_else(school):
    done, waiting = ask(school), ask(school)
    left = school.registrar.upload_directory / f"{done.id}.csv"
    content = left.read_bytes()
    work(school, done)
    left.write_bytes(content)  # its worker died before it deleted it
    for name in ("old.arriving", "new.arriving", "other.csv", "notes.txt"):
        (school.registrar.upload_directory / name).write_text("")
    now = datetime.now(UTC)
    old = (now - timedelta(hours=25)).timestamp()
    for name in ("old.arriving", "other.csv", "notes.txt"):
        os.utime(school.registrar.upload_directory / name, (old, old))

    swept = [import_jobs.sweep_uploads(school.registrar, now) for _ in range(2)]

    assert swept == [2, 0]
    assert files(school) == sorted([f"{waiting.id}.csv", "new.arriving", "other.csv", "notes.txt"])


def test_there_is_nothing_to_sweep_before_the_first_upload(school):
    assert import_jobs.sweep_uploads(school.registrar, NOW) == 0


def test_a_directory_that_cannot_be_written_is_told(database, tmp_path):
    (tmp_path / "file").write_text("")
    school = open_school(database, upload_directory=tmp_path / "file" / "uploads")

    with pytest.raises(UnavailableError, match="cannot be kept"):
        ask(school)


def test_what_was_uploaded_elsewhere_is_left_to_others(school):
    job = ask(school)
    (school.registrar.upload_directory / f"{job.id}.csv").rename(
        school.registrar.upload_directory / "elsewhere"
    )

    assert due(school) == []


def test_only_administrators_see_them_and_only_their_own(school, database):
    job, newer = ask(school), ask(school, is_dry_run=True)
    stranger = open_school(database)

    listed = import_jobs.list_imports(school.registrar, school.admin, Page())
    assert [each.id for each in listed.items] == [newer.id, job.id]
    assert import_jobs.list_imports(stranger.registrar, stranger.admin, Page()).items == []
    for look in (import_jobs.get_import, lambda *given: import_jobs.list_problems(*given, Page())):
        with pytest.raises(NotFoundError):
            look(stranger.registrar, stranger.admin, job.id)
        with pytest.raises(ForbiddenError):
            look(school.registrar, school.instructor(), job.id)
    with pytest.raises(NotFoundError):
        import_jobs.cancel_import(stranger.registrar, stranger.admin, job.id, NOW)
    with pytest.raises(ForbiddenError):
        ask(school, actor=school.instructor())
