"""Learning rates that depend on the step, as tensors to pass to an optimizer.

p   the progress: global_step / decay_steps
The formulas are TensorFlow 1.15's, computed in the dtype of the learning rate.
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
from weftwork.graph.ops.random_ops import random_normal
from weftwork.graph.ops.selecting import where_v2
from weftwork.graph.scopes import name_scope


def _numbers(name: str, learning_rate: Any, global_step: Any, *others: Any) -> list[Tensor]:
    """The learning rate as a tensor, and the other arguments in its dtype. Raises ValueError without global_step."""
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
    """learning_rate * decay_rate ** p; staircase: p rounded down. Raises ValueError without global_step."""
    with name_scope(name, "ExponentialDecay") as scope:
        numbers = _numbers("exponential_decay", learning_rate, global_step, decay_steps, decay_rate)
        rate, step, steps, factor = numbers
        p = m.divide(step, steps)
        return m.multiply(rate, m.pow(factor, m.floor(p) if staircase else p), name=scope)


def natural_exp_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """learning_rate * exp(-decay_rate * p); staircase: p rounded down. Raises ValueError without global_step."""
    with name_scope(name, "ExponentialDecay") as scope:
        numbers = _numbers("natural_exp_decay", learning_rate, global_step, decay_steps, decay_rate)
        rate, step, steps, factor = numbers
        p = m.divide(step, steps)
        return m.multiply(rate, m.exp(m.negative(factor) * (m.floor(p) if staircase else p)), name=scope)


def inverse_time_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """learning_rate / (1 + decay_rate * p); staircase: p rounded down. Raises ValueError without global_step."""
    with name_scope(name, "InverseTimeDecay") as scope:
        numbers = _numbers("inverse_time_decay", learning_rate, global_step, decay_steps, decay_rate)
        rate, step, steps, factor = numbers
        p = m.divide(step, steps)
        return m.divide(rate, 1.0 + factor * (m.floor(p) if staircase else p), name=scope)


def polynomial_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, end_learning_rate: Any = 0.0001, power: Any = 1.0,
    cycle: bool = False, name: str | None = None,
) -> Tensor:  # fmt: skip
    """(learning_rate - end) * (1 - p) ** power + end, and `end` after decay_steps.

    cycle: extend decay_steps to its first multiple beyond the step. Raises ValueError without global_step.
    end_learning_rate: the rate after decay_steps.
    """
    with name_scope(name, "PolynomialDecay") as scope:
        numbers = _numbers("polynomial_decay", learning_rate, global_step, decay_steps, end_learning_rate, power)
        rate, step, steps, end, exponent = numbers
        if cycle:
            steps = steps * where_v2(m.equal(step, 0.0), 1.0, m.ceil(step / steps))
        else:
            step = m.minimum(step, steps)
        return m.add((rate - end) * m.pow(1.0 - step / steps, exponent), end, name=scope)


def cosine_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, alpha: Any = 0.0, name: str | None = None
) -> Tensor:
    """learning_rate * ((1 - alpha) (1 + cos(pi p)) / 2 + alpha), p at most 1: Loshchilov and Hutter 2016,
    arXiv:1608.03983. Raises ValueError without global_step."""
    with name_scope(name, "CosineDecay"):
        rate, step, steps = _numbers("cosine_decay", learning_rate, global_step, decay_steps)
        wave = 0.5 * (1.0 + m.cos(math.pi * (m.minimum(step, steps) / steps)))
        return m.multiply(rate, (1.0 - alpha) * wave + alpha)


def cosine_decay_restarts(
    learning_rate: Any, global_step: Any, first_decay_steps: Any, t_mul: Any = 2.0, m_mul: Any = 1.0,
    alpha: Any = 0.0, name: str | None = None,
) -> Tensor:  # fmt: skip
    """`cosine_decay` repeatedly: each period is t_mul times as long, and starts at m_mul times the rate.

    first_decay_steps: the length of the first period. alpha: the lowest rate, as a fraction of learning_rate.
    Raises ValueError without global_step.
    """
    with name_scope(name, "SGDRDecay") as scope:
        numbers = _numbers("cosine_decay_restarts", learning_rate, global_step, first_decay_steps, t_mul, m_mul, alpha)
        rate, attrs = numbers[0], {}
        dtype = rate.dtype.base_dtype
        return apply(_restarted, numbers, attrs, type="SGDRDecay", name=scope, dtype=dtype, shape=())


def _restarted(rate, step, steps, longer, lower, least):
    """The kernel of `cosine_decay_restarts`."""
    p = step / steps
    if longer == 1:
        times, p = np.floor(p), p % 1
    else:
        times = np.floor(np.log(1 - p * (1 - longer)) / np.log(longer))
        p = (p - (1 - longer**times) / (1 - longer)) / longer**times
    wave = 0.5 * lower**times * (1 + np.cos(np.pi * p))
    return (rate * ((1 - least) * wave + least)).astype(rate.dtype)


def linear_cosine_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, num_periods: Any = 0.5, alpha: Any = 0.0,
    beta: Any = 0.001, name: str | None = None,
) -> Tensor:  # fmt: skip
    """learning_rate * ((alpha + 1 - p) (1 + cos(2 pi num_periods p)) / 2 + beta), p at most 1: Bello et al. 2017,
    arXiv:1709.07417. Raises ValueError without global_step."""
    with name_scope(name, "LinearCosineDecay") as scope:
        return _linear_cosine(learning_rate, global_step, decay_steps, num_periods, alpha, beta, None, scope)


def noisy_linear_cosine_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, initial_variance: Any = 1.0, variance_decay: Any = 0.55,
    num_periods: Any = 0.5, alpha: Any = 0.0, beta: Any = 0.001, name: str | None = None,
) -> Tensor:  # fmt: skip
    """`linear_cosine_decay` with noise of initial_variance / (1 + global_step) ** variance_decay.

    num_periods, alpha, beta: as in `linear_cosine_decay`.
    """
    with name_scope(name, "NoisyLinearCosineDecay") as scope:
        noise = (initial_variance, variance_decay)
        return _linear_cosine(learning_rate, global_step, decay_steps, num_periods, alpha, beta, noise, scope)


def _linear_cosine(learning_rate, global_step, decay_steps, num_periods, alpha, beta, noise: Any, scope: str) -> Tensor:
    rate, step, steps = _numbers("linear_cosine_decay", learning_rate, global_step, decay_steps)
    step = m.minimum(step, steps)
    line = (steps - step) / steps
    if noise is not None:
        deviation = m.sqrt(noise[0] / m.pow(1.0 + step, noise[1]))
        line = line + random_normal((), dtype=rate.dtype.base_dtype) * deviation
    wave = 0.5 * (1.0 + m.cos(2.0 * math.pi * num_periods * (step / steps)))
    return m.multiply(rate, (alpha + line) * wave + beta, name=scope)


def piecewise_constant(x: Any, boundaries: Any, values: Any, name: str | None = None) -> Tensor:
    """values[i] while boundaries[i - 1] < x <= boundaries[i]; the first value before, the last after all boundaries.

    Raises ValueError unless there is one more value than boundaries, and these have the dtype of x.
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
        first, other = levels[0].dtype, next((v.dtype for v in levels if v.dtype != levels[0].dtype), None)
        if other is not None:
            raise ValueError(f"Values must have elements all with the same dtype ({first} vs {other}).")
        dtype = levels[0].dtype.base_dtype
        inputs, attrs = [place, *limits, *levels], {"count": len(limits)}
        return apply(_level, inputs, attrs, type="PiecewiseConstant", name="level", dtype=dtype, shape=())


piecewise_constant_decay = piecewise_constant


def _level(x, *numbers, count):
    limits, levels = numbers[:count], numbers[count:]
    return levels[int(np.searchsorted(np.asarray(limits), x, side="left"))] if count else levels[0]
