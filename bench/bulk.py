"""`bulk`: ten thousand registrations completed by one request, with three webhooks, on SQLite."""

from __future__ import annotations

import http.client
import json
import time
from statistics import median

from bench import machine
from bench.databases import opened, settle, throw_away
from bench.machine import MEASURED_CORE
from bench.processes import child, environment_of
from bench.report import Figure, table
from bench.schools import GRADE, open_school

WEBHOOKS = 3
CPU_BUDGET = 3.0  # seconds
LOCK_BUDGET = 200.0  # milliseconds
_NOWHERE = "http://127.0.0.1:9/"


def measure(*, smoke: bool) -> list[Figure]:
    number, rounds = (200, 1) if smoke else (10_000, 3)
    print(*machine.describe(), sep="\n")
    with throw_away("sqlite") as url, opened(url) as database:
        school = open_school(database)
        for _ in range(WEBHOOKS):
            school.connect(_NOWHERE)
        token, users = school.token(), school.users(min(number, 2_000))
        with child(
            "served", MEASURED_CORE, {"url": url}, environment=environment_of(url)
        ) as server:
            cpu, longest, took = [], [], []
            for _ in range(rounds):
                ids = school.registrations(users, number)
                settle(url)
                before = server.ask("how much")
                took.append(_complete(server.first, token, ids))
                after = server.ask("how much")
                cpu.append(after["cpu"] - before["cpu"])
                longest.append(max(after["held"][len(before["held"]) :]) * 1_000)
    print(f"\n{rounds} rounds of {number} completions in one request; {WEBHOOKS} webhooks\n")
    rows = [
        ["CPU of the API, s", f"{median(cpu):.2f}", f"{CPU_BUDGET:g}"],
        ["CPU of each completion, us", f"{median(cpu) / number * 1e6:.0f}", ""],
        ["request to answer, s", f"{median(took):.2f}", ""],
        ["longest transaction, ms", f"{median(longest):.0f}", f"{LOCK_BUDGET:g}"],
        ["longest of all rounds, ms", f"{max(longest):.0f}", ""],
    ]
    print(table(["", "measured", "budget"], rows))
    return [
        Figure(name="cpu", value=median(cpu), budget=CPU_BUDGET, unit="s"),
        Figure(name="lock", value=median(longest), budget=LOCK_BUDGET, unit="ms"),
    ]


def _complete(port: int, token: str, ids: list[str]) -> float:
    """Seconds from the request to the answer."""
    wishes = [{"registrationId": each, "grade": float(GRADE)} for each in ids]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    start = time.perf_counter()
    connection.request(
        "POST", "/api/v5/gradebook/complete", json.dumps({"completions": wishes}), headers
    )
    answer = json.load(connection.getresponse())
    seconds = time.perf_counter() - start
    connection.close()
    if any(each["result"] != "completed" for each in answer["results"]):
        raise RuntimeError("not all were completed")
    return seconds
