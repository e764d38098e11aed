"""tf.test: numerical derivatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weftwork.graph.gradients.walk import gradients
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.composite import IndexedSlicesValue
from weftwork.graph.stacks import get_default_graph, get_default_session


def compute_gradient(
    x: Any,
    x_shape: Any,
    y: Any,
    y_shape: Any,
    x_init_value: Any = None,
    delta: float = 1e-3,
    init_targets: Any = None,
    extra_feed_dict: Any = None,
) -> Any:
    """The Jacobian by symbolic derivatives and by central differences, as two arrays of shape [elements of x, elements
    of y].

    x: a tensor that can be fed, or a list of them, which returns a list of pairs.   x_init_value: the point; by default
    random.   init_targets: what to run first, in the default session.
    x_shape, y_shape: lists of integers.   extra_feed_dict: what else is fed.
    Raises ValueError without a default session.
    """
    session = get_default_session()
    if session is None:
        raise ValueError("compute_gradient needs a default session: use it in `with session.as_default()`.")
    if init_targets is not None:
        for target in init_targets if isinstance(init_targets, (list, tuple)) else [init_targets]:
            session.run(target)
    feeds = dict(extra_feed_dict or {})
    if isinstance(x, (list, tuple)):
        starts = x_init_value or [None] * len(x)
        values = [_start(t, s, v) for t, s, v in zip(x, x_shape, starts, strict=True)]
        whole = {**feeds, **dict(zip(x, values, strict=True))}
        return [_jacobians(session, t, v, y, y_shape, delta, whole) for t, v in zip(x, values, strict=True)]
    start = _start(x, x_shape, x_init_value)
    return _jacobians(session, x, start, y, y_shape, delta, {**feeds, x: start})


def _start(x: Tensor, shape: Any, value: Any) -> np.ndarray:
    kind = x.dtype.base_dtype.numpy
    if value is not None:
        return np.asarray(value, kind)
    return np.random.random_sample(tuple(shape)).astype(kind)


def _jacobians(session: Any, x: Tensor, start: np.ndarray, y: Tensor, y_shape: Any, delta: float, feeds: dict) -> tuple:
    with get_default_graph().as_default() if x.graph is get_default_graph() else x.graph.as_default():
        size = math.prod(y_shape)
        kind = y.dtype.base_dtype.numpy
        theory, measured = np.zeros((start.size, size), kind), np.zeros((start.size, size), kind)
        for at in range(size):
            seed = np.zeros(tuple(y_shape), kind)
            seed.reshape(-1)[at] = 1
            (grad,) = gradients(y, x, [seed])
            if grad is not None:
                found = session.run(grad, feeds)
                if isinstance(found, IndexedSlicesValue):
                    dense = np.zeros_like(start)
                    np.add.at(dense, found.indices, found.values)
                    found = dense
                theory[:, at] = np.ravel(found)
        for place in range(start.size):
            ends = []
            for sign in (1, -1):
                moved = start.copy()
                moved.reshape(-1)[place] += sign * delta
                ends.append(np.ravel(session.run(y, {**feeds, x: moved})))
            measured[place] = (ends[0] - ends[1]) / (2 * delta)
    return theory, measured


def compute_gradient_error(
    x: Any,
    x_shape: Any,
    y: Any,
    y_shape: Any,
    x_init_value: Any = None,
    delta: float = 1e-3,
    init_targets: Any = None,
    extra_feed_dict: Any = None,
) -> float:
    """The largest difference between the two Jacobians of `compute_gradient`.

    x_shape, y_shape: lists of integers.
    x_init_value: an array.
    init_targets: operations to run first.
    extra_feed_dict: what else is fed.
    """
    pairs = compute_gradient(x, x_shape, y, y_shape, x_init_value, delta, init_targets, extra_feed_dict)
    pairs = pairs if isinstance(pairs, list) else [pairs]
    return max([float(np.abs(a - b).max(initial=0)) for a, b in pairs], default=0.0)
