"""Linear operators by their structure: diagonal, triangular, circulant, and so on. See `operator`."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor, static_value
from weftwork.graph.linear.description import promised
from weftwork.graph.linear.operator import LinearOperator, _Lower
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import array_ops, conversion, filling, linalg_ops, math_ops, spaces
from weftwork.graph.ops.flow import no_op
from weftwork.graph.shapes import RawShape

_FLOATING = tuple([dtypes.as_dtype(name) for name in ("float16", "float32", "float64", "complex64", "complex128")])


def parameter(value: Any, name: str, rank: int) -> Tensor:
    """A parameter. Raises TypeError for integers, ValueError for too few axes."""
    made = convert_to_tensor(value, name=name)
    if made.dtype.base_dtype not in _FLOATING:
        raise TypeError(f"Argument {name} must have dtype in {[d.name for d in _FLOATING]}. Found: {made.dtype}")
    if made.raw_shape is not None and len(made.raw_shape) < rank:
        raise ValueError(f"Argument {name} must have at least {rank} dimensions. Found: {made}")
    return made


def _column(x: Tensor) -> Tensor:
    return array_ops.expand_dims(x, -1)


class OfTensor(LinearOperator):
    """An operator defined by one tensor, whose trailing axes give the numbers of rows and columns."""

    _trailing: tuple[int, int] = (-1, -1)
    """The axes of the tensor that are the rows and the columns."""
    _taken = 1
    """The number of its last axes that belong to the matrix."""

    def __init__(self, value: Any, named: str, promises: dict[str, Any]):
        self._value = parameter(value, named, self._taken)
        super().__init__(self._value.dtype.base_dtype, **promises)

    def _parameters(self) -> list[Tensor]:
        return [self._value]

    def _matrix_shape(self) -> tuple[RawShape, Any]:
        raw, (rows, columns) = self._value.raw_shape, self._trailing

        def made() -> Tensor:
            given = array_ops.shape(self._value)
            last = array_ops.stack([given[rows], given[columns]])
            return array_ops.concat([given[: -self._taken], last], 0)

        return None if raw is None else (*raw[: -self._taken], raw[rows], raw[columns]), made


class LinearOperatorFullMatrix(OfTensor):
    """Any matrix [..., rows, columns]."""

    _trailing, _taken = (-2, -1), 2

    def __init__(
        self, matrix: Any,
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None, name: str = "LinearOperatorFullMatrix",
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        super().__init__(matrix, "matrix", {"name": name, **promises})

    @property
    def matrix(self) -> Tensor:
        """The matrix."""
        return self._value

    def _dense(self) -> Tensor:
        return self._value

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        return linalg_ops.matmul(self._value, x, adjoint_a=adjoint)


class LinearOperatorLowerTriangular(_Lower):
    """A lower triangular matrix. tril: [..., n, n]; elements above the diagonal count as zero."""

    def __init__(
        self, tril: Any,
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None,
        name: str = "LinearOperatorLowerTriangular",
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        given = parameter(tril, "tril", 2)
        if promises.pop("is_square", True) is False:
            raise ValueError("Only square lower triangular operators supported at this time.")
        super().__init__(given.dtype.base_dtype, spaces.matrix_band_part(given, -1, 0), name=name, **promises)

    @property
    def tril(self) -> Tensor:
        """The matrix, with zeros above the diagonal."""
        return self._matrix


class LinearOperatorDiag(OfTensor):
    """A diagonal matrix: diag [..., n]."""

    def __init__(
        self, diag: Any,
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None, name: str = "LinearOperatorDiag",
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        if promises.pop("is_square", True) is False:
            raise ValueError("Only square diagonal operators currently supported.")
        super().__init__(diag, "diag", {"name": name, "is_square": True, **promises})
        if not self._dtype.is_complex and self._is_self_adjoint is None:
            self._is_self_adjoint = True

    @property
    def diag(self) -> Tensor:
        """The diagonal."""
        return self._value

    def _dense(self) -> Tensor:
        return linalg_ops.diag(self._value)

    def _diagonal(self) -> Tensor:
        return self._value

    def _eigenvalues(self) -> Tensor:
        return self._value

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        return _column(conversion.conj(self._value) if adjoint else self._value) * x

    def _solution(self, rhs: Tensor, adjoint: bool) -> Tensor:
        return rhs / _column(conversion.conj(self._value) if adjoint else self._value)

    def _determinant(self) -> Tensor:
        return math_ops.reduce_prod(self._value, axis=-1)

    def _log_abs_determinant(self) -> Tensor:
        return math_ops.reduce_sum(math_ops.log(math_ops.abs(self._value)), axis=-1)

    def inverse(self, name: str = "inverse") -> LinearOperator:
        """The diagonal matrix of the reciprocals.

        name: accepted, for TensorFlow's programs.
        """
        super().inverse()  # says why there is none
        own = {"is_self_adjoint": self.is_self_adjoint, "is_positive_definite": self.is_positive_definite}
        promises: dict[str, Any] = {"is_non_singular": True, **own}
        return LinearOperatorDiag(1.0 / self._value, **promises)

    def cholesky(self, name: str = "cholesky") -> LinearOperator:
        """The diagonal matrix of the roots. Raises ValueError unless it is promised to be positive definite.

        name: accepted, for TensorFlow's programs.
        """
        if not self.is_positive_definite:
            return super().cholesky()
        return LinearOperatorDiag(math_ops.sqrt(self._value), is_self_adjoint=True, is_positive_definite=True)


class _OfSizes(LinearOperator):
    """An operator of given sizes, numbers or tensors. Its batch shape is given, or that of a tensor."""

    def __init__(self, rows: Any, columns: Any, batch_shape: Any, dtype: Any, promises: dict[str, Any]):
        super().__init__(dtype, **promises)
        self._rows = convert_to_tensor(rows, dtypes.int32, name="num_rows")
        self._columns = self._rows if columns is None else convert_to_tensor(columns, dtypes.int32, name="num_columns")
        self._given_batch = batch_shape
        for size, named in ((self._rows, "num_rows"), (self._columns, "num_columns")):
            known = static_number(size)
            if known is not None and known < 0:
                raise ValueError(f"{named} must be non-negative. Found: {known}")

    def _batch(self) -> tuple[RawShape, Any]:
        given = self._given_batch
        if isinstance(given, Tensor):
            return None, lambda: given
        raw = tuple([int(size) for size in np.ravel([] if given is None else given)])
        return raw, lambda: convert_to_tensor(list(raw), dtypes.int32)

    def _matrix_shape(self) -> tuple[RawShape, Any]:
        raw, made = self._batch()
        sizes = (static_number(self._rows), static_number(self._columns))
        both = lambda: array_ops.concat([made(), array_ops.stack([self._rows, self._columns])], 0)  # noqa: E731
        return None if raw is None else (*raw, *sizes), both

    def _spread(self, x: Tensor) -> Tensor:
        """x, with its batch broadcast with the operator's."""
        raw, made = self._batch()
        if raw == ():
            return x
        batch = array_ops.broadcast_dynamic_shape(made(), array_ops.shape(x)[:-2])
        return x + filling.zeros(array_ops.concat([batch, array_ops.shape(x)[-2:]], 0), self.dtype)


def static_number(tensor: Tensor) -> int | None:
    """The value of a constant; None for other tensors."""
    known = static_value(tensor)
    return None if known is None else int(known)


class LinearOperatorIdentity(_OfSizes):
    """The identity matrix with num_rows rows, in a batch of any shape."""

    def __init__(
        self, num_rows: Any, batch_shape: Any = None, dtype: Any = None, is_non_singular: bool | None = True,
        is_self_adjoint: bool | None = True, is_positive_definite: bool | None = True, is_square: bool | None = True,
        assert_proper_shapes: bool = False, name: str = "LinearOperatorIdentity",
    ):  # fmt: skip
        for promise, words in (
            (is_self_adjoint, "self adjoint"), (is_square, "square"), (is_non_singular, "non-singular"),
            (is_positive_definite, "positive-definite"),
        ):  # fmt: skip
            if not promise:
                raise ValueError(f"An identity operator is always {words}.")
        promises = {"is_self_adjoint": True, "is_positive_definite": True, "is_square": True, "name": name}
        super().__init__(num_rows, None, batch_shape, dtype or dtypes.float32, promises)

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        return self._spread(x)

    def _solution(self, rhs: Tensor, adjoint: bool) -> Tensor:
        return self._spread(rhs)

    def _diagonal(self) -> Tensor:
        return filling.ones(self.shape_tensor()[:-1], self.dtype)

    def _determinant(self) -> Tensor:
        return filling.ones(self.batch_shape_tensor(), self.dtype)

    def _log_abs_determinant(self) -> Tensor:
        return filling.zeros(self.batch_shape_tensor(), self.dtype.real_dtype)

    def inverse(self, name: str = "inverse") -> LinearOperator:
        """Itself.

        name: accepted, for TensorFlow's programs.
        """
        return self

    def cholesky(self, name: str = "cholesky") -> LinearOperator:
        """Itself.

        name: accepted, for TensorFlow's programs.
        """
        return self

    def assert_non_singular(self, name: str = "assert_non_singular") -> Operation:
        """Nothing to do."""
        return no_op(name)

    def assert_positive_definite(self, name: str = "assert_positive_definite") -> Operation:
        """Nothing to do."""
        return no_op(name)

    def assert_self_adjoint(self, name: str = "assert_self_adjoint") -> Operation:
        """Nothing to do."""
        return no_op(name)


class LinearOperatorScaledIdentity(_OfSizes):
    """The identity matrix with num_rows rows, times a number.   multiplier: the number, or a batch of them [...]."""

    def __init__(
        self, num_rows: Any, multiplier: Any,
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None,
        assert_proper_shapes: bool = False, name: str = "LinearOperatorScaledIdentity",
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        if promises.pop("is_square", True) is False:
            raise ValueError("A ScaledIdentity operator is always square.")
        self._multiplier = parameter(multiplier, "multiplier", 0)
        kind = self._multiplier.dtype.base_dtype
        if not kind.is_complex and promises.get("is_self_adjoint") is None:
            promises["is_self_adjoint"] = True
        super().__init__(num_rows, None, None, kind, {"name": name, "is_square": True, **promises})

    @property
    def multiplier(self) -> Tensor:
        """The number, or numbers."""
        return self._multiplier

    def _parameters(self) -> list[Tensor]:
        return [self._multiplier]

    def _batch(self) -> tuple[RawShape, Any]:
        return self._multiplier.raw_shape, lambda: array_ops.shape(self._multiplier)

    def _factor(self, adjoint: bool) -> Tensor:
        return _column(_column(conversion.conj(self._multiplier) if adjoint else self._multiplier))

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        return self._factor(adjoint) * x

    def _solution(self, rhs: Tensor, adjoint: bool) -> Tensor:
        return rhs / self._factor(adjoint)

    def _diagonal(self) -> Tensor:
        return _column(self._multiplier) * filling.ones([self._rows], self.dtype)

    def _determinant(self) -> Tensor:
        return math_ops.reduce_prod(self.diag_part(), axis=-1)

    def _log_abs_determinant(self) -> Tensor:
        size = math_ops.log(math_ops.abs(self._multiplier))
        return size * conversion.cast(self._rows, self.dtype.real_dtype)


class LinearOperatorZeros(_OfSizes):
    """A matrix of zeros, num_rows by num_columns (square by default)."""

    def __init__(
        self, num_rows: Any, num_columns: Any = None, batch_shape: Any = None, dtype: Any = None,
        is_non_singular: bool | None = False, is_self_adjoint: bool | None = True,
        is_positive_definite: bool | None = False, is_square: bool | None = True, assert_proper_shapes: bool = False,
        name: str = "LinearOperatorZeros",
    ):  # fmt: skip
        if is_non_singular or is_positive_definite:
            raise ValueError("A zeros operator is never non-singular, and never positive-definite.")
        promises = {"is_non_singular": False, "is_self_adjoint": is_self_adjoint if is_square else None}
        super().__init__(
            num_rows, num_columns, batch_shape, dtype or dtypes.float32,
            {**promises, "is_positive_definite": False, "is_square": is_square, "name": name},
        )  # fmt: skip

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        rows = self._columns if adjoint else self._rows
        batch = array_ops.broadcast_dynamic_shape(self.batch_shape_tensor(), array_ops.shape(x)[:-2])
        sizes = array_ops.stack([rows, array_ops.shape(x)[-1]])
        return filling.zeros(array_ops.concat([batch, sizes], 0), self.dtype)

    def _dense(self) -> Tensor:
        return filling.zeros(self.shape_tensor(), self.dtype)

    def _determinant(self) -> Tensor:
        return filling.zeros(self.batch_shape_tensor(), self.dtype)

    def _log_abs_determinant(self) -> Tensor:
        return math_ops.log(filling.zeros(self.batch_shape_tensor(), self.dtype.real_dtype))


class LinearOperatorHouseholder(OfTensor):
    """The reflection at the hyperplane perpendicular to a vector v: I - 2 v v* / |v|^2.

    reflection_axis: the vector [..., n].
    """

    def __init__(
        self, reflection_axis: Any,
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None,
        name: str = "LinearOperatorHouseholder",
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        fixed = {"is_square": True, "is_self_adjoint": True, "is_non_singular": True}
        for key in fixed:
            if promises.pop(key, None) is False:
                raise ValueError(f"A Householder operator is always {key.removeprefix('is_').replace('_', '-')}.")
        if promises.pop("is_positive_definite", None) is True:
            raise ValueError("A Householder operator is always non-positive definite.")
        super().__init__(reflection_axis, "reflection_axis", {"name": name, "is_positive_definite": False, **fixed})

    @property
    def reflection_axis(self) -> Tensor:
        """The vector."""
        return self._value

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        v = _column(self._value)
        squared = math_ops.reduce_sum(v * conversion.conj(v), axis=-2, keepdims=True)
        return x - 2.0 * v * (linalg_ops.matmul(v, x, adjoint_a=True) / squared)

    def _solution(self, rhs: Tensor, adjoint: bool) -> Tensor:
        return self._product(rhs, adjoint)

    def _determinant(self) -> Tensor:
        return -filling.ones(self.batch_shape_tensor(), self.dtype)

    def _log_abs_determinant(self) -> Tensor:
        return filling.zeros(self.batch_shape_tensor(), self.dtype.real_dtype)


class LinearOperatorToeplitz(OfTensor):
    """A matrix with the same number along each diagonal.   col, row: its first column and its first row [..., n]."""

    def __init__(
        self, col: Any, row: Any,
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None, name: str = "LinearOperatorToeplitz",
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        if promises.pop("is_square", True) is False:
            raise ValueError("Only square Toeplitz operators currently supported.")
        super().__init__(col, "col", {"name": name, "is_square": True, **promises})
        self._row = parameter(row, "row", 1)

    @property
    def col(self) -> Tensor:
        """The first column."""
        return self._value

    @property
    def row(self) -> Tensor:
        """The first row."""
        return self._row

    def _parameters(self) -> list[Tensor]:
        return [self._value, self._row]

    def _dense(self) -> Tensor:
        count = self.shape_tensor()[-1]
        places = math_ops.range(count)
        apart = _column(places) - places + count - 1
        backwards = array_ops.reverse(self._row[..., 1:], axis=[-1])
        return array_ops.gather(array_ops.concat([backwards, self._value], -1), apart, axis=-1)

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        return linalg_ops.matmul(self._dense(), x, adjoint_a=adjoint)
