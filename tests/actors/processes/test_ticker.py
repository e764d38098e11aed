"""Whether a kernel releases the GIL is judged from ticks of a thread. These tests give the ticks, without a thread."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from weftwork.actors.processes import ticker
from weftwork.actors.processes.ticker import TICKER, Reading, Ticker


def verdicts(*calls, alone=True):
    """What is said of one kernel after each of its calls.

    They are given as (seconds, those for which the GIL was free, those computed meanwhile, CPU seconds, queued).
    """
    own = Ticker()
    return [own.verdict(1, seconds, Reading(*read), alone) for seconds, *read in calls]


def test_a_call_of_a_millisecond_shows_that_the_gil_is_free():
    assert verdicts((1e-3, 0.8e-3, 0.8e-3, 1e-3, 0.0)) == [False]
    assert verdicts((1e-3, 0.2e-3, 0.2e-3, 1e-3, 0.0)) == [None]


def test_a_call_that_waits_releases_the_gil():
    assert verdicts((1e-3, 0.8e-3, 0.0, 0.1e-3, 0.0)) == [False]
    assert verdicts((5e-3, 0.8e-3, 0.0, 0.1e-3, 0.0)) == [None], "the ticks were late"


def test_short_calls_add_up():
    call = 0.25e-3, 0.25e-3, 0.25e-3, 0.25e-3, 0.0
    assert verdicts(*[call] * 5) == [None] * 3 + [False, None]


def test_four_milliseconds_without_ticks_show_that_the_gil_is_held():
    call = 1e-3, 0.1e-3, 0.1e-3, 1e-3, 0.0
    assert verdicts(*[call] * 4) == [None, None, None, True]


def test_what_happens_while_a_call_has_no_core_does_not_count():
    assert verdicts((10e-3, 6e-3, 0.1e-3, 3e-3, 7e-3)) == [True], "the others got the GIL because it could not take it"
    assert verdicts((10e-3, 6e-3, 2e-3, 3e-3, 7e-3)) == [False], "it has computed meanwhile"
    assert verdicts((10e-3, 6e-3, 0.0, 0.1e-3, 9e-3)) == [None], "it has done nothing so far"


def test_nothing_is_known_where_others_ran_beside():
    assert verdicts((5e-3, 0.0, 0.0, 5e-3, 0.0), alone=False) == [None]


def test_calls_of_different_kernels_do_not_add_up():
    own = Ticker()
    read = Reading(0.9e-3, 0.9e-3, 0.9e-3, 0.0)
    assert own.verdict(1, 0.9e-3, read) is None
    assert own.verdict(2, 0.9e-3, read) is None
    own.forget()
    assert own.verdict(1, 0.9e-3, read) is None


def test_a_program_may_close_files_that_it_does_not_know():
    def read():
        TICKER.read()
        held = os.readlink(f"/proc/self/fd/{ticker._QUEUE._file}") if ticker._QUEUE._file >= 0 else ""
        if held:
            os.close(ticker._QUEUE._file)
        return held, TICKER.read().queued

    with ThreadPoolExecutor(1) as pool:
        held, queued = pool.submit(read).result()
    assert not held or queued == 0.0
