"""`coursebell listen`: a receiver on this machine, to see what a webhook gets."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

import typer

from coursebell.cli.reception import Receiver, Reception, after
from coursebell_receiver import SecretError, decode_secret


def listen(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 9000,
    secret: Annotated[
        list[str] | None,
        typer.Option(metavar="SECRET", help="The webhook's secret; repeat it for several."),
    ] = None,
    status: Annotated[
        int, typer.Option(min=200, max=599, metavar="CODE", help="What to answer.")
    ] = 204,
    fail_first: Annotated[
        int, typer.Option(min=0, metavar="N", help="Answer 500 to the first N deliveries.")
    ] = 0,
    delay: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Wait before each answer.")
    ] = 0.0,
) -> None:
    """Receive deliveries, verify them, and print one line of JSON for each.

    Ends with Ctrl-C. A delivery that does not verify is answered with 400.

    What a webhook sends, verified:

    `coursebell listen --port 9000 --secret whsec_...`

    How retries look, with a receiver that is slow and fails twice:

    `coursebell listen --secret whsec_... --fail-first 2 --delay 1.5`
    """
    secrets = [_checked(text) for text in secret or ()]
    if not secrets:
        sys.stderr.write("Without --secret nothing is verified.\n")
    stop = threading.Event()
    receiver = Receiver(
        answer=_answers(status, fail_first, delay),
        report=lambda reception, answered: _report(reception, answered, stop),
        secrets=secrets,
        host=host,
        port=port,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with receiver:
        sys.stderr.write(f"Listening on {receiver.url}\n")
        stop.wait()


def _checked(secret: str) -> str:
    try:
        decode_secret(secret)
    except SecretError as exc:
        raise typer.BadParameter(f"{exc}.", param_hint="--secret") from exc
    return secret


def _answers(status: int, fail_first: int, delay: float) -> Callable[[Reception], int]:
    count = itertools.count()

    def answer(_reception: Reception) -> int:
        fails = next(count) < fail_first
        return after(delay, HTTPStatus.INTERNAL_SERVER_ERROR if fails else status)

    return answer


def _report(reception: Reception, status: int, stop: threading.Event) -> None:
    try:
        sys.stdout.write(json.dumps(line(reception, status), ensure_ascii=False) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        stop.set()


def line(reception: Reception, status: int) -> dict[str, object]:
    """What is printed for a reception; `verified` is null when there was no secret to try."""
    document = reception.document
    registration = document.get("registration")
    passed = registration.get("passed") if isinstance(registration, dict) else None
    checked = reception.event is not None or reception.reason is not None
    return {
        "verified": reception.event is not None if checked else None,
        "reason": reception.reason,
        "event": document.get("event"),
        "source": document.get("source"),
        "passed": passed,
        "webhook-id": reception.webhook_id,
        "attempt": reception.attempt,
        "attempt-kind": reception.kind,
        "status": status,
        "method": reception.method,
        "path": reception.path,
        "body": document or reception.body.decode(errors="replace"),
    }
