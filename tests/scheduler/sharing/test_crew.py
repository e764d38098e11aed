"""A crew: threads take nodes themselves, wait for more, and end. No process, no session."""

from __future__ import annotations

import threading
from time import monotonic

import pytest

from tests.waiting import until
from weftwork.scheduler.sharing.crew import Crew


class Work:
    """Items for a crew's helpers. Each takes one, and waits for the others if it is asked to."""

    def __init__(self, items=0, barrier=None):
        self.items, self.barrier, self.threads = items, barrier, []
        self.crew = Crew(self.help)

    def help(self):
        if not self.items:
            return False
        self.items -= 1
        with self.crew.outside:
            if self.barrier is not None:
                self.barrier.wait(30)
            self.threads.append(threading.current_thread())
        return True

    def finish(self):
        with self.crew.monitor:
            self.crew.end()
            self.crew.settle(monotonic() + 30)
        assert not self.crew.helping


def test_helpers_work_beside_each_other_without_the_monitor():
    work = Work(items=3, barrier=threading.Barrier(4))
    with work.crew.monitor:
        work.crew.call(3)
        assert work.crew.helping == 3
    work.barrier.wait(30)
    until(lambda: len(work.threads) == 3)
    assert len(set(work.threads)) == 3
    work.finish()


def test_an_idle_helper_is_called_before_a_new_one():
    work = Work(items=1)
    with work.crew.monitor:
        work.crew.call(1)
    for done in range(1, 4):
        until(lambda: not work.crew.helping)
        assert len(work.threads) == done
        with work.crew.monitor:
            work.items = 1
            work.crew.call(1)
    until(lambda: not work.crew.helping)
    assert len(set(work.threads)) == 1
    work.finish()


@pytest.mark.parametrize("called", [True, False])
def test_the_caller_waits_until_it_is_called_as_an_idle_thread_or_woken(called):
    work, waits = Work(), threading.Event()
    crew = work.crew

    def another():
        waits.wait(30)
        if called:
            with crew.monitor:  # free once the caller waits
                crew.call(1)
        else:
            crew.wake()

    thread = threading.Thread(target=another)
    thread.start()
    with crew.monitor:
        waits.set()
        crew.wait()
        assert not crew.helping  # the caller was called, and no helper
    thread.join(30)
    work.finish()


def test_a_crew_that_ends_waits_for_the_nodes_of_its_helpers_up_to_a_time():
    work = Work(items=1, barrier=threading.Barrier(2))
    with work.crew.monitor:
        work.crew.call(1)
    until(lambda: work.barrier.n_waiting)
    with work.crew.monitor:
        work.crew.end()
        work.crew.settle(monotonic() + 0.05)
        assert work.crew.helping == 1
    work.barrier.wait(30)
    work.finish()
    assert len(work.threads) == 1
