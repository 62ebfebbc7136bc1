"""Keeps a few child processes alive, and lets none outlive their parent.

The parent holds the write end of a pipe, the lifeline; each child inherits the read end and calls
`die_with_parent` at its start. When the parent goes, however it goes, the kernel closes the write
end and the children stop themselves. No process id is ever remembered in a file.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from coursebell import logs
from coursebell.errors import ConfigurationError

FAREWELL = 10.0  # seconds that a process gets to finish what it has begun
CONFIGURATION_EXIT = os.EX_CONFIG  # a child's exit code when starting it again cannot help

_BACKLOG = 2048  # connections that wait while a child restarts; the kernel may allow fewer
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_log = logs.logger("supervisor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A process to keep running. `argv` gets `--lifeline FD` appended."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)  # on top of the parent's
    inherits: Sequence[int] = ()  # file descriptors to keep open in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the supervisor waits for what, in seconds."""

    first_restart: float = 0.1  # doubled at each further death
    last_restart: float = 10.0  # where doubling ends
    proven: float = 30.0  # a child that lived this long starts from `first_restart` again
    farewell: float = FAREWELL  # what a child gets to finish before SIGKILL
    insistence: float = 1.0  # a signal so much later than the first ends the waiting


class Supervisor:
    """Runs `children` until told to stop by SIGTERM, SIGINT or SIGHUP; belongs in a main thread."""

    def __init__(self, children: Sequence[Child], patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._lifeline, self._held = os.pipe()
        self._posts = [_Post(child, self._patience, self._lifeline) for child in children]
        self._stop_asked = 0.0  # monotonic; 0: not yet
        self._insisted = False
        self._misconfigured: str | None = None

    def run(self) -> None:
        """Return when all children have ended after a signal.

        Raises `ConfigurationError` when a child ended with `CONFIGURATION_EXIT`: it has said on
        stderr what is wrong, and the others were stopped.
        """
        try:
            with self._signals() as wake:
                self._watch(wake)
                self._bury(wake)
        finally:
            os.close(self._held)
            os.close(self._lifeline)
        if self._misconfigured is not None:
            raise ConfigurationError(f"The {self._misconfigured} cannot run like this; see above.")

    def _watch(self, wake: socket.socket) -> None:
        while not self._stop_asked and self._misconfigured is None:
            now = time.monotonic()
            for post in self._posts:
                if post.tend(now) == CONFIGURATION_EXIT:
                    self._misconfigured = post.name
            waits = (post.seconds_to_start(now) for post in self._posts)
            _wait(wake, min((wait for wait in waits if wait is not None), default=None))

    def _bury(self, wake: socket.socket) -> None:
        """Ask all children to finish, then wait for them; another signal ends the waiting."""
        _log.info("supervisor.stopping")
        deadline = time.monotonic() + self._patience.farewell
        for post in self._posts:
            post.send(signal.SIGTERM)
        while any(post.is_alive() for post in self._posts):
            left = deadline - time.monotonic()
            if left <= 0 or self._insisted:
                break
            _wait(wake, left)
        for post in self._posts:
            post.kill()

    @contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """While open, signals are counted and make the socket readable."""
        wake, ring = socket.socketpair()
        wake.settimeout(0)
        ring.settimeout(0)
        before = {number: signal.signal(number, self._ask_stop) for number in _STOP_SIGNALS}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        previous_fd = signal.set_wakeup_fd(ring.fileno(), warn_on_full_buffer=False)
        try:
            yield wake
        finally:
            signal.set_wakeup_fd(previous_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            wake.close()
            ring.close()

    def _ask_stop(self, _number: int, _frame: object) -> None:
        # service managers and `timeout` send a signal to the process and to its group at once
        now = time.monotonic()
        self._stop_asked = self._stop_asked or now
        self._insisted = now - self._stop_asked > self._patience.insistence


class _Post:
    """One child's place: the process that fills it now, and when the next one may start."""

    def __init__(self, child: Child, patience: Patience, lifeline: int) -> None:
        self.name = child.name
        self._child = child
        self._patience = patience
        self._lifeline = lifeline
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._start_at = 0.0
        self._delay = 0.0

    def tend(self, now: float) -> int | None:
        """Start the child if it is due; the exit code of one that has just died."""
        code = self._reap(now)
        if self._process is None and now >= self._start_at and code != CONFIGURATION_EXIT:
            self._start(now)
        return code

    def seconds_to_start(self, now: float) -> float | None:
        """Until the next start is due; None while the child lives."""
        return None if self._process else max(0.0, self._start_at - now)

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End the process now if it still runs, and take its exit code."""
        if self._process is None:
            return
        if self.is_alive():
            _log.warning("child.killed", child=self.name, pid=self._process.pid)
            self._process.kill()
        code = self._process.wait()
        _log.info("child.stopped", child=self.name, pid=self._process.pid, exit_code=code)

    def _start(self, now: float) -> None:
        try:
            self._process = self._spawn()
        except OSError as exc:
            self._back_off(now, lived=0.0)
            _log.error("child.not_started", child=self.name, error=str(exc))
            return
        self._started = now
        _log.info("child.started", child=self.name, pid=self._process.pid)

    def _spawn(self) -> subprocess.Popen[bytes]:
        # A process group of its own: Ctrl-C in a terminal reaches the children through us, once.
        return subprocess.Popen(  # noqa: S603 our own command line
            [*self._child.argv, "--lifeline", str(self._lifeline)],
            env={**os.environ, **self._child.environment},
            pass_fds=(self._lifeline, *self._child.inherits),
            stdin=subprocess.DEVNULL,
            process_group=0,
        )

    def _reap(self, now: float) -> int | None:
        if self._process is None or (code := self._process.poll()) is None:
            return None
        lived = now - self._started
        self._back_off(now, lived)
        _log.error(
            "child.died",
            child=self.name,
            pid=self._process.pid,
            exit_code=code,
            lived_seconds=round(lived, 3),
            restart_in_seconds=None if code == CONFIGURATION_EXIT else self._delay,
        )
        self._process = None
        return code

    def _back_off(self, now: float, lived: float) -> None:
        self._delay = next_delay(self._delay, lived, self._patience)
        self._start_at = now + self._delay


def next_delay(previous: float, lived: float, patience: Patience) -> float:
    """Seconds until a dead child is started again, after `previous` the last time."""
    if previous == 0 or lived >= patience.proven:
        return patience.first_restart
    return min(previous * 2, patience.last_restart)


def die_with_parent(lifeline: int, *, farewell: float = FAREWELL) -> None:
    """In a child: stop as if by SIGTERM when the parent is gone; `farewell` seconds later, at once.

    `lifeline` is the file descriptor inherited for this.
    """
    threading.Thread(
        target=_wait_for_the_end, args=(lifeline, farewell), name="lifeline", daemon=True
    ).start()


def _wait_for_the_end(lifeline: int, farewell: float) -> None:
    os.read(lifeline, 1)  # returns when every write end is closed: the parent has gone
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(farewell)
    os._exit(os.EX_UNAVAILABLE)


def _wait(wake: socket.socket, seconds: float | None) -> None:
    """Until a signal comes, at most `seconds`."""
    select.select([wake], [], [], seconds)
    try:
        while wake.recv(4096):
            pass
    except BlockingIOError:
        pass


def open_listener(host: str, port: int) -> socket.socket:
    """A listening TCP socket to hand to a child: connections queue in it while the child restarts.

    Port 0 takes a free one. Raises `ConfigurationError` when the address cannot be listened on.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except socket.gaierror as exc:
        raise ConfigurationError(f"Cannot listen on {host}: {exc.strerror}.") from exc
    except OSError as exc:
        why = os.strerror(exc.errno or 0)  # create_server adds the address to its own
        raise ConfigurationError(
            f"Cannot listen on {host} port {port}: {why}. Choose others with --host and --port."
        ) from exc
