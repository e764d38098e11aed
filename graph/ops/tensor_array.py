"""TensorArray: an array of tensors that loops write and read, one cell at a time.

flow    the tensor that stands for the array at one moment (`kernels/cells`). A write returns a new TensorArray with a
  new flow and leaves the old one as it was. So loops, branches and derivatives treat it like any other tensor.
"""

from __future__ import annotations

from typing import Any

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, convert_to_tensor, static_value
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.kernels import cells as kernels
from weftwork.graph.known import entries
from weftwork.graph.operation import Tensor
from weftwork.graph.scopes import name_scope


class TensorArray:
    """An array of tensors. Loops read and write single cells, and each is written once.

    dtype: of all elements.   size: the number of cells; int32, an int or a tensor.
    dynamic_size: a write beyond the end extends the array.
    element_shape: all elements must be compatible with it.   infer_shape: all elements have the shape of the first.
    clear_after_read, colocate_with_first_write_call, handle: ignored; a cell may be read again.
    At run time, InvalidArgumentError is raised for an index out of range, for writing a cell twice, and for reading an
    unwritten cell, unless the shape of all elements is known: then it reads as zeros.
    tensor_array_name: of its nodes.   flow: the tensor that stands for an array at a moment.
    """

    def __init__(
        self,
        dtype: Any,
        size: Any = None,
        dynamic_size: bool | None = None,
        clear_after_read: bool | None = None,
        tensor_array_name: str | None = None,
        handle: Any = None,
        flow: Any = None,
        infer_shape: bool = True,
        element_shape: Any = None,
        colocate_with_first_write_call: bool = True,
        name: str | None = None,
    ):
        if handle is not None and tensor_array_name:
            raise ValueError("Cannot construct with both handle and tensor_array_name")
        if handle is not None and size is not None:
            raise ValueError("Cannot provide both a handle and size at the same time")
        if handle is None and size is None:
            raise ValueError("Size must be provided if handle is not provided")
        self._dtype, self._grows = as_dtype(dtype).base_dtype, bool(dynamic_size)
        self._known = [shapes.as_raw(element_shape)]  # one list, shared by the array at all moments
        self._infers = infer_shape and element_shape is None
        self._size = None if size is None or dynamic_size else static_value(convert_to_tensor(size))
        if handle is not None:
            self._flow: Tensor = handle if flow is None else flow
            return
        with name_scope(name, "TensorArray", [size]) as scope:
            count = convert_to_tensor(size, dtypes.int32 if not isinstance(size, Tensor) else None, name="size")
            if count.raw_shape:
                raise ValueError(f"Shape must be rank 0 but is rank {len(count.raw_shape)} for the size {size!r}")
            attrs = {"name": tensor_array_name or scope[:-1], "grows": self._grows}
            self._flow = apply(
                kernels.new_cells, [count], attrs, type="TensorArrayV3", name=scope, dtype=dtypes.variant, shape=()
            )

    def with_flow(self, flow: Tensor) -> TensorArray:
        """The same array at another moment.

        flow: the scalar tensor that `flow` gave at that moment.
        """
        array = TensorArray.__new__(TensorArray)
        array.__dict__.update(self.__dict__)
        array._flow = flow
        return array

    # Properties

    @property
    def flow(self) -> Tensor:
        """The tensor that stands for the array at this moment."""
        return self._flow

    @property
    def handle(self) -> Tensor:
        """The same as `flow`."""
        return self._flow

    @property
    def dtype(self):
        """The dtype of the elements."""
        return self._dtype

    @property
    def dynamic_size(self) -> bool:
        """True if a write beyond the end extends the array."""
        return self._grows

    @property
    def element_shape(self) -> shapes.TensorShape:
        """The shape of the elements, as far as it is known."""
        return shapes.TensorShape(self._known[0])

    def identity(self) -> TensorArray:
        """The same array, once the control dependencies have run."""
        return self.with_flow(apply(_same, [self._flow], type="Identity", dtype=dtypes.variant, shape=()))

    def size(self, name: str | None = None) -> Tensor:
        """The number of cells, int32."""
        return apply(
            kernels.size_of, [self._flow], type="TensorArraySizeV3", name=name or "TensorArraySizeV3",
            dtype=dtypes.int32, shape=(),
        )  # fmt: skip

    def grad(self, source: str, flow: Any = None, name: str | None = None) -> TensorArray:
        """An array of the same size for gradients: what is written to a cell more than once adds up.

        `tf.gradients` needs none.   source: without effect: each call makes an array of its own.
        flow: the flow of an array of gradients, to continue with that one.
        """
        start = self._flow if flow is None else flow
        kind = "TensorArrayGradV3"
        made = apply(kernels.gradient_cells, [start], type=kind, name=name or kind, dtype=dtypes.variant, shape=())
        return self.with_flow(made)

    def close(self, name: str | None = None):
        """An operation that does nothing: an unused array is freed automatically."""
        return apply(_same, [self._flow], type="TensorArrayCloseV3", name=name, dtype=dtypes.variant, shape=()).op

    # Reading

    def read(self, index: Any, name: str | None = None) -> Tensor:
        """The cell at an index."""
        return self._read(kernels.pick, [_index(index)], "TensorArrayReadV3", self._known[0], name)

    def gather(self, indices: Any, name: str | None = None) -> Tensor:
        """The cells at a vector of indices, stacked."""
        rows = _index(indices)
        count = rows.raw_shape[0] if rows.raw_shape else None
        return self._read(kernels.pick, [rows], "TensorArrayGatherV3", self._stacked_shape(count), name)

    def stack(self, name: str | None = None) -> Tensor:
        """All cells, stacked: [size, ...]."""
        count = None if self._size is None else int(self._size)
        with name_scope(name, "TensorArrayStack", [self._flow]) as scope:
            return self._read(kernels.stack, [], "TensorArrayStack", self._stacked_shape(count), scope)

    def concat(self, name: str | None = None) -> Tensor:
        """All cells, concatenated along their first axis, whose length may vary."""
        known = self._known[0]
        rest = None if known is None else known[1:]
        attrs = {"shape": rest, "dtype": self._dtype.numpy}
        shape = None if rest is None else (None, *rest)
        return apply(
            kernels.join, [self._flow], attrs, type="TensorArrayConcatV3", name=name, dtype=self._dtype, shape=shape
        )

    def lengths(self) -> Tensor:
        """The lengths of all cells along their first axis, int64."""
        return apply(kernels.lengths, [self._flow], type="TensorArrayLengths", dtype=dtypes.int64, shape=(None,))

    def _stacked_shape(self, count: int | None) -> shapes.RawShape:
        known = self._known[0]
        return None if known is None else (count, *known)

    def _read(self, kernel: Any, inputs: list, kind: str, shape: shapes.RawShape, name: str | None) -> Tensor:
        attrs = {"shape": self._known[0], "dtype": self._dtype.numpy}
        return apply(kernel, [self._flow, *inputs], attrs, type=kind, name=name, dtype=self._dtype, shape=shape)

    # Writing

    def write(self, index: Any, value: Any, name: str | None = None) -> TensorArray:
        """Write `value` at an index, and return the new array. Raises ValueError for another dtype or shape."""
        value = self._value(value)
        self._fits(value.raw_shape)
        return self._written(kernels.write, [_index(index), value], "TensorArrayWriteV3", name)

    def scatter(self, indices: Any, value: Any, name: str | None = None) -> TensorArray:
        """Write the rows of `value` at a vector of indices, and return the new array."""
        value = self._rows(value)
        return self._written(kernels.write, [_index(indices), value], "TensorArrayScatterV3", name)

    def unstack(self, value: Any, name: str | None = None) -> TensorArray:
        """Write the rows of `value`, starting at the first cell, and return the new array."""
        value = self._rows(value)
        return self._written(kernels.unstack, [value], "TensorArrayUnstack", name)

    def split(self, value: Any, lengths: Any, name: str | None = None) -> TensorArray:
        """Write parts of `value`, of these lengths along its first axis, to the cells, and return the new array."""
        value, sizes = self._value(value), _index(lengths)
        known = entries(sizes)
        if value.raw_shape:
            alike = known is not None and len(set(known)) == 1
            self._fits((known[0] if alike else None, *value.raw_shape[1:]))  # type: ignore[index]
        return self._written(kernels.write_parts, [value, sizes], "TensorArraySplitV3", name)

    def _rows(self, value: Any) -> Tensor:
        """A value whose rows are to be written. Raises ValueError if they do not fit, or it is a scalar."""
        tensor = self._value(value)
        if tensor.raw_shape == ():
            raise ValueError(f"A TensorArray takes the rows of a value: {tensor} is a scalar.")
        self._fits(None if tensor.raw_shape is None else tensor.raw_shape[1:])
        return tensor

    def _value(self, value: Any) -> Tensor:
        return convert_to_tensor(value, self._dtype, name="value")

    def _fits(self, shape: shapes.RawShape) -> None:
        known = self._known[0]
        if not shapes.compatible(known, shape):
            raise ValueError(
                f"Inconsistent shapes: saw {shapes.text(shape)} but expected {shapes.text(known)}. "
                "TensorArray(infer_shape=False) holds elements of different shapes."
            )
        if self._infers:
            self._known[0] = shapes.merge(known, shape)

    def _written(self, kernel: Any, inputs: list, kind: str, name: str | None) -> TensorArray:
        attrs = {"shape": self._known[0]}
        flow = apply(kernel, [self._flow, *inputs], attrs, type=kind, name=name or kind, dtype=dtypes.variant, shape=())
        return self.with_flow(flow)

    def __repr__(self) -> str:
        return f"<tf.TensorArray {self._flow.name} of {self._dtype.name}, elements {self.element_shape}>"


def _index(value: Any) -> Tensor:
    return convert_to_tensor(value, None if isinstance(value, Tensor) else dtypes.int32, name="index")


def _same(cells: Any) -> Any:
    return cells
