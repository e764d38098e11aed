"""Lanes: when one may be given more, and which one is. No process."""

from __future__ import annotations

from math import inf
from time import monotonic

from weftwork.scheduler.plan.policy import AHEAD_SHARE
from weftwork.scheduler.sharing.lane import Batch, Lane, until_room, with_room


def test_a_lane_has_room_while_little_is_left_to_do_and_that_is_known():
    lane = Lane()
    assert lane.room_at() == 0.0
    lane.give(0, Batch([0], 1e-5))
    assert lane.room_at() == 0.0
    lane.give(1, Batch([1], 1e-2))
    assert lane.room_at() == inf
    lane = Lane()
    lane.give(0, Batch([0], None))
    assert lane.room_at() == inf


def test_a_lane_has_room_shortly_before_it_has_done_a_batch_whose_seconds_are_certain():
    lane, before = Lane(), monotonic()
    lane.give(0, Batch([0], 0.5, variance=0.0))
    assert before + 0.5 - AHEAD_SHARE * 0.5 <= lane.room_at() <= monotonic() + 0.5
    assert until_room([lane, Lane()]) == 0.0
    assert 0.0 < until_room([lane]) < 0.5
    lane.give(1, Batch([1], 0.5, variance=0.0))
    assert until_room([lane]) is None
    lane.done(0)
    assert 0.0 < until_room([lane]) < 0.5
    lane.done(1)
    assert until_room([lane]) == 0.0


def test_a_lane_has_room_behind_one_batch_of_any_length_while_plenty_is_left():
    lane = Lane()
    lane.give(0, Batch([0], 1.0, variance=1.0, calls=100))
    assert (lane.room_at(), lane.room_at(plenty=True)) == (inf, 0.0)
    lane.give(1, Batch([1], 1.0, variance=1.0, calls=100))
    assert lane.room_at(plenty=True) == inf


def test_a_lane_gets_two_batches_at_once_of_a_function_that_few_calls_have_shown_and_more_of_others():
    """The results of the first ones show how long the next can be: a batch for each node would cost far more."""
    new, known = Lane(), Lane()
    for number in range(2):
        assert (new.room_at(), known.room_at()) == (0.0, 0.0)
        new.give(number, Batch([number], 1e-5, calls=2))
        known.give(number, Batch([number], 1e-5, calls=100))
    assert (new.room_at(), known.room_at()) == (inf, 0.0)
    new.done(0)
    assert new.room_at() == 0.0


def test_a_lane_without_work_gets_none_while_threads_have_the_cores():
    idle, working = Lane(), Lane()
    working.give(0, Batch([0], 1e-5))
    assert with_room({1: idle, 2: working}, cores=1) == [1, 2]
    assert with_room({1: idle, 2: working}, cores=0) == [2]
