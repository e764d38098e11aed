"""What a variable's operation says about the variable's values.

reference   the output of a `VariableV2`: it has the values' shape, and their dtype as a reference (float32_ref)
handle      the output of a `VarHandleOp`, a resource variable: a scalar of dtype resource
"""

from __future__ import annotations

from typing import Any

from weftwork.graph.dtypes import DType, resource
from weftwork.graph.operation import WRITES, Kind, Operation, Tensor
from weftwork.graph.shapes import RawShape

HANDLE = "VarHandleOp"
"""The type of a resource variable's operation."""
_SCATTERS = "Update Add Sub Mul Div Min Max NdUpdate NdAdd NdSub".split()
RESOURCE_SCATTERS = [f"ResourceScatter{word}" for word in _SCATTERS]
RESOURCE_TYPES = {
    "Assign": "AssignVariableOp",
    "AssignAdd": "AssignAddVariableOp",
    "AssignSub": "AssignSubVariableOp",
    "CountUpTo": "ResourceCountUpTo",
    "IsVariableInitialized": "VarIsInitializedOp",
    "StridedSliceAssign": "ResourceStridedSliceAssign",
    **{name.removeprefix("Resource"): name for name in RESOURCE_SCATTERS},
}
"""What TensorFlow calls operations on a resource variable, by their names for reference variables."""
PASS_REFERENCES = frozenset("RefIdentity RefSwitch RefMerge RefEnter RefExit RefNextIteration".split())
"""Operations that pass on a reference, so that the variable can be written through their output."""
OF_HANDLES = frozenset(RESOURCE_TYPES.values())


def type_for(variable: Operation, type: str) -> str:
    """What TensorFlow calls an operation on a variable, given its name for reference variables."""
    return RESOURCE_TYPES.get(type, type) if variable.type == HANDLE else type


def variable_of(ref: Any) -> Operation:
    """The operation of a variable, given a Variable, a reference to it, or the output of an assignment to it."""
    tensor = ref._ref() if hasattr(ref, "_ref") else ref
    if isinstance(tensor, Tensor):
        op = tensor.op
        if op.type in PASS_REFERENCES and tensor.dtype._is_ref_dtype:
            return variable_of(op.inputs[0])
        if op.kind is Kind.VARIABLE:
            return op
        if op.kind in WRITES:
            return op.graph.get_operation_by_name(op.attrs["_variable"])
    raise TypeError(f"Expected a variable or the output of an assignment to one, but got {ref!r}.")


def is_handle(tensor: Tensor) -> bool:
    """True for the handle of a resource variable."""
    return tensor.dtype is resource and tensor.op.kind is Kind.VARIABLE


def value_dtype(variable: Operation) -> DType:
    """The dtype of the values of a variable, given its operation."""
    return variable.attrs["dtype"] if variable.type == HANDLE else variable.outputs[0].dtype.base_dtype


def value_shape(variable: Operation) -> RawShape:
    """The shape of the values of a variable, as far as it is known."""
    return variable.attrs["shape"] if variable.type == HANDLE else variable.outputs[0].raw_shape


def written_dtype(variable: Operation) -> DType:
    """The dtype of the output of a write to a variable."""
    return value_dtype(variable) if variable.type == HANDLE else variable.outputs[0].dtype


def spec_of(tensor: Tensor) -> tuple[DType, RawShape]:
    """The dtype and shape of a tensor; of the variable's values if it is a handle."""
    op = tensor.op
    return (value_dtype(op), value_shape(op)) if is_handle(tensor) else (tensor.dtype.base_dtype, tensor.raw_shape)


def no_value_text(variable: Operation) -> str:
    """The text of the error if a variable is read that has no value."""
    if variable.type != HANDLE:
        return f"Attempting to use uninitialized value {variable.name}"
    container = variable.container or "localhost"
    return (
        f"Error while reading resource variable {variable.name} from Container: {container}. This could mean that the "
        f"variable was uninitialized. Not found: Resource {container}/{variable.name} does not exist."
    )
