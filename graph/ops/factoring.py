"""Linear algebra beyond a single NumPy call: solving from factors, matrix roots and logarithms, ranks, norms."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.arguments import LAPACK, of_dtype
from weftwork.graph.build import apply, convert_to_tensor, convert_together
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, linalg_ops, math_ops, spaces
from weftwork.graph.scopes import name_scope

Lu = namedtuple("Lu", ["lu", "p"])


def _square(value: Any) -> Tensor:
    x = of_dtype(value, "input", LAPACK)
    if x.raw_shape is not None:
        if len(x.raw_shape) < 2:
            raise ValueError(f"Shape must be at least rank 2 but is rank {len(x.raw_shape)}: {x}")
        rows, columns = x.raw_shape[-2:]
        if None not in (rows, columns) and rows != columns:
            raise ValueError(f"Dimensions must be equal, but are {rows} and {columns}: a matrix must be square.")
    return x


def _longest(x: Tensor) -> Any:
    """The greater size of matrices; a tensor of the real dtype if it is unknown."""
    if x.raw_shape is None or None in x.raw_shape[-2:]:
        return math_ops.cast(math_ops.reduce_max(array_ops.shape(x)[-2:]), x.dtype.real_dtype)
    return max(x.raw_shape[-2:])  # type: ignore[type-var]


def adjoint(matrix: Any, name: str | None = None) -> Tensor:
    """Transpose the last two axes, and conjugate."""
    with name_scope(name, "adjoint", [matrix]):
        return spaces.matrix_transpose(matrix, conjugate=True)


def matvec(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    adjoint_a: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    name: str | None = None,
) -> Tensor:
    """Matrices times vectors: [..., m, n], [..., n] -> [..., m]."""
    with name_scope(name, "MatVec", [a, b]):
        a, b = convert_together([a, b])
        column = math_ops.matmul(a, array_ops.expand_dims(b, -1), transpose_a=transpose_a, adjoint_a=adjoint_a)
        return array_ops.squeeze(column, [-1])


# Solving from factors


def cholesky_solve(chol: Any, rhs: Any, name: str | None = None) -> Tensor:
    """X with L L^H X = rhs, for the Cholesky factor L: [..., n, n], [..., n, k] -> [..., n, k].

    chol: the factor L, as `cholesky` returns it.
    """
    with name_scope(name, "cholesky_solve", [chol, rhs]):
        y = linalg_ops.triangular_solve(chol, rhs, lower=True)
        return linalg_ops.triangular_solve(chol, y, lower=True, adjoint=True)


def lu(input: Any, output_idx_type: Any = dtypes.int32, name: str | None = None) -> Lu:
    """(lu, p): L (with ones on its diagonal) and U in one matrix, and the permutation p with input[p] = L U.

    A singular matrix raises InvalidArgumentError at run time.
    """
    x, kind = _square(input), dtypes.as_dtype(output_idx_type)
    vector = None if x.raw_shape is None else x.raw_shape[:-1]
    attrs = {"dtype": kind.numpy}
    return Lu(*apply(_lu, [x], attrs, type="Lu", name=name, outputs=[(x.dtype, x.raw_shape), (kind, vector)]))


def _lu(x, dtype):
    import scipy.linalg  # imported here because it is slow, and few programs need it

    (factor,) = scipy.linalg.get_lapack_funcs(("getrf",), (x,))
    factors, rows = np.empty_like(x), np.empty(x.shape[:-1], dtype)
    for place in np.ndindex(*x.shape[:-2]):
        found, swaps, zero = factor(np.array(x[place]))
        if zero:
            raise InvalidArgumentError(None, None, "Input is not invertible.")
        factors[place] = found
        order = np.arange(x.shape[-1])
        for row, other in enumerate(swaps):
            order[[row, other]] = order[[other, row]]
        rows[place] = order
    return factors, rows


def _triangles(factors: Tensor) -> tuple[Tensor, Tensor]:
    lower = spaces.matrix_set_diag(
        spaces.matrix_band_part(factors, -1, 0), array_ops.ones_like(array_ops.matrix_diag_part(factors))
    )
    return lower, spaces.matrix_band_part(factors, 0, -1)


def _rows_of(x: Tensor, rows: Any) -> Tensor:
    """Permute the rows of matrices, with a permutation for each matrix."""
    rows = convert_to_tensor(rows)
    if rows.raw_shape is not None and len(rows.raw_shape) == 1:
        return array_ops.gather(x, rows, axis=-2)
    return array_ops.gather(x, rows, axis=-2, batch_dims=-1)


def lu_solve(lower_upper: Any, perm: Any, rhs: Any, validate_args: bool = False, name: str | None = None) -> Tensor:
    """X with A X = rhs, from `lu(A)`."""
    with name_scope(name, "lu_solve", [lower_upper, perm, rhs]):
        factors, rhs = convert_together([lower_upper, rhs])
        lower, upper = _triangles(factors)
        y = linalg_ops.triangular_solve(lower, _rows_of(rhs, perm), lower=True)
        return linalg_ops.triangular_solve(upper, y, lower=False)


def lu_reconstruct(lower_upper: Any, perm: Any, validate_args: bool = False, name: str | None = None) -> Tensor:
    """A, from `lu(A)`."""
    with name_scope(name, "lu_reconstruct", [lower_upper, perm]):
        lower, upper = _triangles(convert_to_tensor(lower_upper))
        back = apply(np.argsort, [convert_to_tensor(perm)], {"axis": -1}, type="ArgSort", dtype=dtypes.int64,
                     shape=convert_to_tensor(perm).raw_shape)  # fmt: skip
        return _rows_of(math_ops.matmul(lower, upper), back)


def lu_matrix_inverse(lower_upper: Any, perm: Any, validate_args: bool = False, name: str | None = None) -> Tensor:
    """The inverse of A, from `lu(A)`."""
    with name_scope(name, "lu_matrix_inverse", [lower_upper, perm]):
        factors = convert_to_tensor(lower_upper)
        size = None if factors.raw_shape is None else factors.raw_shape[-1]
        one = array_ops.eye(array_ops.shape(factors)[-1] if size is None else size, dtype=factors.dtype)
        return lu_solve(factors, perm, array_ops.zeros_like(factors) + one)


# Roots, logarithms, inverses


def sqrtm(input: Any, name: str | None = None) -> Tensor:
    """The square root of square matrices: X with X X = input (SciPy: Schur, Higham 1987)."""
    x = _square(input)
    return apply(_sqrtm, [x], type="MatrixSquareRoot", name=name, dtype=x.dtype, shape=x.raw_shape)


def _each(x: Any, function: Any) -> np.ndarray:
    out, double = np.empty_like(x), np.result_type(x, np.float64)
    for place in np.ndindex(*x.shape[:-2]):
        found = function(x[place].astype(double))
        if np.iscomplexobj(found) and not np.iscomplexobj(out):
            if np.abs(np.imag(found)).max(initial=0) > 1e-3 * (1 + np.abs(np.real(found)).max(initial=0)):
                raise InvalidArgumentError(
                    None, None, "The result for this real matrix is complex: cast the input to a complex dtype."
                )
            found = np.real(found)
        out[place] = found
    return out


def _sqrtm(x):
    import scipy.linalg

    return _each(x, scipy.linalg.sqrtm)


def logm(input: Any, name: str | None = None) -> Tensor:
    """The logarithm of square complex matrices: X with expm(X) = input."""
    x = _square(input)
    return apply(_logm, [x], type="MatrixLogarithm", name=name, dtype=x.dtype, shape=x.raw_shape)


def _logm(x):
    import scipy.linalg

    return _each(x, scipy.linalg.logm)


def pinv(a: Any, rcond: Any = None, validate_args: bool = False, name: str | None = None) -> Tensor:
    """The pseudo-inverse of matrices (by SVD): [..., m, n] -> [..., n, m].

    rcond: singular values below rcond times the largest count as 0; by default 10 max(m, n) epsilon.
    """
    with name_scope(name, "pinv", [a]):
        x = of_dtype(a, "a", LAPACK)
        if rcond is None:
            rcond = _longest(x) * (10.0 * float(np.finfo(x.dtype.numpy).eps))
        s, u, v = linalg_ops.svd(x)
        limit = math_ops.reduce_max(s, -1, keepdims=True) * convert_to_tensor(rcond, s.dtype)
        keep = math_ops.greater(s, limit)
        inverse = array_ops.where_v2(
            keep, 1.0 / array_ops.where_v2(keep, s, array_ops.ones_like(s)), array_ops.zeros_like(s)
        )
        scaled = v * math_ops.cast(array_ops.expand_dims(inverse, -2), x.dtype)
        return math_ops.matmul(scaled, u, adjoint_b=True)


def matrix_rank(a: Any, tol: Any = None, validate_args: bool = False, name: str | None = None) -> Tensor:
    """The number of singular values above `tol`, int32; by default max(m, n) epsilon times the largest."""
    with name_scope(name, "matrix_rank", [a]):
        x = of_dtype(a, "a", LAPACK)
        s = linalg_ops.svd(x, compute_uv=False)
        if tol is None:
            most = math_ops.reduce_max(s, -1, keepdims=True)
            tol = most * (_longest(x) * float(np.finfo(x.dtype.numpy).eps))
        return math_ops.reduce_sum(math_ops.cast(math_ops.greater(s, tol), dtypes.int32), -1)


def normalize(tensor: Any, ord: Any = "euclidean", axis: Any = None, name: str | None = None) -> tuple[Tensor, Tensor]:
    """(the tensor divided by its norm, the norm); see `norm`. The norm keeps the reduced axes, with length 1.

    ord: the kind of norm, as in `norm`.
    """
    with name_scope(name, "normalize", [tensor]):
        x = convert_to_tensor(tensor)
        size = math_ops.cast(linalg_ops.norm(x, ord, axis, keepdims=True), x.dtype)
        return x / size, size
