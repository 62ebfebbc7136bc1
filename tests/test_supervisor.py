"""Keeping processes alive and ending them, with real processes and real signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.errors import ConfigurationError
from coursebell.supervisor import CONFIGURATION_EXIT, Patience, next_delay, open_listener

# What every child starts with: it leaves a file with its process id, named for its start.
CHILD = """
import os, signal, socket, sys, time
from pathlib import Path
from coursebell.supervisor import die_with_parent

name, here = sys.argv[1], Path(sys.argv[2])
die_with_parent(int(sys.argv[-1]), farewell=0.2)

def say(what):
    (here / f"{name}.{what}").write_text(str(os.getpid()))

def finish(*_):
    say("finished")
    sys.exit(0)
"""
PATIENT = "signal.signal(signal.SIGTERM, finish); say('up'); time.sleep(60)"
SLOW = """
def finish_slowly(*_):
    say("stopping")
    time.sleep(0.3)
    finish()

signal.signal(signal.SIGTERM, finish_slowly)
say("up")
time.sleep(60)
"""
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); say('up'); time.sleep(60)"
MISCONFIGURED = "sys.exit(os.EX_CONFIG)"
ANSWERING = """
signal.signal(signal.SIGTERM, finish)
listener = socket.socket(fileno=int(sys.argv[3]))
say("up")
while True:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(str(os.getpid()).encode())
"""

PARENT = """
import json, sys
from coursebell import logs
from coursebell.errors import ConfigurationError
from coursebell.supervisor import Child, Patience, Supervisor

logs.configure(as_json=True)
plan = json.loads(sys.argv[1])
children = [Child(**child) for child in plan["children"]]
try:
    Supervisor(children, Patience(**plan["patience"])).run()
except ConfigurationError as exc:
    sys.exit(exc.message)
"""


class Family:
    """A supervisor in a process of its own, with children that leave notes in `here`."""

    def __init__(self, here: Path) -> None:
        self.here = here
        self.parent: subprocess.Popen[str] | None = None

    def start(self, inherits: tuple[int, ...] = (), patience: dict | None = None, **bodies: str):
        children = [self._child(name, body, inherits) for name, body in bodies.items()]
        self.start_argv(children, inherits, patience)

    def start_argv(self, children: list[dict], inherits=(), patience: dict | None = None) -> None:
        plan = {"children": children, "patience": patience or {"first_restart": 0.01}}
        self.parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, json.dumps(plan)],
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=inherits,
        )

    def _child(self, name: str, body: str, inherits: tuple[int, ...]) -> dict:
        script = self.here / f"{name}.py"
        script.write_text(CHILD + textwrap.dedent(body))
        argv = [sys.executable, str(script), name, str(self.here), *map(str, inherits)]
        return {"name": name, "argv": argv, "inherits": inherits}

    def note(self, name: str, what: str = "up", other_than: int = 0) -> int:
        """The process id in a child's note, waited for."""
        path = self.here / f"{name}.{what}"
        return until(lambda: pid if (pid := number_in(path)) != other_than else 0)

    def end(self) -> tuple[int, str]:
        """The supervisor's exit code and everything said on stderr."""
        _, said = self.parent.communicate(timeout=30)
        return self.parent.returncode, said


def number_in(path: Path) -> int:
    try:
        return int(path.read_text() or 0)
    except FileNotFoundError:
        return 0


def until(found: Callable[[], int], seconds: float = 30) -> int:
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return value


def is_gone(pid: int) -> bool:
    """Neither running nor waiting to be reaped by whoever adopts orphans here."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    family = Family(tmp_path)
    yield family
    if family.parent is not None:
        family.parent.kill()
        family.parent.communicate()
    for note in tmp_path.glob("*.up"):
        if not is_gone(number_in(note)):
            os.kill(number_in(note), signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_every_child_finish_and_ends_the_whole_with_0(family, number):
    family.start(api=PATIENT, dispatcher=PATIENT)
    pids = [family.note("api"), family.note("dispatcher")]

    family.parent.send_signal(number)

    code, said = family.end()
    assert code == 0
    assert [family.note("api", "finished"), family.note("dispatcher", "finished")] == pids
    assert '"child.stopped"' in said


def test_a_dead_child_is_started_again_and_its_death_is_logged(family):
    family.start(api=PATIENT, dispatcher=PATIENT)
    first, other = family.note("dispatcher"), family.note("api")

    os.kill(first, signal.SIGKILL)
    second = family.note("dispatcher", other_than=first)
    os.kill(second, signal.SIGKILL)
    third = family.note("dispatcher", other_than=second)

    assert number_in(family.here / "api.up") == other
    family.parent.terminate()
    code, said = family.end()
    assert code == 0
    assert is_gone(third)
    deaths = [line for line in map(json.loads, said.splitlines()) if line["event"] == "child.died"]
    assert [death["pid"] for death in deaths] == [first, second]
    assert {death["exit_code"] for death in deaths} == {-signal.SIGKILL}
    assert [death["restart_in_seconds"] for death in deaths] == [0.01, 0.02]


def test_a_child_that_will_not_finish_is_killed(family):
    family.start(stubborn=STUBBORN, patience={"farewell": 0.1})
    pid = family.note("stubborn")

    family.parent.terminate()

    code, said = family.end()
    assert code == 0
    assert is_gone(pid)
    assert '"child.killed"' in said


def test_somebody_who_insists_ends_the_waiting(family):
    family.start(stubborn=STUBBORN, patience={"farewell": 3600, "insistence": 0})
    pid = family.note("stubborn")

    family.parent.send_signal(signal.SIGINT)
    until(lambda: '"supervisor.stopping"' in read_some(family))
    family.parent.send_signal(signal.SIGINT)

    code, _ = family.end()
    assert code == 0
    assert is_gone(pid)


def test_the_same_signal_twice_at_once_still_lets_children_finish(family):
    family.start(slow=SLOW, patience={"insistence": 3600})
    pid = family.note("slow")

    for _ in range(3):
        family.parent.terminate()
        family.note("slow", "stopping")

    assert family.end()[0] == 0
    assert family.note("slow", "finished") == pid


def read_some(family: Family) -> str:
    return family.parent.stderr.readline()


@pytest.mark.parametrize("body", [PATIENT, STUBBORN])
def test_no_child_outlives_a_parent_that_was_killed(family, body):
    family.start(api=body, dispatcher=body)
    pids = [family.note("api"), family.note("dispatcher")]

    family.parent.kill()

    until(lambda: all(map(is_gone, pids)))


def test_a_child_that_cannot_run_as_configured_stops_the_whole_with_a_message(family):
    family.start(api=PATIENT, dispatcher=MISCONFIGURED)

    code, said = family.end()

    assert code == 1
    assert said.endswith("The dispatcher cannot run like this; see above.\n")
    assert said.count('"child.died"') == 1
    assert is_gone(number_in(family.here / "api.up") or family.parent.pid)


def test_a_child_that_cannot_be_started_is_tried_again(family):
    family.start_argv([{"name": "api", "argv": ["/nowhere/at/all"]}])

    tries = [read_some(family) for _ in range(2)]
    family.parent.terminate()

    code, _ = family.end()
    assert code == 0
    assert all('"child.not_started"' in line for line in tries)


def test_no_connection_is_refused_while_the_child_that_answers_restarts(family):
    with open_listener("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        family.start(api=ANSWERING, inherits=(listener.fileno(),))
        answers = [int(ask(address))]

        for _ in range(3):
            os.kill(answers[-1], signal.SIGKILL)
            answers.append(int(ask(address)))

    assert len(set(answers)) == 4
    family.parent.terminate()
    assert family.end()[0] == 0


def ask(address: tuple[str, int]) -> bytes:
    """What the child says; asked again when it was killed with the connection in its hands."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.create_connection(address, timeout=30) as connection:
            try:
                if said := connection.recv(100):
                    return said
            except ConnectionResetError:
                pass
    raise AssertionError("no answer")


def test_the_address_to_listen_on_may_be_ipv6_and_the_port_any():
    with open_listener("::1", 0) as listener:
        assert listener.family == socket.AF_INET6
        assert listener.getsockname()[1] > 0


def test_an_address_in_use_is_a_configuration_error():
    with open_listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]

        with pytest.raises(
            ConfigurationError,
            match=f"127.0.0.1 port {port}: Address already in use. Choose others",
        ):
            open_listener("127.0.0.1", port)


def test_a_host_that_is_none_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match=r"Cannot listen on not an address: "):
        open_listener("not an address", 0)


def test_a_restart_waits_twice_as_long_at_each_death_up_to_ten_seconds():
    delays = [0.0]
    for _ in range(10):
        delays.append(next_delay(delays[-1], lived=1, patience=Patience()))

    assert delays[1:] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10]


@given(st.floats(min_value=0, max_value=10), st.floats(min_value=0, max_value=1e6))
def test_a_child_that_proved_itself_starts_again_at_once(previous, lived):
    patience = Patience()

    delay = next_delay(previous, lived, patience)

    assert patience.first_restart <= delay <= patience.last_restart or delay == previous * 2
    if lived >= patience.proven:
        assert delay == patience.first_restart


def test_the_exit_code_for_a_configuration_error_is_the_customary_one():
    assert CONFIGURATION_EXIT == 78
