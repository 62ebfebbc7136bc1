"""What is done to a scene while learners finish: each hurts, waits a little, and heals."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from acceptance.installations import wait_until
from acceptance.receivers import Request
from faults.floods import Flood
from faults.ledgers import Treat, Treatment
from faults.manners import OUTCOMES, Mood, late
from faults.scenes import Scene, answers_again

BACK = 90.0  # seconds in which a scene that is no longer hurt answers
CHILDREN = ("api", "dispatch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Infliction:
    """`inflict` returns when the scene is whole again, as far as that is the inflictor's part.

    `kills`: how many times a dispatcher dies that may have sent what it did not write down.
    """

    name: str
    inflict: Callable[[Scene, random.Random], None]
    kills: int = 0
    on: Sequence[str] = ("sqlite", "postgres")


def kill(*children: str) -> Callable[[Scene, random.Random], None]:
    """`kill -9`, and wait until `serve` has started others."""

    def inflict(scene: Scene, _: random.Random) -> None:
        server = scene.server
        wait_until(lambda: server.children().keys() >= set(children), "the children are there")
        victims = {name: server.children()[name] for name in children}
        for pid in victims.values():
            os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: all(server.child(name) not in (None, victims[name]) for name in children),
            "others have taken their places",
        )
        wait_until(answers_again(scene), "the server answers again", BACK)

    return inflict


def kill_all(scene: Scene, _: random.Random) -> None:
    """`kill -9` of `serve` itself and its children, at once; the operator starts another."""
    for pid in (scene.server.process.pid, *scene.server.children().values()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    scene.restart()


def orphan(scene: Scene, _: random.Random) -> None:
    """`kill -9` of `serve` alone: the children end by themselves."""
    server = scene.server
    server.stop(signal.SIGKILL)
    wait_until(lambda: not server.left_behind(), "the orphans have ended")
    scene.restart()


def stop_in_order(scene: Scene, _: random.Random) -> None:
    """SIGTERM, as an upgrade does."""
    code = scene.server.stop()
    assert code == 0, f"serve ended with {code}"
    scene.restart()


def suspend(child: str) -> Callable[[Scene, random.Random], None]:
    """SIGSTOP for a while, as a machine does that swaps."""

    def inflict(scene: Scene, rng: random.Random) -> None:
        pid = scene.server.child(child)
        if pid is None:
            return
        os.kill(pid, signal.SIGSTOP)
        time.sleep(rng.uniform(1, 4))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    return inflict


def exhaust_descriptors(child: str) -> Callable[[Scene, random.Random], None]:
    """RLIMIT_NOFILE as low as what is open now, for a while."""

    def inflict(scene: Scene, rng: random.Random) -> None:
        pid = scene.server.child(child)
        if pid is None:
            return
        with few_descriptors(pid):
            time.sleep(rng.uniform(2, 5))

    return inflict


@contextmanager
def few_descriptors(pid: int) -> Iterator[None]:
    """Not one more file or socket than it has open."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def cluster_away(mode: str) -> Callable[[Scene, random.Random], None]:
    """PostgreSQL stopped, and started again after a while."""

    def inflict(scene: Scene, rng: random.Random) -> None:
        assert scene.cluster is not None
        scene.cluster.stop(mode)
        time.sleep(rng.choice((0, rng.uniform(1, 8))))
        scene.cluster.start()
        wait_until(answers_again(scene), "the server answers again", BACK)

    return inflict


def cluster_killed(scene: Scene, _: random.Random) -> None:
    """`kill -9` of PostgreSQL's postmaster."""
    assert scene.cluster is not None
    scene.cluster.kill()
    scene.cluster.start()
    wait_until(answers_again(scene), "the server answers again", BACK)


def connections_cut(scene: Scene, rng: random.Random) -> None:
    """`pg_terminate_backend` of all, some times over."""
    assert scene.cluster is not None
    for _ in range(rng.randint(1, 5)):
        scene.cluster.cut()
        time.sleep(rng.uniform(0.2, 1))
    wait_until(answers_again(scene), "the server answers again", BACK)


def disk_full(scene: Scene, rng: random.Random) -> None:
    assert scene.disk is not None
    scene.disk.fill()
    time.sleep(rng.uniform(1, 5))
    scene.disk.empty()
    wait_until(answers_again(scene), "the server answers again", BACK)


def disk_read_only(scene: Scene, rng: random.Random) -> None:
    """As after an error of the disk: the processes die, and their successors may only read."""
    assert scene.disk is not None
    parent, children = scene.server.process.pid, scene.server.children()
    os.kill(parent, signal.SIGSTOP)  # it would be too quick
    try:
        for pid in children.values():
            os.kill(pid, signal.SIGKILL)
        scene.make_read_only()
    finally:
        os.kill(parent, signal.SIGCONT)
    time.sleep(rng.uniform(3, 8))  # long enough for others to start and meet it
    scene.disk.make_writable()
    wait_until(answers_again(scene), "the server answers again", BACK)


def database_locked(scene: Scene, rng: random.Random) -> None:
    """Another program holds SQLite's write lock, for longer than a writer waits at times."""
    scene.hold_write_lock(rng.choice((2.0, 5.0, 12.0)))


def flood(scene: Scene, rng: random.Random) -> None:
    """Many more requests than the server takes on at once."""
    crowd = Flood(scene.server.host, scene.installation.token, 200)
    crowd.run(rng.uniform(1, 4))
    assert crowd.answers[200] > 0, crowd.answers
    assert crowd.answers.keys() <= {200, 201, 503, 0}, crowd.answers
    assert crowd.hinted == crowd.answers[503], "a 503 did not say when to come again"


def trouble(make: Callable[[Mood], Treat]) -> Callable[[Scene, random.Random], None]:
    """The last webhook's receiver is in a mood for a while."""

    def inflict(scene: Scene, rng: random.Random) -> None:
        ledger, mood = scene.webhooks[-1].ledger, Mood()
        before, ledger.treat = ledger.treat, make(mood)
        time.sleep(rng.uniform(2, 8))
        ledger.treat = before
        mood.end()

    return inflict


def gone(scene: Scene, rng: random.Random) -> None:
    """The last webhook's receiver answers 410; somebody resumes the webhook later."""
    troubled = scene.webhooks[-1]

    def treat(_: Request) -> Treatment:
        return Treatment(410, accepted=False)

    webhook = f"webhooks/{troubled.webhook_id}"
    before, troubled.ledger.treat = troubled.ledger.treat, treat
    wait_until(
        lambda: scene.insist("GET", webhook).document["status"] == "disabled", "it is disabled"
    )
    time.sleep(rng.uniform(1, 4))
    troubled.ledger.treat = before
    scene.insist("POST", f"{webhook}/resume")


PROCESSES = (
    Infliction(name="kill -9 of the API", inflict=kill("api")),
    Infliction(name="kill -9 of the dispatcher", inflict=kill("dispatch"), kills=1),
    Infliction(name="kill -9 of both", inflict=kill(*CHILDREN), kills=1),
    Infliction(name="kill -9 of everything", inflict=kill_all, kills=1),
    Infliction(name="kill -9 of serve alone", inflict=orphan),
    Infliction(name="SIGTERM and start", inflict=stop_in_order),
    Infliction(name="dispatcher suspended", inflict=suspend("dispatch")),
    Infliction(name="API suspended", inflict=suspend("api")),
    Infliction(name="API without descriptors", inflict=exhaust_descriptors("api")),
    Infliction(name="dispatcher without descriptors", inflict=exhaust_descriptors("dispatch")),
    Infliction(name="flood of requests", inflict=flood),
)
ON_POSTGRES = ("postgres",)
POSTGRES = (
    Infliction(name="PostgreSQL stopped", inflict=cluster_away("fast"), on=ON_POSTGRES),
    Infliction(name="PostgreSQL aborted", inflict=cluster_away("immediate"), on=ON_POSTGRES),
    Infliction(name="PostgreSQL kill -9", inflict=cluster_killed, on=ON_POSTGRES),
    Infliction(name="connections cut", inflict=connections_cut, on=ON_POSTGRES),
)
ON_SQLITE = ("sqlite",)
SQLITE = (
    Infliction(name="disk full", inflict=disk_full, on=ON_SQLITE),
    Infliction(name="disk read-only", inflict=disk_read_only, on=ON_SQLITE, kills=1),
    Infliction(name="database locked", inflict=database_locked, on=ON_SQLITE),
)
RECEIVERS = (
    *(
        Infliction(name=f"receiver: {name}", inflict=trouble(make))
        for name, (_, make) in OUTCOMES.items()
    ),
    Infliction(name="receiver: slow, outside", inflict=trouble(lambda mood: late(mood, 1))),
    Infliction(name="receiver: 410", inflict=gone),
)
EVERY = (*PROCESSES, *POSTGRES, *SQLITE, *RECEIVERS)


def on(kind: str) -> list[Infliction]:
    return [each for each in EVERY if kind in each.on]
