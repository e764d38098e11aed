"""Threads of the caller's process that are lent to whoever needs one, and the time of a hop between threads."""

from __future__ import annotations

import functools
import statistics
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import perf_counter, sleep

from weftwork.actors.programs.exchange import Exchange, receive, send
from weftwork.graph.forks import children_end, fresh, in_child

_USUAL = 10e-6
"""Seconds below which a measured hop is believed at once."""
_TRIES, _PAUSE = 3, 3e-3
"""How often it is measured again, and the seconds between."""

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
    """The queues of `count` helper threads that have nothing to do; new ones are started where there are too few."""
    with _lock:
        helpers = [_idle.pop() for _ in range(min(count, len(_idle)))]
    while len(helpers) < count:
        jobs: SimpleQueue = SimpleQueue()
        threading.Thread(target=_help, args=(jobs,), name="weftwork-helper", daemon=True).start()
        helpers.append(jobs)
    return helpers


@functools.cache
def thread_hop() -> float:
    """Seconds from one thread to another: half of a round trip.

    What else the machine does just now, Ray's start for example, makes it look 40 times as long; so what looks long is
    measured again, a little later, and the least counts.
    """
    least = _measured_hop()
    for _ in range(_TRIES):
        if least < _USUAL:
            break
        sleep(_PAUSE)
        least = min(least, _measured_hop())
    return least


def _measured_hop() -> float:
    """The best quarter of some round trips, halved."""
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
