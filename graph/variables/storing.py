"""Variables as protocol buffers and as plain data, and back."""

from __future__ import annotations

from typing import Any

from weftwork.graph.names import with_scope, without_scope
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.protos import protos
from weftwork.graph.seams import seams
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.handles import HANDLE
from weftwork.graph.variables.modes import VariableAggregation, VariableSynchronization
from weftwork.graph.variables.slices import SaveSliceInfo


def _class_for(op: Operation) -> Any:
    """The class of the variable that an operation stands for."""
    return seams.resource_variable if op.type == HANDLE else seams.variable_class


class Storing:
    """The methods of a variable that write and read its definition."""

    __slots__ = ()

    save_slice_info: SaveSliceInfo | None = None
    """The larger variable that it is a part of, or None."""
    name: str
    trainable: bool
    synchronization: VariableSynchronization
    aggregation: VariableAggregation
    constraint: Any
    _op: Operation
    _variable: Tensor
    _initializer: Operation
    _snapshot: Tensor
    _initial_value: Tensor

    # Protocol buffers

    def to_proto(self, export_scope: str | None = None) -> Any:
        """The VariableDef: the names of its operations, relative to `export_scope`; None if it is outside that scope.

        Raises ImportError if TensorBoard is not installed.
        """
        if export_scope and not self.name.startswith(f"{export_scope.rstrip('/')}/"):
            return None
        definition = protos("variable").VariableDef(
            variable_name=without_scope(self.name, export_scope),
            initializer_name=without_scope(self._initializer.name, export_scope),
            snapshot_name=without_scope(self._snapshot.name, export_scope),
            initial_value_name=without_scope(self._initial_value.name, export_scope),
            trainable=self.trainable,
            synchronization=self.synchronization.value,
            aggregation=self.aggregation.value,
        )
        if self.save_slice_info is not None:
            definition.save_slice_info_def.MergeFrom(self.save_slice_info.to_proto(export_scope))
        return definition

    @classmethod
    def from_proto(cls, variable_def: Any, import_scope: str | None = None) -> Any:
        """The variable for a VariableDef, whose operations are in the default graph, under `import_scope`.

        variable_def: a VariableDef.
        Raises KeyError if one of them is missing.
        """
        graph = get_default_graph()

        def found(name: str) -> Any:
            return graph.as_graph_element(with_scope(name, import_scope))

        variable = object.__new__(_class_for(found(variable_def.variable_name).op))
        variable._variable = found(variable_def.variable_name)
        variable._op = variable._variable.op
        variable._initializer = found(variable_def.initializer_name)
        variable._snapshot = found(variable_def.snapshot_name)
        named = variable_def.initial_value_name
        variable._initial_value = found(named) if named else variable._initializer.inputs[1]
        variable.trainable, variable.constraint = variable_def.trainable, None
        variable._synchronization = VariableSynchronization(variable_def.synchronization)
        variable._aggregation = VariableAggregation(variable_def.aggregation)
        if variable_def.HasField("save_slice_info_def"):
            slice_def = variable_def.save_slice_info_def
            variable.save_slice_info = SaveSliceInfo(save_slice_info_def=slice_def, import_scope=import_scope)
        return variable

    # Plain data

    def to_flat(self) -> dict[str, Any]:
        """The data that recreates the variable in a copy of its graph: numbers of its operations."""
        return {
            "op": self._op.index,
            "read": self._snapshot.op.index,
            "initializer": self._initializer.index,
            "initial_value": (self._initial_value.op.index, self._initial_value.index),
            "trainable": self.trainable,
            "constraint": self.constraint,
            "slice": self.save_slice_info,
        }

    @classmethod
    def from_flat(cls, graph: Any, flat: dict[str, Any]) -> Any:
        """Recreate the variable from the data of `to_flat`."""
        ops = graph.operations
        variable = object.__new__(_class_for(ops[flat["op"]]))
        variable._op = ops[flat["op"]]
        variable._variable = variable._op.outputs[0]
        variable._snapshot = ops[flat["read"]].outputs[0]
        variable._initializer = ops[flat["initializer"]]
        at, output = flat["initial_value"]
        variable._initial_value = ops[at].outputs[output]
        variable.trainable, variable.constraint = flat["trainable"], flat["constraint"]
        variable.save_slice_info = flat.get("slice")
        return variable
