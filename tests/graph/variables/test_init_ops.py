"""Initialisers: the values, the moments that their fans promise, and TensorFlow's errors."""

import pickle

import numpy as np
import pytest

import weftwork as tf
from tests.evaluate import evaluate
from weftwork.graph import dtypes
from weftwork.graph.ops import array_ops
from weftwork.graph.variables import initializers as init_ops

SHAPE = [120, 250]


def values(initializer, shape=SHAPE, dtype=None):
    """The initial values, which must have the dtype and shape that the graph says."""
    tensor = initializer(shape, dtype=dtype)
    value = evaluate(tensor)
    assert tensor.raw_shape == value.shape == tuple(shape)
    assert tensor.dtype.numpy == value.dtype
    return value


@pytest.mark.parametrize("dtype", [None, np.float64, np.int32])
def test_zeros_ones_and_constants(dtype):
    for initializer, number in [(init_ops.Zeros(), 0), (init_ops.Ones(), 1), (init_ops.Constant(7), 7)]:
        value = values(initializer, [2, 3], dtype)
        assert value.dtype == (np.float32 if dtype is None else dtype)
        assert (value == number).all()


def test_the_dtype_of_the_initialiser_is_the_default():
    assert values(init_ops.Zeros(dtypes.int64), [2]).dtype == np.int64
    assert values(init_ops.RandomNormal(dtype=dtypes.float64), [2]).dtype == np.float64
    assert values(init_ops.Zeros(dtypes.bool), [2]).tolist() == [False, False]


def test_a_constant_list_fills_the_shape_in_order():
    assert values(init_ops.Constant([1, 2, 3, 4]), [2, 2]).tolist() == [[1, 2], [3, 4]]
    assert values(init_ops.Constant(np.array([1.0, 2.0])), [2, 2]).tolist() == [[1, 2], [2, 2]]
    with pytest.raises(TypeError, match="Expected Tensor's shape"):
        init_ops.Constant([1, 2, 3, 4], verify_shape=True)([2, 2])
    with pytest.raises(ValueError, match="Too many elements"):
        init_ops.Constant([1, 2, 3])([2])
    with pytest.raises(TypeError, match="Invalid type for initial value"):
        init_ops.Constant({})


def test_random_normal_and_uniform_have_their_moments():
    value = values(init_ops.RandomNormal(1.0, 2.0, seed=1))
    assert abs(value.mean() - 1) < 0.05
    assert abs(value.std() - 2) < 0.05
    value = values(init_ops.RandomUniform(-1, 3, seed=1))
    assert (value.min() >= -1) & (value.max() <= 3)
    assert abs(value.std() - 4 / np.sqrt(12)) < 0.02
    assert set(np.unique(values(init_ops.RandomUniform(0, 3, seed=1), dtype=dtypes.int32))) == {0, 1, 2}


def test_truncated_normal_ends_at_two_deviations():
    value = values(init_ops.TruncatedNormal(1.0, 2.0, seed=1))
    assert np.abs(value - 1).max() <= 4.001
    assert abs(value.std() - 2 * 0.8796) < 0.03


@pytest.mark.parametrize("shape", [[120, 250], [3, 3, 20, 50]])
@pytest.mark.parametrize("distribution", ["uniform", "normal", "truncated_normal", "untruncated_normal"])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
def test_variance_scaling_has_the_variance_it_says(shape, distribution, mode):
    field = int(np.prod(shape[:-2]))
    fans = {"fan_in": shape[-2] * field, "fan_out": shape[-1] * field}
    fans["fan_avg"] = (fans["fan_in"] + fans["fan_out"]) / 2
    value = values(init_ops.VarianceScaling(3.0, mode, distribution, seed=1), shape)
    assert value.dtype == np.float32
    assert abs(value.mean()) < 0.05 * value.std()
    np.testing.assert_allclose(value.var(), 3.0 / fans[mode], rtol=0.07)


@pytest.mark.parametrize(
    ("initializer", "variance", "limited"),
    [
        (init_ops.GlorotUniform(seed=1), 2 / 370, True),
        (init_ops.GlorotNormal(seed=1), 2 / 370, False),
        (init_ops.xavier_initializer(seed=1), 2 / 370, True),
        (init_ops.xavier_initializer(uniform=False, seed=1), 2 / 370, False),
        (init_ops.he_normal(seed=1), 2 / 120, False),
        (init_ops.he_uniform(seed=1), 2 / 120, True),
        (init_ops.lecun_normal(seed=1), 1 / 120, False),
        (init_ops.lecun_uniform(seed=1), 1 / 120, True),
        (init_ops.UniformUnitScaling(1.3, seed=1), 1.3**2 / 120, True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_named_initialisers_have_their_authors_variance(initializer, variance, limited):
    value = values(initializer)
    np.testing.assert_allclose(value.var(), variance, rtol=0.05)
    limit = np.sqrt(3 * variance)
    assert (np.abs(value).max() <= limit * 1.0001) == limited


def test_the_part_of_a_variable_is_scaled_by_the_whole():
    class Whole:
        full_shape = [1200, 250]

    value = evaluate(init_ops.lecun_normal(seed=1)([120, 250], partition_info=Whole()))
    assert value.shape == (120, 250)
    np.testing.assert_allclose(value.var(), 1 / 1200, rtol=0.05)


def test_variance_scaling_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="`scale` must be positive float."):
        init_ops.VarianceScaling(scale=0.0)
    with pytest.raises(ValueError, match="Invalid `mode` argument:"):
        init_ops.VarianceScaling(mode="fan")
    with pytest.raises(ValueError, match="Invalid `distribution` argument:"):
        init_ops.VarianceScaling(distribution="cauchy")


@pytest.mark.parametrize("shape", [[10, 4], [4, 10], [3, 2, 5], [5, 5]])
def test_an_orthogonal_matrix_has_orthonormal_rows_or_columns(shape):
    value = values(init_ops.Orthogonal(gain=2.0, seed=1), shape).reshape(-1, shape[-1])
    product = value.T @ value if value.shape[0] >= value.shape[1] else value @ value.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)


def test_orthogonal_and_identity_want_matrices():
    with pytest.raises(ValueError, match="The tensor to initialize must be at least two-dimensional"):
        init_ops.Orthogonal()([3])
    with pytest.raises(ValueError, match="Identity matrix initializer can only be used for 2D matrices."):
        init_ops.Identity()([3])
    assert values(init_ops.Identity(gain=3), [2, 3]).tolist() == [[3, 0, 0], [0, 3, 0]]


def test_a_shape_that_decides_the_scale_must_be_known():
    with pytest.raises(ValueError, match="must be fully defined"):
        init_ops.GlorotUniform()([None, 3])
    shape = array_ops.placeholder(dtypes.int32, [2])
    with pytest.raises(ValueError, match="needs it to be known"):
        init_ops.GlorotUniform()(shape)


@pytest.mark.parametrize(
    "initializer",
    [
        init_ops.Zeros(), init_ops.Constant([1, 2]), init_ops.RandomNormal(1.0, 2.0, 3), init_ops.GlorotUniform(4),
        init_ops.he_normal(5), init_ops.Orthogonal(2.0, 6), init_ops.Identity(2.0),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_an_initialiser_survives_its_config_and_pickling(initializer):
    again = type(initializer).from_config(initializer.get_config())
    assert again.get_config() == initializer.get_config() == pickle.loads(pickle.dumps(initializer)).get_config()
    assert (values(again, [2, 2]) == values(initializer, [2, 2])).all()


def test_the_lower_case_names_are_the_classes():
    for name in "zeros ones constant random_normal random_uniform truncated_normal variance_scaling orthogonal".split():
        alias = getattr(init_ops, f"{name}_initializer")
        assert alias is getattr(init_ops, name.title().replace("_", ""))
    assert init_ops.glorot_uniform_initializer is init_ops.GlorotUniform
    assert init_ops.glorot_normal_initializer is init_ops.GlorotNormal


@pytest.mark.parametrize("make", [tf.random_normal_initializer, tf.truncated_normal_initializer])
def test_normal_distributions_are_of_floating_point(make):
    with pytest.raises(ValueError, match="Expected floating point type, got"):
        make(dtype=tf.int32)
