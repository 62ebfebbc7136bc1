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
from itertools import chain, count
from pathlib import Path

from acceptance.installations import wait_until
from faults.floods import Flood
from faults.manners import OUTCOMES, Mood, closes, late
from faults.scenes import Scene, answers_again, refuses_to_write
from faults.troubles import gone, moved, nobody, treated, trouble, unknown_certificate

BACK = 90.0  # seconds in which a scene that is no longer hurt answers
CHILDREN = ("api", "dispatch")
UNTRIED = '"dispatcher.descriptors"'  # what a dispatcher logs of deliveries that it could not try


@dataclass(frozen=True, slots=True, kw_only=True)
class Infliction:
    """`inflict` returns when the scene is whole again, as far as that is the inflictor's part.

    `kills`: how many times a dispatcher dies that may have sent what it did not write down.
    """

    name: str
    inflict: Callable[[Scene, random.Random], None]
    kills: int = 0
    on: Sequence[str] = ("sqlite", "postgres")


def kill(*names: str) -> Callable[[Scene, random.Random], None]:
    """`kill -9` of one child of each name, and wait until `serve` has started others."""

    def inflict(scene: Scene, _: random.Random) -> None:
        server = scene.server
        wait_until(lambda: server.children().keys() >= set(names), "the children are there")
        before = server.children()
        victims = {before[name][0] for name in names}
        for pid in victims:
            os.kill(pid, signal.SIGKILL)

        def are_replaced() -> bool:
            now = server.children()
            return all(len(set(now.get(name, ())) - victims) >= len(before[name]) for name in names)

        wait_until(are_replaced, "others have taken their places")
        wait_until(answers_again(scene), "the server answers again", BACK)

    return inflict


def kill_all(scene: Scene, _: random.Random) -> None:
    """`kill -9` of `serve` itself and its children, at once; the operator starts another."""
    for pid in (scene.server.process.pid, *chain(*scene.server.children().values())):
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


def suspend(name: str) -> Callable[[Scene, random.Random], None]:
    """SIGSTOP for a while, as a machine does that swaps."""

    def inflict(scene: Scene, rng: random.Random) -> None:
        pid = _child(scene, name)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(rng.uniform(1, 4))
        os.kill(pid, signal.SIGCONT)

    return inflict


def starve_api(scene: Scene, rng: random.Random) -> None:
    """No descriptor left: there are clients whose connections cannot be taken."""
    pid, answers = _child(scene, "api"), answers_again(scene)
    time.sleep(1)  # the last things of its start
    with no_descriptors(pid, lambda: not answers()):
        time.sleep(rng.uniform(1, 4))


def starve_dispatcher(scene: Scene, rng: random.Random) -> None:
    """No descriptor left, while receivers close connections, so that others are needed."""
    pid = _child(scene, "dispatch")
    with treated(scene.webhooks, closes(Mood())):
        time.sleep(1)  # until connections that were kept are gone
        told = scene.server.log.count(UNTRIED)
        with no_descriptors(pid, lambda: scene.server.log.count(UNTRIED) > told):
            time.sleep(rng.uniform(1, 4))


@contextmanager
def no_descriptors(pid: int, is_felt: Callable[[], bool]) -> Iterator[None]:
    """RLIMIT_NOFILE so low that a process opens no more files and sockets, and feels it."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    def starve() -> bool:
        taken = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
        lowest = next(number for number in count() if number not in taken)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, before[1]))
        return is_felt()

    try:
        wait_until(starve, "descriptors are missed")
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def _child(scene: Scene, name: str) -> int:
    """One that has started: its loop has an event to be woken by."""

    def find() -> Iterator[int]:
        for pid in scene.server.children().get(name, ()):
            with suppress(FileNotFoundError, ProcessLookupError):
                opened = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
                if "anon_inode:[eventfd]" in opened:
                    yield pid

    wait_until(lambda: any(find()), f"{name} has started")
    return next(find())


def cluster_away(mode: str) -> Callable[[Scene, random.Random], None]:
    """PostgreSQL stopped, and started again after a while."""

    def inflict(scene: Scene, rng: random.Random) -> None:
        assert scene.cluster is not None
        scene.cluster.stop(mode)
        assert not answers_again(scene)(), "ready without a database"
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
    cut = 0
    for _ in range(rng.randint(1, 5)):
        cut += scene.cluster.cut()
        time.sleep(rng.uniform(0.2, 1))
    assert cut > 0, "there was nothing to cut"
    wait_until(answers_again(scene), "the server answers again", BACK)


def disk_full(scene: Scene, rng: random.Random) -> None:
    assert scene.disk is not None
    scene.disk.fill()
    wait_until(refuses_to_write(scene), "the full disk is felt", BACK)
    time.sleep(rng.uniform(0, 4))
    scene.disk.empty()
    wait_until(answers_again(scene), "the server answers again", BACK)


def disk_read_only(scene: Scene, rng: random.Random) -> None:
    """As after an error of the disk: the processes die, and their successors may only read."""
    assert scene.disk is not None
    parent = scene.server.process.pid
    children = list(chain(*scene.server.children().values()))
    os.kill(parent, signal.SIGSTOP)  # it would be too quick
    try:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        scene.make_read_only()
    finally:
        os.kill(parent, signal.SIGCONT)
    time.sleep(rng.uniform(3, 8))  # long enough for others to start and meet it
    scene.disk.make_writable()
    wait_until(answers_again(scene), "the server answers again", BACK)


def database_locked(scene: Scene, rng: random.Random) -> None:
    """Another program holds SQLite's write lock, for longer than a writer waits."""

    def meanwhile() -> None:
        wait_until(refuses_to_write(scene), "the lock is felt", BACK)
        time.sleep(rng.uniform(0, 4))

    scene.hold_write_lock(meanwhile)


def flood(scene: Scene, rng: random.Random) -> None:
    """Many more requests than the server takes on at once."""
    crowd = Flood(scene)
    crowd.run(rng.uniform(1, 4))
    assert crowd.answers[200] > 0, crowd.answers
    assert crowd.answers.keys() <= {200, 201, 503, 0}, crowd.answers
    assert crowd.hinted == crowd.answers[503], "a 503 did not say when to come again"


PROCESSES = (
    Infliction(name="kill -9 of the API", inflict=kill("api")),
    Infliction(name="kill -9 of the dispatcher", inflict=kill("dispatch"), kills=1),
    Infliction(name="kill -9 of both", inflict=kill(*CHILDREN), kills=1),
    Infliction(name="kill -9 of everything", inflict=kill_all, kills=1),
    Infliction(name="kill -9 of serve alone", inflict=orphan),
    Infliction(name="SIGTERM and start", inflict=stop_in_order),
    Infliction(name="dispatcher suspended", inflict=suspend("dispatch")),
    Infliction(name="API suspended", inflict=suspend("api")),
    Infliction(name="API without descriptors", inflict=starve_api),
    Infliction(name="dispatcher without descriptors", inflict=starve_dispatcher),
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
    Infliction(name="receiver: refused", inflict=moved("connect", nobody)),
    Infliction(name="receiver: unknown certificate", inflict=moved("tls", unknown_certificate)),
)
EVERY = (*PROCESSES, *POSTGRES, *SQLITE, *RECEIVERS)


def on(kind: str) -> list[Infliction]:
    return [each for each in EVERY if kind in each.on]
