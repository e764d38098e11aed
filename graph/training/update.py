"""The writes of one step: to a variable and to the slots that an optimizer keeps for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph import shapes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.ops.conversion import cast
from weftwork.graph.training import kernels
from weftwork.graph.variables.handles import written_dtype
from weftwork.graph.variables.scoping import variable_scope
from weftwork.graph.variables.variable import Variable


class Update:
    """The writes to one variable and its slots: to all elements, or to some rows of each.

    grad: the gradient, or that of the rows.   rows: distinct row indices; None for all rows.
    Raises ValueError if the gradient has another shape.
    """

    def __init__(self, variable: Variable, grad: Tensor, rows: Tensor | None = None):
        shape: Any = variable.raw_shape
        given = grad.raw_shape if rows is None or not grad.raw_shape or not shape else (*shape[:1], *grad.raw_shape[1:])
        if not shapes.compatible(shape, given):
            raise ValueError(
                f"Shapes must be equal: variable {variable.name} has shape {shapes.text(shape)}, its gradient "
                f"{shapes.text(grad.raw_shape)}."
            )
        self.variable, self.rows = variable, rows
        self.dtype = variable.dtype.base_dtype
        self.grad = self.number(grad)
        self._tables: set[Tensor] = set()

    def number(self, value: Any) -> Tensor:
        """A value in the variable's dtype."""
        return cast(convert_to_tensor(value), self.dtype)

    def old(self, variable: Variable) -> Tensor:
        """The value of a variable before the step."""
        self._tables.add(variable.value())
        return variable.value()

    def write(self, variable: Any, type: str, kernel: Callable, *values: Tensor) -> Tensor:
        """A node that sets the variable to kernel(old, *values)."""
        return self._write(variable, type, kernel, values, [], self.rows)[0]

    def write_all(self, variable: Any, type: str, kernel: Callable, *values: Tensor) -> Tensor:
        """As `write`, for a kernel that writes all rows, whichever rows the gradient has."""
        return self._write(variable, type, kernel, values, [], None)[0]

    def write_with_result(self, variable: Any, type: str, kernel: Callable, *values: Tensor) -> tuple[Tensor, Tensor]:
        """A node with two outputs: the new value, and a second result of the kernel, of the shape of the gradient."""
        new, extra = self._write(variable, type, kernel, values, [(self.dtype, self.grad.raw_shape)], self.rows)
        return new, extra

    def _write(
        self, variable: Any, type: str, kernel: Callable, values: tuple, further: list, rows: Tensor | None
    ) -> list[Tensor]:
        op: Operation = variable.op
        attrs: dict[str, Any] = {"_variable": op.name}
        inputs = (variable._ref(), *values)
        if rows is not None:
            attrs.update(kernel=kernel, tables=tuple([t in self._tables for t in values]))
            kernel, inputs = kernels.on_rows, (variable._ref(), rows, *values)
        outputs = [(written_dtype(op), variable.raw_shape), *further]
        result = op.graph.add(
            Kind.UPDATE, type, kernel=kernel, inputs=inputs, attrs=attrs, outputs=outputs, name=type, colocate=op
        )
        self._tables.add(result.outputs[0])
        return list(result.outputs)


def make_slot(primary: Variable, initial: Any, name: str) -> Variable:
    """A variable for `primary`, called `PRIMARY/NAME`, or the first of `PRIMARY/NAME_1`, ... that is unused."""
    graph = primary.graph
    with graph.as_default(), graph.control_dependencies(None):
        with variable_scope(None, f"{primary.op.name}/{name}", auxiliary_name_scope=False) as scope:
            full = scope.name
        with graph.name_scope(None), graph.colocate_with(primary):
            checked = shapes.is_full(primary.raw_shape)
            return Variable(
                initial, name=full, trainable=False, validate_shape=checked, use_resource=primary.is_resource
            )
