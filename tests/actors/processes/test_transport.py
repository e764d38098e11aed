"""Messages between the processes of one machine, here between several ends in one process."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, suppress

import numpy as np
import pytest

from weftwork.actors.processes.transport import Gone, Transport, is_left
from weftwork.actors.programs.program import Stopped


@pytest.fixture
def ends(tmp_path):
    """Three ends in one folder."""
    made = [Transport(str(tmp_path), slot) for slot in range(3)]
    yield made
    for end in made:
        end.close()


def received(end, count=1):
    """The next messages, each with its slot and the bytes of its parts."""
    found = []
    while len(found) < count:
        came = end.next(10)  # nothing, when another end was let in
        if came is not None:
            slot, parts = came
            found.append((slot, None if parts is None else [bytes(part) for part in parts]))
    return found


@pytest.mark.parametrize("sizes", [[0], [1], [5, 0, 7], [1 << 18], [(1 << 18) + 1], [3, 600_000, 3, 300_000, 0]])
def test_a_message_arrives_in_the_parts_in_which_it_was_sent(ends, sizes):
    parts = [np.random.default_rng(size).bytes(size) for size in sizes]
    sender = threading.Thread(target=ends[1].send, args=(0, parts))
    sender.start()
    assert received(ends[0]) == [(1, parts)]
    sender.join()


def test_messages_of_a_slot_keep_their_order_whichever_way_they_are_cut(ends):
    sent = [[bytes([k]) * (k * 997), b"x"] for k in range(60)]
    for message in sent:
        ends[1].send(0, message)
    assert received(ends[0], 60) == [(1, message) for message in sent]


def test_one_channel_serves_both_ways(ends):
    ends[1].send(0, [b"there"])
    assert received(ends[0]) == [(1, [b"there"])]
    ends[0].send(1, [b"and back"])
    assert received(ends[1]) == [(0, [b"and back"])]


def test_two_that_send_each_other_more_than_fits_do_not_wait_for_ever(ends):
    large, came = bytes(8 << 20), {}

    def work(me):
        ends[me].send(1 - me, [large])
        came[me] = received(ends[me])

    threads = [threading.Thread(target=work, args=(me,), daemon=True) for me in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert came == {0: [(1, [large])], 1: [(0, [large])]}


def test_the_end_of_a_process_is_reported_once_after_all_its_messages(ends):
    ends[1].send(0, [b"last words"])
    ends[1].close()
    assert received(ends[0], 2) == [(1, [b"last words"]), (1, None)]
    assert ends[0].next(0) is None


def test_a_message_to_a_slot_where_nobody_is_says_so(ends, tmp_path):
    with pytest.raises(Gone, match="there is no process in slot 7"):
        ends[0].send(7, [b"anybody?"])


def test_a_sender_whose_other_end_does_not_read_gives_up_when_it_is_told_to_stop(ends):
    with pytest.raises(Stopped):
        ends[1].send(0, [bytes(64 << 20)], stop=["stopped"])
    ends[1].send(2, [b"to others it sends as before"])
    assert received(ends[2]) == [(1, [b"to others it sends as before"])]


def test_half_a_message_is_never_taken_for_one(ends):
    with pytest.raises(Stopped):
        ends[1].send(0, [bytes(64 << 20)], stop=["stopped"])
    assert received(ends[0]) == [(1, None)]


def test_a_thread_that_waits_goes_on_when_it_is_woken_and_has_got_nothing(ends):
    ends[0].wake()
    assert ends[0].next(None) is None


def test_a_suspended_program_keeps_nobody_waiting(tmp_path):
    with socket.socket(socket.AF_UNIX) as idle:
        idle.bind(str(tmp_path / "0"))
        idle.listen(0)
        with suppress(BlockingIOError), ExitStack() as others:  # others have asked until there is no room
            for _ in range(100):
                other = others.enter_context(socket.socket(socket.AF_UNIX))
                other.setblocking(False)
                other.connect(str(tmp_path / "0"))
        found: list[bool] = []
        asking = threading.Thread(target=lambda: found.append(is_left(str(tmp_path))), daemon=True)
        asking.start()
        asking.join(10)
        assert found == [False]


def test_a_folder_is_left_once_the_process_in_its_first_slot_has_gone(tmp_path):
    assert not is_left(str(tmp_path))  # it is just being made
    first = Transport(str(tmp_path), 0)
    assert not is_left(str(tmp_path))
    first.close()
    assert is_left(str(tmp_path))


def test_a_process_that_comes_after_another_one_in_its_slot_gets_what_is_sent_to_it(ends, tmp_path):
    ends[1].close()
    ends[1] = Transport(str(tmp_path), 1)
    ends[0].send(1, [b"to the new one"])
    assert received(ends[1]) == [(0, [b"to the new one"])]
