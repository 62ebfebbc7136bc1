"""Run by test_resolver.py inside a network and mount namespace of its own.

A server for each database on the command line, receivers on a public address and on loopback, and
a name server that tells lies. Prints what became of every delivery as one JSON object.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from dnslib.server import DNSLogger, DNSServer

from acceptance.installations import Client, Installation, wait_until
from delivery.hostile import Receiver, answers_and_closes
from delivery.namespace import CLOSES, IPV4, IPV6, PUBLIC, Answers, Handler, prepare
from faults.scenes import SECRET_KEY
from faults.stories import COMPLETED

NOWHERE = "2606:2800:220:1:248:1893:25c8:1946"  # public, and no route leads there
REMEMBERED = 31.0  # seconds after which libcurl asks for a name again
STEADY = ("public", "mixed", "mixed6", "unreachable6", "private", "metadata", "missing", "silent")
CHANGING = ("flips",)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        prepare(Path(folder))
        databases = dict(each.split("=", 1) for each in sys.argv[1:])
        _add_names(databases)
        quiet = DNSLogger(logf=lambda text: None)
        DNSServer(Answers(), address="127.0.0.1", handler=Handler, logger=quiet).start_thread()
        public = stack.enter_context(Receiver(answers_and_closes(CLOSES), host=PUBLIC))
        trap = Receiver(answers_and_closes(CLOSES), host="127.0.0.1", port=public.port)
        stack.enter_context(trap)
        admins = {
            kind: stack.enter_context(_serving(kind, url, Path(folder)))
            for kind, url in databases.items()
        }
        told = dict(_stories(admins, public.port))
        told["requests"] = {"public": len(public.requests), "trap": trap.connections}
        print(json.dumps(told), flush=True)


def _add_names(databases: dict[str, str]) -> None:
    IPV4["unreachable6.example"] = [[PUBLIC]]
    IPV6["unreachable6.example"] = [NOWHERE]
    for kind in databases:  # each asks once, and once more when it has forgotten
        IPV4[f"flips-{kind}.example"] = [[PUBLIC], ["127.0.0.1"]]


@contextmanager
def _serving(kind: str, url: str, folder: Path) -> Iterator[Client]:
    """The administrator of an installation that may send to public addresses only."""
    directory = folder / kind
    directory.mkdir()
    nowhere_private = {"COURSEBELL_ALLOWED_NETWORKS": ""}
    installation = Installation(url, SECRET_KEY, directory, settings=nowhere_private)
    try:
        with installation.serve().client() as admin:
            yield admin
    finally:
        installation.close()


def _stories(admins: dict[str, Client], port: int) -> Iterator[tuple[str, object]]:
    hooks = {kind: _connect(admin, kind, port) for kind, admin in admins.items()}
    for admin in admins.values():
        _complete(admin, 1)
    for kind, admin in admins.items():
        _wait_for(admin, hooks[kind])
    time.sleep(REMEMBERED)
    for admin in admins.values():
        _complete(admin, 2)
    for kind, admin in admins.items():
        _wait_for(admin, hooks[kind])
        yield kind, {name: _attempts(admin, hook) for name, hook in hooks[kind].items()}


def _connect(admin: Client, kind: str, port: int) -> dict[str, str]:
    """The ids of webhooks by name."""
    names = {each: f"{each}.example" for each in STEADY}
    names |= {each: f"{each}-{kind}.example" for each in CHANGING}
    return {
        name: admin.connect(
            f"http://{host}:{port}/",
            COMPLETED,
            retrySchedule=[],
            timeoutSeconds=1 if name == "silent" else 20,
        )[0]
        for name, host in names.items()
    }


def _complete(admin: Client, number: int) -> None:
    course_id = admin.create("courses", title="Safety at Sea")
    offering_id = admin.create("offerings", title="Safety at Sea", courseId=course_id)
    email = f"learner{number}@harbour.example"
    user_id = admin.create("users", firstName="Bo", lastName="Lind", email=email)
    registration_id = admin.create("registrations", userId=user_id, offeringId=offering_id)
    admin.do("PUT", f"registrations/{registration_id}", {"grade": 90})


def _wait_for(admin: Client, hooks: dict[str, str]) -> None:
    wait_until(
        lambda: (
            not any(
                admin.list(f"webhooks/{hook}/deliveries", status="pending")
                for hook in hooks.values()
            )
        ),
        "nothing is pending",
    )


def _attempts(admin: Client, hook: str) -> list[tuple[str, str | None]]:
    """Outcome and address of each, the oldest first."""
    listed = reversed(admin.list(f"webhooks/{hook}/deliveries"))
    shown = [admin.get(f"deliveries/{each['id']}")["attempts"] for each in listed]
    return [(each["outcome"], each.get("address")) for found in shown for each in found]


if __name__ == "__main__":
    main()
