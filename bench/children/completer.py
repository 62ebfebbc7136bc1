"""Completes registrations at a steady rate by the product's use case, and notes each commit."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime

from bench.children.talk import hear, say
from bench.databases import settle
from bench.schools import GRADE, School, open_school
from bench.watching import WatchedDatabase
from coursebell import logs
from coursebell.domain.completion import Command, Request
from coursebell.services import gradebook


def complete_steadily(
    school: School, database: WatchedDatabase, ids: Sequence[str], per_second: float
) -> dict[str, float]:
    """When each was committed, on the monotonic clock."""
    committed = {}
    begin = time.monotonic()
    for each, registration_id in enumerate(ids):
        time.sleep(max(0.0, begin + each / per_second - time.monotonic()))
        request = Request(
            registration_id=registration_id,
            command=Command.COMPLETE_ONCE,
            actor=school.operator,
            grade=GRADE,
        )
        gradebook.change_registrations(
            school.registrar, school.organization.id, [request], datetime.now(UTC)
        )
        committed[registration_id] = database.committed_at
    return committed


def main() -> int:
    given = hear()
    logs.configure(as_json=True)
    with closing(WatchedDatabase(given["url"])) as database:
        school = open_school(database)
        school.connect(given["receiver"])
        users = school.users(given["users"])
        say()
        while (number := hear()) is not None:
            ids = school.registrations(users, number)
            settle(given["url"])
            say(complete_steadily(school, database, ids, given["per_second"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
