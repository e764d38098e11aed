"""The operations of tf.nn against formulas in float64, SciPy, and loops that say what is meant."""

import itertools

import numpy as np
import pytest
import scipy.signal
import scipy.special

import weftwork as tf
from tests.evaluate import evaluate
from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.ops import array_ops, math_ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 5), scale=3).astype(np.float32)
LOGITS = np.array([[1.0, 2.0, 4.0], [1000.0, -1000.0, 0.0], [-3.0, -3.0, -3.0]], np.float32)
LABELS = np.array([[0.0, 0.3, 0.7], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0]], np.float32)


def check(tensor, expected, rtol=2e-6, atol=1e-6):
    """The value is the one expected, and has the dtype and shape that the graph says."""
    value = evaluate(tensor)
    assert value.dtype == tensor.dtype.numpy
    assert tensor.raw_shape is not None
    assert len(tensor.raw_shape) == value.ndim
    assert all(said in (None, real) for said, real in zip(tensor.raw_shape, value.shape, strict=True))
    np.testing.assert_allclose(value, expected, rtol=rtol, atol=atol)
    return value


def log_softmax(x, axis=-1):
    return scipy.special.log_softmax(x.astype(np.float64), axis=axis)


ACTIVATIONS = {
    "relu": lambda x: x * (x > 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_computes_its_formula_and_keeps_the_dtype(name, dtype):
    x = X.astype(dtype)
    tensor = getattr(nn_ops, name)(x)
    assert tensor.dtype.numpy == dtype
    check(tensor, ACTIVATIONS[name](x.astype(np.float64)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_takes_scalars_and_keeps_the_dtype(name):
    check(getattr(nn_ops, name)(np.float32(-0.5)), ACTIVATIONS[name](np.float64(-0.5)))


@pytest.mark.parametrize("name", ["elu", "selu", "softplus", "softsign"])
def test_an_activation_does_not_overflow_far_from_zero(name):
    x = np.array([-1e4, 1e4], np.float32)
    tensor = getattr(nn_ops, name)(x)
    with np.errstate(over="raise", invalid="raise"):  # `evaluate` silences these
        assert np.isfinite(tensor.op.kernel(x)).all()


def test_relu_takes_integers():
    value = evaluate(nn_ops.relu(np.array([-2, 3], np.int64)))
    assert value.dtype == np.int64
    assert value.tolist() == [0, 3]
    assert evaluate(nn_ops.relu6(np.array([-2, 3, 9], np.int32))).tolist() == [0, 3, 6]


def test_a_slope_above_one_still_bends_the_negative_side():
    check(nn_ops.leaky_relu(np.array([-1.0, 2.0], np.float32), alpha=3.0), [-3.0, 2.0])


def test_leaky_relu_of_integers_is_float32():
    tensor = nn_ops.leaky_relu(np.array([-10, 5]))
    assert tensor.dtype is dtypes.float32
    check(tensor, [-2.0, 5.0])


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_softmax_and_its_logarithm_agree_with_scipy(axis):
    check(nn_ops.softmax(X, axis=axis), scipy.special.softmax(X.astype(np.float64), axis=axis))
    check(nn_ops.log_softmax(X, axis=axis), log_softmax(X, axis))


def test_softmax_survives_large_logits_and_takes_dim_for_axis():
    check(nn_ops.softmax(LOGITS.T, dim=0).op.outputs[0], np.exp(log_softmax(LOGITS)).T)
    assert np.isfinite(evaluate(nn_ops.log_softmax(LOGITS))).all()


def test_softmax_refuses_integers_bad_axes_and_two_names_for_the_axis():
    with pytest.raises(TypeError, match="'logits' has DataType int32 not in list of allowed values"):
        nn_ops.softmax([1, 2])
    with pytest.raises(InvalidArgumentError, match=r"Dimension \(2\) must be in the range \[-2, 2\)"):
        nn_ops.softmax(X, axis=2)
    with pytest.raises(ValueError, match="Cannot specify both 'axis' and 'dim'"):
        nn_ops.softmax(X, axis=0, dim=0)


def test_operations_carry_tensorflows_types_and_names():
    for name, kind in {"relu": "Relu", "elu": "Elu", "softmax": "Softmax", "log_softmax": "LogSoftmax"}.items():
        tensor = getattr(nn_ops, name)(X, name=f"mine_{name}")
        assert (tensor.op.type, tensor.op.name) == (kind, f"mine_{name}")


# Regularisation and normalisation


def test_dropout_zeroes_a_share_and_scales_the_rest():
    value = check_mask(nn_ops.dropout(np.ones((200, 100), np.float32), rate=0.25, seed=3), 0.75)
    assert abs((value == 0).mean() - 0.25) < 0.02
    check_mask(nn_ops.dropout(np.ones((200, 100), np.float32), 0.5, seed=3), 0.5)


def check_mask(tensor, keep):
    value = evaluate(tensor)
    assert value.dtype == tensor.dtype.numpy
    assert value.shape == tensor.raw_shape
    assert set(np.unique(value).tolist()) == {0.0, float(np.float32(1 / keep))}
    return value


def test_dropout_with_a_noise_shape_drops_whole_rows():
    value = evaluate(nn_ops.dropout(np.ones((50, 8), np.float32), rate=0.5, noise_shape=[50, 1], seed=1))
    assert {tuple(row) for row in value.tolist()} == {(0.0,) * 8, (2.0,) * 8}


def test_dropout_of_an_unknown_shape_takes_the_shape_of_the_value():
    x = array_ops.placeholder(dtypes.float32, [None, 3])
    value = evaluate(nn_ops.dropout(x, rate=0.5, seed=1), {x: np.ones((7, 3), np.float32)})
    assert value.shape == (7, 3)


def test_dropout_of_nothing_is_the_input_itself():
    x = convert_to_tensor(X)
    assert nn_ops.dropout(x, rate=0) is x


def test_dropout_with_a_tensor_for_a_rate():
    value = evaluate(nn_ops.dropout(np.ones(2000, np.float32), rate=convert_to_tensor(0.5), seed=1))
    assert set(value.tolist()) == {0.0, 2.0}


def test_dropout_refuses_bad_rates_and_integers():
    with pytest.raises(ValueError, match=r"rate must be a scalar tensor or a float in the range \[0, 1\), got 1.5"):
        nn_ops.dropout(X, rate=1.5)
    with pytest.raises(ValueError, match="You must provide a rate to dropout."):
        nn_ops.dropout(X)
    with pytest.raises(ValueError, match="Cannot specify both 'rate' and 'keep_prob'"):
        nn_ops.dropout(X, keep_prob=0.5, rate=0.5)
    with pytest.raises(ValueError, match="x has to be a floating point tensor"):
        nn_ops.dropout([1, 2], rate=0.5)


def test_bias_add_adds_along_the_channels():
    bias = np.arange(5, dtype=np.float32)
    check(nn_ops.bias_add(X, bias), X + bias)
    image = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
    first = np.arange(3, dtype=np.float32)
    check(nn_ops.bias_add(image, first, data_format="NCHW"), image + first[:, None, None])


def test_bias_add_wants_a_vector_of_the_right_length():
    with pytest.raises(ValueError, match="rank 1"):
        nn_ops.bias_add(X, np.ones((1, 5), np.float32))
    with pytest.raises(ValueError, match="Dimensions must be equal, but are 5 and 4"):
        nn_ops.bias_add(X, np.ones(4, np.float32))


def test_xw_plus_b_is_an_affine_map():
    w, b = RNG.normal(size=(5, 2)).astype(np.float32), np.array([1.0, -1.0], np.float32)
    check(nn_ops.xw_plus_b(X, w, b), X.astype(np.float64) @ w + b, rtol=1e-5)


def test_l2_loss_is_half_the_sum_of_squares():
    check(nn_ops.l2_loss(X), (X.astype(np.float64) ** 2).sum() / 2)
    check(nn_ops.l2_loss(np.float32(3.0)), 4.5)


@pytest.mark.parametrize("axis", [None, 0, 1, [0, 1]])
def test_l2_normalize_gives_unit_length(axis):
    norm = np.sqrt((X.astype(np.float64) ** 2).sum(axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=True))
    check(nn_ops.l2_normalize(X, axis), X / norm)


def test_l2_normalize_leaves_zero_at_zero():
    assert evaluate(nn_ops.l2_normalize(np.zeros(3, np.float32), dim=0)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("axes", "keep"), [([0], False), ([0, 1], False), ([1], True)])
def test_moments_are_the_mean_and_the_population_variance(axes, keep):
    mean, variance = nn_ops.moments(X, axes, keep_dims=keep)
    check(mean, X.astype(np.float64).mean(tuple(axes), keepdims=keep), rtol=1e-5)
    check(variance, X.astype(np.float64).var(tuple(axes), keepdims=keep), rtol=1e-5)


def test_moments_of_float16_do_not_overflow():
    mean, variance = nn_ops.moments(np.full((4, 1000), 200, np.float16), [0, 1])
    assert mean.dtype is dtypes.float16
    assert (evaluate(mean), evaluate(variance)) == (200, 0)


def test_batch_normalization_follows_the_formula():
    mean, variance = X.mean(0), X.var(0)
    scale, offset = np.arange(1, 6, dtype=np.float32), np.ones(5, np.float32)
    expected = (X - mean.astype(np.float64)) / np.sqrt(variance + 1e-3)
    check(nn_ops.batch_normalization(X, mean, variance, None, None, 1e-3), expected, rtol=1e-4, atol=1e-5)
    full = nn_ops.batch_normalization(X, mean, variance, offset, scale, 1e-3)
    check(full, expected * scale + offset, rtol=1e-4, atol=1e-5)


# Picking


def test_embedding_lookup_picks_rows():
    ids = np.array([[0, 3], [1, 1]])
    check(nn_ops.embedding_lookup(X, ids), X[ids])


def test_embedding_lookup_in_parts_by_mod_and_by_div():
    table = np.arange(10, dtype=np.float32)[:, None] * [1.0, 10.0]
    ids = np.array([9, 0, 4])
    table = table.astype(np.float32)
    check(nn_ops.embedding_lookup([table[0::3], table[1::3], table[2::3]], ids), table[ids])
    check(nn_ops.embedding_lookup([table[:4], table[4:]], ids, partition_strategy="div"), table[ids])
    with pytest.raises(ValueError, match="Unrecognized partition strategy: x"):
        nn_ops.embedding_lookup([table, table], ids, partition_strategy="x")


def test_embedding_lookup_shortens_rows_to_the_largest_norm():
    table = np.array([[3.0, 4.0], [0.3, 0.4]], np.float32)
    check(nn_ops.embedding_lookup(table, [0, 1], max_norm=1.0), [[0.6, 0.8], [0.3, 0.4]])


def test_top_k_gives_values_and_places_and_the_first_of_equals():
    x = np.array([[1.0, 3.0, 3.0, 2.0], [5.0, 5.0, 5.0, 5.0]], np.float32)
    values, indices = nn_ops.top_k(x, 3)
    check(values, [[3, 3, 2], [5, 5, 5]])
    check(indices, [[1, 2, 3], [0, 1, 2]])
    assert indices.dtype is dtypes.int32


def test_top_k_of_random_integers_agrees_with_sorting():
    x = RNG.integers(0, 50, size=(3, 100)).astype(np.uint8)
    top = nn_ops.top_k(x, k=7)
    check(top.values, -np.sort(-x.astype(int), axis=-1)[:, :7])
    assert (np.take_along_axis(x, evaluate(top.indices), -1) == evaluate(top.values)).all()


def test_top_k_wants_enough_columns():
    with pytest.raises(ValueError, match="input must have last dimension >= k = 6 but is 5"):
        nn_ops.top_k(X, 6)


def test_in_top_k_counts_ties_as_in_and_nothing_that_is_not_finite():
    predictions = np.array([[0.1, 0.9, 0.5], [0.5, 0.5, 0.5], [np.nan, 1.0, 0.0], [1.0, 2.0, 3.0]], np.float32)
    check(nn_ops.in_top_k(predictions, [2, 2, 1, 7], 1), [False, True, False, False])
    check(nn_ops.in_top_k(predictions, [2, 2, 1, 0], 2), [True, True, False, False])


# Losses


def test_softmax_cross_entropy_is_the_expected_log_loss():
    expected = -(LABELS * log_softmax(LOGITS)).sum(-1)
    check(nn_ops.softmax_cross_entropy_with_logits(labels=LABELS, logits=LOGITS), expected)
    check(nn_ops.softmax_cross_entropy_with_logits_v2(LABELS, LOGITS), expected)
    check(nn_ops.softmax_cross_entropy_with_logits(labels=LABELS.T, logits=LOGITS.T, dim=0), expected)


@pytest.mark.parametrize("labels", [np.eye(2), np.eye(2, dtype=np.int64), [[1, 0], [0, 1]]])
def test_labels_take_the_dtype_of_the_logits(graph, labels):
    logits = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    fed = tf.placeholder(np.asarray(labels).dtype)
    for loss in (tf.nn.softmax_cross_entropy_with_logits_v2, tf.nn.softmax_cross_entropy_with_logits):
        for given in (labels, tf.constant(labels), fed):
            made = loss(labels=given, logits=logits)
            assert (made.dtype, made.shape.as_list()) == (tf.float32, [2])
            with tf.Session() as session:
                np.testing.assert_allclose(session.run(made, {fed: labels}), [1.3132616, 0.3132616], rtol=1e-6)


def test_softmax_cross_entropy_of_several_batch_axes_lacks_only_the_classes():
    logits = RNG.normal(size=(2, 3, 4))
    labels = np.full((2, 3, 4), 0.25)
    loss = nn_ops.softmax_cross_entropy_with_logits_v2(labels, logits, axis=1)
    assert loss.raw_shape == (2, 4)
    check(loss, -(labels * log_softmax(logits, 1)).sum(1))


def test_sparse_softmax_cross_entropy_picks_the_label():
    labels = np.array([2, 1, 0])
    loss = nn_ops.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=LOGITS)
    check(loss, -log_softmax(LOGITS)[np.arange(3), labels])
    check(nn_ops.sparse_softmax_cross_entropy_with_logits(labels=1, logits=LOGITS[0]), -log_softmax(LOGITS)[0, 1])


@pytest.mark.parametrize("bad", [-1, 3])
def test_a_label_that_is_no_class_fails(bad):
    loss = nn_ops.sparse_softmax_cross_entropy_with_logits(labels=[0, bad, 1], logits=LOGITS)
    with pytest.raises(Exception, match=rf"label value of {bad} which is outside the valid range of \[0, 3\)"):
        evaluate(loss)


def test_sparse_labels_must_fit_the_logits():
    with pytest.raises(ValueError, match=r"Rank mismatch: Rank of labels \(received 2\)"):
        nn_ops.sparse_softmax_cross_entropy_with_logits(labels=[[0]], logits=LOGITS)
    with pytest.raises(ValueError, match=r"Shape mismatch: The shape of labels \(received \(2,\)\)"):
        nn_ops.sparse_softmax_cross_entropy_with_logits(labels=[0, 1], logits=LOGITS)
    with pytest.raises(ValueError, match="Logits cannot be scalars"):
        nn_ops.sparse_softmax_cross_entropy_with_logits(labels=0, logits=1.0)


def test_sigmoid_cross_entropy_is_the_log_loss_of_the_sigmoid():
    x, z = X.astype(np.float64), (X > 1).astype(np.float64)
    expected = -z * scipy.special.log_expit(x) - (1 - z) * scipy.special.log_expit(-x)
    check(nn_ops.sigmoid_cross_entropy_with_logits(labels=z.astype(np.float32), logits=X), expected)


def test_sigmoid_cross_entropy_is_exact_far_from_zero():
    far = evaluate(nn_ops.sigmoid_cross_entropy_with_logits(labels=[1.0, 0.0], logits=np.array([40.0, 500.0])))
    np.testing.assert_allclose(far, [np.exp(-40.0), 500.0], rtol=1e-12)


def test_weighted_cross_entropy_weighs_the_positive_side():
    x, z = X.astype(np.float64), (X > 1).astype(np.float64)
    expected = -3 * z * scipy.special.log_expit(x) - (1 - z) * scipy.special.log_expit(-x)
    check(nn_ops.weighted_cross_entropy_with_logits(z.astype(np.float32), X, 3.0), expected)
    check(nn_ops.weighted_cross_entropy_with_logits(targets=z.astype(np.float32), logits=X, pos_weight=3), expected)


@pytest.mark.parametrize(
    "loss", ["softmax_cross_entropy", "sparse_softmax_cross_entropy", "sigmoid_cross_entropy"], ids=str
)
def test_labels_and_logits_must_be_named_and_given(loss):
    function = getattr(nn_ops, f"{loss}_with_logits")
    with pytest.raises(ValueError, match=rf"Only call `{loss}_with_logits` with named arguments \(labels=..., logits="):
        function(X, X)
    with pytest.raises(ValueError, match="Both labels and logits must be provided."):
        function(labels=X)


def test_sigmoid_cross_entropy_wants_one_shape():
    with pytest.raises(ValueError, match="logits and labels must have the same shape"):
        nn_ops.sigmoid_cross_entropy_with_logits(labels=X[:2], logits=X)


# Windows


def padding_of(size, window, stride, padding):
    """TensorFlow's rule, by counting: (windows, elements before the first)."""
    if padding == "VALID":
        return len(range(0, size - window + 1, stride)), 0
    count = len(range(0, size, stride))
    return count, max(0, (count - 1) * stride + window - size) // 2


def windows(x, kernel, strides, padding, dilations=(1, 1)):
    """For each output place: the (row tap, column tap, row, column) that lie inside the image."""
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    (rows, top), (columns, left) = (
        padding_of(n, s, step, padding) for n, s, step in zip(x.shape[1:3], spans, strides, strict=True)
    )
    for i, j in itertools.product(range(rows), range(columns)):
        seen = []
        for a, b in itertools.product(range(kernel[0]), range(kernel[1])):
            row, column = i * strides[0] + a * dilations[0] - top, j * strides[1] + b * dilations[1] - left
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                seen.append((a, b, row, column))
        yield i, j, rows, columns, seen


def naive_conv2d(x, w, strides, padding, dilations):
    out = None
    for i, j, rows, columns, seen in windows(x, w.shape[:2], strides, padding, dilations):
        out = np.zeros((len(x), rows, columns, w.shape[3])) if out is None else out
        for a, b, row, column in seen:
            out[:, i, j] += x[:, row, column] @ w[a, b]
    return out


def naive_pool(x, kernel, strides, padding, reduce):
    out = None
    for i, j, rows, columns, seen in windows(x, kernel, strides, padding):
        out = np.zeros((len(x), rows, columns, x.shape[3])) if out is None else out
        out[:, i, j] = reduce(np.stack([x[:, row, column] for _, _, row, column in seen]), axis=0)
    return out


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 4)])
@pytest.mark.parametrize(
    ("strides", "dilations"), [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((1, 1), (2, 1)), ((2, 2), (2, 2))]
)
def test_conv2d_agrees_with_a_loop(padding, kernel, strides, dilations):
    x, w = RNG.normal(size=(2, 7, 8, 3)), RNG.normal(size=(*kernel, 3, 4))
    tensor = nn_ops.conv2d(x, w, [1, *strides, 1], padding, dilations=[1, *dilations, 1])
    assert None not in tensor.raw_shape
    check(tensor, naive_conv2d(x, w, strides, padding, dilations), rtol=1e-10)


def test_conv2d_agrees_with_scipy_in_float32():
    x, w = RNG.normal(size=(1, 9, 9, 1)).astype(np.float32), RNG.normal(size=(3, 3, 1, 1)).astype(np.float32)
    expected = scipy.signal.correlate2d(x[0, :, :, 0], w[:, :, 0, 0], mode="same")
    check(nn_ops.conv2d(x, w, 1, "SAME"), expected[None, :, :, None], rtol=1e-4, atol=1e-5)


def test_conv2d_with_explicit_padding():
    x, w = RNG.normal(size=(1, 5, 5, 2)), RNG.normal(size=(3, 3, 2, 1))
    padded = np.pad(x, ((0, 0), (2, 0), (1, 3), (0, 0)))
    tensor = nn_ops.conv2d(x, filters=w, strides=1, padding=[[0, 0], [2, 0], [1, 3], [0, 0]])
    check(tensor, naive_conv2d(padded, w, (1, 1), "VALID", (1, 1)), rtol=1e-10)


def test_conv2d_of_many_images_in_blocks_is_the_same(monkeypatch):
    x, w = RNG.normal(size=(7, 6, 6, 2)), RNG.normal(size=(3, 3, 2, 3))
    monkeypatch.setattr("weftwork.graph.kernels.convolution.BLOCK", 2 * 36 * 18)
    check(nn_ops.conv2d(x, w, 1, "SAME"), naive_conv2d(x, w, (1, 1), "SAME", (1, 1)), rtol=1e-10)


def test_conv2d_of_an_unknown_batch_knows_the_other_axes():
    x = array_ops.placeholder(dtypes.float32, [None, 28, 28, 1])
    tensor = nn_ops.conv2d(x, np.ones((5, 5, 1, 32), np.float32), [1, 2, 2, 1], "SAME")
    assert tensor.raw_shape == (None, 14, 14, 32)
    assert evaluate(tensor, {x: np.ones((3, 28, 28, 1), np.float32)}).shape == (3, 14, 14, 32)


def test_conv2d_refuses_what_does_not_fit():
    x, w = np.ones((1, 4, 4, 3)), np.ones((5, 5, 3, 1))
    with pytest.raises(ValueError, match="Negative dimension size caused by subtracting 5 from 4"):
        nn_ops.conv2d(x, w, 1, "VALID")
    with pytest.raises(ValueError, match=r"Depth of input \(3\) is not the input depth of filter \(2\)"):
        nn_ops.conv2d(x, np.ones((1, 1, 2, 1)), 1, "SAME")
    with pytest.raises(ValueError, match="rank 4 but is rank 2"):
        nn_ops.conv2d(X, w, 1, "SAME")
    with pytest.raises(ValueError, match="padding must be"):
        nn_ops.conv2d(x, w, 1, "same")
    with pytest.raises(ValueError, match="NHWC"):
        nn_ops.conv2d(x, w, 1, "SAME", data_format="NCHW")
    with pytest.raises(ValueError, match="strides of the batch and channel axes must be 1"):
        nn_ops.conv2d(x, w, [2, 1, 1, 1], "SAME")


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(
    ("kernel", "strides"), [((2, 2), (2, 2)), ((3, 2), (1, 3)), ((3, 3), (2, 2)), ((1, 1), (2, 2))]
)
def test_pools_agree_with_a_loop(padding, kernel, strides):
    x = RNG.normal(size=(2, 7, 8, 3)) - 5
    ksize, steps = [1, *kernel, 1], [1, *strides, 1]
    check(nn_ops.max_pool(x, ksize, steps, padding), naive_pool(x, kernel, strides, padding, np.max))
    check(nn_ops.avg_pool(x, ksize, steps, padding), naive_pool(x, kernel, strides, padding, np.mean))


@pytest.mark.parametrize("known", [True, False])
def test_a_pool_may_go_over_the_channels_instead(known):
    x = RNG.normal(size=(2, 3, 2, 6)).astype(np.float32)
    given = tf.placeholder(tf.float32, x.shape if known else None)
    for padding in ("SAME", "VALID"):
        made = tf.nn.max_pool(given, [1, 1, 1, 3], [1, 1, 1, 3], padding)
        assert made.shape.as_list() == ([2, 3, 2, 2] if known else [None] * 4)
        np.testing.assert_array_equal(evaluate(made, {given: x}), x.reshape(2, 3, 2, 2, 3).max(-1))


@pytest.mark.parametrize(
    ("ksize", "strides", "text"),
    [
        ([1, 2, 2, 2], [1, 1, 1, 2], "exactly one of pooling across depth or pooling across width/height"),
        ([1, 1, 1, 2], [1, 1, 1, 1], "the depth window to equal the depth stride"),
        ([1, 1, 1, 4], [1, 1, 1, 4], "the depth window to evenly divide the input depth"),
    ],
)
def test_a_pool_over_the_channels_that_tensorflow_lacks_is_refused(ksize, strides, text):
    with pytest.raises(tf.errors.UnimplementedError, match=text):
        tf.nn.max_pool(tf.zeros([1, 4, 4, 6]), ksize, strides, "SAME")


def test_pools_keep_float32_and_max_pool_takes_integers():
    x = RNG.normal(size=(1, 5, 5, 2)).astype(np.float32)
    check(nn_ops.avg_pool(x, 3, 2, "SAME"), naive_pool(x, (3, 3), (2, 2), "SAME", np.mean))
    whole = (x * 10).astype(np.int32)
    check(nn_ops.max_pool(whole, 3, 2, "SAME"), naive_pool(whole, (3, 3), (2, 2), "SAME", np.max))


def test_a_node_does_not_write_into_its_inputs():
    x = RNG.normal(size=(2, 6, 6, 3)).astype(np.float32)
    before = x.copy()
    image = array_ops.placeholder(dtypes.float32, x.shape)
    results = [nn_ops.max_pool(image, 1, 1, "VALID"), nn_ops.avg_pool(image, 1, 1, "VALID"), nn_ops.softmax(image)]
    evaluate(math_ops.add(results[0], results[1]), {image: x})
    evaluate(results[2], {image: x})
    assert (x == before).all()


def test_labels_targets_and_biases_must_fit(graph):
    scores = tf.constant(np.zeros((3, 4), np.float32))
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.constant([0, 1, 9]), logits=scores)
    text = r"label value of 9 which is outside the valid range of \[0, 4\)\.  Label values: 0 1 9"
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError, match=text):
        session.run(loss)
    with pytest.raises(ValueError, match="Dimensions must be equal, but are 3 and 1"):
        tf.nn.in_top_k(scores, [0], 2)
    with pytest.raises(ValueError, match="Shape must be at least rank 2 but is rank 1"):
        tf.nn.bias_add([1.0], [1.0])
    with pytest.raises(ValueError, match="Shape must be rank 4 but is rank 3"):
        tf.image.extract_glimpse(tf.zeros([4, 4, 1]), [1, 1], [[0.0, 0.0]])


def test_a_bias_that_does_not_fit_when_it_runs_is_refused(graph):
    value = tf.placeholder_with_default([[1.0, 2.0]], [None, None])
    with tf.Session() as session:
        assert session.run(tf.nn.bias_add(value, tf.placeholder_with_default([3.0, 4.0], [None]))).tolist() == [[4, 6]]
        with pytest.raises(tf.errors.InvalidArgumentError, match="^Must provide as many biases as the last dimension"):
            session.run(tf.nn.bias_add(value, tf.placeholder_with_default([1.0], [None])))
