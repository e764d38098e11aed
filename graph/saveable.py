"""What a Saver keeps besides variables: the state of something that the session has."""

from __future__ import annotations

from weftwork.graph.dtypes import DType
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.shapes import RawShape


class Saveable:
    """A state with the name of an operation, which has a value and takes one back."""

    def __init__(self, op: Operation, dtype: DType, raw_shape: RawShape):
        self.op, self.dtype, self.raw_shape = op, dtype, raw_shape

    @property
    def name(self) -> str:
        """Its key in checkpoints."""
        return self.op.name

    @property
    def device(self) -> str:
        """Where it is."""
        return self.op.device

    def value(self) -> Tensor:
        """A tensor of the state as it is when a run begins to save."""
        raise NotImplementedError

    def restored(self, value: Tensor) -> Operation:
        """The operation that takes a value back."""
        raise NotImplementedError
