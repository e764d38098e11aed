"""The properties of a linear operator, apart from its entries: see `operator`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops
from weftwork.graph.scopes import name_scope
from weftwork.graph.shapes import RawShape, TensorShape


def promised(
    is_non_singular: bool | None, is_self_adjoint: bool | None, is_positive_definite: bool | None,
    is_square: bool | None,
) -> dict[str, Any]:  # fmt: skip
    """The promises that a program makes about an operator, without those that it leaves open."""
    each = {
        "is_non_singular": is_non_singular, "is_self_adjoint": is_self_adjoint,
        "is_positive_definite": is_positive_definite, "is_square": is_square,
    }  # fmt: skip
    return {name: promise for name, promise in each.items() if promise is not None}


class Described:
    """The properties of a linear operator: its dtype, its shape, and what you promise about it.

    dtype: of its entries.   graph_parents: accepted, for TensorFlow's programs.
    is_non_singular, is_self_adjoint, is_positive_definite, is_square: what you promise about it; None if unknown.
    Raises ValueError for promises that contradict each other.
    """

    def __init__(
        self,
        dtype: Any,
        graph_parents: Any = None,
        is_non_singular: bool | None = None,
        is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None,
        is_square: bool | None = None,
        name: str | None = None,
    ):
        if is_positive_definite and is_non_singular is False:
            raise ValueError("A positive definite matrix is always non-singular.")
        is_non_singular = True if is_positive_definite else is_non_singular
        for promise, words in ((is_non_singular, "non-singular"), (is_self_adjoint, "self-adjoint")):
            if promise and is_square is False:
                raise ValueError(f"A {words} matrix is always square.")
        self._dtype = dtypes.as_dtype(dtype)
        self._name = name or type(self).__name__
        self._is_non_singular, self._is_self_adjoint = is_non_singular, is_self_adjoint
        self._is_positive_definite, self._is_square = is_positive_definite, is_square

    # What a class gives

    def _parameters(self) -> list[Tensor]:
        """The tensors that define it."""
        return []

    def _matrix_shape(self) -> tuple[RawShape, Any]:
        """The static shape, and a function that makes the tensor of the shape if it is not fully known."""
        raise NotImplementedError(f"{type(self).__name__} has no _matrix_shape.")

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        """The product with a batch of matrices."""
        raise NotImplementedError(f"{type(self).__name__} has no _product.")

    # Properties

    @property
    def dtype(self) -> dtypes.DType:
        """The dtype of the entries."""
        return self._dtype

    @property
    def name(self) -> str:
        """The prefix of its operations' names."""
        return self._name

    @property
    def graph_parents(self) -> list[Tensor]:
        """The tensors that define it."""
        return self._parameters()

    @property
    def is_non_singular(self) -> bool | None:
        """Whether you promised that it has an inverse."""
        return self._is_non_singular

    @property
    def is_self_adjoint(self) -> bool | None:
        """Whether you promised that it equals its adjoint."""
        return self._is_self_adjoint

    @property
    def is_positive_definite(self) -> bool | None:
        """Whether you promised that it is positive definite."""
        return self._is_positive_definite

    @property
    def is_square(self) -> bool | None:
        """Whether it has as many rows as columns, according to its shape or your promise; None if unknown.

        Raises ValueError if the shape contradicts the promise.
        """
        raw = self._matrix_shape()[0]
        if raw is None or None in raw[-2:]:
            return self._is_square
        known = raw[-1] == raw[-2]
        if self._is_square is not None and self._is_square != known:
            raise ValueError(f"Static shape and is_square do not match: {shapes.text(raw)}, {self._is_square}.")
        return known

    @property
    def shape(self) -> TensorShape:
        """The shape [..., rows, columns]."""
        return TensorShape(self._matrix_shape()[0])

    @property
    def batch_shape(self) -> TensorShape:
        """The shape without the last two axes."""
        raw = self._matrix_shape()[0]
        return TensorShape(None if raw is None else raw[:-2])

    @property
    def tensor_rank(self) -> int | None:
        """The number of axes."""
        raw = self._matrix_shape()[0]
        return None if raw is None else len(raw)

    @property
    def domain_dimension(self) -> Any:
        """The number of columns."""
        return self.shape[-1]

    @property
    def range_dimension(self) -> Any:
        """The number of rows."""
        return self.shape[-2]

    # Shapes when it runs

    def shape_tensor(self, name: str = "shape_tensor") -> Tensor:
        """The shape, an int32 vector."""
        raw, made = self._matrix_shape()
        with self._scope(name):
            return convert_to_tensor(list(raw), dtypes.int32) if raw is not None and None not in raw else made()

    def batch_shape_tensor(self, name: str = "batch_shape_tensor") -> Tensor:
        """The shape without the last two axes, an int32 vector."""
        with self._scope(name):
            return self.shape_tensor()[:-2]

    def tensor_rank_tensor(self, name: str = "tensor_rank_tensor") -> Tensor:
        """The number of axes, an int32 scalar."""
        with self._scope(name):
            return array_ops.size(self.shape_tensor())

    def domain_dimension_tensor(self, name: str = "domain_dimension_tensor") -> Tensor:
        """The number of columns, an int32 scalar."""
        with self._scope(name):
            return self.shape_tensor()[-1]

    def range_dimension_tensor(self, name: str = "range_dimension_tensor") -> Tensor:
        """The number of rows, an int32 scalar."""
        with self._scope(name):
            return self.shape_tensor()[-2]

    # Tools

    def _scope(self, name: str | None) -> Any:
        return name_scope(f"{self._name}/{name}" if name else self._name)

    def _argument(self, x: Any) -> Tensor:
        given = convert_to_tensor(x, None if isinstance(x, Tensor) else self.dtype)
        if given.dtype.base_dtype is not self.dtype:
            raise TypeError(
                f"Input argument has dtype {given.dtype}, which is not compatible with the operator's {self.dtype}."
            )
        return given

    def _check(self, x: Tensor, axis: int) -> None:
        raw = self._matrix_shape()[0]
        if raw is None or x.raw_shape is None or len(x.raw_shape) < 2:
            return
        if None not in (raw[axis], x.raw_shape[-2]) and raw[axis] != x.raw_shape[-2]:
            raise ValueError(
                f"Dimensions must be equal: the operator has shape {shapes.text(raw)}, the argument "
                f"{shapes.text(x.raw_shape)}."
            )

    def _check_square(self, what: str) -> None:
        if self.is_square is False:
            raise NotImplementedError(f"{what} not implemented for an operator that is expected to not be square.")


def product(tensors: Sequence[Any]) -> Any:
    """The product of several tensors, or of numbers."""
    made = tensors[0]
    for tensor in tensors[1:]:
        made = made * tensor
    return made


def total(numbers: Sequence[Any]) -> Any:
    """The sum of several tensors, whose shapes may broadcast, or of numbers."""
    made = numbers[0]
    for number in numbers[1:]:
        made = made + number
    return made


def same_dtype(operators: Sequence[Any]) -> list[Any]:
    """A list of operators. Raises ValueError for none, TypeError for several dtypes."""
    if not operators:
        raise ValueError("Expected a non-empty list of operators. Found: []")
    found = {op.dtype.name for op in operators}
    if len(found) > 1:
        raise TypeError(f"Expected all operators to have the same dtype. Found {sorted(found)}")
    return list(operators)


def common_batch(operators: Sequence[Any]) -> tuple:
    """The static batch shape to which those of operators broadcast."""
    made: RawShape = ()
    for op in operators:
        raw = op._matrix_shape()[0]
        made = shapes.broadcast(made, None if raw is None else raw[:-2])
    return tuple(made or ())


def batch_of(operators: Sequence[Any]) -> Tensor:
    """The batch shape to which those of operators broadcast, as a tensor."""
    made = operators[0].batch_shape_tensor()
    for op in operators[1:]:
        made = array_ops.broadcast_dynamic_shape(made, op.batch_shape_tensor())
    return made
