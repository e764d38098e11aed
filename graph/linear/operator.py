"""Linear operators: matrices described by their structure, so products, solutions and determinants need no dense
matrix.

operator   a batch of matrices [..., rows, columns]; the batch is all axes but the last two
A class derived from LinearOperator defines `_parameters`, `_matrix_shape` and `_product`. Everything else has a default
that uses the dense matrix, and is overridden where the structure allows something better.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.graph.linear.description import (
    Described,
    batch_of,
    common_batch,
    product,
    promised,
    same_dtype,
    total,
)
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import array_ops, factoring, filling, linalg_ops, math_ops
from weftwork.graph.ops.assertions import assert_less
from weftwork.graph.shapes import RawShape


class LinearOperator(Described):
    """The base class of linear operators, such as `tf.linalg.LinearOperatorDiag`.

    dtype: of its entries.   graph_parents: accepted, for TensorFlow's programs.
    is_non_singular, is_self_adjoint, is_positive_definite, is_square: what you promise about it; None if unknown.
    Raises ValueError for promises that contradict each other.
    """

    @property
    def H(self) -> LinearOperator:
        """The adjoint."""
        return self.adjoint()

    # Products and solutions

    def matmul(self, x: Any, adjoint: bool = False, adjoint_arg: bool = False, name: str = "matmul") -> Any:
        """The product with matrices [..., columns, k], or the composition with another operator.

        x: the matrices, or a LinearOperator.   adjoint: use this operator's adjoint.   adjoint_arg: use that of x.
        Raises ValueError if the sizes do not match, TypeError for another dtype.
        """
        if isinstance(x, LinearOperator):
            left, right = self.adjoint() if adjoint else self, x.adjoint() if adjoint_arg else x
            return LinearOperatorComposition([left, right])
        with self._scope(name):
            given = self._argument(x)
            given = factoring.adjoint(given) if adjoint_arg else given
            self._check(given, -2 if adjoint else -1)
            return self._product(given, adjoint)

    def __matmul__(self, other: Any) -> Any:
        return self.matmul(other)

    def matvec(self, x: Any, adjoint: bool = False, name: str = "matvec") -> Tensor:
        """The product with vectors [..., columns].

        adjoint: use this operator's adjoint.
        """
        with self._scope(name):
            return array_ops.squeeze(self.matmul(array_ops.expand_dims(self._argument(x), -1), adjoint), [-1])

    def solve(self, rhs: Any, adjoint: bool = False, adjoint_arg: bool = False, name: str = "solve") -> Any:
        """The X of A X = rhs, for matrices [..., rows, k], or an operator.

        adjoint: solve with the adjoint of A.   adjoint_arg: take the adjoint of rhs.
        Raises NotImplementedError if it is known to be singular or not square.
        """
        if self.is_non_singular is False:
            raise NotImplementedError("Exact solve not implemented for an operator that is expected to be singular.")
        if self.is_square is False:
            raise NotImplementedError("Exact solve not implemented for an operator that is expected to not be square.")
        if isinstance(rhs, LinearOperator):
            left = self.inverse()
            right = rhs.adjoint() if adjoint_arg else rhs
            return LinearOperatorComposition([left.adjoint() if adjoint else left, right])
        with self._scope(name):
            given = self._argument(rhs)
            given = factoring.adjoint(given) if adjoint_arg else given
            self._check(given, -1 if adjoint else -2)
            return self._solution(given, adjoint)

    def solvevec(self, rhs: Any, adjoint: bool = False, name: str = "solve") -> Tensor:
        """The x of A x = rhs, for vectors [..., rows].

        rhs: the right side.   adjoint: solve with the adjoint of A.
        """
        with self._scope(name):
            return array_ops.squeeze(self.solve(array_ops.expand_dims(self._argument(rhs), -1), adjoint), [-1])

    def _solution(self, rhs: Tensor, adjoint: bool) -> Tensor:
        if self.is_self_adjoint and self.is_positive_definite:
            return factoring.cholesky_solve(linalg_ops.cholesky(self.to_dense()), rhs)
        return linalg_ops.solve(self.to_dense(), rhs, adjoint=adjoint)

    # The matrix, and quantities of it

    def to_dense(self, name: str = "to_dense") -> Tensor:
        """The matrix [..., rows, columns]."""
        with self._scope(name):
            made = self._dense()
            made.set_shape(self.shape)
            return made

    def _dense(self) -> Tensor:
        columns = self.domain_dimension.value
        count = self.domain_dimension_tensor() if columns is None else columns
        return self._product(filling.eye(count, dtype=self.dtype), False)

    def diag_part(self, name: str = "diag_part") -> Tensor:
        """The diagonal [..., min(rows, columns)]."""
        with self._scope(name):
            return self._diagonal()

    def _diagonal(self) -> Tensor:
        return linalg_ops.diag_part(self.to_dense())

    def trace(self, name: str = "trace") -> Tensor:
        """The sum of the diagonal."""
        with self._scope(name):
            return math_ops.reduce_sum(self.diag_part(), axis=-1)

    def determinant(self, name: str = "det") -> Tensor:
        """The determinant. Raises NotImplementedError if it is known not to be square."""
        self._check_square("Determinant")
        with self._scope(name):
            return self._determinant()

    def _determinant(self) -> Tensor:
        return linalg_ops.det(self.to_dense())

    def log_abs_determinant(self, name: str = "log_abs_det") -> Tensor:
        """The logarithm of |determinant|. Raises NotImplementedError if it is known not to be square."""
        self._check_square("Determinant")
        with self._scope(name):
            return self._log_abs_determinant()

    def _log_abs_determinant(self) -> Tensor:
        return linalg_ops.slogdet(self.to_dense())[1]

    def add_to_tensor(self, x: Any, name: str = "add_to_tensor") -> Tensor:
        """The sum with a matrix."""
        with self._scope(name):
            return self.to_dense() + self._argument(x)

    # Other operators

    def adjoint(self, name: str = "adjoint") -> LinearOperator:
        """The adjoint: transposed and conjugated. Itself, if it is self-adjoint.

        name: accepted, for TensorFlow's programs.
        """
        return self if self.is_self_adjoint else LinearOperatorAdjoint(self)

    def inverse(self, name: str = "inverse") -> LinearOperator:
        """The inverse. Raises ValueError if it is known not to have one.

        name: accepted, for TensorFlow's programs.
        """
        if self.is_square is False:
            raise ValueError("Cannot take the Inverse: This operator represents a non square matrix.")
        if self.is_non_singular is False:
            raise ValueError("Cannot take the Inverse: This operator represents a singular matrix.")
        return LinearOperatorInversion(self)

    def cholesky(self, name: str = "cholesky") -> LinearOperator:
        """The lower triangular L with L L* = this. Raises ValueError unless it is promised to be positive definite.

        name: accepted, for TensorFlow's programs.
        """
        if not (self.is_positive_definite and self.is_self_adjoint):
            raise ValueError("Cannot take the Cholesky decomposition: Not a positive definite self adjoint matrix.")
        return _Lower(self.dtype, linalg_ops.cholesky(self.to_dense()), name="LinearOperatorLowerTriangular")

    # Assertions

    def assert_non_singular(self, name: str = "assert_non_singular") -> Operation:
        """An operation that fails if the condition number is beyond the precision of the dtype."""
        with self._scope(name):
            values = linalg_ops.svd(self.to_dense(), compute_uv=False)
            least, most = values[..., -1], values[..., 0]
            finest = float(np.finfo(self.dtype.real_dtype.numpy).eps)
            return assert_less(most * finest, least, message="Singular matrix up to precision epsilon.")

    def assert_positive_definite(self, name: str = "assert_positive_definite") -> Operation:
        """An operation that fails unless all eigenvalues are positive. The operator must be self-adjoint."""
        with self._scope(name):
            least = linalg_ops.eigvalsh(self.to_dense())[..., 0]
            return assert_less(filling.zeros_like(least), least, message="Matrix was not positive definite.")

    def eigvals(self, name: str = "eigvals") -> Tensor:
        """The eigenvalues [..., n]. Raises NotImplementedError unless it is promised to be self-adjoint."""
        if not self.is_self_adjoint:
            raise NotImplementedError("Only self-adjoint matrices are supported.")
        with self._scope(name):
            return self._eigenvalues()

    def _eigenvalues(self) -> Tensor:
        return linalg_ops.eigvalsh(self.to_dense())

    def cond(self, name: str = "cond") -> Tensor:
        """The condition number: the largest singular value by the smallest one."""
        with self._scope(name):
            if self.is_self_adjoint:
                sizes = math_ops.abs(self._eigenvalues())
            else:
                sizes = linalg_ops.svd(self.to_dense(), compute_uv=False)
            return math_ops.reduce_max(sizes, axis=-1) / math_ops.reduce_min(sizes, axis=-1)

    def assert_self_adjoint(self, name: str = "assert_self_adjoint") -> Operation:
        """An operation that fails unless it equals its adjoint."""
        with self._scope(name):
            dense = self.to_dense()
            apart = math_ops.abs(dense - factoring.adjoint(dense))
            return assert_less(apart, filling.zeros_like(apart) + 1e-5, message="Matrix was not equal to its adjoint.")


class _Lower(LinearOperator):
    """A lower triangular matrix: see `LinearOperatorLowerTriangular`, which makes one of a full matrix."""

    def __init__(self, dtype: Any, matrix: Tensor, **promises: Any):
        super().__init__(dtype, is_square=True, **promises)
        self._matrix = matrix

    def _parameters(self) -> list[Tensor]:
        return [self._matrix]

    def _matrix_shape(self) -> tuple[RawShape, Any]:
        return self._matrix.raw_shape, lambda: array_ops.shape(self._matrix)

    def _dense(self) -> Tensor:
        return self._matrix

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        return linalg_ops.matmul(self._matrix, x, adjoint_a=adjoint)

    def _solution(self, rhs: Tensor, adjoint: bool) -> Tensor:
        return linalg_ops.triangular_solve(self._matrix, rhs, lower=True, adjoint=adjoint)

    def _determinant(self) -> Tensor:
        return math_ops.reduce_prod(self.diag_part(), axis=-1)

    def _log_abs_determinant(self) -> Tensor:
        return math_ops.reduce_sum(math_ops.log(math_ops.abs(self.diag_part())), axis=-1)


class _OfOperator(LinearOperator):
    """An operator derived from another one."""

    def __init__(self, operator: LinearOperator, name: str, promises: dict[str, Any]):
        super().__init__(operator.dtype, name=name, **promises)
        self._operator = operator

    @property
    def operator(self) -> LinearOperator:
        """The operator that this one is derived from."""
        return self._operator

    def _parameters(self) -> list[Tensor]:
        return self._operator._parameters()


class LinearOperatorAdjoint(_OfOperator):
    """The adjoint of an operator."""

    def __init__(
        self, operator: LinearOperator,
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None, name: str | None = None,
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        of = operator
        known = {
            "is_non_singular": of.is_non_singular, "is_self_adjoint": of.is_self_adjoint,
            "is_positive_definite": of.is_positive_definite, "is_square": of.is_square, **promises,
        }  # fmt: skip
        super().__init__(of, name or f"{of.name}_adjoint", known)

    def _matrix_shape(self) -> tuple[RawShape, Any]:
        raw, made = self._operator._matrix_shape()

        def turned() -> Tensor:
            given = made()
            return array_ops.concat([given[:-2], given[-1:], given[-2:-1]], 0)

        return None if raw is None else (*raw[:-2], raw[-1], raw[-2]), turned

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        return self._operator._product(x, not adjoint)

    def _solution(self, rhs: Tensor, adjoint: bool) -> Tensor:
        return self._operator._solution(rhs, not adjoint)

    def _dense(self) -> Tensor:
        return factoring.adjoint(self._operator.to_dense())

    def _log_abs_determinant(self) -> Tensor:
        return self._operator.log_abs_determinant()

    def adjoint(self, name: str = "adjoint") -> LinearOperator:
        """The operator whose adjoint this is."""
        return self._operator


class LinearOperatorInversion(_OfOperator):
    """The inverse of an operator: its products are the other's solutions."""

    def __init__(
        self, operator: LinearOperator,
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None, name: str | None = None,
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        of = operator
        known = {
            "is_non_singular": True, "is_self_adjoint": of.is_self_adjoint,
            "is_positive_definite": of.is_positive_definite, "is_square": True, **promises,
        }  # fmt: skip
        super().__init__(of, name or f"{of.name}_inv", known)

    def _matrix_shape(self) -> tuple[RawShape, Any]:
        return self._operator._matrix_shape()

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        return self._operator._solution(x, adjoint)

    def _solution(self, rhs: Tensor, adjoint: bool) -> Tensor:
        return self._operator._product(rhs, adjoint)

    def _determinant(self) -> Tensor:
        return math_ops.divide(1.0, self._operator.determinant())

    def _log_abs_determinant(self) -> Tensor:
        return -self._operator.log_abs_determinant()

    def inverse(self, name: str = "inverse") -> LinearOperator:
        """The operator whose inverse this is."""
        return self._operator


class LinearOperatorComposition(LinearOperator):
    """The product of several operators, the last of which is applied first.

    operators: a list of them.
    Raises ValueError for an empty list or sizes that do not match, TypeError for different dtypes.
    """

    def __init__(
        self, operators: Sequence[LinearOperator],
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None, name: str | None = None,
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        self.operators = same_dtype(operators)
        for left, right in zip(self.operators, self.operators[1:], strict=False):
            sizes = left.domain_dimension, right.range_dimension
            if not sizes[0].is_compatible_with(sizes[1]):
                raise ValueError(
                    f"The operators {left.name} and {right.name} have incompatible shapes: {sizes[0]} and {sizes[1]}."
                )
        if all(op.is_non_singular for op in self.operators):
            promises.setdefault("is_non_singular", True)
        super().__init__(self.operators[0].dtype, name=name or "_o_".join([op.name for op in operators]), **promises)

    def _parameters(self) -> list[Tensor]:
        return [tensor for op in self.operators for tensor in op._parameters()]

    def _matrix_shape(self) -> tuple[RawShape, Any]:
        raws = [op._matrix_shape()[0] for op in self.operators]
        ends = (self.operators[0].range_dimension.value, self.operators[-1].domain_dimension.value)

        def made() -> Tensor:
            rows, columns = self.operators[0].shape_tensor()[-2:-1], self.operators[-1].shape_tensor()[-1:]
            return array_ops.concat([batch_of(self.operators), rows, columns], 0)

        return None if None in raws else (*common_batch(self.operators), *ends), made

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        for op in self.operators if adjoint else reversed(self.operators):
            x = op._product(x, adjoint)
        return x

    def _solution(self, rhs: Tensor, adjoint: bool) -> Tensor:
        for op in reversed(self.operators) if adjoint else self.operators:
            rhs = op._solution(rhs, adjoint)
        return rhs

    def _determinant(self) -> Tensor:
        if not all([op.is_square for op in self.operators]):
            return super()._determinant()
        return product([op.determinant() for op in self.operators])

    def _log_abs_determinant(self) -> Tensor:
        if not all([op.is_square for op in self.operators]):
            return super()._log_abs_determinant()
        return total([op.log_abs_determinant() for op in self.operators])
