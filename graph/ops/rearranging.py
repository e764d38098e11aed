"""The same elements in another order: transpose, tile, pad, reverse, roll, diagonals, unique, permutations."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import apply, convert_to_tensor, operands, static_value
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import RefusedError
from weftwork.graph.kernels import arrays as kernels
from weftwork.graph.kernels import indices as kernels_indices
from weftwork.graph.known import entries, known_axis, rank_of, renamed, shape_argument, whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import diagonals
from weftwork.graph.ops.conversion import conj

Unique = namedtuple("Unique", ["y", "idx"])
UniqueWithCounts = namedtuple("UniqueWithCounts", ["y", "idx", "count"])


def transpose(a: Any, perm: Any = None, name: str | None = "transpose", conjugate: bool = False) -> Tensor:
    """Permute the axes: axis i of the result is axis perm[i]; by default their order is reversed.

    conjugate: also conjugate complex numbers. Raises ValueError if perm is not a permutation of the known axes.
    """
    x = convert_to_tensor(a, name="a")
    if conjugate and x.dtype.is_complex:
        x = conj(x)
    order = None if perm is None else whole_numbers(perm)
    n = rank_of(x)
    if perm is not None and order is None:
        vector = convert_to_tensor(perm, name="perm")
        raw = None if n is None else (None,) * n
        return apply(kernels.transpose, [x, vector], type="Transpose", name=name, dtype=x.dtype, shape=raw)
    if order is None:
        raw = None if x.raw_shape is None else x.raw_shape[::-1]
        return apply(np.transpose, [x], type="Transpose", name=name, dtype=x.dtype, shape=raw)
    order = _checked_order(order, n)
    raw = tuple([None if x.raw_shape is None else x.raw_shape[i] for i in order])
    return apply(np.transpose, [x], {"axes": order}, type="Transpose", name=name, dtype=x.dtype, shape=raw)


def _checked_order(order: Any, rank: int | None) -> tuple[int, ...]:
    dims = np.ndim(order)
    if dims != 1:
        raise ValueError(f"Shape must be rank 1 but is rank {dims} for the perm of 'transpose'.")
    if rank not in (None, len(order)):
        raise ValueError(f"Dimension must be {rank} but is {len(order)} for the perm {list(order)} of 'transpose'.")
    for axis in order:
        if not -len(order) <= axis < len(order):
            raise ValueError(f"perm dim {axis} is out of range of input rank {len(order)}")
    missing = next((axis for axis in range(len(order)) if axis not in [a % len(order) for a in order]), None)
    if missing is not None:
        raise RefusedError(None, None, f"{missing} is missing from {{{','.join(map(str, order))}}}.")
    return order


def tile(input: Any, multiples: Any, name: str | None = None) -> Tensor:
    """The input repeated multiples[i] times along axis i.

    Raises ValueError unless there is a multiple for each axis.
    """
    x = convert_to_tensor(input, name="input")
    _, vector, _ = shape_argument(multiples)
    times = whole_numbers(multiples)
    known = times if isinstance(times, tuple) else entries(vector) if vector is not None else None
    if isinstance(times, int):
        raise ValueError(f"Shape must be rank 1 but is rank 0 for the multiples {times} of 'Tile'.")
    if known is not None and x.raw_shape is not None and len(known) != len(x.raw_shape):
        a, b = len(known), len(x.raw_shape)
        raise ValueError(f"Shape must be rank {a} but is rank {b} for 'Tile': the multiples are {list(known)}.")
    raw = None if x.raw_shape is None else (None,) * len(x.raw_shape)
    if known is not None:
        for i, number in enumerate(known):
            if number is not None and number < 0:
                raise RefusedError(None, None, f"Expected multiples[{i}] >= 0, but got {number}")
        dims = x.raw_shape or (None,) * len(known)
        raw = tuple([None if None in (d, t) else d * t for d, t in zip(dims, known, strict=True)])  # type: ignore[operator]
    if vector is None and x.raw_shape is None:  # np.tile would add axes
        vector = convert_to_tensor(multiples, name="multiples")
    inputs, attrs = ([x], {"reps": times}) if vector is None else ([x, vector], None)
    kernel = np.tile if vector is None else kernels.tile
    return apply(kernel, inputs, attrs, type="Tile", name=name, dtype=x.dtype, shape=raw)


def pad(
    tensor: Any, paddings: Any, mode: str = "CONSTANT", name: str | None = None, constant_values: Any = 0
) -> Tensor:
    """Add elements around the tensor. paddings: [before, after] for each axis. mode: CONSTANT, REFLECT or SYMMETRIC.

    constant_values: the scalar to pad with in the mode CONSTANT.
    Raises ValueError for another mode, or if the paddings do not match a known shape.
    """
    x, mode = convert_to_tensor(tensor, name="tensor"), mode.lower()
    if mode not in ("constant", "reflect", "symmetric"):
        raise ValueError(f"Unknown padding mode: {mode.upper()}")
    zero = constant_values is None or (isinstance(constant_values, int) and constant_values == 0)
    if zero:  # text and booleans have a zero of their own
        constant_values = {dtypes.string: b"", dtypes.bool: False}.get(x.dtype.base_dtype, 0)
    value = None if mode != "constant" else convert_to_tensor(constant_values, x.dtype.base_dtype)
    kind = "MirrorPad" if mode != "constant" else "Pad" if zero else "PadV2"
    widths, n = whole_numbers(paddings), rank_of(x)
    if widths is None or (value is not None and static_value(value) is None):
        inputs = [x, convert_to_tensor(paddings, name="paddings"), *([] if value is None else [value])]
        attrs: dict[str, Any] = {"mode": mode}
    else:
        inputs = [x]
        attrs = {"mode": mode, "pad_width": widths, "value": None if value is None else static_value(value)}
    rows = None if widths is not None else convert_to_tensor(paddings).raw_shape
    ranks = [part for part in (n, rows[0] if rows else None) if part is not None]
    raw = (None,) * ranks[0] if ranks else None
    if isinstance(widths, tuple) and not widths:
        widths = ()
    if widths is not None:
        pairs = isinstance(widths, tuple) and all(isinstance(w, tuple) and len(w) == 2 for w in widths)
        if not pairs or n not in (None, len(widths)):  # type: ignore[arg-type]
            raise ValueError(f"paddings must have shape [{'?' if n is None else n}, 2], but are {widths!r}.")
        for before, after in widths:  # type: ignore[union-attr]
            if before < 0 or after < 0:
                raise ValueError(f"Paddings must be non-negative: {before} {after}")
        dims = x.raw_shape or (None,) * len(widths)  # type: ignore[arg-type]
        raw = tuple([None if d is None else d + b + e for d, (b, e) in zip(dims, widths, strict=True)])  # type: ignore[arg-type]
    return apply(kernels.pad, inputs, attrs, type=kind, name=name, dtype=x.dtype, shape=raw)


def reverse(tensor: Any, axis: Any, name: str | None = None) -> Tensor:
    """Reverse the elements along the given axes (a list or a single one).

    Raises ValueError for an axis that occurs twice.
    """
    x, axes = convert_to_tensor(tensor, name="tensor"), whole_numbers(axis)
    if axes is None:
        inputs = [x, convert_to_tensor(axis, name="axis")]
        return apply(kernels.flip, inputs, type="ReverseV2", name=name, dtype=x.dtype, shape=x.raw_shape)
    axes = axes if isinstance(axes, tuple) else (axes,)
    if np.ndim(axes) != 1:
        raise ValueError(f"Shape must be rank 1 but is rank {np.ndim(axes)} for the axis {axes} of 'ReverseV2'.")
    rank = rank_of(x)
    for i, along in enumerate(axes if rank is not None else ()):
        if not -rank <= along < rank:  # type: ignore[operator]
            raise ValueError(f"'axis'[{i}] = {along} is out of valid range [0, {rank - 1}]")  # type: ignore[operator]
    found = [known_axis(a, rank, "axis") for a in axes]
    twice = next((a for a in found if found.count(a) > 1), None)
    if twice is not None:
        raise ValueError(f"axis {twice} specified more than once.")
    return apply(np.flip, [x], {"axis": axes}, type="ReverseV2", name=name, dtype=x.dtype, shape=x.raw_shape)


reverse_v2 = reverse


def reverse_sequence(
    input: Any, seq_lengths: Any, seq_axis: int | None = None, batch_axis: int | None = None, name: str | None = None,
    seq_dim: int | None = None, batch_dim: int | None = None,
) -> Tensor:  # fmt: skip
    """Reverse the first seq_lengths[i] elements along seq_axis, in element i of batch_axis (by default 0).

    seq_dim, batch_dim: older names of seq_axis and batch_axis.
    Raises ValueError without seq_axis, or for another number of lengths; TypeError if these are no integers.
    """
    seq = renamed("seq_axis", seq_axis, "seq_dim", seq_dim)
    batch = renamed("batch_axis", batch_axis, "batch_dim", batch_dim)
    x, lengths = convert_to_tensor(input, name="input"), convert_to_tensor(seq_lengths, name="seq_lengths")
    of_kind(lengths, "seq_lengths", "iu")
    if seq is None:
        raise ValueError("reverse_sequence needs a seq_axis.")
    rank = rank_of(x)
    for what, along in (("batch_dim", batch or 0), ("seq_dim", seq)):
        if rank is not None and along >= rank:
            raise ValueError(f"{what} must be < input rank: {along} vs. {rank} for 'ReverseSequence'.")
    seq, batch = known_axis(seq, rank, "seq_dim"), known_axis(batch or 0, rank, "batch_dim")
    raw = x.raw_shape
    if x.raw_shape is not None and lengths.raw_shape and batch is not None:
        wanted, there = x.raw_shape[batch], lengths.raw_shape[0]
        if None not in (wanted, there) and wanted != there:
            raise ValueError(f"Dimensions must be equal, but are {wanted} and {there}: seq_lengths has one entry each.")
        raw = (*raw[:batch], there if wanted is None else wanted, *raw[batch + 1 :])  # type: ignore[index]
    attrs = {"seq_axis": seq, "batch_axis": batch}
    return apply(
        kernels_indices.reverse_sequence,
        [x, lengths],
        attrs,
        type="ReverseSequence",
        name=name,
        dtype=x.dtype,
        shape=raw,
    )


def roll(input: Any, shift: Any, axis: Any, name: str | None = None) -> Tensor:
    """Shift elements by `shift` positions along each given axis; those that leave at one end re-enter at the other."""
    x, by, along = convert_to_tensor(input, name="input"), whole_numbers(shift), whole_numbers(axis)
    if by is None or along is None:
        inputs = [x, convert_to_tensor(shift, name="shift"), convert_to_tensor(axis, name="axis")]
        return apply(kernels.roll, inputs, type="Roll", name=name, dtype=x.dtype, shape=x.raw_shape)
    if x.raw_shape == ():
        raise ValueError("Shape must be at least rank 1 but is rank 0 for 'Roll'.")
    if np.shape(by) != np.shape(along):
        raise RefusedError(None, None, "shift and axis must have the same size")
    attrs = {"shift": by, "axis": along}
    return apply(kernels.roll, [x], attrs, type="Roll", name=name, dtype=x.dtype, shape=x.raw_shape)


# Diagonals


def diag(diagonal: Any, name: str | None = None) -> Tensor:
    """A tensor of twice the rank, [s..., s...], with the input [s...] on its diagonal and zeros elsewhere."""
    name, (x,) = operands("Diag", name, diagonal=diagonal)
    if x.raw_shape == ():
        raise ValueError("Shape must be at least rank 1 but is rank 0 for 'Diag'.")
    raw = None if x.raw_shape is None else x.raw_shape * 2
    return apply(kernels.diag, [x], type="Diag", name=name, dtype=x.dtype, shape=raw)


def diag_part(input: Any, name: str | None = None) -> Tensor:
    """The diagonal of a tensor: [s..., s...] -> [s...]. Raises ValueError for another known shape."""
    x = convert_to_tensor(input, name="input")
    raw = None
    if x.raw_shape is not None:
        half = len(x.raw_shape) // 2
        if len(x.raw_shape) % 2 or not half:
            raise ValueError(f"Input must have even and non-zero rank, input rank is {len(x.raw_shape)}")
        for a, b in zip(x.raw_shape[:half], x.raw_shape[half:], strict=True):
            if None not in (a, b) and a != b:
                raise ValueError(f"Dimensions must be equal, but are {a} and {b} for 'DiagPart'.")
        raw = shapes.merge(x.raw_shape[:half], x.raw_shape[half:])
    return apply(kernels.diag_part, [x], type="DiagPart", name=name, dtype=x.dtype, shape=raw)


def matrix_diag(
    diagonal: Any,
    name: str | None = "diag",
    k: Any = 0,
    num_rows: Any = -1,
    num_cols: Any = -1,
    padding_value: Any = 0,
    align: str = "LEFT_LEFT",
) -> Tensor:
    """Matrices with the given diagonals, and zeros elsewhere: [..., n] -> [..., n, n].

    diagonal: a tensor [..., n], or the diagonals from k[0] to k[1], [..., count, longest], the highest first.
    k: the number of the diagonal, or the lowest and the highest one. 0 is the main one; positive ones lie above it.
    num_rows, num_cols: of the matrices; -1 for the least, or square if both are -1.   padding_value: elsewhere.
    align: where shorter diagonals stand in their rows: those above the main one, then those below.
    Raises ValueError for a scalar, and for diagonals that are not in the matrices.
    """
    x = convert_to_tensor(diagonal, name="diagonal")
    if x.raw_shape == ():
        raise ValueError("Shape must be at least rank 1 but is rank 0 for 'MatrixDiag'")
    band = diagonals.band_of(k, align)
    if (*band, num_rows, num_cols) != (0, 0, -1, -1) or padding_value != 0:
        return diagonals.placed(x, band, num_rows, num_cols, padding_value, align, name)
    raw = None if x.raw_shape is None else (*x.raw_shape, x.raw_shape[-1])
    return apply(kernels.matrix_diag, [x], type="MatrixDiag", name=name, dtype=x.dtype, shape=raw)


def matrix_diag_part(
    input: Any, name: str | None = "diag_part", k: Any = 0, padding_value: Any = 0, align: str = "LEFT_LEFT"
) -> Tensor:
    """The main diagonals of matrices: [..., m, n] -> [..., min(m, n)], or others.

    k, align: as in `matrix_diag`; two numbers give [..., count, longest], the highest diagonal first.
    padding_value: beyond the ends of shorter ones. Raises ValueError for a rank below 2.
    """
    x = convert_to_tensor(input, name="input")
    raw, band = None, diagonals.band_of(k, align)
    if x.raw_shape is not None:
        if len(x.raw_shape) < 2:
            raise ValueError(f"Shape must be at least rank 2 but is rank {len(x.raw_shape)} for 'MatrixDiagPart'")
        m, n = x.raw_shape[-2:]
        raw = (*x.raw_shape[:-2], None if m is None or n is None else min(m, n))
    if band != (0, 0):
        return diagonals.taken(x, band, padding_value, align, name)
    attrs = {"axis1": -2, "axis2": -1}
    return apply(np.diagonal, [x], attrs, type="MatrixDiagPart", name=name, dtype=x.dtype, shape=raw)


# Sets and permutations


def unique(x: Any, out_idx: Any = dtypes.int32, name: str | None = None) -> Unique:
    """(y, idx): the distinct elements of a vector in order of first appearance, and indices with x[i] = y[idx[i]]."""
    v, dtype = _vector(x), as_dtype(out_idx)
    outputs = [(v.dtype.base_dtype, (None,)), (dtype, v.raw_shape)]
    attrs = {"dtype": dtype.numpy}
    return Unique(*apply(kernels.unique_pair, [v], attrs, type="Unique", name=name, outputs=outputs))


def unique_with_counts(x: Any, out_idx: Any = dtypes.int32, name: str | None = None) -> UniqueWithCounts:
    """(y, idx, count): as `unique`, with the number of occurrences of each element of y."""
    v, dtype = _vector(x), as_dtype(out_idx)
    outputs = [(v.dtype.base_dtype, (None,)), (dtype, v.raw_shape), (dtype, (None,))]
    attrs = {"dtype": dtype.numpy}
    return UniqueWithCounts(*apply(kernels.unique, [v], attrs, type="UniqueWithCounts", name=name, outputs=outputs))


def invert_permutation(x: Any, name: str | None = None) -> Tensor:
    """y with y[x[i]] = i. Raises InvalidArgumentError at run time unless the vector x holds each of 0, 1... once."""
    v = _vector(x)
    if not v.dtype.is_integer and v.dtype is not dtypes.object:
        raise TypeError(f"invert_permutation needs integers, but got {v.dtype.name}: {v}")
    return apply(
        kernels_indices.invert_permutation, [v], type="InvertPermutation", name=name, dtype=v.dtype, shape=v.raw_shape
    )


def _vector(value: Any) -> Tensor:
    x = convert_to_tensor(value, name="x")
    if x.raw_shape is not None and len(x.raw_shape) != 1:
        raise ValueError(f"Shape must be rank 1 but is rank {len(x.raw_shape)}: {x}")
    return x
