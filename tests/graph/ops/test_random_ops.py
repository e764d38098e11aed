"""Random operations: dtype, shape, and a fit that a wrong distribution would miss (seeds are fixed)."""

import numpy as np
import pytest
import scipy.stats

from tests.evaluate import evaluate
from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.graph import Graph
from weftwork.graph.ops import array_ops, random_ops, stateless
from weftwork.graph.stacks import get_default_graph

N = 20_000
FLOATS = [np.float16, np.float32, np.float64]


def draw(tensor, feeds=None):
    """The value, which must have the dtype and shape that the graph says."""
    value = evaluate(tensor, feeds)
    assert value.dtype == tensor.dtype.numpy
    assert tensor.raw_shape is not None
    assert len(tensor.raw_shape) == value.ndim
    assert all(said in (None, real) for said, real in zip(tensor.raw_shape, value.shape, strict=True))
    return value


def check_fit(value, distribution):
    """The sample fits the continuous distribution: a Kolmogorov-Smirnov test at one in a thousand."""
    assert scipy.stats.kstest(np.ravel(value).astype(np.float64), distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_normal_is_normal(dtype):
    value = draw(random_ops.random_normal([N], 3.0, 2.0, dtype, seed=1))
    assert value.dtype == dtype
    check_fit(value, scipy.stats.norm(3, 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_truncated_normal_ends_at_two_deviations(dtype):
    value = draw(random_ops.truncated_normal([N], 3.0, 0.5, dtype, seed=1))
    assert value.dtype == dtype
    assert 1.99 < value.min()
    assert value.max() < 4.01
    check_fit(value, scipy.stats.truncnorm(-2, 2, 3, 0.5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_uniform_fills_its_interval(dtype):
    check_fit(draw(random_ops.random_uniform([N], dtype=dtype, seed=1)), scipy.stats.uniform(0, 1))
    check_fit(draw(random_ops.random_uniform([N], -3, 5, dtype=dtype, seed=1)), scipy.stats.uniform(-3, 8))


def test_float16_draws_are_float16_and_uniform_never_reaches_one():
    uniform = draw(random_ops.random_uniform([10 * N], dtype=np.float16, seed=1))
    assert uniform.dtype == np.float16
    assert 0 <= uniform.min()
    assert uniform.max() < 1
    assert abs(uniform.astype(float).mean() - 0.5) < 0.01
    normal = draw(random_ops.random_normal([N], dtype=np.float16, seed=1)).astype(float)
    assert abs(normal.std() - 1) < 0.03


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
def test_random_integers_are_all_met_equally_often(dtype):
    value = draw(random_ops.random_uniform([N], 3, 8, dtype, seed=1))
    assert value.dtype == dtype
    numbers, counts = np.unique(value, return_counts=True)
    assert numbers.tolist() == [3, 4, 5, 6, 7]
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_random_uniform_wants_a_maximum_for_integers_and_a_number_type():
    with pytest.raises(ValueError, match="Must specify maxval for integer dtype"):
        random_ops.random_uniform([2], dtype=dtypes.int32)
    with pytest.raises(ValueError, match="Invalid dtype"):
        random_ops.random_uniform([2], dtype=dtypes.bool)
    with pytest.raises(ValueError, match="Invalid dtype"):
        random_ops.random_normal([2], dtype=dtypes.int32)


@pytest.mark.parametrize("make", [random_ops.random_normal, random_ops.truncated_normal, random_ops.random_uniform])
@pytest.mark.parametrize("shape", [[], [3], (2, 3), np.array([4, 1]), [0, 2]])
def test_a_shape_may_be_a_list_a_tuple_or_an_array(make, shape):
    tensor = make(shape, seed=1)
    assert tensor.raw_shape == tuple(shape)
    assert draw(tensor).shape == tuple(shape)


def test_a_shape_may_be_a_tensor():
    x = array_ops.placeholder(dtypes.float32, [None, 3])
    value = draw(random_ops.random_normal(array_ops.shape(x), seed=1), {x: np.ones((5, 3), np.float32)})
    assert value.shape == (5, 3)
    size = array_ops.placeholder(dtypes.int32, [])
    assert draw(random_ops.random_uniform([size, 2], seed=1), {size: np.int32(4)}).shape == (4, 2)


def test_a_shape_that_is_not_known_whole_is_refused():
    with pytest.raises(ValueError, match="Cannot convert a partially known TensorShape to a Tensor"):
        random_ops.random_normal([None, 2])


@pytest.mark.parametrize("make", [random_ops.random_normal, random_ops.truncated_normal])
def test_mean_and_deviation_may_be_tensors_that_broadcast(make):
    value = draw(make([N, 2], convert_to_tensor([0.0, 100.0]), np.array([1.0, 5.0], np.float32), seed=1))
    expected = {random_ops.random_normal: 1.0}.get(make, scipy.stats.truncnorm.std(-2, 2))
    np.testing.assert_allclose(value.mean(0), [0, 100], atol=0.2)
    np.testing.assert_allclose(value.std(0), [expected, 5 * expected], rtol=0.05)


def test_a_node_is_named_as_asked_and_typed_as_in_tensorflow():
    tensor = random_ops.random_normal([2], name="noise")
    assert (tensor.op.name, tensor.op.type) == ("noise", "RandomStandardNormal")


def test_random_gamma_joins_the_shapes_and_fits():
    value = draw(random_ops.random_gamma([N], [0.5, 3.0], [[1.0], [2.0]], seed=1))
    assert value.shape == (N, 2, 2)
    for i, j in np.ndindex(2, 2):
        check_fit(value[:, i, j], scipy.stats.gamma([0.5, 3.0][j], scale=1 / [1.0, 2.0][i]))
    assert draw(random_ops.random_gamma([100], 1e-4, dtype=np.float64, seed=1)).min() > 0


def test_random_poisson_joins_the_shapes_and_fits():
    value = draw(random_ops.random_poisson([1.0, 12.0], [N], seed=1))
    assert value.shape == (N, 2)
    assert value.dtype == np.float32
    np.testing.assert_allclose(value.mean(0), [1, 12], rtol=0.05)
    np.testing.assert_allclose(value.var(0), [1, 12], rtol=0.1)
    assert draw(random_ops.random_poisson(2.0, [3], dtypes.int64)).dtype == np.int64


def test_multinomial_meets_each_class_by_its_probability():
    logits = np.log(np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]], np.float32), where=[[True] * 3, [True, True, False]],
                    out=np.full((2, 3), -np.inf, np.float32))  # fmt: skip
    value = draw(random_ops.multinomial(logits + np.float32(1000), N, seed=1))
    assert value.shape == (2, N)
    assert value.dtype == np.int64
    frequencies = [np.bincount(row, minlength=3) / N for row in value]
    np.testing.assert_allclose(frequencies, [[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]], atol=0.02)
    assert 2 not in value[1]
    assert draw(random_ops.categorical(logits, 5, dtypes.int32)).dtype == np.int32


def test_random_shuffle_keeps_the_rows_and_moves_them():
    x = np.arange(200).reshape(100, 2)
    value = draw(random_ops.random_shuffle(x, seed=1))
    assert (value[np.argsort(value[:, 0])] == x).all()
    assert not (value == x).all()
    assert evaluate(random_ops.random_shuffle(np.int32(7))) == 7


def test_random_crop_cuts_a_part_at_any_place():
    x = np.arange(20).reshape(4, 5)
    corners = set()
    for seed in range(60):
        value = draw(random_ops.random_crop(x, [3, 4], seed=seed))
        row, column = divmod(int(value[0, 0]), 5)
        assert (value == x[row : row + 3, column : column + 4]).all()
        corners.add((row, column))
    assert corners == {(0, 0), (0, 1), (1, 0), (1, 1)}
    with pytest.raises(ValueError, match="Need value.shape >= size"):
        random_ops.random_crop(x, [5, 5])


def test_random_crop_takes_a_size_that_is_known_only_at_run_time():
    size = array_ops.placeholder(dtypes.int32, [2])
    x = np.arange(20).reshape(4, 5)
    value = evaluate(random_ops.random_crop(x, size, seed=1), {size: np.array([2, 5], np.int32)})
    assert value.shape == (2, 5)
    assert (np.diff(value) == 1).all()


def test_set_random_seed_is_the_seed_of_the_default_graph_only():
    outer = get_default_graph()
    before = outer.seed
    with Graph().as_default() as graph:
        random_ops.set_random_seed(42)
        assert graph.seed == 42
    assert outer.seed == before


def test_equal_seeds_draw_equal_numbers_and_others_do_not():
    a, b, c = (evaluate(random_ops.random_normal([8], seed=seed)) for seed in (5, 5, 6))
    assert (a == b).all()
    assert not (a == c).any()


def test_whole_numbers_need_room_between_their_bounds_unless_there_are_none():
    with pytest.raises(InvalidArgumentError, match="Need minval < maxval, got 5 >= 5"):
        evaluate(random_ops.random_uniform([2], 5, 5, dtypes.int32))
    assert evaluate(random_ops.random_uniform([0, 2], 5, 5, dtypes.int32)).shape == (0, 2)


def test_the_seed_of_a_stateless_operation_is_two_whole_numbers():
    for seed, error in (([1.0, 2.0], TypeError), ([1], ValueError)):
        with Graph().as_default(), pytest.raises(error, match="seed"):
            stateless.stateless_random_uniform([2], seed)
