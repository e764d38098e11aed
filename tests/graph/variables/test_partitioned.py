"""Variables in parts, templates, creators, local variables, assignments to a part of a value."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from weftwork.graph.variables.partitioned import PartitionedVariable


def run(*fetches, feeds=None):
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        found = [session.run(f, feeds) for f in fetches]
    return found[0] if len(found) == 1 else found


def test_a_variable_in_parts_stands_for_the_whole(graph):
    whole = np.arange(10, dtype=np.float32).reshape(5, 2)
    with tf.variable_scope("model", partitioner=tf.fixed_size_partitioner(3)):
        w = tf.get_variable("w", initializer=whole)
    assert [v.name for v in w] == ["model/w/part_0:0", "model/w/part_1:0", "model/w/part_2:0"]
    assert [v.shape.as_list() for v in w] == [[2, 2], [2, 2], [1, 2]]
    assert (w.name, w.shape.as_list(), len(w)) == ("model/w", [5, 2], 3)
    assert tf.trainable_variables() == list(w)
    product, rows, one = run(
        tf.matmul(np.ones((1, 5), np.float32), w), tf.nn.embedding_lookup(w, [4, 0], "div"), w[3] + w[0]
    )
    assert product.tolist() == [[20, 25]]
    np.testing.assert_array_equal(rows, whole[[4, 0]])
    np.testing.assert_array_equal(one, whole[3] + whole[0])


def test_it_is_shared_by_name_and_trained_part_by_part(graph):
    make = {"shape": [4], "partitioner": tf.fixed_size_partitioner(2), "initializer": tf.ones_initializer()}
    w = tf.get_variable("w", **make)
    with pytest.raises(ValueError, match="already exists"):
        tf.get_variable("w", **make)
    with tf.variable_scope("", reuse=True):
        again = tf.get_variable("w", **make)
    assert list(again) == list(w)
    step = tf.train.GradientDescentOptimizer(0.5).minimize(tf.reduce_sum(w * [0.0, 1.0, 2.0, 3.0]), var_list=w)
    assert run(step, w.as_tensor())[0] is None
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(step)
        assert session.run(w.as_tensor()).tolist() == [1, 0.5, 0, -0.5]
        session.run(w.assign(np.float32([5, 6, 7, 8])))
        assert session.run(w.as_tensor()).tolist() == [5, 6, 7, 8]


def test_an_initializer_knows_which_part_it_makes(graph):
    seen = []

    def initializer(shape, dtype=None, partition_info=None):
        seen.append((list(shape), partition_info.full_shape, partition_info.var_offset))
        return tf.zeros(shape, dtype)

    tf.get_variable("w", [3, 5], initializer=initializer, partitioner=tf.fixed_size_partitioner(2, axis=1))
    assert seen == [([3, 3], [3, 5], [0, 0]), ([3, 2], [3, 5], [0, 3])]


@pytest.mark.parametrize(
    ("partitioner", "shape", "parts"),
    [
        (tf.fixed_size_partitioner(4), [3, 2], [3, 1]),
        (tf.variable_axis_size_partitioner(64, axis=1), [4, 16], [1, 4]),
        (tf.variable_axis_size_partitioner(64, axis=1, max_shards=3), [4, 16], [1, 3]),
        (tf.min_max_variable_partitioner(8, min_slice_size=100), [100, 1], [4, 1]),
        (tf.min_max_variable_partitioner(2, min_slice_size=100), [100, 1], [2, 1]),
    ],
)
def test_partitioners_say_how_many_parts_there_are(partitioner, shape, parts):
    assert partitioner(shape=tf.TensorShape(shape), dtype=tf.float32) == parts


def test_parts_that_do_not_fit_are_refused(graph):
    with pytest.raises(ValueError, match="Can only slice a variable along one dimension"):
        tf.get_variable("a", [4, 4], partitioner=lambda **_: [2, 2])
    with pytest.raises(ValueError, match="does not match the Variable's rank"):
        tf.get_variable("b", [4, 4], partitioner=lambda **_: [2])
    parts = tf.create_partitioned_variables([4, 2], [2, 1], tf.zeros_initializer(), name="c")
    assert [v.shape.as_list() for v in parts] == [[2, 2], [2, 2]]


def test_parts_are_saved_and_restored(graph, tmp_path):
    w = tf.get_variable("w", initializer=np.arange(4.0), partitioner=tf.fixed_size_partitioner(2))
    saver = tf.train.Saver({"whole": w})
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = saver.save(session, str(tmp_path / "model"))
        session.run(w.assign(np.zeros(4)))
        saver.restore(session, path)
        assert session.run(w.as_tensor()).tolist() == [0, 1, 2, 3]


# Parts of a value


def test_a_part_of_a_variable_is_assigned(graph):
    v = tf.Variable(np.arange(12).reshape(3, 4), name="v")
    at = tf.placeholder(tf.int32, [])
    whole = v[1:, 2].assign([7, 8])
    row = v[at].assign([0, 0, 0, 0])
    with tf.Session() as session:
        session.run(v.initializer)
        assert session.run(whole).tolist() == [[0, 1, 2, 3], [4, 5, 7, 7], [8, 9, 8, 11]]
        assert session.run(row, {at: 0}).tolist()[0] == [0, 0, 0, 0]
        assert session.run(v[1:, 2]).tolist() == [7, 8]
    with pytest.raises(ValueError, match=r"has shape \(4,\), but the value"):
        v[0].assign([1, 2])
    assert not hasattr(tf.constant([1, 2])[0], "assign")
    value = tf.placeholder(tf.int64)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Must have the shape of the slice"):
        run(v[0].assign(value), feeds={value: [1, 2]})


def test_elements_are_set_batch_by_batch(graph):
    v = tf.Variable([[1, 2, 3], [4, 5, 6]])
    assert run(tf.batch_scatter_update(v, [[0], [2]], [[9], [8]])).tolist() == [[9, 2, 3], [4, 5, 8]]
    assert run(v.scatter_nd_update([[1, 1]], [7])).tolist() == [[1, 2, 3], [4, 7, 6]]


# Templates, creators, local variables


def test_a_template_shares_its_variables_from_the_second_call_on(graph):
    def layer(x, units):
        return x * tf.get_variable("w", [units], initializer=tf.ones_initializer())

    layer = tf.make_template("layer", layer, units=2)
    other = tf.make_template("layer", lambda x: x * tf.get_variable("w", [1]))
    first, second = layer(2.0), layer(3.0)
    other(1.0)
    assert [v.name for v in tf.trainable_variables()] == ["layer/w:0", "layer_1/w:0"]
    assert [v.name for v in layer.trainable_variables] == ["layer/w:0"] == [v.name for v in layer.variables]
    assert layer.variable_scope.name == "layer"
    assert [f.tolist() for f in run(first, second)] == [[2, 2], [3, 3]]


def test_a_template_that_makes_variables_again_is_an_error(graph):
    template = tf.make_template("t", lambda: tf.Variable(1.0))
    template()
    with pytest.raises(ValueError, match="Trainable variable created when calling a template after the first time"):
        template()


def test_a_creator_sees_and_changes_what_variables_are_made_of(graph):
    seen = []

    def outer(next_creator, **kwargs):
        seen.append(("outer", kwargs["name"]))
        return next_creator(**kwargs)

    def inner(next_creator, **kwargs):
        seen.append(("inner", kwargs["name"]))
        return next_creator(**{**kwargs, "trainable": False})

    with tf.variable_creator_scope(outer), tf.variable_creator_scope(inner):
        v = tf.Variable(1.0, name="a")
        tf.get_variable("b", [])
        with tf.Graph().as_default():
            tf.Variable(1.0, name="elsewhere")
    tf.Variable(2.0, name="c")
    assert seen == [("inner", "a"), ("outer", "a"), ("inner", "b"), ("outer", "b")]
    assert not v.trainable
    assert [v.name for v in tf.trainable_variables()] == ["c:0"]


def test_a_local_variable_is_neither_saved_nor_trained(graph):
    v = tf.get_local_variable("count", [], initializer=tf.zeros_initializer())
    assert tf.local_variables() == [v]
    assert tf.global_variables() == tf.trainable_variables() == []


def test_what_copies_would_do_is_accepted(graph):
    v = tf.get_variable(
        "v", [], use_resource=True, trainable=None,
        synchronization=tf.VariableSynchronization.ON_READ, aggregation=tf.VariableAggregation.SUM,
    )  # fmt: skip
    assert not v.trainable
    assert (v.synchronization.name, v.aggregation.name) == ("ON_READ", "SUM")
    with pytest.raises(ValueError, match="ON_READ only for non-trainable"):
        tf.Variable(1.0, trainable=True, synchronization=tf.VariableSynchronization.ON_READ)
    assert {v.experimental_ref(): 1}[v.experimental_ref()] == 1
    assert v.experimental_ref().deref() is v


def test_what_is_made_in_an_init_scope_waits_for_nothing(graph):
    first = tf.no_op()
    with tf.control_dependencies([first]):
        with tf.init_scope():
            free = tf.no_op()
        bound = tf.no_op()
    assert (free.control_inputs, bound.control_inputs) == ([], [first])


def test_variables_take_turns_on_the_parameter_servers(graph):
    cluster = tf.train.ClusterSpec({"ps": ["a:1", "b:1"], "worker": ["c:1"]})
    with tf.device(tf.train.replica_device_setter(cluster=cluster, worker_device="/job:worker/task:0")):
        made = [tf.Variable(1.0) for _ in range(3)]
        total = made[0] + made[1]
    assert [v.device for v in made] == ["/job:ps/task:0", "/job:ps/task:1", "/job:ps/task:0"]
    assert total.device == "/job:worker/task:0"
    assert tf.train.replica_device_setter(0) is None


def test_a_part_knows_which_slice_of_the_whole_it_is(graph):
    w = tf.get_variable("w", [5, 3], partitioner=tf.fixed_size_partitioner(2))
    assert [part._save_slice_info.spec for part in w] == ["5 3 0,3:0,3", "5 3 3,2:0,3"]
    assert [part._save_slice_info.full_name for part in w] == ["w", "w"]
    again = tf.Variable.from_proto(list(w)[1].to_proto())
    assert again._save_slice_info.spec == "5 3 3,2:0,3"
    listed = tf.create_partitioned_variables([4], [2], tf.ones_initializer(), name="listed")
    assert [part.name for part in listed] == ["listed/part_0:0", "listed/part_1:0"]


def test_an_inner_scope_of_another_job_takes_no_turn_of_the_servers(graph):
    with tf.device(tf.train.replica_device_setter(ps_tasks=2)):
        first = tf.Variable(1.0)
        with tf.device("/job:other/cpu:0"):
            away = tf.Variable(1.0)
        second = tf.Variable(1.0)
    assert [v.device for v in (first, away, second)] == ["/job:ps/task:0", "/job:other/device:CPU:0", "/job:ps/task:1"]


def test_the_whole_is_named_after_the_variable(graph):
    v = tf.get_variable("v", [4], partitioner=tf.fixed_size_partitioner(2))
    assert v.as_tensor().name == "v:0"


def test_a_partitioner_returns_a_sequence(graph):
    with pytest.raises(ValueError, match="Partitioner must return a sequence, but saw: 2"):
        tf.get_variable("v", [4], partitioner=lambda **_: 2)


def test_parts_are_shared_without_a_partitioner_and_not_taken_for_something_else(graph):
    halves = tf.fixed_size_partitioner(2)
    with tf.variable_scope("s"):
        whole = tf.get_variable("whole", [4])
        parts = tf.get_variable("parts", [4], partitioner=halves)
        one = tf.get_variable("one", [], partitioner=halves)
    with tf.variable_scope("s", reuse=True):
        assert tf.get_variable("parts") is parts
        assert tf.get_variable("one", [], partitioner=halves) is one
        with pytest.raises(ValueError, match="an unpartitioned version of the variable was found: s/whole"):
            tf.get_variable("whole", [4], partitioner=halves)
    assert whole.shape.as_list() == [4]
    with tf.variable_scope("s"), pytest.raises(ValueError, match="a partitioned version .* was found: s/parts/part_0"):
        tf.get_variable("parts", [4])


def part(number: int, start: int, full: list[int]) -> tf.Variable:
    made = tf.Variable([number])
    made._set_save_slice_info(tf.Variable.SaveSliceInfo(made.name, full, [start], [1]))
    return made


def test_parts_may_come_in_any_order_and_must_make_up_the_whole(graph):
    first, second = part(0, 0, [2]), part(1, 1, [2])

    def whole(shape, parts, partitions):
        return PartitionedVariable("w", shape, tf.int32, parts, partitions)

    made = whole([2], [second, first], [2])
    assert list(made) == [first, second]
    assert made._partition_axes() == [0]
    assert run(made.as_tensor()).tolist() == [0, 1]
    for arguments, text in [
        (([2], [], [1]), "may not be empty"),
        (([1], [tf.Variable([0])], [1]), "must have a save_slice_info"),
        (([3], [first, second], [2]), "full shapes must match"),
        (([2], [first, second], [0]), "must be positive"),
        (([2, 1], [first, second], [2]), r"len\(shape\) != len\(partitions\)"),
    ]:
        with pytest.raises(ValueError, match=text):
            whole(*arguments)
