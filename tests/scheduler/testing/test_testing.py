"""tf.test: what test programs of TensorFlow's users derive from."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf


class Case(tf.test.TestCase):
    """A test as TensorFlow's users write them; it is run by the functions below."""

    __test__ = False

    def runTest(self):
        """Nothing by itself."""


@pytest.fixture
def case():
    made = Case()
    made.setUp()
    yield made
    made.tearDown()


def test_each_test_begins_with_an_empty_graph_and_known_seeds(case):
    assert tf.get_default_graph().version == 0
    draw = tf.random_uniform([3])
    first = case.evaluate(draw)
    case.tearDown()
    case.setUp()
    np.testing.assert_array_equal(case.evaluate(tf.random_uniform([3])), first)
    assert Case.__test__ is False is tf.test.TestCase.__test__


def test_one_session_is_kept_and_others_are_new(case):
    v = tf.Variable(1.0)
    with case.cached_session() as session:
        assert tf.get_default_session() is session
        session.run(v.initializer)
        with case.test_session() as again:
            assert again is session
            assert case.evaluate(v) == 1
    with case.session() as other:
        assert other is not session
        with pytest.raises(tf.errors.FailedPreconditionError):
            v.eval()
    with pytest.raises(ValueError, match="different than the one"), case.cached_session(graph=tf.Graph()):
        pass


def test_values_and_structures_of_them_are_compared(case):
    case.assertAllClose([1.0, 2.0], tf.constant([1.0, 2.0 + 1e-7]))
    case.assertAllClose({"a": [1.0], "b": (np.zeros(2), [[1.0]])}, {"a": [1.0], "b": (np.zeros(2), [[1.0]])})
    case.assertAllEqual([b"x", "y"], np.array([b"x", b"y"], object))
    case.assertAllEqual(tf.constant(["a"]), [b"a"])
    case.assertAllCloseAccordingToType(np.float16([1.0]), [1.0005])
    case.assertNotAllClose([1.0], [1.1])
    case.assertAllInRange([1, 2], 1, 2)
    case.assertShapeEqual(np.zeros((2, 3)), tf.zeros([2, 3]))
    case.assertDTypeEqual(tf.constant(1.0), tf.float32)
    case.assertDeviceEqual("/cpu:0", "/device:CPU:0")
    for wrong in (
        lambda: case.assertAllClose([1.0], [1.1]),
        lambda: case.assertAllClose({"a": 1.0}, {"b": 1.0}),
        lambda: case.assertAllClose([1.0], [1.0, 1.0]),
        lambda: case.assertAllEqual([1], [2]),
        lambda: case.assertAllInRange([3], 1, 2),
        lambda: case.assertNotAllEqual([1], [1]),
        lambda: case.assertNear(1.0, 1.2, 0.1),
    ):
        with pytest.raises(AssertionError):
            wrong()


def test_errors_of_operations_are_matched_by_their_text(case):
    x = tf.placeholder(tf.float32, name="given")
    with case.assertRaisesOpError("You must feed a value for placeholder tensor 'given'"):
        case.evaluate(x)
    with pytest.raises(AssertionError, match="OpError not raised"), case.assertRaisesOpError("anything"):
        pass
    with pytest.raises(AssertionError, match="Exception of type"):
        with case.assertRaisesWithPredicateMatch(ValueError, lambda error: False):
            raise ValueError("text")


def test_protocol_buffers_are_compared_with_their_text(case):
    message = tf.Summary(value=[tf.Summary.Value(tag="a", simple_value=1.0)])
    case.assertProtoEquals("value { tag: 'a' simple_value: 1.0 }", message)
    with pytest.raises(AssertionError):
        case.assertProtoEquals("value { tag: 'b' }", message)


def test_a_thread_that_fails_fails_its_test(case):
    fine = case.checkedThread(lambda: None)
    fine.start()
    fine.join()
    bad = case.checkedThread(lambda: 1 / 0)
    bad.start()
    with pytest.raises(AssertionError, match="division by zero"):
        bad.join()


def test_derivatives_are_measured_by_differences(case):
    x = tf.constant([1.0, 2.0], name="x")
    y = tf.stack([x[0] * x[1], x[0] ** 2, x[1]])
    with case.session():
        theory, measured = tf.test.compute_gradient(x, [2], y, [3], np.float32([1, 2]))
        np.testing.assert_allclose(theory, [[2, 2, 0], [1, 0, 1]])
        np.testing.assert_allclose(measured, theory, atol=1e-2)
        assert tf.test.compute_gradient_error(x, [2], y, [3]) < 1e-2


def test_each_test_has_a_folder_of_its_own(case):
    assert case.get_temp_dir() == case.get_temp_dir() != Case().get_temp_dir()
    assert case.get_temp_dir().startswith(tf.test.get_temp_dir())
    assert not tf.test.is_built_with_cuda()


def test_messages_are_compared_with_text():
    case = tf.test.TestCase()
    cluster = tf.train.ClusterSpec({"ps": ["a:1"], "worker": {2: "b:2"}}).as_cluster_def()
    text = "job { name: 'ps' tasks { key: 0 value: 'a:1' } } job { name: 'worker' tasks { key: 2 value: 'b:2' } }"
    case.assertProtoEquals(text, cluster)
    case.assertProtoEquals("gpu_options { allow_growth: true }", tf.ConfigProto(gpu_options={"allow_growth": True}))
    with pytest.raises(AssertionError):
        case.assertProtoEquals("job { name: 'ps' }", cluster)


def test_a_test_begins_outside_of_graphs_that_a_failed_one_is_still_in(case):
    tf.Graph().as_default().__enter__()
    case.setUp()
    assert tf.get_default_graph().version == 0
    tf.reset_default_graph()


def test_what_asks_for_a_gpu_may_run_without_unless_it_must_not(case):
    with tf.device("/gpu:7"):
        x = tf.constant(1.0)
    with case.session():
        assert case.evaluate(x) == 1.0
    with case.session(force_gpu=True), pytest.raises(tf.errors.InvalidArgumentError, match="Cannot assign a device"):
        case.evaluate(x)


def test_the_kept_session_is_asked_for_in_the_same_way_each_time(case):
    with case.cached_session():
        pass
    for other in ({"config": tf.ConfigProto(device_count={"CPU": 1})}, {"force_gpu": True}):
        with pytest.raises(ValueError, match="different than the one"), case.cached_session(**other):
            pass


def test_an_operations_error_may_be_known_by_the_operations_name(case):
    op = tf.no_op(name="culprit")
    with case.assertRaisesOpError("culprit"):
        raise tf.errors.InternalError(None, op, "broken")


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("assertSameElements", ([1, 1, 2], [2, 1]), ([1], [1, 2])),
        ("assertContainsSubset", ([1], [1, 2]), ([3], [1, 2])),
        ("assertNoCommonElements", ([1], [2]), ([1], [1, 2])),
        ("assertContainsSubsequence", ([1, 2, 3], [1, 3]), ([1, 2, 3], [3, 1])),
        ("assertContainsExactSubsequence", ([1, 2, 3], [2, 3]), ([1, 2, 3], [1, 3])),
        ("assertSequenceAlmostEqual", ([1.0], [1.0 + 1e-9]), ([1.0], [1.1])),
        ("assertSameStructure", ({"a": [1]}, {"a": [1]}), ({"a": [1]}, {"a": [2]})),
        ("assertBetween", (1, 1, 2), (3, 1, 2)),
        ("assertTotallyOrdered", ([1, 1.0], [2]), ([2], [1])),
        ("assertStartsWith", ("abc", "ab"), ("abc", "bc")),
        ("assertEndsWith", ("abc", "bc"), ("abc", "ab")),
        ("assertSequenceStartsWith", ([1, 2], [1, 2, 3]), ([2], [1, 2, 3])),
        ("assertRegexMatch", ("abc", ["x", "b."]), ("abc", ["x"])),
        ("assertContainsInOrder", (["a", "c"], "abc"), (["c", "a"], "abc")),
        ("assertEquals", (1, 1), (1, 2)),
        ("assertItemsEqual", ([1, 2], [2, 1]), ([1, 1], [1])),
    ],
)
def test_collections_orders_and_texts_are_compared(case, name, right, wrong):
    getattr(case, name)(*right)
    with pytest.raises(AssertionError):
        getattr(case, name)(*wrong)


def test_an_exception_is_known_by_its_whole_text(case):
    with case.assertRaisesWithLiteralMatch(ValueError, "a (b)"):
        raise ValueError("a (b)")
    with pytest.raises(AssertionError), case.assertRaisesWithLiteralMatch(ValueError, "a"):
        raise ValueError("a (b)")


def test_a_graph_def_is_compared_with_its_versions_left_to_the_library(case):
    tf.no_op(name="n")
    case.assertProtoEqualsVersion('node { name: "n" op: "NoOp" }', tf.get_default_graph().as_graph_def())


def test_replaced_attributes_are_put_back():
    class Thing:
        a = 1

    with tf.test.StubOutForTesting() as stubs:
        stubs.Set(Thing, "a", 2)
        stubs.SmartSet(Thing, "a", 3)
        assert Thing.a == 3
    assert Thing.a == 1
    with pytest.raises(AttributeError):
        stubs.Set(Thing, "missing", 1)


def test_a_test_may_begin_inside_a_graph():
    with tf.Graph().as_default() as outer:
        tf.test.TestCase().setUp()
        assert tf.get_default_graph() is not outer
    assert tf.get_default_graph() is not outer
