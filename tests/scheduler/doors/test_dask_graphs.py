"""Dask's programs run by `weftwork.dask.get`: what Dask's threads promise, this promises."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from operator import add
from pathlib import Path

import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import dask.tests
import numpy as np
import pandas as pd
import partd
import pytest
from dask import config
from dask._task_spec import Alias, DataNode, Dict, List, Task, TaskRef
from dask.base import compute
from dask.callbacks import Callback
from dask.delayed import delayed
from dask.diagnostics.profile import Profiler
from dask.diagnostics.progress import ProgressBar

import weftwork as tf
from weftwork.actors.processes.pickling import dumps
from weftwork.dask import get

ROOT = Path(__file__).parents[3]


def increment(x):
    return x + 1


def refuse(x):
    try:
        return {}[x]
    except KeyError:
        raise ZeroDivisionError(f"not with {x}")  # noqa: B904


def test_graphs_of_the_older_form_and_nested_keys_give_nested_tuples():
    graph = {"x": 1, "y": (increment, "x"), "z": (add, "y", (increment, 10)), "w": "z"}
    assert get(graph, "w") == 13
    assert get(graph, ["w", ["x", "y"]]) == (13, (1, 2))


def test_every_kind_of_task_is_a_task():
    graph = {
        "data": DataNode("data", np.arange(3)),
        "alias": Alias("alias", "data"),
        "sum": Task("sum", np.sum, TaskRef("alias")),
        "list": List(TaskRef("sum"), Task(None, increment, TaskRef("sum"))),
        "dict": Dict({"a": TaskRef("sum"), "b": 7}),
    }
    found = get(graph, ["alias", "list", "dict"])
    assert found[0].tolist() == [0, 1, 2]
    assert found[1:] == ([3, 4], {"a": 3, "b": 7})


def test_collections_compute_what_dasks_threads_compute():
    x = da.random.default_rng(1).random((60, 60), chunks=(20, 20))
    words = db.from_sequence(["a b", "b c", "c c"], npartitions=3).str.split().flatten().frequencies()
    wanted = (x @ x.T - x.mean(axis=0)).sum(axis=1)
    assert np.array_equal(wanted.compute(scheduler=get), wanted.compute(scheduler="threads"))
    assert dict(words.compute(scheduler=get)) == {"a": 1, "b": 2, "c": 3}
    with config.set(scheduler=get):
        assert compute(delayed(increment)(1), {"k": delayed(increment)(2)}) == (2, {"k": 3})


def test_a_tasks_own_error_is_raised_with_its_context():
    with pytest.raises(ZeroDivisionError, match="not with 2") as raised:
        delayed(increment)(delayed(refuse)(delayed(increment)(1))).compute(scheduler=get)
    assert not isinstance(raised.value, tf.errors.OpError)
    assert type(raised.value.__context__) is KeyError
    assert raised.value.__cause__ is None


def test_a_failed_computation_is_run_again_in_this_thread_if_asked():
    threads = []

    def look(x):
        threads.append(threading.get_ident())
        raise KeyError(x)

    with pytest.raises(KeyError):
        get({"x": (look, 1)}, "x", rerun_exceptions_locally=True)
    assert threads[-1] == threading.get_ident()


@pytest.mark.parametrize(
    ("graph", "kind", "words"),
    [
        ({"x": (increment, "y"), "y": (increment, "x")}, RuntimeError, "Cycle"),
        ({"y": (increment, 1)}, KeyError, "x"),
        ({"x": "y", "y": "x"}, RuntimeError, "Cycle"),
        ({"x": Task("x", increment, TaskRef("gone"))}, ValueError, "gone"),
    ],
)
def test_a_cycle_or_a_missing_key_is_refused_before_anything_runs(graph, kind, words):
    with pytest.raises(kind, match=words):
        get(graph, "x")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_workers": True}, "num_workers must be"),
        ({"num_workers": -1}, "num_workers must be"),
        ({"num_workers": "2"}, "num_workers must be"),
        ({"pool": 3}, "pool must be"),
        ({"dsk": None}, "takes a Dask graph"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        get(**{"dsk": {"x": (increment, 1)}, "keys": "x", **options})


def test_a_missing_key_among_others_is_named():
    with pytest.raises(KeyError, match="gone"):
        get({"x": 1, "y": (increment, "x")}, ["y", ["x", "gone"]])


@pytest.mark.parametrize("watching", [nullcontext(), Callback(pretask=lambda *_: None)])
def test_a_value_may_be_in_the_cache_alone(watching):
    graph = {"x": Task("x", increment, TaskRef("known")), "y": Alias("y", "known")}
    with watching:
        assert get(graph, ["x", "y", "known"], cache={"known": 3}) == (4, 3, 3)
        with pytest.raises(ValueError, match="known"):
            get(graph, "x", cache={"other": 3})
        cache = {"known": 3}
        get({"x": Task("x", increment, TaskRef("known")), "y": Alias("y", "x"), "z": 7}, "y", cache=cache)
        assert cache["y"] == 4


def test_what_a_task_writes_into_the_programs_own_data_is_there():
    """As `da.store` does, and any function that shows by its code that it changes an argument."""

    def mark(rows, number):
        rows[number] = number
        return number

    stored, rows = np.zeros(10), [0] * 5
    da.store(da.arange(10, chunks=3), stored, scheduler=get)
    assert stored.tolist() == list(range(10))
    compute(
        [delayed(mark, traverse=False)(delayed(rows, traverse=False), number) for number in range(5)], scheduler=get
    )
    assert rows == list(range(5))


def test_callbacks_see_each_task_begin_and_end_once_in_a_consistent_state(capsys):
    order, states = [], []

    class Watch(Callback):
        def _pretask(self, key, dsk, state):
            assert key in state["running"]
            assert all(dependency in state["cache"] for dependency in state["dependencies"][key])
            order.append(("begin", key))

        def _posttask(self, key, result, dsk, state, worker):
            assert key in state["finished"]
            order.append(("end", key, result))

        def _finish(self, dsk, state, errored):
            states.append(errored)

    graph = {"x": (increment, 0), "y": (increment, "x"), "z": (add, "x", "y")}
    with Watch(), ProgressBar(), Profiler() as profiler:
        assert get(graph, "z") == 3
    assert order == [("begin", "x"), ("end", "x", 1), ("begin", "y"), ("end", "y", 2), ("begin", "z"), ("end", "z", 3)]
    assert [task.key for task in profiler.results] == ["x", "y", "z"]
    assert "100% Completed" in capsys.readouterr().out
    with Watch(), pytest.raises(ZeroDivisionError):
        get({"x": (refuse, 1)}, "x")
    assert states == [False, True]


def test_independent_tasks_are_not_held_up_by_callbacks():
    """Each is told of when it is done, whatever its place in the graph."""
    seen = []

    class Watch(Callback):
        def _posttask(self, key, result, dsk, state, worker):
            seen.append(key)

    with Watch():
        get({f"x{n}": (increment, n) for n in range(30)}, [f"x{n}" for n in range(30)])
    assert sorted(seen) == sorted(f"x{n}" for n in range(30))


def test_one_worker_runs_one_task_at_a_time():
    running, most = [], []

    def watch(n):
        running.append(n)
        most.append(len(running))
        running.remove(n)
        return n

    assert get({f"x{n}": (watch, n) for n in range(8)}, [f"x{n}" for n in range(8)], num_workers=1) == tuple(range(8))
    assert set(most) == {1}


def test_a_function_that_writes_what_the_program_sees_has_written_it():
    seen = []
    compute([delayed(seen.append)(n) for n in range(5)], scheduler=get)
    assert sorted(seen) == list(range(5))


def test_values_stay_what_they_are():
    point = get({"x": DataNode("x", np.array(2.5)), "y": Task("y", np.asarray, TaskRef("x"))}, ["x", "y"])
    assert [type(value) for value in point] == [np.ndarray] * 2
    assert get({"x": (str.upper, "a")}, "x") == "A"


def test_without_dask_the_door_says_what_to_install(tmp_path):
    code = "import sys; sys.modules['dask'] = None\nimport weftwork.dask"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "pip install 'weftwork[dask]'" in done.stderr


_APART = "pool_kwarg or interrupt or contextvars or context_aware or nested_schedulers"
"""Of Dask's own tests those of its pools of threads: they count threads, make tasks wait for each other, or look at an
object of the program's that a task changes through a library's code."""


def test_dasks_own_tests_pass(tmp_path):
    plugin = tmp_path / "with_our_get.py"
    plugin.write_text("import dask.threaded, weftwork.dask\ndask.threaded.get = weftwork.dask.get\n")
    tests = [str(Path(dask.tests.__file__).parent / name) for name in ("test_threaded.py", "test_callbacks.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "with_our_get", "-p", "no:cacheprovider", *tests]
        + ["--rootdir", str(tmp_path), "-k", f"not ({_APART})"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_buffer_of_a_shuffle_stays_in_this_process_with_the_tasks_that_fill_it():
    frame = dd.from_pandas(pd.DataFrame({"key": np.arange(3000) % 7, "value": 1.0}), npartitions=20)
    assert frame.set_index("key").value.sum().compute(scheduler=get) == 3000
    with pytest.raises(TypeError, match="exists once"):
        dumps(partd.Buffer(partd.Dict(), partd.Dict()))


def made_at(_):
    time.sleep(2e-3)
    return time.perf_counter()


def made_and_used_at(made):
    time.sleep(2e-3)
    return made, time.perf_counter()


def test_values_are_used_soon_after_they_are_made():
    """Dask orders tasks depth first, so that few values are there at a time. So do we, until the last ten are left."""
    steps = [delayed(made_and_used_at)(delayed(made_at)(number)) for number in range(9)]
    spans = compute(*steps, scheduler=get, num_workers=1)
    for made, _ in spans:
        assert len([one for one, used in spans if one <= made < used]) <= 6  # not all nine
