"""Branches and loops."""

from __future__ import annotations

import os
import pickle
import time
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import weftwork as tf

pytestmark = pytest.mark.usefixtures("ray_session")

PLACEMENTS = ["caller", "actor", "task", "auto"]


@pytest.fixture
def session(graph):
    """A session on the test's graph."""
    with tf.Session() as session:
        yield session


@pytest.fixture
def x(graph):
    """A number that is fed."""
    return tf.placeholder(tf.int64, [], name="x")


def run(session, fetches, **feeds):
    """Run with feeds by name."""
    return session.run(fetches, {f"{name}:0": value for name, value in feeds.items()})


# cond


def test_cond_gives_what_the_taken_branch_made(x, session):
    y = tf.cond(x > 3, lambda: x * 2, lambda: x - 1)
    assert [run(session, y, x=5), run(session, y, x=2)] == [10, 1]


def test_the_branch_that_is_not_taken_has_no_effect_of_any_kind(x, session):
    calls = []
    v = tf.Variable(np.int64(0))

    def bad():
        with tf.control_dependencies([v.assign(7)]):
            return tf.op(dtype=tf.int64)(lambda: calls.append(1) or 1 // 0)()

    y = tf.cond(x > 0, lambda: x, bad)
    session.run(v.initializer)
    assert run(session, y, x=1) == 1
    assert session.run(v) == 0
    with pytest.raises(tf.errors.OpError, match="ZeroDivisionError"):
        run(session, y, x=-1)
    assert session.run(v) == 0


def test_what_a_branch_uses_from_outside_is_computed_once_in_any_case(x, session):
    calls = []
    outside = tf.op(dtype=tf.int64, shape=[])(lambda k: calls.append(1) or k)(x)
    y = tf.cond(x > 0, lambda: outside + outside, lambda: x)
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        assert run(session, y, x=2) == 4
        assert run(session, y, x=-2) == -2
    assert len(calls) == 2


def test_functions_are_called_once_when_the_graph_is_built(x, session):
    calls = []
    y = tf.cond(x > 0, lambda: calls.append(1) or x, lambda: calls.append(2) or x)
    for _ in range(3):
        run(session, y, x=1)
    assert calls == [1, 2]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_branch_may_write_variables_and_reads_see_its_writes(ray_session, x, placement):
    v, w = tf.Variable(np.int64(1), name="v"), tf.Variable(np.int64(10), name="w")

    def grow():
        with tf.control_dependencies([v.assign_add(x)]):
            return v.read_value() + w

    y = tf.cond(x > 0, grow, lambda: w.assign(x))
    after = tf.group(y.op)
    with tf.control_dependencies([after]):
        both = [v.read_value(), w.read_value()]
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        session.run(tf.global_variables_initializer())
        assert run(session, [y, *both], x=5) == [16, 6, 10]
        assert run(session, [y, *both], x=-2) == [-2, 6, -2]
        assert session.run([v, w]) == [6, -2]


def test_an_uninitialised_variable_matters_only_to_the_branch_that_reads_it(x, session):
    v = tf.Variable(np.int64(1), name="v")
    y = tf.cond(x > 0, lambda: v + x, lambda: x)
    assert run(session, y, x=-1) == -1
    with pytest.raises(tf.errors.FailedPreconditionError, match="Attempting to use uninitialized value v"):
        run(session, y, x=1)


def test_an_error_in_a_branch_names_its_node_and_line(x, session):
    y = tf.cond(x > 0, lambda: tf.op(dtype=tf.int64, name="doomed")(lambda k: 1 // 0)(x), lambda: x)
    with pytest.raises(tf.errors.OpError, match=r"cond/doomed \(defined at .*test_control_flow.py:\d+\)"):
        run(session, y, x=1)


def test_structures_come_back_as_they_were(x, session):
    y = tf.cond(x > 0, lambda: {"a": x, "b": (x + 1, [x + 2])}, lambda: {"a": -x, "b": (x, [x])})
    assert run(session, y, x=1) == {"a": 1, "b": (2, [3])}
    assert tf.cond(x > 0, lambda: [x], lambda: [-x]).op.type == "If"
    assert isinstance(tf.cond(x > 0, lambda: [x], lambda: [-x], strict=True), list)


def test_where_a_branch_ends_in_an_operation_there_is_the_predicate_once_it_has_run(x, session):
    v = tf.Variable(np.int64(0))
    y = tf.cond(x > 0, lambda: v.assign(5).op, lambda: tf.no_op())
    assert (y.name, y.dtype) == ("cond/Merge:0", tf.bool)
    session.run(v.initializer)
    assert not run(session, y, x=-1)
    assert session.run(v) == 0
    assert run(session, y, x=1)
    assert session.run(v) == 5
    both = tf.cond(x > 0, lambda: [v.assign_add(1).op, x], lambda: [tf.no_op(), -x])
    assert run(session, both, x=3) == [True, 3]
    assert session.run(v) == 6
    assert session.run(tf.group(both), {x: 1}) is None


def test_branches_of_different_structures_are_refused(x):
    for one, two in (
        ({"a": x}, {"b": x}),
        ([x, x], [x]),
        ((x, x), [x, x]),
        ({"a": (x, x)}, {"a": (x,)}),
        (x, {"a": x}),
    ):
        with pytest.raises((TypeError, ValueError), match="don't have the same nested structure"):
            tf.cond(x > 0, lambda one=one: one, lambda two=two: two)
    assert tf.cond(x > 0, lambda: [x], lambda: x).shape == ()


def test_branches_nest(x, session):
    def inner():
        return tf.cond(x > 5, lambda: x * 100, lambda: x * 10)

    y = tf.cond(x > 0, inner, lambda: x)
    assert [run(session, y, x=k) for k in (-1, 3, 7)] == [-1, 30, 700]


def test_what_a_predicate_is_fed_decides(x, session):
    p = tf.constant(True)
    y = tf.cond(p, lambda: x, lambda: -x)
    assert session.run(y, {x: 1}) == 1
    assert session.run(y, {x: 1, p: False}) == -1


def test_bad_conds_are_refused(x):
    with pytest.raises(TypeError, match="pred must not be a Python bool"):
        tf.cond(True, lambda: x, lambda: x)
    with pytest.raises(TypeError, match="true_fn must be callable"):
        tf.cond(x > 0, x, lambda: x)
    with pytest.raises(ValueError, match="true_fn must have a return value"):
        tf.cond(x > 0, lambda: None, lambda: x)
    with pytest.raises(ValueError, match="Incompatible return types/values of true_fn and false_fn"):
        tf.cond(x > 0, lambda: [x, x], lambda: [x])
    with pytest.raises(ValueError, match="Outputs of true_fn and false_fn must have the same type: int64, float32"):
        tf.cond(x > 0, lambda: x, lambda: tf.constant(1.0))


def test_the_inside_can_neither_be_fetched_nor_fed_nor_used(x, session):
    inside = []
    tf.cond(x > 0, lambda: inside.append(x + 1) or inside[0], lambda: x)
    with pytest.raises(ValueError, match="has been marked as not fetchable"):
        session.run(inside[0])
    with pytest.raises(ValueError, match="may not be fed"):
        session.run(x, {x: 1, inside[0]: 2})
    with pytest.raises(ValueError, match="Cannot use .* as input to .* because .* is in a branch of a cond"):
        tf.identity(inside[0])


def test_a_variable_made_in_a_branch_is_outside_of_it(x, session):
    made = []

    def branch():
        made.append(tf.Variable(np.int64(4), name="late"))
        return made[0] + x

    y = tf.cond(x > 0, branch, lambda: x)
    session.run(made[0].initializer)
    assert run(session, y, x=1) == 5
    with pytest.raises(ValueError, match="is from inside a control-flow construct"):
        tf.cond(x > 0, lambda: tf.Variable(x + tf.constant(np.int64(1))) + x, lambda: x)


# case


def test_case_takes_the_first_that_is_true(x, session):
    y = tf.case([(x < 3, lambda: x * 10), (x < 5, lambda: x * 100)], default=lambda: -x)
    assert [run(session, y, x=k) for k in (1, 4, 9)] == [10, 400, -9]


def test_a_case_without_default_of_which_nothing_is_true_fails(x, session):
    before = tf.constant(30)
    pairs = [(x > 1, lambda: tf.constant(10)), (x > 2, lambda: tf.constant(20)), (x < -1, lambda: before)]
    for exclusive in (False, True):
        chosen = tf.case(pairs[:1] + pairs[2:], exclusive=exclusive)
        assert session.run(chosen, {x: 3}) == 10
        assert session.run(chosen, {x: -3}) == 30
        with pytest.raises(tf.errors.InvalidArgumentError, match="None of conditions evaluated as True.*") as caught:
            session.run(chosen, {x: 0})
        assert "(defined at" in str(caught.value)
    assert session.run(tf.case(pairs), {x: 3}) == 10
    only = tf.case(pairs[:1])
    assert session.run(only, {x: 3}) == 10
    with pytest.raises(tf.errors.InvalidArgumentError, match="None of conditions"):
        session.run(only, {x: 0})
    assert session.run(tf.case(pairs, default=lambda: tf.constant(40)), {x: 0}) == 40


def test_a_case_without_default_may_end_in_operations_and_structures(x, session):
    v = tf.Variable(0.0)
    session.run(v.initializer)
    op = tf.case([(x > 1, lambda: v.assign(1.0).op), (x < -1, lambda: v.assign(2.0).op)])
    session.run(op, {x: -2})
    assert session.run(v) == 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="None of conditions"):
        session.run(op, {x: 0})
    assert session.run(v) == 2
    pair = tf.case([(x > 1, lambda: (x, {"a": v}))], strict=True)
    assert session.run(pair, {x: 3}) == (3, {"a": 2})


@pytest.mark.parametrize("make", [
    lambda pred: tf.cond(pred, lambda: tf.constant(1), lambda: tf.constant(2)),
    lambda pred: tf.case([(pred, lambda: tf.constant(1))], default=lambda: tf.constant(2)),
    lambda pred: tf.while_loop(lambda i: tf.logical_and(pred, i < 1), lambda i: i + 1, [tf.constant(0)]),
])  # fmt: skip
def test_a_predicate_is_one_truth_value(graph, session, make):
    with pytest.raises(ValueError, match="Shape must be rank 0 but is rank 1"):
        make(tf.placeholder(tf.bool, [2]))
    with pytest.raises(ValueError, match="Shape must be rank 0 but is rank 1"):
        make(tf.placeholder(tf.bool, [None]))
    pred = tf.placeholder(tf.bool)
    made = make(pred)
    assert session.run(made, {pred: True}) == 1
    for value in ([True], [True, False]):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"must be a scalar, but it has shape \[\d\]"):
            session.run(made, {pred: value})


def test_a_number_is_no_predicate(graph):
    with pytest.raises(TypeError, match="has type int32 that does not match expected type of bool"):
        tf.cond(tf.constant(1), lambda: tf.constant(1), lambda: tf.constant(2))
    with pytest.raises(TypeError, match="has type float32 that does not match expected type of bool"):
        tf.while_loop(lambda i: i, lambda i: i - 1, [tf.constant(3.0)])


def test_a_placeholder_in_a_branch_matters_only_where_it_is_taken(x, session):
    def of_a_placeholder():
        return tf.placeholder(tf.float64, [2], name="inside") * 2.0

    y = tf.cond(x > 0, of_a_placeholder, lambda: tf.constant([1.0, 1.0], tf.float64))
    assert session.run(y, {x: -1}).tolist() == [1, 1]
    text = "You must feed a value for placeholder tensor 'cond/inside' with dtype double and shape \\[2\\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=text):
        session.run(y, {x: 1})
    chosen = tf.case([(x > 0, lambda: tf.constant([3.0, 3.0], tf.float64))], default=of_a_placeholder)
    assert session.run(chosen, {x: 1}).tolist() == [3, 3]
    outside = tf.placeholder(tf.float64, [])
    captured = tf.cond(x > 0, lambda: outside * 2.0, lambda: tf.cast(x, tf.float64))
    with pytest.raises(tf.errors.InvalidArgumentError, match="You must feed a value"):
        session.run(captured, {x: -1})  # what lies outside is needed in any case


def test_averages_may_be_brought_up_to_date_in_a_branch(x, session):
    v, mean = tf.Variable(1.0, name="v"), tf.train.ExponentialMovingAverage(0.5)
    fed = tf.placeholder(tf.float32, [])
    step = tf.cond(x > 0, lambda: mean.apply([v, fed]), tf.no_op)
    assert [name for name in (w.op.name for w in tf.global_variables()) if "cond" in name] == []
    session.run(tf.global_variables_initializer())
    session.run(v.assign(3.0))
    for sign, wanted in ((1, 2.0), (-1, 2.0), (1, 2.5)):
        session.run(step, {x: sign, fed: 4.0})
        assert session.run(mean.average(v)) == wanted


def sparse(indices, values):
    return tf.SparseTensor(indices, values, [2, 2])


def test_branches_may_end_in_values_of_several_tensors(x, session):
    y = tf.cond(x > 0, lambda: sparse([[0, 0]], [1.0]), lambda: sparse([[0, 1], [1, 1]], [2.0, 3.0]))
    assert isinstance(y, tf.SparseTensor)
    assert session.run(y, {x: -1}).values.tolist() == [2, 3]
    assert session.run(y, {x: 1}).indices.tolist() == [[0, 0]]
    rows = tf.cond(x > 0, lambda: (tf.IndexedSlices(tf.ones([2, 2]), tf.constant([0, 1])), 1),
                   lambda: (tf.IndexedSlices(tf.zeros([1, 2]), tf.constant([1])), 2))  # fmt: skip
    assert isinstance(rows[0], tf.IndexedSlices)
    assert rows[0].dense_shape is None
    assert session.run([rows[0].indices, rows[1]], {x: -1}) == [[1], 2]
    chosen = tf.case([(x > 0, lambda: sparse([[0, 0]], [1.0]))], default=lambda: sparse([[1, 1]], [4.0]))
    assert session.run(chosen, {x: 0}).values.tolist() == [4]
    with pytest.raises(ValueError, match="Incompatible return types/values"):
        tf.cond(x > 0, lambda: sparse([[0, 0]], [1.0]), lambda: tf.constant(1.0))
    with pytest.raises(ValueError, match="Incompatible return types/values"):
        tf.cond(x > 0, lambda: [sparse([[0, 0]], [1.0])], lambda: [tf.constant(1.0)] * 3)


def test_loop_variables_may_be_values_of_several_tensors(graph, session):
    start = sparse([[0, 0], [1, 1]], [1.0, 2.0])
    last = tf.while_loop(
        lambda i, s: i < 3, lambda i, s: (i + 1, tf.SparseTensor(s.indices, s.values * 2.0, s.dense_shape)), [0, start]
    )[1]
    assert session.run(last).values.tolist() == [8, 16]
    alone = tf.while_loop(
        lambda s: tf.reduce_sum(s.values) < 20.0, lambda s: sparse(s.indices, s.values * 2.0), [start]
    )[0]  # it is three tensors, and so does not come bare
    assert session.run(alone).values.tolist() == [8, 16]
    grown = tf.while_loop(
        lambda i, s: i < 2,
        lambda i, s: (i + 1, tf.IndexedSlices(tf.concat([s.values] * 2, 0), tf.concat([s.indices] * 2, 0))),
        [0, tf.IndexedSlices(tf.ones([1, 2]), tf.constant([5]))],
        shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, 2])],
    )[1]
    assert grown.values.shape.as_list() == [None, 2]
    assert session.run(grown.indices).tolist() == [5, 5, 5, 5]
    longer = tf.while_loop(
        lambda i, s: i < 1, lambda i, s: (i + 1, sparse(tf.concat([s.indices] * 2, 0), tf.concat([s.values] * 2, 0))),
        [0, start], shape_invariants=[[], [2]],
    )[1]  # fmt: skip
    assert session.run(longer).values.tolist() == [1, 2, 1, 2]
    with pytest.raises(ValueError, match="Expected a shape with 1 dimension"):
        tf.while_loop(lambda s: True, lambda s: s, [start], shape_invariants=[[None, None]])
    with pytest.raises(ValueError, match="don't have the same nested structure"):
        tf.while_loop(lambda i, s: i < 1, lambda i, s: (i, s.values), [0, start])


def test_shapes_of_nested_structures_may_be_said_in_the_same_structure(graph, session):
    pair = namedtuple("pair", "a b")
    last = tf.while_loop(
        lambda i, p, d: i < 3,
        lambda i, p, d: (i + 1, pair(tf.concat([p.a] * 2, 0), [p.b[0] * 2]), {**d, "x": tf.concat([d["x"]] * 2, 0)}),
        (0, pair(tf.constant([1]), [2]), {"x": tf.constant([1]), "y": 2}),
        shape_invariants=([], pair(tf.TensorShape([None]), [[]]), {"y": [], "x": [None]}),
    )  # fmt: skip
    assert last[1].a.shape.as_list() == [None]
    found = session.run(last)
    assert (found[1].a.tolist(), found[1].b) == ([1] * 8, [16])
    assert found[2]["x"].tolist() == [1] * 8
    for wrong in ([[], {"x": [None]}], [[], [None], []], [[], [None]]):
        with pytest.raises(ValueError, match="don't have the same nested structure"):
            tf.while_loop(
                lambda i, d: i < 1, lambda i, d: (i, d), [0, {"x": tf.constant([1]), "y": 2}], shape_invariants=wrong
            )


def test_an_exclusive_case_with_two_true_predicates_fails(x, session):
    y = tf.case([(x < 3, lambda: x), (x < 5, lambda: x)], default=lambda: -x, exclusive=True)
    assert run(session, y, x=4) == 4
    with pytest.raises(tf.errors.InvalidArgumentError, match="Input error"):
        run(session, y, x=1)


# while_loop


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_loop_repeats_while_its_condition_is_true(ray_session, x, placement):
    i, total = tf.while_loop(lambda i, t: i < x, lambda i, t: (i + 1, t + i), [np.int64(0), np.int64(0)])
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        assert run(session, [i, total], x=10) == [10, 45]
        assert run(session, [i, total], x=0) == [0, 0]


def test_side_effects_happen_in_each_iteration(x, session):
    v = tf.Variable(np.int64(1), name="v")

    def body(i):
        with tf.control_dependencies([v.assign(v * 2)]):
            return i + 1

    end = tf.while_loop(lambda i: i < 5, body, [0])
    with tf.control_dependencies([end]):
        after = v.read_value()
    session.run(v.initializer)
    assert session.run(after) == 32
    assert session.run(v) == 32


def test_a_loop_that_fails_has_changed_nothing(x, session):
    v = tf.Variable(np.int64(0), name="v")

    @tf.op(dtype=tf.int32, shape=[])
    def fragile(i):
        if i == 3:
            raise ValueError("enough")
        return i

    def body(i):
        with tf.control_dependencies([v.assign_add(1)]):
            return fragile(i) + 1

    end = tf.while_loop(lambda i: i < 5, body, [0])
    session.run(v.initializer)
    with pytest.raises(tf.errors.InvalidArgumentError, match="enough"):
        session.run(end)
    assert session.run(v) == 0


def test_the_condition_may_read_what_the_body_writes(session):
    v = tf.Variable(np.int64(1), name="v")

    def body(i):
        with tf.control_dependencies([v.assign(v * 3)]):
            return i + 1

    end = tf.while_loop(lambda i: v.read_value() < 100, body, [0])
    session.run(v.initializer)
    assert session.run(end, options=tf.RunOptions(timeout_in_ms=20_000)) == 5
    assert session.run(v) == 243


def test_one_branch_may_read_what_the_other_writes(session):
    v = tf.Variable(np.int64(1), name="v")
    pred = tf.placeholder(tf.bool, [])

    def write():
        with tf.control_dependencies([v.assign(v.read_value() + 4)]):
            return v.read_value() * 10

    result = tf.cond(pred, write, lambda: v * 2)
    session.run(v.initializer)
    assert [session.run(result, {pred: p}) for p in (False, True, False)] == [2, 50, 10]


@pytest.mark.parametrize("where", ["condition", "body"])
def test_what_fails_in_a_late_iteration_is_named(session, where):
    @tf.op(dtype=tf.int32, shape=[])
    def fragile(i):
        if i == 17:
            raise ValueError("seventeen")
        return i

    def condition(i):
        return (fragile(i) if where == "condition" else i) < 30

    def body(i):
        return (fragile(i) if where == "body" else i) + 1

    end = tf.while_loop(condition, body, [0])
    for _ in range(2):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"seventeen(.|\n)*fragile(_1)? \(defined at "):
            session.run(end)


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, 9])
def test_a_limit_holds_before_and_after_the_loop_is_hot(session, limit):
    a = tf.placeholder(tf.float64, [3])
    end = tf.while_loop(
        lambda i, x, y: i < 7, lambda i, x, y: (i + 1, y + a, x * 2), [0, a, a], maximum_iterations=limit
    )
    x = y = np.arange(3.0)
    for _ in range(min(limit, 7)):
        x, y = y + np.arange(3.0), x * 2
    for _ in range(2):
        found = session.run(end, {a: np.arange(3.0)})
        assert [int(found[0]), found[1].tolist(), found[2].tolist()] == [min(limit, 7), x.tolist(), y.tolist()]


def test_an_infinite_loop_is_ended_by_a_time_limit(session):
    end = tf.while_loop(lambda i: i < 10, lambda i: i * 1, [0])
    with pytest.raises(tf.errors.DeadlineExceededError):
        session.run(end, options=tf.RunOptions(timeout_in_ms=200))
    assert session.run(tf.constant(1)) == 1


def test_iterations_may_be_limited(session):
    for limit in (7, tf.constant(7, tf.int64)):
        assert session.run(tf.while_loop(lambda i: True, lambda i: i + 1, [0], maximum_iterations=limit)) == 7
    with pytest.raises(TypeError, match="maximum_iterations must be an integer, got float32"):
        tf.while_loop(lambda i: True, lambda i: i + 1, [0], maximum_iterations=7.5)


def test_random_numbers_differ_from_iteration_to_iteration_and_from_run_to_run(graph):
    tf.set_random_seed(3)
    draws = tf.map_fn(lambda _: tf.random_uniform([]), tf.zeros([50]))
    with tf.Session() as one, tf.Session() as two:
        first, second = one.run(draws), one.run(draws)
        assert len({*first.tolist(), *second.tolist()}) == 100
        assert two.run(draws).tolist() == first.tolist()


def test_loop_variables_may_be_structures(session):
    pair = (tf.constant(0), {"a": tf.constant(1), "b": tf.constant(2)})
    end = tf.while_loop(lambda i, d: i < 3, lambda i, d: (i + 1, {"a": d["b"], "b": d["a"] + d["b"]}), pair)
    i, values = session.run(end)
    assert (i, values) == (3, {"a": 5, "b": 8})


def test_shapes_may_change_where_that_was_said(session):
    with pytest.raises(ValueError, match=r"Input tensor '.*' enters the loop with shape \(2,\), but has shape \(4,\)"):
        tf.while_loop(lambda a: True, lambda a: [tf.concat([a, a], 0)], [tf.zeros([2])])
    i, a = tf.while_loop(
        lambda i, a: i < 3,
        lambda i, a: (i + 1, tf.concat([a, a], 0)),
        [0, tf.zeros([2])],
        shape_invariants=[tf.TensorShape([]), tf.TensorShape([None])],
    )
    assert a.shape.as_list() == [None]
    assert session.run(a).shape == (16,)


def test_bad_loops_are_refused(x):
    with pytest.raises(TypeError, match="cond must be callable"):
        tf.while_loop(1, lambda i: i, [0])
    with pytest.raises(TypeError, match="body must be callable"):
        tf.while_loop(lambda i: True, 1, [0])
    with pytest.raises(TypeError, match="parallel_iterations must be a positive integer"):
        tf.while_loop(lambda i: True, lambda i: i, [0], parallel_iterations=0)
    with pytest.raises(ValueError, match="No loop variables provided"):
        tf.while_loop(lambda: True, lambda: 1, [])
    with pytest.raises(ValueError, match="the same number of elements"):
        tf.while_loop(lambda i: True, lambda i: [i, i], [0])
    inside = []
    tf.while_loop(lambda i: i < 1, lambda i: inside.append(i + 1) or inside[0], [0])
    with pytest.raises(ValueError, match="because .* is in a while loop. See info log for more details"):
        tf.identity(inside[0])
    with pytest.raises(ValueError, match="because they are in different while loops"):
        tf.while_loop(lambda i: i < 1, lambda i: i + inside[0], [0])


# Functions over elements


def test_map_fn_stacks_what_the_function_gives(session):
    a = np.arange(12.0).reshape(4, 3)
    assert session.run(tf.map_fn(tf.reduce_sum, tf.constant(a))).tolist() == a.sum(1).tolist()
    sums, firsts = tf.map_fn(lambda r: (tf.reduce_sum(r[0]), r[1][0]), (a, a), dtype=(tf.float64, tf.float64))
    assert session.run([sums, firsts])[1].tolist() == a[:, 0].tolist()


def test_map_fn_of_nothing_is_empty(session):
    x = tf.placeholder(tf.float32, [None, 2])
    assert session.run(tf.map_fn(lambda r: r * 2, x), {x: np.zeros((0, 2))}).shape == (0, 2)


def test_the_error_of_an_element_names_an_operation_of_the_graph(session):
    def fails(x):
        raise ValueError("not this one")

    y = tf.map_fn(tf.op(dtype=tf.float64, shape=[])(fails), tf.constant(np.ones(6)), parallel_iterations=3)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"not this one(.|\n)*fails \(defined at") as caught:
        session.run(y)
    assert caught.value.op is y.op


@pytest.mark.parametrize("length", [0, 1, 3, 10, 37])
@pytest.mark.parametrize("parts", [None, 1, 4])
def test_map_fn_gives_the_same_in_any_number_of_parts(session, length, parts):
    x = tf.placeholder(tf.float64, [None, 2])
    w = tf.Variable(np.array([2.0, 3.0]))
    session.run(w.initializer)
    a = np.arange(2.0 * length).reshape(length, 2)
    both = tf.map_fn(lambda r: (r[0] * w, tf.reduce_sum(r[1])), (x, x), (tf.float64, tf.float64), parts)
    scaled, sums = session.run(both, {x: a})
    assert scaled.tolist() == (a * [2.0, 3.0]).tolist()
    assert sums.tolist() == a.sum(1).tolist()


def test_elements_of_map_fn_run_beside_each_other_in_several_processes(session, tmp_path):
    x = tf.placeholder(tf.int64, [None])

    @tf.op(isolated=True, dtype=tf.int64, shape=[])
    def whereabouts(i):
        """Its process, once another process works on elements too."""
        (tmp_path / str(os.getpid())).touch()
        end = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        return os.getpid()

    pids = tf.map_fn(whereabouts, x)
    found = session.run(pids, {x: np.arange(20)})
    assert len(set(found.tolist()) - {os.getpid()}) > 1


def test_what_fails_in_a_part_of_map_fn_is_named(session):
    x = tf.placeholder(tf.int64, [None])

    @tf.op(dtype=tf.int64, shape=[])
    def fragile(i):
        if i == 13:
            raise ValueError("thirteen")
        return i

    with pytest.raises(tf.errors.InvalidArgumentError, match=r"thirteen(.|\n)*fragile \(defined at "):
        session.run(tf.map_fn(fragile, x), {x: np.arange(20)})


def test_map_fn_refuses_elements_of_different_lengths(session):
    x, y = tf.placeholder(tf.int64, [None]), tf.placeholder(tf.int64, [None])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"the elements have different lengths: \[3, 4\]"):
        session.run(tf.map_fn(lambda e: e[0] + e[1], (x, y), tf.int64), {x: [1, 2, 3], y: [1, 2, 3, 4]})


def test_what_map_fn_writes_is_written_element_by_element(session):
    v = tf.Variable(np.int64(1))

    def body(i):
        with tf.control_dependencies([v.assign(v.read_value() * 2 + i)]):
            return v.read_value() + 0

    session.run(v.initializer)
    assert session.run(tf.map_fn(body, tf.constant([0, 1, 0], tf.int64))).tolist() == [2, 5, 10]
    assert session.run(v) == 10


@pytest.mark.parametrize("parts", [0, -1, 1.5])
def test_map_fn_needs_a_positive_number_of_parts(graph, parts):
    with pytest.raises(TypeError, match="parallel_iterations must be a positive integer"):
        tf.map_fn(lambda i: i, tf.zeros([3]), parallel_iterations=parts)


def test_map_fn_refuses_another_dtype_than_was_said(graph):
    with pytest.raises(TypeError, match="fn gave int32, but dtype is float32"):
        tf.map_fn(lambda r: tf.cast(r, tf.int32), tf.zeros([2]))


def test_folds_and_scans(session):
    e = tf.constant([1, 2, 3, 4])
    assert session.run(tf.foldl(lambda a, b: a * 2 + b, e)) == 26
    assert session.run(tf.foldr(lambda a, b: a * 2 + b, e)) == 49
    assert session.run(tf.foldl(lambda a, b: a + b, e, initializer=10)) == 20
    assert session.run(tf.scan(lambda a, b: a + b, e)).tolist() == [1, 3, 6, 10]
    assert session.run(tf.scan(lambda a, b: a + b, e, initializer=10)).tolist() == [11, 13, 16, 20]
    assert session.run(tf.scan(lambda a, b: a + b, e, reverse=True)).tolist() == [10, 9, 7, 4]


def test_a_graph_with_sections_pickles(graph):
    x = tf.placeholder(tf.int32, [], name="x")
    tf.cond(x > 0, lambda: tf.while_loop(lambda i: i < x, lambda i: i + 1, [0]), lambda: -x, name="out")
    copy = pickle.loads(pickle.dumps(graph))
    with tf.Session(graph=copy) as session:
        assert session.run("out/Merge:0", {"x:0": 4}) == 4
        assert session.run("out/Merge:0", {"x:0": -4}) == 4


# Against Python


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_programs_give_what_python_gives(data):
    """Nested branches and loops over two variables and two numbers, as a graph and as plain Python."""
    with tf.Graph().as_default():
        variables = [tf.Variable(np.int64(k + 1), name=f"v{k}") for k in range(2)]
        fed = [tf.placeholder(tf.int64, [], name=f"f{k}") for k in range(2)]

        def grow(depth, names):
            """A pair: makes nodes from tensors, does the same in Python from numbers and state."""
            kind = data.draw(st.integers(0, 5 if depth else 2))
            a, b = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(names))
            k = data.draw(st.integers(0, 1))
            if kind == 0:
                return lambda t: t[a] + t[b], lambda s, t: t[a] + t[b]
            if kind == 1:

                def write(t):
                    with tf.control_dependencies([variables[k].assign_add(t[a])]):
                        return tf.identity(t[b])

                def written(s, t):
                    s[k] += t[a]
                    return t[b]

                return write, written
            if kind == 2:
                return lambda t: variables[k].read_value() - t[a], lambda s, t: s[k] - t[a]
            if kind in (3, 4):
                yes, no = grow(depth - 1, names), grow(depth - 1, names)
                return (
                    lambda t: tf.cond(t[a] > t[b], lambda: yes[0](t), lambda: no[0](t)),
                    lambda s, t: (yes if t[a] > t[b] else no)[1](s, t),
                )
            body = grow(depth - 1, [*names, "i"])
            count = data.draw(st.integers(0, 3))

            def loop(t):
                def step(i, value):
                    return i + 1, body[0]({**t, "i": value}) % 1000

                return tf.while_loop(lambda i, _: i < count, step, [tf.constant(0), tf.identity(t[a])])[1]

            def looped(s, t):
                value = t[a]
                for _ in range(count):
                    value = body[1](s, {**t, "i": value}) % 1000
                return value

            return loop, looped

        make, plain = grow(3, ["x", "y"])
        end = make({"x": fed[0], "y": fed[1]})
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            state = [1, 2]
            for _ in range(3):
                x, y = data.draw(st.integers(-5, 5)), data.draw(st.integers(-5, 5))
                expected = plain(state, {"x": x, "y": y})
                assert session.run(end, {fed[0]: x, fed[1]: y}) == expected
                assert session.run(variables) == state


# As strict and as lenient as TensorFlow


def test_slices_of_both_branches_have_indices_of_one_dtype(graph):
    pred, values = tf.placeholder(tf.bool, []), tf.constant([2.0, 4.0])
    made = tf.cond(
        pred,
        lambda: tf.IndexedSlices(values, tf.constant([0, 1], tf.int64)),
        lambda: tf.IndexedSlices(values, tf.constant([1, 3])),
    )
    assert made.indices.dtype is tf.int64
    with tf.Session() as session:
        assert session.run(made.indices, {pred: False}).tolist() == [1, 3]
        assert session.run(made.indices, {pred: True}).tolist() == [0, 1]


def test_a_sparse_tensor_may_grow_in_a_loop(graph):
    start = tf.SparseTensor([[1]], [3.0], [10])

    def longer(i, sparse):
        indices = tf.concat([sparse.indices, [[tf.cast(i, tf.int64)]]], 0)
        return i + 1, tf.SparseTensor(indices, tf.concat([sparse.values, [0.5]], 0), sparse.dense_shape)

    _, last = tf.while_loop(lambda i, _: i < 3, longer, [tf.constant(0), start])
    assert last.values.shape.as_list() == [None]
    with tf.Session() as session:
        assert session.run(last.values).tolist() == [3.0, 0.5, 0.5, 0.5]


def test_control_flow_refuses_what_makes_no_sense(graph):
    x, pred = tf.constant(1), tf.constant(True)
    with pytest.raises(ValueError, match="at least one result"):
        tf.cond(pred, list, list)
    with pytest.raises(TypeError, match="must be a list, tuple, or dict"):
        tf.case(3)
    with pytest.raises(TypeError, match="pred must be Tensor of type bool"):
        tf.case([(x, lambda: x)])
    with pytest.raises(ValueError, match="maximum_iterations must be a scalar"):
        tf.while_loop(lambda i: i < 3, lambda i: i + 1, [x], maximum_iterations=[1])


def test_a_loop_that_is_not_to_be_walked_back_has_no_gradient(graph):
    x = tf.constant(2.0)
    made = tf.while_loop(lambda v: v < 100.0, tf.square, [x], back_prop=False)
    assert tf.gradients(made, x) == [None]
    with pytest.raises(ValueError, match="Invalid aggregation_method"):
        tf.gradients(x * x, x, aggregation_method=7)


def test_the_body_gives_back_the_structure_that_it_was_given(graph):
    with pytest.raises(ValueError, match="don't have the same nested structure"):
        tf.while_loop(lambda i, x: i < 2, lambda i, x: (i + 1, [x]), [0, 1])
    with pytest.raises(TypeError, match="don't have the same nested structure"):
        tf.while_loop(lambda i, x: i < 2, lambda i, x: (i + 1, tuple(x)), [0, [tf.constant(1), tf.constant(2)]])
    inner = tf.while_loop(lambda x: x[0] < 3, lambda x: ([x[0] + 1, x[1]],), ([tf.constant(0), tf.constant(1)],))
    with tf.Session() as session:
        assert session.run(inner) == ([3, 1],)


def test_cond_takes_each_function_once(graph):
    one = lambda: tf.constant(1)  # noqa: E731
    with pytest.raises(TypeError, match="'true_fn' and 'fn1' may not be set simultaneously"):
        tf.cond(tf.constant(True), true_fn=one, fn1=one, false_fn=one)
    with pytest.raises(TypeError, match="'false_fn' argument required"):
        tf.cond(tf.constant(True), one)


def test_a_case_says_which_of_its_pairs_is_wrong(graph):
    x = tf.constant(1)
    with pytest.raises(TypeError, match="pred must be Tensor, got: True"):
        tf.case([(True, lambda: x)])
    with pytest.raises(TypeError, match="fn for pred Greater:0 must be callable"):
        tf.case([(x > 0, 3)])


def test_text_is_no_predicate(graph):
    with pytest.raises(TypeError, match="does not match expected type of bool"):
        tf.cond(tf.constant("true"), lambda: 1, lambda: 2)
    with pytest.raises(TypeError, match="does not match expected type of bool"):
        tf.while_loop(lambda i: "true", lambda i: i + 1, [0])


def test_map_fn_refuses_another_structure_and_lengths_that_are_known_to_differ(graph):
    elements = tf.constant([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="don't have the same nested structure"):
        tf.map_fn(lambda x: [x], elements, dtype=tf.float32)
    with pytest.raises(TypeError, match="don't have the same nested structure"):
        tf.map_fn(lambda x: [x, x], (elements, elements))
    with pytest.raises(ValueError, match="Dimensions 3 and 2 are not compatible"):
        tf.map_fn(lambda x: x, (elements, tf.zeros([2])))


def test_scan_refuses_another_structure(graph):
    with pytest.raises(ValueError, match="don't have the same nested structure"):
        tf.scan(lambda a, x: (a, a), tf.constant([1.0, 2.0]))


def test_elements_of_a_scalar_are_refused(graph):
    with pytest.raises(ValueError, match="elements in elems must be 1\\+ dimensional Tensors, not scalars"):
        tf.map_fn(lambda x: x, tf.constant(1.0))


def test_results_of_map_fn_may_have_no_known_shape(graph):
    elements = tf.placeholder(tf.float32, [None, 3])
    assert tf.map_fn(lambda x: x, elements).shape.as_list() == [None, 3]
    assert tf.map_fn(lambda x: x, elements, infer_shape=False).shape.ndims is None


def test_the_error_of_a_tensor_used_in_another_loop_names_the_user_in_full(graph):
    inside = []

    def body(i):
        inside.append(i + 1)
        return inside[0]

    tf.while_loop(lambda i: i < 3, body, [0])
    assert inside[0].op._get_control_flow_context() is not None
    with pytest.raises(ValueError, match="Cannot use 'while/add' as input to 'while_1/add' because they are in diff"):
        tf.while_loop(lambda i: i < 3, lambda i: i + inside[0], [0])
