"""Ray is started for work alone, by a thread that stays; one that ends is noticed, and the next use has another one."""

from __future__ import annotations

import pytest

from tests.programs import Program

QUIET = Program("tests.life_program", "quiet")
ENDS = Program("tests.life_program", "ends")


def test_limits_cancels_failures_and_looks_start_no_ray():
    assert QUIET.seen()["started"] == []


def test_ray_starts_with_the_first_node_that_needs_a_worker():
    seen = ENDS.seen()
    assert (seen["before"], seen["after"]) == (False, True)
    assert seen["device"] == "/job:localhost/replica:0/task:0/device:CPU:0"


def test_the_start_of_ray_and_of_its_process_is_a_share_of_the_run_that_waited_for_it():
    seen = ENDS.seen()
    assert "Ray" in seen["started"]
    assert sum(seen["shares"].values()) == pytest.approx(1)
    assert seen["shares"]["starting"] > 0.7
    assert seen["shares"].get("waiting for a core", 0) < 0.1


def test_a_ray_outlives_the_threads_that_asked_for_it_at_once_and_leaves_sigterm_alone():
    seen = ENDS.seen()
    assert [seen[f"thread {n}"] for n in range(8)] == [2] * 8
    assert seen["after the thread"] == 2
    assert seen["told"]


def test_a_time_limit_holds_while_ray_starts():
    assert ENDS.seen()["limit"]


def test_a_ray_that_was_killed_or_shut_down_is_replaced_and_its_runs_are_run_again():
    seen = ENDS.seen()
    assert [seen["after its raylet"], seen["while its head ends"], seen["while it is shut down"]] == [2, 5, 5]


def test_work_that_was_sent_to_a_ray_just_before_it_was_replaced_is_run_again():
    assert ENDS.seen()["as its task was sent"] == 2


def test_a_ray_may_end_at_any_moment_of_a_run_or_a_look():
    seen = ENDS.seen()
    assert (seen["as its raylet dies"], seen["as its input is put"], seen["as its limit is watched"]) == (2, 100_000, 7)
    assert seen["devices"] == 1


def test_large_values_that_went_down_with_their_ray_are_named_as_lost():
    seen = ENDS.seen()
    assert (seen["large"], seen["large again"]) == ("DataLossError", 0)


def test_a_ray_that_the_program_starts_instead_is_joined():
    seen = ENDS.seen()
    assert (seen["in another one"], seen["cpus"]) == (2, 3)


def test_a_ray_whose_process_dies_while_it_starts_is_given_up_at_once_and_leaves_nothing():
    """Ray itself would wait for half a minute, twice, and keep the other processes until the program ends."""
    seen = ENDS.seen()
    assert "Ray could not be started on this machine: its raylet has died while it started" in seen["stillborn"]
    assert seen["left"] == []
    assert seen["after it could not start"] == 2
