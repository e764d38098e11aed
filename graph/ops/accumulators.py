"""Gradient accumulators and barriers: one run puts values in, another waits until enough have arrived.

An accumulator sums gradients until there are enough of them; a barrier collects the components of values by key.
Like queues, both belong to the session, and are found by their shared name or their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from weftwork.graph import dtypes as kinds_of
from weftwork.graph import shapes
from weftwork.graph.build import convert_to_tensor, static_value
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.operation import HANDLES, Kind, Operation, Tensor
from weftwork.graph.ops.composite import IndexedSlices
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.queues import Definition
from weftwork.graph.shapes import TensorShape, as_raw, compatible, is_full
from weftwork.graph.shapes import text as text_of
from weftwork.graph.stacks import get_default_graph


class SessionObject:
    """An object that the session holds; an operation stands for it."""

    op_types: dict[str, tuple[str, str]]
    """The type and the name of the operation for each word, where NAME is the object's own name."""
    _handle: tuple[kinds_of.DType, tuple[int, ...]] = (kinds_of.string._as_ref, (2,))
    """The dtype and shape of the tensor that stands for the object."""

    def __init__(self, definition: Definition, attrs: dict[str, Any], shared_name: str | None, name: str):
        graph = get_default_graph()
        attrs = {**attrs, "shared_name": (shared_name or "").encode(), "_definition": definition}
        with graph.control_dependencies(None):
            self._op = graph.add(Kind.NOOP, definition.kind, attrs=attrs, outputs=[self._handle], name=name)
        self._key, self._definition = shared_name or self._op.name, definition

    @classmethod
    def made_by(cls, op: Operation) -> Any:
        """The object that an operation stands for."""
        held = cls.__new__(cls)
        held._op, held._definition = op, op.attrs["_definition"]
        held._key = op.attrs["shared_name"].decode() or op.name
        return held

    @property
    def name(self) -> str:
        """Its name; without the name scope, for an accumulator."""
        return self._op.name

    @contextmanager
    def _scope(self, word: str, name: str | None) -> Iterator[str]:
        """The scope of an operation's own constants, in the object's graph; the operation has its name."""
        called = self.op_types[word][1].replace("NAME", self._op.name.rpartition("/")[2])
        with self._op.graph.as_default() as graph, graph.name_scope(name or called) as scope:
            yield scope

    def _node(self, word: str, inputs: Sequence[Tensor], outputs: list, scope: str, given: Any = ()) -> Operation:
        """An operation on the object.   word: what it does.   given: values that follow its inputs."""
        attrs = {
            "_queue": self._key, "_container": self._op.container, "_definition": self._definition, "_word": word,
            "_cancel": False, "_choices": None, "_made_by": self._op.name, "_given": tuple(given), HANDLES: 1,
        }  # fmt: skip
        graph = self._op.graph
        with graph.colocate_with(self._op) if self._handle[0]._is_ref_dtype else nullcontext():
            kind = self.op_types[word][0]
            taken = (self._op.outputs[0], *inputs)
            return graph.add(Kind.QUEUE, kind, inputs=taken, attrs=attrs, outputs=outputs, name=scope)


def scalar_input(value: Any, kind: kinds_of.DType, scope: str, name: str) -> Tensor:
    """A number as a tensor. Raises ValueError if it is known to be something else."""
    as_given = convert_to_tensor(value, None if isinstance(value, Tensor) else kind, name=name)
    if as_given.raw_shape:
        text = f"Shape must be rank 0 but is rank {len(as_given.raw_shape)} for {scope.rstrip('/')!r}"
        raise ValueError(f"{text}: {name}")
    return cast(as_given, kind)


class ConditionalAccumulatorBase(SessionObject):
    """The base class of both kinds of accumulators.

    kind: the type of its operation.
    Raises ValueError for another reduction_type, TypeError for a dtype without arithmetic.
    """

    def __init__(self, kind: str, dtype: Any, shape: Any, shared_name: str | None, name: str, reduction_type: str):
        if reduction_type not in ("MEAN", "SUM"):
            raise ValueError(
                f"Attr 'reduction_type' of '{kind}' Op passed string '{reduction_type}' not in: \"MEAN\", \"SUM\"."
            )
        found, raw = as_dtype(dtype), shapes.as_raw(shape)
        if not (found.is_floating or found.is_complex or found.is_integer):
            raise TypeError(f"Value passed to parameter 'dtype' has DataType {found.name}, which is not a number")
        definition = Definition(kind, -1, (found,), (raw,), (0, 0), int(reduction_type == "SUM"))
        attrs = {"dtype": found, "shape": TensorShape(raw), "reduction_type": reduction_type.encode()}
        super().__init__(definition, attrs, shared_name, name)

    @property
    def accumulator_ref(self) -> Tensor:
        """The tensor that stands for the accumulator in the graph."""
        return self._op.outputs[0]

    @property
    def dtype(self):
        """The dtype of the gradients."""
        return self._definition.dtypes[0]

    @property
    def _shape(self) -> shapes.RawShape:
        return (self._definition.shapes or (None,))[0]

    def num_accumulated(self, name: str | None = None) -> Tensor:
        """The number of gradients summed so far, int32."""
        with self._scope("size", name) as scope:
            return self._node("size", [], [(kinds_of.int32, ())], scope).outputs[0]

    def set_global_step(self, new_global_step: Any, name: str | None = None) -> Operation:
        """Set the accumulator's step. From now on, gradients of earlier steps are dropped."""
        with self._scope("set_step", name) as scope:
            step = scalar_input(new_global_step, kinds_of.int64, scope, "new_global_step")
            return self._node("set_step", [step], [], scope)


def _types_of(prefix: str, of_gradients: str) -> dict[str, tuple[str, str]]:
    """The types of operations, and their names."""
    return {
        "size": (f"{prefix}AccumulatorNumAccumulated", "NAME_NumAccumulated"),
        "set_step": (f"{prefix}AccumulatorSetGlobalStep", f"{prefix}AccumulatorSetGlobalStep"),
        "apply": (f"{of_gradients}AccumulatorApplyGradient", f"{of_gradients}AccumulatorApplyGradient"),
        "take": (f"{of_gradients}AccumulatorTakeGradient", f"{of_gradients}AccumulatorTakeGradient"),
    }


class ConditionalAccumulator(ConditionalAccumulatorBase):
    """A sum of gradients. Once there are enough of them, their mean can be taken.

    dtype, shape: of the gradients.   reduction_type: "MEAN" or "SUM".
    """

    op_types = _types_of("Resource", "Resource")
    _handle = (kinds_of.resource, (2,))

    def __init__(
        self, dtype: Any, shape: Any = None, shared_name: str | None = None, name: str = "conditional_accumulator",
        reduction_type: str = "MEAN",
    ):  # fmt: skip
        super().__init__("ResourceConditionalAccumulator", dtype, shape, shared_name, name, reduction_type)

    def apply_grad(self, grad: Any, local_step: Any = 0, name: str | None = None) -> Operation:
        """Add a gradient, unless its step is before the accumulator's.

        At run time, raises InvalidArgumentError if its shape differs from that of the others.
        grad: a tensor of the accumulator's dtype and shape.
        """
        with self._scope("apply", name) as scope:
            tensor = convert_to_tensor(grad, self.dtype, name="grad")
            if not shapes.compatible(tensor.raw_shape, self._shape):
                both = f"{shapes.text(tensor.raw_shape)} and {shapes.text(self._shape)}"
                raise ValueError(f"Shapes {both} are incompatible")
            return self._node(
                "apply", [scalar_input(local_step, kinds_of.int64, scope, "local_step"), tensor], [], scope
            )

    def take_grad(self, num_required: Any, name: str | None = None) -> Tensor:
        """Wait for the required number of gradients, return their mean, and start over with the next step."""
        with self._scope("take", name) as scope:
            count = scalar_input(num_required, kinds_of.int32, scope, "num_required")
            return self._node("take", [count], [(self.dtype, self._shape)], scope).outputs[0]


class SparseAccumulatorTakeGradient(NamedTuple):
    """The rows of a gradient, and the shape of the whole."""

    indices: Tensor
    values: Tensor
    shape: Tensor


class SparseConditionalAccumulator(ConditionalAccumulatorBase):
    """A ConditionalAccumulator of IndexedSlices: the mean of a row is over the gradients that have this row."""

    op_types = _types_of("", "Sparse")

    def __init__(
        self, dtype: Any, shape: Any = None, shared_name: str | None = None,
        name: str = "sparse_conditional_accumulator", reduction_type: str = "MEAN",
    ):  # fmt: skip
        super().__init__("SparseConditionalAccumulator", dtype, shape, shared_name, name, reduction_type)

    def apply_indexed_slices_grad(self, grad: IndexedSlices, local_step: Any = 0, name: str | None = None) -> Operation:
        """Add IndexedSlices, unless their step is before the accumulator's.

        grad: IndexedSlices.
        """
        return self.apply_grad(grad.indices, grad.values, grad.dense_shape, local_step, name)

    def apply_grad(
        self, grad_indices: Any, grad_values: Any, grad_shape: Any = None, local_step: Any = 0, name: str | None = None
    ) -> Operation:
        """Add the rows of a gradient, unless their step is before the accumulator's.

        grad_indices: int64 [rows].   grad_values: [rows, ...].   grad_shape: the shape of the whole, or None.
        """
        with self._scope("apply", name) as scope:
            inputs = [
                scalar_input(local_step, kinds_of.int64, scope, "local_step"),
                _int64(grad_indices, "gradient_indices"),
                convert_to_tensor(grad_values, self.dtype, name="gradient_values"),
                _int64(np.zeros(0, np.int64) if grad_shape is None else grad_shape, "gradient_shape"),
            ]
            if inputs[1].raw_shape is not None and len(inputs[1].raw_shape) != 1:
                text = f"Shape must be rank 1 but is rank {len(inputs[1].raw_shape)}"
                raise ValueError(f"{text} for {scope.rstrip('/')!r}: grad_indices")
            return self._node("apply", inputs, [], scope)

    def take_grad(self, num_required: Any, name: str | None = None) -> SparseAccumulatorTakeGradient:
        """Wait for the required number of gradients, and return (indices, values, shape) of their mean."""
        rows = None if self._shape is None else (None, *self._shape[1:])
        outputs = [(kinds_of.int64, (None,)), (self.dtype, rows), (kinds_of.int64, (None,))]
        with self._scope("take", name) as scope:
            count = scalar_input(num_required, kinds_of.int32, scope, "num_required")
            return SparseAccumulatorTakeGradient(*self._node("take", [count], outputs, scope).outputs)

    def take_indexed_slices_grad(self, num_required: Any, name: str | None = None) -> IndexedSlices:
        """Wait for the required number of gradients, and return their mean as IndexedSlices."""
        indices, values, shape = self.take_grad(num_required, name)
        return IndexedSlices(values, indices, shape)


def _int64(value: Any, name: str) -> Tensor:
    given = convert_to_tensor(value, None if isinstance(value, Tensor) else kinds_of.int64, name=name)
    return cast(given, kinds_of.int64)


class BarrierTakeMany(NamedTuple):
    """Elements of a barrier: the index and the key of each, and their values, component by component."""

    indices: Tensor
    keys: Tensor
    values: list[Tensor]


class Barrier(SessionObject):
    """A map from keys to values with several components, which are inserted separately, and taken once complete.

    types, shapes: of the components. The shapes are fully defined.
    Raises ValueError unless there is one such shape per type.
    """

    op_types = {
        word: (f"Barrier{kind}", f"NAME_Barrier{kind}")
        for word, kind in {
            "insert": "InsertMany", "take": "TakeMany", "close": "Close", "ready_size": "ReadySize",
            "incomplete_size": "IncompleteSize",
        }.items()
    }  # fmt: skip

    def __init__(self, types: Any, shapes: Any = None, shared_name: str | None = None, name: str = "barrier"):
        kinds = tuple([as_dtype(t) for t in (types if isinstance(types, (list, tuple)) else [types])])
        if not kinds:
            raise ValueError("Attr 'component_types' of 'Barrier' Op passed list of length 0 less than minimum 1.")
        if isinstance(shapes, TensorShape) or (shapes is not None and all([isinstance(d, int) for d in shapes])):
            shapes = [shapes] * (len(kinds) == 1 or bool(shapes))
        raw = tuple([as_raw(s) for s in shapes]) if shapes is not None else (None,) * len(kinds)
        if shapes is not None and not all([is_full(shape) for shape in raw]):
            raise ValueError(f"All shapes must be fully defined: {[TensorShape(shape) for shape in raw]}")
        for number, shape in enumerate(raw):
            if shape is not None and 0 in shape:
                text = f"received shape '{text_of(shape)}' at index {number}"
                raise ValueError(f"Empty tensors are not supported, but {text}")
        if len(raw) != len(kinds):
            raise ValueError("shapes must have the same length as types")
        attrs = {
            "component_types": list(kinds),
            "shapes": [] if shapes is None else [TensorShape(shape) for shape in raw],
            "capacity": -1,
        }
        super().__init__(Definition("Barrier", -1, kinds, raw), attrs, shared_name, name)

    @property
    def barrier_ref(self) -> Tensor:
        """The tensor that stands for the barrier in the graph."""
        return self._op.outputs[0]

    def insert_many(self, component_index: int, keys: Any, values: Any, name: str | None = None) -> Operation:
        """Insert one component of the values for some keys: keys [n] of strings, values [n, ...].

        Raises ValueError for shapes that do not fit.
        At run time, raises InvalidArgumentError if a key already has this component, CancelledError if the barrier is
        closed.
        component_index: which component, counted from 0.
        """
        kinds = self._definition.dtypes
        if not 0 <= component_index < len(kinds):
            raise ValueError(f"component_index {component_index} is not in [0, {len(kinds)})")
        with self._scope("insert", name) as scope:
            names = convert_to_tensor(keys, kinds_of.string, name="keys")
            held = convert_to_tensor(values, kinds[component_index], name="values")
            shape = (self._definition.shapes or ())[component_index]
            wanted = None if names.raw_shape is None or shape is None else (*names.raw_shape, *shape)
            if not compatible(names.raw_shape, (None,)) or not compatible(held.raw_shape, wanted):
                found = f"keys {text_of(names.raw_shape)} and values {text_of(held.raw_shape)}"
                raise ValueError(f"Shapes of {found} do not fit component {component_index} of {self.name!r}")
            return self._node("insert", [names, held], [], scope, [component_index])

    def take_many(
        self, num_elements: Any, allow_small_batch: bool = False, timeout: int | None = None, name: str | None = None
    ) -> BarrierTakeMany:
        """Take complete elements: (indices, keys, values of each component), in the order of their first insertion.

        Waits until num_elements are complete. If the barrier is closed, returns what it has if allow_small_batch is
        true, else raises OutOfRangeError. indices: int64, starting from -2^63; keys that came together have one.
        num_elements: a scalar integer.   timeout: None; anything else is ignored, as in TensorFlow.
        """
        with self._scope("take", name) as scope:
            count = scalar_input(num_elements, kinds_of.int32, scope, "num_elements")
            raw: list[Any] = list(self._definition.shapes or ())
            known = None if allow_small_batch else static_value(count)
            rows = None if known is None else int(known)
            outputs: list = [(kinds_of.int64, (rows,)), (kinds_of.string, (rows,))]
            for kind, shape in zip(self._definition.dtypes, raw, strict=True):
                outputs.append((kind, None if shape is None else (rows, *shape)))
            found = self._node("take", [count], outputs, scope, [bool(allow_small_batch)]).outputs
            return BarrierTakeMany(found[0], found[1], list(found[2:]))

    def close(self, cancel_pending_enqueues: bool = False, name: str | None = None) -> Operation:
        """Accept no new keys from now on; with cancel_pending_enqueues, no new components either."""
        with self._scope("close", name) as scope:
            return self._node("close", [], [], scope, [bool(cancel_pending_enqueues)])

    def ready_size(self, name: str | None = None) -> Tensor:
        """The number of complete elements, int32."""
        return self._size("ready_size", name)

    def incomplete_size(self, name: str | None = None) -> Tensor:
        """The number of incomplete elements, int32."""
        return self._size("incomplete_size", name)

    def _size(self, word: str, name: str | None) -> Tensor:
        with self._scope(word, name) as scope:
            return self._node(word, [], [(kinds_of.int32, ())], scope).outputs[0]
