"""Kernels of optimizers: the new value of a variable or slot from its old one.

old: the previous value, which is not modified.   grad: of its shape, or of the shape of the updated rows.
Numbers have the variable's dtype.

Rules work elementwise. A large variable is updated in parts, so that a rule's intermediate results stay in the cache,
and threads share the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import numpy as np

from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.kernels.indices import inside, slices_at
from weftwork.graph.kernels.team import share_out
from weftwork.graph.shapes import bracket_text
from weftwork.graph.variables.writes import settle

PART = 1 << 15
"""Elements in one part."""
_STEPS = 2
"""Work for each element of an input, in the units of `team`."""


def kept(value: Any, old: Any) -> Any:
    """A new value as a variable stores it. Raises InvalidArgumentError if a gradient has changed its shape."""
    if value.shape != old.shape:
        raise _of_another_shape(value, old)
    return settle(value, old.dtype)


def _of_another_shape(value: Any, old: Any) -> InvalidArgumentError:
    texts = f"{bracket_text(old.shape)} {bracket_text(value.shape)}"
    return InvalidArgumentError(None, None, f"var and grad do not have the same shape{texts}")


def in_parts(rule: Callable) -> Callable:
    """Make a kernel from a rule(old, *values, out=None) that writes the new value to `out` if given.

    A rule gets numbers and arrays. It works for a scalar variable, too, whose values are numbers.
    """

    @wraps(rule)
    def kernel(old, *values):
        if old.size > PART:
            return _large(rule, old, *values)
        try:
            new = rule(old, *values)
        except ValueError:  # shapes that do not match
            _tables(old, values)
            raise
        if new.dtype != old.dtype or new.shape != old.shape or new.base is not None:
            return kept(new, old)
        if new.shape:
            new.flags.writeable = False
        return new

    return kernel


def _large(rule: Callable, old: Any, *values: Any) -> Any:
    """The new value of a large variable, part by part."""
    tables = _tables(old, values)
    if type(old) is not np.ndarray or not old.flags.c_contiguous:
        return kept(rule(old, *values), old)
    new = np.empty_like(old)
    flat = [np.ravel(value) if table else value for table, value in zip(tables, values, strict=True)]

    def work(numbers: Iterator[int]) -> None:
        for number in numbers:
            elements = slice(number * PART, (number + 1) * PART)
            parts = [v[elements] if table else v for table, v in zip(tables, flat, strict=True)]
            rule(old.reshape(-1)[elements], *parts, out=new.reshape(-1)[elements])

    share_out(work, -(-old.size // PART), old.size * _STEPS * (1 + sum(tables)))
    return kept(new, old)


def _tables(old: Any, values: tuple) -> list[bool]:
    """Which values are arrays. Raises InvalidArgumentError for one that has not the shape of `old`."""
    tables = [np.ndim(value) > 0 for value in values]
    for table, value in zip(tables, values, strict=True):
        if table and value.shape != old.shape:
            raise _of_another_shape(value, old)
    return tables


def on_rows(old, at, *values, kernel, tables):
    """Apply `kernel` to the rows `at` (distinct) of `old`.

    tables: which of the values are tables with the same rows.
    """
    new_rows = kernel(
        slices_at(old, at), *[v.take(at, 0) if table else v for v, table in zip(values, tables, strict=True)]
    )
    rows, *others = new_rows if isinstance(new_rows, tuple) else (new_rows,)
    new = np.array(old)
    new[at] = rows
    new.flags.writeable = False
    return (new, *others) if others else new


def summed_rows(indices, rows):
    """(distinct indices, the sum of the rows for each)."""
    indices = np.ravel(indices)
    order = indices.argsort(kind="stable")
    ascending = indices[order]
    starts = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]])) if len(order) else order
    return ascending[starts], np.add.reduceat(rows.take(order, 0), starts, axis=0) if len(order) else rows


# Rules


def _onto(ufunc: np.ufunc, *values: Any) -> Any:
    """ufunc(*values), written to the last of the values unless that is a number."""
    return ufunc(*values, out=values[-1]) if values[-1].shape else ufunc(*values)


@in_parts
def descend(old, grad, rate, out=None):
    """old - rate grad."""
    out = np.multiply(grad, -rate, out=out)
    out += old
    return out


def scaled(old, factor):
    """old factor."""
    if old.ndim:
        return _scaled(old, factor)
    new = old * factor  # at once: every step of Adam does this to two numbers
    return new if type(new) is type(old) else kept(new, old)


@in_parts
def _scaled(old, factor, out=None):
    return np.multiply(old, factor, out=out)


@in_parts
def momentum(old, grad, mass, out=None):
    """The velocity: mass old + grad."""
    out = np.multiply(old, mass, out=out)
    out += grad
    return out


@in_parts
def nesterov(old, grad, velocity, rate, mass, out=None):
    """old - rate (grad + mass velocity): Sutskever et al. 2013."""
    out = np.multiply(velocity, mass, out=out)
    out += grad
    out *= -rate
    out += old
    return out


@in_parts
def mean_of(old, grad, keep, out=None):
    """A running mean of gradients: keep old + (1 - keep) grad."""
    out = np.subtract(grad, old, out=out)
    out *= 1 - keep
    out += old
    return out


@in_parts
def mean_square_of(old, grad, keep, out=None):
    """A running mean of squared gradients: keep old + (1 - keep) grad^2."""
    out = np.multiply(grad, grad, out=out)
    out -= old
    out *= 1 - keep
    out += old
    return out


def mean_of_rows(old, at, rows, keep):
    """`mean_of` for a gradient that is zero except in the rows `at`, which are distinct."""
    return _with_rows(old, at, (1 - keep) * rows, keep)


def mean_square_of_rows(old, at, rows, keep):
    """`mean_square_of` for such a gradient."""
    return _with_rows(old, at, (1 - keep) * (rows * rows), keep)


def _with_rows(old: Any, at: Any, rows: Any, keep: Any) -> Any:
    inside(at, len(old))
    new = scaled(old, keep)
    new.flags.writeable = True  # nobody else has it yet
    new[at] += rows
    return kept(new, old)


@in_parts
def squares(old, grad, out=None):
    """The sum of squared gradients."""
    out = np.multiply(grad, grad, out=out)
    out += old
    return out


@in_parts
def adagrad(old, grad, total, rate, out=None):
    """old - rate grad / sqrt(total): Duchi et al. 2011."""
    out = np.sqrt(total, out=out)
    out = _onto(np.divide, grad, out)
    out *= -rate
    out += old
    return out


def adam_rate(rate, power1, power2):
    """rate sqrt(1 - beta2^t) / (1 - beta1^t)."""
    return rate * np.sqrt(1 - power2) / (1 - power1)


@in_parts
def adam(old, mean, square, rate, epsilon, out=None):
    """old - rate mean / (sqrt(square) + epsilon): Kingma and Ba 2014, arXiv:1412.6980, end of section 2."""
    out = np.sqrt(square, out=out)
    out += epsilon
    out = _onto(np.divide, mean, out)
    out *= -rate
    out += old
    return out


@in_parts
def rmsprop(old, grad, square, rate, mass, epsilon, out=None):
    """The step: mass old + rate grad / sqrt(square + epsilon): Tieleman and Hinton 2012."""
    return _moved(old, grad, np.add(square, epsilon, out=out), rate, mass)


@in_parts
def centered_rmsprop(old, grad, square, mean, rate, mass, epsilon, out=None):
    """The step, normalized by the variance: Graves 2013, arXiv:1308.0850, equations 38 to 42."""
    out = np.multiply(mean, mean, out=out)
    out = _onto(np.subtract, square, out)
    out += epsilon
    return _moved(old, grad, out, rate, mass)


def _moved(old: Any, grad: Any, out: Any, rate: Any, mass: Any) -> Any:
    """mass old + rate grad / sqrt(out), written to out."""
    out = _onto(np.sqrt, out)
    out = _onto(np.divide, grad, out)
    out *= rate
    out += old * mass
    return out


@in_parts
def minus(old, step, out=None):
    """old - step."""
    return np.subtract(old, step, out=out)


def adadelta(old, grad, square, keep, epsilon):
    """(the running mean of squared steps, the step): Zeiler 2012, arXiv:1212.5701, algorithm 1. old: that mean."""
    step = old + epsilon
    step /= square + epsilon
    step = np.sqrt(step)
    step *= grad
    return mean_square_of(old, step, keep), step


def ftrl_squares(old, grad, rate, power):
    """(the sum of squared gradients, the growth of 1 / learning rate for each element)."""
    new = squares(old, grad)
    growth = _raised(new, power)
    growth -= _raised(old, power)
    growth /= rate
    return new, growth


@in_parts
def ftrl_linear(old, grad, growth, variable, shrinkage, out=None):
    """The sum of gradients minus what the variable has already followed: McMahan et al. 2013, algorithm 1."""
    out = np.subtract(2 * shrinkage, growth, out=out)
    out *= variable
    out += grad
    out += old
    return out


@in_parts
def ftrl(old, linear, total, rate, power, l1, l2, out=None):
    """The variable that minimizes the regularized sum: zero where |linear| <= l1."""
    quadratic = _raised(total, power)
    quadratic /= rate
    quadratic += 2 * l2
    out = np.clip(linear, -l1, l1, out=out)
    out -= linear
    out /= quadratic
    return out


@in_parts
def proximal(old, grad, rate, l1, l2, out=None):
    """A gradient step, then a proximal step for the regularizers: Duchi and Singer 2009.

    rate: scalar or elementwise.
    """
    stepped = old - rate * grad
    threshold = rate * l1
    out = np.clip(stepped, -threshold, threshold, out=out)
    out = _onto(np.subtract, stepped, out)
    out /= 1 + rate * l2
    return out


@in_parts
def proximal_adagrad(old, grad, total, rate, l1, l2, out=None):
    """`proximal` with Adagrad's learning rates."""
    return proximal.__wrapped__(old, grad, rate / np.sqrt(total), l1, l2, out=out)


@in_parts
def summed(old, grad, out=None):
    """The sum of all gradients."""
    return np.add(old, grad, out=out)


@in_parts
def dual_averaged(old, total, squares, rate, step, l1, l2, out=None):
    """The weights that follow from the sums of gradients and of their squares, after `step` steps."""
    out = np.clip(total, -l1 * step, l1 * step, out=out)
    out -= total
    out *= rate
    out /= l2 * step * rate + np.sqrt(squares)
    return out


def _raised(x: Any, power: Any) -> Any:
    """x ** -power, by the square root if power is 1/2, which takes a tenth of the time."""
    return np.sqrt(x) if power == -0.5 else x**-power


# Averages


def plus_one(old):
    """Add one."""
    return kept(old + 1, old)


def debiased(old, biased, keep, step):
    """Correct the bias of a running mean that started at 0."""
    return kept(biased / (1 - keep**step), old)
