"""Assertions: what holds lets a run be, what does not fails it by name and changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

PAIRS = [
    (tf.assert_equal, [1, 2], [1, 2], [1, 3]),
    (tf.assert_none_equal, [1, 2], [0, 3], [0, 2]),
    (tf.assert_less, [1, 2], [2, 3], [2, 2]),
    (tf.assert_less_equal, [1, 2], [1, 3], [0, 3]),
    (tf.assert_greater, [1, 2], [0, 1], [1, 1]),
    (tf.assert_greater_equal, [1, 2], [1, 1], [2, 2]),
]
SIGNS = [
    (tf.assert_positive, [1, 2], [1, 0]),
    (tf.assert_negative, [-1, -2], [-1, 0]),
    (tf.assert_non_negative, [1, 0], [1, -1]),
    (tf.assert_non_positive, [-1, 0], [-1, 1]),
]


def holds(assertion, feeds) -> bool:
    """Whether a run of it gets through."""
    text = ""
    with tf.Session() as session:
        try:
            session.run(assertion, feeds)
        except tf.errors.InvalidArgumentError as error:
            text = str(error)
    return "assertion failed" not in text


@pytest.mark.parametrize(("function", "x", "right", "wrong"), PAIRS)
def test_pairs_are_compared_when_they_run_and_at_once_if_they_are_known(graph, function, x, right, wrong):
    given = tf.placeholder(tf.int32, [2])
    assertion = function(x, given)
    assert holds(assertion, {given: right})
    assert not holds(assertion, {given: wrong})
    assert holds(function(x, right), {})
    with pytest.raises(tf.errors.InvalidArgumentError, match="did not hold element-wise"):
        function(x, wrong)


@pytest.mark.parametrize(("function", "right", "wrong"), SIGNS)
def test_signs_are_asserted(graph, function, right, wrong):
    given = tf.placeholder(tf.float32, [None])
    assert holds(function(given), {given: right})
    assert not holds(function(given), {given: wrong})


def test_the_error_shows_the_values_the_message_and_the_line(graph):
    x = tf.placeholder(tf.float32, [None], name="x")
    assertion = tf.assert_less(x, 10.0, message="too much", name="limit")
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError) as info:
        session.run(assertion, {x: [1.5, 12, 3, 4]})
    text = str(info.value)
    assert text.startswith("assertion failed: [too much] [Condition x < y did not hold element-wise:] [x (x:0) = ]")
    assert "[1.5 12 3...]" in text
    assert f"limit/Assert/AssertGuard/Merge (defined at {__file__}:" in text


@pytest.mark.parametrize(
    ("value", "most", "shown"),
    [
        (7, None, "[7]"),
        ([1, 2, 3], 3, "[1 2 3]"),
        ([[1, 2], [3, 4]], None, "[[1 2][3...]...]"),
        ([[1, 2], [3, 4]], 2, "[[1 2]...]"),
        ([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], 5, "[[[1 2][3 4]][[5...]]...]"),
        ([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], -1, "[[[1 2][3 4]][[5 6][7 8]]]"),
        ([[b"a"], [b"b"]], None, "[[a][b]]"),
        (np.zeros((2, 0)), None, "[]"),
    ],
)
def test_values_of_several_axes_are_shown_in_brackets(graph, value, most, shown):
    x = tf.placeholder_with_default(value, np.shape(value))
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError) as info:
        session.run(tf.Assert(tf.constant(False), [x], summarize=most))
    assert info.value.message.startswith(f"assertion failed: {shown}\n")


def test_assertions_have_tensorflows_names(graph):
    x, n = tf.placeholder(tf.float32, [2]), tf.placeholder(tf.int32, [2])
    made = [
        tf.Assert(n > 0, ["text", n]),
        tf.Assert(x > 0, [x]),
        tf.assert_less(x, 1.0),
        tf.assert_less(n, 1, name="n"),
    ]
    assert [op.name for op in made] == [
        "Assert/Assert", "Assert_1/AssertGuard/Merge", "assert_less/Assert/AssertGuard/Merge", "n/Assert/Assert",
    ]  # fmt: skip
    assert graph.get_operation_by_name("n/y").type == "Const"
    copy = tf.Graph()
    with copy.as_default():
        tf.import_graph_def(graph.as_graph_def(), name="")
    assert [op.name for op in copy.get_operations() if op.type == "Assert"] == [op.name for op in made]


@pytest.mark.parametrize("placement", ["auto", "actor", "task"])
def test_a_run_whose_assertion_fails_changes_nothing(ray_session, graph, placement):
    x = tf.placeholder(tf.int32, [])
    total = tf.Variable(0)
    with tf.control_dependencies([tf.assert_positive(x)]):
        add = total.assign_add(x)
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        session.run(total.initializer)
        session.run(add, {x: 5})
        with pytest.raises(tf.errors.InvalidArgumentError, match="assertion failed"):
            session.run(add, {x: -1})
        assert session.run(total) == 5


def test_an_assertion_in_a_branch_that_is_not_taken_asserts_nothing(graph):
    x = tf.placeholder(tf.int32, [])

    def impossible():
        with tf.control_dependencies([tf.Assert(False, ["never", x], summarize=1)]):
            return tf.identity(x)

    chosen = tf.cond(x > 0, lambda: x * 2, impossible)
    with tf.Session() as session:
        assert session.run(chosen, {x: 2}) == 4
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"assertion failed: \[never\] \[-1\]"):
            session.run(chosen, {x: -1})


def test_what_is_near_enough_is_near(graph):
    x = tf.placeholder(tf.float64, [])
    assert holds(tf.assert_near(x, 1.0), {x: 1.0 + 1e-15})
    assert not holds(tf.assert_near(x, 1.0), {x: 1.0 + 1e-12})
    assert holds(tf.assert_near(x, 100.0, rtol=0.1), {x: 91.0})
    assert not holds(tf.assert_near(x, 100.0, rtol=0.0, atol=5.0), {x: 91.0})


def test_ranks_are_asserted_at_once_where_they_are_known(graph):
    known, unknown = tf.placeholder(tf.float32, [2, None], name="known"), tf.placeholder(tf.float32)
    tf.assert_rank(known, 2)
    tf.assert_rank_at_least(known, 1)
    text = r"what.  Tensor known:0 must have rank 1.  Received rank 2, shape \[2,\?\]"
    with pytest.raises(ValueError, match=text):
        tf.assert_rank(known, 1, message="what")
    with pytest.raises(ValueError, match="must have rank at least 3"):
        tf.assert_rank_at_least(known, 3)
    for assertion in (tf.assert_rank(unknown, 1), tf.assert_rank_at_least(unknown, 1)):
        assert holds(assertion, {unknown: [1.0]})
        assert not holds(assertion, {unknown: 1.0})


def test_types_are_asserted_at_once(graph):
    tf.assert_type(tf.constant(1.0), tf.float32)
    tf.assert_integer(tf.constant(1))
    with pytest.raises(TypeError, match="must be of type tf.int32"):
        tf.assert_type(tf.constant(1.0), tf.int32)
    with pytest.raises(TypeError, match='Expected "x" to be integer type'):
        tf.assert_integer(tf.constant(1.0))


@pytest.mark.parametrize(
    ("values", "found"), [([1, np.nan], "NaN"), ([np.inf, 1], "Inf"), ([-np.inf, np.nan], "Inf and NaN")]
)
def test_numbers_that_are_none_are_told(graph, values, found):
    x = tf.placeholder(tf.float32, [2])
    checked = tf.check_numerics(x, "loss")
    with tf.Session() as session:
        assert session.run(checked, {x: [1, 2]}).tolist() == [1, 2]
        for fetch in (checked, tf.verify_tensor_all_finite(x, "loss"), tf.debugging.assert_all_finite(x, "loss")):
            with pytest.raises(tf.errors.InvalidArgumentError, match=f"loss : Tensor had {found} values"):
                session.run(fetch, {x: values})
    with pytest.raises(TypeError, match="int32"):
        tf.check_numerics(tf.constant(1), "whole")


def test_all_tensors_of_a_graph_can_be_checked_at_once(graph):
    x = tf.placeholder(tf.float32, [])
    tf.log(x, name="logarithm")
    check = tf.add_check_numerics_ops()
    with tf.Session() as session:
        session.run(check, {x: 1.0})
        with pytest.raises(tf.errors.InvalidArgumentError, match="logarithm:0 : Tensor had NaN values"):
            session.run(check, {x: -1.0})


def test_gradients_flow_through_a_check(graph):
    x = tf.constant(3.0)
    (slope,) = tf.gradients(tf.check_numerics(x * x, "square"), x)
    with tf.Session() as session:
        assert session.run(slope) == 6.0


def test_shapes_that_do_not_fit_when_it_runs_are_told_in_tensorflows_words():
    x = tf.placeholder(tf.float32)
    with tf.Session() as session:
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"^Incompatible shapes: \[2\] vs. \[3\]"):
            session.run(x + tf.ones([3]), {x: [1.0, 2.0]})
        with pytest.raises(tf.errors.InvalidArgumentError, match="^Matrix size-incompatible"):
            session.run(tf.matmul(x, tf.ones([3, 1])), {x: [[1.0, 2.0]]})


@pytest.mark.parametrize("condition", [3, 1.0, "true", [1, 0]])
def test_a_condition_is_boolean(graph, condition):
    with pytest.raises(TypeError, match="does not match expected type of bool"):
        tf.Assert(condition, ["data"])


def test_a_rank_is_a_whole_number(graph):
    x = tf.constant([1])
    for check in (
        lambda: tf.assert_rank(x, 1.0),
        lambda: tf.assert_rank_at_least(x, 0.5),
        lambda: tf.assert_rank_in(x, [1.0]),
    ):
        with pytest.raises(TypeError, match="must be of type tf.int32"):
            check()


def test_known_shapes_that_do_not_broadcast_are_told_before_the_values_are_compared(graph):
    with pytest.raises(ValueError, match="Dimensions must be equal, but are 3 and 2"):
        tf.assert_equal([1, 1, 1], [1, 1])


def test_a_comparison_with_zero_says_so():
    x = tf.placeholder(tf.int32, name="x")
    with tf.Session() as session:
        for function, sign, value in [
            (tf.assert_positive, "> 0", 0), (tf.assert_negative, "< 0", 0),
            (tf.assert_non_negative, ">= 0", -1), (tf.assert_non_positive, "<= 0", 1),
        ]:  # fmt: skip
            words = (
                rf"^assertion failed: \[Condition x {sign} did not hold element-wise:\] \[x \(x:0\) = \] \[{value}\]"
            )
            with pytest.raises(tf.errors.InvalidArgumentError, match=words):
                session.run(function(x), {x: value})
