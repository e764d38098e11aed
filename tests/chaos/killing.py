"""Killers: threads that end processes of Ray's at random, with a seed that is printed."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable

import psutil

from tests.chaos.stages import KILLS, Stages
from tests.warm import is_server

_GROWN = 1.0
"""Seconds that a process is left alone."""


def seed() -> int:
    """A new seed each time, printed with a failure."""
    value = random.SystemRandom().randrange(10**6)
    print("seed", value)
    return value


def workers() -> list[psutil.Process]:
    """The processes that work for this program: tasks' and actors', idle ones too. Other programs' are left alone."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if is_resident(child):
                found.append(child)
            elif child.name() == "raylet" or is_server(child):
                found += [process for process in child.children(recursive=True) if _works(process)]
    return found


def _works(process: psutil.Process) -> bool:
    try:
        return process.name().startswith("ray::") and not process.name().endswith("Agent")
    except psutil.Error:
        return False


def is_busy(process: psutil.Process) -> bool:
    """True for a process of an actor, or of a task that runs."""
    return "IDLE" not in process.name()


def is_actor(process: psutil.Process) -> bool:
    """True for the process of a variable actor."""
    return "VariableAct" in process.name()


def is_resident(process: psutil.Process) -> bool:
    """True for the process of a resident."""
    return any("local_worker" in part for part in process.cmdline())


def kill(process: psutil.Process) -> None:
    """Kill a process. An idle worker of Ray's is dead for Ray too at the return.

    Ray keeps the CPU of a task for good if it leases a worker to it before it notices that the worker died idle: then
    later tests have fewer CPUs. It gives back what a busy one had.
    """
    of_ray = not is_busy(process) and not is_resident(process)
    process.kill()
    process.wait(10)
    while of_ray and process.pid in _alive_for_ray():
        time.sleep(0.005)


def _alive_for_ray() -> set[int]:
    from ray._private.state import state
    from ray.core.generated.gcs_pb2 import WorkerTableData

    rows = [WorkerTableData.FromString(row) for row in state._connect_and_get_accessor().get_worker_table()]
    return {row.pid for row in rows if row.is_alive}


class Killer:
    """Sends SIGKILL to one busy worker now and then, while it is entered, till it has killed enough.

    pause: the least and the most seconds between two kills.   choose: which of the processes it may take.
    stages: tells the stage that a kill falls into.
    paced: a step must end between two kills (`stepped`), and what is killed was there before that step began. So the
    kills follow what a step takes, and what it takes to start a process, on a busy machine too.
    """

    def __init__(
        self,
        seed: int,
        pause: tuple[float, float],
        enough: int,
        choose: Callable[[psutil.Process], bool] = is_busy,
        stages: Stages | None = None,
        paced: bool = False,
    ):
        self.kills = 0
        self.killed: set[int] = set()
        """The processes."""
        self.enough = enough
        self._random = random.Random(seed)
        self._pause, self._choose, self._stages, self._paced = pause, choose, stages, paced
        self._step = threading.Event()
        self._began = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="killer", daemon=True)

    @property
    def done(self) -> bool:
        """True once it has killed enough."""
        return self.kills >= self.enough

    def stepped(self, began: float) -> None:
        """A step that began then, as `time.time` tells, has ended."""
        self._began = began
        self._step.set()

    def _work(self) -> None:
        while not self.done and not self._end.wait(self._random.uniform(*self._pause)):
            if self._paced:
                while not self._step.wait(0.05):
                    if self._end.is_set():
                        return
                self._step.clear()
            with contextlib.suppress(psutil.Error):
                # Who kills what is just being started lets nobody work.
                old = self._began if self._paced else time.time() - _GROWN
                victims = [p for p in workers() if p.create_time() < old and self._choose(p)]
                if victims:
                    victim = self._random.choice(sorted(victims, key=lambda p: p.pid))
                    victim.kill()
                    self.killed.add(victim.pid)
                    self.kills += 1
                    KILLS[self._stages.now if self._stages else "at any moment"] += 1

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._end.set()
        self._thread.join()
