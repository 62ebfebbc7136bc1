"""`serve` and `dispatch` as real processes: they deliver, come back, and leave nobody behind."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coursebell.cli.reception import Receiver, Reception
from coursebell.cli.trial import Customer
from coursebell.storage.waking import OnlyDispatcher
from coursebell.supervisor import CONFIGURATION_EXIT

COURSEBELL = [sys.executable, "-m", "coursebell"]


@pytest.fixture
def environment(database_url, secret_key) -> dict[str, str]:
    return environment_for(database_url, secret_key)


@pytest.fixture
def sqlite_environment(sqlite_url, secret_key) -> dict[str, str]:
    return environment_for(sqlite_url, secret_key)


def environment_for(database_url: str, secret_key: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COURSEBELL_")}
    return {
        **inherited,
        "COURSEBELL_DATABASE_URL": database_url,
        "COURSEBELL_SECRET_KEY": secret_key,
        "COURSEBELL_ALLOWED_NETWORKS": "127.0.0.0/8",
        "COURSEBELL_LOG_FORMAT": "json",
    }


@pytest.fixture
def token(environment) -> str:
    made = coursebell(environment, "init")
    return made.stdout.splitlines()[-1]


def coursebell(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [*COURSEBELL, *arguments], env=environment, capture_output=True, text=True, check=False
    )


class Running:
    """A command that runs until told to stop, and what it says on stderr."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COURSEBELL, *arguments], env=environment, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self._new = threading.Condition()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for line in self.process.stderr:
            with self._new:
                self.lines.append(line)
                self._new.notify_all()

    def wait_for(self, wanted: Callable[[str], bool], number: int = 1) -> str:
        """The `number`th line that is wanted."""

        def found() -> list[str]:
            return [line for line in self.lines if wanted(line)][number - 1 : number]

        with self._new:
            assert self._new.wait_for(found, timeout=60), "".join(self.lines)
            return found()[0]

    def child(self, name: str, number: int = 1) -> int:
        """The process id of the `number`th start of a child."""
        line = self.wait_for(lambda line: '"child.started"' in line and f'"{name}"' in line, number)
        return json.loads(line)["pid"]

    @property
    def address(self) -> str:
        return self.wait_for(lambda line: line.startswith("Coursebell serves")).split()[2]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        self._thread.join()
        self.process.stderr.close()
        return code


@pytest.fixture
def start(environment) -> Iterator[Callable[..., Running]]:
    started = []

    def start(*arguments: str) -> Running:
        started.append(Running(environment, *arguments))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            running.end()


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read().decode()


@contextmanager
def receiving() -> Iterator[tuple[Receiver, queue.SimpleQueue[Reception]]]:
    seen: queue.SimpleQueue[Reception] = queue.SimpleQueue()
    with Receiver(answer=lambda _: 204, report=lambda one, _: seen.put(one)) as receiver:
        yield receiver, seen


def connect(customer: Customer, receiver: Receiver) -> None:
    hook = {"url": receiver.url, "events": ["user_created"], "retrySchedule": [1, 1, 1, 1]}
    _, secret = customer.connect(hook)
    receiver.secrets = [secret]


def create_user(customer: Customer, name: str) -> None:
    customer.create(
        "users", {"firstName": name, "lastName": "Lind", "email": f"{name}@harbour.example"}
    )


def test_the_api_commits_the_dispatcher_delivers_and_one_scrape_shows_both(start, token):
    server = start("serve", "--port", "0")
    customer = Customer(server.address, token)

    with receiving() as (receiver, seen):
        connect(customer, receiver)
        create_user(customer, "bo")
        reception = seen.get(timeout=60)

        assert reception.event.event == "user_created"
        scraped = f"{server.address}/metrics"
        until(lambda: 'attempts_total{outcome="delivered"} 1.0' in get(scraped)[1])

    assert get(f"{server.address}/healthz")[0] == 200
    assert get(f"{server.address}/readyz")[0] == 200
    pids = [server.child("API"), server.child("dispatcher")]
    assert server.end() == 0
    assert all(map(is_gone, pids))
    assert not any("Traceback" in line for line in server.lines)


def test_a_killed_process_comes_back_and_nothing_is_refused_or_lost(start, token):
    server = start("serve", "--port", "0")
    customer = Customer(server.address, token)

    with receiving() as (receiver, seen):
        connect(customer, receiver)
        for number, name in enumerate(("API", "dispatcher"), start=1):
            os.kill(server.child(name), signal.SIGKILL)
            server.child(name, number=2)
            create_user(customer, f"user{number}")
            assert seen.get(timeout=60).event is not None

    assert server.end(signal.SIGINT) == 0


def test_after_the_supervisor_was_killed_nobody_is_left_and_another_can_start(start, token):
    server = start("serve", "--port", "0")
    assert get(f"{server.address}/readyz")[0] == 200
    pids = [server.child("API"), server.child("dispatcher")]
    server.end(signal.SIGKILL)

    again = start("serve", "--port", "0")

    with receiving() as (receiver, seen):
        customer = Customer(again.address, token)
        connect(customer, receiver)
        create_user(customer, "bo")
        assert seen.get(timeout=60).event is not None
    assert all(map(is_gone, pids))
    assert again.end() == 0


def test_serve_refuses_an_empty_database_in_one_line(blank_sqlite_url, secret_key):
    outcome = coursebell(environment_for(blank_sqlite_url, secret_key), "serve", "--port", "0")

    assert outcome.returncode == 1
    path = blank_sqlite_url.removeprefix("sqlite:///")
    assert outcome.stderr == f"coursebell: The database is empty: {path}. Run: coursebell init\n"


@pytest.mark.parametrize("option", ["--api-workers", "--dispatchers"])
def test_an_sqlite_file_takes_one_process_of_each_kind(sqlite_environment, option):
    outcome = coursebell(sqlite_environment, "serve", "--port", "0", option, "2")

    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"coursebell: {option} 2 needs PostgreSQL: an SQLite file ")
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_with_postgres_there_are_as_many_processes_as_asked_for(start, token):
    running = start("serve", "--port", "0", "--api-workers", "2", "--dispatchers", "2")
    names = ["API", "API 2", "dispatcher", "dispatcher 2"]
    pids = {name: running.child(name) for name in names}
    customer = Customer(running.address, token)

    with receiving() as (receiver, seen):
        connect(customer, receiver)
        os.kill(pids["API"], signal.SIGSTOP)
        os.kill(pids["dispatcher"], signal.SIGSTOP)
        create_user(customer, "ada")
        reception = seen.get(timeout=60)
        os.kill(pids["API"], signal.SIGCONT)
        os.kill(pids["dispatcher"], signal.SIGCONT)

    assert len(set(pids.values())) == 4
    assert reception.event.event == "user_created"
    assert running.end() == 0
    assert all(is_gone(pid) for pid in pids.values())


def test_a_port_in_use_is_one_line_and_a_misspelt_setting_is_pointed_out(sqlite_environment):
    environment = {**sqlite_environment, "COURSEBELL_PUBLIC_ULR": "https://learn.example"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        outcome = coursebell(environment, "serve", "--port", port)

    warning, error = outcome.stderr.splitlines()
    assert outcome.returncode == 1
    assert "did you mean COURSEBELL_PUBLIC_URL?" in json.loads(warning)["problem"]
    assert error == (
        f"coursebell: Cannot listen on 127.0.0.1 port {port}: Address already in use."
        " Choose others with --host and --port."
    )


def test_a_child_that_cannot_run_as_configured_says_why_and_with_which_code(
    blank_sqlite_url, secret_key
):
    reading, writing = os.pipe()

    outcome = subprocess.run(
        [*COURSEBELL, "dispatch", "--lifeline", str(reading)],
        env=environment_for(blank_sqlite_url, secret_key),
        pass_fds=[reading],
        capture_output=True,
        text=True,
        check=False,
    )

    os.close(reading)
    os.close(writing)
    assert outcome.returncode == CONFIGURATION_EXIT
    path = blank_sqlite_url.removeprefix("sqlite:///")
    assert outcome.stderr == f"coursebell: The database is empty: {path}. Run: coursebell init\n"


def test_a_dispatcher_alone_delivers_and_serves_its_own_metrics(
    start, token, environment, free_port
):
    dispatcher = start("dispatch", "--metrics-port", str(free_port))

    with receiving() as (receiver, seen):
        add = ["webhook", "add", receiver.url, "--event", "user_created", "--json"]
        made = json.loads(coursebell(environment, *add).stdout)
        receiver.secrets = [made["secret"]]
        delivery = coursebell(environment, "webhook", "test", made["id"])
        reception = seen.get(timeout=60)

    assert delivery.returncode == 0
    assert reception.kind == "test"
    assert reception.event.event == "user_created"
    scraped = f"http://127.0.0.1:{free_port}/metrics"
    until(lambda: 'attempts_total{outcome="delivered"} 1.0' in get(scraped)[1])
    assert dispatcher.end() == 0


def test_an_sqlite_file_takes_one_dispatcher(sqlite_environment, sqlite_url):
    held = OnlyDispatcher(Path(sqlite_url.removeprefix("sqlite:///")))

    outcome = coursebell(sqlite_environment, "dispatch")

    held.release()
    assert outcome.returncode == 1
    assert "Another dispatcher is running" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_a_metrics_port_in_use_is_one_line(sqlite_environment):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        outcome = coursebell(sqlite_environment, "dispatch", "--metrics-port", port)

    assert outcome.returncode == 1
    assert outcome.stderr == f"coursebell: Cannot listen on port {port}: Address already in use.\n"
