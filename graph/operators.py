"""Python's operators of tensors and variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from weftwork.graph.seams import seams

if TYPE_CHECKING:
    from weftwork.graph.operation import Tensor


class Operators(np.lib.mixins.NDArrayOperatorsMixin):
    """Python's operators by NumPy's protocol. Nothing is changed in place: `t += x` binds `t` to a new tensor."""

    __slots__ = ()

    if TYPE_CHECKING:  # NumPy's stubs say Any

        def _one(self) -> Tensor: ...
        def _two(self, other: Any, /) -> Tensor: ...
        def __getitem__(self, item: Any, /) -> Tensor: ...

        __neg__ = __pos__ = __abs__ = __invert__ = _one
        __add__ = __sub__ = __mul__ = __matmul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = _two
        __radd__ = __rsub__ = __rmul__ = __rmatmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = _two
        __and__ = __or__ = __xor__ = __lshift__ = __rshift__ = _two
        __rand__ = __ror__ = __rxor__ = __rlshift__ = __rrshift__ = _two
        __lt__ = __le__ = __gt__ = __ge__ = _two


def _divides(ufunc: np.ufunc, turned: bool) -> Callable[[Any, Any], Any]:
    """An operator that divides: of integers by zero it is an error, where NumPy's function gives 0."""

    def operator(self: Any, other: Any) -> Any:
        if getattr(other, "__array_ufunc__", self) is None:
            return NotImplemented
        return seams.divide(ufunc, other, self) if turned else seams.divide(ufunc, self, other)

    return operator


for _word, _ufunc in (("floordiv", np.floor_divide), ("mod", np.remainder), ("divmod", np.divmod)):
    setattr(Operators, f"__{_word}__", _divides(_ufunc, False))
    setattr(Operators, f"__r{_word}__", _divides(_ufunc, True))


def _old_division(self: Any, other: Any) -> Any:
    """`__div__` of Python 2: of whole numbers it rounds down, of others it does not."""
    return self // other if self.dtype.is_integer else self / other


Operators.__div__ = _old_division  # type: ignore[attr-defined]
Operators.__rdiv__ = lambda self, other: other // self if self.dtype.is_integer else other / self  # type: ignore[attr-defined]

for _word in "add sub mul matmul truediv floordiv mod pow lshift rshift and xor or".split():
    setattr(Operators, f"__i{_word}__", getattr(Operators, f"__{_word}__"))
