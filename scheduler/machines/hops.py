"""Hops: the seconds from the caller to a thread of its process, or to a Ray task and back, measured in this program."""

from __future__ import annotations

import functools
import statistics
from contextlib import suppress
from time import perf_counter, sleep

from weftwork.actors.processes.messages import pack
from weftwork.actors.programs.exchange import Exchange, receive, send
from weftwork.scheduler.machines import backend
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.machines.life import FORGETTERS

_PLAUSIBLE = 10e-6
"""A measured hop below this many seconds is accepted at once."""
_TRIES, _PAUSE = 3, 3e-3
"""Maximum number of further measurements, and the seconds between them."""
_GUESSED_TASK_HOP = 1e-3
"""Seconds of a hop to a task, before it is measured."""
_ANSWERED_WITHIN = 5.0
"""Seconds for which a measurement waits: others may hold all CPUs."""

_task_hops: list[float] = []
FORGETTERS.append(_task_hops.clear)


def task_hop() -> float:
    """Seconds for a round trip from the caller to a task.

    It is a guess at first. It is measured meanwhile, which takes 0.2 s in a program that has sent no task yet.
    """
    if not _task_hops and backend.is_running():
        _task_hops.append(_GUESSED_TASK_HOP)
        borrow(1)[0].put(_measure_task_hop)
    return _task_hops[-1] if _task_hops else _GUESSED_TASK_HOP


def _measure_task_hop() -> None:
    """Measure round trips. The best quarter counts, because a run is under way."""
    with suppress(Exception):  # Ray is gone, or has no CPU for it: the guess stays
        took, message, of = [], pack(None), backend.life()
        for _ in range(7):
            start = perf_counter()
            backend.get(backend.asked(of, backend.nothing_task().remote, message), of, _ANSWERED_WITHIN)
            took.append(perf_counter() - start)
        if of.is_on():
            _task_hops.append(statistics.quantiles(took, n=4)[0])


@functools.cache
def thread_hop() -> float:
    """Seconds for a hop from one thread to another: half of a round trip.

    Other activity on the machine, such as the start of Ray, can make a hop look 40 times as long. So a long result is
    measured again a little later, and the smallest one counts.
    """
    least = _measured_hop()
    for _ in range(_TRIES):
        if least < _PLAUSIBLE:
            break
        sleep(_PAUSE)
        least = min(least, _measured_hop())
    return least


def _measured_hop() -> float:
    """Half of the best quarter of several round trips."""
    rounds = 12
    exchange = Exchange(None, 2 * rounds, 2)

    def answer() -> None:
        for number in range(rounds):
            receive(exchange, number=2 * number, slot=1)
            send(exchange, None, number=2 * number + 1, to=(0,))

    borrow(1)[0].put(answer)
    took = []
    for number in range(rounds):
        start = perf_counter()
        send(exchange, None, number=2 * number, to=(1,))
        receive(exchange, number=2 * number + 1, slot=0)
        took.append(perf_counter() - start)
    return statistics.quantiles(took, n=4)[0] / 2
