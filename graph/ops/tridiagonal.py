"""Tridiagonal matrices: solving with them, and multiplying by them.

diagonals   the superdiagonal, the diagonal and the subdiagonal of [n, n] matrices, as one tensor [..., 3, n]
            ("compact"), as three tensors ("sequence"), or as the matrices themselves ("matrix"; what else is in them is
            ignored)
In the compact form, the last element of the superdiagonal and the first one of the subdiagonal are ignored.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.build import apply, convert_to_tensor, convert_together
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import math_ops
from weftwork.graph.ops.array_ops import expand_dims, pad, squeeze, stack
from weftwork.graph.ops.rearranging import matrix_diag_part
from weftwork.graph.ops.spaces import matrix_transpose
from weftwork.graph.shapes import compatible, text


def tridiagonal_solve(
    diagonals: Any,
    rhs: Any,
    diagonals_format: str = "compact",
    transpose_rhs: bool = False,
    conjugate_rhs: bool = False,
    name: str | None = None,
    partial_pivoting: bool = True,
    perturb_singular: bool = False,
) -> Tensor:
    """X with A X = rhs, for tridiagonal matrices A.  rhs: [..., n] or [..., n, k]; the result has its shape.

    diagonals: of A.   diagonals_format: "compact", "sequence" or "matrix", see the module.
    transpose_rhs: rhs is [..., k, n].   conjugate_rhs: use its conjugate.
    partial_pivoting, perturb_singular: accepted; rows are always exchanged for stability.
    Raises ValueError for shapes that do not fit. At run time, a singular matrix raises InvalidArgumentError.
    """
    if perturb_singular and not partial_pivoting:
        raise ValueError("partial_pivoting must be True if perturb_singular is.")
    compact, rhs = convert_together([_compact(diagonals, diagonals_format), rhs])
    is_vector = _is_vector(compact, rhs)
    if transpose_rhs and not is_vector:
        rhs = matrix_transpose(rhs, conjugate=conjugate_rhs)
    elif conjugate_rhs:
        rhs = math_ops.conj(rhs)
    columns = expand_dims(rhs, -1) if is_vector else rhs
    sizes = (_size(compact, -1), _size(columns, -2))
    if all(sizes) and sizes[0] != sizes[1]:
        raise ValueError(
            f"Expected number of left-hand sided and right-hand sides to be equal, got {sizes[0]} and {sizes[1]}"
        )
    solution = solved(compact, columns, name)
    return squeeze(solution, [-1]) if is_vector else solution


def tridiagonal_matmul(diagonals: Any, rhs: Any, diagonals_format: str = "compact", name: str | None = None) -> Tensor:
    """A times rhs, for tridiagonal matrices A.  rhs: [..., n, k]; the result has its shape.

    diagonals: of A.   diagonals_format: "compact", "sequence" or "matrix", see the module.
    """
    compact, rhs = convert_together([_compact(diagonals, diagonals_format), rhs])
    return multiplied(compact, rhs, name)


def solved(compact: Tensor, rhs: Tensor, name: str | None = None) -> Tensor:
    """The node that solves.  compact: [..., 3, n].  rhs: [..., n, k]."""
    return apply(_solve, [compact, rhs], type="TridiagonalSolve", name=name, dtype=rhs.dtype, shape=rhs.raw_shape)


def multiplied(compact: Tensor, rhs: Tensor, name: str | None = None) -> Tensor:
    """The node that multiplies.  compact: [..., 3, n].  rhs: [..., n, k]."""
    return apply(_times, [compact, rhs], type="TridiagonalMatMul", name=name, dtype=rhs.dtype, shape=rhs.raw_shape)


def transposed(compact: Tensor) -> Tensor:
    """The compact form of the conjugate transposes."""
    shape = compact.raw_shape
    return apply(_transpose, [compact], type="TridiagonalAdjoint", dtype=compact.dtype, shape=shape)


def outer(left: Tensor, right: Tensor) -> Tensor:
    """The three diagonals, in compact form, of left times the adjoint of right.  left, right: [..., n, k]."""
    shape = None if left.raw_shape is None else (*left.raw_shape[:-2], 3, left.raw_shape[-2])
    return apply(_outer, [left, right], type="TridiagonalOuter", dtype=left.dtype, shape=shape)


# The forms of the diagonals


def _size(x: Tensor, axis: int) -> int | None:
    return None if x.raw_shape is None else x.raw_shape[axis]


def _compact(diagonals: Any, form: str) -> Tensor:
    """The compact form. Raises ValueError for an unknown form, or for shapes that do not fit."""
    if form == "compact":
        given = convert_to_tensor(diagonals, name="diagonals")
        if given.raw_shape is not None and len(given.raw_shape) < 2:
            raise ValueError(f"Expected diagonals to have rank at least 2, got {len(given.raw_shape)}")
        if _size(given, -2) not in (None, 3):
            raise ValueError(f"Expected 3 diagonals got {_size(given, -2)}")
        return given
    if form == "sequence":
        if not isinstance(diagonals, (tuple, list)) or len(diagonals) != 3:
            raise ValueError("Expected diagonals to be a sequence of length 3.")
        return _stacked(*convert_together(list(diagonals)))
    if form == "matrix":
        matrix = convert_to_tensor(diagonals, name="diagonals")
        rows, columns = _size(matrix, -2), _size(matrix, -1)
        if rows and columns and rows != columns:
            raise ValueError(f"Expected last two dimensions of diagonals to be same, got {columns} and {rows}")
        above, below = matrix[..., :-1, 1:], matrix[..., 1:, :-1]
        return _stacked(matrix_diag_part(above), matrix_diag_part(matrix), matrix_diag_part(below))
    raise ValueError(f"Unrecognized diagonals_format: {form}")


def _stacked(above: Tensor, main: Tensor, below: Tensor) -> Tensor:
    batches = [None if x.raw_shape is None else x.raw_shape[:-1] for x in (below, main, above)]
    if not compatible(batches[0], batches[1]) or not compatible(batches[2], batches[1]):
        found = ", ".join([text(x.raw_shape) for x in (below, main, above)])
        raise ValueError(
            f"Tensors representing the three diagonals must have the same shape,except for the last dimension, "
            f"got {found}"
        )
    size = _size(main, -1)
    return stack([_padded(above, "superdiagonal", size, [0, 1]), main, _padded(below, "subdiagonal", size, [1, 0])], -2)


def _padded(x: Tensor, word: str, size: int | None, ends: list[int]) -> Tensor:
    """A neighboring diagonal with as many elements as the main one."""
    own = _size(x, -1)
    if size is None or own is None or own == size:
        return x
    if own != size - 1:
        raise ValueError(f"Expected {word} to be have length {size} or {size - 1}, got {own}.")
    assert x.raw_shape is not None
    return pad(x, [*[[0, 0]] * (len(x.raw_shape) - 1), ends])


def _is_vector(compact: Tensor, rhs: Tensor) -> bool:
    """Whether rhs has one right-hand side for each matrix, without an axis for it. Raises ValueError."""
    if compact.raw_shape is None or rhs.raw_shape is None:
        return False
    rank, given = len(compact.raw_shape), len(rhs.raw_shape)
    if given not in (rank, rank - 1):
        raise ValueError(f"Expected the rank of rhs to be {rank - 1} or {rank}, got {given}")
    batch, other = compact.raw_shape[:-2], rhs.raw_shape[: rank - 2]
    if not compatible(batch, other):
        raise ValueError(f"Batch shapes {text(batch)} and {text(other)} are incompatible")
    return given == rank - 1


# Kernels


def _solve(compact, rhs):
    from scipy.linalg import LinAlgError, solve_banded

    out = np.empty(rhs.shape, np.result_type(compact, rhs))
    for at in np.ndindex(compact.shape[:-2]):
        above, main, below = compact[at]
        band = np.stack([np.roll(above, 1), main, np.roll(below, -1)])
        try:
            out[at] = solve_banded((1, 1), band, rhs[at], check_finite=False) if main.size else rhs[at]
        except LinAlgError as error:
            raise InvalidArgumentError(None, None, "Input matrix is not invertible.") from error
    return out


def _neighbors(compact: Any) -> tuple:
    """The superdiagonal without its last element, the diagonal, the subdiagonal without its first one, as columns."""
    above, main, below = (compact[..., row, :, np.newaxis] for row in range(3))
    return above[..., :-1, :], main, below[..., 1:, :]


def _times(compact, rhs):
    above, main, below = _neighbors(compact)
    out = main * rhs
    out[..., :-1, :] += above * rhs[..., 1:, :]
    out[..., 1:, :] += below * rhs[..., :-1, :]
    return out


def _transpose(compact):
    above, main, below = (compact[..., row, :] for row in range(3))
    return np.stack([np.roll(below, -1, -1), main, np.roll(above, 1, -1)], -2).conj()


def _outer(left, right):
    right = right.conj()
    out = np.zeros((*left.shape[:-2], 3, left.shape[-2]), left.dtype)
    out[..., 0, :-1] = (left[..., :-1, :] * right[..., 1:, :]).sum(-1)
    out[..., 1, :] = (left * right).sum(-1)
    out[..., 2, 1:] = (left[..., 1:, :] * right[..., :-1, :]).sum(-1)
    return out
