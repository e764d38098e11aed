"""State of a session, other than variables, that a Saver can keep."""

from __future__ import annotations

from weftwork.graph.dtypes import DType
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.shapes import RawShape


class Saveable:
    """A named piece of state, with a value that can be saved and restored."""

    def __init__(self, op: Operation, dtype: DType, raw_shape: RawShape):
        self.op, self.dtype, self.raw_shape = op, dtype, raw_shape

    @property
    def name(self) -> str:
        """Its key in checkpoints."""
        return self.op.name

    @property
    def device(self) -> str:
        """The device where it is."""
        return self.op.device

    @property
    def parts(self) -> list[Saveable]:
        """What of it is in a checkpoint: itself, or several parts, each under a key of its own."""
        return [self]

    def value(self) -> Tensor:
        """A tensor of the state at the beginning of the run that saves it."""
        raise NotImplementedError

    def restored(self, *values: Tensor) -> Operation:
        """The operation that restores the value, or the values of all parts."""
        raise NotImplementedError


class Piece(Saveable):
    """A tensor of some state that consists of several.

    whole: the state, whose `restored` takes the values of all parts.   ending: the end of the part's key.
    """

    def __init__(self, whole: Saveable, ending: str, value: Tensor):
        super().__init__(whole.op, value.dtype.base_dtype, value.raw_shape)
        self.whole, self.ending, self._value = whole, ending, value

    def value(self) -> Tensor:
        """The tensor."""
        return self._value
