"""Dask graphs of the same form are planned once."""

from __future__ import annotations

import gc
import operator
import threading
import weakref

import dask.array as da
import numpy as np
import pytest
from dask._task_spec import DataNode, List, Task, TaskRef
from dask.delayed import delayed

from weftwork.actors.programs.sizes import size_of
from weftwork.dask import get
from weftwork.scheduler.doors import dask_plans
from weftwork.scheduler.doors.dask_plans import Spec

DATA = np.zeros(1000)


@pytest.fixture
def planned(monkeypatch):
    """The number of steps of each graph that is planned while the test runs."""
    sizes = []
    once, kept = dask_plans._once, dask_plans._Kept

    def noting(make):
        def noted(steps, *args):
            sizes.append(len(steps))
            return make(steps, *args)

        return noted

    monkeypatch.setattr(dask_plans, "_once", noting(once))
    monkeypatch.setattr(dask_plans, "_Kept", noting(kept))
    dask_plans._kept.clear()
    dask_plans._seen.clear()
    return sizes


def test_from_the_third_time_on_a_form_runs_with_the_plan_of_the_second(planned):
    for number in range(6):
        x = da.from_array(np.arange(12.0) * number, chunks=3)
        assert (x * 2 + number).sum().compute(scheduler=get) == 132 * number + 12 * number
    assert len(planned) == 2


def test_other_functions_edges_or_results_make_another_form(planned):
    def tree(function, swapped):
        a, b = delayed(abs)(-5), delayed(abs)(-3)
        return delayed(function)(b, a) if swapped else delayed(function)(a, b)

    for _ in range(3):
        assert tree(operator.sub, False).compute(scheduler=get, optimize_graph=False) == 2
        assert tree(operator.sub, True).compute(scheduler=get, optimize_graph=False) == -2
        assert tree(operator.mul, False).compute(scheduler=get, optimize_graph=False) == 15
        graph = {"a": (abs, -5), "b": (operator.neg, "a"), "c": (operator.neg, "b")}
        assert get(graph, "c") == 5
        assert get(graph, ["b", "c"]) == (-5, 5)
        assert get(graph, "b", num_workers=1) == -5


def test_functions_that_hold_objects_of_the_program_are_not_kept(planned):
    class Big:
        pass

    seen = []
    for _ in range(4):
        big = Big()
        seen.append(weakref.ref(big))
        assert delayed(lambda x, big=big: x + (big is not None))(1).compute(scheduler=get) == 2
        rows = np.arange(1000.0)
        seen.append(weakref.ref(rows))
        assert delayed(np.sum)(rows).compute(scheduler=get) == 499500.0
        del big, rows
    gc.collect()
    assert sum([ref() is not None for ref in seen]) == 0


def test_threads_may_compute_the_same_form_at_once(planned):
    results = {}

    def compute(number):
        for _ in range(5):
            x = da.full(8, number, chunks=2)
            results.setdefault(number, []).append(int(x.sum().compute(scheduler=get)))

    threads = [threading.Thread(target=compute, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: [8 * number] * 5 for number in range(4)}


def test_a_failure_is_that_of_the_own_data(planned):
    for number in range(4):
        graph = {"x": number, "y": (operator.truediv, 6, "x")}
        if number:
            assert get(graph, "y") == 6 / number
        else:
            with pytest.raises(ZeroDivisionError):
                get(graph, "y")


@pytest.mark.parametrize(
    "task",
    [
        Task("x", len, DATA),
        Task("x", len, DataNode("y", DATA)),
        Task("x", len, of=[1, {"more": DATA}]),
        Task("x", len, List([DATA, TaskRef("z")])),
        Task("x", len, {"y": Task("y", len, Task("z", len, DATA)), "z": (slice(3), None)}),
        Task("x", len, list(DATA)),
    ],
)
def test_the_data_in_a_task_counts_wherever_it_is(task):
    assert DATA.nbytes < size_of(Spec(task, ())) < 20 * DATA.nbytes
