"""`py_function`: a Python function as a node, whose arguments have the method `numpy()` of eager tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weftwork.graph.function import py_func


class Value(np.ndarray):
    """An array with the method `numpy`."""

    def numpy(self) -> Any:
        """The value: bytes for a string, a NumPy scalar for a number, else an array."""
        return np.asarray(self)[()]


class _Eagerly:
    """Calls a function with values instead of arrays and bytes."""

    def __init__(self, function: Callable[..., Any]):
        self._function = function

    def __call__(self, *given: Any) -> Any:
        arrays = [np.array(one, object) if isinstance(one, bytes) else np.asarray(one) for one in given]
        return self._function(*[array.view(Value) for array in arrays])


def py_function(func: Callable[..., Any], inp: Sequence[Any], Tout: Any, name: str | None = None) -> Any:
    """A Python function as a node, for programs that read its arguments with `numpy()`. Otherwise it is like `py_func`.

    func: called with arrays that also have a method `numpy()`.   Tout: a dtype, or a list of them.
    Operations of this library make nodes, so they cannot compute inside `func`: use NumPy there. The gradient is None.
    Raises ValueError if `func` is not callable.
    """
    if not callable(func):
        raise ValueError(f"py_function expected func to be callable, but got {func!r}.")
    return py_func(_Eagerly(func), inp, Tout, True, name or "EagerPyFunc")
