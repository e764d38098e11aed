"""Every operation of the library with a float input has a derivative, says that none flows, or says that it has none.

Derivatives are compared with central differences in float64: of a random weighted sum of the outputs, with respect to
each element of each input; second derivatives in the same way, from the first. Each case runs with shapes that are
known, with unknown dimensions, and with unknown ranks, since the rules make other nodes for each.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import weftwork as tf
from tests.evaluate import evaluate
from weftwork.graph.nest import flatten

STEP = 1e-6


class Case(NamedTuple):
    """An operation on some inputs."""

    build: Callable
    inputs: tuple[np.ndarray, ...]
    second: bool = True
    dynamic: bool = True


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return rng(seed).standard_normal(shape)


def positive(*shape: int, seed: int = 0) -> np.ndarray:
    return rng(seed).uniform(0.3, 1.7, shape)


def inside(*shape: int, seed: int = 0) -> np.ndarray:
    """Between -0.9 and 0.9, away from zero."""
    x = rng(seed).uniform(0.1, 0.9, shape)
    return x * rng(seed + 1).choice([-1.0, 1.0], shape)


def apart(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers that differ by more than the step, in random order."""
    size = int(np.prod(shape))
    return (rng(seed).permutation(size) - size / 2 + 0.25).reshape(shape) * 0.3


def definite(n: int, *batch: int) -> np.ndarray:
    x = normal(*batch, n, n)
    return x @ np.swapaxes(x, -1, -2) + n * np.eye(n)


def square(n: int, *batch: int) -> np.ndarray:
    return normal(*batch, n, n) + 2 * np.eye(n)


def symmetric(function: Callable) -> Callable:
    """A function of symmetric matrices as one of any: that of the mean of a matrix and its transpose."""

    def of_any(x):
        rank = 2 if x.shape.ndims is None else x.shape.ndims
        turned = tf.transpose(x, [*range(rank - 2), rank - 1, rank - 2])
        return function((x + turned) * 0.5)

    return of_any


# Measuring


def weighted(outputs: Any, seed: int) -> Any:
    """The sum of all float outputs, each element times a fixed random number."""
    outputs = flatten(outputs)
    total = None
    for i, out in enumerate(outputs):
        if out.dtype.base_dtype.is_floating:
            weights = np.sin(np.arange(5000) * (1.3 + seed) + i) + 0.2
            flat = tf.reshape(out, [-1])
            part = tf.reduce_sum(flat * tf.constant(weights)[: tf.size(flat)])
            total = part if total is None else total + part
    return total


def numeric(tensor: Any, places: list, values: list[np.ndarray]) -> list[np.ndarray]:
    """The derivatives of a scalar tensor by central differences."""
    found = []
    for k, value in enumerate(values):
        slope = np.zeros(value.shape)
        for index in np.ndindex(value.shape):
            ends = []
            for sign in (1, -1):
                moved = [v.copy() for v in values]
                moved[k][index] += sign * STEP
                ends.append(evaluate(tensor, dict(zip(places, moved, strict=True))))
            slope[index] = (ends[0] - ends[1]) / (2 * STEP)
        found.append(slope)
    return found


def check(build: Callable, *inputs: Any, second: bool = True, shape: str = "static") -> None:
    """The derivatives that the graph gives are those of central differences."""
    values = [np.asarray(v, np.float64) for v in inputs]
    with tf.Graph().as_default():
        known = {"static": lambda v: v.shape, "dims": lambda v: [None] * v.ndim, "rank": lambda v: None}[shape]
        places = [tf.placeholder(tf.float64, known(v)) for v in values]
        loss = weighted(build(*places), 0)
        feeds = dict(zip(places, values, strict=True))
        grads = tf.gradients(loss, places)
        wanted = numeric(loss, places, values)
        for grad, slope in zip(grads, wanted, strict=True):
            value = np.zeros(slope.shape) if grad is None else evaluate(tf.convert_to_tensor(grad), feeds)
            np.testing.assert_allclose(value, slope, rtol=2e-5, atol=2e-6)
        if second:
            again = weighted([tf.convert_to_tensor(g) for g in grads if g is not None], 1)
            seconds = tf.gradients(again, places)
            for grad, slope in zip(seconds, numeric(again, places, values), strict=True):
                value = np.zeros(slope.shape) if grad is None else evaluate(tf.convert_to_tensor(grad), feeds)
                np.testing.assert_allclose(value, slope, rtol=2e-4, atol=2e-5)


# The cases, by public name

HALF_INT = np.array([1, 0, 2, 1])
UNARY: dict[str, Callable] = {
    **dict.fromkeys("negative square exp expm1 sin cos sinh cosh tanh asinh atan sigmoid erf erfc".split(), normal),
    **dict.fromkeys("sqrt rsqrt reciprocal log log1p lgamma digamma".split(), positive),
    **dict.fromkeys("asin acos atanh tan abs".split(), inside),
    "acosh": lambda *shape: positive(*shape) + 1.2,
}
BINARY: dict[str, tuple[Callable, Callable]] = {
    **dict.fromkeys("add subtract multiply squared_difference".split(), (normal, normal)),
    **dict.fromkeys("divide truediv div realdiv pow atan2".split(), (positive, positive)),
    **dict.fromkeys("maximum minimum".split(), (apart, normal)),
    **dict.fromkeys("mod floormod".split(), (lambda *s, seed=0: 3.3 * positive(*s), positive)),
}
CONSTANT_SLOPE = (
    "sign rint floor ceil round floordiv floor_div equal not_equal less less_equal greater greater_equal is_nan is_inf "
    "is_finite"
).split()

CASES: dict[str, list[Case]] = {}
for _name, _draw in UNARY.items():
    CASES[_name] = [Case(getattr(tf, _name), (_draw(2, 3),)), Case(getattr(tf, _name), (_draw(),))]
for _name, (_left, _right) in BINARY.items():
    CASES[_name] = [
        Case(getattr(tf, _name), (_left(2, 3), _right(2, 3, seed=1))),
        Case(getattr(tf, _name), (_left(2, 1), _right(3, seed=1))),
        Case(getattr(tf, _name), (_left(), _right(2, 2, seed=1))),
    ]
for _name in CONSTANT_SLOPE:
    _function = getattr(tf, _name)
    _count = len([p for p in inspect.signature(_function).parameters if p != "name"])
    CASES[_name] = [
        Case(lambda *x, f=_function: (f(*x), x[0]), tuple(apart(2, 3, seed=k) + 0.1 for k in range(_count)))
    ]


def case(name: str, build: Callable, *inputs: Any, second: bool = True, dynamic: bool = True) -> None:
    CASES.setdefault(name, []).append(Case(build, tuple(np.asarray(x) for x in inputs), second, dynamic))


# Elements

case("pow", lambda x: x**2, normal(3))
case("pow", lambda x: x**3.0, inside(3))
case("pow", lambda y: 2.0**y, normal(3))
case("igamma", lambda x: tf.igamma(np.array([0.7, 2.0]), x), positive(2))
case("igammac", lambda x: tf.igammac(np.array([0.7, 2.0]), x), positive(2))
case("igamma", lambda a: tf.igamma(a, np.array([0.2, 5.0])), positive(2), second=False)
case("igammac", lambda a: tf.igammac(a, np.array([0.2, 5.0])), positive(2), second=False)
case("zeta", lambda q: tf.zeta(np.array([2.0, 3.5]), q), positive(2))
case("betainc", lambda x: tf.betainc(np.array([2.0, 0.5]), 3.0, tf.sigmoid(x)), normal(2))
case("polygamma", lambda x: tf.polygamma(np.array([1.0, 2.0]), x), positive(2))
case("add_n", lambda x, y: tf.add_n([x, y, x]), normal(2, 2), normal(2, 2))
case("accumulate_n", lambda x, y: tf.accumulate_n([x, y]), normal(2, 2), normal(2, 2))
case("scalar_mul", lambda x, y: tf.scalar_mul(x, y), normal(), normal(2, 2), dynamic=False)
case("cast", lambda x: tf.cast(x, tf.float64) * 2.0, normal(3))
case("to_double", lambda x: tf.to_double(x) * 2.0, normal(3))
case("saturate_cast", lambda x: tf.saturate_cast(x, tf.float64) * 2.0, normal(3))
case("complex", lambda x, y: tf.abs(tf.complex(x, y)), inside(3), inside(3, seed=3))
case("real", lambda x, y: tf.real(tf.complex(x, y) * tf.complex(y, x)), normal(3), normal(3, seed=1))
case("imag", lambda x, y: tf.imag(tf.complex(x, y) * tf.complex(x, x)), normal(3), normal(3, seed=1))
case("conj", lambda x, y: tf.imag(tf.conj(tf.complex(x, y)) * tf.complex(x, x)), normal(3), normal(3, seed=1))
case("angle", lambda x, y: tf.angle(tf.complex(x, y)), inside(3), inside(3, seed=3))
case("exp", lambda x, y: tf.real(tf.exp(tf.complex(x, y))), normal(3), normal(3, seed=1))
case("divide", lambda x, y: tf.imag(tf.complex(x, y) / tf.complex(y, x * 2.0)), inside(3), inside(3, seed=1))
case("div_no_nan", tf.div_no_nan, normal(3, 2), inside(2))
case("div_no_nan", lambda x: tf.div_no_nan(x, [0.0, 2.0, 0.0]), normal(3))
case("truncatediv", tf.truncatediv, normal(2), inside(2))
case("truncatemod", tf.truncatemod, np.array([2.3, -2.3, 5.1]), np.array([0.7, 0.7, -1.9]))
case("clip_by_value", lambda x: tf.clip_by_value(x, -0.4, 0.5), apart(3, 3))
case("clip_by_value", tf.clip_by_value, apart(3, 2), np.array(-0.4), np.array([0.5, 0.7]))
case("clip_by_norm", lambda x: tf.clip_by_norm(x, 1.0), normal(2, 3))
case("clip_by_norm", lambda x: tf.clip_by_norm(x, 9.0, axes=[1]), normal(2, 3), dynamic=False)
case("clip_by_average_norm", lambda x: tf.clip_by_average_norm(x, 0.1), normal(2, 3))
case("global_norm", lambda x, y: tf.global_norm([x, None, y]), normal(2, 3), normal(2))
case("clip_by_global_norm", lambda x, y: tf.clip_by_global_norm([x, y], 1.0)[0], normal(2, 2), normal(2))

# Reductions

for _name in "reduce_sum reduce_mean reduce_variance reduce_std reduce_logsumexp reduce_max reduce_min".split():
    _function = getattr(tf, _name)
    case(_name, _function, apart(2, 3))
    case(_name, lambda x, f=_function: f(x, axis=1), apart(2, 3))
    case(_name, lambda x, f=_function: f(x, axis=[0, -1], keepdims=True), apart(2, 3, 2))
    case(_name, lambda x, f=_function: f(x, axis=tf.placeholder_with_default([1], [1]), keepdims=True), apart(2, 3))
    case(_name, lambda x, f=_function: f(x, axis=[]), apart(2), second=_name not in ("reduce_variance", "reduce_std"))
case("reduce_max", lambda x: tf.reduce_max(tf.stack([x, x])), normal(2))
case("reduce_prod", tf.reduce_prod, normal(2, 3))
case("reduce_prod", lambda x: tf.reduce_prod(x, axis=[0, 2]), normal(2, 2, 3))
case("reduce_prod", lambda x: tf.reduce_prod(x, axis=1, keepdims=True), np.array([[1.0, 0.0, 2.0]]), second=False)
case("reduce_prod", lambda x: tf.reduce_prod(x, axis=tf.placeholder_with_default(1, [])), normal(2, 3))
for _function in (tf.cumsum, tf.cumprod):
    case(_function.__name__, _function, positive(2, 3))
    case(_function.__name__, lambda x, f=_function: f(x, axis=1, exclusive=True, reverse=True), positive(2, 3))
    case(_function.__name__, lambda x, f=_function: f(x, axis=tf.placeholder_with_default(-1, [])), positive(2, 3))
case("cumulative_logsumexp", tf.math.cumulative_logsumexp, normal(2, 3), second=False)
case("cumulative_logsumexp", lambda x: tf.math.cumulative_logsumexp(x, 1, reverse=True), normal(2, 3), second=False)
for _function in (tf.segment_sum, tf.segment_prod, tf.segment_max, tf.segment_min):
    case(_function.__name__, lambda x, f=_function: f(x, [0, 0, 1, 3]), apart(4, 2))
for _name in "sum prod max min".split():
    _function = getattr(tf, f"unsorted_segment_{_name}")
    case(_function.__name__, lambda x, f=_function: tf.clip_by_value(f(x, [2, 0, -1, 2], 3), -9.0, 9.0), apart(4, 2))
case("unsorted_segment_prod", lambda x: tf.unsorted_segment_prod(x, [0, 0], 1), np.array([0.0, 2.0]), second=False)
for _name in "mean sqrt_n".split():
    _function = getattr(tf, f"unsorted_segment_{_name}")
    case(_function.__name__, lambda x, f=_function: f(x, [2, 0, -1, 2], 4), normal(4, 2))
case("segment_mean", lambda x: tf.segment_mean(x, [0, 0, 1, 3]), normal(4, 2))
case("segment_mean", lambda x: tf.segment_mean(tf.reshape(x, [4]), [0, 0, 1, 3]), normal(2, 2))
case("bincount", lambda w: tf.bincount([[1, 0], [3, 1]], w), normal(2, 2), dynamic=False)
for _function in (tf.argmax, tf.argmin, tf.count_nonzero):
    case(_function.__name__, lambda x, f=_function: (f(x), x), normal(3))
for _function in (tf.reduce_any, tf.reduce_all):
    case(_function.__name__, lambda x, f=_function: (f(tf.cast(x, tf.bool)), x), normal(3))

# Products

case("matmul", tf.matmul, normal(2, 3), normal(3, 2))
for _a, _b in ((False, True), (True, False), (True, True)):
    case("matmul", lambda x, y, a=_a, b=_b: tf.matmul(x, y, transpose_a=a, transpose_b=b),
         normal(*((3, 2) if _a else (2, 3))), normal(*((4, 3) if _b else (3, 4))))  # fmt: skip
case("matmul", tf.matmul, normal(2, 2, 3), normal(3, 2))
case("matmul", lambda x, y: tf.matmul(x, y, adjoint_b=True), normal(1, 2, 3), normal(2, 2, 3))
case("matmul", lambda x, y: x @ y, normal(3), normal(3, 2))
case("matmul", lambda x, y: x @ y, normal(2, 3), normal(3))
case("matmul", np.matmul, normal(2, 3), normal(3, 2))
case("matmul", lambda x, y: tf.imag(tf.matmul(tf.complex(x, y), tf.complex(y, y))), normal(2, 2), normal(2, 2, seed=1))
case("matmul", lambda x, y: tf.imag(tf.matmul(tf.complex(x, y), tf.complex(y, y), transpose_a=True, adjoint_b=True)),
     normal(2, 2), normal(2, 2, seed=1))  # fmt: skip
case("tensordot", lambda x, y: tf.tensordot(x, y, 1), normal(2, 3), normal(3, 2))
case("tensordot", lambda x, y: tf.tensordot(x, y, [[0, 1], [1, 0]]), normal(2, 3, 2), normal(3, 2, 2))
case("einsum", lambda x, y: tf.einsum("ij,jk->ik", x, y), normal(2, 3), normal(3, 2))
case("einsum", lambda x, y: tf.einsum("bij,bj->b", x, y), normal(2, 2, 3), normal(2, 3))
case("einsum", lambda x: tf.einsum("ij->j", x), normal(2, 3))
case("einsum", lambda x, y: tf.einsum("...ij,...jk->...ik", x, y), normal(2, 2, 2), normal(2, 2, 2))
case("cross", tf.cross, normal(2, 3), normal(2, 3, seed=1))
case("trace", tf.trace, normal(2, 3, 2))

# Arrays

case("identity", tf.identity, normal(2))
case("identity_n", lambda x, y: tf.identity_n([x, y]), normal(2), normal(3))
case("tuple", lambda x, y: tf.tuple([x, y]), normal(2), normal(3))
case("placeholder_with_default", lambda x: tf.placeholder_with_default(x, None), normal(2))
case("convert_to_tensor", lambda x, y: tf.convert_to_tensor([[x, y], [y, x]]), normal(), normal())
case("reshape", lambda x: tf.reshape(x, [3, 2]) * normal(3, 2), normal(2, 3))
case("reshape", lambda x: tf.reshape(x, tf.shape(tf.transpose(x))) * normal(3, 2), normal(2, 3))
case("expand_dims", lambda x: tf.expand_dims(x, 1) * normal(2, 3), normal(2))
case("expand_dims", lambda x: tf.expand_dims(x, tf.placeholder_with_default(0, [])) * normal(3, 1), normal(2))
case("squeeze", tf.squeeze, normal(2, 1, 1))
case("squeeze", lambda x: tf.squeeze(x, [1]), normal(2, 1, 1))
case("broadcast_to", lambda x: tf.broadcast_to(x, [2, 3, 2]), normal(3, 1))
case("broadcast_to", lambda x: tf.broadcast_to(x, tf.placeholder_with_default([2, 2], [2])), normal(2))
case("concat", lambda x, y: tf.concat([x, y, x], 1), normal(2, 2), normal(2, 1))
case("concat", lambda x, y: tf.concat([x, y], -1), normal(2, 2), normal(2, 1))
case("concat", lambda x, y: tf.concat([x, y], tf.placeholder_with_default(0, [])), normal(2), normal(3))
case("stack", lambda x, y: tf.stack([x, y], axis=1), normal(2, 2), normal(2, 2))
case("parallel_stack", lambda x, y: tf.parallel_stack([x, y]), normal(2), normal(2))
case("unstack", lambda x: tf.unstack(x, 3, axis=1)[::2], normal(2, 3))
case("unstack", lambda x: tf.unstack(x, 1), normal(1, 2))
case("split", lambda x: tf.split(x, 2, axis=1)[1], normal(2, 4))
case("split", lambda x: tf.split(x, [1, -1], axis=1), normal(2, 3))
case("split", lambda x: tf.split(x, 1), normal(2, 3))
case("split", lambda x: tf.split(x, 2, axis=tf.placeholder_with_default(0, [])), normal(2, 2))
case("meshgrid", lambda x, y: tf.meshgrid(x, y), normal(2), normal(3))
case("meshgrid", lambda x, y, z: tf.meshgrid(x, y, z, indexing="ij"), normal(2), normal(), normal(2))
case("fill", lambda x: tf.fill([2, 3], x), normal())
case("fill", lambda x: tf.fill(tf.placeholder_with_default([2], [1]), x), normal())
case("transpose", tf.transpose, normal(2, 3))
case("transpose", lambda x: tf.transpose(x, [2, 0, 1]) * normal(2, 2, 3), normal(2, 3, 2))
case("transpose", lambda x: tf.transpose(x, tf.placeholder_with_default([1, 0], [2])), normal(2, 3))
case("tile", lambda x: tf.tile(x, [2, 3]), normal(2, 2))
case("tile", lambda x: tf.tile(x, tf.placeholder_with_default([2], [1])), normal(3))
case("pad", lambda x: tf.pad(x, [[1, 0], [0, 2]]), normal(2, 2))
case("pad", lambda x: tf.pad(x, [[1, 1]], "REFLECT"), normal(3))
case("pad", lambda x: tf.pad(x, [[1, 2]], "SYMMETRIC"), normal(3))
case("pad", lambda x: tf.pad(x, tf.placeholder_with_default([[1, 1]], [1, 2])), normal(3))
case("reverse", lambda x: tf.reverse(x, [1]) * normal(2, 3), normal(2, 3))
case("reverse_v2", lambda x: tf.reverse_v2(x, tf.placeholder_with_default([0], [1])) * normal(2, 3), normal(2, 3))
case("reverse_sequence", lambda x: tf.reverse_sequence(x, [3, 2], seq_axis=1, batch_axis=0), normal(2, 4))
case("roll", lambda x: tf.roll(x, 2, 1), normal(2, 3))
case("roll", lambda x: tf.roll(x, [1, 2], [0, 1]), normal(2, 3))
case("roll", lambda x: tf.roll(x, tf.placeholder_with_default(1, []), 0), normal(3))
case("diag", tf.diag, normal(2))
case("diag_part", tf.diag_part, normal(3, 3))
case("matrix_diag", tf.matrix_diag, normal(2, 3))
case("matrix_diag_part", tf.matrix_diag_part, normal(2, 2, 3))
case("slice", lambda x: tf.slice(x, [0, 1], [-1, 2]), normal(2, 4))
case("slice", lambda x: tf.slice(x, tf.placeholder_with_default([1], [1]), [2]), normal(4))
case("strided_slice", lambda x: tf.strided_slice(x, [0, 3], [2, 0], [1, -2]), normal(2, 4))
case("strided_slice", lambda x: tf.strided_slice(x, tf.placeholder_with_default([1], [1]), [3], [1]), normal(4))
case("strided_slice", lambda x: x[1, ..., None, ::-1], normal(2, 3))
case("strided_slice", lambda x: x[tf.placeholder_with_default(1, []), 1:], normal(2, 3))
case("strided_slice", lambda x: x[0], normal(3))
case("gather", lambda x: tf.gather(x, [[1, 0], [1, 1]]), normal(3, 2))
case("gather", lambda x: tf.gather(x, [2, 0]) + tf.gather(x, 1), normal(3))
case("gather", lambda x: tf.gather(x, [1, 0, 1], axis=1), normal(2, 3))
case("gather", lambda x: tf.gather(x, [1, 1], axis=tf.placeholder_with_default(0, [])), normal(3))
case("gather", lambda x: tf.gather(x, [[1, 1], [0, 2]], batch_dims=1), normal(2, 3))
case("gather", lambda x: tf.gather(x, [[1, 1], [0, 2]], axis=2, batch_dims=1), normal(2, 2, 3))
case("batch_gather", lambda x: tf.batch_gather(x, [[1, 1], [0, 2]]), normal(2, 3))
case("gather_nd", lambda x: tf.gather_nd(x, [[1, 0], [1, 0], [0, 2]]), normal(2, 3))
case("scatter_nd", lambda x: tf.scatter_nd([[1], [3], [1]], x, [4, 2]), normal(3, 2))
case("boolean_mask", lambda x: tf.boolean_mask(x, [True, False, True]), normal(3, 2))
case("where", lambda x, y: tf.where([[True, False], [False, True]], x, y), normal(2, 2), normal(2, 2))
case("where_v2", lambda x, y: tf.where_v2([[True, False], [False, True]], x, y), normal(2), normal(2, 1))
case("where", lambda x, y: tf.where([True, False], x, y), normal(2, 3), normal(2, 3))
case("one_hot", lambda x: (tf.one_hot([1, 0], 2, dtype=tf.float64) * x, x), normal(2))
for _function in (tf.shape, tf.size, tf.rank, tf.zeros_like, tf.ones_like, tf.unique, tf.unique_with_counts):
    case(_function.__name__, lambda x, f=_function: (f(x)[0] if f is tf.unique else f(x), x), np.array([1.2, 0.3]))
for _function in (tf.invert_permutation, tf.sequence_mask):
    case(_function.__name__, lambda x, f=_function: (f(tf.cast(x, tf.int32)), x), np.array([1.2, 0.3]))

# Neural networks

for _name in "relu relu6 leaky_relu elu selu softplus softsign sigmoid tanh softmax log_softmax l2_loss".split():
    case(f"nn.{_name}", getattr(tf.nn, _name), inside(2, 4) * 9)
case("nn.leaky_relu", lambda x, alpha: tf.nn.leaky_relu(x, alpha), inside(2, 4), np.array(0.3))
case("nn.softmax", lambda x: tf.nn.softmax(x, axis=0), normal(3, 2))
case("nn.log_softmax", lambda x: tf.nn.log_softmax(x, axis=0), normal(3, 2))


def distribution(x):
    return tf.nn.softmax(x) if isinstance(x, tf.Tensor) else scipy.special.softmax(x, axis=-1)


LABELS = distribution(normal(2, 3, seed=5))
case("nn.softmax_cross_entropy_with_logits",
     lambda x: tf.nn.softmax_cross_entropy_with_logits(labels=LABELS, logits=x), normal(2, 3))  # fmt: skip
case("nn.softmax_cross_entropy_with_logits_v2",
     lambda x, y: tf.nn.softmax_cross_entropy_with_logits_v2(labels=distribution(y), logits=x),
     normal(2, 3), normal(2, 3, seed=1))  # fmt: skip
case("nn.softmax_cross_entropy_with_logits_v2",
     lambda x: tf.nn.softmax_cross_entropy_with_logits_v2(labels=LABELS.T, logits=x, axis=0), normal(3, 2))  # fmt: skip
case("nn.sparse_softmax_cross_entropy_with_logits",
     lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[2, 0], logits=x), normal(2, 3))  # fmt: skip
case("nn.sparse_softmax_cross_entropy_with_logits",
     lambda x: tf.square(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[[2], [0]], logits=x)),
     normal(2, 1, 3))  # fmt: skip
case("nn.sigmoid_cross_entropy_with_logits",
     lambda x, z: tf.nn.sigmoid_cross_entropy_with_logits(labels=z, logits=x), normal(2, 3), normal(2, 3))  # fmt: skip
case("nn.weighted_cross_entropy_with_logits",
     lambda x, z, q: tf.nn.weighted_cross_entropy_with_logits(labels=z, logits=x, pos_weight=q),
     normal(2, 3), normal(2, 3), positive(3))  # fmt: skip
case("nn.bias_add", tf.nn.bias_add, normal(2, 3), normal(3))
case("nn.bias_add", lambda x, b: tf.nn.bias_add(tf.reshape(x, [2, 3, 1, 2]), b, "NCHW"), normal(12), normal(3))
case("nn.xw_plus_b", tf.nn.xw_plus_b, normal(2, 3), normal(3, 2), normal(2))
case("nn.l2_normalize", lambda x: tf.nn.l2_normalize(x, 1), normal(2, 3))
case("nn.moments", lambda x: tf.nn.moments(x, [0]), normal(3, 2))
case("nn.batch_normalization", lambda x, m, v, o, s: tf.nn.batch_normalization(x, m, v, o, s, 0.1),
     normal(3, 2), normal(2), positive(2), normal(2), normal(2))  # fmt: skip
case("nn.dropout", lambda x: tf.nn.dropout(x, rate=0), normal(3))
for _padding in ("SAME", "VALID", [[0, 0], [1, 0], [0, 2], [0, 0]]):
    case(
        "nn.conv2d",
        lambda x, f, p=_padding: tf.nn.conv2d(x, f, [1, 2, 1, 1], p),
        normal(2, 4, 3, 2),
        normal(2, 3, 2, 2),
    )
case(
    "nn.conv2d",
    lambda x, f: tf.nn.conv2d(x, f, 1, "SAME", dilations=[1, 2, 1, 1]),
    normal(1, 4, 3, 1),
    normal(2, 2, 1, 2),
)
for _padding in ("SAME", "VALID"):
    case("nn.max_pool", lambda x, p=_padding: tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 1, 1], p), apart(2, 3, 3, 1))
    case("nn.avg_pool", lambda x, p=_padding: tf.nn.avg_pool(x, [1, 2, 2, 1], [1, 2, 1, 1], p), normal(2, 3, 3, 1))
case("nn.top_k", lambda x: tf.nn.top_k(x, 2), apart(2, 4))
case("nn.in_top_k", lambda x: (tf.nn.in_top_k(x, [0, 1], 1), x), apart(2, 4))
case("nn.embedding_lookup", lambda x: tf.nn.embedding_lookup(x, [[0, 2], [2, 1]]), normal(3, 2))
case("nn.embedding_lookup", lambda x: tf.nn.embedding_lookup(x, [0, 2], max_norm=0.5), normal(3, 2), dynamic=False)
for _strategy in ("mod", "div"):
    case("nn.embedding_lookup", lambda x, y, s=_strategy: tf.nn.embedding_lookup([x, y], [[0, 3], [3, 1]], s),
         normal(2, 2), normal(2, 2))  # fmt: skip

# Linear algebra

case("linalg.inv", tf.linalg.inv, square(2, 2))
case("linalg.inv", lambda x: tf.linalg.inv(x, adjoint=True), square(2))
case("linalg.det", tf.linalg.det, square(3, 2))
case("linalg.slogdet", tf.linalg.slogdet, square(3))
case("linalg.logdet", symmetric(tf.linalg.logdet), definite(3))
case("linalg.cholesky", symmetric(tf.linalg.cholesky), definite(3, 2), dynamic=False)
case("linalg.expm", tf.linalg.expm, 0.3 * square(2), dynamic=False)
case("linalg.solve", tf.linalg.solve, square(2), normal(2, 3))
case("linalg.solve", lambda a, b: tf.linalg.solve(a, b, adjoint=True), square(2, 2), normal(2, 2, 1), dynamic=False)
case("linalg.solve", tf.linalg.solve, square(2), normal(3, 2, 1), dynamic=False)
for _lower in (True, False):
    for _adjoint in (True, False):
        case("linalg.triangular_solve", lambda a, b, lo=_lower, ad=_adjoint: tf.linalg.triangular_solve(a, b, lo, ad),
             square(2), normal(2, 2))  # fmt: skip
case("linalg.lstsq", tf.linalg.lstsq, normal(4, 2), normal(4, 2), dynamic=False)
case("linalg.lstsq", lambda a, b: tf.linalg.lstsq(a, b, 0.1), normal(4, 2), normal(4, 2), dynamic=False)


def squared_vectors(x):
    """The part of a result that does not depend on the signs of vectors."""
    s, u, v = tf.linalg.svd(x)
    return s, tf.square(u), tf.square(v)


def squared_eigenvectors(x):
    e, v = tf.linalg.eigh(x)
    return e, tf.square(v)


case("linalg.svd", lambda x: tf.linalg.svd(x)[0], normal(3, 2))
case("linalg.svd", lambda x: tf.linalg.svd(x, compute_uv=False), normal(2, 2, 3))
case("linalg.svd", squared_vectors, normal(3, 2))
case("linalg.svd", squared_vectors, normal(2, 2, 2))
case("linalg.qr", lambda x: tf.linalg.qr(x), normal(3, 2), dynamic=False)
case("linalg.eigh", symmetric(squared_eigenvectors), definite(3), dynamic=False)
case("linalg.eigvalsh", symmetric(tf.linalg.eigvalsh), definite(3), dynamic=False)
case("linalg.norm", tf.linalg.norm, normal(2, 3))
for _order in ("euclidean", 1, 2.5, np.inf):
    case("linalg.norm", lambda x, o=_order: tf.linalg.norm(x, o, axis=1), apart(2, 3))
for _order in ("fro", 1, 2, np.inf):
    _function = functools.partial(tf.linalg.norm, ord=_order, axis=[-2, 0], keepdims=True)
    case("linalg.norm", _function, apart(2, 2, 3), dynamic=False)
case("linalg.trace", tf.linalg.trace, normal(2, 3))
case("linalg.diag", tf.linalg.diag, normal(2, 3))
case("linalg.diag_part", tf.linalg.diag_part, normal(3, 2))
case("linalg.matmul", tf.linalg.matmul, normal(2, 2), normal(2, 2))

ALL = [(f"{name}-{i}", one) for name, cases in CASES.items() for i, one in enumerate(cases)]


@pytest.mark.parametrize("one", [one for _, one in ALL], ids=[name for name, _ in ALL])
def test_the_derivative_is_that_of_central_differences(one):
    check(one.build, *one.inputs, second=one.second)


DYNAMIC = [(name, one) for name, one in ALL if one.dynamic]


def buildable(one: Case, shape: str) -> bool:
    """Whether the operation itself can be made of tensors of unknown shape."""
    with tf.Graph().as_default():
        try:
            one.build(*[tf.placeholder(tf.float64, [None] * x.ndim if shape == "dims" else None) for x in one.inputs])
        except (ValueError, TypeError, AssertionError):
            return False
    return True


@pytest.mark.parametrize("shape", ["dims", "rank"])
@pytest.mark.parametrize("one", [one for _, one in DYNAMIC], ids=[name for name, _ in DYNAMIC])
def test_the_derivative_is_right_where_shapes_show_only_at_run_time(one, shape):
    if not buildable(one, shape):
        pytest.skip("the operation itself needs the shape")
    check(one.build, *one.inputs, second=False, shape=shape)


# Broadcasting


@st.composite
def broadcasting(draw):
    """Two or three shapes that broadcast, some with axes of size 1, some of lower rank."""
    count = draw(st.integers(2, 3))
    return draw(mutually_broadcastable_shapes(num_shapes=count, max_dims=3, max_side=3)).input_shapes


@given(broadcasting(), st.sampled_from(["add", "subtract", "multiply", "divide", "pow", "maximum"]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_was_broadcast_is_summed(sizes, name, known):
    function = getattr(tf, name)
    values = [positive(*size, seed=k) for k, size in enumerate(sizes)]
    build = lambda *xs: functools.reduce(function, xs)  # noqa: E731
    check(build, *values, shape="static" if known else "dims")


@given(broadcasting(), st.booleans())
@settings(max_examples=30, deadline=None)
def test_where_sums_what_it_has_broadcast(sizes, known):
    x, y = (normal(*size, seed=k) for k, size in enumerate(sizes[:2]))
    condition = np.broadcast_to(
        normal(*np.broadcast_shapes(x.shape, y.shape), seed=7) > 0, np.broadcast_shapes(x.shape, y.shape)
    )
    check(lambda a, b: tf.where_v2(condition, a, b), x, y, shape="static" if known else "dims")


REDUCTIONS = ["reduce_sum", "reduce_mean", "reduce_max", "reduce_logsumexp"]


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=3), st.sampled_from(REDUCTIONS), st.booleans(),
       st.booleans())  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_reduction_over_any_axes_spreads_its_gradient(shape, name, keepdims, known):
    axes = [i for i, (_, reduced) in enumerate(shape) if reduced]
    build = lambda x: getattr(tf, name)(x, axis=axes, keepdims=keepdims)  # noqa: E731
    check(build, apart(*[size for size, _ in shape]), shape="static" if known else "dims")


# NumPy's functions

NUMPY: dict[str, tuple[Callable, tuple]] = {
    "sinc": (np.sinc, (positive(3),)),
    "exp2": (np.exp2, (normal(3),)),
    "log10": (np.log10, (positive(3),)),
    "hypot": (np.hypot, (normal(3), normal(3, seed=1))),
    "logaddexp": (np.logaddexp, (normal(2, 1), normal(3, seed=1))),
    "cbrt": (np.cbrt, (positive(3),)),
    "positive": (np.positive, (normal(3),)),
    "dot": (np.dot, (normal(2, 3), normal(3, 2))),
    "matmul of vectors": (np.matmul, (normal(3), normal(3, seed=1))),
    "outer": (np.outer, (normal(2), normal(3))),
    "kron": (np.kron, (normal(2, 2), normal(2, 2, seed=1))),
    "einsum": (lambda x, y: np.einsum("ij,kj->ik", x, y), (normal(2, 3), normal(2, 3))),
    "mean": (lambda x: np.mean(x, axis=0), (normal(2, 3),)),
    "var": (lambda x: np.var(x, axis=1), (normal(2, 3),)),
    "max": (lambda x: np.max(x, axis=1), (apart(2, 3),)),
    "cumsum": (lambda x: np.cumsum(x, axis=0), (normal(2, 3),)),
    "prod": (np.prod, (normal(3),)),
    "sort": (np.sort, (apart(4),)),
    "where": (lambda x, y: np.where(x > 0, x, y), (apart(3), normal(3))),
    "clip": (lambda x: np.clip(x, -0.5, 0.5), (apart(5),)),
    "concatenate": (lambda x, y: np.concatenate([x, y, x]), (normal(2), normal(3))),
    "stack": (lambda x, y: np.stack([x, y], axis=1), (normal(2), normal(2))),
    "vstack": (lambda x, y: np.vstack([x, y]), (normal(2), normal(2))),
    "swapaxes": (lambda x: np.swapaxes(x, 0, 1) * np.arange(6.0).reshape(3, 2), (normal(2, 3),)),
    "take": (lambda x: np.take(x, [0, 2, 2], axis=1), (normal(2, 3),)),
    "flip": (lambda x: np.flip(x, 0) * np.arange(3.0), (normal(3),)),
    "diff": (np.diff, (normal(4),)),
    "repeat": (lambda x: np.repeat(x, 2), (normal(3),)),
    "pad": (lambda x: np.pad(x, 1, "constant"), (normal(3),)),
    "tril": (np.tril, (normal(3, 3),)),
    "linalg.inv": (np.linalg.inv, (square(2),)),
    "linalg.det": (np.linalg.det, (square(2),)),
    "linalg.slogdet": (lambda x: np.linalg.slogdet(x)[1], (square(2),)),
    "linalg.norm": (np.linalg.norm, (normal(3),)),
    "linalg.solve": (np.linalg.solve, (square(2), normal(2))),
    "linalg.pinv": (np.linalg.pinv, (normal(3, 2),)),
    "linalg.cholesky": (symmetric(np.linalg.cholesky), (definite(2),)),
    "linalg.svd": (lambda x: np.linalg.svd(x, full_matrices=False)[1], (normal(3, 2),)),
    "linalg.eigh": (lambda x: np.linalg.eigh(x + np.transpose(x))[0], (normal(2, 2),)),
    "fft": (lambda x: np.real(np.fft.fft(x)), (normal(4),)),
}


@pytest.mark.parametrize("name", NUMPY)
def test_a_function_of_numpy_has_the_derivative_of_autograd(graph, name):
    build, values = NUMPY[name]
    places = [tf.placeholder(tf.float64, v.shape) for v in values]
    loss = weighted(build(*places), 0)
    again = weighted(tf.gradients(loss, places), 1)
    with tf.Session() as session:
        for scalar, rough in ((loss, 1.0), (again, 30.0)):
            grads = [
                tf.zeros_like(x) if g is None else g for x, g in zip(places, tf.gradients(scalar, places), strict=True)
            ]
            call = session.make_callable(scalar, places)
            found = session.run(grads, dict(zip(places, values, strict=True)))
            for grad, slope in zip(found, differences(call, values), strict=True):
                np.testing.assert_allclose(grad, slope, rtol=2e-5 * rough, atol=2e-6 * rough)


def differences(function: Callable, values: Any) -> list[np.ndarray]:
    """The derivatives of a function that gives a number, by central differences."""
    found = []
    for k, value in enumerate(values):
        slope = np.zeros(value.shape)
        for index in np.ndindex(value.shape):
            ends = []
            for sign in (1, -1):
                moved = [v.copy() for v in values]
                moved[k][index] += sign * STEP
                ends.append(function(*moved))
            slope[index] = (ends[0] - ends[1]) / (2 * STEP)
        found.append(slope)
    return found


def test_a_function_that_autograd_knows_keeps_the_dtype(graph):
    x = tf.constant(np.float32([[2.0, 1.0], [0.0, 1.0]]))
    (grad,) = tf.gradients(np.linalg.det(x), x)
    assert grad.dtype == tf.float32
    with tf.Session() as session:
        value = session.run(grad)
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, [[1.0, 0.0], [-1.0, 2.0]], atol=1e-6)


UNKNOWN: dict[str, Callable] = {
    "heaviside": lambda x: np.heaviside(x, 0.5),
    "copysign": lambda x: np.copysign(x, 1.0),
    "nextafter": lambda x: np.nextafter(x, 0.0),
    "random_shuffle": tf.random_shuffle,
    "qr": lambda x: tf.linalg.qr(tf.reshape(x, [1, 2])),
    "einsum": lambda x: tf.einsum("ii->i", tf.reshape(tf.concat([x, x], 0), [2, 2])),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_has_no_derivative_is_an_error_that_names_the_node_and_its_line(graph, name):
    x = tf.placeholder(tf.float64, [2])
    y = UNKNOWN[name](x)
    y = y[0] if isinstance(y, tuple) else y
    with pytest.raises(LookupError, match="No gradient defined for operation") as caught:
        tf.gradients(y, x)
    text = str(caught.value)
    assert f"(op type: {y.op.type})" in text
    assert f"'{y.op.name}'" in text
    assert f"{__file__}:" in text


FLAT: dict[str, Callable] = {
    "stop_gradient": tf.stop_gradient,
    "one_hot": lambda x: tf.one_hot([0, 1], 2, x[0], 0.0),
    "random_poisson": lambda x: tf.random_poisson(x, [2], tf.float64),
    "zeros_like": tf.zeros_like,
    "cast": lambda x: tf.cast(tf.cast(x, tf.int32), tf.float64),
    "argmax": lambda x: tf.cast(tf.argmax(x), tf.float64),
    "multinomial": lambda x: tf.cast(tf.multinomial([x], 2), tf.float64),
    "floor": np.trunc,
    "zeta": lambda x: tf.zeta(x, np.array([1.0, 1.0])),
    "polygamma": lambda x: tf.polygamma(x, np.array([1.0, 1.0])),
    "betainc": lambda x: tf.betainc(x, x, np.array([0.5, 0.5])),
    "hsv_to_rgb": lambda x: tf.image.hsv_to_rgb(tf.concat([x, x[:1]], 0)),
    "extract_glimpse": lambda x: tf.image.extract_glimpse(tf.reshape(x, [1, 2, 1, 1]), [1, 1], [[0.0, 0.0]]),
}


@pytest.mark.parametrize("name", FLAT)
def test_where_no_derivative_flows_there_is_none(graph, name):
    x = tf.placeholder(tf.float64, [2])
    assert tf.gradients(FLAT[name](x), x) == [None]


def test_random_numbers_of_a_mean_and_a_deviation_are_differentiated_by_both(graph):
    mean, deviation = tf.placeholder(tf.float32, []), tf.placeholder(tf.float32, [])
    drawn = tf.random_normal([4], mean, deviation)
    grads = tf.gradients(drawn, [mean, deviation])
    with tf.Session() as session:
        value, (of_mean, of_deviation) = session.run([drawn, grads], {mean: 3.0, deviation: 2.0})
    assert of_mean == 4
    np.testing.assert_allclose(of_deviation, ((value - 3) / 2).sum(), rtol=1e-4)


def test_draws_from_gamma_distributions_are_differentiated_along_their_quantiles(session):
    alpha, beta = np.array([0.01, 0.5, 3.0, 200.0]), np.array(2.0)
    given = [tf.constant(alpha), tf.constant(beta)]
    drawn = tf.random_gamma([], *given, tf.float64, seed=3)
    value, (of_alpha, of_beta) = session.run([drawn, tf.gradients(drawn, given)])
    quantile, step = scipy.special.gammainc(alpha, value * beta), 1e-6 * alpha
    above, below = [scipy.special.gammaincinv(alpha + side, quantile) for side in (step, -step)]
    np.testing.assert_allclose(of_alpha, (above - below) / (2 * step) / beta, rtol=1e-5)
    np.testing.assert_allclose(of_beta, -(value / beta).sum(), rtol=1e-12)


# Completeness

NO_FLOATS_IN_OR_OUT = set(
    """broadcast_dynamic_shape broadcast_static_shape eye
    logical_and logical_not logical_or logical_xor ones zeros range
    linspace lin_space arg_max arg_min
    group no_op with_dependencies to_float to_int32 to_int64 shape_n placeholder""".split()
)
"""Functions of the modules below that take no floats, or whose result follows from the shape alone."""

ELSEWHERE = {"stop_gradient", "prevent_gradient"}
"""Functions with a test of their own."""


def public_functions() -> list[str]:
    """The functions that the modules of operations define, each under one of its public names."""
    from weftwork.graph.nn import cross_entropies as nn_losses
    from weftwork.graph.nn import ops as nn_ops
    from weftwork.graph.nn import windows as nn_windows
    from weftwork.graph.ops import (
        array_ops,
        clipping,
        conversion,
        filling,
        flow,
        indexing,
        joining,
        linalg_ops,
        math_ops,
        products,
        rearranging,
        reductions,
    )

    plain = (
        array_ops,
        clipping,
        conversion,
        filling,
        flow,
        indexing,
        joining,
        math_ops,
        products,
        rearranging,
        reductions,
    )
    found = [(module, "") for module in plain]
    found += [(nn_losses, "nn."), (nn_ops, "nn."), (nn_windows, "nn."), (linalg_ops, "linalg.")]
    names = []
    for module, prefix in found:
        for name, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_"):
                names.append(prefix + (value.__name__ if prefix else name))
    return sorted(set(names))


def test_every_operation_of_the_library_is_in_one_of_these_tests():
    helpers = {"known_axes", "reduced_shape", "slice_helper", "indexed_shape", "shape_argument", "of_scipy", "special"}
    covered = set(CASES) | NO_FLOATS_IN_OR_OUT | ELSEWHERE | helpers
    assert [name for name in public_functions() if name not in covered] == []
