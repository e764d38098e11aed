"""Whether a kernel releases the GIL is judged from ticks of a thread. Most of these tests give the ticks."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter, sleep

import numpy as np
import pytest

from weftwork.actors.processes import ticker
from weftwork.actors.processes.ticker import TICKER, Reading, Ticker
from weftwork.scheduler.plan.policy import GIL_HOLDS

NUMBERS = np.arange(1.0, 3e5)
ROOTS = np.empty_like(NUMBERS)


def verdicts(*calls):
    """What is said of one kernel after each of its calls.

    They are given as (seconds, those for which the GIL was free, those for which ticks looked, those computed
    meanwhile, CPU seconds, queued, and, if any, those for which ticks waited for the GIL). It has a core, else sleeps.
    """
    own, rows = Ticker(), [(*call, 0.0)[:7] for call in calls]
    return [
        own.verdict(1, seconds, Reading(free, locked, looked, ran, looked - ran, *rest))
        for seconds, free, looked, ran, *rest, locked in rows
    ]


def test_a_call_of_a_millisecond_shows_that_it_does_not_need_the_gil():
    assert verdicts((1e-3, 0.5e-3, 0.1e-3, 0.1e-3, 1e-3, 0.0)) == [False]
    assert verdicts((1e-3, 0.5e-3, 0.1e-3, 0.01e-3, 1e-3, 0.0)) == [None]
    assert verdicts((1e-3, 0.5e-3, 0.02e-3, 0.02e-3, 1e-3, 0.0)) == [None], "a single tick, which may be by chance"


def test_a_call_that_waits_releases_the_gil():
    assert verdicts((1e-3, 0.8e-3, 0.1e-3, 0.0, 0.1e-3, 0.0)) == [False]
    assert verdicts((5e-3, 0.8e-3, 0.1e-3, 0.0, 0.1e-3, 0.0, 3e-3)) == [None], "the GIL may be what it waits for"
    assert verdicts((5e-3, 0.8e-3, 0.02e-3, 0.0, 0.1e-3, 0.0)) == [None], "the ticks had no core"


def test_short_calls_add_up():
    call = 0.25e-3, 0.1e-3, 0.025e-3, 0.025e-3, 0.25e-3, 0.0
    assert verdicts(*[call] * 5) == [None] * 3 + [False, None]


def test_four_milliseconds_of_computing_show_that_the_gil_is_held():
    call = 1e-3, 0.1e-3, 0.025e-3, 0.0, 1e-3, 0.0
    assert verdicts(*[call] * 4) == [None, None, None, True]
    assert verdicts((8e-3, 0.0, 0.0, 0.0, 8e-3, 0.0, 7e-3)) == [True], "no tick gets it"
    assert verdicts((8e-3, 0.0, 0.0, 0.0, 8e-3, 0.0, 1e-3)) == [None], "the ticks had no core"
    assert verdicts((8e-3, 0.0, 0.0, 0.0, 2e-3, 0.0, 7e-3)) == [None], "another call may hold it"


def test_a_call_releases_the_gil_if_that_is_free_for_most_of_the_time_though_looks_stop_it():
    assert verdicts((5e-3, 4e-3, 0.2e-3, 0.02e-3, 5e-3, 0.0)) == [False]
    assert verdicts((5e-3, 3e-3, 0.2e-3, 0.02e-3, 5e-3, 0.0)) == [True]
    assert verdicts((5e-3, 4e-3, 0.2e-3, 0.02e-3, 5e-3, 2e-3)) == [True], "calls queue for cores"


def test_it_takes_longer_to_judge_a_call_that_releases_it_for_a_part_of_its_time():
    call = 8e-3, 1e-3, 0.1e-3, 0.026e-3, 8e-3, 0.0
    assert verdicts(*[call] * 3) == [None, None, True]
    call = 8e-3, 1e-3, 0.1e-3, 0.034e-3, 8e-3, 0.0
    assert verdicts(*[call] * 3) == [None, None, False]


def test_a_call_that_has_a_core_for_part_of_its_time_shows_it_as_well():
    assert verdicts((20e-3, 6e-3, 0.2e-3, 0.01e-3, 5e-3, 14e-3)) == [True]
    assert verdicts((20e-3, 6e-3, 0.2e-3, 0.2e-3, 5e-3, 14e-3)) == [None], "this may be by chance"
    assert verdicts((120e-3, 36e-3, 1.2e-3, 1.2e-3, 30e-3, 84e-3)) == [False], "it computes whenever it has a core"
    assert verdicts((10e-3, 6e-3, 0.2e-3, 0.0, 0.1e-3, 9e-3)) == [None], "it has done nothing so far"


def test_a_call_shows_it_beside_others_that_hold_the_gil():
    assert verdicts((20e-3, 0.0, 0.2e-3, 0.0, 5e-3, 0.0, 16e-3)) == [True], "it waits for the GIL"
    assert verdicts((20e-3, 0.0, 0.2e-3, 0.18e-3, 18e-3, 0.0)) == [False]
    assert verdicts((20e-3, 0.0, 0.2e-3, 0.18e-3, 18e-3, 0.0, 16e-3)) == [None], "or it holds it itself"
    assert verdicts((200e-3, 0.0, 1.2e-3, 1.1e-3, 180e-3, 0.0, 160e-3)) == [False], "so many looks are not by chance"
    assert verdicts((20e-3, 8e-3, 0.2e-3, 0.0, 5e-3, 0.0, 6e-3)) == [None], "it may wait for something else"


def computes(seconds):
    end, x = perf_counter() + seconds, 1
    while perf_counter() < end:
        x = x * 5 & 1023


def releases(seconds):
    end = perf_counter() + seconds
    while perf_counter() < end:
        np.sqrt(NUMBERS, out=ROOTS)


def waits(seconds):
    sleep(seconds)


@pytest.mark.parametrize("kernel", [computes, releases, waits])
@pytest.mark.parametrize("seconds", [0.2e-3, 2e-3, 20e-3])
@pytest.mark.parametrize("threads", [1, 2])
def test_short_and_long_calls_show_it_alone_and_beside_others(kernel, seconds, threads):
    """A function that was seen to release the GIL once counts as one that does, so this must never be wrong.

    That one holds it must be seen several times in a row: a machine without a free core can feign it, and one that has
    none for a quarter of the time does so for as long as it likes.
    """
    own, found, calls, shares = Ticker(), [], int(0.1 / seconds), []

    def call():
        for _ in range(calls):
            before, begin = own.read(), perf_counter()
            kernel(seconds)
            took, read = perf_counter() - begin, own.read().since(before)
            found.append(own.verdict(1, took, read))
            shares.append(read.queued / took)

    own.start()
    with own.looking(), ThreadPoolExecutor(threads) as pool:
        for each in [pool.submit(call) for _ in range(threads)]:
            each.result()
    own.stop()
    if kernel is computes:
        assert False not in found
    else:
        assert False in found or found.count(True) < GIL_HOLDS or sum(shares) > 0.25 * len(shares)


def test_calls_of_different_kernels_do_not_add_up():
    own = Ticker()
    read = Reading(0.4e-3, 0.0, 0.1e-3, 0.1e-3, 0.0, 0.9e-3, 0.0)
    assert own.verdict(1, 0.9e-3, read) is None
    assert own.verdict(2, 0.9e-3, read) is None
    own.forget()
    assert own.verdict(1, 0.9e-3, read) is None


def test_a_program_may_close_files_that_it_does_not_know():
    def read():
        TICKER.read()
        file = ticker._HERE.thread.waits
        held = os.readlink(f"/proc/self/fd/{file.number}") if file.number >= 0 else ""
        if held:
            os.close(file.number)
        return held, TICKER.read().queued

    with ThreadPoolExecutor(1) as pool:
        held, queued = pool.submit(read).result()
    assert not held or queued == 0.0
