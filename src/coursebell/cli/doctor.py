"""`coursebell doctor`: what is wrong with an installation, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from coursebell.cli.context import Invocation, clock, invocation_of
from coursebell.cli.output import answer, as_json_array, every
from coursebell.domain.lists import DeliveryFilters, Page
from coursebell.domain.model import Actor, DeliveryStatus, Webhook, WebhookStatus
from coursebell.errors import CoursebellError
from coursebell.services import deliveries, health, keys, organizations, webhooks
from coursebell.services.registrar import Registrar
from coursebell.settings import Settings, unknown_variables
from coursebell.storage import migrations

MOST_SKEW = 2.0  # seconds; receivers refuse deliveries from 300 on
MOST_OVERDUE = 60.0  # seconds that a due delivery may wait while a dispatcher runs
MOST_NAMED = 3  # webhooks in trouble


class State(StrEnum):
    """How a thing is found."""

    OK = "ok"
    NOTE = "note"  # worth knowing, nothing wrong
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    about: str
    state: State
    found: str
    advice: str | None = None


Check = Callable[[Registrar], Finding]


def doctor(
    context: typer.Context,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON array instead of lines.")
    ] = False,
) -> None:
    """Look at settings, database, clock, durability, keys and deliveries, and say what to do.

    The exit code is 1 when something is wrong.

    `coursebell doctor`
    """
    findings = list(examine(invocation_of(context)))
    if as_json:
        answer(as_json_array([_row(finding) for finding in findings]))
    else:
        _show(findings)
    if any(finding.state is State.WRONG for finding in findings):
        raise typer.Exit(1)


def examine(invocation: Invocation) -> Iterator[Finding]:
    """One finding after the other; what cannot be looked at any more is left out."""
    try:
        settings = invocation.settings()
    except CoursebellError as exc:
        yield _wrong("settings", exc.message, "Correct the variable named.")
        return
    yield _settings(settings)
    try:
        with invocation.registrar() as registrar:
            yield from _installation(registrar)
    except CoursebellError as exc:
        yield _wrong("database", exc.message, "See COURSEBELL_DATABASE_URL and --database.")


def _installation(registrar: Registrar) -> Iterator[Finding]:
    schema = _guarded("schema", _schema, registrar)
    yield schema
    if schema.state is State.WRONG:
        return
    checks: tuple[tuple[str, Check], ...] = (
        ("organization", _organization),
        ("clock", _clock),
        ("durability", _durability),
        ("key", _key),
        ("deliveries", _deliveries),
        ("receivers", _receivers),
    )
    for about, check in checks:
        yield _guarded(about, check, registrar)


def _guarded(about: str, check: Check, registrar: Registrar) -> Finding:
    try:
        return check(registrar)
    except CoursebellError as exc:
        return _wrong(about, exc.message, None)


def _settings(settings: Settings) -> Finding:
    strange = unknown_variables(os.environ)
    if strange:
        return _wrong("settings", "; ".join(strange) + ".", "Unset or rename what is named.")
    private = ", ".join(map(str, settings.allowed_networks))
    if private:
        return _note("settings", f"Deliveries may also go to {private}.")
    return _ok("settings", "All that is set is known and valid.")


def _schema(registrar: Registrar) -> Finding:
    migrations.check(registrar.database)
    return _ok("schema", f"The database has schema {migrations.newest()}, as it should.")


def _organization(registrar: Registrar) -> Finding:
    names = [each.name for each in organizations.list_organizations(registrar)]
    if not names:
        return _wrong("organization", "There is none.", "Run: coursebell init")
    return _ok("organization", ", ".join(names))


def _clock(registrar: Registrar) -> Finding:
    return judge_skew(health.clock_skew_seconds(registrar, clock()))


def judge_skew(skew: float) -> Finding:
    """What it means that the database's clock is `skew` seconds ahead of ours."""
    if abs(skew) <= MOST_SKEW:
        return _ok("clock", "The database and this machine agree on the time.")
    way = "ahead of" if skew > 0 else "behind"
    return _wrong(
        "clock",
        f"The database is {abs(skew):.0f} s {way} this machine.",
        "Set both clocks by NTP: receivers refuse deliveries whose time is 5 minutes off.",
    )


def _durability(registrar: Registrar) -> Finding:
    return judge_lax(health.list_lax_settings(registrar))


def judge_lax(lax: list[str]) -> Finding:
    """What it means that these of the database's settings are off."""
    if not lax:
        return _ok("durability", "What is committed is on the disk.")
    return _wrong(
        "durability",
        f"PostgreSQL has {', '.join(lax)} off: a crash loses what was answered.",
        "".join(f"ALTER SYSTEM SET {each} = on; " for each in lax)
        + "SELECT pg_reload_conf(); and where the role, the database or the URL sets it, there.",
    )


def _key(registrar: Registrar) -> Finding:
    if registrar.database.is_postgres:
        registrar.database.seal  # noqa: B018 raises when there is none
    found = keys.examine_keys(registrar)
    if found.unreadable:
        first = ", ".join(found.unreadable[:3])
        return _wrong(
            "key",
            f"The secrets of {len(found.unreadable)} webhooks cannot be read: {first}.",
            "Add the key that they were stored with to COURSEBELL_SECRET_KEY, after the new one;"
            " with SQLite, restore the key file beside the database. If it is lost, give every"
            " receiver a new secret: coursebell webhook rotate ID; and send custom headers anew.",
        )
    if found.outdated:
        return _note(
            "key",
            f"Secrets of {len(found.outdated)} webhooks are stored with a key that is not the"
            " first one.",
            "Before you drop that key: coursebell db reseal",
        )
    return _ok("key", "Every webhook's secret can be read, with the first key alone.")


def _deliveries(registrar: Registrar) -> Finding:
    now = clock()
    backlog = deliveries.measure_backlog(registrar, now)
    overdue = health.overdue_seconds(registrar, now)
    oldest = f", the oldest since {_span(backlog.oldest_pending_seconds)}"
    found = f"{backlog.pending} pending{oldest if backlog.pending else ''}."
    if overdue <= MOST_OVERDUE:
        return _ok("deliveries", found)
    return _wrong(
        "deliveries",
        f"{found} One has been due for {_span(overdue)} and nobody takes it.",
        "Is a dispatcher running? Start one: coursebell serve, or coursebell dispatch",
    )


def _receivers(registrar: Registrar) -> Finding:
    backlog = deliveries.measure_backlog(registrar, clock())
    troubled = sorted(_troubled(registrar, any_held=backlog.held > 0), key=_urgency)
    if not (backlog.failed or backlog.held or troubled):
        return _ok("receivers", "No delivery failed, none is held, all receivers accept.")
    found = (
        f"{backlog.failed} deliveries failed, {backlog.held} are held; webhooks that fail:"
        f" {backlog.failing_webhooks}, of which {backlog.backed_off_webhooks} have backed off;"
        f" disabled: {backlog.disabled_webhooks}."
    )
    if troubled:
        rest = len(troubled) - MOST_NAMED
        more = f"; and {rest} more" if rest > 0 else ""
        found += f" {'; '.join(map(_trouble, troubled[:MOST_NAMED]))}{more}."
    disabled = [each for each in troubled if each.status is WebhookStatus.DISABLED]
    if not disabled:
        why = "See why: coursebell webhook list, then coursebell webhook deliveries ID"
        return _note("receivers", found, why)
    return _wrong("receivers", found, _repair(registrar, disabled[:MOST_NAMED]))


def _troubled(registrar: Registrar, *, any_held: bool) -> Iterator[Webhook]:
    """Webhooks that are disabled or failing, or paused while something is held for them."""
    for organization in organizations.list_organizations(registrar):
        actor = organizations.operator_of(organization)
        for webhook in every(partial(webhooks.list_webhooks, registrar, actor)):
            match webhook.status:
                case WebhookStatus.ACTIVE:
                    is_troubled = webhook.failing_since is not None
                case WebhookStatus.PAUSED:
                    is_troubled = any_held and _holds(registrar, actor, webhook)
                case WebhookStatus.DISABLED:
                    is_troubled = True
            if is_troubled:
                yield webhook


def _holds(registrar: Registrar, actor: Actor, webhook: Webhook) -> bool:
    held = DeliveryFilters(status=DeliveryStatus.HELD)
    return bool(deliveries.list_deliveries(registrar, actor, webhook.id, held, Page(limit=1)).items)


def _urgency(webhook: Webhook) -> int:
    """What somebody has to repair comes before what somebody wanted."""
    order = (WebhookStatus.DISABLED, WebhookStatus.ACTIVE, WebhookStatus.PAUSED)
    return 2 * order.index(webhook.status) + (webhook.backed_off_until is None)


def _trouble(webhook: Webhook) -> str:
    match webhook.status:
        case WebhookStatus.DISABLED:
            what = f"is disabled ({webhook.disabled_reason})"
        case WebhookStatus.PAUSED:
            what = "is paused and holds deliveries"
        case WebhookStatus.ACTIVE:
            what = "has backed off" if webhook.backed_off_until else "fails"
    return f"{webhook.name} ({webhook.id}) {what}"


def _repair(registrar: Registrar, disabled: list[Webhook]) -> str:
    """What to do; where a webhook could be of several organizations, of which it is."""
    several = len(organizations.list_organizations(registrar)) > 1
    commands = [
        f"coursebell {f'--organization {each.organization_id} ' if several else ''}"
        f"webhook resume {each.id}"
        for each in disabled
    ]
    return f"Repair what receives, then: {'; '.join(commands)}"


def _span(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _ok(about: str, found: str) -> Finding:
    return Finding(about=about, state=State.OK, found=found)


def _note(about: str, found: str, advice: str | None = None) -> Finding:
    return Finding(about=about, state=State.NOTE, found=found, advice=advice)


def _wrong(about: str, found: str, advice: str | None) -> Finding:
    return Finding(about=about, state=State.WRONG, found=found, advice=advice)


def _row(finding: Finding) -> dict[str, object]:
    return {
        "about": finding.about,
        "state": finding.state,
        "found": finding.found,
        "advice": finding.advice,
    }


def _show(findings: list[Finding]) -> None:
    colours = {State.OK: "green", State.NOTE: "yellow", State.WRONG: "bold red"}
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        colour = colours[finding.state]
        console.print(f"[{colour}]{finding.state:<5}[/]  {finding.about:<12}  ", end="")
        console.print(finding.found, markup=False)
        if finding.advice:
            console.print(f"{'':21}{finding.advice}", markup=False)
