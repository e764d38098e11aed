"""Changes go to the session's actor behind its runs: in groups, again after a failure, never before Ray runs."""

from __future__ import annotations

import threading

import pytest

from tests.waiting import until
from weftwork.scheduler.state import flusher
from weftwork.scheduler.state.flusher import Flusher
from weftwork.scheduler.state.mirror import Mirror


class Links:
    """Records each flush, and can make it wait or fail."""

    def __init__(self):
        self.flushed, self.failures = 0, 0
        self.may = threading.Event()
        self.may.set()

    def flush(self, cells):
        self.flushed += 1
        self.may.wait(30)
        if self.failures:
            self.failures -= 1
            raise OSError("the actor has gone")


@pytest.fixture
def running(monkeypatch):
    """Whether Ray runs, as the flusher sees it; its pauses are short."""
    state = {"ray": True}
    monkeypatch.setattr(flusher.backend, "is_running", lambda: state["ray"])
    monkeypatch.setattr(flusher, "_PAUSE", 0.001)
    monkeypatch.setattr(flusher, "_SHARE", 0)
    return state


@pytest.fixture
def links():
    return Links()


@pytest.fixture
def made(running, links):
    """A flusher that is closed at the end."""
    made = Flusher(Mirror(), links)
    yield made
    made.close()
    until(lambda: made._thread is None or not made._thread.is_alive())


def test_nothing_is_sent_and_no_thread_starts_before_ray_runs(made, links, running):
    running["ray"] = False
    made.wake()
    assert made._thread is None
    running["ray"] = True
    made.wake()
    until(lambda: links.flushed == 1)


def test_all_changes_during_a_flush_are_one_flush_more(made, links):
    links.may.clear()
    made.wake()
    until(lambda: links.flushed == 1)
    for _ in range(100):
        made.wake()
    links.may.set()
    until(lambda: links.flushed == 2)
    until(lambda: not made._changed.is_set())
    assert links.flushed == 2


def test_a_flush_that_fails_is_done_again_without_a_further_change(made, links):
    links.failures = 2
    made.wake()
    until(lambda: links.flushed == 3)


def test_a_closed_flusher_ends_its_thread_and_starts_no_other(made, links):
    made.wake()
    until(lambda: links.flushed == 1)
    made.close()
    until(lambda: not made._thread.is_alive())
    made.wake()
    assert links.flushed == 1


def test_one_that_is_closed_before_its_first_change_never_starts(made, links):
    made.close()
    made.wake()
    assert made._thread is None
