"""Variables that are shared by name."""

from __future__ import annotations

import inspect
import re
import threading

import numpy as np
import pytest

import weftwork as tf


def test_variables_are_named_after_their_scopes(graph):
    with tf.variable_scope("a") as outer:
        first = tf.get_variable("w", [2])
        with tf.variable_scope("b") as inner:
            second = tf.get_variable("w", [2])
            assert tf.no_op(name="x").name == "a/b/x"
    assert (first.name, second.name) == ("a/w:0", "a/b/w:0")
    assert (outer.name, inner.name, inner.original_name_scope) == ("a", "a/b", "a/b/")
    assert outer.global_variables() == [first, second]
    assert tf.get_variable_scope().name == ""


def test_a_variable_exists_once_unless_it_is_reused(graph):
    with tf.variable_scope("a"):
        made = tf.get_variable("w", [2])
    with tf.variable_scope("a"), pytest.raises(ValueError, match="Variable a/w already exists, disallowed.") as info:
        tf.get_variable("w", [2])
    assert "test_variable_scope.py:" in str(info.value)
    with tf.variable_scope("a", reuse=True):
        assert tf.get_variable("w", [2]) is made
    with tf.variable_scope("a") as scope:
        scope.reuse_variables()
        assert tf.get_variable("w") is made
        with tf.variable_scope("deeper") as deeper:
            assert deeper.reuse is True


def test_a_variable_that_must_exist_does(graph):
    text = "Variable w does not exist, or was not created with tf.get_variable()."
    with tf.variable_scope(tf.get_variable_scope(), reuse=True), pytest.raises(ValueError, match=re.escape(text)):
        tf.get_variable("w", [2])


def test_auto_reuse_makes_or_shares(graph):
    for _ in range(2):
        with tf.variable_scope("a", reuse=tf.AUTO_REUSE):
            tf.get_variable("w", [2])
    assert [v.name for v in tf.global_variables()] == ["a/w:0"]


def test_a_shared_variable_must_fit(graph):
    tf.get_variable("w", [2])
    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        with pytest.raises(
            ValueError, match=re.escape("Trying to share variable w, but specified shape (3,) and found")
        ):
            tf.get_variable("w", [3])
        with pytest.raises(ValueError, match="but specified dtype int32 and found dtype float32"):
            tf.get_variable("w", [2], tf.int32)


def test_a_new_variable_needs_a_full_shape(graph):
    text = "Shape of a new variable (w) must be fully defined, but instead was (?, 2)."
    with pytest.raises(ValueError, match=re.escape(text)):
        tf.get_variable("w", [None, 2])
    with pytest.raises(ValueError, match="If initializer is a constant, do not specify shape."):
        tf.get_variable("w", [1], initializer=tf.constant([1.0]))


def test_initializers_come_from_the_call_the_scope_or_the_dtype(graph):
    given = tf.get_variable("given", initializer=[1.0, 2.0])
    with tf.variable_scope("a", initializer=tf.constant_initializer(5.0)):
        scoped = tf.get_variable("scoped", [2])
        own = tf.get_variable("own", [2], initializer=tf.zeros_initializer())
        kind = tf.get_variable("kind", [2], initializer=tf.ones_initializer)
    floats, ints = tf.get_variable("floats", [100, 100]), tf.get_variable("ints", [2], tf.int64)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        values = session.run([given, scoped, own, kind, ints])
        assert [v.tolist() for v in values] == [[1, 2], [5, 5], [0, 0], [1, 1], [0, 0]]
        limit = np.sqrt(6 / 200)  # Glorot and Bengio, 2010
        drawn = session.run(floats)
        assert 0.9 * limit < np.abs(drawn).max() <= limit


def test_regularizers_add_to_the_losses(graph):
    with tf.variable_scope("a", regularizer=lambda w: tf.reduce_sum(w * 2.0)):
        tf.get_variable("w", initializer=[1.0, 2.0])
        tf.get_variable("free", initializer=[1.0], regularizer=tf.no_regularizer)
    (loss,) = graph.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(loss) == 6.0


def test_custom_getters_wrap_each_other(graph):
    seen = []

    def note(word):
        def getter(get, name, *args, **kwargs):
            seen.append((word, name))
            return get(name, *args, **kwargs)

        return getter

    with tf.variable_scope("a", custom_getter=note("outer")), tf.variable_scope("b", custom_getter=note("inner")):
        tf.get_variable("w", [1])
    assert seen == [("inner", "a/b/w"), ("outer", "a/b/w")]


def test_a_default_name_is_made_unique(graph):
    names = []
    for _ in range(2):
        with tf.variable_scope(None, "layer"):
            names.append(tf.get_variable("w", [1]).name)
    assert names == ["layer/w:0", "layer_1/w:0"]


def test_scopes_belong_to_the_thread(graph):
    seen = []

    def elsewhere():
        with graph.as_default():
            seen.append(tf.get_variable_scope().name)

    with tf.variable_scope("a"):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert seen == [""]


def test_bad_arguments_are_refused(graph):
    with pytest.raises(TypeError, match="name_or_scope is required"), tf.variable_scope(None):
        pass
    with pytest.raises(TypeError, match="must be a string or VariableScope"), tf.variable_scope(3):
        pass
    with pytest.raises(ValueError, match="The reuse parameter must be"), tf.variable_scope("a", reuse="yes"):
        pass


def test_default_names_begin_again_in_a_scope_that_is_entered_again(graph):
    def block():
        with tf.variable_scope(None, default_name="layer"):
            return tf.get_variable("w", [2])

    with tf.variable_scope("a"):
        first, second = block(), block()
    with tf.variable_scope("a", reuse=True):
        assert [block(), block()] == [first, second]
    with tf.variable_scope("b", reuse=tf.AUTO_REUSE) as scope:
        third = block()
    with tf.variable_scope(scope, reuse=tf.AUTO_REUSE):
        assert block() is third
    assert [v.op.name for v in tf.global_variables()] == ["a/layer/w", "a/layer_1/w", "b/layer/w"]


def test_default_names_avoid_the_names_of_scopes_that_were_opened(graph):
    for _ in range(2):
        with tf.variable_scope("layer") as named:
            pass
    with tf.variable_scope(None, default_name="layer") as other:
        pass
    assert (named.name, other.name) == ("layer", "layer_1")


def test_a_local_variable_is_no_part_of_the_model(graph):
    with tf.variable_scope("s"):
        v = tf.get_local_variable("v", [2])
    assert (tf.local_variables(), tf.global_variables(), tf.trainable_variables()) == ([v], [], [])
    assert v.name == "s/v:0"


def test_an_initializer_is_called_with_what_it_takes(graph):
    def whole(shape, dtype, partition_info):
        assert partition_info is None
        return tf.ones(shape, dtype)

    v = tf.get_variable("v", [2], initializer=whole)
    w = tf.get_variable("w", initializer=lambda: tf.zeros([3], tf.int32))
    assert (v.shape.as_list(), w.shape.as_list(), w.dtype.base_dtype) == ([2], [3], tf.int32)


def test_what_a_getter_makes_of_a_variable_has_a_name_outside_of_the_scope(graph):
    def doubled(getter, *args, **kwargs):
        return getter(*args, **kwargs) * 2.0

    with tf.variable_scope("s", custom_getter=doubled):
        assert tf.get_variable("v", []).name == "mul:0"
    with pytest.raises(ValueError, match="Passed a custom_getter which is not callable"):
        tf.get_variable("w", [], custom_getter=3)


def test_a_scope_keeps_what_is_set_on_it(graph):
    with tf.variable_scope("s", use_resource=True) as scope:
        scope.set_dtype(tf.float64)
        scope.set_caching_device("/cpu:0")
        scope.set_use_resource(False)
        scope.set_partitioner(None)
        assert tf.get_variable("v", []).dtype.base_dtype is tf.float64
    assert (scope.caching_device, scope.use_resource, scope.partitioner) == ("/cpu:0", False, None)
    with pytest.raises(TypeError, match="auxiliary_name_scope must be"), tf.variable_scope("s", auxiliary_name_scope=1):
        pass


def test_a_custom_getter_is_called_by_keywords_with_all_that_is_known(graph):
    seen = {}

    def getter(getter, **told):
        seen.update(told)
        return getter(**told)

    with tf.variable_scope("s", custom_getter=getter, initializer=tf.ones_initializer()):
        v = tf.get_variable("v", [2])
    assert v.name == "s/v:0"
    assert {key: seen[key] for key in ("name", "dtype", "trainable", "reuse", "use_resource", "shape")} == {
        "name": "s/v", "dtype": tf.float32, "trainable": True, "reuse": False, "use_resource": False, "shape": [2],
    }  # fmt: skip
    assert callable(seen["initializer"])


def test_a_getter_of_ones_own_takes_the_place_of_the_scopes(graph):
    log = []

    def noted(word):
        return lambda getter, name, *args, **kwargs: (log.append(word), getter(name + word, *args, **kwargs))[1]

    with tf.variable_scope("s", custom_getter=noted("_outer")):
        assert tf.get_variable("a", [], custom_getter=noted("_own")).name == "s/a_own:0"
        with tf.variable_scope("t", custom_getter=noted("_inner")):
            assert tf.get_variable("b", []).name == "s/t/b_inner_outer:0"
    assert log == ["_own", "_inner", "_outer"]


def test_a_divided_variable_is_shared_in_the_parts_that_it_has(graph):
    two, four = tf.fixed_size_partitioner(2), tf.fixed_size_partitioner(4)
    with tf.variable_scope("s"):
        made = tf.get_variable("v", [4], partitioner=two)
        with pytest.raises(ValueError, match="Partitioned variable with name s/v already exists"):
            tf.get_variable("v", [4], partitioner=two)
        with pytest.raises(ValueError, match="Partitioner must be callable, but received: 3"):
            tf.get_variable("w", [4], partitioner=3)
    with tf.variable_scope("s", reuse=True):
        assert list(tf.get_variable("v", [4], partitioner=two)) == list(made)
        with pytest.raises(ValueError, match=r"specified partitions \[4\] and found partitions \[2\]"):
            tf.get_variable("v", [4], partitioner=four)
    parts = tf.create_partitioned_variables([4, 2], [2, 1], tf.ones([4, 2]), name="parts")
    assert [(v.name, v.shape.as_list()) for v in parts] == [("parts/part_0:0", [2, 2]), ("parts/part_1:0", [2, 2])]
    with pytest.raises(ValueError, match="Can only slice a variable along one dimension"):
        tf.create_partitioned_variables([4, 2], [2, 2], tf.ones([4, 2]))


def test_modes_of_a_variable_are_checked(graph):
    with pytest.raises(ValueError, match="Invalid variable synchronization mode: x"):
        tf.Variable(1.0, synchronization="x")
    with pytest.raises(ValueError, match="Invalid variable aggregation mode: 7"):
        tf.Variable(1.0, aggregation=7)


def test_a_default_name_is_asked_for_as_it_is_by_the_name_scope(graph):
    with tf.variable_scope("o"):
        for _ in range(2):
            with tf.variable_scope("i"):
                pass
        with tf.variable_scope(None, "i") as scope:
            assert (scope.name, scope.original_name_scope) == ("o/i_1", "o/i_2/")


def test_a_value_that_initializes_a_variable_belongs_to_it(graph):
    v = tf.get_variable("v", initializer=[1.0, 2.0])
    assert v.initial_value.name == "v/initial_value:0"
    assert tf.get_variable("w", initializer=[1.0], dtype=tf.float64).dtype.base_dtype is tf.float64


def test_a_getter_of_a_scope_must_be_callable(graph):
    with tf.variable_scope("s", custom_getter=3), pytest.raises(ValueError, match="which is not callable: 3"):
        tf.get_variable("v", [])


def test_scopes_are_left_in_the_order_of_their_nesting(graph):
    outer, inner = tf.variable_scope("a"), tf.variable_scope("b")
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(RuntimeError, match="Improper nesting of variable_scope"):
        outer.__exit__(None, None, None)
    inner.__exit__(None, None, None)


def test_a_scope_is_a_class_that_checks_its_arguments_at_once(graph):
    with pytest.raises(TypeError, match="If default_name is None then name_or_scope is required"):
        tf.variable_scope(None)
    scope = tf.variable_scope("again")
    assert isinstance(scope, tf.variable_scope)
    for prefix in ("again/", "again_1/"):
        with scope as opened:
            assert (opened.name, opened.original_name_scope) == ("again", prefix)
    assert list(inspect.signature(tf.variable_scope).parameters)[:3] == ["name_or_scope", "default_name", "values"]


def test_local_variables_take_the_arguments_of_others(graph):
    one, other = (inspect.signature(f).parameters for f in (tf.get_variable, tf.get_local_variable))
    assert list(one) == list(other)
    assert {name for name in one if one[name].default != other[name].default} == {"trainable"}
    local = tf.get_local_variable("v", [2], tf.int32, tf.zeros_initializer(), None, True, ["mine"])
    assert tf.local_variables() == tf.get_collection("mine") == [local]
    assert tf.trainable_variables() == []


def test_a_shared_divided_variable_must_fit(graph):
    with tf.variable_scope("s", partitioner=tf.fixed_size_partitioner(2), reuse=tf.AUTO_REUSE) as scope:
        tf.get_variable("v", [4, 2])
        with pytest.raises(ValueError, match=r"partitioned variable s/v, but specified shape \(8, 2\) and found shape"):
            tf.get_variable("v", [8, 2])
    with (
        tf.variable_scope(scope, reuse=True),
        pytest.raises(ValueError, match="s/w does not exist"),
    ):
        tf.get_variable("w", [4, 2])


def test_a_constraint_is_of_one_scope_alone(graph):
    with tf.variable_scope("outer", constraint=abs, regularizer=tf.nn.l2_loss) as outer:
        assert tf.get_variable("v", [1]).constraint is abs
        with tf.variable_scope("inner") as inner:
            assert tf.get_variable("v", [1]).constraint is None
            assert inner.regularizer is tf.nn.l2_loss
    with tf.variable_scope(outer):
        assert tf.get_variable("w", [1]).constraint is None
    with tf.variable_scope(outer, constraint=abs):
        assert tf.get_variable("x", [1]).constraint is abs
