"""Linear operators composed of others: block diagonals, Kronecker products, low-rank updates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weftwork.graph.build import convert_to_tensor
from weftwork.graph.linear.description import batch_of, common_batch, product, promised, same_dtype, total
from weftwork.graph.linear.kinds import LinearOperatorDiag, LinearOperatorIdentity
from weftwork.graph.linear.operator import LinearOperator, LinearOperatorInversion
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, conversion, filling, linalg_ops, math_ops
from weftwork.graph.shapes import RawShape


class _OfOperators(LinearOperator):
    """An operator composed of several, square or rectangular ones."""

    def __init__(self, operators: Sequence[LinearOperator], name: str, promises: dict[str, Any]):
        self.operators = same_dtype(operators)
        for promise in ("is_non_singular", "is_self_adjoint", "is_positive_definite", "is_square"):
            if all([getattr(op, promise) for op in self.operators]):
                promises.setdefault(promise, True)
        super().__init__(self.operators[0].dtype, name=name, **promises)

    def _parameters(self) -> list[Tensor]:
        return [tensor for op in self.operators for tensor in op._parameters()]

    def _sizes(self, axis: int) -> list[int | None]:
        return [op.shape[axis].value for op in self.operators]

    def _known(self, axis: int) -> list[tuple[LinearOperator, int | None]]:
        return list(zip(self.operators, self._sizes(axis), strict=True))

    def _combined(self, combine: Callable[[Sequence[Any]], Any]) -> tuple[RawShape, Any]:
        """The shape, whose sizes are combined from those of the operators."""
        ends = [None if None in sizes else combine(sizes) for sizes in (self._sizes(-2), self._sizes(-1))]

        def made() -> Tensor:
            each = [op.shape_tensor() for op in self.operators]
            rows, columns = (combine([shape[axis] for shape in each]) for axis in (-2, -1))
            return array_ops.concat([batch_of(self.operators), array_ops.stack([rows, columns])], 0)

        known = all([op.tensor_rank is not None for op in self.operators])
        return (*common_batch(self.operators), *ends) if known else None, made


class LinearOperatorBlockDiag(_OfOperators):
    """Operators along the diagonal, and zeros elsewhere.

    operators: a list of them.
    Raises ValueError for none, TypeError for several dtypes.
    """

    def __init__(
        self, operators: Sequence[LinearOperator],
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None, name: str | None = None,
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        super().__init__(operators, name or "_ds_".join([op.name for op in operators]), promises)

    def _matrix_shape(self) -> tuple[RawShape, Any]:
        return self._combined(total)

    def _each(self, x: Tensor, axis: int, function: Callable[[LinearOperator, Tensor], Tensor]) -> Tensor:
        """A function of each operator and its rows of x."""
        sizes = [op.shape_tensor()[axis] if size is None else size for op, size in self._known(axis)]
        batch = array_ops.broadcast_dynamic_shape(batch_of(self.operators), array_ops.shape(x)[:-2])
        made, start = [], 0
        for op, size in zip(self.operators, sizes, strict=True):
            part = function(op, x[..., start : start + size, :])
            whole = array_ops.concat([batch, array_ops.shape(part)[-2:]], 0)
            made.append(array_ops.broadcast_to(part, whole))
            start = start + size
        return array_ops.concat(made, -2)

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        return self._each(x, -2 if adjoint else -1, lambda op, part: op._product(part, adjoint))

    def _solution(self, rhs: Tensor, adjoint: bool) -> Tensor:
        return self._each(rhs, -2, lambda op, part: op._solution(part, adjoint))

    def _determinant(self) -> Tensor:
        return product([op.determinant() for op in self.operators])

    def _log_abs_determinant(self) -> Tensor:
        return total([op.log_abs_determinant() for op in self.operators])


class LinearOperatorKronecker(_OfOperators):
    """The Kronecker product of operators: each entry of one is multiplied by all of the next.

    operators: a list of them.
    Raises ValueError for none, TypeError for several dtypes.
    """

    def __init__(
        self, operators: Sequence[LinearOperator],
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None, name: str | None = None,
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        super().__init__(operators, name or "_x_".join([op.name for op in operators]), promises)

    def _matrix_shape(self) -> tuple[RawShape, Any]:
        return self._combined(product)

    def _dense(self) -> Tensor:
        made = self.operators[0].to_dense()
        for op in self.operators[1:]:
            right = op.to_dense()
            mixed = _between(made, -1, -3) * _between(right, -2, -4)
            rows, columns = (array_ops.shape(made)[axis] * array_ops.shape(right)[axis] for axis in (-2, -1))
            sizes = array_ops.stack([rows, columns])
            made = array_ops.reshape(mixed, array_ops.concat([array_ops.shape(mixed)[:-4], sizes], 0))
        return made

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        return linalg_ops.matmul(self._dense(), x, adjoint_a=adjoint)

    def _solution(self, rhs: Tensor, adjoint: bool) -> Tensor:
        return LinearOperatorKronecker([_inverse(op) for op in self.operators])._product(rhs, adjoint)

    def _determinant(self) -> Tensor:
        return product([op.determinant() ** self._times(op, op.dtype) for op in self.operators])

    def _log_abs_determinant(self) -> Tensor:
        real = self.dtype.real_dtype
        return total([op.log_abs_determinant() * self._times(op, real) for op in self.operators])

    def _times(self, op: LinearOperator, dtype: Any) -> Tensor:
        """The number of blocks that have the size of one operator."""
        return conversion.cast(self.domain_dimension_tensor() // op.domain_dimension_tensor(), dtype)


class LinearOperatorLowRankUpdate(LinearOperator):
    """base_operator + u diag(diag_update) v*, which is solved with the base operator and a small matrix.

    base_operator: [..., rows, columns].   u: [..., rows, k].   diag_update: [..., k]; ones by default.
    v: [..., columns, k]; u by default.
    is_diag_update_positive: whether all elements of diag_update are known to be positive.
    """

    def __init__(
        self, base_operator: LinearOperator, u: Any, diag_update: Any = None, v: Any = None,
        is_diag_update_positive: bool | None = None,
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None,
        name: str = "LinearOperatorLowRankUpdate",
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        self._base = base_operator
        self._u = convert_to_tensor(u, base_operator.dtype, name="u")
        self._diag = None if diag_update is None else convert_to_tensor(diag_update, base_operator.dtype, name="diag")
        self._v = self._u if v is None else convert_to_tensor(v, base_operator.dtype, name="v")
        self._positive = True if diag_update is None else bool(is_diag_update_positive)
        if v is None and self._positive and base_operator.is_positive_definite:
            promises.setdefault("is_positive_definite", True)
        if v is None and base_operator.is_self_adjoint:
            promises.setdefault("is_self_adjoint", True)
        promises.setdefault("is_square", base_operator.is_square)
        super().__init__(base_operator.dtype, name=name, **promises)

    @property
    def base_operator(self) -> LinearOperator:
        """The operator that is updated."""
        return self._base

    @property
    def u(self) -> Tensor:
        """The left factor of the update."""
        return self._u

    @property
    def v(self) -> Tensor:
        """The right factor of the update."""
        return self._v

    @property
    def diag_update(self) -> Tensor | None:
        """The diagonal between the factors; None for ones."""
        return self._diag

    @property
    def diag_operator(self) -> LinearOperator:
        """The diagonal matrix between u and v."""
        if self._diag is None:
            return LinearOperatorIdentity(array_ops.shape(self._u)[-1], dtype=self.dtype)
        return LinearOperatorDiag(self._diag, is_positive_definite=self._positive or None)

    @property
    def is_diag_update_positive(self) -> bool:
        """Whether all elements of the diagonal are known to be positive."""
        return self._positive

    def _parameters(self) -> list[Tensor]:
        own = [self._u, *([] if self._v is self._u else [self._v]), *([] if self._diag is None else [self._diag])]
        return [*self._base._parameters(), *own]

    def _matrix_shape(self) -> tuple[RawShape, Any]:
        return self._base._matrix_shape()

    def _scaled(self, x: Tensor, adjoint: bool, inverse: bool = False) -> Tensor:
        """x, multiplied by the diagonal, or divided by it."""
        if self._diag is None:
            return x
        diag = LinearOperatorDiag(self._diag)
        return diag._solution(x, adjoint) if inverse else diag._product(x, adjoint)

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        left, right = (self._v, self._u) if adjoint else (self._u, self._v)
        update = self._scaled(linalg_ops.matmul(right, x, adjoint_a=True), adjoint)
        return self._base._product(x, adjoint) + linalg_ops.matmul(left, update)

    def _solution(self, rhs: Tensor, adjoint: bool) -> Tensor:
        left, right = (self._v, self._u) if adjoint else (self._u, self._v)
        plain = self._base._solution(rhs, adjoint)
        inner = linalg_ops.solve(self._capacitance(adjoint), linalg_ops.matmul(right, plain, adjoint_a=True))
        return plain - self._base._solution(linalg_ops.matmul(left, inner), adjoint)

    def _capacitance(self, adjoint: bool) -> Tensor:
        """1 / diag + v* base^-1 u."""
        left, right = (self._v, self._u) if adjoint else (self._u, self._v)
        small = linalg_ops.matmul(right, self._base._solution(left, adjoint), adjoint_a=True)
        return small + self._scaled(filling.eye(array_ops.shape(self._u)[-1], dtype=self.dtype), adjoint, True)

    def _determinant(self) -> Tensor:
        made = linalg_ops.det(self._capacitance(False)) * self._base.determinant()
        return made if self._diag is None else made * math_ops.reduce_prod(self._diag, axis=-1)

    def _log_abs_determinant(self) -> Tensor:
        made = linalg_ops.slogdet(self._capacitance(False))[1] + self._base.log_abs_determinant()
        sizes = 0.0 if self._diag is None else math_ops.log(math_ops.abs(self._diag))
        return made if self._diag is None else made + math_ops.reduce_sum(sizes, axis=-1)


def _between(x: Tensor, first: int, second: int) -> Tensor:
    """x with two axes of size 1 inserted between its own."""
    return array_ops.expand_dims(array_ops.expand_dims(x, first), second)


def _inverse(op: LinearOperator) -> LinearOperator:
    """The product with an operator's inverse, whatever is promised of the operator."""
    return LinearOperatorInversion(op)
