"""Derivatives: `gradients` walks a graph backwards from the ys, and makes the nodes of the gradient.

y, x         differentiate y with respect to x
connected    a tensor on a path from an x to a y along which a gradient flows; others are not visited
seed         the gradient of a y with respect to itself: ones, or the given `grad_ys`
trainable    has a differentiable dtype: floats, complex numbers, any Python object, TensorArrays

Invariant: when the walk reaches an operation, the gradients of its outputs are complete, because operations are visited
in reverse order of creation. The rules are in `registry`; they make ordinary nodes.
"""

from __future__ import annotations

import enum
import math
from contextlib import nullcontext
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, constant, convert_to_tensor, elementwise, pass_through
from weftwork.graph.gradients.registry import KNOWS_NONE, RULES, rule_of
from weftwork.graph.gradients.tools import dense
from weftwork.graph.kernels import derivatives as kernels
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops.array_ops import concat, reshape, size, stack, zeros_like
from weftwork.graph.ops.array_ops import shape as shape_of
from weftwork.graph.ops.composite import IndexedSlices
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.filling import ones, ones_like
from weftwork.graph.ops.flow import tuple as gate
from weftwork.graph.ops.functional import map_fn
from weftwork.graph.ops.math_ops import add_n
from weftwork.graph.ops.math_ops import range as range_
from weftwork.graph.scopes import name_scope
from weftwork.graph.variables.handles import is_handle, spec_of


class AggregationMethod:
    """How to add up gradients: all choices mean the same sum."""

    ADD_N = 0
    DEFAULT = ADD_N
    EXPERIMENTAL_TREE = 1
    EXPERIMENTAL_ACCUMULATE_N = 2


_AGGREGATIONS = (0, 1, 2)


class UnconnectedGradients(enum.Enum):
    """The gradient for an x that no y depends on: None, or zeros."""

    NONE = "none"
    ZERO = "zero"


def gradients(
    ys: Any,
    xs: Any,
    grad_ys: Any = None,
    name: str = "gradients",
    colocate_gradients_with_ops: bool = False,
    gate_gradients: bool = False,
    aggregation_method: int | None = None,
    stop_gradients: Any = None,
    unconnected_gradients: UnconnectedGradients | str = UnconnectedGradients.NONE,
) -> list[Any]:
    """The derivatives of the sum of all elements of `ys` with respect to each of `xs`: a list as long as `xs`.

    xs: variables or tensors, which may be intermediate. A gradient is a tensor with its x's shape and dtype,
        IndexedSlices if rows of a table were looked up, or None if no y depends on the x.
    grad_ys: the initial gradients with respect to ys; None for ones.
    stop_gradients: tensors to treat as constants.   gate_gradients: use an operation's gradients only once all of them
        are computed.   aggregation_method: ignored.
    For complex numbers: conj(dy/dx) times the gradient, as in TensorFlow.
    Raises LookupError for an operation on the path that has no derivative, ValueError or TypeError for invalid
    arguments.

        x = tf.constant([1.0, 2.0])
        (slope,) = tf.gradients(x * x, [x])  # [2., 4.] in a run
    """
    ys, xs = _listed(ys), _listed(xs)
    stops = [_source(t) for t in _listed([] if stop_gradients is None else stop_gradients)]
    given = [None] * len(ys) if grad_ys is None else _listed(grad_ys)
    if len(given) != len(ys):
        raise ValueError(f"Passed {len(given)} grad_ys for {len(ys)} ys")
    if aggregation_method not in (None, *_AGGREGATIONS):
        raise ValueError(f"Invalid aggregation_method specified {aggregation_method}.")
    try:
        wants_zeros = UnconnectedGradients(unconnected_gradients) is UnconnectedGradients.ZERO
    except ValueError:
        raise ValueError(f"Unknown value for unconnected_gradients: {unconnected_gradients!r}") from None
    with name_scope(name, "gradients", [*ys, *xs, *stops, *[g for g in given if g is not None]]):
        targets, sources = [_target(y) for y in ys], [_source(x) for x in xs]
        walk = _Walk(targets, sources, stops, colocate_gradients_with_ops, gate_gradients)
        for i, (y, grad) in enumerate(zip(targets, given, strict=True)):
            walk.add(y, _seed(y, grad, i))
        walk.run()
        found = [walk.total(x) for x in sources]
        if wants_zeros:
            found = [zeros_like(value_of(x)) if g is None else g for x, g in zip(sources, found, strict=True)]
    return found


def hessians(
    ys: Any,
    xs: Any,
    name: str = "hessians",
    colocate_gradients_with_ops: bool = False,
    gate_gradients: bool = False,
    aggregation_method: int | None = None,
) -> list[Tensor]:
    """Second derivatives of the sum of ys with respect to each of xs: shape + shape of the x.

    Rows of the result are computed one after the other, in a loop, if the shape of an x is unknown. Raises ValueError
    if no y depends on an x.
    """
    found = []
    with name_scope(name, "hessians", [*_listed(ys), *_listed(xs)]):
        for x in _listed(xs):
            source = _source(x)
            if not shapes.is_full(source.raw_shape):
                found.append(_looped_hessian(ys, x, source))
                continue
            raw: Any = source.raw_shape
            flat = reshape(convert_to_tensor(gradients(ys, x)[0]), [-1])
            rows = [gradients(flat[i], x)[0] for i in range(math.prod(raw))]
            rows = [zeros_like(source) if row is None else convert_to_tensor(row) for row in rows]
            found.append(reshape(stack(rows), [*raw, *raw]))
    return found


def _looped_hessian(ys: Any, x: Any, source: Tensor) -> Tensor:
    slopes = gradients(ys, x)[0]
    if slopes is None:
        raise ValueError(f"hessians needs ys that depend on {source}, whose shape is not known.")
    flat = reshape(convert_to_tensor(slopes), [-1])

    def row(i: Tensor) -> Tensor:
        found = gradients(flat[i], x)[0]
        return zeros_like(source) if found is None else convert_to_tensor(found)

    rows = map_fn(row, range_(size(flat)), dtype=source.dtype.base_dtype)
    dims = shape_of(source)
    return reshape(rows, concat([dims, dims], 0))


class _Walk:
    """One backward walk from the ys to the xs."""

    def __init__(self, ys: list[Tensor], xs: list[Tensor], stops: list[Tensor], colocate: bool, gated: bool):
        self.xs, self.colocate, self.gated = set(xs), colocate, gated
        self.grads: dict[Tensor, list] = {}
        self.stops = set(stops)
        self.reached: set[Operation] = set()
        self.ops = self._between(ys)

    def _between(self, ys: list[Tensor]) -> list[Operation]:
        """The operations that connect xs with ys, newest first."""
        seen: set[Operation] = set()
        stack = [y for y in ys if y not in self.stops]
        while stack:
            op = stack.pop().op
            if op not in seen:
                seen.add(op)
                stack += [t for t in op.inputs if t not in self.stops and is_trainable(t)]
        for op in sorted(seen, key=lambda op: op.index):
            if any([self.connected(t) for t in op.inputs]):
                self.reached.add(op)
        return sorted(self.reached, key=lambda op: -op.index)

    def connected(self, tensor: Tensor) -> bool:
        """True if the gradient of a tensor is needed, for its own sake or for that of earlier tensors."""
        on_the_way = tensor.op in self.reached and tensor not in self.stops
        return (tensor in self.xs or on_the_way) and is_trainable(tensor)

    def add(self, tensor: Tensor, grad: Any) -> None:
        """Add a part to the gradient of a tensor."""
        self.grads.setdefault(tensor, []).append(grad)

    def total(self, tensor: Tensor) -> Any:
        """Sum up the parts of the gradient, None if there are none; the sum becomes the only part.

        That of the oldest operation comes first, and the sum is placed with it, as in TensorFlow.
        """
        parts = self.grads.get(tensor)
        if not parts:
            return None
        if len(parts) > 1:
            parts.reverse()
            parts[:] = [self._placed_sum(parts, tensor) if self.colocate else _sum(parts, tensor)]
        return parts[0]

    def _placed_sum(self, parts: list, tensor: Tensor) -> Any:
        """The sum of the parts: of each device on that device first, then of all of them with the tensor."""
        graph, on_devices = tensor.graph, {part.device: [] for part in parts}
        for part in parts:
            on_devices[part.device].append(part)
        if len(on_devices) == 1 or any([isinstance(part, IndexedSlices) for part in parts]):
            with graph.colocate_with(parts[0].op, True):
                return _sum(parts, tensor)
        sums = []
        for _, group in sorted(on_devices.items()):
            with graph.colocate_with(group[0].op, True):
                sums.append(_sum(group, tensor) if len(group) > 1 else group[0])
        with graph.colocate_with(tensor.op, True):
            return _sum(sums, tensor)

    def run(self) -> None:
        """Visit every connecting operation."""
        for op in self.ops:
            outs = [self.total(t) if is_trainable(t) and t not in self.stops else None for t in op.outputs]
            if any([grad is not None for grad in outs]):
                graph = op.graph
                with graph.name_scope(_scope(op)), graph.colocate_with(op) if self.colocate else nullcontext():
                    self._visit(op, outs)

    def _visit(self, op: Operation, outs: list) -> None:
        if RULES.get(op.type) is not pass_on and op.type != "AddN":  # these pass IndexedSlices on as they are
            outs = [dense(g, t) if isinstance(g, IndexedSlices) else g for g, t in zip(outs, op.outputs, strict=True)]
        if op.type not in KNOWS_NONE:
            pairs = zip(op.outputs, outs, strict=True)
            outs = [zeros_like(t) if g is None and is_trainable(t) else g for t, g in pairs]
        found = rule_of(op)(op, *outs)
        found = list(found) if isinstance(found, (list, tuple)) else [found]
        if len(found) != len(op.inputs):
            raise ValueError(
                f"Num gradients {len(found)} generated for op {op.defined_at} do not match num inputs {len(op.inputs)}"
            )
        wanted = [(i, t) for i, t in enumerate(op.inputs) if self.connected(t)]
        evaluated = [_evaluated(found[i]) for i, _ in wanted]
        if self.gated and len([g for g in evaluated if g is not None]) > 1:
            evaluated = gated(evaluated)
        for (i, tensor), grad in zip(wanted, evaluated, strict=True):
            if grad is not None:
                self.add(tensor, _fitted(op, i, tensor, grad))


def _scope(op: Operation) -> str:
    """The name scope of an operation's gradient, within that of the whole derivative.

    In the derivative of a section, use the operation's type: its name includes the surrounding scopes, which would
    be repeated at each depth.
    """
    section = op.graph.section
    return f"{op.type if section is not None and section.naming else op.name}_grad"


def pass_on(op: Operation, grad: Any) -> list:
    """The rule for an operation that passes on its first input: the gradient passes through."""
    return [grad] + [None] * (len(op.inputs) - 1)


for _type in ("Identity", "ReadVariableOp", "PlaceholderWithDefault", "Print", "CheckNumerics"):
    RULES[_type] = pass_on


def pass_each(op: Operation, *grads: Any) -> list:
    """The rule for an operation that passes on all its inputs."""
    return list(grads)


RULES["IdentityN"] = pass_each


def is_trainable(tensor: Tensor) -> bool:
    """True if a tensor's dtype is differentiable; for a handle, that of the variable's values."""
    dtype = tensor.dtype.base_dtype
    if dtype is dtypes.resource:
        dtype = spec_of(tensor)[0]
    return dtype.numpy.kind in "fc" or dtype is dtypes.object or dtype is dtypes.variant


def _evaluated(grad: Any) -> Any:
    return grad() if callable(grad) else grad


def gated(grads: list) -> list:
    """The same gradients, none of which is available before all are."""
    ready = iter(gate([g.values if isinstance(g, IndexedSlices) else g for g in grads if g is not None]))
    return [None if g is None else _with_values(g, next(ready)) for g in grads]


def _with_values(grad: Any, values: Tensor) -> Any:
    return IndexedSlices(values, grad.indices, grad.dense_shape) if isinstance(grad, IndexedSlices) else values


def _fitted(op: Operation, number: int, x: Tensor, grad: Any) -> Any:
    """Convert a gradient to its input's dtype, and merge in the input's static shape."""
    dtype, shape = spec_of(x)
    if isinstance(grad, IndexedSlices):
        if grad.dtype.base_dtype is not dtype:
            grad = IndexedSlices(cast(grad.values, dtype), grad.indices, grad.dense_shape)
        return grad
    grad = convert_to_tensor(grad)
    if grad.dtype.base_dtype is not dtype and dtype is not dtypes.object:
        grad = cast(grad, dtype)
    if grad.raw_shape != shape:
        try:
            grad.set_shape(shape)
        except ValueError:
            raise ValueError(
                f"Incompatible shapes between op input and calculated input gradient. Forward operation: {op.name}. "
                f"Input index: {number}. Original input shape: {shapes.text(shape)}. Calculated input gradient "
                f"shape: {shapes.text(grad.raw_shape)}"
            ) from None
    return grad


def _sum(parts: list, x: Tensor) -> Any:
    """The sum of the parts of x's gradient; if all are IndexedSlices, they are concatenated."""
    if all([isinstance(part, IndexedSlices) for part in parts]):
        values = concat([part.values for part in parts], 0)
        indices = concat([part.indices for part in parts], 0)
        return IndexedSlices(values, indices, parts[0].dense_shape)
    tensors = [dense(part, value_of(x)) if isinstance(part, IndexedSlices) else part for part in parts]
    return elementwise(np.add, *tensors, type="AddN") if len(tensors) == 2 else add_n(tensors)


# Arguments


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _target(y: Any) -> Tensor:
    return y.values if isinstance(y, IndexedSlices) else convert_to_tensor(y, name="y")


def value_of(x: Tensor) -> Tensor:
    """A tensor of x's shape and dtype: x itself, or a read of the variable behind a handle."""
    if not is_handle(x):
        return x
    dtype, shape = spec_of(x)
    return apply(pass_through, [x], type="ReadVariableOp", dtype=dtype, shape=shape)


def _source(x: Any) -> Tensor:
    """The reference of a variable, from which its reads are made; a tensor unchanged."""
    if isinstance(x, IndexedSlices):
        return x.values
    return x._ref() if hasattr(x, "_ref") else convert_to_tensor(x, name="x")


def _seed(y: Tensor, grad: Any, number: int) -> Any:
    dtype = y.dtype.base_dtype
    if grad is None:
        if dtype.is_complex:
            raise TypeError(f"Gradients of complex tensors must set grad_ys (y.dtype = {dtype!r})")
        name = f"grad_ys_{number}"
        if dtype is dtypes.object:
            return apply(kernels.ones_for, [y], type="OnesLike", name=name, dtype=dtype, shape=y.raw_shape)
        if y.raw_shape == ():
            return constant(dtype.numpy.type(1), dtype, name=name)
        if shapes.is_full(y.raw_shape):
            return ones(y.raw_shape, dtype, name)
        return ones_like(y, name=name)
    if isinstance(grad, IndexedSlices):
        return grad
    grad = convert_to_tensor(grad, None if isinstance(grad, (np.ndarray, Tensor)) else dtype, name=f"grad_ys_{number}")
    if grad.dtype.is_complex != dtype.is_complex and dtype is not dtypes.object:
        kind = "complex-valued" if dtype.is_complex else "real or integer-valued"
        must = "complex" if dtype.is_complex else "real or integer"
        raise TypeError(
            f"Gradient type {grad.dtype.name} generated for {kind} tensor {y} with type {dtype.name} must be {must}"
        )
    if not shapes.compatible(grad.raw_shape, y.raw_shape):
        raise ValueError(f"grad_ys {grad} does not have the shape of {y}.")
    return grad
