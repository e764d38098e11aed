"""What optimizers compute: the new value of a variable or slot from its old one, called at run time.

old: the value before, which stays as it is.   grad: of its shape, or of the shape of the rows that are updated.
Numbers come in the variable's dtype.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.kernels.indices import inside
from weftwork.graph.shapes import bracket_text
from weftwork.graph.variables.writes import settle


def kept(value: Any, old: Any) -> Any:
    """A new value as a variable keeps it. Raises InvalidArgumentError when a gradient has given it another shape."""
    if value.shape != old.shape:
        texts = f"{bracket_text(old.shape)} {bracket_text(value.shape)}"
        raise InvalidArgumentError(None, None, f"var and grad do not have the same shape{texts}")
    return settle(value, old.dtype)


def on_rows(old, at, *values, kernel, tables):
    """`kernel` on the rows `at` (each once) of `old`. tables: which of the values have these rows among others."""
    inside(at, len(old))
    made = kernel(old[at], *[v[at] if table else v for v, table in zip(values, tables, strict=True)])
    rows, *others = made if isinstance(made, tuple) else (made,)
    new = np.array(old)
    new[at] = rows
    new.flags.writeable = False
    return (new, *others) if others else new


def summed_rows(indices, rows):
    """(each index once, the sum of its rows)."""
    indices = np.ravel(indices)
    order = np.argsort(indices, kind="stable")
    ascending = indices[order]
    starts = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]])) if len(order) else order
    return ascending[starts], np.add.reduceat(rows[order], starts, axis=0) if len(order) else rows


# Rules


def descend(old, grad, rate):
    """old - rate grad."""
    return kept(old - rate * grad, old)


def scaled(old, factor):
    """old factor."""
    return kept(old * factor, old)


def momentum(old, grad, mass):
    """The velocity: mass old + grad."""
    new = old * mass
    new += grad
    return kept(new, old)


def nesterov(old, grad, velocity, rate, mass):
    """old - rate (grad + mass velocity): Sutskever et al. 2013."""
    return kept(old - rate * (grad + velocity * mass), old)


def mean_of(old, grad, keep):
    """A running mean of gradients: keep old + (1 - keep) grad."""
    new = grad - old
    new *= 1 - keep
    new += old
    return kept(new, old)


def mean_square_of(old, grad, keep):
    """A running mean of squared gradients: keep old + (1 - keep) grad^2."""
    new = grad * grad
    new -= old
    new *= 1 - keep
    new += old
    return kept(new, old)


def squares(old, grad):
    """The sum of squared gradients."""
    new = grad * grad
    new += old
    return kept(new, old)


def adagrad(old, grad, total, rate):
    """old - rate grad / sqrt(total): Duchi et al. 2011."""
    return kept(old - rate * grad / np.sqrt(total), old)


def adam_rate(rate, power1, power2):
    """rate sqrt(1 - beta2^t) / (1 - beta1^t)."""
    return rate * np.sqrt(1 - power2) / (1 - power1)


def adam(old, mean, square, rate, epsilon):
    """old - rate mean / (sqrt(square) + epsilon): Kingma and Ba 2014, arXiv:1412.6980, end of section 2."""
    step = np.sqrt(square)
    step += epsilon
    step = mean / step
    step *= rate
    return kept(old - step, old)


def rmsprop(old, grad, square, rate, mass, epsilon):
    """The step: mass old + rate grad / sqrt(square + epsilon): Tieleman and Hinton 2012."""
    return kept(old * mass + rate * grad / np.sqrt(square + epsilon), old)


def centered_rmsprop(old, grad, square, mean, rate, mass, epsilon):
    """The step by the variance: Graves 2013, arXiv:1308.0850, equations 38 to 42."""
    return kept(old * mass + rate * grad / np.sqrt(square - mean * mean + epsilon), old)


def minus(old, step):
    """old - step."""
    return kept(old - step, old)


def adadelta(old, grad, square, keep, epsilon):
    """(the running mean of squared steps, the step): Zeiler 2012, arXiv:1212.5701, algorithm 1. old: that mean."""
    step = np.sqrt(old + epsilon) / np.sqrt(square + epsilon) * grad
    return mean_square_of(old, step, keep), step


def ftrl_squares(old, grad, rate, power):
    """(the sum of squared gradients, by how much 1 / the learning rate of each element has grown)."""
    new = old + grad * grad
    return kept(new, old), (new**-power - old**-power) / rate


def ftrl_linear(old, grad, growth, variable, shrinkage):
    """The sum of gradients without what the variable has followed already: McMahan et al. 2013, algorithm 1."""
    return kept(old + grad + 2 * shrinkage * variable - growth * variable, old)


def ftrl(old, linear, total, rate, power, l1, l2):
    """The variable that minimises the regularised sum: zero where |linear| <= l1."""
    quadratic = total**-power / rate + 2 * l2
    return kept(np.where(np.abs(linear) > l1, (np.sign(linear) * l1 - linear) / quadratic, 0), old)


def proximal(old, grad, rate, l1, l2):
    """A step, then towards zero by the regularisers: Duchi and Singer 2009. rate: a number or one of each element."""
    ahead = old - rate * grad
    return kept(np.sign(ahead) * np.maximum(np.abs(ahead) - rate * l1, 0) / (1 + rate * l2), old)


def proximal_adagrad(old, grad, total, rate, l1, l2):
    """`proximal` with Adagrad's learning rates."""
    return proximal(old, grad, rate / np.sqrt(total), l1, l2)


# Averages


def plus_one(old):
    """One step more."""
    return kept(old + 1, old)


def debiased(old, biased, keep, step):
    """A running mean that began with 0, without what that makes it too small."""
    return kept(biased / (1 - keep**step), old)
