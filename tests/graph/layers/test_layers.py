"""Layers against formulas in NumPy, and how their variables are named, shared and trained."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest

import weftwork as tf

RNG = np.random.default_rng(0)


def run(fetches, feed_dict=None, values=None):
    """The fetches in a fresh session, after the variables got their initial values, or those given by name."""
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for variable in tf.global_variables():
            if values and variable.op.name in values:
                variable.load(values[variable.op.name], session)
        return session.run(fetches, feed_dict)


def names():
    return [v.name for v in tf.global_variables()]


def numeric_gradient(session, loss, variable, feeds, step=1e-2):
    """Central differences of a scalar by each element of a variable."""
    value = session.run(variable)
    out = np.zeros_like(value)
    for index in np.ndindex(value.shape):
        sides = []
        for sign in (1, -1):
            moved = value.copy()
            moved[index] += sign * step
            variable.load(moved, session)
            sides.append(session.run(loss, feeds))
        out[index] = (sides[0] - sides[1]) / (2 * step)
    variable.load(value, session)
    return out


# Dense


def test_dense_is_an_affine_map_and_an_activation(graph):
    x = tf.placeholder(tf.float32, [None, 3])
    y = tf.layers.dense(x, 4, tf.nn.relu)
    assert names() == ["dense/kernel:0", "dense/bias:0"]
    assert (y.name, y.shape.as_list(), y.dtype) == ("dense/Relu:0", [None, 4], tf.float32)
    given, kernel, bias = RNG.normal(size=(5, 3)), RNG.normal(size=(3, 4)), RNG.normal(size=4)
    value = run(y, {x: given}, {"dense/kernel": kernel, "dense/bias": bias})
    np.testing.assert_allclose(value, np.maximum(given @ kernel + bias, 0), rtol=1e-5, atol=1e-6)


def test_dense_begins_with_glorot_uniform_kernels_and_zero_biases(graph):
    tf.layers.dense(tf.zeros([1, 200]), 300)
    kernel, bias = run(tf.global_variables())
    limit = np.sqrt(6 / 500)
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    assert abs(kernel.std() - limit / np.sqrt(3)) < 0.01 * limit
    assert not bias.any()


def test_dense_works_on_the_last_axis_of_higher_ranks(graph):
    x = tf.placeholder(tf.float64, [None, 2, 3])
    y = tf.layers.dense(x, 4, use_bias=False)
    assert (names(), y.shape.as_list(), y.dtype) == (["dense/kernel:0"], [None, 2, 4], tf.float64)
    given, kernel = RNG.normal(size=(5, 2, 3)), RNG.normal(size=(3, 4))
    np.testing.assert_allclose(run(y, {x: given}, {"dense/kernel": kernel}), given @ kernel)


def test_an_activation_may_be_named(graph):
    assert tf.layers.dense(tf.zeros([1, 2]), 3, activation="relu").op.type == "Relu"
    assert tf.layers.dense(tf.zeros([1, 2]), 3, activation="linear").op.type == "BiasAdd"
    with pytest.raises(ValueError, match="Unknown activation function: rely"):
        tf.layers.dense(tf.zeros([1, 2]), 3, activation="rely")


# Sharing


def test_a_layer_that_is_called_again_shares_its_variables(graph):
    layer = tf.layers.Dense(2)
    assert not layer.built
    first, second = layer(tf.ones([1, 3])), layer(tf.zeros([4, 3]) + 1)
    assert names() == ["dense/kernel:0", "dense/bias:0"]
    assert layer.weights == layer.trainable_variables == [layer.kernel, layer.bias] == tf.global_variables()
    assert (second.op.name, layer.scope_name, layer.name) == ("dense/BiasAdd_1", "dense", "dense")
    a, b = run([first, second])
    np.testing.assert_allclose(np.repeat(a, 4, axis=0), b, rtol=1e-6)


def test_layers_without_a_name_have_variables_of_their_own(graph):
    x = tf.zeros([1, 3])
    tf.layers.dense(tf.layers.dense(x, 3), 3)
    tf.layers.Dense(2, name="a")(x)
    tf.layers.Dense(2, name="a")(x)
    assert [v.op.name for v in tf.global_variables()[::2]] == [
        "dense/kernel",
        "dense_1/kernel",
        "a/kernel",
        "a_1/kernel",
    ]


def test_a_name_is_shared_only_where_reuse_says_so(graph):
    x = tf.zeros([1, 3])
    tf.layers.dense(x, 4, name="a")
    with pytest.raises(ValueError, match="Variable a/kernel already exists, disallowed"):
        tf.layers.dense(x, 4, name="a")
    tf.layers.dense(x, 4, name="a", reuse=True)
    tf.layers.dense(x, 4, name="a", reuse=tf.AUTO_REUSE)
    with pytest.raises(ValueError, match="Trying to share variable a/kernel, but specified shape"):
        tf.layers.dense(x, 5, name="a", reuse=True)
    with pytest.raises(ValueError, match="Variable b/kernel does not exist"):
        tf.layers.dense(x, 4, name="b", reuse=True)
    with tf.variable_scope("outer", reuse=tf.AUTO_REUSE):
        tf.layers.dense(x, 4, name="a")
        tf.layers.dense(x, 4, name="a")
    assert names() == ["a/kernel:0", "a/bias:0", "outer/a/kernel:0", "outer/a/bias:0"]


def test_layers_without_a_name_are_shared_where_their_scope_is_entered_again(graph):
    def model(x):
        return tf.layers.dense(tf.layers.dense(x, 3), 1)

    with tf.variable_scope("model"):
        model(tf.zeros([1, 2]))
    with tf.variable_scope("model", reuse=True):
        model(tf.ones([5, 2]))
    kernels = [name for name in names() if "kernel" in name]
    assert kernels == ["model/dense/kernel:0", "model/dense_1/kernel:0"]


def test_a_layers_own_class_is_a_layer(graph):
    class Scale(tf.layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight("factor", [input_shape.as_list()[-1]], initializer=tf.ones_initializer())
            self.still = self.add_weight("still", [], initializer=tf.zeros_initializer(), trainable=False)

        def call(self, inputs, power=1):
            return inputs * self.factor**power

    layer = Scale()
    y = layer([[1.0, 2.0]], power=2)
    assert names() == ["scale/factor:0", "scale/still:0"]
    assert layer.trainable_weights == tf.trainable_variables() == [layer.factor]
    assert layer.non_trainable_weights == [layer.still]
    assert run(y, values={"scale/factor": [3.0, 5.0]}).tolist() == [[9.0, 50.0]]


def test_regularizers_put_their_losses_into_the_collection(graph):
    x = tf.ones([2, 3])
    options = {"kernel_regularizer": tf.nn.l2_loss, "activity_regularizer": lambda y: tf.reduce_sum(y) * 0.5}
    layer = tf.layers.Dense(2, kernel_initializer=tf.ones_initializer(), use_bias=False, **options)
    layer(x)
    layer(x)
    assert layer.losses == tf.losses.get_regularization_losses()
    assert run(layer.losses) == [3.0, 6.0, 6.0]  # the kernel's once, the activity's for each call


def test_a_layer_may_be_kept_from_training(graph):
    layer = tf.layers.Dense(2, trainable=False)
    layer(tf.ones([2, 3]))
    assert (tf.trainable_variables(), layer.trainable_weights, len(layer.non_trainable_weights)) == ([], [], 2)


# Images


def test_conv2d_sums_over_windows_and_channels(graph):
    x = tf.placeholder(tf.float32, [None, 5, 6, 2])
    y = tf.layers.conv2d(x, 3, (2, 3), strides=(2, 1), activation=tf.nn.tanh)
    assert names() == ["conv2d/kernel:0", "conv2d/bias:0"]
    assert y.shape.as_list() == [None, 2, 4, 3]
    given, kernel, bias = RNG.normal(size=(2, 5, 6, 2)), RNG.normal(size=(2, 3, 2, 3)), RNG.normal(size=3)
    wanted = np.zeros((2, 2, 4, 3))
    for i, j in np.ndindex(2, 4):
        wanted[:, i, j] = np.einsum("bhwc,hwco->bo", given[:, 2 * i : 2 * i + 2, j : j + 3], kernel) + bias
    value = run(y, {x: given}, {"conv2d/kernel": kernel, "conv2d/bias": bias})
    np.testing.assert_allclose(value, np.tanh(wanted), rtol=1e-4, atol=1e-5)


def test_same_padding_keeps_the_size_and_the_kernels_begin_as_glorot_says(graph):
    y = tf.layers.conv2d(tf.ones([1, 7, 7, 64]), 64, 3, padding="same")
    assert y.shape.as_list() == [1, 7, 7, 64]
    kernel, bias = run(tf.global_variables())
    limit = np.sqrt(6 / (9 * 128))
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    assert not bias.any()


def test_poolings_take_the_largest_and_the_mean_of_each_window(graph):
    given = RNG.normal(size=(2, 4, 6, 3)).astype(np.float32)
    windows = given.reshape(2, 2, 2, 2, 3, 3)
    largest = tf.layers.max_pooling2d(given, 2, 2)
    means = tf.layers.average_pooling2d(given, (2, 3), (2, 3))
    a, b = run([largest, means])
    np.testing.assert_array_equal(a, given.reshape(2, 2, 2, 3, 2, 3).max(axis=(2, 4)))
    np.testing.assert_allclose(b, windows.mean(axis=(2, 4)), rtol=1e-5, atol=1e-6)
    assert (largest.op.name, means.op.name) == ("max_pooling2d/MaxPool", "average_pooling2d/AvgPool")


@pytest.mark.parametrize(
    ("static", "known"), [([None, 2, 3], [None, 6]), ([4, None, 3], [4, None]), ([None, None, 3], [None, None])]
)
def test_flatten_joins_all_axes_but_the_first(graph, static, known):
    x = tf.placeholder(tf.float32, static)
    y = tf.layers.flatten(x)
    assert y.shape.as_list() == known
    given = RNG.normal(size=(4, 2, 3)).astype(np.float32)
    np.testing.assert_array_equal(run(y, {x: given}), given.reshape(4, 6))
    if static[0] is None:
        assert run(y, {x: given[:0]}).shape == (0, 6)


def test_arguments_that_do_not_fit_are_refused(graph):
    with pytest.raises(ValueError, match="last dimension of the inputs to `Dense` should be defined. Found `None`."):
        tf.layers.dense(tf.placeholder(tf.float32, [3, None]), 2)
    with pytest.raises(ValueError, match="expected min_ndim=2, found ndim=1"):
        tf.layers.dense(tf.zeros([3]), 2)
    with pytest.raises(ValueError, match="should have known rank"):
        tf.layers.dense(tf.placeholder(tf.float32), 2)
    with pytest.raises(TypeError, match="non-floating point dtype int32"):
        tf.layers.dense(tf.zeros([3, 3], tf.int32), 2)
    with pytest.raises(ValueError, match="expected ndim=4, found ndim=5"):
        tf.layers.conv2d(tf.zeros([1] * 5), 2, 3)
    with pytest.raises(ValueError, match='`padding` argument must be one of "valid", "same". Received: full'):
        tf.layers.conv2d(tf.zeros([1, 4, 4, 1]), 2, 3, padding="full")
    with pytest.raises(ValueError, match="`kernel_size` argument must be a tuple of 2 integers. Received:"):
        tf.layers.conv2d(tf.zeros([1, 4, 4, 1]), 2, (1, 2, 3))
    with pytest.raises(ValueError, match="Images are channels_last"):
        tf.layers.max_pooling2d(tf.zeros([1, 4, 4, 1]), 2, 2, data_format="channels_first")
    with pytest.raises(ValueError, match="Invalid axis: 2"):
        tf.layers.batch_normalization(tf.zeros([3, 3]), axis=2)


# Dropout


def test_dropout_does_nothing_unless_it_trains(graph):
    x = np.ones((200, 50), np.float32)
    training = tf.placeholder(tf.bool, [])
    never, always = tf.layers.dropout(x, 0.25), tf.layers.dropout(x, 0.25, training=True)
    fed = tf.layers.dropout(x, 0.25, training=training)
    off = run([never, always, fed], {training: False})
    on = run(fed, {training: True})
    np.testing.assert_array_equal(off[0], x)
    np.testing.assert_array_equal(off[2], x)
    for value in (off[1], on):
        assert set(np.unique(value)) == {np.float32(0), np.float32(1 / 0.75)}
        assert abs((value == 0).mean() - 0.25) < 0.03


def test_dropouts_noise_may_be_shared_along_axes(graph):
    x = tf.placeholder(tf.float32, [None, 40, 3])
    y = run(tf.layers.dropout(x, 0.5, noise_shape=[None, 40, 1], training=True), {x: np.ones((20, 40, 3))})
    assert (y == y[:, :, :1]).all()
    assert 0 < (y == 0).mean() < 1
    assert (y[0] != y[1]).any()


# Batch normalization


def normalized(x, mean, variance, gamma, beta, epsilon=1e-3):
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


STATE = {
    "batch_normalization/gamma": np.array([1.5, 0.5, 2.0]),
    "batch_normalization/beta": np.array([0.1, 0.0, -1.0]),
    "batch_normalization/moving_mean": np.array([0.3, -0.2, 0.0]),
    "batch_normalization/moving_variance": np.array([2.0, 0.5, 1.0]),
}


@pytest.mark.parametrize("shape", [(6, 3), (4, 5, 5, 3)])
@pytest.mark.parametrize("fed", [False, True])
def test_batch_normalization_trains_with_the_batchs_statistics_and_moves_the_averages(graph, shape, fed):
    x = tf.placeholder(tf.float32, [None, *shape[1:]])
    training = tf.placeholder(tf.bool, []) if fed else True
    y = tf.layers.batch_normalization(x, training=training, momentum=0.9)
    assert [n.split("/")[1] for n in names()] == ["gamma:0", "beta:0", "moving_mean:0", "moving_variance:0"]
    assert [v.op.name for v in tf.trainable_variables()] == ["batch_normalization/gamma", "batch_normalization/beta"]
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    with tf.control_dependencies(updates):
        step = tf.identity(y)
    given = RNG.normal(size=shape, loc=2)
    axes = tuple(range(len(shape) - 1))
    mean, variance, count = given.mean(axes), given.var(axes), given[..., 0].size
    gamma, beta, old_mean, old_variance = STATE.values()
    with tf.Session() as session:
        for variable in tf.global_variables():
            variable.load(STATE[variable.op.name], session)
        if fed:
            value = session.run(step, {x: given, training: False})
            np.testing.assert_allclose(
                value, normalized(given, old_mean, old_variance, gamma, beta), rtol=1e-4, atol=1e-5
            )
            kept = session.run(tf.global_variables())
            np.testing.assert_array_equal(kept, np.array([*STATE.values()], np.float32))
        value = session.run(step, {x: given, training: True} if fed else {x: given})
        np.testing.assert_allclose(value, normalized(given, mean, variance, gamma, beta), rtol=1e-4, atol=1e-5)
        new_mean, new_variance = session.run(tf.global_variables())[2:]
    if len(shape) == 4:
        variance = variance * count / (count - 1)  # images' moving variance is the unbiased one, as in TensorFlow 1
    np.testing.assert_allclose(new_mean, 0.9 * old_mean + 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(new_variance, 0.9 * old_variance + 0.1 * variance, rtol=1e-5)


def test_batch_normalization_uses_the_moving_averages_when_it_does_not_train(graph):
    x = tf.placeholder(tf.float32, [None, 3])
    y = tf.layers.batch_normalization(x)
    assert tf.get_collection(tf.GraphKeys.UPDATE_OPS) == []
    given = RNG.normal(size=(4, 3))
    gamma, beta, mean, variance = STATE.values()
    wanted = normalized(given, mean, variance, gamma, beta)
    np.testing.assert_allclose(run(y, {x: given}, STATE), wanted, rtol=1e-4, atol=1e-5)


def test_batch_normalization_of_another_axis_and_without_scale_and_centre(graph):
    x = tf.placeholder(tf.float32, [None, 3, 5])
    y = tf.layers.batch_normalization(x, axis=1, scale=False, center=False, epsilon=0.1, training=True)
    assert [n.split("/")[1] for n in names()] == ["moving_mean:0", "moving_variance:0"]
    given = RNG.normal(size=(4, 3, 5))
    mean, variance = given.mean((0, 2), keepdims=True), given.var((0, 2), keepdims=True)
    np.testing.assert_allclose(run(y, {x: given}), normalized(given, mean, variance, 1, 0, 0.1), rtol=1e-4, atol=1e-5)


def test_an_update_of_a_batch_that_does_not_train_changes_nothing_even_where_it_is_not_finite(graph):
    x, training = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.bool, [])
    tf.layers.batch_normalization(x, training=training)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS), {x: np.full((2, 3), np.inf), training: False})
        np.testing.assert_array_equal(session.run(tf.global_variables())[2:], [np.zeros(3), np.ones(3)])


def test_gradients_reach_every_trainable_variable(graph):
    x = tf.placeholder(tf.float32, [None, 4, 4, 1])
    h = tf.layers.conv2d(x, 2, 2, activation=tf.nn.tanh)
    h = tf.layers.batch_normalization(tf.layers.average_pooling2d(h, 2, 1), training=True)
    loss = tf.reduce_sum(tf.square(tf.layers.dense(tf.layers.flatten(h), 2)))
    variables = tf.trainable_variables()
    assert len(variables) == 6
    gradients = tf.gradients(loss, variables)
    feeds = {x: RNG.normal(size=(3, 4, 4, 1))}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for variable, value in zip(variables, session.run(gradients, feeds), strict=True):
            wanted = numeric_gradient(session, loss, variable, feeds)
            np.testing.assert_allclose(value, wanted, rtol=0.05, atol=0.05 * np.abs(wanted).max() + 0.02)


def test_a_layer_as_a_function_takes_what_its_class_takes():
    of_class = list(inspect.signature(tf.layers.Conv1D.__base__).parameters)[:-1]
    assert list(inspect.signature(tf.layers.conv1d).parameters) == ["inputs", *of_class, "reuse"]
    assert pickle.loads(pickle.dumps(tf.layers.conv1d)) is tf.layers.conv1d
    assert "`Conv1D`" in tf.layers.conv1d.__doc__


def test_an_argument_that_a_layer_does_not_take_is_an_error_that_names_the_function():
    inputs = tf.placeholder(tf.float32, [None, 4])
    with pytest.raises(TypeError, match=r"dense\(\) got an unexpected keyword argument 'unitz'"):
        tf.layers.dense(inputs, 3, unitz=3)
    with pytest.raises(TypeError, match=r"dense\(\) missing a required argument: 'units'"):
        tf.layers.dense(inputs=inputs)


def test_a_layer_checks_its_inputs(graph):
    class Checked(tf.layers.Layer):
        def __init__(self):
            super().__init__()
            self.input_spec = tf.layers.InputSpec(min_ndim=2)

        def build(self, input_shape):
            self.input_spec = tf.layers.InputSpec(dtype="float32", axes={-1: input_shape[-1]})

    layer = Checked()
    with pytest.raises(
        ValueError, match=r"of layer checked is incompatible with the layer: expected min_ndim=2, found nd"
    ):
        layer(tf.zeros([3]))
    layer(tf.zeros([2, 3]))
    layer(tf.placeholder(tf.float32, [None, None]))
    with pytest.raises(ValueError, match=r"expected axis -1 of input shape to have value 3 but received .*\[2, 4\]"):
        layer(tf.zeros([2, 4]))
    with pytest.raises(ValueError, match="expected dtype=float32, found dtype=int32"):
        layer(tf.zeros([2, 3], tf.int32))
    with pytest.raises(ValueError, match="expects 1 inputs, but it received 2"):
        layer([tf.zeros([2, 3])] * 2)


@pytest.mark.parametrize(
    ("spec", "shape", "text"),
    [
        ({"ndim": 2}, [3], "expected ndim=2, found ndim=1"),
        ({"max_ndim": 1}, [3, 1], "expected max_ndim=1, found ndim=2"),
        ({"ndim": 1}, None, "its rank is undefined"),
        ({"shape": [None, 2]}, [2, 3], r"expected shape=\[None, 2\], found shape=\[2, 3\]"),
        ({"shape": [None, 2]}, [2], "expected ndim=2, found ndim=1"),
    ],
)
def test_what_an_input_may_be(graph, spec, shape, text):
    layer = tf.layers.Layer()
    layer.input_spec = [None, tf.layers.InputSpec(**spec)]
    with pytest.raises(ValueError, match=text):
        layer([tf.zeros([]), tf.placeholder(tf.float32, shape)])


def test_an_axis_is_within_the_rank():
    with pytest.raises(ValueError, match="Axis 2 is greater than the maximum allowed value: 1"):
        tf.layers.InputSpec(ndim=2, axes={2: 3})


def test_a_layer_knows_its_size_and_the_losses_of_its_inputs(graph):
    layer = tf.layers.Dense(2, kernel_regularizer=tf.nn.l2_loss, activity_regularizer=tf.reduce_sum, name="dense")
    with pytest.raises(ValueError, match="You tried to call `count_params` on dense, but the layer isn't built"):
        layer.count_params()
    one, two = tf.zeros([1, 3]), tf.ones([1, 3])
    layer(one)
    layer(two)
    assert layer.count_params() == 8
    assert layer.get_losses_for(None) == [layer.losses[0]]
    assert layer.get_losses_for(one) == [layer.losses[1]]
    assert layer.get_losses_for([one, two]) == layer.losses[1:]
