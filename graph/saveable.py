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

    def value(self) -> Tensor:
        """A tensor of the state at the beginning of the run that saves it."""
        raise NotImplementedError

    def restored(self, value: Tensor) -> Operation:
        """The operation that restores a value."""
        raise NotImplementedError
