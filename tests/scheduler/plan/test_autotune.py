"""Ways to run the same thing compete: the fastest stays, and a busy time does not decide for ever."""

from __future__ import annotations

from typing import Any

import pytest

from weftwork.scheduler.plan.autotune import Autotuner, Candidate


def no_plan() -> Any:
    """The plan of a candidate in these tests, which run none."""


def names(seconds, runs):
    """The candidate used in each of `runs` runs, if run number n of a candidate takes `seconds(name, n)`."""
    autotuner = Autotuner([Candidate("caller", 1.0, no_plan), Candidate("thread", 0.6, no_plan, 1e-9)])
    chosen = []
    for run in range(runs):
        current = autotuner.current
        autotuner.record(current, seconds(current.name, run))
        chosen.append(current.name)
    return chosen


def test_the_fastest_stays():
    assert set(names(lambda name, run: {"caller": 1.0, "thread": 0.7}[name], 40)[10:]) == {"thread"}
    assert set(names(lambda name, run: {"caller": 0.7, "thread": 1.0}[name], 40)[10:]) == {"caller"}


def test_a_plan_that_was_slow_while_the_machine_was_busy_gets_further_chances():
    def seconds(name, run):
        return 1.0 if name == "caller" else 1.4 if run < 100 else 0.6

    chosen = names(seconds, 1000)
    assert set(chosen[10:38]) == set(chosen[60:380]) == {"caller"}
    assert set(chosen[460:]) == {"thread"}


def test_chances_are_few():
    chosen = names(lambda name, run: {"caller": 1.0, "thread": 1.4}[name], 5000)
    assert chosen.count("thread") < 15


def test_a_way_that_does_not_keep_its_promise_is_left_after_one_run_a_static_plan_after_two():
    autotuner = Autotuner([Candidate("caller", 1.0, no_plan), Candidate("dynamic", 0.6, no_plan)])
    autotuner.record(autotuner.current, 1.4)
    assert autotuner.current.name == "caller"
    chosen = names(lambda name, run: {"caller": 1.0, "thread": 1.4}[name], 5)
    assert chosen == ["thread", "thread", "caller", "caller", "caller"]
    assert names(lambda name, run: 1.0 if name == "caller" else 0.6 if run else 3.0, 5) == ["thread"] * 5


def test_the_first_run_that_was_shared_out_counts_if_it_was_too_long_even_without_its_price():
    for seconds, then in ((1.9, "caller"), (1.5, "dynamic")):
        autotuner = Autotuner([Candidate("caller", 1.0, no_plan), Candidate("dynamic", 0.6, no_plan, 0.5)], 1000)
        assert autotuner.current.name == "dynamic"
        autotuner.record(autotuner.current, seconds)
        assert autotuner.current.name == then


@pytest.mark.parametrize(("runs", "then"), [(4, "caller"), (5, "dynamic")])
def test_what_was_measured_in_the_first_runs_stays_when_more_is_known(runs, then):
    before = Autotuner([Candidate("caller", 1.0, no_plan), Candidate("dynamic", 0.6, no_plan)])
    before.record(before.current, 2.0)
    after = Autotuner([Candidate("caller", 1.5, no_plan), Candidate("dynamic", 0.9, no_plan)], runs, before)
    assert after.current.name == then


def test_a_way_that_becomes_known_later_is_tried_if_it_promises_more():
    autotuner = Autotuner([Candidate("caller", 1.0, no_plan)])
    autotuner.renew([Candidate("caller", 1.0, no_plan), Candidate("thread", 0.6, no_plan)], 1, [])
    assert (autotuner.current.name, autotuner.certain) == ("thread", False)
    autotuner.record(autotuner.current, 0.7)
    autotuner.renew([Candidate("resident", 0.9, no_plan)], 1, [])
    assert autotuner.current.name == "thread"
    autotuner.drop(autotuner.current)
    autotuner.renew([Candidate("thread", 0.6, no_plan)], 1, [])
    assert "thread" not in [candidate.name for candidate in autotuner.candidates]


def tried_at(price, predicted, runs):
    """The runs in which a static plan of that price is used, if it keeps its promise and the caller takes 1 s."""
    ways = [Candidate("caller", 1.0, no_plan), Candidate("resident", predicted, no_plan, price)]
    autotuner = Autotuner(ways)
    chosen = []
    for run in range(runs):
        chosen += [run] * (autotuner.current.name == "resident")
        autotuner.record(autotuner.current, 1.0 if autotuner.current.name == "caller" else predicted)
    return chosen


def test_a_static_plan_is_tried_once_the_runs_so_far_would_have_paid_its_price():
    assert tried_at(price=0.1, predicted=0.6, runs=5) == [0, 1, 2, 3, 4]
    assert tried_at(price=3.0, predicted=0.6, runs=20)[:1] == [8]
    assert tried_at(price=3.0, predicted=0.6, runs=30)[1:] == list(range(9, 30))
    assert tried_at(price=1000.0, predicted=0.6, runs=300) == []


def test_a_static_plan_that_promises_little_is_tried_late():
    """Predictions err, and each try is a run of the user's."""
    assert tried_at(price=0.01, predicted=0.9, runs=10)[0] == 3
    assert tried_at(price=0.01, predicted=0.99, runs=40)[0] == 30


def test_a_trial_is_not_cut_short_by_another_plan_that_becomes_due():
    """The first run of a plan pays its price, so it is not a reason to leave it."""
    ways = [Candidate("caller", 1.0, no_plan), Candidate("resident", 0.6, no_plan, 1.0)]
    autotuner = Autotuner([*ways, Candidate("thread", 0.7, no_plan, 1.2)])
    chosen = []
    for _ in range(20):
        name = autotuner.current.name
        seconds = 9.0 if name not in chosen else {"caller": 1.0, "resident": 0.6, "thread": 0.7}[name]
        autotuner.record(autotuner.current, seconds if name != "caller" else 1.0)
        chosen.append(name)
    assert chosen == ["caller"] * 3 + ["resident"] * 17


def beside_a_stranger(busy, runs):
    """The candidates used in each run if another program is busy on a core in the runs `busy`."""
    alone, beside = {"caller": 1.0, "dynamic": 0.6, "resident": 0.55}, {"caller": 1.0, "dynamic": 0.7, "resident": 0.9}
    autotuner = Autotuner([Candidate(name, predicted, no_plan) for name, predicted in alone.items()])
    chosen = []
    for run in range(runs):
        chosen.append(autotuner.current.name)
        autotuner.record(autotuner.current, (beside if run in busy else alone)[chosen[-1]])
    return chosen


def test_a_plan_that_loses_a_core_is_left_and_tried_again_soon():
    chosen = beside_a_stranger(busy=range(10, 15), runs=36)
    assert set(chosen[6:12]) == {"resident"}  # two runs show that it is slow now
    assert set(chosen[12:20]) == {"dynamic"}
    assert set(chosen[25:]) == {"resident"}
    chosen = beside_a_stranger(busy=range(10, 300), runs=220)
    assert set(chosen[12:20]) == {"dynamic"}
    assert chosen[12:].count("resident") < 5


def test_a_single_slow_run_does_not_count():
    chosen = beside_a_stranger(busy=range(10, 36, 2), runs=36)
    assert set(chosen[6:]) == {"resident"}


@pytest.mark.parametrize("wanted", ["dynamic", "resident"])
def test_a_run_that_cannot_have_the_local_workers_gets_a_plan_without_them(wanted):
    ways = {"caller": 1.0, "thread": 0.9, "dynamic": 0.6, "resident": 0.6, wanted: 0.5}
    autotuner = Autotuner([Candidate(name, predicted, no_plan) for name, predicted in ways.items()])
    assert autotuner.current.name == wanted
    assert autotuner.without_residents().name == "thread"
