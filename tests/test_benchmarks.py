"""The parts of the benchmarks are right: graphs, bounds, the memory of a process tree. Nothing is timed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path

import psutil
import pytest

import weftwork as tf
from benchmarks import bound, metg, mixed, oneshot, ordinary, then_and_now
from weftwork.scheduler.events.event import IDLE

ROOT = Path(__file__).parent.parent


def test_the_random_graph_is_the_same_for_a_seed_and_reads_backwards_only():
    nodes = mixed.random_graph(layers=6, width=4, seed=3)
    assert nodes == mixed.random_graph(6, 4, 3) != mixed.random_graph(6, 4, 4)
    assert len(nodes) == 24
    for number, (_, aim, reads) in enumerate(nodes):
        layer = number // 4
        assert mixed.LEAST <= aim <= mixed.MOST
        assert all(layer - 2 <= other // 4 < layer for other in reads)
        assert bool(reads) == (layer > 0)


def test_the_benchmark_s_graph_can_keep_the_cores_busy_and_has_both_kinds_of_function():
    nodes = mixed.random_graph(mixed.LAYERS, mixed.WIDTH, mixed.SEED)
    aims = [aim for _, aim, _ in nodes]
    assert 150 <= len(nodes) <= 200
    assert mixed.longest_path(nodes, aims) < sum(aims) / 2
    free = sum(aim for name, aim, _ in nodes if name == "hashed")
    assert 0.4 < free / sum(aims) < 0.6


def test_the_bound_is_the_longest_path_or_the_work_shared_out():
    diamond = [("counted", 0.0, ()), ("counted", 0.0, (0,)), ("counted", 0.0, (0,)), ("counted", 0.0, (1, 2))]
    seconds = [1.0, 2.0, 5.0, 1.0]
    assert mixed.longest_path(diamond, seconds) == 7.0
    assert mixed.lower_bound(diamond, seconds, cores=1) == 9.0
    assert mixed.lower_bound(diamond, seconds, cores=2) == 7.0
    assert mixed.ends(diamond) == [3]


@pytest.mark.parametrize("pattern", metg.PATTERNS)
@pytest.mark.parametrize("width", [2, 8])
def test_a_pattern_reads_places_of_the_row_before_and_none_in_the_first_row(pattern, width):
    for place in range(width):
        assert metg.wanted(pattern, 0, place, width) == ()
        for step in range(1, 12):
            reads = metg.wanted(pattern, step, place, width)
            assert len(set(reads)) == len(reads)
            assert set(reads) <= set(range(width))


def run_pattern(pattern):
    """Runs of a small graph of Task Bench, in which a task hashes for some 0.5 ms."""
    run = metg.weftwork_graph(pattern, width=8)
    for _ in range(2):
        run(500_000)


SHARED = {
    "window 40": partial(oneshot.runs_of, oneshot.unequal(40, 60)(0)),
    "window 3": partial(oneshot.runs_of, oneshot.unequal(3, 60)(0)),
    "own functions": partial(oneshot.runs_of, oneshot.unequal(40, 60)(0), own_functions=True),
    "fed": partial(oneshot.runs_of_fed, oneshot.unequal(40, 60)(0), 0),
    "coarse": partial(oneshot.runs_of, oneshot.equal(64, 20e-3)(0)),
    "fine": partial(oneshot.runs_of, oneshot.equal(2000, 0.2e-3)(0)),
    "tail": partial(oneshot.runs_of, oneshot.heavy_tail(0)),
    "one asks for a CPU": partial(oneshot.runs_of, oneshot.equal(200, 1e-3)(0), bound_node=True),
    **{pattern: partial(run_pattern, pattern) for pattern in metg.PATTERNS},
    **{f.__name__: partial(bound.first_runs, f, 20_000, 60) for f in (bound.wide, bound.tree, bound.stencil)},
}


@pytest.mark.parametrize("runs", SHARED.values(), ids=SHARED)
def test_the_graph_of_a_benchmark_is_shared_over_lanes(runs, ray_session, monkeypatch):
    """A slow figure says too little about a graph that stays in the caller: on a busy machine any is slow."""
    monkeypatch.setattr(oneshot, "RUNS", 2)
    monkeypatch.setattr(oneshot, "STEPS", 2e6)
    monkeypatch.setattr(metg, "STEPS", 20)
    lanes = defaultdict(set)

    def hear(event):
        # what asks for a CPU is a task, wherever the others are
        if event.kind == "segment" and event.lane.place not in (*IDLE, "task"):
            lanes[event.run].add(event.lane)

    with tf.listen(hear):
        for _ in range(20):  # others may keep the cores busy for a while, and the processes may just be starting
            runs()
            if max(map(len, lanes.values())) > 1:
                return
    pytest.fail(f"one lane in each run: {dict(lanes)}")


@pytest.mark.parametrize("name", ["words", "documents", "sorting"])
def test_an_ordinary_program_gives_in_a_graph_what_it_gives_in_a_loop(graph, ray_session, name):
    program = ordinary.PROGRAMS[name]
    wanted = program(lambda function: function)
    fetches = program(lambda function: tf.op(ordinary.never_called(function)))
    with tf.Session() as session:
        for _ in range(3):
            assert session.run(fetches) == wanted


def test_memory_of_the_process_tree_counts_arrays_and_a_shared_store_once():
    memory = pytest.importorskip("benchmarks.memory", exc_type=ImportError)
    program = """
import os, numpy as np
from benchmarks.memory import tree_bytes
before = tree_bytes(os.getpid())
array = np.ones(8_000_000)
print((tree_bytes(os.getpid()) - before) / array.nbytes)
"""  # a process of its own: other programs come and go under this one
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert 0.9 < float(ran.stdout) < 1.5
    with tempfile.TemporaryFile(dir="/dev/shm") as store:
        store.write(bytes(1_000_000))
        store.flush()
        twin = os.dup(store.fileno())
        try:
            here = os.stat(twin)
            assert memory.stores(os.getpid())[here.st_dev, here.st_ino] == pytest.approx(1_000_000, rel=0.05)
        finally:
            os.close(twin)


def test_a_program_that_ends_without_an_answer_is_an_error_and_leaves_nothing():
    memory = pytest.importorskip("benchmarks.memory", exc_type=ImportError)
    with pytest.raises(RuntimeError, match="died"):
        memory.Program("this")
    assert not [process for process in memory.tree(os.getpid()) if "this" in command(process)]


def command(process):
    """A process's command line; nothing for one that has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_two_checkouts_are_compared_sample_by_sample(capsys):
    then_and_now.main(str(ROOT), 3, "20 of 1 us")
    rows = capsys.readouterr().out.splitlines()
    assert [row.partition(" | ")[0] for row in rows] == [
        f"20 of 1 us: {name}" for name in ("building", "first run", "second run", "8 more")
    ]
    assert all(re.fullmatch(r".* \| [\d.]+ ms, now [\d.]+ ms \| [\d.]+( WORSE)?", row) for row in rows)


def test_a_program_that_an_earlier_checkout_cannot_run_is_named(tmp_path, capfd):
    (tmp_path / "weftwork").mkdir()
    (tmp_path / "weftwork" / "__init__.py").write_text("")
    then_and_now.main(str(tmp_path), 3, "x + 1")
    out, reason = capfd.readouterr()
    assert out == "x + 1 | fails then\n"
    assert "AttributeError" in reason


def test_comparing_checkouts_by_an_unknown_program_names_those_that_there_are():
    with pytest.raises(SystemExit, match=r"no program 'y \+ 2'.*'x \+ 1'"):
        then_and_now.main(str(ROOT), 3, "y + 2")
