"""Callables, partial runs, and what a run is told and tells: RunOptions, RunMetadata."""

from __future__ import annotations

import time

import numpy as np
import pytest

import weftwork as tf
from weftwork.graph.errors import DeadlineExceededError, InvalidArgumentError

HERE = tf.ConfigProto(placement="caller")
TRACED = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
SHORT = tf.RunOptions(timeout_in_ms=200)


@tf.op
def hang():
    """Never returns."""
    while True:
        time.sleep(0.05)


@tf.op
def hang_stubbornly():
    """Never returns, whoever asks it to."""
    while True:
        try:
            time.sleep(0.05)
        except BaseException:
            pass


@tf.op
def plus_one(value):
    """A function that returns."""
    return value + 1


# make_callable


def test_a_callable_takes_its_feeds_by_position(session):
    x, y = tf.placeholder(tf.float32, name="x"), tf.placeholder(tf.float32)
    difference = session.make_callable(x - y, [x, y])
    assert difference(5, 3) == 2
    assert difference(3, 5) == -2
    assert session.make_callable(x - y, (y, "x:0"))(5, 3) == -2


def test_the_first_call_of_a_large_callable_needs_no_plan_either(graph):
    value = tf.constant(0)
    for _ in range(100):
        value = plus_one(value)
    with tf.Session() as session:
        call, events = session.make_callable(value), []
        with session.listen(events.append):
            assert call() == 100
    assert any([event.kind == "planned" and event.text.startswith("cold") for event in events])


def test_a_callable_gives_the_structure_of_its_fetches(session):
    a, b = tf.constant(1), tf.constant(2)
    assert session.make_callable(a)() == 1
    assert session.make_callable([a])() == [1]
    assert session.make_callable({"a": a, "b": (b, a)})() == {"a": 1, "b": (2, 1)}
    assert session.make_callable([a, a.op])() == [1, None]
    assert session.make_callable("Const:0")() == 1


def test_a_callable_of_an_operation_runs_it_and_gives_none(session):
    w = tf.Variable(1.0)
    assert session.make_callable(w.initializer)() is None
    add = session.make_callable(w.assign_add(1.0).op)
    assert add() is None
    assert add() is None
    assert session.run(w) == 3


@pytest.mark.parametrize("feed_list", ["x", {"x": 1}, 3, iter([])])
def test_a_feed_list_must_be_a_list_or_tuple(session, feed_list):
    with pytest.raises(TypeError, match=r"^`feed_list` must be a list or tuple\.$"):
        session.make_callable(tf.constant(1), feed_list)


def test_a_tensor_is_no_feed_list(session):
    x = tf.placeholder(tf.float32)
    with pytest.raises(TypeError, match="`feed_list` must be a list or tuple"):
        session.make_callable(x, x)


def test_what_cannot_be_fetched_or_fed_is_refused_when_the_callable_is_made(session):
    x = tf.placeholder(tf.float32)
    with pytest.raises(TypeError, match="Fetch argument None has invalid type"):
        session.make_callable(None)
    with pytest.raises(ValueError, match="cannot be interpreted as a Tensor"):
        session.make_callable("nothing:0")
    with pytest.raises(TypeError, match="Cannot interpret feed_dict key as Tensor"):
        session.make_callable(x, ["nothing:0"])


def test_a_callable_checks_what_it_is_fed(session):
    x = tf.placeholder(tf.float32, [2], name="x")
    double = session.make_callable(x * 2, [x])
    with pytest.raises(
        ValueError, match=r"Cannot feed value of shape \(3,\) for Tensor 'x:0', which has shape '\(2,\)'"
    ):
        double([1, 2, 3])
    with pytest.raises(TypeError, match="The value of a feed cannot be a tf.Tensor object"):
        double(x)
    for arguments in ((), ([1, 2], [1, 2])):
        with pytest.raises(TypeError, match="takes 1 fed values"):
            double(*arguments)
    assert double([1, 2]).tolist() == [2, 4]


def test_a_callable_takes_options_only_when_it_was_made_for_them(session):
    x = tf.placeholder(tf.float32)
    metadata = tf.RunMetadata()
    plain = session.make_callable(x + 1, [x])
    with pytest.raises(TypeError, match="accept_options"):
        plain(1, options=TRACED, run_metadata=metadata)
    traced = session.make_callable(x + 1, [x], accept_options=True)
    assert traced(1) == 2
    assert not metadata.HasField("step_stats")
    assert traced(1, options=TRACED, run_metadata=metadata) == 2
    assert metadata.HasField("step_stats")


def test_a_callable_does_not_mind_that_the_graph_grows(session):
    x = tf.placeholder(tf.float32)
    double = session.make_callable(x * 2, [x])
    for number in range(5):
        assert double(number) == 2 * number
        tf.constant(number)


def test_results_of_a_callable_belong_to_the_caller(session):
    w = tf.Variable([1.0, 2.0])
    session.run(w.initializer)
    read = session.make_callable([w, w.read_value()])
    for _ in range(6):
        for result in read():
            result[:] = 0
    assert session.run(w).tolist() == [1, 2]


# Partial runs


@pytest.fixture
def sums(session):
    """a, b, c, a + b, (a + b) * c."""
    a, b, c = (tf.placeholder(tf.float32, name=name) for name in "abc")
    first = tf.add(a, b, name="first")
    return a, b, c, first, tf.multiply(first, c, name="second")


def test_a_run_is_fed_and_fetched_in_parts(session, sums):
    a, b, c, first, second = sums
    handle = session.partial_run_setup([first, second], [a, b, c])
    assert session.partial_run(handle, first, {a: 1, b: 2}) == 3
    assert session.partial_run(handle, second, {c: 17}) == 51


def test_parts_have_the_structure_of_their_fetches(session, sums):
    a, b, c, first, second = sums
    handle = session.partial_run_setup({"x": [first, first * 2], "y": second}, [a, b, c])
    assert session.partial_run(handle, {"x": (first, [])}, {a: 1, b: 2}) == {"x": (3, [])}
    assert session.partial_run(handle, ["second:0"], {"c:0": 17}) == [51]


def test_a_value_is_computed_once_in_all_parts(session):
    calls = []
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    inner = tf.op(lambda value: calls.append(value) or value * 2)(x)
    one, two = tf.identity(inner), tf.op(lambda p, q: p + q)(inner, y)
    handle = session.partial_run_setup([one, two], [x, y])
    assert session.partial_run(handle, one, {x: 1}) == 2
    assert session.partial_run(handle, two, {y: 5}) == 7
    assert calls == [1]


def test_random_values_are_drawn_once_in_all_parts(session):
    x = tf.placeholder(tf.float32)
    draw = tf.random_uniform([3])
    one, two = tf.identity(draw), draw + x
    handle = session.partial_run_setup([one, two], [x])
    first = session.partial_run(handle, one)
    second = session.partial_run(handle, two, {x: 0})
    assert first.tolist() == second.tolist()


def test_partial_runs_go_on_beside_each_other(session, sums):
    a, b, c, first, second = sums
    handles = [session.partial_run_setup([first, second], [a, b, c]) for _ in range(5)]
    assert len(set(handles)) == 5
    for number, handle in enumerate(handles):
        assert session.partial_run(handle, first, {a: number, b: 2}) == number + 2
    assert session.run(second, {a: 1, b: 1, c: 1}) == 2
    for number, handle in reversed(list(enumerate(handles))):
        assert session.partial_run(handle, second, {c: number}) == (number + 2) * number


def test_parts_may_only_feed_or_only_fetch(session, sums):
    a, b, c, first, second = sums
    handle = session.partial_run_setup([first, second], [a, b, c])
    assert session.partial_run(handle, [], {a: 1}) == []
    assert session.partial_run(handle, [], {b: 2, c: 3}) == []
    assert session.partial_run(handle, [second]) == [9]
    assert session.partial_run(handle, first) == 3


def test_results_of_parts_belong_to_the_caller(session):
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    inner = x * 2
    outer = inner + y
    handle = session.partial_run_setup([inner, outer], [x, y])
    fed = np.ones(3, np.float32)
    session.partial_run(handle, inner, {x: fed})[:] = 100
    assert fed.tolist() == [1, 1, 1]
    assert session.partial_run(handle, outer, {y: 1}).tolist() == [3, 3, 3]


def test_parts_may_update_variables(session):
    w, x = tf.Variable(1.0), tf.placeholder(tf.float32, [])
    add = w.assign_add(x)
    session.run(w.initializer)
    handle = session.partial_run_setup([add, add * 10], [x])
    with pytest.raises(InvalidArgumentError, match="was not specified in partial_run_setup"):
        session.partial_run(handle, add + 1, {x: 2})
    assert session.run(w) == 1
    times = add * 10
    handle = session.partial_run_setup([add, times], [x])
    assert session.partial_run(handle, add, {x: 2}) == 3
    assert session.partial_run(handle, times) == 30
    assert session.run(w) == 3


def test_a_partial_run_needs_something_to_fetch(session):
    x = tf.placeholder(tf.float32)
    for feeds in (None, [], [x]):
        with pytest.raises(InvalidArgumentError, match=r"^Must specify at least one target to fetch or execute\."):
            session.partial_run_setup([], feeds)


def test_a_handle_must_be_set_up(session):
    tf.no_op()
    with pytest.raises(InvalidArgumentError, match="^Must run 'setup' before performing partial runs!") as caught:
        session.partial_run("no such handle", [])
    assert caught.value.op is None
    assert caught.value.node_def is None


def test_only_what_was_set_up_is_fed_and_fetched(session, sums):
    a, b, c, first, second = sums
    handle = session.partial_run_setup([second], [a, b])
    with pytest.raises(InvalidArgumentError, match="^The feed c:0 was not specified in partial_run_setup") as caught:
        session.partial_run(handle, second, {a: 1, b: 2, c: 3})
    assert caught.value.op is None
    handle = session.partial_run_setup([second], [a, b, c])
    with pytest.raises(
        InvalidArgumentError, match="^The fetch first:0 was not specified in partial_run_setup"
    ) as caught:
        session.partial_run(handle, first, {a: 1, b: 2})
    assert caught.value.op is None


def test_each_feed_and_fetch_comes_once(session, sums):
    a, b, c, first, second = sums
    handle = session.partial_run_setup([first, second], [a, b, c])
    session.partial_run(handle, first, {a: 1, b: 2})
    with pytest.raises(InvalidArgumentError, match="^The feed a:0 has already been fed"):
        session.partial_run(handle, second, {a: 3, c: 4})
    handle = session.partial_run_setup([first, second], [a, b, c])
    session.partial_run(handle, first, {a: 1, b: 2})
    with pytest.raises(InvalidArgumentError, match="^The fetch first:0 has already been fetched"):
        session.partial_run(handle, [first, second], {c: 4})


def test_a_fetch_needs_its_feeds(session, sums):
    a, b, c, first, second = sums
    handle = session.partial_run_setup([first, second], [a, b, c])
    with pytest.raises(
        InvalidArgumentError, match="^Fetch second:0 can't be computed from the feeds that have been fed so far"
    ) as caught:
        session.partial_run(handle, second, {a: 1, b: 2})
    assert caught.value.op is None


def test_a_feed_that_was_not_set_up_is_missed_as_in_any_run(session, sums):
    a, b, c, _, second = sums
    handle = session.partial_run_setup([second], [a, b])
    with pytest.raises(InvalidArgumentError, match="You must feed a value for placeholder tensor 'c'"):
        session.partial_run(handle, second, {a: 1, b: 2})


def test_operations_are_no_part_of_a_partial_run(session, sums):
    a, b, c, first, second = sums
    handle = session.partial_run_setup([first, second.op], [a, b, c])
    with pytest.raises(RuntimeError, match=r"^partial_run\(\) requires empty target_list\."):
        session.partial_run(handle, [first, second.op], {a: 1, b: 2, c: 3})


def test_operations_that_were_set_up_run_once_their_feeds_are_there(session):
    x, y = tf.placeholder(tf.float32, []), tf.placeholder(tf.float32, [])
    w = tf.Variable(1.0)
    session.run(w.initializer)
    total = tf.identity(x)
    handle = session.partial_run_setup([total, w.assign_add(x * y).op], [x, y])
    assert session.partial_run(handle, total, {x: 2}) == 2
    assert session.run(w) == 1
    assert session.partial_run(handle, [], {y: 5}) == []
    assert session.run(w) == 11


@pytest.mark.parametrize("with_operation", [False, True])
def test_a_handle_is_done_once_all_is_fed_and_fetched(session, sums, with_operation):
    a, b, c, first, second = sums
    fetches = [first, second, second.op] if with_operation else [first, second]
    handle = session.partial_run_setup(fetches, [a, b, c])
    session.partial_run(handle, [first, second], {a: 1, b: 2, c: 3})
    with pytest.raises(InvalidArgumentError, match="Must run 'setup' before performing partial runs!"):
        session.partial_run(handle, [], {})


def test_a_handle_ends_with_a_part_that_fails(session):
    x = tf.placeholder(tf.float32, [])
    broken = tf.op(lambda value: [][0])(x)
    handle = session.partial_run_setup(broken, [x])
    with pytest.raises(tf.errors.UnknownError, match="IndexError"):
        session.partial_run(handle, broken, {x: 1})
    with pytest.raises(InvalidArgumentError, match="Must run 'setup' before performing partial runs!"):
        session.partial_run(handle, broken)


def test_an_abandoned_handle_keeps_nobody_waiting(session, sums):
    a, b, c, first, second = sums
    handle = session.partial_run_setup([first, second], [a, b, c])
    session.partial_run(handle, first, {a: 1, b: 2})
    session.close()
    with pytest.raises(RuntimeError, match="Attempted to use a closed Session"):
        session.partial_run(handle, second, {c: 3})


def test_setup_checks_what_it_is_given(session):
    x = tf.placeholder(tf.float32)
    with pytest.raises(TypeError, match="Cannot interpret feed_dict key as Tensor"):
        session.partial_run_setup(x, ["nothing:0"])
    with pytest.raises(TypeError, match="Fetch argument None has invalid type"):
        session.partial_run_setup(None, [x])


# Time limits


@pytest.mark.parametrize("placement", ["auto", "task", "actor"])
@pytest.mark.parametrize("function", [hang, hang_stubbornly])
def test_a_run_ends_at_its_time_limit_whatever_its_function_does(graph, ray_session, placement, function):
    w = tf.Variable(1.0)
    with tf.control_dependencies([w.assign_add(1.0)]):
        stuck = function()
    with tf.Session(config=tf.ConfigProto(placement=placement, cancel_grace_in_ms=100)) as session:
        session.run(w.initializer)
        with pytest.raises(DeadlineExceededError, match="Timed out waiting for notification") as caught:
            session.run(stuck, options=SHORT)
        assert caught.value.error_code == 4
        assert session.run(w) == 1
        assert session.run(plus_one(w)) == 2


def test_a_long_program_ends_at_its_time_limit(session):
    """Between the nodes of a run in the caller's process the limit is looked at."""
    value = tf.constant(0.0)
    nap = tf.op(lambda x: time.sleep(0.01) or x)
    for _ in range(1000):
        value = nap(value)
    for _ in range(2):
        with pytest.raises(DeadlineExceededError, match="Timed out waiting for notification"):
            session.run(value, options=tf.RunOptions(timeout_in_ms=30))
    assert session.run(value.op.inputs[0].op.graph.get_tensor_by_name("Const:0")) == 0


def test_the_session_has_a_time_limit_for_all_its_runs(graph, ray_session):
    stuck = hang()
    config = tf.ConfigProto(operation_timeout_in_ms=200, cancel_grace_in_ms=100)
    with tf.Session(config=config) as session:
        with pytest.raises(DeadlineExceededError, match="Timed out waiting for notification"):
            session.run(stuck)
        with pytest.raises(DeadlineExceededError, match="Timed out waiting for notification"):
            session.make_callable(stuck)()
        with pytest.raises(DeadlineExceededError, match="Timed out waiting for notification"):
            session.submit(stuck).result()


def test_a_runs_own_limit_overrides_the_sessions(graph):
    entered = []
    nap = tf.op(lambda: entered.append(1) or time.sleep(0.1) or "done")()
    after = tf.op(lambda value: value)(nap)
    config = tf.ConfigProto(operation_timeout_in_ms=20, placement="caller")
    with tf.Session(config=config) as session:
        assert session.run(after, options=tf.RunOptions(timeout_in_ms=60_000)) == "done"
        with pytest.raises(DeadlineExceededError):
            session.run(after)
        with pytest.raises(DeadlineExceededError):
            session.run(after, options=tf.RunOptions(timeout_in_ms=0))
    assert len(entered) == 3


def test_a_run_within_its_limit_is_not_disturbed(session):
    x = tf.placeholder(tf.float32)
    for number in range(5):
        assert session.run(x + 1, {x: number}, options=tf.RunOptions(timeout_in_ms=60_000)) == number + 1


def test_options_must_be_options(session):
    x = tf.constant(1) + tf.placeholder_with_default(2, [])
    with pytest.raises(TypeError, match="options must be a tf.RunOptions, but got <class 'dict'>"):
        session.run(x, options={})
    with pytest.raises(TypeError, match="run_metadata must be a tf.RunMetadata, but got <class 'list'>"):
        session.run(x, options=TRACED, run_metadata=[])


# Tracing


@pytest.mark.parametrize("placement", ["caller", "actor", "task", "mixed"])
def test_a_traced_run_tells_what_ran(graph, ray_session, placement):
    x = tf.placeholder(tf.float32, [], name="x")
    outer = tf.multiply(plus_one(x), 2.0, name="outer")
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        for _ in range(12):  # also once the programs are compiled
            metadata = tf.RunMetadata()
            assert session.run(outer, {x: 1}, TRACED, metadata) == 4
            assert metadata.HasField("step_stats")
            nodes = {node.node_name: node for device in metadata.step_stats.dev_stats for node in device.node_stats}
            assert set(nodes) == {"plus_one", "outer"}
        for device in metadata.step_stats.dev_stats:
            assert device.device.startswith("/job:localhost/replica:0/task:0/device:CPU:0")
        for node in nodes.values():
            assert node.all_start_micros > 1e15
            assert 0 <= node.op_start_rel_micros <= node.op_end_rel_micros <= node.all_end_rel_micros
        assert nodes["outer"].timeline_label == "outer = Mul(plus_one, outer/y)"


def test_nothing_is_traced_without_options_and_metadata(session):
    x = tf.placeholder(tf.float32)
    metadata = tf.RunMetadata()
    session.run(x + 1, {x: 1}, run_metadata=metadata)
    assert not metadata.HasField("step_stats")
    session.run(x + 1, {x: 1}, tf.RunOptions(trace_level=tf.RunOptions.NO_TRACE), metadata)
    assert not metadata.HasField("step_stats")
    assert session.run(x + 1, {x: 1}, TRACED) == 2


def test_metadata_is_replaced_by_each_run(session):
    x = tf.placeholder(tf.float32)
    y = tf.add(x, 1.0, name="y")
    metadata = tf.RunMetadata()
    for _ in range(2):
        session.run(y, {x: 1}, TRACED, metadata)
        names = [node.node_name for device in metadata.step_stats.dev_stats for node in device.node_stats]
        assert names == ["y"]
    session.run(y, {x: 1}, run_metadata=metadata)
    assert not metadata.HasField("step_stats")


def test_a_partial_run_expects_and_takes_sparse_values(session):
    slices = tf.IndexedSlices(tf.placeholder(tf.float32, [None]), tf.placeholder(tf.int32, [None]))
    total = tf.reduce_sum(slices.values)
    handle = session.partial_run_setup(total, slices)
    assert session.partial_run(handle, total, {slices: ([1.0, 2.0], [0, 1])}) == 3.0
    with pytest.raises(InvalidArgumentError, match=f"^{slices.values.name} is both fed and fetched"):
        session.partial_run_setup([total, slices], slices)


def test_what_the_session_refuses_is_no_nodes_fault(session, sums):
    a, b, c, first, second = sums
    for fetches, feeds in ((first, {c: 1}), (second, {a: 1}), (second, {a: 1, b: 2})):
        handle = session.partial_run_setup([first], [a, b])
        with pytest.raises(InvalidArgumentError) as failure:
            session.partial_run(handle, fetches, feeds)
        assert failure.value.op is None
        assert "[[node" not in str(failure.value)


def test_a_callable_that_lacks_a_feed_fails_when_it_is_called(session):
    call = session.make_callable(tf.placeholder(tf.float32, name="x") + 1)
    for _ in range(2):
        with pytest.raises(InvalidArgumentError, match="You must feed a value for placeholder tensor 'x'"):
            call()


def test_a_run_names_one_of_the_sessions_pools(session):
    one = tf.constant(1)
    assert session.run(one, options=tf.RunOptions(inter_op_thread_pool=-1)) == 1
    for pool in (-2, 1):
        with pytest.raises(InvalidArgumentError, match=f"Invalid inter_op_thread_pool: {pool}"):
            session.run(one, options=tf.RunOptions(inter_op_thread_pool=pool))


def test_a_callable_is_fed_as_a_feed_dict_is(graph):
    sparse = tf.sparse_placeholder(tf.float32)
    x = tf.placeholder(tf.float32, [2])
    with tf.Session() as session:
        run = session.make_callable([sparse.values + 1, x * 2], [sparse, x])
        values, doubled = run(tf.SparseTensorValue([[0]], [4.0], [2]), [1, 2])
        assert (values.tolist(), doubled.tolist()) == ([5], [2, 4])
        with pytest.raises(ValueError, match="Cannot feed value of shape"):
            run(([[0]], [4.0], [2]), [1, 2, 3])


def test_what_a_part_of_a_run_refuses_leaves_the_run_as_it_was(graph):
    x = tf.placeholder(tf.float32, [2])
    y = x * 2
    with tf.Session() as session:
        handle = session.partial_run_setup([y], [x])
        with pytest.raises(ValueError, match="Cannot feed value of shape"):
            session.partial_run(handle, y, {x: [1, 2, 3]})
        assert session.partial_run(handle, y, {x: [1, 2]}).tolist() == [2, 4]


def test_a_part_that_asks_too_early_or_twice_is_refused_and_the_run_goes_on(graph):
    a, b = tf.placeholder(tf.float32, []), tf.placeholder(tf.float32, [])
    total = a + b
    with tf.Session(config=HERE) as session:
        handle = session.partial_run_setup([total, total.op], [a, b])
        session.partial_run(handle, [], {a: 1.0})
        with pytest.raises(InvalidArgumentError, match="has already been fed"):
            session.partial_run(handle, [], {a: 2.0})
        with pytest.raises(InvalidArgumentError, match="can't be computed from the feeds"):
            session.partial_run(handle, total)
        with pytest.raises(RuntimeError, match="requires empty target_list"):
            session.partial_run(handle, total.op, {b: 2.0})
        assert session.partial_run(handle, total, {b: 2.0}) == 3.0
        with pytest.raises(InvalidArgumentError, match="fed more than once"):
            session.partial_run_setup([total], [a, a])


def test_an_empty_graph_has_no_parts():
    with tf.Session(graph=tf.Graph()) as session, pytest.raises(RuntimeError, match="The Session graph is empty"):
        session.partial_run_setup([], [])


def test_a_trace_lists_a_constant_that_is_fetched_and_nothing_if_nothing_ran(session):
    constant = tf.constant(1.0, name="one")
    metadata = tf.RunMetadata()
    session.run(constant, options=TRACED, run_metadata=metadata)
    assert [node.node_name for device in metadata.step_stats.dev_stats for node in device.node_stats] == ["one"]
    session.run([], options=TRACED, run_metadata=metadata)
    assert not metadata.HasField("step_stats")
    session.run(constant, {constant: 2.0}, options=TRACED, run_metadata=metadata)
    assert not metadata.HasField("step_stats")
