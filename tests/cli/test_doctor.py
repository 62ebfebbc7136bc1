"""`coursebell doctor`: what is wrong, and what to do about it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from coursebell.cli.app import run
from coursebell.cli.doctor import State, judge_lax, judge_skew
from coursebell.domain.model import Actor, Attempt, DeliveryStatus
from coursebell.services import dispatching, organizations, webhooks
from coursebell.services.registrar import Registrar
from coursebell.storage import people, tables
from coursebell.storage.claims import Recorded
from coursebell.storage.webhooks import list_targets


@pytest.fixture(autouse=True)
def settings(monkeypatch, secret_key):
    monkeypatch.setenv("COURSEBELL_SECRET_KEY", secret_key)


@pytest.fixture
def examine(database_url, capsys):
    """The exit code of a doctor's visit, and the findings by what they are about."""

    def visit() -> tuple[int, dict[str, dict]]:
        capsys.readouterr()
        code = run(["--database", database_url, "doctor", "--json"])
        return code, {finding["about"]: finding for finding in json.loads(capsys.readouterr().out)}

    return visit


@pytest.fixture
def initialised(database_url, capsys):
    assert run(["--database", database_url, "init"]) == 0
    capsys.readouterr()


@pytest.fixture
def registrar(initialised, database):
    return Registrar(database=database)


def wait_for_a_delivery_since(registrar: Registrar, ago: timedelta) -> str:
    """A pending delivery that nobody takes; the id of its webhook."""
    actor = organizations.operator_of(organizations.choose_organization(registrar, None))
    then = datetime.now(UTC) - ago
    new = webhooks.NewWebhook(url="https://lms.example/hook", events=("offering_completed",))
    webhook_id = webhooks.create_webhook(registrar, actor, new, then).webhook.id
    webhooks.test_webhook(registrar, actor, webhook_id, then)
    return webhook_id


def test_a_healthy_installation_gets_0_and_all_is_ok(initialised, examine):
    code, findings = examine()

    assert code == 0
    assert {about: finding["state"] for about, finding in findings.items()} == dict.fromkeys(
        (
            *("settings", "schema", "organization", "clock", "durability"),
            *("key", "deliveries", "receivers"),
        ),
        "ok",
    )


def test_for_people_each_finding_is_a_line(initialised, database_url, capsys):
    assert run(["--database", database_url, "doctor"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert all(line.startswith("ok ") for line in lines)


def test_a_misspelt_setting_is_wrong(initialised, examine, monkeypatch, database_url, capsys):
    monkeypatch.setenv("COURSEBELL_RETENTION_DAY", "30")

    code, findings = examine()

    assert code == 1
    assert "did you mean COURSEBELL_RETENTION_DAYS?" in findings["settings"]["found"]
    run(["--database", database_url, "doctor"])
    assert "Unset or rename what is named." in capsys.readouterr().out


def test_a_wrong_setting_is_all_there_is_to_say(initialised, examine, monkeypatch):
    monkeypatch.setenv("COURSEBELL_LOG_LEVEL", "loud")

    code, findings = examine()

    assert code == 1
    assert findings.keys() == {"settings"}
    assert "COURSEBELL_LOG_LEVEL" in findings["settings"]["found"]


def test_networks_that_are_allowed_are_noted(initialised, examine, monkeypatch):
    monkeypatch.setenv("COURSEBELL_ALLOWED_NETWORKS", "127.0.0.0/8")

    code, findings = examine()

    assert code == 0
    assert findings["settings"]["state"] == "note"
    assert "127.0.0.0/8" in findings["settings"]["found"]


def test_an_empty_database_is_wrong(blank_database_url, capsys):
    code = run(["--database", blank_database_url, "doctor", "--json"])

    findings = json.loads(capsys.readouterr().out)
    assert code == 1
    assert findings[-1]["about"] == "schema"
    assert "Run: coursebell init" in findings[-1]["found"]


def test_a_database_that_cannot_be_reached_is_wrong(capsys):
    code = run(["--database", "postgresql://nobody@127.0.0.1:1/nothing", "doctor", "--json"])

    findings = json.loads(capsys.readouterr().out)
    assert code == 1
    assert "cannot be used" in findings[-1]["found"]


def test_a_database_url_without_a_file_is_wrong(capsys):
    code = run(["--database", "sqlite:///", "doctor", "--json"])

    findings = json.loads(capsys.readouterr().out)
    assert code == 1
    assert findings[-1]["about"] == "database"


@pytest.mark.parametrize(
    ("skew", "state", "found"),
    [
        (0.0, State.OK, "agree on the time"),
        (-1.9, State.OK, "agree on the time"),
        (90.0, State.WRONG, "The database is 90 s ahead of this machine."),
        (-400.0, State.WRONG, "The database is 400 s behind this machine."),
    ],
)
def test_clocks_that_disagree_are_wrong(skew, state, found):
    finding = judge_skew(skew)

    assert finding.state is state
    assert found in finding.found


def test_a_database_without_an_organization_is_wrong(examine):
    code, findings = examine()

    assert code == 1
    assert findings["organization"]["advice"] == "Run: coursebell init"


def test_postgresql_that_answers_before_the_disk_has_it_is_wrong(postgres_url, capsys):
    assert run(["--database", postgres_url, "init"]) == 0
    lax = f"{postgres_url}{'&' if '?' in postgres_url else '?'}options=-csynchronous_commit%3Doff"

    code = run(["--database", lax, "doctor"])

    out = capsys.readouterr().out
    assert code == 1
    assert "PostgreSQL has synchronous_commit off: a crash loses what was answered." in out
    assert "ALTER SYSTEM SET synchronous_commit = on" in out


def test_all_settings_that_lose_commits_are_named_with_what_to_do():
    finding = judge_lax(["fsync", "synchronous_commit"])

    assert finding.state is State.WRONG
    assert "PostgreSQL has fsync, synchronous_commit off" in finding.found
    assert "SET fsync = on; ALTER SYSTEM SET synchronous_commit = on; SELECT" in finding.advice


def test_postgresql_without_a_key_is_wrong(postgres_url, capsys, monkeypatch):
    assert run(["--database", postgres_url, "init"]) == 0
    monkeypatch.delenv("COURSEBELL_SECRET_KEY")
    capsys.readouterr()

    code = run(["--database", postgres_url, "doctor", "--json"])

    (key,) = [each for each in json.loads(capsys.readouterr().out) if each["about"] == "key"]
    assert code == 1
    assert "COURSEBELL_SECRET_KEY is not set" in key["found"]


def test_a_lost_key_file_is_wrong_and_is_not_replaced(blank_sqlite_url, capsys, monkeypatch):
    monkeypatch.delenv("COURSEBELL_SECRET_KEY")
    here = ["--database", blank_sqlite_url]
    key = Path(blank_sqlite_url.removeprefix("sqlite:///") + ".key")
    added = [*here, "webhook", "add", "https://lms.example/", "--event", "user_created"]
    assert run([*here, "init"]) == 0
    key.unlink()
    assert run([*here, "doctor"]) == 0  # nothing was sealed with it
    assert run(added) == 0
    key.unlink()
    capsys.readouterr()

    for command in (["doctor"], ["serve"], added[2:]):
        assert run([*here, *command]) == 1
        out, err = capsys.readouterr()
        assert f"The key file {key} is missing" in " ".join((out + err).split())
    assert not key.exists()


def test_secrets_that_no_key_opens_are_wrong(registrar, examine, monkeypatch):
    webhook_id = wait_for_a_delivery_since(registrar, timedelta())
    monkeypatch.setenv("COURSEBELL_SECRET_KEY", "a key that nothing was stored with")

    code, findings = examine()

    assert code == 1
    assert webhook_id in findings["key"]["found"]


def test_secrets_of_an_older_key_are_noted_until_they_are_sealed_anew(
    registrar, examine, monkeypatch, database_url, secret_key
):
    wait_for_a_delivery_since(registrar, timedelta())
    monkeypatch.setenv("COURSEBELL_SECRET_KEY", f"a new key for the doctor,{secret_key}")

    code, findings = examine()
    run(["--database", database_url, "db", "reseal"])
    _, afterwards = examine()

    assert code == 0
    assert findings["key"]["state"] == "note"
    assert "coursebell db reseal" in findings["key"]["advice"]
    assert afterwards["key"]["state"] == "ok"


def test_a_delivery_that_nobody_takes_is_wrong(registrar, examine):
    wait_for_a_delivery_since(registrar, timedelta(hours=3))

    code, findings = examine()

    assert findings["deliveries"]["found"].startswith("1 pending")
    if registrar.database.is_postgres:  # whose own clock says since when
        return
    assert code == 1
    assert findings["deliveries"]["found"].startswith("1 pending, the oldest since 3 h. One has")
    assert "coursebell serve" in findings["deliveries"]["advice"]


def fail(registrar: Registrar) -> None:
    """One attempt of every delivery that is due."""
    now = datetime.now(UTC)
    for claimed in dispatching.claim(registrar, {}, 100, "1" * 32, 60.0, now).claimed:
        attempt = Attempt(
            number=1,
            started_at=now,
            duration_ms=1,
            outcome="connect",
            status_code=None,
            address=None,
            response_headers=None,
            response_body=None,
            truncated=False,
        )
        failed = Recorded(
            key=claimed.key,
            lease=claimed.lease,
            status=DeliveryStatus.PENDING,
            delay_seconds=60.0,
            attempt=attempt,
        )
        dispatching.record(registrar, [failed], {}, now)


def disable(registrar: Registrar, webhook_id: str) -> None:
    """As the dispatcher does when the receiver answers 410."""
    with registrar.database.snapshot() as tx:
        targets = list_targets(tx, [webhook_id])
    dispatching.record(registrar, [], targets, datetime.now(UTC))


def operator_in(registrar: Registrar) -> Actor:
    return organizations.operator_of(organizations.list_organizations(registrar)[0])


def test_a_receiver_that_fails_is_noted_by_name(registrar, examine):
    webhook_id = wait_for_a_delivery_since(registrar, timedelta())
    fail(registrar)

    code, findings = examine()

    assert code == 0
    assert findings["receivers"]["state"] == "note"
    found = findings["receivers"]["found"]
    assert "webhooks that fail: 1, of which 0 have backed off" in found
    assert found.endswith(f"https://lms.example/hook ({webhook_id}) fails.")


def test_a_receiver_that_has_backed_off_is_noted_as_such(registrar, examine):
    webhook_id = wait_for_a_delivery_since(registrar, timedelta())
    fail(registrar)
    with registrar.database.transaction() as tx:
        tx.execute(update(tables.webhooks).values(probe_at=datetime.now(UTC)))

    code, findings = examine()

    assert code == 0
    assert findings["receivers"]["found"].endswith(f"({webhook_id}) has backed off.")


def test_a_disabled_webhook_is_wrong_with_what_to_do(registrar, examine):
    webhook_id = wait_for_a_delivery_since(registrar, timedelta())
    disable(registrar, webhook_id)

    code, findings = examine()

    assert code == 1
    assert findings["receivers"]["state"] == "wrong"
    assert (
        f"https://lms.example/hook ({webhook_id}) is disabled (" in findings["receivers"]["found"]
    )
    told = f"Repair what receives, then: coursebell webhook resume {webhook_id}"
    assert findings["receivers"]["advice"] == told


def test_of_several_organizations_the_advice_says_whose_a_webhook_is(registrar, examine):
    disable(registrar, wait_for_a_delivery_since(registrar, timedelta()))
    first = operator_in(registrar).organization_id
    another = replace(organizations.list_organizations(registrar)[0], id="f" * 32, name="Other")
    with registrar.database.transaction() as tx:
        people.insert_organization(tx, another)

    _, findings = examine()

    assert f"coursebell --organization {first} webhook resume" in findings["receivers"]["advice"]


def test_three_webhooks_in_trouble_are_named_the_worst_first(registrar, examine):
    failing = [wait_for_a_delivery_since(registrar, timedelta()) for _ in range(4)]
    fail(registrar)
    gone = wait_for_a_delivery_since(registrar, timedelta())
    disable(registrar, gone)

    code, findings = examine()

    found = findings["receivers"]["found"]
    assert code == 1
    assert found.index(gone) < found.index(failing[0]) < found.index(failing[1])
    assert failing[2] not in found
    assert found.endswith("; and 2 more.")


def test_a_paused_webhook_that_holds_deliveries_is_noted(registrar, examine):
    held = wait_for_a_delivery_since(registrar, timedelta())
    actor = operator_in(registrar)
    new = webhooks.NewWebhook(url="https://crm.example/", events=("offering_completed",))
    idle = webhooks.create_webhook(registrar, actor, new, datetime.now(UTC)).webhook.id
    for webhook_id in (held, idle):
        webhooks.pause_webhook(registrar, actor, webhook_id, datetime.now(UTC))

    code, findings = examine()

    assert code == 0
    assert findings["receivers"]["state"] == "note"
    found = findings["receivers"]["found"]
    assert "1 are held" in found
    assert found.endswith(f"https://lms.example/hook ({held}) is paused and holds deliveries.")
    assert idle not in found
