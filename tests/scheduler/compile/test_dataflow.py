"""A run as pure dataflow: what is pruned, merged and folded, and what is not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import weftwork as tf
from weftwork.graph.build import apply
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.operation import Kind
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.compile.pruning import prune


def flow_of(*fetches, fed=()):
    """The checked dataflow of some fetches."""
    flow = lower(list(fetches), fed)
    flow.check()
    return flow


def kernel(x, *, word=None):
    """A pure kernel."""
    return x


def pure(x, **attrs):
    """A pure node of the library."""
    return apply(kernel, [x], attrs, type="Kernel", dtype=tf.float32, shape=())


@pytest.fixture
def x(graph):
    """A placeholder."""
    return tf.placeholder(tf.float32, [], name="x")


# Pruning


def test_only_what_the_fetches_need_runs(x):
    a = x + 1
    b = a * 2
    tf.sin(b)
    assert prune([b.op], set()) == [x.op, a.op.inputs[1].op, a.op, b.op.inputs[1].op, b.op]
    assert [op.name for op in flow_of(b, fed=[x]).ops] == [a.op.name, b.op.name]


def test_a_feed_cuts_off_what_makes_it(x):
    a = tf.op(dtype=tf.float32)(lambda: 1)()
    b = a + 1
    c = b * x
    flow = flow_of(c, fed=[b, x])
    assert [op.name for op in flow.ops] == [c.op.name]
    assert flow.feeds.keys() == {b, x}


def test_a_feed_that_nobody_needs_changes_nothing(x):
    y = tf.placeholder(tf.float32)
    assert [op.type for op in flow_of(x + 1, fed=[x, y]).ops] == ["AddV2"]


def test_a_fed_fetch_runs_nothing(x):
    y = x + 1
    flow = flow_of(y, fed=[y])
    assert flow.ops == []
    assert flow.fetched == [flow.feeds[y]]


def test_an_unfed_placeholder_is_an_error_of_the_run_that_needs_it(graph):
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    with pytest.raises(InvalidArgumentError) as caught:
        flow_of(x + 1)
    expected = "You must feed a value for placeholder tensor 'x' with dtype float and shape [?,3]"
    assert caught.value.message.startswith(expected + "\n\t [[node x (defined at")
    assert caught.value.op is x.op
    assert flow_of(tf.constant(1)).ops == []


def test_a_control_input_on_a_fed_placeholder_is_satisfied_and_on_another_fed_node_it_runs(x):
    note = tf.op(lambda: None)()
    with tf.control_dependencies([x]):
        a = tf.no_op()
    with tf.control_dependencies([note]):
        b = tf.no_op()
    assert flow_of(a, fed=[x]).ops == []
    assert note.op in flow_of(b, fed=[note]).ops


def test_what_ran_before_is_not_run_again_for_control(x):
    note = tf.op(lambda: None)()
    with tf.control_dependencies([note]):
        a = tf.op(lambda: None)()
    assert prune([a.op], set(), {note.op}) == [a.op]


# Merging


def test_equal_pure_nodes_are_one(x):
    flow = flow_of(x + 1, x + 1, tf.sin(x), tf.sin(x), fed=[x])
    assert [op.type for op in flow.ops] == ["AddV2", "Sin"]
    assert flow.fetched[0] == flow.fetched[1] != flow.fetched[2] == flow.fetched[3]


def test_merging_goes_through_chains(x):
    flow = flow_of(tf.sin(x * 2) + 1, tf.sin(x * 2) + 1, fed=[x])
    assert len(flow.ops) == 3


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (1, 1.0),
        (1, True),
        (0, False),
        (0.0, -0.0),
        ("1", b"1"),
        ((1,), (1.0,)),
        ((0.0,), (-0.0,)),
        ((1, 2), [1, 2]),
        ({"a": 1}, {"a": 1.0}),
        (slice(0, 1), slice(0, 1.0)),
        (None, 0),
        (np.float32(0.0), np.float32(-0.0)),
        ((np.float32(0.0),), (np.float32(-0.0),)),
        (complex(0.0, 0.0), complex(-0.0, 0.0)),
        (np.int32(1), np.int64(1)),
    ],
)
def test_attributes_that_python_calls_equal_but_are_not_the_same_keep_nodes_apart(x, one, two):
    flow = flow_of(pure(x, word=one), pure(x, word=two), fed=[x])
    assert len(flow.ops) == 2
    again = flow_of(pure(x, word=one), pure(x, word=one), fed=[x])
    assert len(again.ops) == 1


@pytest.mark.parametrize(("one", "two"), [(0.0, -0.0), (1.0, 1), (1, True)])
def test_arguments_of_numpy_functions_that_are_not_the_same_keep_nodes_apart(x, one, two):
    flow = flow_of(np.full_like(x, one), np.full_like(x, two), fed=[x])
    assert len(flow.ops) == 2


def test_constants_that_are_not_the_same_are_kept_apart(x):
    for one, two in [(0.0, -0.0), (1.0, 1), (np.float32(1), np.float64(1))]:
        a, b = tf.constant(one), tf.constant(two)
        flow = flow_of(a, b)
        assert flow.fetched[0] != flow.fetched[1]
        same = flow_of(a, tf.constant(one))
        assert same.fetched[0] == same.fetched[1]


def test_nodes_of_different_kernels_inputs_or_devices_are_kept_apart(x):
    with tf.device("/cpu:0"):
        here = x + 1
    flow = flow_of(x + 1, x + 2, x - 1, here, fed=[x])
    assert len(flow.ops) == 4


def test_attributes_that_cannot_be_hashed_keep_nodes_apart(x):
    flow = flow_of(pure(x, word=np.zeros(2)), pure(x, word=np.zeros(2)), fed=[x])
    assert len(flow.ops) == 2


def test_functions_random_nodes_and_writes_are_never_merged(x):
    w = tf.Variable(0.0)
    note = tf.op(lambda _: None)
    pairs = [(note(x), note(x)), (tf.random_normal([]), tf.random_normal([])), (w.assign(x), w.assign(x))]
    for one, two in pairs:
        assert len([op for op in flow_of(one, two, fed=[x]).ops if op in (one.op, two.op)]) == 2


def test_reads_before_and_after_a_write_are_not_merged(graph):
    w = tf.Variable(0.0)
    before = w * 2
    with tf.control_dependencies([w.assign(1.0)]):
        after = w * 2
    flow = flow_of(before, after)
    assert flow.fetched[0] != flow.fetched[1]
    assert [op.type for op in flow.ops].count("Mul") == 2
    alone = flow_of(before, w * 2)
    assert len(alone.ops) == 1


# Folding


def test_pure_nodes_of_constants_are_folded(graph):
    a = tf.sin(tf.constant(1.0) + 1) * 2
    flow = flow_of(a)
    assert flow.ops == []
    assert flow.constants[flow.fetched[0]] == np.sin(np.float32(2)) * 2


def test_folding_never_goes_past_a_feed(graph):
    c = tf.constant(1.0)
    d = c + 1
    e = d * 2
    assert flow_of(e).ops == []
    assert [op for op in flow_of(e, fed=[c]).ops] == [d.op, e.op]
    assert flow_of(e, fed=[d]).ops == [e.op]
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        assert session.run(e) == 4
        assert session.run(e, {c: 5}) == 12
        assert session.run(e, {d: 5}) == 10
        assert session.run(e) == 4


def test_a_node_that_merges_with_a_fed_one_is_not_fed(x):
    one, two = x + 1, x + 1
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        assert session.run([one, two], {x: 1, one: 50}) == [50, 2]
        assert session.run([two, one], {x: 1, two: 50}) == [50, 2]


def test_functions_and_random_nodes_are_never_folded(graph):
    calls = []
    a = tf.op(dtype=tf.float32, pure=True)(lambda v: calls.append(v) or 1)(tf.constant(1.0))
    b = tf.random_normal([2])
    assert {a.op, b.op} <= set(flow_of(a + 1, b + 1).ops)
    assert calls == []


def test_large_values_are_not_folded(graph):
    small = tf.constant(np.zeros(10)) + 1
    large = tf.constant(np.zeros(100_000)) + 1
    assert flow_of(small).ops == []
    assert [op.type for op in flow_of(large).ops] == ["AddV2"]


def test_a_node_that_raises_raises_when_it_runs_not_when_it_is_folded(graph):
    bad = np.linalg.inv(tf.constant(np.zeros([2, 2])))
    assert flow_of(bad).ops == [bad.op]


def test_folding_does_not_warn(graph):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow = flow_of(tf.constant(1.0) / 0.0, tf.constant(0.0) / 0.0)
    assert flow.ops == []
    assert np.isinf(flow.constants[flow.fetched[0]])
    assert np.isnan(flow.constants[flow.fetched[1]])


def test_a_folded_array_cannot_be_written_to(graph):
    flow = flow_of(tf.constant([1.0, 2.0]) + 1)
    with pytest.raises(ValueError, match="read-only"):
        flow.constants[flow.fetched[0]][0] = 5


# Variables and control


def test_a_read_pins_and_an_update_takes_the_newest(graph):
    w = tf.Variable(0.0, name="w")
    v = tf.Variable(0.0, name="v")
    flow = flow_of(w + 1, v.assign_add(1.0))
    assert flow.pinned.keys() == {"w"}
    assert flow.newest.keys() == {"v"}
    assert flow.writes.keys() == {"v"}
    assert flow.required == {"v", "w"}


def test_every_write_makes_a_version_and_the_last_one_is_committed(graph):
    w = tf.Variable(0.0, name="w")
    first, second = w.assign(1.0), w.assign_add(2.0)
    flow = flow_of(first, second, w._ref())
    assert flow.fetched[0] != flow.fetched[1] == flow.fetched[2] == flow.writes["w"]
    assert flow.newest == {}


def test_looking_whether_a_variable_has_a_value_does_not_require_one(graph):
    w = tf.Variable(0.0, name="w")
    flow = flow_of(tf.is_variable_initialized(w))
    assert flow.required == set()
    assert flow.pinned.keys() == {"w"}


def test_a_random_node_takes_a_place_in_its_stream(graph):
    a = tf.random_normal([])
    flow = flow_of(a)
    assert list(flow.draws.values()) == [a.op]


def test_control_inputs_become_edges_only_where_a_function_could_tell(x):
    note = tf.op(lambda: None)
    first = note()
    with tf.control_dependencies([first]):
        second = note()
    flow = flow_of(second)
    assert flow.after == {1: (0,)}
    with tf.control_dependencies([x + 1]):
        a = tf.identity(x)
    assert flow_of(a, fed=[x]).after == {}


def test_check_finds_a_value_that_is_read_before_it_is_made(x):
    flow = flow_of(tf.sin(x + 1), fed=[x])
    flow.inputs.reverse()
    flow.outputs.reverse()
    with pytest.raises(AssertionError, match="reads a value before it is made"):
        flow.check()


def test_a_dataflow_of_a_long_chain_needs_no_recursion(x):
    y = x
    for _ in range(5000):
        y = y + 1
    assert len(flow_of(y, fed=[x]).ops) == 5000


def test_placeholders_and_references_are_no_nodes(x):
    w = tf.Variable(0.0)
    kinds = {op.kind for op in flow_of(w + x, w._ref(), x, fed=[x]).ops}
    assert kinds == {Kind.PURE}
