"""Lanes: when one may be given more, and which one is. No process."""

from __future__ import annotations

from math import inf
from time import monotonic

from weftwork.scheduler.plan.policy import AHEAD_OF_A_LANE
from weftwork.scheduler.run.lane import Batch, Lane, until_room, with_room


def test_a_lane_has_room_while_little_is_left_to_do_and_that_is_known():
    lane = Lane()
    assert lane.room_at == 0.0
    lane.give(0, Batch([0], 1e-5))
    assert lane.room_at == 0.0
    lane.give(1, Batch([1], 1e-2))
    assert lane.room_at == inf
    lane = Lane()
    lane.give(0, Batch([0], None))
    assert lane.room_at == inf


def test_a_lane_has_room_shortly_before_it_has_done_a_batch_whose_seconds_are_certain():
    lane, before = Lane(), monotonic()
    lane.give(0, Batch([0], 0.5, certain=True))
    assert before + 0.5 - AHEAD_OF_A_LANE <= lane.room_at <= monotonic() + 0.5
    assert until_room([lane, Lane()], False) == 0.0
    assert 0.0 < until_room([lane], False) < 0.5
    lane.give(1, Batch([1], 0.5, certain=True))
    assert until_room([lane], False) is None
    lane.done(0)
    assert 0.0 < until_room([lane], False) < 0.5
    lane.done(1)
    assert until_room([lane], False) == 0.0


def test_a_batch_does_not_wait_in_a_lane_behind_one_that_another_thread_or_process_runs():
    lane = Lane()
    lane.give(0, Batch([0], 1e-5, in_thread=True))
    assert with_room({1: lane}, in_thread=True) == [1]
    assert with_room({1: lane}, in_thread=False) == []
