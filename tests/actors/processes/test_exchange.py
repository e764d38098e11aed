"""The exchange between slots in several processes, here between two ends in one process."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from weftwork.actors.processes.exchange import ProcessExchange, Unsendable
from weftwork.actors.processes.messages import pack_parts
from weftwork.actors.processes.transport import Transport
from weftwork.actors.programs.exchange import receive, send
from weftwork.actors.programs.program import Stopped


class Noting(ProcessExchange):
    """Records messages that are not values, and stops then."""

    def receive(self, slot, message):
        self.stop.append((slot, message))


@pytest.fixture
def ends(tmp_path):
    """The exchanges of two slots in run 1."""
    transports = [Transport(str(tmp_path), slot) for slot in range(2)]
    yield [Noting(transport, 1, []) for transport in transports]
    for transport in transports:
        transport.close()


@pytest.mark.parametrize("value", [None, 5, ["a", (1, 2)], np.arange(100_000)])
def test_a_value_comes_to_its_place_in_another_process(ends, value):
    here, there = ends
    sender = threading.Thread(target=send, args=(here, value), kwargs={"number": 4, "to": (1,)})
    sender.start()
    came = receive(there, number=4, slot=1)
    sender.join()
    assert np.array_equal(came, value) if isinstance(value, np.ndarray) else came == value


def test_values_that_come_before_they_are_asked_for_keep_their_places(ends):
    here, there = ends
    for number in (3, 1, 2):
        send(here, number * 10, number=number, to=(1,))
    assert [receive(there, number=number, slot=1) for number in (1, 2, 3)] == [10, 20, 30]


def test_a_value_of_another_run_is_not_taken(ends):
    here, there = ends
    here.transport.send(1, pack_parts(["value", 0, 4, "old"]))
    send(here, "new", number=4, to=(1,))
    assert receive(there, number=4, slot=1) == "new"


def test_a_value_that_does_not_pickle_is_named_and_no_part_of_it_is_sent(ends):
    here, there = ends
    with pytest.raises(Unsendable, match="a lock cannot be pickled"):
        send(here, threading.Lock(), number=4, to=(1,))
    send(here, "later", number=5, to=(1,))
    assert receive(there, number=5, slot=1) == "later"
    assert list(there.there) == [5]


def test_waiting_ends_when_another_process_is_gone_or_the_run_is_stopped(ends):
    here, there = ends
    send(here, 1, number=0, to=(1,))
    here.transport.close()
    with pytest.raises(Stopped):
        receive(there, number=9, slot=1)
    assert there.stop == [(0, None)]
    assert receive(there, number=0, slot=1) == 1
