"""Where CPU time goes, seen by looking at the stack again and again.

Cheap enough to leave the proportions as they are, unlike a tracing profiler, and needs no
privileges. Each look is weighed with the CPU time since the look before, so that long calls into C,
during which Python cannot look, count in full.
"""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

_INTERVAL = 0.001  # seconds of CPU time; the kernel may look less often


class Sampler:
    """Tells the CPU seconds of each part, a part being a function by its qualified name.

    The innermost frame that belongs to a part decides. Works in the main thread only.
    """

    def __init__(self, parts: Mapping[str, str]) -> None:
        self._parts = parts  # "module:qualname" to the name of the part
        self._last = 0.0
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def watching(self) -> Iterator[None]:
        self._last = time.process_time()
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        now = time.process_time()
        self.seconds[self._part_of(frame)] += now - self._last
        self._last = now

    def _part_of(self, frame: FrameType | None) -> str:
        while frame is not None:
            name = f"{frame.f_globals.get('__name__')}:{frame.f_code.co_qualname}"
            if name in self._parts:
                return self._parts[name]
            frame = frame.f_back
        return "the rest"
