"""The rules for NumPy's and SciPy's functions: nodes that call autograd at run time (see `vjps`)."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from weftwork.graph import nest
from weftwork.graph.build import apply
from weftwork.graph.gradients.registry import FALLBACKS, no_derivative, rule
from weftwork.graph.gradients.vjps import differentiability, first_vjp, vjp_of_form, wrapped
from weftwork.graph.kernels.derivatives import unpick
from weftwork.graph.numpy_protocol import call_numpy
from weftwork.graph.operation import Operation, Tensor

_PICKS = frozenset([np.take, np.flip, np.take_along_axis, np.delete])
"""NumPy functions that only select elements of their first argument, and that autograd does not support."""


def _function(op: Operation) -> Any:
    return op.attrs["function"] if op.kernel is call_numpy else op.kernel


def has_derivative(op: Operation) -> bool:
    """True if the operation is a function that autograd, or this module, can differentiate."""
    function = _function(op)
    try:
        return function in _PICKS or bool(differentiability(function))
    except TypeError:  # not hashable
        return False


def numpy_rule(op: Operation, *grads: Tensor) -> list:
    """The rule for NumPy's and SciPy's functions."""
    function = _function(op)
    if function in _PICKS:
        return _picked(op, grads[0])
    if differentiability(function) == "constant":
        return [None] * len(op.inputs)
    call = (op.kernel, tuple(op.attrs.items()), len(op.outputs))
    return [functools.partial(_first, op, call, which, grads) for which in range(len(op.inputs))]


def _first(op: Operation, call: tuple, which: int, grads: tuple) -> Tensor:
    x = op.inputs[which]
    if _differentiates(op, which):
        inputs = [*op.inputs, *op.outputs, *grads]
        attrs = {"call": call, "which": which}
        return apply(first_vjp, inputs, attrs, type="Vjp", dtype=x.dtype.base_dtype, shape=x.raw_shape)
    raise no_derivative(op, f"autograd has none with respect to input {which}")


def _differentiates(op: Operation, which: int) -> bool:
    """True if autograd has a rule for this input, found by differentiating zeros."""
    from autograd.core import primitive_vjps

    function = _function(op)
    if op.kernel is call_numpy or differentiability(function) != "rule":
        return True
    try:
        primitive_vjps[wrapped(function)]((which,), 0.5, (0.5,) * len(op.inputs), {})
    except NotImplementedError:
        return False
    except Exception:  # the arguments are the problem, not the derivative
        return True
    return True


@rule("Vjp")
def _second(op: Operation, grad: Tensor) -> list:
    """The derivative of a derivative: with respect to the function's inputs, and to the incoming gradient."""
    if op.kernel is first_vjp:
        call, which = op.attrs["call"], op.attrs["which"]
        count = call[2]
        values = len(op.inputs) - 2 * count
        kept = [*op.inputs[:values], *op.inputs[values + count :]]  # the outputs depend on the inputs
        places = [*range(values), *range(values + count, len(op.inputs))]
        form = ("vjp", ("call", call), which)
    else:
        form, kept, places = ("vjp", op.attrs["form"], op.attrs["which"]), list(op.inputs), [*range(len(op.inputs))]
    found: list[Any] = [None] * len(op.inputs)
    for number, place in enumerate(places):
        found[place] = functools.partial(_further, form, kept, number, grad)
    return found


def _further(form: tuple, inputs: list[Tensor], which: int, grad: Tensor) -> Tensor:
    x = inputs[which]
    attrs = {"form": form, "which": which}
    return apply(vjp_of_form, [*inputs, grad], attrs, type="Vjp", dtype=x.dtype.base_dtype, shape=x.raw_shape)


def _picked(op: Operation, grad: Tensor) -> list:
    """The gradients of a NumPy function that only selects elements of its first argument."""
    args, _ = op.attrs["template"] if op.kernel is call_numpy else (tuple(map(nest.Slot, range(len(op.inputs)))), {})
    found: list[Any] = [None] * len(op.inputs)
    slot = args[0]
    if type(slot) is not nest.Slot or slot.index != 0:
        raise no_derivative(op, "its first argument is not a tensor")
    x, rest = op.inputs[0], op.inputs[1:]
    attrs = {"function": op.kernel, "options": tuple(op.attrs.items()), "unique": False}
    found[0] = lambda: apply(
        unpick, [grad, x, *rest], attrs, type="Unpick", dtype=grad.dtype.base_dtype, shape=x.raw_shape
    )
    return found


FALLBACKS.append((has_derivative, numpy_rule))
