"""Cells: the value of a TensorArray at one moment, and the kernels that read and write it.

cell     a written element, a read-only array
flow     the tensor whose values are Cells. A write makes a new flow, so nothing ever changes
place    the inverse of `pick`: Cells with a gradient at the picked index, and nothing elsewhere

Adding Cells adds their gradients: a missing cell counts as zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.kernels.indices import refuse
from weftwork.graph.python.ownership import add_atoms
from weftwork.graph.shapes import bracket_text


class Cells:
    """Immutable arrays by index. A write makes new Cells, which share the other arrays."""

    __slots__ = ("cells", "grows", "name", "size", "sums")

    def __init__(self, name: str, size: int, grows: bool, cells: dict[int, Any], sums: bool = False):
        self.name, self.size, self.grows, self.cells = name, size, grows, cells
        self.sums = sums
        """Whether a write adds to what is there, as in an array of gradients."""

    def having(self, cells: dict[int, Any]) -> Cells:
        """A copy with other cells; if it grows, its size includes them all."""
        size = max(self.size, max(cells, default=-1) + 1) if self.grows else self.size
        return Cells(self.name, size, self.grows, cells, self.sums)

    def __add__(self, other: Cells) -> Cells:
        cells = dict(self.cells)
        for index, cell in other.cells.items():
            cells[index] = cells[index] + cell if index in cells else cell
        return Cells(self.name, max(self.size, other.size), self.grows, cells)

    def __reduce__(self):
        return Cells, (self.name, self.size, self.grows, self.cells, self.sums)

    def __repr__(self) -> str:
        return f"Cells({self.name!r}, {len(self.cells)} of {self.size})"


add_atoms(Cells)


def frozen(value: Any) -> Any:
    """A value as a cell stores it: read-only for everybody who gets it."""
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    return view


def emptied(cells: Cells) -> Cells:
    """A copy without any cells: as a gradient it is zero."""
    return cells.having({})


none_of = emptied  # the name in graphs that older versions wrote


def zeros_of(value: Any) -> Any:
    """Zeros like a value, which may be Cells."""
    return emptied(value) if isinstance(value, Cells) else np.zeros_like(value)


def new_cells(size: Any, name: str, grows: bool) -> Cells:
    """An array of `size` unwritten cells."""
    if np.ndim(size):
        refuse(f"TensorArray size must be scalar, but had shape: {bracket_text(np.shape(size))}")
    if size < 0:
        refuse(f"Size should be >= 0: TensorArray {name} has the size {int(size)}")
    return Cells(name, int(size), grows, {})


def gradient_cells(cells: Cells) -> Cells:
    """An array of the same size whose writes add up; an array of gradients is returned as it is."""
    return cells if cells.sums else Cells(f"{cells.name}@grad", cells.size, cells.grows, {}, sums=True)


def size_of(cells: Cells) -> np.int32:
    """The number of cells."""
    return np.int32(cells.size)


def _several(indices: Any) -> list[int]:
    return np.ravel(indices).tolist()


def _inside(cells: Cells, index: int, word: str) -> None:
    if index >= 0 and (index < cells.size or (cells.grows and word == "write to")):
        return
    not_so = " is not resizeable and" if word == "write to" else ""
    refuse(f"TensorArray {cells.name}: Tried to {word} index {index} but array{not_so} size is: {cells.size}")


def _cell(cells: Cells, index: int, shape: Any, dtype: np.dtype) -> Any:
    _inside(cells, index, "read from")
    if index in cells.cells:
        return cells.cells[index]
    if shape is None or None in shape:
        refuse(
            f"TensorArray {cells.name}: Could not read from TensorArray index {index}.  Furthermore, the element shape "
            f"is not fully defined: {bracket_text(shape)}.  The cell has not been written to."
        )
    return np.zeros(shape, dtype)[()]


# Reading


def pick(cells: Cells, indices: Any, shape: Any, dtype: np.dtype) -> Any:
    """The cell at an index, or the stacked cells at a vector of indices.

    An unwritten cell reads as zeros if `shape`, the common shape of all elements, is known; else it is an error.
    """
    if not np.ndim(indices):
        return _cell(cells, int(indices), shape, dtype)
    return _stacked(cells, [_cell(cells, index, shape, dtype) for index in _several(indices)], shape, dtype)


def stack(cells: Cells, shape: Any, dtype: np.dtype) -> Any:
    """All cells, stacked."""
    return pick(cells, np.arange(cells.size), shape, dtype)


def _stacked(cells: Cells, parts: list, shape: Any, dtype: np.dtype) -> np.ndarray:
    if not parts:
        return np.zeros((0, *[dim or 0 for dim in shape or ()]), dtype)
    first = np.shape(parts[0])
    for index, part in enumerate(parts):
        if np.shape(part) != first:
            refuse(
                f"TensorArray {cells.name} has inconsistent shapes.  Index 0 has shape: {bracket_text(first)} but "
                f"index {index} has shape: {bracket_text(np.shape(part))}"
            )
    return np.array(parts, dtype).reshape((len(parts), *first))


def join(cells: Cells, shape: Any, dtype: np.dtype) -> np.ndarray:
    """All cells, concatenated along their first axis.   shape: of one cell, without that axis."""
    parts = [_cell(cells, index, None if shape is None else (0, *shape), dtype) for index in range(cells.size)]
    for index, part in enumerate(parts):
        if not np.ndim(part):
            refuse(f"TensorArray {cells.name}: Concat saw a scalar at index {index}, but needs at least vectors")
        if np.shape(part)[1:] != np.shape(parts[0])[1:]:
            refuse(
                f"TensorArray {cells.name} has inconsistent shapes.  Index 0 has (excepting dimension 0) shape: "
                f"{bracket_text(np.shape(parts[0])[1:])} but index {index} has (excepting dimension 0) shape: "
                f"{bracket_text(np.shape(part)[1:])}"
            )
    return np.concatenate(parts) if parts else np.zeros((0, *[dim or 0 for dim in shape or ()]), dtype)


def lengths(cells: Cells) -> np.ndarray:
    """The lengths of all cells along their first axis."""
    return np.array([len(cells.cells.get(index, ())) for index in range(cells.size)], np.int64)


# Writing


def write(cells: Cells, indices: Any, value: Any, shape: Any) -> Cells:
    """Write a value at an index, or its rows at a vector of indices.

    shape: each element must be compatible with it.
    """
    if not np.ndim(indices):
        return _written(cells, [int(indices)], [value], shape)
    rows = _several(indices)
    if np.ndim(value) < 1 or len(value) != len(rows):
        refuse(
            f"TensorArray {cells.name}: Expected len(indices) == values.shape[0], but saw: {len(rows)} vs. "
            f"{len(value) if np.ndim(value) else 'a scalar'}"
        )
    return _scattered(cells, rows, value, shape)


def unstack(cells: Cells, value: Any, shape: Any) -> Cells:
    """Write the rows of a value, starting at index 0. There must be one row for each cell."""
    if not np.ndim(value):
        refuse(f"TensorArray {cells.name}: cannot unstack a scalar")
    return _scattered(cells, list(range(len(value))), value, shape)


def _scattered(cells: Cells, rows: list[int], value: Any, shape: Any) -> Cells:
    most = max(rows, default=-1)
    if most >= cells.size and not cells.grows:
        refuse(f"TensorArray {cells.name}: Max scatter index must be < array size ({most} vs. {cells.size})")
    return _written(cells, rows, list(value), shape)


def write_parts(cells: Cells, value: Any, lengths: Any, shape: Any) -> Cells:
    """Split a value along its first axis into parts of these lengths, and write them, starting at index 0."""
    sizes = _several(lengths)
    if np.ndim(lengths) != 1:
        refuse(f"Expected lengths to be a vector, received shape: {bracket_text(np.shape(lengths))}")
    if not np.ndim(value):
        refuse("Expected value to be at least a vector, but received shape: []")
    if sum(sizes) != len(value):
        refuse(
            f"Expected sum of lengths to be equal to values.shape[0], but sum of lengths is {sum(sizes)} and value's "
            f"shape is: {bracket_text(np.shape(value))}"
        )
    if not cells.grows and len(sizes) != cells.size:
        refuse(
            f"TensorArray's size is not equal to the size of lengths ({cells.size} vs. {len(sizes)}), and the "
            "TensorArray is not marked as dynamically resizeable"
        )
    return _written(cells, list(range(len(sizes))), np.split(value, np.cumsum(sizes)[:-1]), shape)


parted = write_parts  # the name in graphs that older versions wrote


def _written(cells: Cells, indices: list[int], values: list, shape: Any) -> Cells:
    new = dict(cells.cells)
    for index, value in zip(indices, values, strict=True):
        _inside(cells, index, "write to")
        if index in new and not cells.sums:
            refuse(
                f"TensorArray {cells.name}: Could not write to TensorArray index {index} because it has already been "
                "written to."
            )
        given = np.shape(value)
        if shape is not None and (
            len(shape) != len(given) or any(s not in (None, g) for s, g in zip(shape, given, strict=True))
        ):
            wanted = bracket_text(tuple("?" if dim is None else dim for dim in shape))
            refuse(
                f"TensorArray {cells.name}: Could not write to index {index} because the value shape is "
                f"{bracket_text(given)} which is incompatible with the TensorArray's inferred element shape: {wanted}"
            )
        new[index] = frozen(new[index] + value if index in new else value)
    return cells.having(new)


# Gradients


def place(cells: Cells, indices: Any, grad: Any) -> Cells:
    """Cells like these that hold a gradient at an index, or its rows at a vector of indices; equal indices add up."""
    pairs = [(int(indices), grad)] if not np.ndim(indices) else list(zip(_several(indices), grad, strict=True))
    summed: dict[int, Any] = {}
    for index, part in pairs:
        summed[index] = summed[index] + part if index in summed else frozen(part)
    return Cells(cells.name, cells.size, cells.grows, summed)


def place_all(cells: Cells, grad: Any) -> Cells:
    """Cells like these that hold the rows of a gradient."""
    return place(cells, np.arange(cells.size), grad)


def place_joined(cells: Cells, grad: Any) -> Cells:
    """Cells like these that hold the pieces of a gradient, each as long as its cell."""
    sizes = [len(cells.cells[index]) if index in cells.cells else 0 for index in range(cells.size)]
    parts = np.split(grad, np.cumsum(sizes)[:-1])
    return Cells(cells.name, cells.size, cells.grows, {i: frozen(p) for i, p in enumerate(parts) if i in cells.cells})


def without(cells: Cells, indices: Any) -> Cells:
    """These cells without those at an index, or at a vector of indices."""
    removed = set(_several(indices))
    remaining = {index: cell for index, cell in cells.cells.items() if index not in removed}
    return Cells(cells.name, cells.size, cells.grows, remaining)


def pick_like(cells: Cells, indices: Any, like: Any) -> Any:
    """The gradient of a value written at an index, or at a vector of indices; zeros if there is none."""
    if not np.ndim(indices):
        return cells.cells.get(int(indices), np.zeros_like(like))
    out = np.zeros_like(like)
    for row, index in enumerate(_several(indices)):
        if index in cells.cells:
            out[row] = cells.cells[index]
    return out


def pick_rows(cells: Cells, like: Any) -> Any:
    """The gradient of an unstacked value."""
    return pick_like(cells, np.arange(len(like)), like)


def pick_parts(cells: Cells, lengths: Any, like: Any) -> Any:
    """The gradient of a value that was split into parts of these lengths."""
    out, start = np.zeros_like(like), 0
    for index, size in enumerate(_several(lengths)):
        if index in cells.cells:
            out[start : start + size] = cells.cells[index]
        start += size
    return out
