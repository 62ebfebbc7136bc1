"""A small file system in a mount namespace of its own: to be filled, and made read-only."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_ROOMY = "2g"
_CLONE_FS, _CLONE_NEWNS = 0x200, 0x20000  # of <sched.h>


def can_mount() -> bool:
    """Whether this process may make mount namespaces."""
    if os.geteuid() != 0 or not all(shutil.which(each) for each in ("unshare", "nsenter", "mount")):
        return False
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


class Disk:
    """A file system that only the processes started `through` it see at `path`."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="coursebell-disk-", dir="/tmp"))
        mount = f"mount -t tmpfs -o size={_ROOMY} tmpfs {self.path} && echo mounted && read line"
        self._keeper = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", mount],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == "mounted\n"
        # SQLite follows links, so /proc/PID/root does not lead it there: a thread has to go
        self._envoy = ThreadPoolExecutor(1, "envoy", self._enter)

    @property
    def through(self) -> tuple[str, ...]:
        """What starts a command there."""
        return ("nsenter", f"--mount=/proc/{self._keeper.pid}/ns/mnt", "--")

    def inside(self, work: Callable[[], T]) -> T:
        """What `work` gives on a thread of this process that sees the file system."""
        return self._envoy.submit(work).result()

    def fill(self) -> None:
        """Not a page more fits until `empty`: the file system is as small as what is on it."""
        files = self.inside(lambda: os.statvfs(self.path))
        self._remount(f"size={(files.f_blocks - files.f_bfree) * files.f_frsize}")

    def empty(self) -> None:
        self._remount(f"size={_ROOMY}")

    def make_read_only(self) -> None:
        """Raises CalledProcessError while a process has a file open for writing."""
        self._remount("ro")

    def make_writable(self) -> None:
        self._remount("rw")

    def close(self) -> None:
        """The file system goes when its last process has ended."""
        self._envoy.shutdown()
        self._keeper.communicate("end\n")
        shutil.rmtree(self.path, ignore_errors=True)

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/proc/{self._keeper.pid}/ns/mnt").open() as world:
            if libc.unshare(_CLONE_FS) or libc.setns(world.fileno(), _CLONE_NEWNS):
                raise OSError(ctypes.get_errno(), "the thread cannot enter the namespace")

    def _remount(self, options: str) -> None:
        subprocess.run(
            [*self.through, "mount", "-o", f"remount,{options}", str(self.path)],
            check=True,
            capture_output=True,
        )
