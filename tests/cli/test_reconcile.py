"""`coursebell reconcile`: the books on one page, what to do, and the exit code."""

import json
import shlex
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, func, select, update

from coursebell.cli.app import run
from coursebell.domain import samples
from coursebell.domain.events import EventName
from coursebell.domain.instants import format_instant
from coursebell.domain.model import Actor, new_id
from coursebell.services import organizations, webhooks
from coursebell.services.publishing import publish
from coursebell.services.registrar import Registrar
from coursebell.services.webhooks import NewWebhook
from coursebell.storage.tables import deliveries as delivery_rows
from coursebell.storage.tables import events as event_rows
from coursebell.storage.tables import webhooks as webhook_rows

COMPLETED = EventName.OFFERING_COMPLETED


@pytest.fixture
def coursebell(database_url, secret_key, monkeypatch, capsys):
    """Runs a command: its exit code, stdout and stderr."""
    monkeypatch.setenv("COURSEBELL_SECRET_KEY", secret_key)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["--database", database_url, *arguments])
        return code, *capsys.readouterr()

    assert call("init")[0] == 0
    return call


@pytest.fixture
def registrar(coursebell, database) -> Registrar:
    return Registrar(database=database)


@pytest.fixture
def operator(registrar) -> Actor:
    return organizations.operator_of(organizations.choose_organization(registrar, None))


@pytest.fixture
def crm(registrar, operator) -> str:
    """The id of a webhook named crm."""
    return connect(registrar, operator, "crm")


def connect(registrar, operator, name, **fields) -> str:
    new = NewWebhook(url="https://crm.example/", events=(COMPLETED.value,), name=name, **fields)
    return webhooks.create_webhook(registrar, operator, new, datetime.now(UTC)).webhook.id


def tell(registrar, operator, number=1, now=None) -> None:
    now = now or datetime.now(UTC)
    with registrar.database.transaction() as tx:
        new = [samples.sample_event(COMPLETED, new_id(), now) for _ in range(number)]
        publish(tx, registrar, operator.organization_id, new, now)


def test_books_without_events_balance(coursebell, crm):
    code, out, err = coursebell("reconcile", "--webhook", crm, "--since", "7d")

    assert (code, err) == (0, "")
    assert out.startswith(f"crm ({crm}), active\n")
    assert "0  committed and wanted" in out
    assert out.endswith("The books balance: nothing is owed.\n")


def test_what_is_owed_is_counted_listed_and_explained(coursebell, registrar, operator, crm):
    tell(registrar, operator, 3)

    code, out, _ = coursebell("reconcile", "--webhook", "crm", "--since", "1h", "--limit", "2")

    assert code == 1
    assert "3  committed and wanted" in out
    assert "3  pending" in out
    assert f"coursebell webhook deliveries {crm} --status pending; coursebell doctor" in out
    assert out.count("offering_completed event ") == 2
    assert "and 1 more (--limit)" in out
    assert out.endswith("The books do not balance: 3 owed.\n")


def test_held_events_say_what_to_do(coursebell, registrar, operator, crm):
    tell(registrar, operator)
    webhooks.pause_webhook(registrar, operator, crm, datetime.now(UTC))

    _, held, _ = coursebell("reconcile", "--webhook", "crm", "--since", "1h")

    assert "The webhook is paused. To send them:" in held
    assert f"coursebell webhook resume {crm}" in held


def test_what_is_of_before_the_webhook_is_told_without_alarm(coursebell, registrar, operator):
    tell(registrar, operator, 3)
    late = connect(registrar, operator, "late")

    code, out, _ = coursebell("reconcile", "--webhook", "late", "--since", "48h")
    json_code, document, _ = coursebell(
        "reconcile", "--webhook", "late", "--since", "48h", "--json"
    )

    assert code == json_code == 0
    assert "3  of before the webhook was made, never told: not owed" in out
    assert f"coursebell webhook backfill {late} --since " in out
    assert "untold" not in out
    assert out.endswith("The books balance: nothing is owed.\n")
    books = json.loads(document)
    assert (books["balance"], books["untoldBefore"], books["total"]) == (True, 3, 0)
    assert (books["counts"]["untold"], books["owed"]) == (0, [])


def test_a_backfill_of_what_is_owed_leaves_out_what_is_of_before_the_webhook(
    coursebell, registrar, operator
):
    tell(registrar, operator, 2, now=datetime.now(UTC) - timedelta(minutes=5))
    late = connect(registrar, operator, "late")
    tell(registrar, operator)
    with registrar.database.transaction() as tx:
        tx.execute(delete(delivery_rows))

    code, out, _ = coursebell("reconcile", "--webhook", "late", "--since", "1h")
    advice = next(line for line in out.splitlines() if "coursebell webhook backfill" in line)
    coursebell(*shlex.split(advice)[1:])
    _, document, _ = coursebell("reconcile", "--webhook", late, "--since", "1h", "--json")

    assert code == 1
    assert out.endswith("The books do not balance: 1 owed.\n")
    books = json.loads(document)
    assert (books["counts"]["pending"], books["untoldBefore"]) == (1, 2)


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        ("delivered", 0, "The books balance: nothing is owed."),
        ("failed", 1, "--status failed"),
        ("cancelled", 0, "The person was erased: they must not be sent any more."),
    ],
)
def test_what_has_come_to_an_end_says_what_that_means(
    coursebell, registrar, operator, crm, status, code, advice
):
    tell(registrar, operator)
    with registrar.database.transaction() as tx:
        tx.execute(update(delivery_rows).values(status=status))

    found, out, _ = coursebell("reconcile", "--webhook", crm, "--since", "1h")

    assert found == code
    assert f"1  {status}" in out
    assert advice in out


def test_what_nobody_was_told_and_what_retention_took_are_told_apart(
    coursebell, registrar, operator, crm
):
    tell(registrar, operator, 2)
    with registrar.database.transaction() as tx:
        tx.execute(delete(delivery_rows))
        last = select(func.max(event_rows.c.position)).scalar_subquery()
        tx.execute(update(event_rows).where(event_rows.c.position == last).values(body=None))

    code, out, _ = coursebell("reconcile", "--webhook", crm, "--since", "1h")

    assert code == 1
    assert "1  untold" in out
    assert "Imported without telling, or the webhook did not want them then." in out
    assert "1  never told, and their content was removed by retention" in out


def test_what_is_advised_can_be_typed_and_helps(coursebell, registrar, operator):
    """From nothing but the output: what was never told, failed or is held gets on its way."""

    def books() -> tuple[dict[str, int], list[str]]:
        _, out, _ = coursebell("reconcile", "--webhook", "late", "--since", "1h", "--json")
        _, told, _ = coursebell("reconcile", "--webhook", "late", "--since", "1h")
        document = json.loads(out)
        found = document["counts"] | {"untoldBefore": document["untoldBefore"]}
        counts = {name: count for name, count in found.items() if count}
        advice = [line.strip() for line in told.splitlines() if " coursebell webhook " in line]
        return counts, advice

    tell(registrar, operator, now=datetime.now(UTC) - timedelta(minutes=5))
    late = connect(registrar, operator, "late")
    seen = []
    for spoil in ({}, {"status": "failed"}, None):
        if spoil:
            with registrar.database.transaction() as tx:
                tx.execute(update(delivery_rows).values(**spoil))
        if spoil is None:
            coursebell("webhook", "pause", late)
        counts, (advice,) = books()
        seen.append(counts)
        code, _, err = coursebell(*shlex.split(advice)[1:])
        assert code == 0, (advice, err)

    assert seen == [{"untoldBefore": 1}, {"failed": 1}, {"held": 1}]
    assert books()[0] == {"pending": 1}


def test_a_disabled_webhook_says_why(coursebell, registrar, operator, crm):
    tell(registrar, operator)
    with registrar.database.transaction() as tx:
        tx.execute(update(webhook_rows).values(status="disabled", disabled_reason="It said 410."))

    _, out, _ = coursebell("reconcile", "--webhook", crm, "--since", "1h")

    assert "The webhook is disabled (It said 410.). To send them:" in out


def test_a_dead_receiver_is_told_apart_from_one_that_is_slow(coursebell, registrar, operator, crm):
    tell(registrar, operator)
    with registrar.database.transaction() as tx:
        tx.execute(update(webhook_rows).values(probe_at=datetime.now(UTC)))

    _, out, _ = coursebell("reconcile", "--webhook", crm, "--since", "1h")

    assert "The receiver is dead; all are sent when it answers" in out


def test_for_programs_it_is_one_object(coursebell, registrar, operator, crm):
    now = datetime.now(UTC)
    tell(registrar, operator, now=now)
    tell(registrar, operator, now=now - timedelta(days=2))

    code, out, _ = coursebell("reconcile", "--webhook", crm, "--since", "24h", "--json")

    books = json.loads(out)
    assert (code, books["balance"], books["total"], books["webhookId"]) == (1, False, 1, crm)
    assert books["counts"]["pending"] == 1
    assert books["counts"]["delivered"] == books["counts"]["untold"] == 0
    (owed,) = books["owed"]
    assert owed["standing"] == "pending"
    assert owed["date"] == format_instant(now)
    assert owed["event"] == "offering_completed"
    assert len(owed["deliveryId"]) == 32


@pytest.mark.parametrize(
    ("since", "until", "total"),
    [
        ("2031-02-03", "2031-02-03", 1),
        ("2031-02-03T04:05:06Z", "2031-02-03T04:05:07Z", 1),
        ("2031-02-03T04:05:07Z", "2031-02-04", 0),
    ],
)
def test_dates_and_timestamps_mean_what_they_mean_elsewhere(
    coursebell, registrar, operator, crm, since, until, total
):
    tell(registrar, operator, now=datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC))

    _, out, _ = coursebell(
        "reconcile", "--webhook", crm, "--since", since, "--until", until, "--json"
    )

    assert json.loads(out)["total"] == total


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--webhook", "nobody", "--since", "1h"), 1, "There is no such webhook."),
        (("--webhook", "crm", "--since", "yesterday"), 2, "Must be a date"),
        (("--webhook", "crm", "--since", "1h", "--until", "2h"), 2, "Must be later than --since."),
        (("--webhook", "crm", "--since", "1h", "--until", "x"), 2, "Must be a date"),
        (("--webhook", "crm"), 2, "Missing option '--since'"),
        (("--since", "1h"), 2, "Missing option '--webhook'"),
    ],
)
def test_what_cannot_be_understood_is_one_line(coursebell, crm, arguments, code, message):
    found, out, err = coursebell("reconcile", *arguments)

    assert (found, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_name_that_several_have_is_refused(coursebell, registrar, operator, crm):
    connect(registrar, operator, "crm")

    code, _, err = coursebell("reconcile", "--webhook", "crm", "--since", "1h")

    assert code == 1
    assert crm in err
