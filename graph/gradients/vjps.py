"""Derivatives of NumPy's and SciPy's functions through autograd: what it supports, and the kernels that call it.

call    how a kernel is called: (function, attributes, number of outputs), as hashable data
form    a function of values as data: a call, or ("vjp", form, which) for the derivative of another form with respect to
  one of its values, with the incoming gradient as an additional value
vjp     vector-Jacobian product: maps the gradient of a function's result to that of an argument
twin    the equivalent, written with autograd's NumPy, of a kernel that is not a NumPy function

Invariant: the derivative of a form is a form, so derivatives of any order are nodes. Gradients of complex numbers are
conjugated on the way in and out: autograd's are the conjugates of TensorFlow's. autograd is imported on first use.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import nest
from weftwork.graph.kernels import elementwise as kernels_math
from weftwork.graph.numpy_protocol import call_numpy
from weftwork.graph.ops import linalg_ops
from weftwork.graph.python.forks import fresh

_tracing = fresh(threading.RLock())
"""Only one thread may trace: autograd counts its traces in a global variable."""

# Twins


def _anp() -> Any:
    """autograd's NumPy, imported on first use: it would slow down every start."""
    import autograd.numpy

    return autograd.numpy


def _einsum(*values, equation):
    return _anp().einsum(equation, *values)


def _svd(x, full_matrices):
    if full_matrices and x.shape[-1] != x.shape[-2]:
        raise NotImplementedError("the gradient of svd with full_matrices=True needs a square matrix")
    anp = _anp()
    u, s, vh = anp.linalg.svd(x, full_matrices=False)
    return s, u, anp.conj(anp.swapaxes(vh, -1, -2))


def _singular_values(x):
    return _anp().linalg.svd(x, compute_uv=False)


def _eigh(x):
    e, v = _anp().linalg.eigh(x)
    return e, v


def _eigvalsh(x, UPLO="L"):
    return _anp().linalg.eigh(x, UPLO)[0]


TWINS: dict[Any, Callable] = {
    kernels_math.einsum: _einsum,
    kernels_math.checked_einsum: _einsum,
    linalg_ops._svd: _svd,
    linalg_ops._singular_values: _singular_values,
    linalg_ops._eigh: _eigh,
    np.linalg.eigvalsh: _eigvalsh,
}


# What autograd supports


@functools.cache
def _namespaces() -> list[tuple[Any, Any]]:
    """Modules of NumPy and SciPy, each with autograd's counterpart."""
    import autograd.numpy
    import autograd.scipy.linalg
    import autograd.scipy.special
    import scipy.linalg
    import scipy.special

    anp = autograd.numpy
    pairs = [(np, anp), (np.linalg, anp.linalg), (np.fft, anp.fft)]
    return [*pairs, (scipy.special, autograd.scipy.special), (scipy.linalg, autograd.scipy.linalg)]


def wrapped(function: Callable) -> Callable | None:
    """autograd's version of a function of NumPy or SciPy; None if it has none."""
    return _versions().get(function)


@functools.cache
def _versions() -> dict[Any, Callable]:
    """autograd's version of each function that it supports, keyed by the function."""
    found: dict[Any, Callable] = {}
    for module, versions in reversed(_namespaces()):
        for name in dir(versions):
            function = None if name.startswith("_") else getattr(module, name, None)
            if callable(function) and (function not in found or getattr(function, "__name__", "") == name):
                found[function] = getattr(versions, name)
    return found


def differentiability(function: Callable) -> str:
    """How a function is differentiated: "twin", or autograd's "rule", "constant" (no gradient flows) or "traced".

    "" if it has no derivative.
    """
    return "twin" if function in TWINS else _differentiabilities().get(function, "")


@functools.cache
def _differentiabilities() -> dict[Any, str]:
    """How autograd differentiates each function that it supports."""
    from autograd.core import VJPNode, primitive_vjps
    from autograd.tracer import notrace_primitives

    constant = notrace_primitives[VJPNode]

    def described(version: Callable) -> str:
        if version in primitive_vjps:
            return "rule"
        if version in constant:
            return "constant"
        # Functions composed from autograd's own have no `fun`; a primitive without a rule cannot be differentiated.
        return "" if hasattr(version, "fun") else "traced"

    return {function: described(version) for function, version in _versions().items()}


# Kernels


def first_vjp(*values, call, which):
    """The kernel of a first derivative. values: the function's inputs, its outputs, and the outputs' gradients."""
    from autograd.core import primitive_vjps

    count = call[2]
    inputs, outputs = values[: len(values) - 2 * count], values[len(values) - 2 * count : len(values) - count]
    grads = tuple([np.conj(g) if np.iscomplexobj(g) else g for g in values[len(values) - count :]])
    direct = _direct(call, which, inputs)
    if direct is None:
        return vjp_of_form(*inputs, *values[len(values) - count :], form=("call", call), which=which)
    function, argnum, args, kwargs = direct
    maker = primitive_vjps[function]
    if count == 1:
        found = next(iter(maker((argnum,), outputs[0], args, kwargs)(grads[0])))
    else:
        found = next(iter(maker((argnum,), outputs, args, kwargs)(grads)))
    return _settled(_dense(found), inputs[which])


def _direct(call: tuple, which: int, inputs: tuple) -> tuple | None:
    """(autograd's function, argument index, args, kwargs) if its rule can be called directly; None if it must trace."""
    kernel, attrs, _ = call
    attrs = dict(attrs)
    if kernel is not call_numpy:
        return (wrapped(kernel), which, inputs, attrs) if differentiability(kernel) == "rule" else None
    function = attrs["function"]
    args, kwargs = attrs["template"]
    place = [i for i, arg in enumerate(args) if type(arg) is nest.Slot and arg.index == which]
    if differentiability(function) != "rule" or not place:
        return None
    args, kwargs = nest.fill(attrs["template"], inputs, nest.unchanged)
    return wrapped(function), place[0], args, kwargs


def vjp_of_form(*values, form, which):
    """The kernel of a derivative of any order, by tracing. values: those of the form, then the gradients."""
    extra = _gradients_of(form)
    inputs, grads = values[: len(values) - extra], values[len(values) - extra :]
    with _tracing:
        found = _traced(form, inputs, which, tuple([np.conj(g) if np.iscomplexobj(g) else g for g in grads]))
    return _settled(found, inputs[which])


def _gradients_of(form: tuple) -> int:
    """The number of gradients that belong to a form: one for each output."""
    return form[1][2] if form[0] == "call" else 1


def _traced(form: tuple, inputs: tuple, which: int, grads: tuple) -> Any:
    """The derivative of <form(inputs), grads> with respect to one input; inputs and grads may be autograd's boxes."""
    import autograd.numpy as anp
    from autograd.core import VJPNode, backward_pass, vspace
    from autograd.tracer import isbox, new_box, trace_stack

    x = inputs[which]
    if not isbox(x):
        x = np.asarray(x)
    # Like autograd's make_vjp, but without its warning if the result does not depend on the input: a common case here.
    with trace_stack.new_trace() as level:
        box = new_box(x, level, VJPNode.new_root())
        value = _evaluate(form, (*inputs[:which], box, *inputs[which + 1 :]))
        if len(grads) > 1:
            value = sum([anp.sum(g * part) for g, part in zip(grads, value, strict=True)])
    if not isbox(value) or value._trace != level:
        return vspace(x).zeros()
    return backward_pass(grads[0] if len(grads) == 1 else 1.0, value._node)


def _evaluate(form: tuple, values: tuple) -> Any:
    """Evaluate a form with autograd's functions."""
    if form[0] == "vjp":
        _, inner, which = form
        extra = _gradients_of(inner)
        return _traced(inner, values[: len(values) - extra], which, values[len(values) - extra :])
    kernel, attrs, _ = form[1]
    attrs = dict(attrs)
    twin = TWINS.get(kernel)
    if twin is not None:
        return twin(*values, **attrs)
    if kernel is not call_numpy:
        return wrapped(kernel)(*values, **attrs)  # type: ignore[misc]
    args, kwargs = nest.fill(attrs["template"], values, nest.unchanged)
    function = attrs["function"]
    return (TWINS.get(function) or wrapped(function))(*args, **kwargs)  # type: ignore[misc]


def _dense(found: Any) -> Any:
    """Convert a gradient that autograd kept as a sparse object to an array."""
    from autograd.core import SparseObject

    return found.mut_add(found.vs.zeros()) if isinstance(found, SparseObject) else found


def _settled(found: Any, x: Any) -> Any:
    """Convert autograd's result to a gradient of x: conjugate it, and set dtype and shape."""
    found, x = np.asarray(found), np.asarray(x)
    if found.dtype.kind == "c":
        found = np.conj(found) if x.dtype.kind == "c" else np.real(found)
    dtype = x.dtype if x.dtype.kind in "fc" else found.dtype
    return np.broadcast_to(found.astype(dtype, copy=False), x.shape)[()]
