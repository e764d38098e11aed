"""Gradient accumulators and barriers: one run puts values in, another waits until enough have arrived.

An accumulator sums gradients until there are enough of them; a barrier collects the components of values by key.
Like queues, both belong to the session, and are found by their shared name or their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from weftwork.graph import dtypes as kinds_of
from weftwork.graph import shapes
from weftwork.graph.build import convert_to_tensor, static_value
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.ops.composite import IndexedSlices
from weftwork.graph.ops.queues import Definition
from weftwork.graph.shapes import TensorShape, as_raw
from weftwork.graph.shapes import text as text_of
from weftwork.graph.stacks import get_default_graph


class _SessionObject:
    """An object that the session holds; an operation stands for it."""

    _types: dict[str, tuple[str, str]]
    """The type and the name of the operation for each word, where NAME is the object's own name."""

    def __init__(
        self,
        kind: str,
        dtypes: tuple[Any, ...],
        shapes: tuple[Any, ...],
        shared_name: str | None,
        name: str,
        keep: int = 0,
    ):
        graph = get_default_graph()
        with graph.control_dependencies(None), graph.in_section(None):
            handle: list = [(kinds_of.resource, ())]
            self._op = graph.add(Kind.NOOP, kind, outputs=handle, name=name)
        self._key = shared_name or self._op.name
        self._definition = Definition(kind, -1, dtypes, shapes, (0, 0), keep)

    @property
    def name(self) -> str:
        """Its name; without the name scope, for an accumulator."""
        return self._op.name

    def _node(self, word: str, inputs: Sequence[Tensor], outputs: list, name: str | None, cancel: bool = False):
        graph = self._op.graph
        attrs = {
            "_queue": self._key, "_container": self._op.container, "_definition": self._definition, "_word": word,
            "_cancel": cancel, "_choices": None,
        }  # fmt: skip
        kind, called = self._types[word]
        name = name or called.replace("NAME", self._op.name.rpartition("/")[2])
        with graph.as_default():
            return graph.add(Kind.QUEUE, kind, inputs=tuple(inputs), attrs=attrs, outputs=outputs, name=name)


class ConditionalAccumulatorBase(_SessionObject):
    """The base class of both kinds of accumulators.

    kind: the type of its operation.
    Raises ValueError for another reduction_type.
    """

    _types = {
        "size": ("AccumulatorNumAccumulated", "NAME_NumAccumulated"),
        "set_step": ("AccumulatorSetGlobalStep", "AccumulatorSetGlobalStep"),
        "apply": ("AccumulatorApplyGradient", "AccumulatorApplyGradient"),
        "take": ("AccumulatorTakeGradient", "AccumulatorTakeGradient"),
    }

    def __init__(self, kind: str, dtype: Any, shape: Any, shared_name: str | None, name: str, reduction_type: str):
        if reduction_type not in ("MEAN", "SUM"):
            raise ValueError(
                f"Attr 'reduction_type' of '{kind}' Op passed string '{reduction_type}' not in: \"MEAN\", \"SUM\"."
            )
        self._dtype, self._shape = as_dtype(dtype), shapes.as_raw(shape)
        super().__init__(kind, (self._dtype,), (self._shape,), shared_name, name, int(reduction_type == "SUM"))

    @property
    def accumulator_ref(self) -> Tensor:
        """The tensor that stands for the accumulator in the graph."""
        return self._op.outputs[0]

    @property
    def dtype(self):
        """The dtype of the gradients."""
        return self._dtype

    def num_accumulated(self, name: str | None = None) -> Tensor:
        """The number of gradients summed so far, int32."""
        return self._node("size", [], [(kinds_of.int32, ())], name).outputs[0]

    def set_global_step(self, new_global_step: Any, name: str | None = None) -> Operation:
        """Set the accumulator's step. From now on, gradients of earlier steps are dropped."""
        return self._node("set_step", [_int64(new_global_step)], [], name)


def _int64(value: Any) -> Tensor:
    return convert_to_tensor(value, None if isinstance(value, Tensor) else kinds_of.int64)


class ConditionalAccumulator(ConditionalAccumulatorBase):
    """A sum of gradients. Once there are enough of them, their mean can be taken.

    dtype, shape: of the gradients.   reduction_type: "MEAN" or "SUM".
    """

    def __init__(
        self, dtype: Any, shape: Any = None, shared_name: str | None = None, name: str = "conditional_accumulator",
        reduction_type: str = "MEAN",
    ):  # fmt: skip
        super().__init__("ConditionalAccumulator", dtype, shape, shared_name, name, reduction_type)

    def apply_grad(self, grad: Any, local_step: Any = 0, name: str | None = None) -> Operation:
        """Add a gradient, unless its step is before the accumulator's.

        At run time, raises InvalidArgumentError if its shape differs from that of the others.
        grad: a tensor of the accumulator's dtype and shape.
        """
        tensor = convert_to_tensor(grad, self._dtype)
        if not shapes.compatible(tensor.raw_shape, self._shape):
            raise ValueError(f"Shapes {shapes.text(tensor.raw_shape)} and {shapes.text(self._shape)} are incompatible")
        return self._node("apply", [_int64(local_step), tensor], [], name)

    def take_grad(self, num_required: Any, name: str | None = None) -> Tensor:
        """Wait for the required number of gradients, return their mean, and start over with the next step."""
        count = convert_to_tensor(num_required, kinds_of.int32)
        return self._node("take", [count], [(self._dtype, self._shape)], name).outputs[0]


class SparseGradient(NamedTuple):
    """The rows of a gradient, and the shape of the whole."""

    indices: Tensor
    values: Tensor
    shape: Tensor


class SparseConditionalAccumulator(ConditionalAccumulatorBase):
    """A ConditionalAccumulator of IndexedSlices: the mean of a row is over the gradients that have this row."""

    _types = {
        **ConditionalAccumulatorBase._types,
        "apply": ("SparseAccumulatorApplyGradient", "SparseAccumulatorApplyGradient"),
        "take": ("SparseAccumulatorTakeGradient", "SparseAccumulatorTakeGradient"),
    }

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
        shape = np.zeros(0, np.int64) if grad_shape is None else grad_shape
        inputs = [_int64(local_step), convert_to_tensor(grad_indices), convert_to_tensor(grad_values, self._dtype)]
        return self._node("apply", [*inputs, convert_to_tensor(shape)], [], name)

    def take_grad(self, num_required: Any, name: str | None = None) -> SparseGradient:
        """Wait for the required number of gradients, and return (indices, values, shape) of their mean."""
        rows = None if self._shape is None else (None, *self._shape[1:])
        outputs = [(kinds_of.int64, (None,)), (self._dtype, rows), (kinds_of.int64, (None,))]
        count = convert_to_tensor(num_required, kinds_of.int32)
        indices, values, shape = self._node("take", [count], outputs, name).outputs
        if self._shape is not None and shapes.is_full(self._shape):
            shape = convert_to_tensor(self._shape, kinds_of.int64)
        return SparseGradient(indices, values, shape)

    def take_indexed_slices_grad(self, num_required: Any, name: str | None = None) -> IndexedSlices:
        """Wait for the required number of gradients, and return their mean as IndexedSlices."""
        indices, values, shape = self.take_grad(num_required, name)
        return IndexedSlices(values, indices, shape)


class Barrier(_SessionObject):
    """A map from keys to values with several components, which are inserted separately, and taken once complete.

    types, shapes: of the components. The shapes are fully defined.
    Raises ValueError unless there is one shape per type.
    """

    _types = {
        word: (f"Barrier{kind}", f"NAME_Barrier{kind}")
        for word, kind in {
            "insert": "InsertMany", "take": "TakeMany", "close": "Close", "ready_size": "ReadySize",
            "incomplete_size": "IncompleteSize",
        }.items()
    }  # fmt: skip

    def __init__(self, types: Any, shapes: Any = None, shared_name: str | None = None, name: str = "barrier"):
        kinds = tuple([as_dtype(t) for t in (types if isinstance(types, (list, tuple)) else [types])])
        if isinstance(shapes, TensorShape) or (shapes is not None and all([isinstance(d, int) for d in shapes])):
            shapes = [shapes] * (len(kinds) == 1 or bool(shapes))
        raw = tuple([as_raw(s) for s in shapes]) if shapes is not None else (None,) * len(kinds)
        for number, shape in enumerate(raw):
            if shape is not None and 0 in shape:
                text = f"received shape '{text_of(shape)}' at index {number}"
                raise ValueError(f"Empty tensors are not supported, but {text}")
        if len(raw) != len(kinds):
            raise ValueError("shapes must have the same length as types")
        super().__init__("Barrier", kinds, raw, shared_name, name)

    @property
    def barrier_ref(self) -> Tensor:
        """The tensor that stands for the barrier in the graph."""
        return self._op.outputs[0]

    def insert_many(self, component_index: int, keys: Any, values: Any, name: str | None = None) -> Operation:
        """Insert one component of the values for some keys: keys [n] of strings, values [n, ...].

        At run time, raises InvalidArgumentError if a key already has this component, CancelledError if the barrier is
        closed.
        component_index: which component, counted from 0.
        """
        kinds = self._definition.dtypes
        if not 0 <= component_index < len(kinds):
            raise ValueError(f"component_index {component_index} is not in [0, {len(kinds)})")
        index = convert_to_tensor(np.int32(component_index))
        inputs = [index, convert_to_tensor(keys, kinds_of.string), convert_to_tensor(values, kinds[component_index])]
        return self._node("insert", inputs, [], name)

    def take_many(
        self, num_elements: Any, allow_small_batch: bool = False, timeout: int | None = None, name: str | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Take complete elements: (indices, keys, values of each component), in the order of their first insertion.

        Waits until num_elements are complete. If the barrier is closed, returns what it has if allow_small_batch is
        true, else raises OutOfRangeError. indices: int64, starting from -2^63; keys that came together have one.
        num_elements: a scalar integer.   timeout: None; anything else is refused.
        """
        count = convert_to_tensor(num_elements, kinds_of.int32)
        small = convert_to_tensor(np.bool_(allow_small_batch))
        raw: list[Any] = list(self._definition.shapes or ())
        known = None if allow_small_batch else static_value(count)
        rows = None if known is None else int(known)
        outputs: list = [(kinds_of.int64, (rows,)), (kinds_of.string, (rows,))]
        for kind, shape in zip(self._definition.dtypes, raw, strict=True):
            outputs.append((kind, None if shape is None else (rows, *shape)))
        result = self._node("take", [count, small], outputs, name).outputs
        return result[0], result[1], list(result[2:])

    def close(self, cancel_pending_enqueues: bool = False, name: str | None = None) -> Operation:
        """Accept no new keys from now on; with cancel_pending_enqueues, no new components either."""
        return self._node("close", [convert_to_tensor(np.bool_(cancel_pending_enqueues))], [], name)

    def ready_size(self, name: str | None = None) -> Tensor:
        """The number of complete elements, int32."""
        return self._node("ready_size", [], [(kinds_of.int32, ())], name).outputs[0]

    def incomplete_size(self, name: str | None = None) -> Tensor:
        """The number of incomplete elements, int32."""
        return self._node("incomplete_size", [], [(kinds_of.int32, ())], name).outputs[0]
