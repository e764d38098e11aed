"""First runs without a plan: they give what any run gives, and unseen functions are tried in a worker."""

from __future__ import annotations

import concurrent.futures
import decimal
import operator
import os
import pickle
import signal
import threading
import time
import warnings
from collections import Counter

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import weftwork as tf
from tests.chaos.killing import is_resident, workers
from tests.reference import Reference, same
from tests.waiting import until
from weftwork.scheduler.core import cold_run, pace
from weftwork.scheduler.core.cold_run import ColdRun, Next
from weftwork.scheduler.machines import inventory
from weftwork.scheduler.plan import call_list as listings
from weftwork.scheduler.plan.call_list import CallList
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.request.fetches import Fetches
from weftwork.scheduler.sharing.local_workers import local_workers

MANY = 300
"""Nodes of a graph that is large enough."""
_GO = threading.Event()


def seen(function, seconds=1e-6):
    """An op whose function was called before, as far as anybody knows: it runs in the caller."""
    made = tf.op(function)
    COSTS.learn(made.kernel, 64, seconds, 64)
    return made


def chain(make, x=0):
    """Many nodes, each of which takes the one before it."""
    for _ in range(MANY):
        x = make(x)
    return x


def call_list_of(elements, fed):
    """The call list for these fetches."""
    return CallList.of(Fetches(tuple(elements), list), fed)


# Results


def random_graph(data):
    """A graph of int64 scalars: constants, feeds, functions of the library and of users, control edges."""
    draw = data.draw
    halve, divide = (
        tf.op(lambda x: int(x) // 2),
        tf.op(outputs=2, dtype=tf.int64)(lambda x, by: divmod(int(x), int(by))),
    )
    add = tf.op(lambda x, y, k: x + y + k)
    tensors = [tf.constant(np.int64(3)), *[tf.placeholder(tf.int64, [], name=f"feed{i}") for i in range(2)]]
    ops = []
    for _ in range(draw(st.integers(1, 25))):
        controls = draw(st.lists(st.sampled_from(ops), max_size=2)) if ops else []
        x, y, kind = draw(st.sampled_from(tensors)), draw(st.sampled_from(tensors)), draw(st.integers(0, 5))
        with tf.control_dependencies(controls):
            if kind <= 1:
                made = [x + y] if kind else [x * 3 - y]
            elif kind == 2:
                made = [tf.cast(halve(x), tf.int64)]
            elif kind == 3:
                made = divide(x, y)
            elif kind == 4:
                made = [tf.cast(add(x, y, 5), tf.int64)]
            else:
                made = [tf.cast(add(x, k=x, y=7), tf.int64)]
        tensors += made
        ops += [tensor.op for tensor in made]
    return tensors, ops


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_first_run_without_a_plan_gives_what_the_reference_interpreter_gives(ray_session, monkeypatch, data):
    monkeypatch.setattr(listings, "LEAST_COLD_NODES", 1)
    with tf.Graph().as_default(), tf.Session() as session:
        tensors, ops = random_graph(data)
        feeds = {f"feed{i}:0": np.int64(data.draw(st.integers(0, 3))) for i in range(2)}
        if data.draw(st.booleans()):
            feeds[data.draw(st.sampled_from(tensors)).name] = np.int64(2)
        fetches = data.draw(st.lists(st.sampled_from([*tensors, *ops]), min_size=1, max_size=4) | st.just(tensors))
        fed = {tf.get_default_graph().get_tensor_by_name(name): value for name, value in feeds.items()}
        for _ in range(2):
            ours = theirs = None
            try:
                theirs = Reference().run(fetches, fed)
            except ZeroDivisionError:
                pass
            try:
                ours = session.run(fetches, feeds)
            except tf.errors.OpError as error:
                assert theirs is None, error  # noqa: PT017
            assert (ours is None) == (theirs is None)
            if ours is not None and theirs is not None:
                assert all(same(a, b) for a, b in zip(ours, theirs, strict=True)), (ours, theirs)


def test_the_first_run_and_those_with_a_plan_give_the_same(ray_session, graph):
    x = tf.placeholder(tf.float64, [3])
    add = tf.op(lambda values, k: values + k)
    y = chain(lambda t: add(t, 1.0) * 1.0, x)
    total = tf.reduce_sum(tf.cast(y, tf.float64))
    with tf.Session() as session:
        for _ in range(60):
            value, summed = session.run([y, total], {x: [0.0, 1.0, 2.0]})
            assert value.tolist() == [300.0, 301.0, 302.0]
            assert summed == 903.0
        assert 20 < session.explain([y, total], {x: [0.0, 1.0, 2.0]}).runs < 60


def test_only_the_nodes_that_are_needed_are_called_once_each(graph):
    calls = Counter()
    count = seen(lambda k: calls.update([k]))
    needed = [count(k) for k in range(MANY)]
    count(-1)
    first = count("first")
    with tf.control_dependencies([first]):
        last = count("last")
    with tf.Session() as session:
        assert session.run([last, *needed, needed[0].op]) == [None] * (MANY + 2)
    assert calls == Counter(["first", "last", *range(MANY)])


def test_a_copy_of_a_graph_runs_in_the_same_way(graph):
    last = chain(seen(operator.neg), 3)
    with tf.Session(graph=pickle.loads(pickle.dumps(graph))) as session:
        assert session.run(f"{last.op.name}:0") == 3
        assert session.explain(f"{last.op.name}:0").runs == 0


# Which runs can do without a plan


@pytest.mark.parametrize("what", ["variable", "random", "loop", "pure", "device", "isolated", "few", "heavy", "unfed"])
def test_what_needs_a_plan_gets_one(graph, what):
    step = seen(lambda x: x, seconds=1e-6 if what != "heavy" else 1e-2)
    start = {
        "variable": lambda: tf.Variable(1.0) + 0.0,
        "random": lambda: tf.random_uniform([]),
        "loop": lambda: tf.while_loop(lambda i: i < 3, lambda i: i + 1, [0]),
        "pure": lambda: tf.op(pure=True)(len)("abc"),
        "isolated": lambda: tf.op(isolated=True)(len)("abc"),
        "unfed": lambda: tf.placeholder(tf.float32),
    }.get(what, lambda: tf.constant(1.0))
    with tf.device("/cpu:0" if what == "device" else None):
        fetch = step(start()) if what == "few" else chain(step, start())
    assert call_list_of([fetch], set()) is None


def test_a_plain_graph_needs_none(graph):
    x = tf.placeholder(tf.float32)
    assert call_list_of([chain(seen(lambda x: x), x)], {x}) is not None


def test_a_run_that_is_fed_large_values_gets_a_plan(graph):
    x = tf.placeholder(tf.float64, [None])
    fetch = chain(seen(lambda x: x), x)
    with tf.Session() as session:
        session.run(fetch, {x: np.zeros(10)})
        assert session.explain(fetch, {x: np.zeros(10)}).runs == 0
        session.run(fetch, {x: np.zeros(2_000_000)})
        assert session.explain(fetch, {x: np.zeros(2_000_000)}).runs == 1


def test_a_run_of_little_of_a_large_graph_gets_a_plan(graph):
    step = seen(lambda x: x)
    part = chain(step)
    assert call_list_of([part], set()) is not None
    for _ in range(16):
        chain(step)
    assert call_list_of([part], set()) is None


@pytest.mark.parametrize(("seconds", "calls", "planned"), [(5e-4, 4, False), (5e-4, 5, True), (5e-3, 1, True)])
def test_short_first_calls_do_not_tell_that_a_function_is_heavy(graph, seconds, calls, planned):
    step = tf.op(lambda x: x)
    for _ in range(calls):
        COSTS.learn(step.kernel, 64, seconds, 64)
    assert (call_list_of([chain(step)], set()) is None) is planned


@pytest.mark.parametrize(
    ("make", "seconds", "scalars", "expected"),
    [
        (lambda x: x, 1e-6, True, 267),
        (lambda x: x, 1e-6, False, 16),
        (lambda x: x, 5e-6, True, 35),
        (lambda x: x, 1e-4, False, 1),
        (tf.negative, 1e-6, True, 43),
        (tf.negative, 1e-6, False, 13),
    ],
)
def test_a_plan_is_made_once_it_might_have_paid(graph, make, seconds, scalars, expected):
    """Short nodes gain nothing from other cores: only what a run without a plan costs more counts for them.

    That is more for nodes of the library, which a compiled program does not call.
    """
    call_list = call_list_of([chain(make if make is tf.negative else seen(make), 1)], set())
    runs = 1
    while not call_list.is_worth_a_plan(MANY, MANY * seconds, scalars, slots=2):
        runs += 1
    assert runs == expected


class Clock:
    """The clock of a cold run, which goes on when a node says so, and not while others use the machine."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        """Advance the clock."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    for module in (cold_run, pace):
        monkeypatch.setattr(module, "perf_counter", made)
    return made


def test_nodes_that_turn_out_heavy_are_left_to_a_plan(graph, clock):
    def nap(x):
        clock.wait(0.002)
        return x

    step = seen(nap)
    first = step(1)
    work = ColdRun(call_list_of([step(first) for _ in range(MANY - 1)], set()), {}, lambda: False, False)
    assert work.go_on([]) is Next.PLAN
    part = work.rest()
    assert work.called == 2
    assert len(part.nodes) == MANY - 2
    assert list(part.fed.values()) == [1]


def test_heavy_nodes_of_which_each_waits_for_another_are_called_here_until_others_are_left(graph, clock):
    def nap(x):
        clock.wait(0.002)
        return x

    step = seen(nap)
    work = ColdRun(call_list_of([chain(step, 1)], set()), {}, lambda: False, False)
    assert work.go_on([]) is Next.NOTHING
    assert work.values() == [1]
    last = chain(step, 1)
    work = ColdRun(call_list_of([step(last) for _ in range(MANY // 8)], set()), {}, lambda: False, False)
    assert work.go_on([]) is Next.PLAN
    assert MANY // 2 < work.called <= MANY


@pytest.mark.parametrize("kind", ["scalars", "objects", "mixed"])
def test_long_nodes_behind_short_ones_are_left_to_a_plan_within_a_few_calls(graph, clock, kind):
    """A piece has up to 256 nodes; it ends early once it has taken a millisecond."""
    short, errors = 100, []

    def nap(k):
        clock.wait(1e-6 if k < short else 2e-3)
        errors.append(np.geterr())
        return [k] if kind == "objects" else k

    step = seen(nap)
    nodes = [step(k) for k in range(MANY)]
    if kind == "mixed":
        nodes = [node for k, made in enumerate(nodes) for node in (made, tf.log(tf.constant(0.0)))]
    work = ColdRun(call_list_of(nodes, set()), {}, lambda: True, False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as if the library's nodes warned of the logarithm of 0
        assert work.go_on([]) is Next.PLAN
    part = work.rest()
    done = MANY - len([op for op in part.nodes if op.kernel is step.kernel])
    assert short + 2 <= done <= short + 20
    assert errors == [np.geterr()] * done
    values = work.values()[:: 2 if kind == "mixed" else 1]
    assert values[:done] == ([[k] for k in range(done)] if kind == "objects" else [*range(done)])


def test_an_error_in_a_piece_that_ends_early_names_its_node(graph, clock):
    def nap(k):
        clock.wait(1e-4)
        return 1 // (77 - k)

    work = ColdRun(call_list_of([seen(nap)(k) for k in range(MANY)], set()), {}, lambda: False, False)
    with pytest.raises(tf.errors.OpError, match="ZeroDivisionError") as raised:
        work.go_on([])
    assert raised.value.op.name == "nap_77"


def test_a_pause_does_not_make_nodes_heavy(graph, clock):
    work = ColdRun(
        call_list_of([chain(seen(lambda k: clock.wait(1e-6 if k else 0.05) or k + 1), 0)], set()),
        {},
        lambda: False,
        False,
    )
    assert work.go_on([]) is Next.NOTHING
    assert work.values() == [MANY]


# Unseen functions


@pytest.fixture(params=["task", "resident"])
def tried_in(request, ray_session):
    """Where unseen functions are tried: in a resident that is up, or in tasks while others have it."""
    team = local_workers()
    assert team.borrow(2, 60)
    if request.param == "resident":
        team.give_back()
    yield request.param
    if request.param == "task":
        team.give_back()


def test_first_calls_of_an_unseen_function_are_in_a_worker_and_the_rest_is_here(tried_in, graph, clock):
    who = tf.op(lambda k: (k, os.getpid()))
    with tf.Session() as session:
        made = session.run([who(k) for k in range(MANY)])
        assert [k for k, _ in made] == list(range(MANY))
        tried = sum(pid != os.getpid() for _, pid in made)
        assert 1 <= tried <= 4
        assert session.placements[tried_in][1] == tried
        assert session.placements["caller"][1] == MANY - tried


def test_nodes_that_only_follow_a_first_call_stay_with_it(tried_in, graph):
    make, reduce = tf.op(lambda k: (k, os.getpid())), tf.op(lambda made: (*made, os.getpid()))
    with tf.Session() as session:
        made = session.run([reduce(make(k)) for k in range(MANY)])
        assert [k for k, _, _ in made] == list(range(MANY))
        _, one, two = made[0]  # what follows may be shared out where the machine stands still
        assert one == two != os.getpid()
        assert session.placements[tried_in][1] >= 2


def test_an_unseen_function_that_takes_another_ones_values_is_tried_when_these_are_there(tried_in, graph):
    one, two = tf.op(lambda x: x + 1), tf.op(lambda x, pid: (x * 2, os.getpid()))
    summed = tf.op(lambda *values: sum(values))([one(k) for k in range(MANY)][0], *[one(k) for k in range(MANY)])
    with tf.Session() as session:
        made = session.run([two(summed, k) for k in range(MANY)])
    assert {x for x, _ in made} == {2 * (1 + sum(range(1, MANY + 1)))}
    assert os.getpid() in {pid for _, pid in made}
    assert len({pid for _, pid in made}) > 1


def test_several_calls_of_a_rarely_called_function_are_tried_at_once(ray_session, graph):
    slots = inventory.slots()
    rare, usual = tf.op(lambda k: os.getpid()), seen(lambda k: k)
    fetches = [rare(k) for k in range(slots + 1)] + [usual(k) for k in range(MANY)]
    with tf.Session() as session:
        pids = session.run(fetches)[: slots + 1]
        assert 1 <= sum(pid != os.getpid() for pid in pids) <= slots


def test_heavy_functions_are_shared_out_once_they_were_tried(tried_in, graph):
    def nap(k):
        time.sleep(0.002)
        return k

    asleep = tf.op(nap)
    with tf.Session() as session:
        assert session.run([asleep(k) for k in range(MANY)]) == list(range(MANY))
        if tried_in == "resident":
            ran = session.placements
            assert sum(ran.get(place, (0, 0))[1] for place in ("resident", "thread")) > MANY // 3
        assert session.run([asleep(k) for k in range(MANY)]) == list(range(MANY))


# Values


def test_values_are_let_go_when_nobody_takes_them_any_more(graph):
    alive = Counter()

    class Tracked:
        def __init__(self):
            alive["now"] += 1
            alive["most"] = max(alive.values())

        def __del__(self):
            alive["now"] -= 1

    make = seen(lambda before: Tracked())
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        session.run([chain(make).op, *[make(k).op for k in range(MANY)]])
    assert alive["most"] <= 3


def test_arrays_between_functions_are_their_own_and_fetched_ones_the_callers(graph):
    kept = np.zeros(3)
    make, look = seen(lambda k: kept), seen(lambda x: x.flags.writeable)
    spoil = seen(lambda x: x.fill(7))
    made = [make(k) for k in range(MANY)]
    made_here = tf.ones([3], tf.float64) * 2.0
    with tf.Session() as session:
        asked = [made[0], made[1:], look(made[0]), look(made_here), spoil(made[1])]
        first, second, shown, shown_too, _ = session.run(asked)
    assert shown
    assert shown_too
    first[0] = 5.0
    assert kept.tolist() == [0, 0, 0]
    assert kept.flags.writeable
    assert second[0].tolist() == [0, 0, 0]


def test_an_array_that_a_function_has_made_is_not_copied(graph):
    def where(x):
        return x.__array_interface__["data"][0]

    made = []

    def make(k):
        x = np.zeros(10)
        made.append(where(x))
        return x

    first, look = seen(make), seen(where)
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        assert session.run([look(first(k)) for k in range(MANY)]) == made


# Failures


def test_a_failing_node_is_named_and_the_session_goes_on(ray_session, graph):
    fail = tf.op(lambda k: 1 // (k - 200))
    nodes = [fail(k) for k in range(MANY)]
    with tf.Session() as session:
        with pytest.raises(tf.errors.OpError, match=r"ZeroDivisionError.*\n.*test_cold_run.py:") as caught:
            session.run(nodes)
        assert caught.value.op is nodes[200].op
        assert session.run(nodes[:200])[0] == 1 // -200


def test_a_wrong_number_of_outputs_is_an_error(graph):
    both = tf.op(outputs=2)(lambda k: (k,))
    COSTS.learn(both.kernel, 64, 1e-6, 64)
    nodes = [both(k)[0] for k in range(MANY)]
    with (
        tf.Session() as session,
        pytest.raises(tf.errors.InvalidArgumentError, match="returned 1 values, but 2 outputs"),
    ):
        session.run(nodes)


def test_a_time_limit_ends_a_first_run(graph):
    def spin(k):
        end = time.perf_counter() + 2e-4
        while time.perf_counter() < end:
            pass
        return k

    nodes = chain(seen(spin))
    with tf.Session() as session:
        with pytest.raises(tf.errors.DeadlineExceededError):
            session.run(nodes, options=tf.RunOptions(timeout_in_ms=5))
        assert session.run(nodes) == 0


def test_a_cancelled_run_calls_nothing_more(graph):
    _GO.clear()
    called = []
    step = seen(lambda k: called.append(k) or (k == 150 and _GO.wait(60)) or k + 1)
    with tf.Session() as session:
        future = session.submit(chain(step, 0))
        until(lambda: len(called) > 150)
        future.cancel()
        _GO.set()
        with pytest.raises((tf.errors.CancelledError, concurrent.futures.CancelledError)):
            future.result()
    assert called == list(range(151))


def test_a_time_limit_ends_the_trial_of_an_unseen_function(tried_in, graph):
    def hang(k):
        while True:
            time.sleep(0.01)

    hanging = tf.op(hang)
    with tf.Session(config=tf.ConfigProto(cancel_grace_in_ms=200)) as session:
        with pytest.raises(tf.errors.DeadlineExceededError):
            session.run([hanging(k) for k in range(MANY)], options=tf.RunOptions(timeout_in_ms=300))
        assert session.run(tf.constant(1) + 1) == 2


def test_the_trial_of_an_unseen_function_can_be_cancelled(tried_in, graph, tmp_path):
    def hang(k):
        (tmp_path / "here").touch()
        while True:
            time.sleep(0.01)

    hanging = tf.op(hang)
    with tf.Session(config=tf.ConfigProto(cancel_grace_in_ms=200)) as session:
        future = session.submit([hanging(k) for k in range(MANY)])
        until((tmp_path / "here").exists)
        until(lambda: any(item.place == tried_in for item in session.waiting()))
        future.cancel()
        with pytest.raises((tf.errors.CancelledError, concurrent.futures.CancelledError)):
            future.result()
        assert session.run(tf.constant(1) + 1) == 2


def test_a_first_call_that_fails_names_its_node(tried_in, graph):
    def fail(k):
        raise RuntimeError("no")

    failing = tf.op(fail)
    nodes = [failing(k) for k in range(MANY)]
    with tf.Session() as session:
        with pytest.raises(tf.errors.OpError, match=r"(?s)RuntimeError: no.*test_cold_run.py") as failure:
            session.run(nodes)
        assert failure.value.op in [node.op for node in nodes]
        assert session.run(tf.constant(1) + 1) == 2


def test_a_first_call_that_ends_its_process_is_tried_again(tried_in, graph, tmp_path):
    def die(k):
        if not (tmp_path / "once").exists():
            (tmp_path / "once").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return k

    dying = tf.op(die)
    with tf.Session() as session:
        assert session.run([dying(k) for k in range(MANY)]) == list(range(MANY))


def test_a_first_call_whose_value_does_not_pickle_is_made_here_and_so_are_all_later_ones(tried_in, graph):
    pids = []
    locked = tf.op(lambda k: (pids.append(os.getpid()), threading.Lock())[1])
    with tf.Session() as session:
        for _ in range(2):
            assert all(hasattr(made, "acquire") for made in session.run([locked(k) for k in range(MANY)]))
    assert set(pids) == {os.getpid()}


def kill_residents():
    """End all that there are."""
    there = [process for process in workers() if is_resident(process)]
    for process in there:
        process.kill()
    assert not psutil.wait_procs(there, 30)[1]


def places_of_first_run(nodes):
    """Where the nodes of a first run ran."""
    with tf.Session() as session:
        events = []
        with session.listen(events.append):
            session.run(nodes)
    return {event.lane.place for event in events if event.kind == "segment"}


def test_new_functions_whose_calls_can_be_interrupted_are_called_here_at_once(ray_session, graph):
    split, joined = tf.op(lambda text, k: text.split()[k:]), tf.op(lambda words: " ".join(sorted(words)))
    assert places_of_first_run([joined(split("c b a", k % 3)) for k in range(MANY)]) == {"caller"}


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (lambda: lambda n: sum(range(n)), 3),  # one call may take hours, and only the end of its process ends it
        (lambda: lambda x: x + 1, decimal.Decimal(3)),  # whatever an object does there
    ],
    ids=["in C", "on an object"],
)
def test_others_are_tried_in_a_worker(ray_session, graph, make, given):
    function = tf.op(make())
    assert places_of_first_run([function(given) for _ in range(MANY)]) == {"resident", "caller"}


def test_a_time_limit_ends_the_first_call_of_a_function_that_can_be_interrupted(graph):
    def endless(k):
        while k >= 0:
            k = k + 1 & 1023

    nodes = [tf.op(endless)(k) for k in range(MANY)]
    with tf.Session(config=tf.ConfigProto(cancel_grace_in_ms=200)) as session:
        with pytest.raises(tf.errors.DeadlineExceededError):
            session.run(nodes, options=tf.RunOptions(timeout_in_ms=300))
        assert session.run(tf.constant(1) + 1) == 2


def test_another_resident_may_come_up_or_die_meanwhile(ray_session, tmp_path):
    team = local_workers()
    kill_residents()
    until(lambda: team.borrow(2, 1))
    team.give_back()

    def wait(k):
        (tmp_path / "pid").write_text(str(os.getpid()))
        while not (tmp_path / "go").exists():
            time.sleep(0.01)
        return k

    def others():
        mine = (tmp_path / "pid").read_text()
        return [process for process in workers() if is_resident(process) and str(process.pid) != mine]

    def first_run(change, tag):
        (tmp_path / "go").unlink(missing_ok=True)
        (tmp_path / "pid").unlink(missing_ok=True)
        with tf.Graph().as_default(), tf.Session() as session:
            step = tf.op(lambda k: (tag, wait(k))[1])  # another function each time, of which nothing is known
            future = session.submit([step(k) for k in range(MANY)])
            until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
            change()
            time.sleep(0.5)
            (tmp_path / "go").touch()
            assert future.result() == list(range(MANY))
            assert session.placements["resident"][1] >= 1

    assert not team.borrow(3)  # it is started
    first_run(lambda: until(others), "one more")
    until(lambda: team.borrow(3, 1), 20)
    team.give_back()
    first_run(lambda: others()[0].kill(), "one less")
    until(lambda: team.borrow(3, 1), 20)
    team.give_back()


@pytest.mark.parametrize("size", [10, 200_000])
def test_first_calls_take_and_give_values_of_any_size(tried_in, graph, size):
    x = tf.placeholder(tf.float64, [None])
    add = tf.op(lambda values, k: values + k)
    with tf.Session() as session:
        made = session.run(
            [add(x, k) for k in range(MANY)][:2] + [add(x, k).op for k in range(MANY)], {x: np.ones(size)}
        )
    np.testing.assert_array_equal(made[0], np.ones(size))
    np.testing.assert_array_equal(made[1], np.full(size, 2.0))


def test_a_session_says_which_node_a_first_run_is_at(graph):
    _GO.clear()
    step, wait = seen(lambda x: x), seen(lambda x: _GO.wait(60))
    last = wait(chain(step))
    with tf.Session() as session:
        future = session.submit(last)
        until(lambda: any(item.place == "caller" and last.op.name in item.nodes[0] for item in session.waiting()))
        _GO.set()
        assert future.result() is True
        assert session.waiting() == []
