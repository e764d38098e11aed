"""Programs on a GPU, with CuPy: the library's nodes run unchanged, as NumPy's functions dispatch on their arguments.

device value    a CuPy array; values stay such while the program runs, and between programs of one GPU
Kernels see device arrays, a user's function too (`torch.as_tensor` and JAX take them as they are). A library kernel
that CuPy cannot run works on copies in the machine's memory. Without CuPy nothing is moved: only users' functions,
which may use what they like, are placed here then.

The dispatch is that of NEP 13 (`__array_ufunc__`) and NEP 18 (`__array_function__`).
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np

from weftwork.actors.programs.program import Program, Step
from weftwork.graph.ownership import own
from weftwork.graph.seeded import Seeded
from weftwork.graph.user_function import UserFunction


def available() -> bool:
    """True when CuPy is installed in this process."""
    return importlib.util.find_spec("cupy") is not None


def to_device(value: Any) -> Any:
    """A numeric array on the GPU; anything else as it is."""
    if type(value) is np.ndarray and value.ndim and value.dtype.kind in "biufc":
        import cupy  # pyright: ignore[reportMissingImports]

        return cupy.asarray(value)
    return value


def to_host(value: Any) -> Any:
    """A CuPy array as NumPy's, rank 0 as a scalar, in structures too; anything else as it is."""
    import cupy  # pyright: ignore[reportMissingImports]

    if isinstance(value, cupy.ndarray):
        return cupy.asnumpy(value)[()]
    if type(value) in (list, tuple):
        return type(value)([to_host(item) for item in value])
    return value


class OnDevice:
    """A library kernel that tries the device first; what CuPy cannot do is done in the machine's memory."""

    def __init__(self, kernel: Any):
        self.kernel = kernel
        self.__name__ = getattr(kernel, "__name__", "kernel")

    def __call__(self, *values: Any, **attrs: Any) -> Any:
        try:
            result = self.kernel(*values, **attrs)
        except (TypeError, NotImplementedError, AttributeError, ValueError):
            # CuPy lacks the function, or refuses to mix its arrays with NumPy's: a fault of the call raises again.
            result = self.kernel(*[to_host(value) for value in values], **attrs)
        return tuple([to_device(item) for item in result]) if type(result) is tuple else to_device(result)


def for_device(program: Program) -> Program:
    """A program whose library kernels work on the GPU."""
    steps = [step if _is_users(step) else step._replace(kernel=OnDevice(step.kernel)) for step in program.steps]
    constants = tuple([(slot, to_device(value)) for slot, value in program.constants])
    return replace(program, steps=steps, constants=constants, shipped=None)


def _is_users(step: Step) -> bool:
    return isinstance(step.kernel, (UserFunction, Seeded)) or step.settle is own
