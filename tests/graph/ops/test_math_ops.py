"""Every mathematical operation against the function of NumPy or SciPy, with the dtype and shape that it says."""

from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

import weftwork as tf
from tests.evaluate import evaluate
from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor, placeholder
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.graph import Graph
from weftwork.graph.ops import math_ops
from weftwork.graph.ops.clipping import clip_by_average_norm

RNG = np.random.default_rng(0)
A = RNG.uniform(0.1, 0.9, (3, 4))
B = RNG.uniform(0.1, 0.9, (4,))
SIGNED = RNG.normal(size=(3, 4))
INTS = RNG.integers(1, 9, (3, 4)).astype(np.int32)
BOOLS = INTS > 4
ODD = np.array([np.nan, np.inf, -np.inf, 0.0, 1.5])
COMPLEX = SIGNED + 1j * A


@pytest.fixture(autouse=True)
def _graph():
    with Graph().as_default():
        yield


def check(tensor: Any, expected: Any, tolerance=1e-6):
    """The value is the one expected, in the dtype and shape that the tensor says."""
    value = evaluate(tensor)
    assert value.dtype == tensor.dtype.numpy
    assert tensor.raw_shape == value.shape
    np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)
    return value


UNARY = [
    ("negative", np.negative), ("abs", np.abs), ("sign", np.sign), ("square", np.square), ("sqrt", np.sqrt),
    ("rsqrt", lambda x: np.reciprocal(np.sqrt(x))), ("exp", np.exp), ("expm1", np.expm1),
    ("log", np.log), ("log1p", np.log1p),
    ("reciprocal", np.reciprocal), ("rint", np.rint), ("floor", np.floor), ("ceil", np.ceil), ("sin", np.sin),
    ("cos", np.cos), ("tan", np.tan), ("asin", np.arcsin), ("acos", np.arccos), ("atan", np.arctan),
    ("sinh", np.sinh), ("cosh", np.cosh), ("tanh", np.tanh), ("asinh", np.arcsinh), ("atanh", np.arctanh),
    ("sigmoid", scipy.special.expit), ("erf", scipy.special.erf), ("erfc", scipy.special.erfc),
    ("lgamma", scipy.special.gammaln), ("digamma", scipy.special.digamma), ("is_nan", np.isnan), ("is_inf", np.isinf),
    ("is_finite", np.isfinite), ("logical_not", np.logical_not), ("conj", np.conj), ("round", np.round),
    ("angle", lambda x: np.arctan2(np.zeros_like(x), x)), ("real", np.real), ("imag", np.imag),
]  # fmt: skip

BINARY = [
    ("add", np.add), ("subtract", np.subtract), ("multiply", np.multiply), ("divide", np.divide),
    ("truediv", np.divide), ("realdiv", np.divide), ("floordiv", np.floor_divide), ("floor_div", np.floor_divide),
    ("mod", np.remainder), ("floormod", np.remainder), ("pow", np.power), ("maximum", np.maximum),
    ("minimum", np.minimum), ("squared_difference", lambda x, y: (x - y) ** 2), ("atan2", np.arctan2),
    ("equal", np.equal), ("not_equal", np.not_equal), ("less", np.less), ("less_equal", np.less_equal),
    ("greater", np.greater), ("greater_equal", np.greater_equal), ("logical_and", np.logical_and),
    ("logical_or", np.logical_or), ("logical_xor", np.logical_xor),
]  # fmt: skip

REDUCTIONS = [
    ("reduce_sum", np.sum), ("reduce_mean", np.mean), ("reduce_max", np.max), ("reduce_min", np.min),
    ("reduce_prod", np.prod), ("reduce_any", np.any), ("reduce_all", np.all), ("reduce_std", np.std),
    ("reduce_variance", np.var),
    ("reduce_logsumexp", lambda x, axis, keepdims: np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))),

    ("count_nonzero", lambda x, axis, keepdims: np.sum(x != 0, axis=axis, keepdims=keepdims)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "function"), UNARY)
@pytest.mark.parametrize(
    "x", [A, A.astype(np.float32), A[0, 0], np.float32(0.3), A[:0]], ids=lambda x: f"{x.dtype}{x.shape}"
)
def test_functions_of_one_tensor(name, function, x):
    with np.errstate(all="ignore"):
        expected = function(x)
    value = check(getattr(math_ops, name)(x), expected)
    assert value.dtype == np.asarray(expected).dtype
    assert getattr(math_ops, name).__name__ == name
    assert getattr(math_ops, name).__doc__


@pytest.mark.parametrize(("name", "function"), BINARY)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
def test_functions_of_two_tensors_broadcast(name, function, dtype):
    x, y = (10 * A + 1).astype(dtype), (10 * B + 1).astype(dtype)
    value = check(getattr(math_ops, name)(x, y), function(x, y))
    assert value.dtype == function(x, y).dtype
    check(getattr(math_ops, name)(x[:, :1], y), function(x[:, :1], y))
    check(getattr(math_ops, name)(x[0, 0], y[0]), function(x[0, 0], y[0]))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.bool_, np.float16, np.complex64])
@pytest.mark.parametrize("shape", [(), (2, 3)])
@pytest.mark.parametrize(("name", "function"), [*UNARY, *BINARY, *REDUCTIONS])
def test_the_dtype_that_a_node_promises_is_the_one_it_gives_for_every_dtype(name, function, shape, dtype):
    x = np.ones(shape, dtype)[()]
    two = (name, function) in BINARY
    try:
        tensor = getattr(math_ops, name)(*[x] * (1 + two))
    except TypeError:
        with pytest.raises(TypeError):
            function(*[x] * (1 + two))
    else:
        assert evaluate(tensor).dtype == tensor.dtype.numpy


def test_values_that_are_no_numbers_are_told_apart():
    assert evaluate(math_ops.is_nan(ODD)).tolist() == [True, False, False, False, False]
    assert evaluate(math_ops.is_inf(ODD)).tolist() == [False, True, True, False, False]
    assert evaluate(math_ops.is_finite(ODD)).tolist() == [False, False, False, True, True]


def test_the_rarer_functions():
    check(math_ops.acosh(A + 1), np.arccosh(A + 1))
    check(math_ops.igamma(A, B), scipy.special.gammainc(A, B))
    check(math_ops.igammac(A, B), scipy.special.gammaincc(A, B))
    check(math_ops.zeta(A + 2, B), scipy.special.zeta(A + 2, B))


def test_round_takes_halves_to_the_even_number_and_leaves_integers_alone():
    assert evaluate(math_ops.round([0.5, 1.5, 2.5, -1.5])).tolist() == [0.0, 2.0, 2.0, -2.0]
    assert math_ops.round(INTS).dtype is dtypes.int32


def test_python_numbers_are_weak_beside_tensors():
    assert math_ops.add(np.float32(1), 2.5).dtype is dtypes.float32
    assert math_ops.multiply(2, A).dtype is dtypes.float64
    assert math_ops.add(1, 2).dtype is dtypes.int32
    assert math_ops.divide(1, 2).dtype is dtypes.float64
    assert evaluate(math_ops.div(7, 2)) == 3
    assert evaluate(math_ops.div(7.0, 2)) == 3.5


def test_mod_and_floordiv_have_the_sign_of_python():
    assert evaluate(math_ops.mod([-7, 7], [3, -3])).tolist() == [2, -2]
    assert evaluate(math_ops.floordiv([-7, 7], [3, -3])).tolist() == [-3, -3]


DIVISIONS = {
    "//": (lambda x, y: x // y, 3, -4),
    "%": (lambda x, y: x % y, 1, 1),
    "floordiv": (math_ops.floordiv, 3, -4),
    "floor_div": (math_ops.floor_div, 3, -4),
    "div": (math_ops.div, 3, -4),
    "mod": (math_ops.mod, 1, 1),
    "floormod": (math_ops.floormod, 1, 1),
    "truncatediv": (math_ops.truncatediv, 3, -3),
    "truncatemod": (math_ops.truncatemod, 1, -1),
    "divmod": (lambda x, y: divmod(x, y)[1], 1, 1),
}


@pytest.mark.parametrize("name", DIVISIONS)
@pytest.mark.parametrize("dtype", [dtypes.int32, dtypes.int64, dtypes.uint8])
def test_an_integer_by_zero_is_an_error(name, dtype):
    divide, of_seven, of_minus_seven = DIVISIONS[name]
    x, y = placeholder(dtype), placeholder(dtype)
    two = divide(x, y)
    number = dtype.numpy.type
    assert evaluate(two, {x: number(7), y: number(2)}) == of_seven
    if dtype is not dtypes.uint8:
        assert evaluate(two, {x: np.array([7, -7], number), y: number(2)}).tolist() == [of_seven, of_minus_seven]
    with pytest.raises(InvalidArgumentError, match="^Integer division by zero"):
        evaluate(two, {x: number(7), y: number(0)})
    with pytest.raises(InvalidArgumentError, match="^Integer division by zero"):
        evaluate(two, {x: np.array([7, 7], number), y: np.array([1, 0], number)})
    assert evaluate(two, {x: np.zeros(0, number), y: number(0)}).shape == (0,)
    assert divide(x, convert_to_tensor(number(2))).dtype == dtype


def test_numpy_s_own_function_gives_what_numpy_gives():
    x = placeholder(dtypes.int32)
    with np.errstate(all="ignore"):
        assert evaluate(np.floor_divide(x, 0), {x: np.int32(7)}) == 0


def test_floats_by_zero_are_what_they_always_were():
    x = placeholder(dtypes.float32)
    values = np.array([1, -1, 0], np.float32)
    with np.errstate(all="ignore"):
        for divide in (math_ops.floordiv, math_ops.div, math_ops.realdiv, math_ops.truncatediv):
            np.testing.assert_array_equal(evaluate(divide(x, np.float32(0)), {x: values}), [np.inf, -np.inf, np.nan])
    found = evaluate(math_ops.div_no_nan(x, np.array([0, 2, 0], np.float32)), {x: values})
    assert found.tolist() == [0, -0.5, 0]


@given(nps.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3))
def test_every_pair_of_shapes_that_broadcasts_gives_the_shape_of_numpy(drawn):
    with Graph().as_default():
        left, right = (np.ones(shape, np.float32) for shape in drawn.input_shapes)
        for function in (math_ops.add, math_ops.squared_difference, math_ops.less):
            tensor = function(left, right)
            assert tensor.raw_shape == drawn.result_shape == evaluate(tensor).shape


def test_shapes_that_do_not_broadcast_are_refused_when_the_node_is_built():
    with pytest.raises(ValueError, match="Dimensions must be equal, but are"):
        math_ops.add(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="Dimensions must be equal, but are"):
        math_ops.squared_difference(np.ones(3), np.ones(4))


@pytest.mark.parametrize(("name", "function"), REDUCTIONS)
@pytest.mark.parametrize("axis", [None, 0, -1, [0, 2], (1,), ()])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_reductions(name, function, axis, keepdims, dtype):
    x = (5 * RNG.normal(size=(2, 3, 4))).astype(dtype)
    expected = function(x, axis=None if axis is None else tuple(np.ravel(axis).astype(int)), keepdims=keepdims)
    if name == "reduce_mean" and dtype == np.int32:
        expected = np.trunc(expected)
    value = check(getattr(math_ops, name)(x, axis, keepdims), expected, 1e-4)
    if name in ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_mean"):
        assert value.dtype == dtype
    if name in ("reduce_std", "reduce_variance"):
        assert value.dtype == (np.float64 if dtype == np.int32 else dtype)


@pytest.mark.parametrize("name", ["reduce_sum", "reduce_max", "reduce_min"])
@pytest.mark.parametrize("columns", [1, 2, 3, 5, 7, 8, 11, 32, 33])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint8])
def test_reductions_over_a_short_last_axis_are_numpy_s_to_the_last_bit(name, columns, dtype):
    rows = np.random.default_rng(columns).normal(scale=100, size=(3, 800, columns)).astype(dtype)
    rows[0, :3] = 0
    if dtype in (np.float32, np.float64):
        rows[1, 5, 0] = np.nan
    function = {"reduce_sum": np.sum, "reduce_max": np.max, "reduce_min": np.min}[name]
    wanted = {"dtype": rows.dtype} if name == "reduce_sum" else {}
    for axis, keepdims in ((-1, False), (2, True), ([2], False)):
        found = evaluate(getattr(math_ops, name)(convert_to_tensor(rows), axis, keepdims))
        expected = function(rows, axis=-1, keepdims=keepdims, **wanted)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("name", "function"), REDUCTIONS)
def test_reductions_over_an_axis_that_is_known_only_at_run_time(name, function):
    axis = placeholder(dtypes.int32)
    tensor = getattr(math_ops, name)(A, axis, keepdims=True)
    assert tensor.raw_shape == (None, None)
    for axes in ([1], [0, 1]):
        value = evaluate(tensor, {axis: axes})
        np.testing.assert_allclose(value, function(A, axis=tuple(axes), keepdims=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.uint8])
@pytest.mark.parametrize("fed", [False, True])
def test_the_maximum_of_an_empty_axis_is_the_smallest_value(dtype, fed):
    ends = (-np.inf, np.inf) if dtype in (np.float32, np.float64) else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    x, place = placeholder(dtypes.as_dtype(dtype)), placeholder(dtypes.int32)
    axis, feeds = place if fed else [1], {x: np.zeros((2, 0), dtype), place: [1]}
    for function, wanted in ((math_ops.reduce_max, ends[0]), (math_ops.reduce_min, ends[1])):
        assert evaluate(function(x, axis), feeds).tolist() == [wanted, wanted]
        assert evaluate(function(x, axis, keepdims=True), feeds).shape == (2, 1)
        assert evaluate(function(x), feeds) == wanted
        assert evaluate(function(x, 0), feeds).shape == (0,)
    mean = evaluate(math_ops.reduce_mean(x, axis), feeds)
    if dtype in (np.float32, np.float64):
        assert np.isnan(mean).all()
        assert evaluate(math_ops.reduce_logsumexp(x, axis), feeds).tolist() == [-np.inf, -np.inf]
    else:
        assert mean.tolist() == [0, 0]


@pytest.mark.parametrize(("values", "mean"), [([1, 2], 1), ([-1, 0], 0), ([-3, -4], -3), ([2**31 - 1] * 3, 2**31 - 1)])
def test_the_mean_of_integers_is_one_rounded_towards_zero(values, mean):
    found = evaluate(math_ops.reduce_mean(convert_to_tensor(np.array(values, np.int32))))
    assert (found, found.dtype) == (mean, np.int32)
    small = evaluate(math_ops.reduce_mean(convert_to_tensor(np.array([200, 201, 255], np.uint8))))
    assert (small, small.dtype) == (218, np.uint8)


def test_logsumexp_is_right_to_the_last_bits_of_its_dtype():
    x = (10 * RNG.normal(size=1000)).astype(np.float32)
    wide = x.astype(np.float64)
    assert abs(evaluate(math_ops.reduce_logsumexp(convert_to_tensor(x))) - scipy.special.logsumexp(wide)) < 4e-6
    for value in (1e5, 1e30, -1e5):
        assert evaluate(math_ops.reduce_logsumexp(np.full(1, value, np.float32))) == np.float32(value)


def test_the_old_names_of_axis_and_keepdims():
    check(math_ops.reduce_sum(A, reduction_indices=[1], keep_dims=True), A.sum(1, keepdims=True))
    check(math_ops.argmax(A, dimension=1), A.argmax(1))
    check(math_ops.arg_max(A, 1), A.argmax(1))
    check(math_ops.arg_min(A, dimension=0), A.argmin(0))
    with pytest.raises(ValueError, match="Cannot specify both 'reduction_indices' and 'axis'"):
        math_ops.reduce_max(A, axis=0, reduction_indices=1)
    with pytest.raises(ValueError, match="Cannot specify both 'keep_dims' and 'keepdims'"):
        math_ops.reduce_max(A, keepdims=True, keep_dims=True)


def test_an_axis_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="Invalid reduction dimension 2 for input with 2 dimensions"):
        math_ops.reduce_sum(A, axis=2)
    with pytest.raises(ValueError, match="duplicate"):
        math_ops.reduce_sum(A, axis=[0, -2])
    for kind in (ValueError, InvalidArgumentError):
        with pytest.raises(kind, match=r"Expected dimension in the range \[-2, 2\), but got 5"):
            math_ops.argmax(A, axis=5)
        with pytest.raises(kind, match=r"Expected scan axis in the range \[-2, 2\), but got -3"):
            math_ops.cumsum(A, -3)
        with pytest.raises(kind, match=r"axis must be a scalar, not \[1\]"):
            math_ops.cumsum(A, [0])


def test_an_unknown_batch_stays_unknown_and_the_rest_known():
    x = placeholder(dtypes.float32, [None, 4])
    assert math_ops.reduce_sum(x, axis=1).raw_shape == (None,)
    assert math_ops.reduce_sum(x, axis=0, keepdims=True).raw_shape == (1, 4)
    assert math_ops.reduce_mean(x).raw_shape == ()
    assert math_ops.matmul(x, np.ones((4, 2), np.float32)).raw_shape == (None, 2)
    assert math_ops.reduce_sum(placeholder(dtypes.float32), axis=0).raw_shape is None


def test_logsumexp_does_not_overflow():
    assert evaluate(math_ops.reduce_logsumexp([1000.0, 1000.0])) == pytest.approx(1000 + np.log(2))
    assert evaluate(math_ops.reduce_logsumexp(np.array([-np.inf, -np.inf]))) == -np.inf


def test_truth_values_are_counted():
    check(math_ops.reduce_sum(BOOLS), BOOLS.sum())
    check(math_ops.reduce_mean(BOOLS, 0), BOOLS.mean(0))
    check(math_ops.reduce_any(BOOLS, 0), BOOLS.any(0))
    check(math_ops.count_nonzero(BOOLS, dtype=dtypes.int32), BOOLS.sum())
    assert evaluate(math_ops.count_nonzero(["a", "", "b"])) == 2


@pytest.mark.parametrize("x", [A, INTS, A.astype(np.float32), BOOLS, A.T])
def test_argmax_and_argmin_are_int64_along_the_first_axis(x):
    assert check(math_ops.argmax(x), np.argmax(x, 0)).dtype == np.int64
    assert check(math_ops.argmin(x, -1), np.argmin(x, -1)).dtype == np.int64
    assert check(math_ops.argmax(x, 1, output_type=dtypes.int32), np.argmax(x, 1)).dtype == np.int32
    axis = placeholder(dtypes.int32, [])
    np.testing.assert_array_equal(evaluate(math_ops.argmin(x, axis), {axis: 1}), np.argmin(x, 1))


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.float32])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_cumulative_sums_and_products_in_every_direction(dtype, axis):
    x = (3 * SIGNED).astype(dtype)
    for operation, function, unit in [(math_ops.cumsum, np.cumsum, 0), (math_ops.cumprod, np.cumprod, 1)]:
        flipped = np.flip(function(np.flip(x, axis), axis), axis)
        assert check(operation(x, axis), function(x, axis)).dtype == dtype
        check(operation(x, axis, reverse=True), flipped)
        start = np.full_like(np.take(x, [0], axis), unit)
        part = np.take(function(x, axis), range(x.shape[axis] - 1), axis)
        check(operation(x, axis, exclusive=True), np.concatenate([start, part], axis))
        part = np.take(flipped, range(1, x.shape[axis]), axis)
        check(operation(x, axis, exclusive=True, reverse=True), np.concatenate([part, start], axis))
        place = placeholder(dtypes.int32, [])
        np.testing.assert_allclose(evaluate(operation(x, place), {place: axis}), function(x, axis), rtol=1e-6)
    check(math_ops.cumsum(x[:0], 0, exclusive=True), x[:0])


def test_logarithms_of_cumulative_sums_do_not_overflow():
    x = np.array([[1000.0, 0.0, 999.0], [-2000.0, -2001.0, -1990.0]])
    expected = np.logaddexp.accumulate(x, axis=1)
    check(tf.math.cumulative_logsumexp(x, 1), expected)
    check(tf.math.cumulative_logsumexp(x[:, ::-1], 1, reverse=True), expected[:, ::-1])
    start = np.full((2, 1), -np.inf)
    check(tf.math.cumulative_logsumexp(x, 1, exclusive=True), np.concatenate([start, expected[:, :-1]], 1))


MATRICES = [((3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((6, 1, 3, 4), (2, 4, 5)), ((2, 3, 4), (4, 5))]


@pytest.mark.parametrize(("left", "right"), MATRICES)
@pytest.mark.parametrize("dtype", [np.float32, np.complex128, np.int32])
@pytest.mark.parametrize("flip_a", [None, "transpose_a", "adjoint_a"])
@pytest.mark.parametrize("flip_b", [None, "transpose_b", "adjoint_b"])
def test_matmul(left, right, dtype, flip_a, flip_b):
    def number(shape):
        return (5 * (RNG.normal(size=shape) + (1j * RNG.normal(size=shape) if dtype == np.complex128 else 0))).astype(
            dtype
        )

    a, b = number(left), number(right)
    expected = a @ b
    flags: dict[str, Any] = {flag: True for flag in (flip_a, flip_b) if flag}
    given_a, given_b = (
        x if flag is None else x.swapaxes(-1, -2) if flag.startswith("transpose") else x.swapaxes(-1, -2).conj()
        for x, flag in ((a, flip_a), (b, flip_b))
    )
    assert check(math_ops.matmul(given_a, given_b, **flags), expected, 1e-5).dtype == dtype


def test_a_vector_is_a_factor_of_numpy_s_product_and_of_no_other():
    a, b = convert_to_tensor(A), convert_to_tensor(B)
    check(a @ B, A @ B)
    check(b @ A.T, B @ A.T)
    check(np.matmul(b, B), B @ B)
    for left, right in ((A, B), (B, A.T), (B, B)):
        with pytest.raises(ValueError, match="Shape must be rank 2 but is rank 1"):
            math_ops.matmul(left, right)
    unknown = placeholder(dtypes.float64)
    with pytest.raises(InvalidArgumentError, match=r"In\[1\] is not a matrix. Instead it has shape"):
        evaluate(math_ops.matmul(A, unknown), {unknown: B})
    check(math_ops.matmul(A, A.T), A @ A.T)


def test_factors_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="Dimensions must be equal, but are 4 and 3 for 'MatMul'"):
        math_ops.matmul(A, A)
    with pytest.raises(ValueError, match="Shape must be rank 2 but is rank 0"):
        math_ops.matmul(A, 2.0)
    with pytest.raises(ValueError, match="Only one of transpose_a and adjoint_a"):
        math_ops.matmul(A, A, transpose_a=True, adjoint_a=True)


def test_tensordot_einsum_cross_and_trace():
    x, y = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(4, 3, 5))
    axes: Any
    for axes in (0, 1, [[2], [0]], [[1, 2], [1, 0]], [2, 0], [[-1], [0]]):
        check(math_ops.tensordot(x, y, axes), np.tensordot(x, y, axes))
    for equation, inputs in [
        ("ij,jk->ik", [A, A.T]), ("ij,kj", [A, A]), ("ii", [A[:, :3]]), ("ij->ji", [A]), ("ij,ij->", [A, A]),
        ("...ij,...jk->...ik", [x, x.swapaxes(1, 2)]),
        ("abc,cbd->ad", [x, y]), ("i,j,k->ijk", [B, B, B]), ("ba", [A]),
    ]:  # fmt: skip
        check(math_ops.einsum(equation, *inputs), np.einsum(equation, *inputs))
    large = RNG.normal(size=(60, 60))
    check(math_ops.einsum("ij, jk -> ik", large, large), large @ large)
    check(math_ops.cross(x[..., :3], x[..., 1:]), np.cross(x[..., :3], x[..., 1:]))
    assert check(math_ops.trace(INTS), np.trace(INTS)).dtype == np.int32
    check(math_ops.trace(x), np.trace(x, axis1=1, axis2=2))


def test_products_do_not_broadcast_axes_of_size_one():
    some, other = np.ones((1, 2), np.float32), np.ones((1, 1), np.float32)
    with pytest.raises(ValueError, match="Dimensions must be equal, but are 2 and 1 for 'j'"):
        math_ops.einsum("ij,kj->ik", some, other)
    with pytest.raises(ValueError, match="not compatible"):
        math_ops.cross(np.ones((1, 3)), np.ones(3))
    x, y = placeholder(dtypes.float32), placeholder(dtypes.float32)
    with pytest.raises(
        InvalidArgumentError, match=r"Expected dimension 2 at axis 1 of the input shaped \[1,1\] but got"
    ):
        evaluate(math_ops.einsum("ij,kj->ik", x, y), {x: some, y: other})
    with pytest.raises(InvalidArgumentError, match=r"must be of same shape: \[1,3\] vs. \[3\]"):
        evaluate(math_ops.cross(x, y), {x: np.ones((1, 3), np.float32), y: np.ones(3, np.float32)})
    wide, feeds = math_ops.einsum("...ij,...jk->...ik", x, y), {x: np.ones((3, 1, 2), "f"), y: np.ones((1, 2, 1), "f")}
    assert evaluate(wide, feeds).tolist() == [[[2]], [[2]], [[2]]]


@pytest.mark.parametrize(
    ("values", "most", "least"),
    [
        ([1.0, np.nan, 3.0, 2.0], 2, 0), ([np.nan, np.nan, 3.0, 2.0], 2, 3), ([np.nan, np.nan], 0, 0),
        ([-np.inf, np.nan, np.inf], 2, 0), ([3, 1, 2], 0, 1),
    ],
)  # fmt: skip
def test_nan_is_no_extreme(values, most, least):
    x, feeds = placeholder(np.asarray(values).dtype), np.asarray(values)
    for tensor, fed in ((values, {}), (x, {x: feeds})):
        assert evaluate(math_ops.argmax(tensor), fed) == most
        assert evaluate(math_ops.argmin(tensor), fed) == least
        assert evaluate(math_ops.argmin(tensor, output_type=dtypes.int32), fed) == least


@pytest.mark.parametrize("dtype", [dtypes.int8, dtypes.uint8, dtypes.int16, dtypes.uint16])
def test_small_integers_are_divided_as_float32(dtype):
    x = tf.constant([1, 2], dtype)
    for made in (tf.truediv(x, [2, 8]), tf.divide(x, [2, 8]), x / [2, 8]):
        assert check(made, [0.5, 0.25]).dtype == np.float32
    assert check(1 / x, [1, 0.5]).dtype == np.float32
    assert np.divide(x, x).dtype is dtypes.float64  # NumPy's function is NumPy's
    assert (tf.constant([1]) / 2).dtype is dtypes.float64


def test_products_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="Dimensions must be equal"):
        math_ops.tensordot(A, A, 1)
    with pytest.raises(ValueError, match="Different number of contraction axes"):
        math_ops.tensordot(A, A, [[0], [0, 1]])
    with pytest.raises(ValueError, match="must not be larger"):
        math_ops.tensordot(A, A, 3)
    with pytest.raises(ValueError, match="Got 1 arguments for equation"):
        math_ops.einsum("ij,jk->ik", A)
    with pytest.raises(ValueError, match="Indices have incorrect format"):
        math_ops.einsum("i1->i", A)
    with pytest.raises(ValueError, match="Dimensions must be equal, but are 4 and 3 for 'j'"):
        math_ops.einsum("ij,jk->ik", A, A)
    with pytest.raises(ValueError, match="Unexpected number of dimensions"):
        math_ops.einsum("i->i", A)
    with pytest.raises(ValueError, match="Unknown label"):
        math_ops.einsum("i->k", B)
    with pytest.raises(ValueError, match="only defined for 3-element vectors"):
        math_ops.cross(A, A)


def test_add_n_and_its_kin():
    check(math_ops.add_n([A, A, 2 * A]), 4 * A)
    check(math_ops.accumulate_n([INTS, INTS], tensor_dtype=dtypes.int32), 2 * INTS)
    check(math_ops.scalar_mul(2.0, A), 2 * A)
    for bad in ([], A, [A, B]):
        with pytest.raises(ValueError, match="must be a list of at least one Tensor"):
            math_ops.add_n(bad)
    with pytest.raises(TypeError, match="tensor_dtype is float32"):
        math_ops.accumulate_n([A], tensor_dtype=dtypes.float32)
    with pytest.raises(ValueError, match="Only scalar multiply works"):
        math_ops.scalar_mul(B, A)


@pytest.mark.parametrize("given", [np.float64, np.float32, np.int32, np.uint8, np.bool_, np.complex64])
@pytest.mark.parametrize("wanted", [dtypes.float64, dtypes.float32, dtypes.int32, dtypes.uint8, dtypes.bool])
def test_cast_is_that_of_numpy(given, wanted):
    x = np.abs(3 * SIGNED).astype(given)
    check(math_ops.cast(x, wanted), np.real(x).astype(wanted.numpy))
    check(math_ops.cast(x[0, 0], wanted.name), np.real(x[0, 0]).astype(wanted.numpy))


def test_casting_to_the_same_dtype_makes_no_node():
    x = convert_to_tensor(A)
    assert math_ops.cast(x, dtypes.float64) is x
    with pytest.raises(TypeError, match="Cast string to float32 is not supported"):
        math_ops.cast("a", dtypes.float32)


def test_an_object_casts_when_it_runs():
    x = placeholder(dtypes.object)
    assert evaluate(math_ops.cast(x, dtypes.float32), {x: [1, 2]}).tolist() == [1.0, 2.0]


def test_the_named_casts():
    for function, dtype in [
        (math_ops.to_float, "float32"), (math_ops.to_double, "float64"),
        (math_ops.to_int32, "int32"), (math_ops.to_int64, "int64"),
    ]:  # fmt: skip
        assert check(function(BOOLS), BOOLS.astype(dtype)).dtype == dtype


@pytest.mark.parametrize(
    ("given", "wanted", "x", "expected"),
    [
        (np.float32, "int32", [-1e20, 1e20, 3.7], [-(2**31), 2**31 - 128, 3]),
        (np.float64, "int32", [-1e20, 1e20, 3.7], [-(2**31), 2**31 - 1, 3]),
        (np.int32, "uint8", [-5, 300, 7], [0, 255, 7]),
        (np.int64, "float16", [10**9, -(10**9), 7], [65504, -65504, 7]),
        (np.float64, "float32", [1e300, -1e300, 0.5], [3.4028235e38, -3.4028235e38, 0.5]),
        (np.uint8, "int64", [255, 0, 1], [255, 0, 1]),
    ],
)
def test_saturate_cast_stops_at_the_limits(given, wanted, x, expected):
    value = evaluate(math_ops.saturate_cast(np.array(x, given), wanted))
    assert value.dtype == wanted
    np.testing.assert_allclose(value.astype(float), expected)


def test_complex_numbers_and_their_parts():
    assert check(math_ops.complex(SIGNED, A), COMPLEX).dtype == np.complex128
    value = evaluate(math_ops.complex(np.float32(1), [2.0, np.inf]))
    assert value.dtype == np.complex64
    assert value.tolist() == [1 + 2j, complex(1, np.inf)]
    for dtype in (np.complex64, np.complex128):
        x = COMPLEX.astype(dtype)
        check(math_ops.real(x), x.real)
        check(math_ops.imag(x), x.imag)
        check(math_ops.conj(x), x.conj())
        check(math_ops.angle(x), np.angle(x))
        check(math_ops.abs(x), np.abs(x))
        check(math_ops.squared_difference(x, 2 * x), np.abs(x) ** 2)
        check(math_ops.real(x[0, 0]), x[0, 0].real)
    check(math_ops.angle(SIGNED), np.angle(SIGNED))
    with pytest.raises(TypeError, match="real and imag have incorrect types"):
        math_ops.complex(1, 2)


def test_ranges():
    assert check(math_ops.range(5), np.arange(5)).dtype == np.int32
    check(math_ops.range(2, 9, 3), np.arange(2, 9, 3))
    check(math_ops.range(5, 0, -2), np.arange(5, 0, -2))
    check(math_ops.range(5, 5), [])
    assert check(math_ops.range(0.5, 2, 0.25), np.arange(0.5, 2, 0.25)).dtype == np.float32
    assert check(math_ops.range(3, dtype=dtypes.int64), np.arange(3)).dtype == np.int64
    limit = placeholder(dtypes.int32, [])
    tensor = math_ops.range(1, limit)
    assert tensor.raw_shape == (None,)
    assert evaluate(tensor, {limit: 4}).tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="Requires delta != 0"):
        math_ops.range(0, 5, 0)
    with pytest.raises(ValueError, match="Requires start <= limit when delta > 0: 5/0"):
        math_ops.range(5, 0)
    with pytest.raises(ValueError, match="Requires start <= limit when delta > 0: 1/-1"):
        evaluate(tensor, {limit: -1})


def test_linspace_of_vectors_adds_an_axis():
    check(math_ops.linspace([0.0, 1.0], [1.0, 2.0], 3), [[0, 1], [0.5, 1.5], [1, 2]])


def test_linspace():
    assert check(math_ops.linspace(1.0, 2.0, 5), np.linspace(1, 2, 5)).dtype == np.float32
    check(math_ops.lin_space(np.float64(0), 1.0, 3), [0, 0.5, 1])
    num = placeholder(dtypes.int32, [])
    assert evaluate(math_ops.linspace(0.0, 1.0, num), {num: 3}).tolist() == [0.0, 0.5, 1.0]
    with pytest.raises(ValueError, match="Requires num > 0"):
        math_ops.linspace(0.0, 1.0, 0)


def test_clip_by_value():
    for dtype in (np.float32, np.int32):
        x = (5 * SIGNED).astype(dtype)
        assert check(math_ops.clip_by_value(x, -1, 2), np.clip(x, -1, 2)).dtype == dtype
    check(math_ops.clip_by_value(A, B - 0.1, B + 0.1), np.clip(A, B - 0.1, B + 0.1))
    with pytest.raises(ValueError, match="not compatible"):
        math_ops.clip_by_value(B, A, A)


def test_clip_by_average_norm_divides_the_norm_by_the_number_of_elements():
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    check(clip_by_average_norm(x, 1.0), x * (4 / 5))
    check(clip_by_average_norm(x, 2.0), x)


def test_clip_by_norm_only_makes_shorter():
    norm = np.linalg.norm(A)
    check(math_ops.clip_by_norm(A, norm / 2), A / 2)
    check(math_ops.clip_by_norm(A, norm * 2), A)
    check(math_ops.clip_by_norm(np.zeros(3), 1.0), np.zeros(3))
    rows = np.linalg.norm(A, axis=1, keepdims=True)
    check(math_ops.clip_by_norm(A, 0.5, axes=[1]), A * 0.5 / np.maximum(rows, 0.5))


def test_the_global_norm_is_that_of_all_tensors_together():
    norm = np.sqrt((A**2).sum() + (B**2).sum())
    check(math_ops.global_norm([A, None, B]), norm)
    assert math_ops.global_norm([None]) is None
    clipped: list[Any]
    clipped, whole = math_ops.clip_by_global_norm([A, None, B], norm / 4)
    check(whole, norm)
    check(clipped[0], A / 4)
    check(clipped[2], B / 4)
    assert clipped[1] is None
    same, _ = math_ops.clip_by_global_norm([A], 2 * norm)
    check(same[0], A)
    given, _ = math_ops.clip_by_global_norm([A], 1.0, use_norm=2.0)
    check(given[0], A / 2)
    single: list[Any]
    single, _ = math_ops.clip_by_global_norm([A.astype(np.float32)], 0.1)
    assert evaluate(single[0]).dtype == np.float32
    broken: list[Any]
    broken, _ = math_ops.clip_by_global_norm([np.array([np.inf, 1.0])], 1.0)
    assert np.isnan(evaluate(broken[0])).all()
    with pytest.raises(TypeError, match="t_list should be a sequence"):
        math_ops.clip_by_global_norm(convert_to_tensor(A), 1.0)


def test_bincount():
    numbers = [1, 5, 1, 0, 3]
    for kwargs, expected in [
        ({}, [1, 2, 0, 1, 0, 1]), ({"minlength": 8}, [1, 2, 0, 1, 0, 1, 0, 0]), ({"maxlength": 3}, [1, 2, 0]),
        ({"weights": [0.5, 1, 2, 3, 4]}, [3, 2.5, 0, 4, 0, 1]),
        ({"weights": [0.5, 1, 2, 3, 4], "minlength": 7, "maxlength": 2}, [3, 2.5]),
    ]:  # fmt: skip
        tensor = math_ops.bincount(numbers, **kwargs)
        assert tensor.raw_shape == (None,)
        value = evaluate(tensor)
        assert value.tolist() == expected
        assert value.dtype == (np.float32 if "weights" in kwargs else np.int32)
    assert evaluate(math_ops.bincount([[1, 1], [0, 2]], dtype=dtypes.int64)).tolist() == [1, 2, 1]


SEGMENTS = [("sum", np.sum, 0), ("prod", np.prod, 1), ("max", np.max, None), ("min", np.min, None)]


@pytest.mark.parametrize(("name", "function", "unit"), SEGMENTS)
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_segments_reduce_the_rows_with_one_id(name, function, unit, dtype):
    x, ids = (4 * RNG.normal(size=(5, 2))).astype(dtype), np.array([0, 0, 2, 2, 2])
    tensor = getattr(math_ops, f"segment_{name}")(x, ids)
    assert tensor.raw_shape == (None, 2)
    gap = np.full(2, unit or 0)
    np.testing.assert_allclose(evaluate(tensor), [function(x[:2], 0), gap, function(x[2:], 0)], rtol=1e-5)
    mixed = getattr(math_ops, f"unsorted_segment_{name}")(x, [1, -1, 3, 1, 3], 4)
    limit = {"max": mixed.dtype.min, "min": mixed.dtype.max}.get(name, unit)
    check(mixed, [[limit] * 2, function(x[[0, 3]], 0), [limit] * 2, function(x[[2, 4]], 0)], 1e-5)


def test_segments_of_unknown_count_of_several_axes_and_in_disorder():
    count = placeholder(dtypes.int32, [])
    x = np.arange(8.0).reshape(2, 2, 2)
    tensor = math_ops.unsorted_segment_sum(x, [[0, 1], [1, 0]], count)
    assert tensor.raw_shape == (None, 2)
    assert evaluate(tensor, {count: 2}).tolist() == [[6, 8], [6, 8]]
    with pytest.raises(ValueError, match="Shape must be rank 1"):
        math_ops.segment_sum(x, [[0, 1], [1, 0]])
    with pytest.raises(ValueError, match="does not start with"):
        math_ops.unsorted_segment_sum(x, [0, 1, 2], 3)


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-7, 7).filter(bool))
def test_the_length_of_a_range_is_known_when_it_is_built(start, limit, delta):
    with Graph().as_default():
        delta = -delta if (limit - start) * delta < 0 else delta
        tensor = math_ops.range(start, limit, delta)
        assert evaluate(tensor).tolist() == list(range(start, limit, delta))
        assert tensor.raw_shape == (len(range(start, limit, delta)),)


def test_a_name_asked_for_is_the_name_given():
    assert math_ops.exp(A, name="wave").op.name == "wave"
    assert math_ops.add(A, A).op.name == "Add"
    assert math_ops.reduce_sum(A, name="total").op.name == "total"
    assert math_ops.matmul(A, A.T).op.type == "MatMul"


def test_text_meets_text_alone(graph):
    with tf.Session() as session:
        both = tf.add("a", ["b", "c"])
        assert both.dtype is tf.string
        assert session.run(both).tolist() == [b"ab", b"ac"]
        assert session.run(tf.equal(["a", "b"], "a")).tolist() == [True, False]
    x = tf.constant([1.0, 2.0])
    for mixed in (lambda: x + "a", lambda: "a" + x, lambda: tf.equal(x, "a"), lambda: tf.multiply("a", "b")):
        with pytest.raises(TypeError, match="does not take|Expected float32, got .a. of type .str. instead"):
            mixed()
    with pytest.raises(TypeError, match="has DataType string not in list of allowed values"):
        tf.reduce_sum(["a"])


def test_a_matrix_has_no_negative_size(graph):
    with pytest.raises(ValueError, match="cannot have -1 rows"):
        tf.eye(-1)
