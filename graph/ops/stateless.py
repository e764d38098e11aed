"""Random numbers determined by a seed alone: the same seed gives the same numbers in every run and session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.arguments import of_dtype
from weftwork.graph.build import apply, convert_to_tensor, static_value
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.known import shape_argument
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import math_ops, random_ops
from weftwork.graph.scopes import name_scope


def drawn(seed: Any, *values: Any, kernel: Callable, **attrs: Any) -> Any:
    """A kernel that calls a random kernel with a generator for the seed."""
    key = np.asarray(seed).astype(np.int64).view(np.uint64)
    return kernel(np.random.Generator(np.random.Philox(key=key)), *values, **attrs)


def _node(kernel: Callable, kind: str, seed: Any, inputs: list, attrs: dict, dtype: Any, shape: Any, name: Any):
    key = of_dtype(seed, "seed", ("int32", "int64"))
    if key.raw_shape is not None and key.raw_shape != (2,):
        raise ValueError(f"seed must have shape [2], not {list(key.raw_shape)}")
    attrs = {"kernel": kernel, **attrs}
    return apply(drawn, [key, *inputs], attrs, type=kind, name=name, dtype=dtype, shape=shape)


def _size(shape: Any) -> tuple[Tensor, Any]:
    dims, tensor, raw = shape_argument(shape)
    return (convert_to_tensor(np.array(dims, np.int32)) if tensor is None else tensor), raw


def _scaled(kernel: Callable, kind: str, shape: Any, seed: Any, loc: Any, scale: Any, dtype: Any, name: Any) -> Tensor:
    kind_of = as_dtype(dtype)
    if not kind_of.is_floating:
        raise ValueError(f"Invalid dtype {kind_of!r}: {name} draws floating-point numbers")
    with name_scope(name, None, [shape, seed, loc, scale]) as scope:
        size, raw = _size(shape)
        attrs = {"loc": 0.0, "scale": 1.0, "dtype": kind_of.numpy}
        result = _node(kernel, kind, seed, [size], attrs, kind_of, raw, kind)
        scaled = result * convert_to_tensor(scale, kind_of)
        return math_ops.add(scaled, convert_to_tensor(loc, kind_of), name=scope)


def stateless_random_normal(
    shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = dtypes.float32, name: str | None = None
) -> Tensor:
    """Draws from the normal distribution. seed: two integers."""
    word = name or "stateless_random_normal"
    return _scaled(random_ops.normal_kernel, "StatelessRandomNormal", shape, seed, mean, stddev, dtype, word)


def stateless_truncated_normal(
    shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = dtypes.float32, name: str | None = None
) -> Tensor:
    """Draws from the normal distribution; those beyond two standard deviations are drawn again. seed: two integers."""
    word = name or "stateless_truncated_normal"
    return _scaled(random_ops.truncated_kernel, "StatelessTruncatedNormal", shape, seed, mean, stddev, dtype, word)


def stateless_random_uniform(
    shape: Any, seed: Any, minval: Any = 0, maxval: Any = None, dtype: Any = dtypes.float32, name: str | None = None
) -> Tensor:
    """Draws from [minval, maxval), floats or integers. seed: two integers. Integers without maxval raise ValueError."""
    kind, word = as_dtype(dtype), name or "stateless_random_uniform"
    if kind.is_integer:
        if maxval is None:
            raise ValueError(f"Must specify maxval for integer dtype {kind!r}")
        size, raw = _size(shape)
        limits = [convert_to_tensor(bound, kind) for bound in (minval, maxval)]
        inputs, attrs = [size, *limits], {"dtype": kind.numpy}
        return _node(random_ops.integers_kernel, "StatelessRandomUniformInt", seed, inputs, attrs, kind, raw, word)
    high = 1 if maxval is None else maxval
    low = convert_to_tensor(minval, kind)
    width = convert_to_tensor(high, kind) - low
    return _scaled(random_ops.uniform_kernel, "StatelessRandomUniform", shape, seed, low, width, kind, word)


def stateless_multinomial(
    logits: Any, num_samples: Any, seed: Any, output_dtype: Any = dtypes.int64, name: str | None = None
) -> Tensor:
    """num_samples classes for each row, class i with probability softmax(logits)[i]. seed: two integers."""
    x, count, kind = convert_to_tensor(logits), convert_to_tensor(num_samples), as_dtype(output_dtype)
    known = static_value(count)
    shape = (None if x.raw_shape is None else x.raw_shape[0], None if known is None else int(known))
    attrs = {"dtype": kind.numpy}
    word = name or "stateless_multinomial"
    return _node(random_ops.classes_kernel, "StatelessMultinomial", seed, [x, count], attrs, kind, shape, word)


def stateless_categorical(
    logits: Any, num_samples: Any, seed: Any, dtype: Any = dtypes.int64, name: str | None = None
) -> Tensor:
    """`stateless_multinomial` under its newer name."""
    return stateless_multinomial(logits, num_samples, seed, dtype, name or "stateless_categorical")
