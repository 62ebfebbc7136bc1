"""A throw-away installation in processes of its own, and a customer who uses it over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from coursebell.errors import CoursebellError
from coursebell.settings import PREFIX, TEST_PREFIX, variable

PATIENCE = 30.0  # seconds in which what is waited for happens, or never
_LINES = 20  # of what the server said, for when it fails
_COURSEBELL = (sys.executable, "-m", "coursebell")


class TrialError(CoursebellError):
    """Something did not go as it should."""


@contextmanager
def server(directory: Path, organization: str) -> Iterator[tuple[str, str]]:
    """The address of a running server, and its administrator's token.

    It keeps everything in `directory` and ends with this process, however that ends.
    """
    environment = _environment(directory)
    token = _init(environment, organization)
    lifeline, held = os.pipe()
    process = subprocess.Popen(  # noqa: S603 our own command line
        [*_COURSEBELL, "serve", "--port", "0", "--lifeline", str(lifeline)],
        env=environment,
        pass_fds=(lifeline,),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    os.close(lifeline)
    said = _Said(process.stderr)
    try:
        yield said.address(), token
    finally:
        process.terminate()
        process.wait()
        os.close(held)
        said.end()


def _environment(directory: Path) -> dict[str, str]:
    """This process's, without the settings of whatever else runs here."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) or name.startswith(TEST_PREFIX)
    }
    return {
        **inherited,
        variable("database_url"): f"sqlite:///{directory / 'coursebell.db'}",
        variable("allowed_networks"): "127.0.0.1/32",
        variable("log_format"): "json",
        variable("log_level"): "warning",
    }


def _init(environment: Mapping[str, str], organization: str) -> str:
    done = subprocess.run(  # noqa: S603 our own command line
        [*_COURSEBELL, "init", "--organization", organization],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise TrialError(done.stderr)
    return done.stdout.splitlines()[-1]


class _Said:
    """What the server says on stderr, read on a thread so that it never has to wait."""

    def __init__(self, stream: IO[str] | None) -> None:
        assert stream is not None  # noqa: S101 it was opened as a pipe
        self._stream = stream
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._address: str | None = None
        self._known = threading.Event()
        self._thread = threading.Thread(target=self._read, name="server's stderr", daemon=True)
        self._thread.start()

    def address(self) -> str:
        """Where it serves, as soon as it says so. Raises `TrialError`."""
        self._known.wait(PATIENCE)
        if self._address is None:
            raise TrialError(f"The server did not start: {' '.join(self._lines)}")
        return self._address

    def end(self) -> None:
        self._thread.join()
        self._stream.close()

    def _read(self) -> None:
        for line in self._stream:
            self._lines.append(line)
            words = line.split()
            if words[:2] == ["Coursebell", "serves"]:
                self._address = words[2]
                self._known.set()
        self._known.set()


class Customer:
    """Uses the REST API with a token, as a customer's program would."""

    def __init__(self, address: str, token: str) -> None:
        self._host = urlsplit(address).netloc
        self._token = token

    def create(self, collection: str, body: Mapping[str, object]) -> str:
        """Create something; its id."""
        headers, _ = self._request("POST", collection, body)
        return str(headers["Location"]).rpartition("/")[2]

    def connect(self, body: Mapping[str, object]) -> tuple[str, str]:
        """Create a webhook; its id and its secret."""
        _, answer = self._request("POST", "webhooks", body)
        return answer["id"], answer["secret"]

    def send(self, method: str, resource: str, body: Mapping[str, object]) -> None:
        """Change something."""
        self._request(method, resource, body)

    def read(self, resource: str) -> Any:
        """What a resource says."""
        return self._request("GET", resource, None)[1]

    def _request(
        self, method: str, resource: str, body: Mapping[str, object] | None
    ) -> tuple[Message, Any]:
        connection = http.client.HTTPConnection(self._host, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        with closing(connection):
            connection.request(method, f"/api/v5/{resource}", content, headers)
            response = connection.getresponse()
            text = response.read().decode()
        if response.status >= 400:
            raise TrialError(f"{method} {resource} was answered {response.status}: {text}")
        return response.headers, json.loads(text) if text else None
