"""Programs on a GPU, through CuPy. The library's kernels run unchanged, as NumPy functions dispatch on their arguments.

device value    a CuPy array; values stay on the device within a program, and between programs of one GPU
Kernels get device arrays, and so do users' functions (`torch.as_tensor` and JAX accept them). A library kernel that
CuPy cannot run works on copies in main memory. Without CuPy nothing is moved, and only users' functions, which bring
their own means, are placed on the GPU.

The dispatch is that of NEP 13 (`__array_ufunc__`) and NEP 18 (`__array_function__`).
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np

from weftwork.actors.programs.bodies import is_users_step
from weftwork.actors.programs.program import Program


def available() -> bool:
    """Whether CuPy is installed in this process."""
    return importlib.util.find_spec("cupy") is not None


def to_device(value: Any) -> Any:
    """Copy a numeric array to the GPU. Other values are returned as they are."""
    if type(value) is np.ndarray and value.ndim and value.dtype.kind in "biufc":
        import cupy  # pyright: ignore[reportMissingImports]

        return cupy.asarray(value)
    return value


def to_host(value: Any) -> Any:
    """Copy CuPy arrays to NumPy, also inside lists and tuples; rank 0 becomes a scalar.

    Other values stay as they are.
    """
    import cupy  # pyright: ignore[reportMissingImports]

    if isinstance(value, cupy.ndarray):
        return cupy.asnumpy(value)[()]
    if type(value) in (list, tuple):
        return type(value)([to_host(item) for item in value])
    return value


class OnDevice:
    """A library kernel that tries the device first, and falls back to main memory where CuPy cannot do it."""

    def __init__(self, kernel: Any):
        self.kernel = kernel
        self.__name__ = getattr(kernel, "__name__", "kernel")

    def __call__(self, *values: Any, **attrs: Any) -> Any:
        try:
            result = self.kernel(*values, **attrs)
        except (TypeError, NotImplementedError, AttributeError, ValueError):
            # CuPy lacks the function, or refuses to mix its arrays with NumPy's. An error of the call itself recurs.
            result = self.kernel(*[to_host(value) for value in values], **attrs)
        return tuple([to_device(item) for item in result]) if type(result) is tuple else to_device(result)


def for_device(program: Program) -> Program:
    """A program whose library kernels run on the GPU."""
    steps = [step if is_users_step(step) else step._replace(kernel=OnDevice(step.kernel)) for step in program.steps]
    constants = tuple([(slot, to_device(value)) for slot, value in program.constants])
    return replace(program, steps=steps, constants=constants, shipped=None)
