"""The part of Graph that finds operations and tensors, and knows which of them may be fed and fetched."""

from __future__ import annotations

from typing import Any

from weftwork.graph.names import find
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.sections import Section


class Elements:
    """A graph's elements."""

    _by_name: dict[str, Operation]
    _sections: list[Section]
    _unfeedable: set[Tensor]
    _unfetchable: set[Operation]

    def get_operation_by_name(self, name: str) -> Operation:
        """The operation called `name`. Raises KeyError if there is none, TypeError if it is not a string."""
        if not isinstance(name, str):
            raise TypeError(f"Operation names are strings (or similar), not {type(name).__name__}.")
        return self.as_graph_element(name, allow_tensor=False, allow_operation=True)

    def get_tensor_by_name(self, name: str) -> Tensor:
        """The tensor `OPERATION:INDEX`. Raises KeyError if there is none, TypeError if it is not a string."""
        if not isinstance(name, str):
            raise TypeError(f"Tensor names are strings (or similar), not {type(name).__name__}.")
        return self.as_graph_element(name, allow_tensor=True, allow_operation=False)

    def as_graph_element(self, obj: Any, allow_tensor: bool = True, allow_operation: bool = True) -> Any:
        """The Tensor or Operation that `obj` is, names, or returns from its `_as_graph_element`.

        allow_tensor, allow_operation: whether the result may be one.
        Raises TypeError if `obj` cannot be either, ValueError or KeyError if it is not in this graph.
        """
        if not (allow_tensor or allow_operation):
            raise ValueError("allow_tensor and allow_operation can't both be False.")
        if hasattr(type(obj), "_as_graph_element"):
            obj = obj._as_graph_element()
        if isinstance(obj, bytes):
            obj = obj.decode()
        if isinstance(obj, str):
            return find(self._by_name, obj, allow_tensor, allow_operation)
        if (isinstance(obj, Tensor) and allow_tensor) or (isinstance(obj, Operation) and allow_operation):
            if obj.graph is not self:
                kind = "Tensor" if isinstance(obj, Tensor) else "Operation"
                raise ValueError(f"{kind} {obj!r} is not an element of this graph.")
            return obj
        types = " or ".join(["Tensor"] * allow_tensor + ["Operation"] * allow_operation)
        raise TypeError(f"Can not convert a {type(obj).__name__} into a {types}.")

    def also_named(self, name: str, op: Operation) -> None:
        """Let an operation be found by one more name, which must be unused."""
        self._by_name[name] = op

    @property
    def all_feedable(self) -> bool:
        """True if every tensor of the graph may be fed."""
        return not (self._unfeedable or self._sections)

    @property
    def all_fetchable(self) -> bool:
        """True if every element of the graph may be fetched."""
        return not (self._unfetchable or self._sections)

    def is_feedable(self, tensor: Any) -> bool:
        """False for tensors inside a control-flow construct."""
        return tensor.op.section is None and tensor not in self._unfeedable

    def is_fetchable(self, element: Any) -> bool:
        """False for elements inside a control-flow construct.

        element: a Tensor or an Operation.
        """
        op = element.op if isinstance(element, Tensor) else element
        return op.section is None and op not in self._unfetchable

    def prevent_feeding(self, tensor: Tensor) -> None:
        """Do not allow `tensor` to be fed."""
        self._unfeedable.add(tensor)

    def prevent_fetching(self, op: Operation) -> None:
        """Do not allow `op` to be fetched."""
        self._unfetchable.add(op)
