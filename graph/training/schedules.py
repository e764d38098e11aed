"""Learning rates that change with the step, as tensors: give one to an optimizer as its learning rate.

p   how far it is: global_step / decay_steps
Formulas are TensorFlow 1.15's; the numbers are computed in the dtype of the learning rate.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import math_ops as m
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.indexing import where
from weftwork.graph.scopes import name_scope


def _numbers(name: str, learning_rate: Any, global_step: Any, *others: Any) -> list[Tensor]:
    """The learning rate as a tensor, and the rest in its dtype. Raises ValueError for no global_step."""
    if global_step is None:
        raise ValueError(f"global_step is required for {name}.")
    rate = convert_to_tensor(learning_rate, name="learning_rate")
    if rate.dtype.is_integer:
        rate = cast(rate, dtypes.float32)
    return [rate, *[cast(convert_to_tensor(value), rate.dtype.base_dtype) for value in (global_step, *others)]]


def exponential_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """learning_rate * decay_rate ** p; staircase: p rounded down. Raises ValueError for no global_step."""
    with name_scope(name, "ExponentialDecay"):
        numbers = _numbers("exponential_decay", learning_rate, global_step, decay_steps, decay_rate)
        rate, step, steps, factor = numbers
        p = m.divide(step, steps)
        return m.multiply(rate, m.pow(factor, m.floor(p) if staircase else p))


def natural_exp_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """learning_rate * exp(-decay_rate * p); staircase: p rounded down. Raises ValueError for no global_step."""
    with name_scope(name, "NaturalExpDecay"):
        numbers = _numbers("natural_exp_decay", learning_rate, global_step, decay_steps, decay_rate)
        rate, step, steps, factor = numbers
        p = m.divide(step, steps)
        return m.multiply(rate, m.exp(m.negative(factor) * (m.floor(p) if staircase else p)))


def inverse_time_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """learning_rate / (1 + decay_rate * p); staircase: p rounded down. Raises ValueError for no global_step."""
    with name_scope(name, "InverseTimeDecay"):
        numbers = _numbers("inverse_time_decay", learning_rate, global_step, decay_steps, decay_rate)
        rate, step, steps, factor = numbers
        p = m.divide(step, steps)
        return m.divide(rate, 1.0 + factor * (m.floor(p) if staircase else p))


def polynomial_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, end_learning_rate: Any = 0.0001, power: Any = 1.0,
    cycle: bool = False, name: str | None = None,
) -> Tensor:  # fmt: skip
    """(learning_rate - end) * (1 - p) ** power + end, and `end` after decay_steps.

    cycle: decay_steps is the first multiple of itself beyond the step. Raises ValueError for no global_step.
    """
    with name_scope(name, "PolynomialDecay"):
        numbers = _numbers("polynomial_decay", learning_rate, global_step, decay_steps, end_learning_rate, power)
        rate, step, steps, end, exponent = numbers
        if cycle:
            steps = steps * where(m.equal(step, 0.0), 1.0, m.ceil(step / steps))
        else:
            step = m.minimum(step, steps)
        return m.add((rate - end) * m.pow(1.0 - step / steps, exponent), end)


def cosine_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, alpha: Any = 0.0, name: str | None = None
) -> Tensor:
    """learning_rate * ((1 - alpha) (1 + cos(pi p)) / 2 + alpha), p at most 1: Loshchilov and Hutter 2016,
    arXiv:1608.03983. Raises ValueError for no global_step."""
    with name_scope(name, "CosineDecay"):
        rate, step, steps = _numbers("cosine_decay", learning_rate, global_step, decay_steps)
        wave = 0.5 * (1.0 + m.cos(math.pi * (m.minimum(step, steps) / steps)))
        return m.multiply(rate, (1.0 - alpha) * wave + alpha)


def piecewise_constant(x: Any, boundaries: Any, values: Any, name: str | None = None) -> Tensor:
    """values[i] while boundaries[i - 1] < x <= boundaries[i]; the first up to the first boundary, the last beyond all.

    Raises ValueError unless there is one value more than boundaries, or for boundaries of another kind than x.
    """
    if boundaries is None or values is None:
        raise ValueError("Both boundaries and values are required for piecewise_constant.")
    if len(boundaries) != len(values) - 1:
        raise ValueError("The length of boundaries should be 1 less than the length of values")
    with name_scope(name, "PiecewiseConstant"):
        place = convert_to_tensor(x)
        limits = [convert_to_tensor(b) for b in boundaries]
        for limit in limits:
            if limit.dtype.is_floating and not place.dtype.is_floating:
                raise ValueError(
                    f"Boundaries ({limit.dtype.base_dtype}) must have the same dtype as x ({place.dtype.base_dtype})."
                )
        levels = [convert_to_tensor(v) for v in values]
        if len({level.dtype.base_dtype for level in levels}) > 1:
            raise ValueError(f"Values must have elements all with the same dtype ({[v.dtype.name for v in levels]}).")
        dtype = levels[0].dtype.base_dtype
        inputs, attrs = [place, *limits, *levels], {"count": len(limits)}
        return apply(_level, inputs, attrs, type="PiecewiseConstant", name="level", dtype=dtype, shape=())


piecewise_constant_decay = piecewise_constant


def _level(x, *numbers, count):
    limits, levels = numbers[:count], numbers[count:]
    return levels[int(np.searchsorted(np.asarray(limits), x, side="left"))] if count else levels[0]
