"""tf.contrib: layers and their scopes, arg_scope, regularizers, one step of training, sequences, HParams."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from weftwork.contrib import slim

layers, framework = tf.contrib.layers, tf.contrib.framework


def run(fetches, feeds=None):
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        return session.run(fetches, feeds)


# Layers


def test_a_fully_connected_layer_has_weights_and_biases_of_the_model(graph):
    x = np.float32([[1, -2], [3, 4]])
    y = layers.fully_connected(x, 3, weights_initializer=tf.ones_initializer())
    layers.fully_connected(y, 1, activation_fn=None, scope="last")
    names = [v.name for v in tf.model_variables()]
    assert names == ["fully_connected/weights:0", "fully_connected/biases:0", "last/weights:0", "last/biases:0"]
    assert tf.trainable_variables() == tf.model_variables()
    assert run(y).tolist() == [[0, 0, 0], [7, 7, 7]]
    assert layers.linear(np.zeros((2, 3, 4), np.float32), 5).shape.as_list() == [2, 3, 5]
    with pytest.raises(ValueError, match="last dimension .* should be defined"):
        layers.fully_connected(tf.placeholder(tf.float32, [None, None]), 3)


def test_convolutions_pools_and_their_names(graph):
    x = tf.placeholder(tf.float32, [None, 8, 8, 3])
    y = layers.conv2d(x, 4, 3, normalizer_fn=layers.batch_norm)
    y = layers.max_pool2d(y, 2)
    y = layers.conv2d(y, 6, [3, 3], stride=2, padding="VALID", rate=1, scope="second")
    assert y.shape.as_list() == [None, 1, 1, 6]
    up = layers.conv2d_transpose(y, 2, 4, stride=2, padding="VALID")
    assert run(tf.shape(up), {x: np.zeros((2, 8, 8, 3))}).tolist() == [2, 4, 4, 2]
    deep = layers.separable_conv2d(x, 5, 3, depth_multiplier=2)
    assert deep.shape.as_list() == [None, 8, 8, 5]
    assert [v.op.name for v in tf.trainable_variables()] == [
        *("Conv/weights", "Conv/BatchNorm/beta", "second/weights", "second/biases"),
        *("Conv2d_transpose/weights", "Conv2d_transpose/biases"),
        *("SeparableConv2d/depthwise_weights", "SeparableConv2d/pointwise_weights", "SeparableConv2d/biases"),
    ]
    assert layers.flatten(x).shape.as_list() == [None, 192]
    assert layers.avg_pool2d(x, 2, stride=1, padding="SAME").shape.as_list() == [None, 8, 8, 3]
    assert layers.conv1d(tf.zeros([2, 9, 3]), 4, 3).shape.as_list() == [2, 9, 4]
    with pytest.raises(ValueError, match="expects input with rank 4, got 3"):
        layers.conv2d(tf.zeros([2, 9, 3]), 4, 3)


@pytest.mark.parametrize("at_once", [False, True])
def test_batch_norm_moves_its_averages(graph, at_once):
    x = np.float32([[1.0, 10.0], [3.0, 30.0]])
    y = layers.batch_norm(x, decay=0.5, scale=True, updates_collections=None if at_once else tf.GraphKeys.UPDATE_OPS)
    assert [v.op.name for v in tf.model_variables()] == [
        f"BatchNorm/{word}" for word in ("gamma", "beta", "moving_mean", "moving_variance")
    ]
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    assert len(updates) == (0 if at_once else 2)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        np.testing.assert_allclose(session.run([y, updates])[0], [[-1, -1], [1, 1]], atol=1e-2)
        assert session.run(tf.global_variables()[2]).tolist() == [1, 10]
    fixed = layers.batch_norm(x, is_training=False, scope="fixed", epsilon=0.0)
    np.testing.assert_allclose(run(fixed), x)


def test_other_layers(graph):
    x = np.random.default_rng(0).random((2, 3, 4)).astype(np.float32)
    normal = run(layers.layer_norm(x))
    np.testing.assert_allclose(normal.mean((1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(run(layers.unit_norm(x, 2)), axis=2), 1, rtol=1e-5)
    assert run(layers.one_hot_encoding([1, 0], 3)).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert run(layers.dropout(x, is_training=False)).tolist() == x.tolist()
    assert set(np.unique(run(layers.dropout(np.ones(100, np.float32), 0.5)))) == {0, 2}
    assert layers.embed_sequence([[1, 2]], vocab_size=5, embed_dim=3).shape.as_list() == [1, 2, 3]
    layers.stack(x[0], layers.fully_connected, [5, 6], scope="fc")
    layers.repeat(x[0], 2, layers.fully_connected, 4, scope="again")
    names = {v.op.name for v in tf.model_variables()}
    assert {"fc/fc_1/weights", "fc/fc_2/biases", "again/again_2/weights"} <= names


def test_initializers_have_the_variance_of_their_fans(graph):
    draws = run([
        layers.xavier_initializer()([300, 100]),
        layers.xavier_initializer(uniform=False)([300, 100]),
        layers.variance_scaling_initializer()([300, 100]),
        layers.variance_scaling_initializer(1.0, "FAN_OUT", uniform=True)([300, 100]),
    ])  # fmt: skip
    wanted = [2 / 400, 2 / 400, 2 / 300, 1 / 100]
    np.testing.assert_allclose([d.var() for d in draws], wanted, rtol=0.1)


# arg_scope


def test_functions_have_other_defaults_inside_a_scope(graph):
    with framework.arg_scope([layers.conv2d, layers.fully_connected], activation_fn=None) as outer:
        with framework.arg_scope([layers.conv2d], stride=2, padding="VALID"):
            assert layers.conv2d(tf.zeros([1, 8, 8, 1]), 2, 2).op.type == "BiasAdd"
            assert layers.conv2d(tf.zeros([1, 8, 8, 1]), 2, 2).shape.as_list() == [1, 4, 4, 2]
            assert layers.conv2d(tf.zeros([1, 8, 8, 1]), 2, 2, stride=1).shape.as_list() == [1, 7, 7, 2]
        assert layers.conv2d(tf.zeros([1, 8, 8, 1]), 2, 2).shape.as_list() == [1, 8, 8, 2]
    assert layers.fully_connected(tf.zeros([1, 2]), 2).op.type == "Relu"
    with slim.arg_scope(outer):
        assert slim.fully_connected(tf.zeros([1, 2]), 2).op.type == "BiasAdd"
    with pytest.raises(ValueError, match="not decorated"), framework.arg_scope([tf.nn.relu], name="x"):
        pass

    @framework.add_arg_scope
    def mine(a, b=1):
        return a + b

    with framework.arg_scope([mine], b=5):
        assert mine(1) == 6


def test_variables_are_found_by_scope_name_and_suffix(graph):
    layers.fully_connected(tf.zeros([1, 2]), 2, scope="a")
    layers.fully_connected(tf.zeros([1, 2]), 2, scope="b")
    assert [v.op.name for v in framework.get_variables("a")] == ["a/weights", "a/biases"]
    assert [v.op.name for v in framework.get_variables_by_suffix("weights")] == ["a/weights", "b/weights"]
    assert [v.op.name for v in framework.get_variables_by_name("biases")] == ["a/biases", "b/biases"]
    assert [v.op.name for v in framework.get_variables_to_restore(exclude=["a"])] == ["b/weights", "b/biases"]
    assert framework.get_unique_variable("b/biases").op.name == "b/biases"
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        framework.assign_from_values_fn({"a/biases": np.float32([3, 4])})(session)
        assert session.run(framework.get_unique_variable("a/biases")).tolist() == [3, 4]


def test_variables_are_given_the_values_of_a_checkpoint(graph, tmp_path):
    a, b = tf.Variable([1.0], name="a"), tf.Variable([2.0], name="b")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver([a]).save(session, str(tmp_path / "model"))
        session.run([a.assign([5.0]), b.assign([6.0])])
        framework.assign_from_checkpoint_fn(path, [a, b], ignore_missing_vars=True)(session)
        assert session.run([a, b]) == [[1], [6]]
    assert framework.assign_from_checkpoint_fn(path, [b], ignore_missing_vars=True) is None


# Regularizers and training


def test_regularizers_go_into_their_collection(graph):
    w = np.float32([[3, -4]])
    layers.fully_connected(
        w, 1, weights_initializer=tf.ones_initializer(), weights_regularizer=layers.l2_regularizer(0.5)
    )
    assert run(tf.losses.get_regularization_losses()) == [0.5]
    values = [layers.l1_regularizer(0.1)(w), layers.l2_regularizer(0.1)(w), layers.l1_l2_regularizer(0.1, 0.1)(w)]
    np.testing.assert_allclose(run(values), [0.7, 1.25, 1.95], rtol=1e-6)
    assert layers.l2_regularizer(0.0)(w) is None
    with pytest.raises(ValueError, match="less than 0"):
        layers.l2_regularizer(-1.0)
    with pytest.raises(ValueError, match="cannot be an integer"):
        layers.l1_regularizer(1)


@pytest.mark.parametrize(
    "optimizer", ["SGD", tf.train.GradientDescentOptimizer, tf.train.GradientDescentOptimizer(0.1)]
)
def test_optimize_loss_is_one_step_that_gives_the_loss(graph, optimizer):
    w = tf.Variable([1.0, 2.0])
    step = tf.train.get_or_create_global_step()
    train = layers.optimize_loss(tf.reduce_sum(w**2), step, 0.1, optimizer, clip_gradients=100.0, summaries=[])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(train) == 5
        np.testing.assert_allclose(session.run(w), [0.8, 1.6])
        assert session.run(step) == 1


def test_what_does_not_fit_optimize_loss_is_refused(graph):
    w = tf.Variable([1.0, 2.0])
    loss = tf.reduce_sum(w)
    for message, kwargs in (
        ("Optimizer name should be one of", {"optimizer": "Best"}),
        ("Loss must be a scalar", {"loss": w}),
        ("Invalid learning_rate", {"learning_rate": -1.0}),
        ("Unrecognized optimizer", {"optimizer": 3}),
        ("global_step is required", {"learning_rate_decay_fn": lambda rate, step: rate}),
    ):
        given = {"loss": loss, "global_step": None, "learning_rate": 0.1, "optimizer": "SGD", **kwargs}
        with pytest.raises(ValueError, match=message):
            layers.optimize_loss(**given)


def test_a_train_op_runs_the_updates_and_counts(graph):
    moved = tf.Variable(0.0, trainable=False)
    tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, moved.assign_add(1.0))
    w = tf.Variable([3.0])
    train = tf.contrib.training.create_train_op(
        tf.reduce_sum(w**2), tf.train.GradientDescentOptimizer(1.0), clip_gradient_norm=2
    )
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(train) == 9
        assert session.run([w, moved, tf.train.get_global_step()]) == [[1], 1, 1]


# Sequences, measures


def test_the_loss_of_sequences_is_weighted(graph):
    logits = np.log(np.float32([[[0.5, 0.5], [0.9, 0.1]], [[0.2, 0.8], [0.5, 0.5]]]))
    targets, weights = np.array([[0, 0], [1, 1]]), np.float32([[1, 1], [1, 0]])
    each = -np.log([[0.5, 0.9], [0.8, 0.5]]) * weights
    loss = tf.contrib.seq2seq.sequence_loss
    assert run(loss(logits, targets, weights)) == pytest.approx(each.sum() / 3)
    np.testing.assert_allclose(
        run(loss(logits, targets, weights, average_across_timesteps=False)), each.sum(0) / [2, 1], rtol=1e-5
    )
    kept = run(loss(logits, targets, weights, average_across_timesteps=False, average_across_batch=False))
    np.testing.assert_allclose(kept, each, rtol=1e-5)
    legacy = tf.contrib.legacy_seq2seq
    lists = [[t[:, 0], t[:, 1]] for t in (logits, targets, weights)]
    np.testing.assert_allclose(run(legacy.sequence_loss_by_example(*lists)), each.sum(1) / [2, 1], rtol=1e-5)
    assert run(legacy.sequence_loss(*lists)) == pytest.approx((each.sum(1) / [2, 1]).mean())
    with pytest.raises(ValueError, match="Logits must be a 3-D tensor"):
        loss(logits[0], targets, weights)


def test_cells_around_cells(graph):
    rnn = tf.contrib.rnn
    x = np.float32(np.random.default_rng(0).random((2, 3, 4)))
    cells = [[rnn.GRUCell(5), rnn.GRUCell(6)] for _ in range(2)]
    outputs, ahead, back = rnn.stack_bidirectional_dynamic_rnn(*cells, x, dtype=tf.float32)
    assert outputs.shape.as_list() == [2, 3, 12]
    assert [s.shape.as_list() for s in (*ahead, *back)] == [[2, 5], [2, 6], [2, 5], [2, 6]]
    wide, _ = tf.nn.dynamic_rnn(rnn.OutputProjectionWrapper(rnn.BasicRNNCell(3), 7), x, dtype=tf.float32)
    rows, _ = rnn.static_rnn(rnn.EmbeddingWrapper(rnn.BasicRNNCell(3), 9, 4), [np.array([1, 2])], dtype=tf.float32)
    assert run(wide).shape == (2, 3, 7)
    assert run(rows[0]).shape == (2, 3)
    outputs, _ = tf.contrib.legacy_seq2seq.rnn_decoder(
        [x[:, 0], None], tf.zeros([2, 4]), rnn.BasicRNNCell(4), loop_function=lambda before, step: before * 2
    )
    assert run(outputs[1]).shape == (2, 4)


def test_measures_take_the_predictions_first(graph):
    right = tf.contrib.metrics.accuracy([1, 2, 3], [1, 2, 0])
    value, update = tf.contrib.metrics.streaming_accuracy([1, 2, 3], [1, 2, 0])
    loss = slim.losses.softmax_cross_entropy(np.float32([[0, 0]]), [[1, 0]])
    assert run([right, update]) == pytest.approx([2 / 3, 2 / 3])
    assert run(loss) == pytest.approx(np.log(2))
    values, updates = slim.losses.get_losses(), tf.contrib.metrics.aggregate_metric_map({"a": (value, update)})
    assert values == [loss]
    assert updates == ({"a": value}, {"a": update})


def test_hparams_keep_their_types():
    params = tf.contrib.training.HParams(rate=0.1, layers=[1, 2], name="a", deep=True, steps=3)
    params.parse("rate=1e-3,layers=[4,5,6], name=b,deep=false")
    assert params.values() == {"rate": 0.001, "layers": [4, 5, 6], "name": "b", "deep": False, "steps": 3}
    params.steps = 7.0
    params.override_from_dict({"rate": 1})
    assert (params.steps, params.rate, type(params.rate)) == (7, 1.0, float)
    assert "rate" in params
    assert params.get("missing", 4) == 4
    assert tf.contrib.training.HParams(**params.values()).to_json() == params.to_json()
    for wrong in (
        lambda: params.set_hparam("steps", "many"),
        lambda: params.parse("steps=many"),
        lambda: params.parse("layers=1"),
        lambda: params.parse("other=1"),
        lambda: params.parse("rate:1"),
        lambda: params.add_hparam("rate", 1),
        lambda: params.set_hparam("rate", [1.0]),
    ):
        with pytest.raises(ValueError, match="hyperparameter|hparam|Could not|parameter"):
            wrong()


# What is not included


@pytest.mark.parametrize("name", ["keras", "estimator", "GradientTape", "enable_eager_execution", "distribute", "lite"])
def test_an_error_says_what_is_not_included_and_what_to_use(name):
    with pytest.raises(AttributeError, match=f"no attribute '{name}': .*(included|no eager)"):
        getattr(tf, name)
    with pytest.raises(AttributeError, match="tf.contrib.learn is not included"):
        _ = tf.contrib.learn


def test_smart_cond_chooses_a_branch_early_if_it_can(graph):
    smart_cond = tf.contrib.framework.smart_cond
    assert smart_cond(True, lambda: "yes", lambda: "no") == "yes"
    assert smart_cond(0, lambda: "yes", lambda: "no") == "no"
    assert smart_cond(tf.constant(False), lambda: "yes", lambda: "no") == "no"
    p = tf.placeholder(tf.bool, [])
    chosen = smart_cond(p, lambda: tf.constant(1), lambda: tf.constant(2))
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        assert [session.run(chosen, {p: value}) for value in (True, False)] == [1, 2]
    assert tf.contrib.framework.smart_constant_value(p) is None
    with pytest.raises(TypeError, match="`pred` must be a Tensor, or a Python bool, or 1 or 0. Found instead: 5"):
        smart_cond(5, lambda: 1, lambda: 2)
    with pytest.raises(TypeError, match="`true_fn` must be callable"):
        smart_cond(True, 1, lambda: 2)
