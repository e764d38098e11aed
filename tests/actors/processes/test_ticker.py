"""Whether a kernel releases the GIL is judged from ticks of a thread. These tests give the ticks, without a thread."""

from __future__ import annotations

from weftwork.actors.processes.ticker import Reading, Ticker


def verdicts(*calls, alone=True):
    """What is said of one kernel after each of its calls.

    They are given as (free seconds, seconds, CPU seconds), and the seconds in the queue for a core, if there were any.
    """
    ticker = Ticker()
    return [
        ticker.verdict(1, seconds, Reading(free, busy, queued[0] if queued else 0.0), alone)
        for free, seconds, busy, *queued in calls
    ]


def test_a_call_of_a_millisecond_shows_that_the_gil_is_free():
    assert verdicts((0.8e-3, 1e-3, 1e-3)) == [False]
    assert verdicts((0.2e-3, 1e-3, 1e-3)) == [None]


def test_short_calls_add_up():
    call = 0.2e-3, 0.2e-3, 0.2e-3
    assert verdicts(*[call] * 6) == [None] * 4 + [False, None]


def test_four_milliseconds_without_ticks_show_that_the_gil_is_held():
    call = 0.1e-3, 1e-3, 1e-3
    assert verdicts(*[call] * 4) == [None, None, None, True]


def test_nothing_is_known_where_the_machine_was_busy_or_others_ran_beside():
    assert verdicts((1e-3, 5e-3, 1.5e-3)) == [None], "the call waited for a core, and so did the ticks"
    assert verdicts((4.5e-3, 5e-3, 0.5e-3, 4.5e-3)) == [None], "others got the GIL while the call had no core"
    assert verdicts((0.1e-3, 5e-3, 0.1e-3)) == [None], "the call waited for something, and the ticks for a core"
    assert verdicts((0.0, 5e-3, 5e-3), alone=False) == [None]


def test_calls_of_different_kernels_do_not_add_up():
    ticker = Ticker()
    read = Reading(0.9e-3, 0.9e-3, 0.0)
    assert ticker.verdict(1, 0.9e-3, read) is None
    assert ticker.verdict(2, 0.9e-3, read) is None
    ticker.forget()
    assert ticker.verdict(1, 0.9e-3, read) is None
