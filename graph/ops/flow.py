"""Nodes that only pass on values or define an order: group, tuple, identity, no_op."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weftwork.graph.build import apply, as_tensor, convert_to_tensor, graph_of, pass_through
from weftwork.graph.nest import flatten
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.ops.composite import IndexedSlices, SparseTensor
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph


def identity(input: Any, name: str | None = None) -> Any:
    """A tensor of the same value, or IndexedSlices or a SparseTensor of the same. For a variable: its value now."""
    if isinstance(input, IndexedSlices):
        shape = None if input.dense_shape is None else identity(input.dense_shape, name)
        return IndexedSlices(identity(input.values, name), identity(input.indices, name), shape)
    if isinstance(input, SparseTensor):
        return SparseTensor(*[identity(part, name) for part in (input.indices, input.values, input.dense_shape)])
    tensor = convert_to_tensor(input)
    return apply(
        pass_through, [tensor], type="Identity", name=name, dtype=tensor.dtype.base_dtype, shape=tensor.raw_shape
    )


def stop_gradient(input: Any, name: str | None = None) -> Tensor:
    """A tensor of the same value, through which no gradient flows."""
    tensor = convert_to_tensor(input)
    return apply(
        pass_through, [tensor], type="StopGradient", name=name, dtype=tensor.dtype.base_dtype, shape=tensor.raw_shape
    )


def prevent_gradient(input: Any, message: str = "", name: str | None = None) -> Tensor:
    """A tensor of the same value. Differentiating through it raises LookupError with `message`."""
    tensor = convert_to_tensor(input)
    attrs, dtype = {"message": message}, tensor.dtype.base_dtype
    return apply(_first, [tensor], attrs, type="PreventGradient", name=name, dtype=dtype, shape=tensor.raw_shape)


def _first(value: Any, message: str) -> Any:
    return value


def identity_n(input: Iterable[Any], name: str | None = None) -> list[Tensor]:
    """Tensors of the same values, by one operation: they are available together. Raises ValueError for none at all."""
    with name_scope(name, "IdentityN", None) as scope:
        tensors = [convert_to_tensor(item) for item in input]
        if not tensors:
            raise ValueError("identity_n needs at least one tensor.")
        specs = [(tensor.dtype.base_dtype, tensor.raw_shape) for tensor in tensors]
        return apply(_all, tensors, type="IdentityN", name=scope, outputs=specs)


def _all(*values: Any) -> Any:
    return values[0] if len(values) == 1 else values


def no_op(name: str | None = None) -> Operation:
    """An operation that does nothing but wait for its control inputs."""
    return get_default_graph().add(Kind.NOOP, "NoOp", outputs=[], name=name)


def group(*inputs: Any, **kwargs: Any) -> Operation:
    """An operation that completes when all `inputs` (operations, tensors, nested lists of them) have completed.

    If they are on several devices, those on each device are grouped there first. Keyword `name`. Raises TypeError for
    any other input.

        step = tf.group(a.assign_add(1), b.assign_add(2))  # both, or neither if the run fails
    """
    name = kwargs.pop("name", None)
    if kwargs:
        raise ValueError("Unknown keyword arguments: " + ", ".join(kwargs))
    ops = []
    for item in flatten(list(inputs)):
        element = item._as_graph_element() if hasattr(type(item), "_as_graph_element") else item
        op = element if isinstance(element, Operation) else getattr(element, "op", None)
        if not isinstance(op, Operation):
            raise TypeError(
                f"Expected tf.Tensor or tf.Operation in group() but got {item!r} of type '{type(item).__name__}'."
            )
        ops.append(op)
    graph = graph_of(ops)
    devices = sorted({op.device for op in ops})
    with graph.as_default():
        if len(devices) < 2:
            return _of_device(graph, devices[0] if devices else "", ops, name or "group_deps")
        with graph.name_scope(name or "group_deps") as scope:
            gathered = [_of_device(graph, device, [op for op in ops if op.device == device]) for device in devices]
            with graph.control_dependencies(gathered):
                return no_op(scope)


def _of_device(graph: Any, device: str, ops: list[Operation], name: str | None = None) -> Operation:
    """An operation on a device that is done when those on it are."""
    with graph.device(device), graph.control_dependencies(ops):
        return no_op(name)


def with_dependencies(dependencies: Iterable, output_tensor: Any, name: str | None = None) -> Any:
    """`output_tensor`, a tensor or IndexedSlices, available only after `dependencies`. It is placed with the tensor."""
    if isinstance(output_tensor, IndexedSlices):
        values = with_dependencies(dependencies, output_tensor.values, name)
        return IndexedSlices(values, output_tensor.indices, output_tensor.dense_shape)
    tensor = as_tensor(output_tensor)
    assert tensor is not None
    graph = tensor.graph
    with graph.as_default(), graph.colocate_with(tensor.op), graph.control_dependencies(dependencies):
        return identity(output_tensor, name=name)


def tuple(tensors: Iterable[Any], name: str | None = None, control_inputs: Iterable[Any] | None = None) -> list[Any]:
    """Tensors of the same values, each of which waits for all of them (and for `control_inputs`).

    None entries stay None. Raises ValueError if there is no tensor at all.
    """
    tensors = list(tensors)
    real = [t for t in tensors if t is not None]
    if not real:
        raise ValueError(f"Must have at least one Tensor: {tensors}")
    graph = graph_of([t for t in real])
    with graph.as_default(), name_scope(name, "tuple", real):
        real = [t if isinstance(t, (Operation, IndexedSlices)) else convert_to_tensor(t) for t in real]
        for control in control_inputs or ():
            if not isinstance(control, (Operation, Tensor)) and not hasattr(type(control), "_as_graph_element"):
                raise TypeError(f"Control input must be Operation or Tensor: {control!r}")
        gate = group(*real, *(control_inputs or ()))
        word = "control_dependency"
        waiting = iter([gate if isinstance(t, Operation) else with_dependencies([gate], t, word) for t in real])
        return [None if t is None else next(waiting) for t in tensors]
