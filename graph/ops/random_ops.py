"""Random operations: TensorFlow 1's names over `np.random.Generator`.

Each node draws from its own stream, which a session keeps for it (`build.apply_random`): successive runs continue the
stream, and a new session starts it again. With a seed (of the graph by `set_random_seed`, of the node by `seed=`) it is
the same in every process. The values are NumPy's, not TensorFlow's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import apply_random, as_tensor, convert_to_tensor, convert_together, static_value
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.known import entries
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph

TRUNCATED = 2.0
"""Where a truncated normal distribution ends, in standard deviations."""


def set_random_seed(seed: int | None) -> None:
    """Set the default graph's seed. Together with each random node's position in the graph it determines the stream."""
    get_default_graph().seed = seed


# Distributions of a given shape


def random_normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = dtypes.float32, seed: int | None = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Draws from the normal distribution. dtype: a float; mean and stddev broadcast to `shape`."""
    return _located(normal_kernel, "random_normal", "RandomStandardNormal", shape, mean, stddev, dtype, seed, name)


def truncated_normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = dtypes.float32, seed: int | None = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Draws from the normal distribution; values more than two standard deviations from the mean are drawn again."""
    return _located(truncated_kernel, "truncated_normal", "TruncatedNormal", shape, mean, stddev, dtype, seed, name)


def random_uniform(
    shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = dtypes.float32, seed: int | None = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Draws uniformly from [minval, maxval). dtype: a float (maxval is then 1 by default) or an integer.

    Raises ValueError for another dtype, or for an integer dtype without maxval.
    """
    dtype = as_dtype(dtype)
    if dtype.numpy.kind not in "fiu":
        raise ValueError(f"Invalid dtype {dtype!r}")
    if maxval is None:
        if dtype.numpy.kind != "f":
            raise ValueError(f"Must specify maxval for integer dtype {dtype!r}")
        maxval = 1
    if dtype.numpy.kind == "f":
        minval, maxval = _numbers(minval, maxval)
        return _located(
            uniform_kernel, "random_uniform", "RandomUniform", shape, minval, maxval - minval, dtype, seed, name
        )
    with name_scope(name, "random_uniform", [shape, minval, maxval]) as scope:
        size, static = _size(shape)
        low, high = (convert_to_tensor(bound, dtype) for bound in (minval, maxval))
        return apply_random(
            integers_kernel, [size, low, high], {"dtype": dtype.numpy},
            seed=seed, type="RandomUniformInt", name=scope, dtype=dtype, shape=static,
        )  # fmt: skip


def dropout_mask(shape: Any, rate: Any, dtype: DType, seed: int | None = None) -> Tensor:
    """0 with probability `rate`, else 1 / (1 - rate): the factors of dropout."""
    size, static = _size(shape)
    rate = convert_together([rate], dtypes.float32)[0]
    return apply_random(
        drop_mask, [size, rate], {"dtype": dtype.numpy},
        seed=seed, type="RandomUniform", name="random_mask", dtype=dtype, shape=static,
    )  # fmt: skip


def _located(
    kernel: Any, default: str, kind: str, shape: Any, loc: Any, scale: Any, dtype: Any, seed: int | None,
    name: str | None,
) -> Tensor:  # fmt: skip
    """standard * scale + loc: in the kernel if they are numbers, else as nodes, so that they get gradients."""
    dtype = as_dtype(dtype)
    if dtype.numpy.kind != "f":
        raise ValueError(f"Invalid dtype {dtype!r}: {default} draws floating-point numbers")
    loc, scale = _numbers(loc, scale)
    fixed = isinstance(loc, float) and isinstance(scale, float)
    with name_scope(name, default, [shape, loc, scale]) as scope:
        size, static = _size(shape)
        attrs = {"loc": loc if fixed else 0.0, "scale": scale if fixed else 1.0, "dtype": dtype.numpy}
        drawn = apply_random(
            kernel, [size], attrs, seed=seed, type=kind, name=scope if fixed else kind, dtype=dtype, shape=static
        )
        if fixed:
            return drawn
        return math_ops.add(math_ops.multiply(drawn, scale), loc, name=scope)


def _numbers(*values: Any) -> list[Any]:
    """Convert scalars to Python floats; tensors and arrays are unchanged."""
    return [v if as_tensor(v) is not None or np.ndim(v) else float(v) for v in values]


def _size(shape: Any) -> tuple[Tensor, shapes.RawShape]:
    """A shape argument as an integer tensor, and its known part."""
    if _is_static(shape):
        known = shapes.as_raw(shape.tolist() if isinstance(shape, (np.ndarray, np.generic)) else shape)
        if known is None or not shapes.is_full(known):
            raise ValueError(f"Cannot convert a partially known TensorShape to a Tensor: {shapes.text(known)}")
        return convert_to_tensor(list(known), dtypes.int32, name="shape"), known
    size = convert_to_tensor(shape, name="shape")
    known = entries(size)
    return size, None if known is None else tuple([None if dim is None or dim < 0 else dim for dim in known])


def _is_static(shape: Any) -> bool:
    return as_tensor(shape) is None and not (
        isinstance(shape, (list, tuple)) and any(as_tensor(dim) is not None for dim in shape)
    )


def _wide(dtype: np.dtype) -> np.dtype:
    """The dtype in which to draw: NumPy's generators do not support float16."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def _place(x, loc, scale, dtype):
    if scale != 1:
        x *= x.dtype.type(scale)
    if loc != 0:
        x += x.dtype.type(loc)
    return x if x.dtype == dtype else x.astype(dtype)


def normal_kernel(rng, shape, loc, scale, dtype):
    return _place(rng.standard_normal(tuple(shape), _wide(dtype)), loc, scale, dtype)


def truncated_kernel(rng, shape, loc, scale, dtype):
    x = rng.standard_normal(tuple(shape), _wide(dtype))
    flat = np.reshape(x, -1)
    outside = np.flatnonzero(np.abs(flat) > TRUNCATED)
    while outside.size:
        flat[outside] = rng.standard_normal(outside.size, flat.dtype)
        outside = outside[np.abs(flat[outside]) > TRUNCATED]
    return _place(flat.reshape(np.shape(x)), loc, scale, dtype)


def uniform_kernel(rng, shape, loc, scale, dtype):
    if dtype == np.float16:  # rounding a float32 could give 1; this cannot
        return _place((rng.integers(0, 2048, tuple(shape)) / 2048).astype(dtype), loc, scale, dtype)
    return _place(rng.random(tuple(shape), _wide(dtype)), loc, scale, dtype)


def integers_kernel(rng, shape, low, high, dtype):
    if low >= high and np.prod(shape):
        raise InvalidArgumentError(None, None, f"Need minval < maxval, got {low} >= {high}")
    if low >= high:
        return np.empty(tuple(shape), dtype)
    return rng.integers(low, high, tuple(shape), dtype)


def drop_mask(rng, shape, rate, dtype):
    keep = rng.random(tuple(shape), np.float32) >= rate
    return np.multiply(keep, 1 / (1 - float(rate)), dtype=dtype)


# Distributions of given parameters


def random_gamma(
    shape: Any, alpha: Any, beta: Any = None, dtype: Any = dtypes.float32, seed: int | None = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """`shape` draws from each gamma distribution, with shape alpha and rate beta (1), which broadcast together.

    The result has the shape `shape` + the broadcast shape of alpha and beta; its elements are positive.
    """
    dtype = as_dtype(dtype)
    with name_scope(name, "random_gamma", [shape, alpha, beta]) as scope:
        size, static = _size(shape)
        alpha, beta = convert_together([alpha, 1.0 if beta is None else beta], dtype)
        return apply_random(
            _gamma, [size, alpha, beta], {"dtype": dtype.numpy}, seed=seed, type="RandomGamma", name=scope,
            dtype=dtype, shape=_joined(static, shapes.broadcast(alpha.raw_shape, beta.raw_shape)),
        )  # fmt: skip


def random_poisson(
    lam: Any, shape: Any, dtype: Any = dtypes.float32, seed: int | None = None, name: str | None = None
) -> Tensor:
    """`shape` draws from each Poisson distribution of rate lam. The result has the shape `shape` + that of lam."""
    dtype = as_dtype(dtype)
    with name_scope(name, "random_poisson", [lam, shape]) as scope:
        size, static = _size(shape)
        lam = convert_to_tensor(lam, name="lam")
        return apply_random(
            _poisson, [size, lam], {"dtype": dtype.numpy}, seed=seed, type="RandomPoissonV2", name=scope,
            dtype=dtype, shape=_joined(static, lam.raw_shape),
        )  # fmt: skip


def multinomial(
    logits: Any, num_samples: Any, seed: int | None = None, name: str | None = None, output_dtype: Any = None
) -> Tensor:
    """num_samples classes for each row, class i with probability softmax(logits)[i].

    logits: unnormalized log probabilities [batch, classes].  Returns integers (int64) [batch, num_samples].
    Raises ValueError for logits of another rank.
    """
    dtype = as_dtype(output_dtype or dtypes.int64)
    with name_scope(name, "multinomial", [logits]) as scope:
        logits = of_kind(convert_to_tensor(logits, name="logits"), "logits", "iuf")
        if logits.raw_shape is not None and len(logits.raw_shape) != 2:
            raise ValueError(
                f"Shape must be rank 2 but is rank {len(logits.raw_shape)} for {scope[:-1]!r}, input logits."
            )
        count = convert_to_tensor(num_samples, name="num_samples")
        static = static_value(count)
        shape = (None if logits.raw_shape is None else logits.raw_shape[0], None if static is None else int(static))
        return apply_random(
            classes_kernel, [logits, count], {"dtype": dtype.numpy},
            seed=seed, type="Multinomial", name=scope, dtype=dtype, shape=shape,
        )  # fmt: skip


def categorical(
    logits: Any, num_samples: Any, dtype: Any = None, seed: int | None = None, name: str | None = None
) -> Tensor:
    """`multinomial` under its newer name."""
    return multinomial(logits, num_samples, seed, name or "categorical", dtype)


def _joined(a: shapes.RawShape, b: shapes.RawShape) -> shapes.RawShape:
    return None if a is None or b is None else a + b


def _gamma(rng, shape, alpha, beta, dtype):
    size = (*shape, *np.broadcast_shapes(np.shape(alpha), np.shape(beta)))
    # Small alphas underflow to 0, whose logarithm would surprise programs: like TensorFlow, return the tiniest number.
    drawn = np.maximum(rng.standard_gamma(alpha, size, _wide(dtype)) / beta, np.finfo(dtype).tiny)
    return np.asarray(drawn).astype(dtype, copy=False)


def _poisson(rng, shape, lam, dtype):
    return rng.poisson(lam, (*shape, *np.shape(lam))).astype(dtype)


def classes_kernel(rng, logits, count, dtype):
    # By the inverse of the cumulative distribution, which needs memory for the samples only, not samples times classes.
    weights = np.exp(np.subtract(logits, logits.max(axis=1, keepdims=True), dtype=np.float64))
    drawn = rng.random((len(logits), int(count)))
    out = np.empty(drawn.shape, dtype)
    for row, (cumulative, u) in enumerate(zip(np.cumsum(weights, axis=1), drawn, strict=True)):
        out[row] = np.searchsorted(cumulative, u * cumulative[-1], side="right")
    return out


# Shuffling and cropping


def random_shuffle(value: Any, seed: int | None = None, name: str | None = None) -> Tensor:
    """`value` with its first axis in random order; a scalar is returned as it is."""
    x = convert_to_tensor(value, name="value")
    return apply_random(_shuffle, [x], seed=seed, type="RandomShuffle", name=name, dtype=x.dtype, shape=x.raw_shape)


def random_crop(value: Any, size: Any, seed: int | None = None, name: str | None = None) -> Tensor:
    """A part of `value` of the given size, at a uniformly drawn position. Raises ValueError if `value` is smaller."""
    with name_scope(name, "random_crop", [value, size]) as scope:
        x = convert_to_tensor(value, name="value")
        extent, static = _size(size)
        if x.raw_shape is not None and static is not None:
            short = len(x.raw_shape) != len(static) or any(
                a is not None and b is not None and a < b for a, b in zip(x.raw_shape, static, strict=True)
            )
            if short:
                raise ValueError(f"Need value.shape >= size, got {shapes.text(x.raw_shape)} and {shapes.text(static)}")
        offset = apply_random(
            crop_offset, [array_ops.shape(x), extent], seed=seed, type="RandomUniformInt", name="offset",
            dtype=dtypes.int32, shape=extent.raw_shape,
        )  # fmt: skip
        return array_ops.slice(x, offset, extent, name=scope)


def _shuffle(rng, value):
    return rng.permutation(value, axis=0) if np.ndim(value) else value


def crop_offset(rng, shape, size):
    if (np.asarray(shape) < size).any():
        raise ValueError(f"Need value.shape >= size, got {shape} and {size}")
    return rng.integers(0, shape - size + 1, dtype=np.int32)


_offset = crop_offset  # pickled graphs refer to it by this name
