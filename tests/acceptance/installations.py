"""A Coursebell of a test's own: real processes, and the REST API as their only way in."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from acceptance.leaks import Secrets

COURSEBELL = (sys.executable, "-m", "coursebell")
PATIENCE = 60.0  # seconds in which what is waited for happens even on a busy machine
UNANSWERED = (OSError, http.client.HTTPException)  # what a client sees of a killed server
_POLL = 0.05


def wait_until(true: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Return as soon as `true()` is; fail after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(_POLL)


class Installation:
    """A database with an organization in it, to start servers on.

    `settings` are environment variables besides; `through` is a command that starts the processes
    in another world, as `nsenter` does; `options` are given to `serve`. `secrets` are all that were
    ever made here.
    """

    def __init__(
        self,
        database_url: str,
        secret_key: str,
        directory: Path,
        *,
        settings: Mapping[str, str] | None = None,
        through: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("COURSEBELL_") or name.startswith("COURSEBELL_TEST_")
        }
        self.environment = {
            **inherited,
            "COURSEBELL_DATABASE_URL": database_url,
            "COURSEBELL_SECRET_KEY": secret_key,
            "COURSEBELL_ALLOWED_NETWORKS": "127.0.0.0/8",
            "COURSEBELL_PUBLIC_URL": "https://bell.example",
            "COURSEBELL_LOG_FORMAT": "json",
            **(settings or {}),
        }
        self._command = (*through, *COURSEBELL)
        self._options = options
        self.is_postgres = database_url.startswith("postgres")
        self._directory = directory
        self._servers: list[Server] = []
        init = self.run("init", "--organization", "Harbour School")
        assert init.returncode == 0, init.stderr
        self.token = init.stdout.splitlines()[-1]
        self.secrets = [each for each in (secret_key, self.token) if each]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command that ends by itself."""
        return subprocess.run(
            [*self._command, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def serve(self) -> Server:
        """A running `coursebell serve` that answers."""
        log = self._directory / f"serve-{len(self._servers)}.log"
        server = Server(
            self._command, self.environment, log, self.token, self.secrets, options=self._options
        )
        self._servers.append(server)
        wait_until(lambda: server.is_ready() or not server.is_alive(), "the server is ready")
        assert server.is_alive(), server.log
        return server

    @property
    def log(self) -> str:
        """All that the processes of its servers have said."""
        return "".join(server.log for server in self._servers)

    def close(self) -> None:
        """Leave no process behind, whatever state they are in. They have told no secret."""
        for server in self._servers:
            server.close()
        assert Secrets(self.secrets).found_in(self.log) == [], "a secret is in the log"


class Server:
    """The processes of one `coursebell serve`."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        token: str,
        secrets: list[str],
        *,
        options: Sequence[str] = (),
    ) -> None:
        self._log = log
        self._token = token
        self._secrets = secrets
        self._host = ""
        lifeline, held = os.pipe()  # it ends with this process, however that ends
        self._held: int | None = held
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [*command, "serve", "--port", "0", "--lifeline", str(lifeline), *options],
                env=environment,
                pass_fds=(lifeline,),
                stdin=subprocess.DEVNULL,
                stderr=stderr,
            )
        os.close(lifeline)
        self._known: set[int] = set()

    @property
    def log(self) -> str:
        """All that its processes have said."""
        return self._log.read_text()

    @property
    def host(self) -> str:
        """Where it listens; empty before it does."""
        if not self._host:
            said = re.search(r"^Coursebell serves http://(\S+)", self.log, re.MULTILINE)
            self._host = said[1] if said else ""
        return self._host

    def client(self, token: str | None = None) -> Client:
        """The administrator, or whose token it is."""
        return Client(self.host, token or self._token, self._secrets)

    def look_at(self, path: str) -> tuple[int, str]:
        """The status and text of a page outside the API."""
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def is_ready(self) -> bool:
        return bool(self.host) and self.look_at("/readyz")[0] == HTTPStatus.OK

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def children(self) -> dict[str, list[int]]:
        """The children by what they run, `api` or `dispatch`; without those that have died."""
        found: dict[str, list[int]] = {}
        for pid in _child_pids(self.process.pid):
            self._known.add(pid)
            for name in {"api", "dispatch"}.intersection(_command_line(pid)):
                found.setdefault(name, []).append(pid)
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait for the end; the exit code."""
        self.children()
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def left_behind(self) -> list[int]:
        """Children that were seen at some time and still live."""
        return [pid for pid in self._known if _command_line(pid)]

    def close(self) -> None:
        if self.is_alive():
            self.children()
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE / 2)
        if self._held is not None:
            os.close(self._held)
            self._held = None
        self.process.kill()
        self.process.wait()
        for pid in self.left_behind():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _child_pids(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _command_line(pid: int) -> list[str]:
    """Empty when it has ended; a zombie has none either."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the API said."""

    status: int
    location: str
    text: str

    @property
    def document(self) -> Any:
        return json.loads(self.text)


class Client:
    """A program that uses the REST API with a token, over one connection. Not thread-safe.

    `secrets` collects those that it is answered.
    """

    def __init__(self, host: str, token: str, secrets: list[str]) -> None:
        self._secrets = secrets
        self._connection = http.client.HTTPConnection(host, timeout=PATIENCE)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def ask(self, method: str, resource: str, body: object = None) -> Answer:
        """One request, whatever is answered. Raises `UNANSWERED`."""
        content = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, f"/api/v5/{resource}", content, self._headers)
            response = self._connection.getresponse()
            text = response.read().decode()
        except UNANSWERED:
            self._connection.close()
            raise
        self._secrets += re.findall(r'"secret":"([^"]+)"', text)
        location = response.headers.get("Location", "")
        return Answer(status=response.status, location=location, text=text)

    def do(self, method: str, resource: str, body: object = None) -> Answer:
        """One request that must succeed."""
        answer = self.ask(method, resource, body)
        assert answer.status < 400, f"{method} {resource}: {answer.status} {answer.text}"
        return answer

    def get(self, resource: str) -> Any:
        return self.do("GET", resource).document

    def create(self, collection: str, **body: object) -> str:
        """The id of the new one."""
        return self.do("POST", collection, body).location.rpartition("/")[2]

    def connect(self, url: str, *events: str, **body: object) -> tuple[str, str]:
        """A new webhook's id and secret."""
        made = self.do("POST", "webhooks", {"url": url, "events": events, **body}).document
        return made["id"], made["secret"]

    def list(self, collection: str, **filters: object) -> list[Any]:
        """All pages of a list."""
        return [each for page in self._pages(collection, filters) for each in page["results"]]

    def _pages(self, collection: str, filters: Mapping[str, object]) -> Iterator[Any]:
        offset, more = 0, True
        while more:
            query = urlencode({**filters, "limit": 100, "offset": offset})
            page = self.get(f"{collection}?{query}")
            yield page
            offset, more = offset + 100, "next" in page
