"""An account of a run, and the sentences that are made of it."""

from __future__ import annotations

import pytest

import weftwork as tf
from tests.scheduler.views.made_events import HERE, moment, ran, whole, worker
from weftwork.scheduler.views.account import Account, accounts, summary
from weftwork.scheduler.views.advice import NOTHING, advice


def load(number=0):
    return number


def parse(text):
    return text


@pytest.fixture
def nodes(graph):
    """What `load` and four calls of `parse` return."""
    loaded = tf.op(load)()
    return [loaded, *[tf.op(parse)(loaded) for _ in range(4)]]


def test_a_run_is_told_in_a_line_with_your_functions_and_lines(nodes):
    loaded, parsed = nodes[:2]
    events = whole(
        7.4, ran(loaded, 0.1, 5.1), ran(parsed, 7.3, 0.1, worker(1, "task"), ready=5.2, sent=6.4, back=7.4, packing=0.8)
    )
    text = summary(Account(events))
    assert text.startswith("of 7.4 s: 5.1 in `load` (test_account.py:")
    assert text.partition("), ")[2].endswith("1.2 waiting for a core, 0.8 pickling, 0.1 rest, 0.1 Ray")


def test_a_short_run_is_told_in_its_own_unit(nodes):
    assert summary(Account(whole(0.0125, ran(nodes[0], 0, 0.01)))).startswith("of 13 ms: 10 in `load`")
    assert summary(Account(whole(0.0))) == "of 0 us: nothing"


def test_functions_are_counted_with_their_seconds_and_places(nodes):
    events = whole(
        3.0, ran(nodes[0], 0, 1), *[ran(node, 1, 2, worker(n), bytes_out=10) for n, node in enumerate(nodes[1:])]
    )
    first, second = Account(events).totals
    assert (first.label, first.calls, first.seconds, first.waited) == ("`parse`", 4, 8.0, 2.0)
    assert (first.bytes_out, first.places) == (40, {"resident": 8.0})
    assert (second.label, second.calls, second.places) == ("`load`", 1, {"caller": 1.0})


def test_nodes_that_ran_together_are_told_together(nodes, graph):
    more = [tf.op(lambda: 0, name=name)() for name in ("x", "y")]
    account = Account(whole(1.0, ran([*nodes, tf.add(1, 2).op, *more], 0, 1)))
    assert [total.label for total in account.totals] == ["`load`, `parse` and 3 more"]


def test_runs_are_told_apart(nodes):
    events = whole(1.0, ran(nodes[0], 0, 1))
    found = accounts([*events, *[moment("began", 2, text="z:0")]])
    assert [(account.fetches, account.over) for account in found] == [("y:0", True)]
    assert not Account([moment("began", 2, text="z:0")]).over
    assert Account(whole(1.0, error="NotFoundError: no")).error == "NotFoundError: no"


def sentences(*events, seconds=10.0) -> str:
    return " ".join(advice(Account(whole(seconds, *events))))


def test_a_chain_of_work_gains_nothing_from_more_cores(nodes):
    text = sentences(ran(nodes[0], 0, 7), ran(nodes[1], 7, 3))
    assert text.startswith("100 % of the run is work on the critical path")
    assert "`load` (test_account.py:" in text
    assert "takes 7 s of it" in text


def test_waiting_for_a_core_says_what_more_cores_would_gain(nodes):
    text = sentences(ran(nodes[0], 0, 1), ran(nodes[1], 8, 2, ready=1.0, sent=8.0))
    assert text == (
        "70 % of the run waited for a core. At most 1 node ran at a time; with 2 at a time it would take 3 s at best. "
        "The longest chain of nodes that need each other takes 3 s."
    )


def test_more_cores_would_gain_no_more_than_the_work_and_the_longest_chain_allow(graph):
    """Eight nodes of a second in two lanes, of which two need each other."""
    first = tf.op(lambda: 0, name="first")()
    nodes = [first, tf.op(lambda x: x, name="second")(first), *[tf.op(lambda: 0, name="n")() for _ in range(6)]]
    ready = {1: 1.0}
    events = [
        ran(node, n // 2, 1, worker(n % 2), ready=ready.get(n, 1e-6), sent=max(n // 2, 1e-6))
        for n, node in enumerate([first, *nodes[2:], nodes[1]])
    ]
    text = sentences(*events, seconds=4.0)
    assert "At most 2 nodes ran at a time; with 4 at a time it would take 2 s at best" in text
    assert text.endswith("The longest chain of nodes that need each other takes 2 s.")


def test_short_nodes_in_one_thread_would_not_gain_from_more_cores(graph):
    make = tf.op(lambda: 0, name="make")
    ends = [make() for _ in range(10)]
    last = tf.op(lambda *x: x, name="last")(*ends)
    short = [ran(node, n / 2000, 1 / 2000) for n, node in enumerate([*ends[1:], ends[0], last])]
    text = sentences(*short, seconds=11 / 2000)
    assert (
        "nodes that could run side by side ran one after another. Most of that went into nodes of about 500 us" in text
    )
    assert "more cores" not in text


def test_calls_that_only_wait_do_not_gain_from_more_cores(nodes):
    waits = [ran(node, 6, 2, worker(0, "loop"), ready=1.0) for node in nodes[:1]]
    assert "so more cores gain nothing" in sentences(*waits, seconds=8.0)


def test_large_values_on_the_way_are_named_with_who_reads_them(nodes):
    far = [
        ran(node, 6, 2, worker(5, "task", "far"), sent=2.0, ready=2.0, back=9.0, bytes_in=9 * 10**7)
        for node in nodes[1:]
    ]
    text = sentences(ran(nodes[0], 0, 2, HERE, bytes_out=9 * 10**7), *far)
    assert "went into moving values and messages between processes. `parse` takes 90 MB" in text
    assert "`load` returns 90 MB that 4 nodes on another machine read" in text


def test_small_values_on_the_way_ask_for_more_work_in_each_node(nodes):
    assert "do more in each" in sentences(ran(nodes[0], 5, 1, worker(1), sent=1.0, ready=1.0, back=10.0))


def test_planning_locks_and_queues_are_advised_upon(nodes):
    text = sentences(moment("planned", 0, 3), moment("locked", 3, 2, text="w"), ran(nodes[0], 5, 5, worker(1, "queue")))
    assert "30 % of the run was planning" in text
    assert "20 % of the run waited for variables that another run writes (w)" in text
    assert "50 % of the run waited in queues" in text


def test_a_first_run_says_that_workers_were_started(nodes):
    text = sentences(moment("started", 0.0, 4), ran(nodes[0], 4, 6))
    assert text == "40 % of the run waited for processes to start and to load functions. Later runs find them ready."


def test_losses_and_functions_that_stay_are_told(nodes):
    lost = moment("lost", 1, ops=(nodes[0].op,), text="exit code -9")
    stayed = moment("stayed", 1, ops=(nodes[1].op,), text="its closure holds a lock")
    text = sentences(lost, stayed, ran(nodes[0], 0, 1))
    assert "A process died while running `load`, which ran again: exit code -9" in text
    assert "`parse` runs only in the caller: its closure holds a lock" in text


def test_equal_calls_of_a_function_that_is_not_pure_are_named(graph):
    x = tf.constant(1.0)
    work = tf.op(lambda x, k=0: x, name="work")
    again = [work(x) for _ in range(3)]
    others = [work(x, 1), work(x, 2)]
    text = sentences(*[ran(node, 2 * n, 2) for n, node in enumerate([*again, *others])], seconds=10.0)
    assert (
        "`work` was called 3 times with the same arguments: if it returns the same each time, declare it pure" in text
    )
    assert "Called once, it takes 4 s less." in text


def test_a_run_in_which_nothing_stands_out_says_so(nodes):
    assert sentences(ran(nodes[0], 0, 10)) == NOTHING
