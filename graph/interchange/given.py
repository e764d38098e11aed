"""The content of a NodeDef, and the registry of readers.

reader    a function that makes the nodes for one type of operation from a `Given`. An operation that TensorFlow
  declares and no reader supports is imported nevertheless, and fails at run time
Given     the content of a NodeDef, with tensors of the graph as inputs
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, pass_through, static_value
from weftwork.graph.dtypes import DType
from weftwork.graph.errors import UnimplementedError
from weftwork.graph.interchange.signatures import NO_DEFAULT, Signature
from weftwork.graph.interchange.values import attr_value
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.ops.composite import SparseTensor
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.flow import group
from weftwork.graph.seams import seams
from weftwork.graph.stacks import get_default_graph


class Given:
    """A NodeDef, for its reader. name: the node's full name, with a trailing slash to keep it as it is."""

    def __init__(self, name: str, type: str, inputs: list[Any], attrs: dict[str, Any], outputs: list[DType]):
        self.name, self.type, self.inputs, self.attrs, self.outputs = name + "/", type, inputs, attrs, outputs

    def __getitem__(self, attr: str) -> Any:
        """An attribute's value, or its default."""
        return self.attrs[attr]


def known(tensors: Iterable[Tensor], what: str, verb: str = "are") -> list[np.ndarray]:
    """The values of inputs that a reader needs. Raises ValueError, which calls them `what`, if one is not known yet."""
    values = [static_value(tensor) for tensor in tensors]
    if any(value is None for value in values):
        raise ValueError(f"{what} that {verb} known only when it runs {verb} not supported")
    return values  # type: ignore[return-value]


Reader = Callable[[Given], Any]


READERS: dict[str, Reader] = {}
"""The reader for each type of operation."""


def reader_of(type: str) -> Reader | None:
    """The reader for a type of operation; None if Weftwork has no such operation."""
    known = type in READERS or seams.saving  # this lookup imports the nodes that save and restore
    return READERS.get(type) if known else None


def reads(*types: str) -> Callable[[Reader], Reader]:
    """Decorator: the function reads operations of these types. It returns a tensor, several, or an operation."""

    def register(function: Reader) -> Reader:
        READERS.update(dict.fromkeys(types, function))
        return function

    return register


def read_by(functions: Mapping[str, Callable[..., Any]], **arguments: str) -> None:
    """Register readers of operations whose function takes their inputs, in their order. functions: by type.

    arguments: the function's argument for each attribute that it takes, `num_buckets="num_buckets"`.
    """

    def reader(function: Callable[..., Any]) -> Reader:
        def read(given: Given) -> Any:
            return function(*given.inputs, name=given.name, **{arguments[key]: given[key] for key in arguments})

        return read

    READERS.update({type: reader(function) for type, function in functions.items()})


def _no_kernel(*values: Any, type: str) -> Any:
    """The kernel of an operation that Weftwork does not have."""
    raise UnimplementedError(None, None, f"No OpKernel was registered to support Op '{type}': Weftwork has none")


def lacking(given: Given) -> Any:
    """An operation that TensorFlow declares, but that Weftwork cannot run."""
    graph = given.inputs[0].graph if given.inputs else get_default_graph()
    op = graph.add(
        Kind.FUNCTION,
        given.type,
        kernel=_no_kernel,
        inputs=tuple(given.inputs),
        attrs={"type": given.type},
        outputs=[(dtype, None) for dtype in given.outputs],
        name=given.name,
    )
    return list(op.outputs) or op


def attributes(name: str, node: Any, declared: Signature) -> dict[str, Any]:
    """The values of an operation's attributes, with defaults for missing ones. Raises ValueError."""
    found = {}
    for key, attr in declared.attrs.items():
        if key in node.attr:
            try:
                found[key] = attr_value(node.attr[key], attr.kind)
            except ValueError as error:
                raise ValueError(f"Node '{name}' (op: '{node.op}'): attr '{key}': {error}") from error
        elif attr.has_default:
            found[key] = None if attr.default is NO_DEFAULT else attr.default
        else:
            raise ValueError(f"NodeDef missing attr '{key}' from Op<name={node.op}>; NodeDef: {{node {name}}}")
    return found


def types(args: Sequence[Any], attrs: Mapping[str, Any]) -> list[tuple[DType, bool]]:
    """(dtype, is a reference) for each input or output."""
    found: list[tuple[DType, bool]] = []
    for arg in args:
        if arg.types:
            found += [(dtype.base_dtype, arg.ref) for dtype in attrs[arg.types]]
        else:
            dtype = attrs[arg.type].base_dtype if arg.type in attrs else dtypes.ALL[arg.type]
            found += [(dtype, arg.ref)] * (attrs[arg.count] if arg.count else 1)
    return found


def named(made: Any, given: Given) -> Any:
    """A reader's result, with the node's own name and the declared dtypes."""
    name = given.name[:-1]
    if isinstance(made, Operation):
        return made if made.name == name else group(made, name=given.name)
    tensors = _tensors(made)
    if not tensors:
        return tensors
    for at, (tensor, dtype) in enumerate(zip(tensors, given.outputs, strict=False)):
        if tensor.dtype.base_dtype is not dtype and dtypes.object not in (tensor.dtype, dtype):
            if dtype is not dtypes.resource and tensor.dtype is not dtypes.variant:  # else a handle, or an array's flow
                tensors[at] = cast(tensor, dtype)
    if tensors[0].op.name != name:
        tensors[0] = same(tensors[0], given.name)
    return tensors


def _tensors(made: Any) -> list[Tensor]:
    """The tensors of a reader's result, in order, with the three parts of those that are sparse."""
    if isinstance(made, SparseTensor):
        return [made.indices, made.values, made.dense_shape]
    return [tensor for one in made for tensor in _tensors(one)] if isinstance(made, (list, tuple)) else [made]


def same(tensor: Tensor, name: str) -> Tensor:
    """A node of this name that passes `tensor` on."""
    return apply(
        pass_through, [tensor], type="Identity", name=name, dtype=tensor.dtype.base_dtype, shape=tensor.raw_shape
    )
