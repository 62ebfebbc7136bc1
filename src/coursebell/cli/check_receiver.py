"""`coursebell check-receiver`: whether a receiver does right with all that may come."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from coursebell.cli.context import Invocation, clock, invocation_of
from coursebell.cli.diagnosis import HOW_TO_ALLOW, diagnosis
from coursebell.cli.output import answer, say
from coursebell.domain.addresses import AddressRules, parse_networks
from coursebell.domain.model import DeliveryKind, Method
from coursebell.domain.targets import check_headers, check_url
from coursebell.errors import CoursebellError, InvalidInputError
from coursebell_receiver import SecretError

if TYPE_CHECKING:
    from coursebell.delivery.client import Client
    from coursebell.delivery.examination import Finding

_WRONG = 1


def check_receiver(  # noqa: PLR0913 - a parameter is an option
    context: typer.Context,
    *,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the receiver takes deliveries.")],
    secret: Annotated[
        str,
        typer.Option(
            metavar="SECRET", envvar="WEBHOOK_SECRET", help="The secret that the receiver knows."
        ),
    ],
    method: Annotated[Method, typer.Option(help="How it is called.")] = Method.POST,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=30, metavar="SECONDS", help="How long it may take.")
    ] = 5.0,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:VALUE", help="A header to add, for a gateway; repeatable."),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="NETWORK", help="A network that is not public and may be called."),
    ] = None,
    live: Annotated[
        bool,
        typer.Option("--live", help="Mark the samples as live, so that they are handled in full."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON array instead of a table.")
    ] = False,
) -> None:
    """Send a receiver all that it must stand, and show what it did and should have done.

    Good deliveries and forged, old, repeated and strange ones. Everything in them is made up, and
    they are marked as tests: but use a receiver that is not in production. A receiver that does not
    take the first, which is a good one, is sent nothing more: what to look at is said instead.

    The exit code is 0 when all is right, 1 when something is not, 2 when the command was not
    understood.

    A receiver on this machine:

    `coursebell check-receiver http://127.0.0.1:9000/ --secret whsec_... --allow 127.0.0.0/8`

    In a pipeline, with the secret from the environment:

    `WEBHOOK_SECRET=whsec_... coursebell check-receiver https://crm.example/hook --json`
    """
    # it loads libcurl, which no other command does
    from coursebell.delivery.battery import battery  # noqa: PLC0415
    from coursebell.delivery.examination import Examinee, examine  # noqa: PLC0415

    rules, client = _tools(invocation_of(context), allow or ())
    try:
        kind = DeliveryKind.LIVE if live else DeliveryKind.TEST
        trial = battery(secret, clock(), kind)
    except SecretError as exc:
        raise typer.BadParameter(f"{exc}.", param_hint="--secret") from exc
    examinee = Examinee(
        url=_checked_url(url, rules),
        method=method.value,
        timeout_seconds=timeout,
        headers=_headers(header or ()),
    )
    with closing(client):
        findings = list(_reported(examine(client, examinee, trial.probes())))
    if as_json:
        rows = [_row(finding) for finding in findings]
        answer(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        _show(findings)
    if not all(finding.is_right for finding in findings):
        raise typer.Exit(_WRONG)


def _tools(invocation: Invocation, allow: Sequence[str]) -> tuple[AddressRules, Client]:
    from coursebell.delivery.client import Client  # noqa: PLC0415

    settings = invocation.settings()
    try:
        allowed = parse_networks(",".join(allow))
    except CoursebellError as exc:
        raise typer.BadParameter(exc.message, param_hint="--allow") from exc
    rules = AddressRules(allowed=(*settings.allowed_networks, *allowed))
    ca_file = None if settings.ca_file is None else str(settings.ca_file)
    return rules, Client(rules, proxy=settings.proxy, ca_file=ca_file)


def _checked_url(url: str, rules: AddressRules) -> str:
    try:
        return check_url(url, rules)
    except InvalidInputError as exc:
        rule = exc.field_errors["url"]
        advice = f" {HOW_TO_ALLOW}" if "not public" in rule else ""
        raise typer.BadParameter(rule + advice, param_hint="URL") from exc


def _headers(given: Sequence[str]) -> dict[str, str]:
    pairs = [each.partition(":") for each in given]
    if not all(colon for _, colon, _ in pairs):
        raise typer.BadParameter("Write it as NAME:VALUE.", param_hint="--header")
    try:
        return check_headers({name.strip(): value.strip() for name, _, value in pairs})
    except InvalidInputError as exc:
        raise typer.BadParameter(exc.field_errors["headers"], param_hint="--header") from exc


def _reported(findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings, with a sign of life for whoever waits at a terminal."""
    for number, finding in enumerate(findings, start=1):
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{number} {finding.probe.name:<40}")
        yield finding
    if sys.stderr.isatty():
        sys.stderr.write("\r" + " " * 48 + "\r")


def _show(findings: Sequence[Finding]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "check", "what it did", "what is right", "what was sent"):
        table.add_column(column, overflow="fold", no_wrap=column in ("", "check"))
    for finding in findings:
        mark = "[green]ok[/]" if finding.is_right else "[bold red]wrong[/]"
        probe = finding.probe
        table.add_row(
            mark, probe.name, escape(_did(finding)), probe.should.value, escape(probe.sent)
        )
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)
    wrong = [finding for finding in findings if not finding.is_right]
    for finding in wrong:
        end = "" if finding.ending else "."
        answer(f"\n{finding.probe.name}: {_why(finding)}{end}")
        if finding.error:
            answer(f"  {finding.error}")
    if findings[-1].ending:
        answer("\nNothing was sent after that: it would have shown nothing more.")
    say(f"{len(findings) - len(wrong)} of {len(findings)} are right.")


def _why(finding: Finding) -> str:
    """What goes wrong with such a receiver; where nothing can be told of that, what ails it."""
    return diagnosis(finding.ending) if finding.ending else finding.probe.why


def _did(finding: Finding) -> str:
    return ", ".join(map(str, finding.answers))


def _row(finding: Finding) -> Mapping[str, object]:
    probe = finding.probe
    return {
        "check": probe.name,
        "right": finding.is_right,
        "sent": probe.sent,
        "answers": [
            {
                "outcome": each.outcome.name,
                "statusCode": each.outcome.status_code,
                "durationMs": each.duration_ms,
            }
            for each in finding.answers
        ],
        "should": probe.should.value,
        "why": _why(finding),
        "error": finding.error,
    }
