"""The exchange between threads of one run: waiting for values, and what ends a wait."""

from __future__ import annotations

import threading

import pytest

from weftwork.actors.programs.exchange import Exchange, expect, newest, receive, send, signal
from weftwork.actors.programs.program import Stopped


def waiting(exchange, number, slot, step=receive):
    """Start a thread that waits for a number. Returns it and a list that will hold the value, or the error."""
    got = []

    def work():
        try:
            got.append(step(exchange, number=number, slot=slot))
        except Stopped as error:
            got.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, got


@pytest.mark.parametrize("value", [7, None, (), [1]])
def test_a_value_that_is_there_is_taken_as_often_as_it_is_asked_for(value):
    exchange = Exchange(None, 2, 3)
    assert send(exchange, value, number=1, to=(0, 2)) == ()
    for slot in (0, 2, 0):
        assert receive(exchange, number=1, slot=slot) is value


def test_a_slot_that_sleeps_is_woken_by_the_value_and_not_by_others():
    exchange = Exchange(None, 2, 2)
    thread, got = waiting(exchange, number=0, slot=1)
    send(exchange, "other", number=1, to=(1,))
    thread.join(0.02)
    assert not got
    send(exchange, "mine", number=0, to=(1,))
    thread.join(30)
    assert got == ["mine"]


def test_a_signal_lets_go_on_who_expects_it_and_gives_nothing():
    exchange = Exchange(None, 1, 2)
    thread, got = waiting(exchange, 0, 1, expect)
    assert signal(exchange, number=0, to=(1,)) == ()
    thread.join(30)
    assert got == [()] == [expect(exchange, number=0, slot=1)]


def test_a_waiting_thread_stops_with_the_run_but_takes_values_that_came_before():
    exchange = Exchange(None, 2, 2)
    thread, got = waiting(exchange, number=0, slot=1)
    send(exchange, 5, number=1, to=(0,))
    exchange.wake()
    thread.join(30)
    assert isinstance(got[0], Stopped)
    assert receive(exchange, number=1, slot=0) == 5


def test_the_newest_version_is_read_under_the_locks():
    steps = []

    class Run:
        def lock(self):
            steps.append("lock")

        def local(self, number):
            steps.append(f"read {number}")
            return number

    assert newest(Exchange(Run(), 0, 1), number=3) == 3
    assert steps == ["lock", "read 3"]
