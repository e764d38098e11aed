"""A local worker's reactions to its caller and to other workers."""

from __future__ import annotations

from collections import deque

import pytest

from tests.waiting import until
from weftwork.actors.processes.local_worker import _Exchange, _Stop
from weftwork.actors.processes.messages import pack_parts
from weftwork.actors.processes.transport import Transport

CALLER, WORKER, OTHER = 0, 1, 2


@pytest.fixture
def ends(tmp_path):
    """The transports of the caller and of two workers, all connected."""
    made = [Transport(str(tmp_path), slot) for slot in (CALLER, WORKER, OTHER)]
    for slot in (CALLER, OTHER):
        made[slot].send(WORKER, pack_parts(["hello"]))
        until(lambda: made[WORKER].next(1))
    yield made
    for end in made:
        end.close()


@pytest.mark.parametrize("shares", [True, False])
def test_a_worker_whose_nodes_are_shared_out_goes_on_when_another_one_has_gone(ends, shares):
    """It needs nothing from the other; in a plan, it might wait for a value that never comes."""
    stop = _Stop()
    exchange = stop.exchange = _Exchange(ends[WORKER], 1, stop, deque(), shares)
    ends[OTHER].close()
    exchange.look(10)
    assert bool(stop) is not shares
    assert not exchange.gone


def test_a_worker_stops_for_good_when_its_caller_has_gone(ends):
    stop = _Stop()
    exchange = stop.exchange = _Exchange(ends[WORKER], 1, stop, deque(), True)
    ends[CALLER].close()
    exchange.look(10)
    assert stop
    assert exchange.gone


def test_a_worker_stops_when_its_caller_says_so_of_this_run_and_of_no_other(ends):
    stop = _Stop()
    exchange = stop.exchange = _Exchange(ends[WORKER], 7, stop, deque(), True)
    ends[CALLER].send(WORKER, pack_parts(["stop", 6]))
    exchange.look(10)
    assert not stop
    ends[CALLER].send(WORKER, pack_parts(["stop", 7]))
    exchange.look(10)
    assert stop


def test_a_batch_that_comes_during_another_one_waits_for_its_turn(ends):
    stop, later = _Stop(), deque()
    exchange = stop.exchange = _Exchange(ends[WORKER], 1, stop, later, True)
    ends[CALLER].send(WORKER, pack_parts(["share", "all that it holds"]))
    exchange.look(10)
    assert not stop
    assert len(later) == 1
