"""Killers: threads that end processes of Ray's at random, with a seed that is printed."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable

import psutil

_GROWN = 1.0
"""Seconds that a process is left alone."""


def workers() -> list[psutil.Process]:
    """The processes that work for this program: tasks' and actors', idle ones too."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.name().startswith("ray::") and not process.name().endswith("Agent"):
                found.append(process)
    return found


class Killer:
    """Sends SIGKILL to one worker now and then, while it is entered.

    pause: the least and the most seconds between two kills.   choose: which of the processes it may take.
    """

    def __init__(
        self, seed: int, pause: tuple[float, float], choose: Callable[[psutil.Process], bool] = lambda p: True
    ):
        self.kills = 0
        self._random = random.Random(seed)
        self._pause, self._choose = pause, choose
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="killer", daemon=True)

    def _work(self) -> None:
        while not self._end.wait(self._random.uniform(*self._pause)):
            with contextlib.suppress(psutil.Error):
                old = time.time() - _GROWN  # who kills what is just being started lets nobody work
                victims = [p for p in workers() if p.create_time() < old and self._choose(p)]
                if victims:
                    self._random.choice(sorted(victims, key=lambda p: p.pid)).kill()
                    self.kills += 1

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._end.set()
        self._thread.join()
