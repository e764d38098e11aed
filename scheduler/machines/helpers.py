"""Helper threads of the caller's process, and the time of a hop between threads."""

from __future__ import annotations

import functools
import statistics
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import perf_counter, sleep

from weftwork.actors.programs.exchange import Exchange, receive, send
from weftwork.graph.forks import children_end, fresh, in_child

_PLAUSIBLE = 10e-6
"""A measured hop below this many seconds is accepted at once."""
_TRIES, _PAUSE = 3, 3e-3
"""Maximum number of further measurements, and the seconds between them."""

_idle: list[SimpleQueue] = []
in_child(_idle.clear)
_lock = fresh(threading.Lock())


def _help(jobs: SimpleQueue) -> None:
    while True:
        job: Callable[[], None] = jobs.get()
        with children_end():
            job()
        del job
        with _lock:
            _idle.append(jobs)


def borrow(count: int) -> list[SimpleQueue]:
    """Queues of `count` idle helper threads. New threads are started if there are too few."""
    with _lock:
        helpers = [_idle.pop() for _ in range(min(count, len(_idle)))]
    while len(helpers) < count:
        jobs: SimpleQueue = SimpleQueue()
        threading.Thread(target=_help, args=(jobs,), name="weftwork-helper", daemon=True).start()
        helpers.append(jobs)
    return helpers


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
            receive(exchange, place=2 * number, slot=1)
            send(exchange, None, place=2 * number + 1, to=(0,))

    borrow(1)[0].put(answer)
    took = []
    for number in range(rounds):
        start = perf_counter()
        send(exchange, None, place=2 * number, to=(1,))
        receive(exchange, place=2 * number + 1, slot=0)
        took.append(perf_counter() - start)
    return statistics.quantiles(took, n=4)[0] / 2
