"""Linear algebra: the functions of `tf.linalg`, implemented by NumPy and SciPy.

A matrix is the last two axes of a tensor, [..., rows, columns]; the axes before them are a batch. Inputs are floats or
complex numbers, and the result has the same dtype. A singular matrix raises at run time, not here.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from weftwork.graph import shapes
from weftwork.graph.arguments import FLOATS, LAPACK, common_dtype, of_dtype
from weftwork.graph.build import apply, convert_to_tensor, convert_together
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import math_ops
from weftwork.graph.ops.conversion import conj
from weftwork.graph.ops.rearranging import matrix_diag, matrix_diag_part
from weftwork.graph.ops.reductions import reduce_sum
from weftwork.graph.scopes import name_scope

SignLogDet = namedtuple("SignLogDet", ["sign", "log_abs_determinant"])
Svd = namedtuple("Svd", ["s", "u", "v"])
Qr = namedtuple("Qr", ["q", "r"])
SelfAdjointEig = namedtuple("SelfAdjointEig", ["e", "v"])

matmul = math_ops.matmul


# Square matrices


def inv(input: Any, adjoint: bool = False, name: str | None = None) -> Tensor:
    """The inverse of square matrices (LU), or of their adjoints.

    adjoint: invert the adjoints. A singular matrix raises InvalidArgumentError at run time.
    """
    with name_scope(name, "MatrixInverse", [input]) as scope:
        x = _square(_adjoint(input) if adjoint else input)
        return apply(_inverse, [x], type="MatrixInverse", name=scope, dtype=x.dtype, shape=x.raw_shape)


def det(input: Any, name: str | None = None) -> Tensor:
    """The determinant of square matrices (LU).  [..., n, n] -> [...]."""
    x = _square(input)
    return apply(np.linalg.det, [x], type="MatrixDeterminant", name=name, dtype=x.dtype, shape=_batch(x))


def slogdet(input: Any, name: str | None = None) -> SignLogDet:
    """(sign, log |determinant|) of square matrices.  [..., n, n] -> [...] each."""
    x = _square(input)
    outputs = [(x.dtype, _batch(x)), (x.dtype.real_dtype, _batch(x))]
    return SignLogDet(*apply(np.linalg.slogdet, [x], type="LogMatrixDeterminant", name=name, outputs=outputs))


def logdet(matrix: Any, name: str | None = None) -> Tensor:
    """log(determinant) of Hermitian positive definite matrices: 2 sum(log(diag(cholesky))), real."""
    x = _square(matrix)
    return apply(_logdet, [x], type="LogDet", name=name or "logdet", dtype=x.dtype.real_dtype, shape=_batch(x))


def cholesky(input: Any, name: str | None = None) -> Tensor:
    """The lower triangular L with L L^H = input, for Hermitian positive definite matrices.

    At run time, raises InvalidArgumentError for others.
    """
    x = _square(input)
    return apply(_cholesky, [x], type="Cholesky", name=name, dtype=x.dtype, shape=x.raw_shape)


def expm(input: Any, name: str | None = None) -> Tensor:
    """The matrix exponential (SciPy: scaling and squaring, Al-Mohy and Higham 2009)."""
    x = _square(input)
    return apply(_expm, [x], type="MatrixExponential", name=name, dtype=x.dtype, shape=x.raw_shape)


@contextmanager
def _or(text: str) -> Iterator[None]:
    """Raise InvalidArgumentError with this text if LAPACK fails."""
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise InvalidArgumentError(None, None, text) from error


_SINGULAR = "Input matrix is not invertible."


def _inverse(x):
    with _or("Input is not invertible."):
        return np.linalg.inv(x)


def _cholesky(x):
    with _or("Cholesky decomposition was not successful. The input might not be valid."):
        return np.linalg.cholesky(x)


def _solve(a, b):
    with _or(_SINGULAR):
        return np.linalg.solve(a, b)


def _logdet(x):
    diagonal = np.real(np.diagonal(_cholesky(x), axis1=-2, axis2=-1))
    return diagonal.dtype.type(2) * np.log(diagonal).sum(axis=-1)


def _expm(x):
    import scipy.linalg  # imported here because it is slow, and few programs need it

    x = np.array(x)  # SciPy before 1.12 refuses read-only arrays
    return scipy.linalg.expm(x).astype(x.dtype, copy=False)


# Systems of equations


def solve(matrix: Any, rhs: Any, adjoint: bool = False, name: str | None = None) -> Tensor:
    """X with matrix X = rhs (LU), or with the adjoint of matrix.  [..., n, n], [..., n, k] -> [..., n, k]."""
    with name_scope(name, "MatrixSolve", [matrix, rhs]) as scope:
        a, b = convert_together([matrix, rhs])
        a, b = _square(_adjoint(a) if adjoint else a), _matrix(b, "rhs")
        return _solution(_solve, a, b, "MatrixSolve", scope)


def triangular_solve(
    matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False, name: str | None = None
) -> Tensor:
    """X with T X = rhs, T the lower (or upper) triangle of matrix or its adjoint. The other triangle is ignored."""
    with name_scope(name, "MatrixTriangularSolve", [matrix, rhs]) as scope:
        a, b = convert_together([matrix, rhs])
        attrs = {"lower": lower, "adjoint": adjoint}
        return _solution(_triangular_solve, _square(a), _matrix(b, "rhs"), "MatrixTriangularSolve", scope, attrs)


def lstsq(matrix: Any, rhs: Any, l2_regularizer: float = 0.0, fast: bool = True, name: str | None = None) -> Tensor:
    """The X of smallest norm that minimizes |matrix X - rhs|^2 + l2_regularizer |X|^2.

    [..., m, n], [..., m, k] -> [..., n, k].
    Uses the pseudo-inverse (SVD) without a regularizer, else (A^H A + l I) X = A^H B; `fast` is ignored.
    """
    with name_scope(name, "matrix_solve_ls", [matrix, rhs]) as scope:
        a, b = convert_together([matrix, rhs])
        attrs = {"l2_regularizer": float(l2_regularizer)}
        return _solution(_lstsq, _matrix(a, "matrix"), _matrix(b, "rhs"), "MatrixSolveLs", scope, attrs)


def _solution(kernel: Callable, a: Tensor, b: Tensor, kind: str, name: str, attrs: dict | None = None) -> Tensor:
    shape = None
    if a.raw_shape is not None and b.raw_shape is not None:
        rows = (a.raw_shape[-2], b.raw_shape[-2])
        if None not in rows and rows[0] != rows[1]:
            raise ValueError(f"Dimensions must be equal, but are {rows[0]} and {rows[1]} for {name[:-1]!r}.")
        batch = shapes.broadcast(a.raw_shape[:-2], b.raw_shape[:-2])
        shape = None if batch is None else (*batch, a.raw_shape[-1], b.raw_shape[-1])
    return apply(kernel, [a, b], attrs, type=kind, name=name, dtype=common_dtype(a, b), shape=shape)


def _triangular_solve(a, b, lower, adjoint):
    if adjoint:
        a, lower = a.swapaxes(-1, -2).conj(), not lower
    if a.ndim == b.ndim == 2:
        import scipy.linalg

        with _or(_SINGULAR):
            return scipy.linalg.solve_triangular(a, b, lower=lower, check_finite=False)
    # NumPy's general LU is batched in every version; SciPy's triangular solver is not.
    return _solve(np.tril(a) if lower else np.triu(a), b)


def _lstsq(a, b, l2_regularizer):
    if l2_regularizer == 0:
        return np.linalg.pinv(a) @ b
    adjoint = a.swapaxes(-1, -2).conj()
    ridge = a.dtype.type(l2_regularizer) * np.eye(a.shape[-1], dtype=a.dtype)
    return np.linalg.solve(adjoint @ a + ridge, adjoint @ b)


# Decompositions


def svd(tensor: Any, full_matrices: bool = False, compute_uv: bool = True, name: str | None = None) -> Any:
    """(s, u, v) with tensor = u diag(s) v^H, s in descending order; or s alone. v is not transposed, unlike NumPy's.

    [..., m, n] -> s [..., p], u [..., m, p], v [..., n, p], where p is min(m, n); u and v square with full_matrices.
    compute_uv: False returns s alone.
    """
    x = _matrix(tensor, "tensor")
    s_shape = u_shape = v_shape = None
    if x.raw_shape is not None:
        batch, (m, n) = x.raw_shape[:-2], x.raw_shape[-2:]
        p = None if m is None or n is None else min(m, n)
        s_shape = (*batch, p)
        u_shape, v_shape = (*batch, m, m if full_matrices else p), (*batch, n, n if full_matrices else p)
    if not compute_uv:
        return apply(_singular_values, [x], type="Svd", name=name, dtype=x.dtype.real_dtype, shape=s_shape)
    outputs = [(x.dtype.real_dtype, s_shape), (x.dtype, u_shape), (x.dtype, v_shape)]
    return Svd(*apply(_svd, [x], {"full_matrices": full_matrices}, type="Svd", name=name, outputs=outputs))


def qr(input: Any, full_matrices: bool = False, name: str | None = None) -> Qr:
    """(q, r) with input = q r, q orthonormal, r upper triangular.  [..., m, n] -> [..., m, p], [..., p, n].

    p is min(m, n), or m with full_matrices.
    """
    x = _matrix(input, "input")
    q_shape = r_shape = None
    if x.raw_shape is not None:
        batch, (m, n) = x.raw_shape[:-2], x.raw_shape[-2:]
        p = m if full_matrices else None if m is None or n is None else min(m, n)
        q_shape, r_shape = (*batch, m, p), (*batch, p, n)
    attrs = {"mode": "complete" if full_matrices else "reduced"}
    return Qr(*apply(_qr, [x], attrs, type="Qr", name=name, outputs=[(x.dtype, q_shape), (x.dtype, r_shape)]))


def eigh(tensor: Any, name: str | None = None) -> SelfAdjointEig:
    """(e, v): the eigenvalues of Hermitian matrices in ascending order, and the eigenvectors in the columns of v."""
    x = _square(tensor)
    outputs = [(x.dtype.real_dtype, _vector(x)), (x.dtype, x.raw_shape)]
    return SelfAdjointEig(*apply(_eigh, [x], type="SelfAdjointEigV2", name=name, outputs=outputs))


def eigvalsh(tensor: Any, name: str | None = None) -> Tensor:
    """The eigenvalues of Hermitian matrices in ascending order.  [..., n, n] -> [..., n], real."""
    x = _square(tensor)
    return apply(
        np.linalg.eigvalsh, [x], type="SelfAdjointEigV2", name=name, dtype=x.dtype.real_dtype, shape=_vector(x)
    )


def _svd(x, full_matrices):
    u, s, vh = np.linalg.svd(x, full_matrices=full_matrices)
    return s, u, vh.swapaxes(-1, -2).conj()


def _singular_values(x):
    return np.linalg.svd(x, compute_uv=False)


def _qr(x, mode):
    q, r = np.linalg.qr(x, mode=mode)
    return q, r


def _eigh(x):
    e, v = np.linalg.eigh(x)
    return e, v


# Norms and diagonals


def norm(
    tensor: Any,
    ord: Any = "euclidean",
    axis: Any = None,
    keepdims: bool | None = None,
    name: str | None = None,
    keep_dims: bool | None = None,
) -> Tensor:
    """The norm of vectors (one axis) or matrices (two axes); axis None treats the whole tensor as one vector.

    ord: "euclidean", 1, 2, inf or any p > 0 for vectors; "euclidean", "fro", 1, 2 or inf for matrices. The result is
    real, but for Euclidean norms of complex numbers, as in TensorFlow. Raises ValueError for any other ord.
    """
    if keepdims is not None and keep_dims is not None:
        raise ValueError("Cannot specify both 'keep_dims' and 'keepdims'")
    x = of_dtype(tensor, "tensor", FLOATS + LAPACK[2:])
    keep = bool(keepdims or keep_dims)
    axes = _norm_axes(axis, x.raw_shape)
    is_matrix = axes is not None and len(axes) == 2
    if is_matrix:
        supported: list = ["euclidean", "fro", 1, 2, np.inf]
        if ord not in supported:
            raise ValueError(f"'ord' must be a supported matrix norm in {supported}, got {ord}")
    elif ord != "euclidean" and (isinstance(ord, str) or not np.isreal(ord) or ord <= 0):
        raise ValueError(f"'ord' must be a supported vector norm, got {ord}")
    if x.dtype.is_complex and (ord in ("euclidean", "fro") or (ord == 2 and not is_matrix)):
        with name_scope(name, "norm", [x]) as scope:
            squares = math_ops.multiply(x, conj(x))
            return math_ops.sqrt(reduce_sum(squares, axes, keep), name=scope)
    attrs = {"ord": ("fro" if is_matrix else 2) if ord == "euclidean" else ord, "axes": axes, "keepdims": keep}
    shape = _reduced(x.raw_shape, axes, keep)
    with name_scope(name, "norm", [x]) as scope:
        name = scope if keep else "Squeeze"
        return apply(_norm, [x], attrs, type="Norm", name=name, dtype=x.dtype.real_dtype, shape=shape)


def _norm_axes(axis: Any, shape: shapes.RawShape) -> tuple[int, ...] | None:
    if axis is None:
        return None
    axes = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
    numbers = all(isinstance(a, (int, np.integer)) for a in axes)
    if not numbers or (isinstance(axis, (list, tuple)) and len(set(axes)) != 2) or len(axes) > 2:
        raise ValueError(f"'axis' must be None, an integer, or a tuple of 2 unique integers, got {axis}")
    if shape is not None and any(not -len(shape) <= a < len(shape) for a in axes):
        raise ValueError(f"Invalid reduction dimension {axis} for a tensor of rank {len(shape)}.")
    return axes


def _reduced(shape: shapes.RawShape, axes: tuple[int, ...] | None, keepdims: bool) -> shapes.RawShape:
    if shape is None:
        return () if axes is None and not keepdims else None
    reduced = set(range(len(shape))) if axes is None else {a % len(shape) for a in axes}
    if keepdims:
        return tuple([1 if i in reduced else d for i, d in enumerate(shape)])
    return tuple([d for i, d in enumerate(shape) if i not in reduced])


def _norm(x, ord, axes, keepdims):
    if axes is None:
        value = np.linalg.norm(x.ravel(), ord)
        return value.reshape((1,) * x.ndim) if keepdims else value
    return np.linalg.norm(x, ord, axis=axes if len(axes) == 2 else axes[0], keepdims=keepdims)


def trace(x: Any, name: str | None = None) -> Tensor:
    """The sum of the main diagonal, for any numeric dtype.  [..., m, n] -> [...]."""
    x = _check_rank(convert_to_tensor(x), "x")
    return apply(_trace, [x], type="Trace", name=name, dtype=x.dtype, shape=_batch(x))


diag, diag_part = matrix_diag, matrix_diag_part


def _trace(x):
    return np.trace(x, axis1=-2, axis2=-1, dtype=x.dtype)


def _diag(x):  # pickled graphs refer to this and the next one
    n = x.shape[-1]
    out = np.zeros((*x.shape, n), dtype=x.dtype)
    out[..., np.arange(n), np.arange(n)] = x
    return out


def _diag_part(x):
    return np.diagonal(x, axis1=-2, axis2=-1)


# Arguments


def _check_rank(x: Tensor, parameter: str) -> Tensor:
    if x.raw_shape is not None and len(x.raw_shape) < 2:
        raise ValueError(f"Shape must be at least rank 2 but is rank {len(x.raw_shape)} for {parameter!r}.")
    return x


def _matrix(value: Any, parameter: str) -> Tensor:
    return _check_rank(of_dtype(value, parameter, LAPACK), parameter)


def _square(value: Any) -> Tensor:
    x = _matrix(value, "input")
    if x.raw_shape is not None and None not in x.raw_shape[-2:] and x.raw_shape[-2] != x.raw_shape[-1]:
        raise ValueError(
            f"Dimensions must be equal, but are {x.raw_shape[-2]} and {x.raw_shape[-1]}: a matrix must be square."
        )
    return x


def _adjoint(value: Any) -> Tensor:
    x = _matrix(value, "matrix")
    shape = None if x.raw_shape is None else (*x.raw_shape[:-2], x.raw_shape[-1], x.raw_shape[-2])
    return apply(_transpose_conj, [x], type="MatrixAdjoint", name="adjoint", dtype=x.dtype, shape=shape)


def _transpose_conj(x):
    return x.swapaxes(-1, -2).conj()


def _batch(x: Tensor) -> shapes.RawShape:
    return None if x.raw_shape is None else x.raw_shape[:-2]


def _vector(x: Tensor) -> shapes.RawShape:
    return None if x.raw_shape is None else x.raw_shape[:-1]


# Other names

self_adjoint_eig = eigh
self_adjoint_eigvals = eigvalsh
matrix_inverse = inv
matrix_determinant = det
matrix_solve = solve
matrix_triangular_solve = triangular_solve
matrix_solve_ls = lstsq
matrix_exponential = expm
