"""Derivatives of linear algebra.

Sources of the formulas: Giles 2008, "An extended collection of matrix derivative results for forward and reverse mode
algorithmic differentiation"; Murray 2016, arXiv:1602.07527 (Cholesky); Walter, Lehmann and Lamour 2012, "On evaluating
higher-order derivatives of the QR decomposition" (QR). Singular values and eigenvalues are autograd's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.build import apply
from weftwork.graph.gradients.composition import by_composition
from weftwork.graph.gradients.products import unbatched
from weftwork.graph.gradients.registry import no_derivative, rule
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import linalg_ops as linalg
from weftwork.graph.ops import math_ops as m
from weftwork.graph.ops import tridiagonal
from weftwork.graph.ops.array_ops import concat, expand_dims, matrix_diag_part, shape, transpose, zeros_like
from weftwork.graph.ops.reductions import reduce_max, reduce_sum


def _times(a: Tensor, b: Tensor, adjoint_a: bool = False, adjoint_b: bool = False) -> Tensor:
    return m.matmul(a, b, adjoint_a=adjoint_a, adjoint_b=adjoint_b)


def _adjoint(x: Tensor) -> Tensor:
    return apply(
        linalg._transpose_conj, [x], type="MatrixAdjoint", dtype=x.dtype.base_dtype, shape=_transposed_shape(x)
    )


def _transposed_shape(x: Tensor) -> Any:
    return None if x.raw_shape is None else (*x.raw_shape[:-2], x.raw_shape[-1], x.raw_shape[-2])


def _triangle(x: Tensor, function: Any, k: int = 0) -> Tensor:
    """The lower (np.tril) or upper (np.triu) triangle from diagonal k on."""
    dtype = x.dtype.base_dtype
    return apply(function, [x], {"k": k}, type="Triangle", dtype=dtype, shape=x.raw_shape)


@rule("Triangle")
def _triangle_rule(op: Operation, g: Tensor):
    return [_triangle(g, op.kernel, op.attrs["k"])]


@rule("MatrixAdjoint")
def _adjoint_rule(op: Operation, g: Tensor):
    return [_adjoint(g)]


def _scaled(g: Tensor, x: Tensor) -> Tensor:
    """Multiply each matrix by its number."""
    return m.cast(expand_dims(expand_dims(g, -1), -1), x.dtype.base_dtype) * x


# Square matrices


@rule("MatrixInverse")
def _inverse(op: Operation, g: Tensor):
    y = op.outputs[0]
    return [-_times(_times(y, g, adjoint_a=True), y, adjoint_b=True)]


@rule("MatrixDeterminant")
def _determinant(op: Operation, g: Tensor):
    return [_scaled(g * m.conj(op.outputs[0]), linalg.inv(op.inputs[0], adjoint=True))]


@rule("LogMatrixDeterminant")
def _log_determinant(op: Operation, _: Any, g: Tensor):
    return [_scaled(g, linalg.inv(op.inputs[0], adjoint=True))]


@rule("LogDet")
def _logdet(op: Operation, g: Tensor):
    return [_scaled(g, linalg.inv(op.inputs[0], adjoint=True))]


@rule("Cholesky")
def _cholesky(op: Operation, g: Tensor):
    """L^-H phi(L^H g) L^-1, made Hermitian; phi takes the lower triangle with half the diagonal."""
    factor = op.outputs[0]
    inner = _times(factor, g, adjoint_a=True)
    phi = _triangle(inner, np.tril, -1) + linalg.diag(matrix_diag_part(inner) * 0.5)
    left = linalg.triangular_solve(factor, phi, lower=True, adjoint=True)
    both = _adjoint(linalg.triangular_solve(factor, _adjoint(left), lower=True, adjoint=True))
    return [(both + _adjoint(both)) * 0.5]


@rule("MatrixExponential")
def _expm(op: Operation, g: Tensor):
    """The upper right block of exp([[A^H, g], [0, A^H]]): Van Loan 1978, "Computing integrals ..."."""
    x = _adjoint(op.inputs[0])
    zeros = zeros_like(x)
    block = concat([concat([x, g], -1), concat([zeros, x], -1)], -2)
    whole = linalg.expm(block)
    n: Any = None if x.raw_shape is None else x.raw_shape[-1]
    if n is None:
        n = shape(x)[-1]
    return [whole[..., :n, n:]]


@rule("MatrixSquareRoot")
def _square_root(op: Operation, g: Tensor):
    """X with Y^H X + X Y^H = g."""
    y = op.outputs[0]
    return [apply(_sylvester, [y, g], type="Sylvester", dtype=g.dtype.base_dtype, shape=y.raw_shape)]


def _sylvester(y, g):
    import scipy.linalg

    adjoint, out = y.swapaxes(-1, -2).conj(), np.empty_like(g)
    for place in np.ndindex(*y.shape[:-2]):
        out[place] = scipy.linalg.solve_sylvester(adjoint[place], adjoint[place], np.array(g[place]))
    return out


@rule("Lu")
def _lu(op: Operation, g: Tensor, _: Any):
    """P^T L^-H (tril(L^H gL, -1) + triu(gU U^H)) U^-H, where the matrix is P^T L U."""
    factors, rows = op.outputs
    lower = _triangle(factors, np.tril, -1)
    lower = lower + linalg.diag(zeros_like(matrix_diag_part(factors)) + 1.0)
    upper = _triangle(factors, np.triu)
    inner = _triangle(_times(lower, _triangle(g, np.tril, -1), adjoint_a=True), np.tril, -1)
    inner = inner + _triangle(_times(_triangle(g, np.triu), upper, adjoint_b=True), np.triu)
    left = linalg.triangular_solve(lower, inner, lower=True, adjoint=True)
    both = _adjoint(linalg.triangular_solve(upper, _adjoint(left), lower=False))
    return [apply(_unpermuted, [both, rows], type="RowsBack", dtype=g.dtype.base_dtype, shape=factors.raw_shape)]


def _unpermuted(x, rows):
    out = np.empty_like(x)
    np.put_along_axis(out, rows[..., None].astype(np.int64), x, -2)
    return out


@rule("RowsBack")
def _rows_back(op: Operation, g: Tensor):
    rows = op.inputs[1]
    return [apply(_permuted, [g, rows], type="RowsPermuted", dtype=g.dtype.base_dtype, shape=g.raw_shape), None]


def _permuted(x, rows):
    return np.take_along_axis(x, rows[..., None].astype(np.int64), -2)


# Systems of equations


@rule("MatrixSolve")
def _solve(op: Operation, g: Tensor):
    a, b = op.inputs
    right = linalg.solve(a, g, adjoint=True)
    return [lambda: unbatched(-_times(right, op.outputs[0], adjoint_b=True), a, b), lambda: unbatched(right, b, a)]


@rule("MatrixTriangularSolve")
def _triangular_solve(op: Operation, g: Tensor):
    a, b = op.inputs
    lower, adjoint = op.attrs["lower"], op.attrs["adjoint"]
    right = linalg.triangular_solve(a, g, lower=lower, adjoint=not adjoint)
    y = op.outputs[0]

    def left() -> Tensor:
        whole = _times(y, right, adjoint_b=True) if adjoint else _times(right, y, adjoint_b=True)
        return unbatched(-_triangle(whole, np.tril if lower else np.triu), a, b)

    return [left, lambda: unbatched(right, b, a)]


@rule("MatrixSolveLs")
@by_composition
def _lstsq(op: Operation, a: Tensor, b: Tensor):
    ridge = op.attrs["l2_regularizer"]
    if ridge == 0:
        inverse = apply(np.linalg.pinv, [a], type="PseudoInverse", dtype=a.dtype.base_dtype, shape=_transposed_shape(a))
        return _times(inverse, b)
    square = _times(a, a, adjoint_a=True)
    with_ridge = square + linalg.diag(zeros_like(matrix_diag_part(square)) + ridge)
    return linalg.solve(with_ridge, _times(a, b, adjoint_a=True))


# Tridiagonal matrices


@rule("TridiagonalSolve")
def _tridiagonal_solve(op: Operation, g: Tensor):
    right = tridiagonal.solved(tridiagonal.transposed(op.inputs[0]), g)
    return [lambda: -tridiagonal.outer(right, op.outputs[0]), lambda: right]


@rule("TridiagonalMatMul")
def _tridiagonal_matmul(op: Operation, g: Tensor):
    diagonals, x = op.inputs
    left = tridiagonal.transposed(diagonals)
    return [lambda: tridiagonal.outer(g, x), lambda: tridiagonal.multiplied(left, g)]


@rule("TridiagonalOuter")
def _tridiagonal_outer(op: Operation, g: Tensor):
    left, right = op.inputs
    return [
        lambda: tridiagonal.multiplied(g, right),
        lambda: tridiagonal.multiplied(tridiagonal.transposed(g), left),
    ]


@rule("TridiagonalAdjoint")
def _tridiagonal_adjoint(op: Operation, g: Tensor):
    return [tridiagonal.transposed(g)]


# Decompositions


@rule("Qr")
def _qr(op: Operation, gq: Tensor, gr: Tensor):
    """(gQ + Q sym(M)) R^-H, M = R gR^H - gQ^H Q; sym takes the lower triangle and its mirror image."""
    x, (q, r) = op.inputs[0], op.outputs
    rows, columns = (None, None) if x.raw_shape is None else x.raw_shape[-2:]
    if None in (rows, columns) or rows < columns or (op.attrs["mode"] == "complete" and rows != columns):  # type: ignore[operator]
        raise no_derivative(op, "only of matrices known to have no more columns than rows, and without full_matrices")
    inner = _times(r, gr, adjoint_b=True) - _times(gq, q, adjoint_a=True)
    lower = _triangle(inner, np.tril, -1)
    diagonal = linalg.diag(matrix_diag_part(inner))
    whole = gq + _times(q, lower + _adjoint(lower) + diagonal)
    return [_adjoint(linalg.triangular_solve(r, _adjoint(whole), lower=False))]


# Norms


@rule("Norm")
@by_composition
def _norm(op: Operation, x: Tensor):
    order, axes, keep = op.attrs["ord"], op.attrs["axes"], op.attrs["keepdims"]
    size = m.abs(x)
    if axes is None or len(axes) == 1 or order == "fro":
        if order in (2, "fro"):
            return m.sqrt(reduce_sum(m.square(size), axes, keep))
        if order == 1:
            return reduce_sum(size, axes, keep)
        if order == np.inf:
            return reduce_max(size, axes, keep)
        return m.pow(reduce_sum(m.pow(size, float(order)), axes, keep), 1.0 / float(order))
    if order == 2:
        return _spectral_norm(op, x, axes, keep)
    down, across = axes
    first, second = (down, across) if order == 1 else (across, down)
    sums = reduce_sum(size, first, keepdims=True)
    largest = reduce_max(sums, second, keepdims=True)
    return largest if keep else reduce_sum(largest, axes)


def _spectral_norm(op: Operation, x: Tensor, axes: Any, keep: bool) -> Tensor:
    if x.raw_shape is None:
        raise no_derivative(op, "the rank must be known for the spectral norm")
    rank = len(x.raw_shape)
    down, across = (axis % rank for axis in axes)
    others = [i for i in range(rank) if i not in (down, across)]
    largest = reduce_max(linalg.svd(transpose(x, [*others, down, across]), compute_uv=False), -1)
    if not keep:
        return largest
    for axis in sorted((down, across)):
        largest = expand_dims(largest, axis)
    return largest
