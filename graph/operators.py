"""Python's operators on tensors and variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph.seams import seams


class Operators(np.lib.mixins.NDArrayOperatorsMixin):
    """Python's operators through NumPy's protocol. None works in place: `t += x` binds `t` to a new tensor."""

    __slots__ = ()


def _divides(ufunc: np.ufunc, turned: bool) -> Callable[[Any, Any], Any]:
    """A division operator. Dividing integers by zero is an error; NumPy's function returns 0."""

    def operator(self: Any, other: Any) -> Any:
        if getattr(other, "__array_ufunc__", self) is None:
            return NotImplemented
        return seams.divide(ufunc, other, self) if turned else seams.divide(ufunc, self, other)

    return operator


for _word, _ufunc in (("floordiv", np.floor_divide), ("mod", np.remainder), ("divmod", np.divmod)):
    setattr(Operators, f"__{_word}__", _divides(_ufunc, False))
    setattr(Operators, f"__r{_word}__", _divides(_ufunc, True))


def _old_division(self: Any, other: Any) -> Any:
    """`__div__` of Python 2, which rounds down for integers only."""
    return self // other if self.dtype.is_integer else self / other


Operators.__div__ = _old_division  # type: ignore[attr-defined]
Operators.__rdiv__ = lambda self, other: other // self if self.dtype.is_integer else other / self  # type: ignore[attr-defined]

for _word in "add sub mul matmul truediv floordiv mod pow lshift rshift and xor or".split():
    setattr(Operators, f"__i{_word}__", getattr(Operators, f"__{_word}__"))
