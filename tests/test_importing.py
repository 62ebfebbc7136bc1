"""The process that imports what was uploaded: it works, and ends with who started it."""

import time
from datetime import UTC, datetime

import pytest

from coursebell.bootstrap import Importing, open_registrar
from coursebell.domain.imports import ImportKind, ImportState
from coursebell.services import import_jobs
from coursebell.services.imports import Plan
from coursebell.settings import Settings
from factories import NOW, open_school

PATIENCE = 60  # seconds


@pytest.fixture
def settings(sqlite_url, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSEBELL_UPLOAD_DIRECTORY", str(tmp_path / "uploads"))
    return Settings.load(database_url=sqlite_url)


def ask(registrar, school, lines):
    job_id = import_jobs.new_job_id()
    with import_jobs.upload(registrar, job_id) as stream:
        stream.write(b"externalKey,title\n")
        stream.writelines(f"{n},Course {n}\n".encode() for n in range(lines))
    plan = Plan(kind=ImportKind.OFFERINGS)
    import_jobs.ask_for_import(registrar, school.admin, job_id, plan, NOW)
    return lambda: import_jobs.get_import(registrar, school.admin, job_id).job


def wait_for(fact):
    deadline = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_works_through_what_waits_and_stops_in_the_middle_when_told(settings):
    registrar = open_registrar(settings)
    school = open_school(registrar.database)
    small, large = ask(registrar, school, 3), ask(registrar, school, 100_000)
    importing = Importing(settings)

    importing.start()
    importing.start()  # it runs already
    wait_for(lambda: large().read > 0)
    importing.stop()

    assert (small().state, small().read) == (ImportState.DONE, 3)
    left = large()
    assert (left.state, left.finished_at) == (ImportState.PENDING, None)
    assert 0 < left.read < 100_000
    assert import_jobs.list_due(registrar, datetime.now(UTC)) == [left.id]
    registrar.database.close()
