"""A backup and the key, brought back in another place, are the installation."""

from __future__ import annotations

import shutil
from pathlib import Path

from acceptance.installations import COURSEBELL, Installation, Server, wait_until
from acceptance.receivers import Receiver
from coursebell_receiver import verify


def test_what_was_pending_at_the_backup_goes_out_from_the_restored_copy(
    receiver: Receiver, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    installation = Installation(f"sqlite:///{here / 'coursebell.db'}", "", here)  # a key file
    hook = installation.run("webhook", "add", receiver.url, "--event", "user_created")
    person = ("--email", "ada@school.example", "--first-name", "Ada", "--last-name", "Byron")
    user = installation.run("user", "create", *person)

    made = installation.run("backup", str(there / "coursebell.db"))
    shutil.copy2(here / "coursebell.db.key", there)
    shutil.rmtree(here)
    environment = installation.environment | {
        "COURSEBELL_DATABASE_URL": f"sqlite:///{there / 'coursebell.db'}"
    }
    server = Server(
        COURSEBELL, environment, tmp_path / "serve.log", installation.token, installation.secrets
    )
    try:
        wait_until(lambda: receiver.books or not server.is_alive(), "the delivery has come")
    finally:
        server.close()

    assert made.returncode == 0, made.stderr
    (received,) = receiver.books
    event = verify(received.request.headers, received.request.body, hook.stdout.strip())
    assert (event.event, event.user.id) == ("user_created", user.stdout.strip())
