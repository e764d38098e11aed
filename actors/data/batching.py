"""Stages that combine elements into batches, and that split batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.actors.data.sources import SparseRows
from weftwork.actors.data.stage import END, Failed, Stage, check_count, read_only, stage
from weftwork.graph import dtypes, shapes
from weftwork.graph.data.description import Description
from weftwork.graph.data.structure import DATASET, SPARSE, Leaf
from weftwork.graph.errors import DataLossError, InvalidArgumentError
from weftwork.graph.ops.composite import SparseTensorValue


@stage("Batch")
class Batch(Stage):
    """Stacks elements."""

    saved = ("ended",)
    ended = False

    def prepare(self) -> None:
        self.size, self.drop = int(self.given.values[0]), bool(self.given.values[1])
        check_count("Batch size", self.size)

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The type and shape of each component."""
        return self.given.option("leaves")

    def next(self) -> Any:
        elements: list = []
        while not self.ended and len(elements) < self.size:
            items = self.source.several(self.size - len(elements))
            self.ended = items[-1] is END
            for item in items:
                if isinstance(item, Failed):
                    raise item.raised()
            elements += items[:-1] if self.ended else items
        if not elements or (self.drop and len(elements) < self.size):
            return END
        columns = zip(*elements, strict=True)
        return [self.together(number, values) for number, values in enumerate(columns)]

    def together(self, number: int, values: Sequence[Any]) -> Any:
        """Combine the values of one component."""
        leaf = self.leaves[number]
        if leaf.word == DATASET:
            raise InvalidArgumentError(None, None, "Datasets cannot be batched: batch their elements, with flat_map.")
        if leaf.word == SPARSE:
            return stacked_sparse(values)
        if leaf.dtype is dtypes.object:
            return stacked_objects(values)
        if len(set(map(_shape, values))) > 1:
            first, at = _shape(values[0]), next(n for n, v in enumerate(values) if _shape(v) != _shape(values[0]))
            text = (
                f"Cannot batch tensors with different shapes in component {number}. First element had shape "
                f"{shapes.bracket_text(first)} and element {at} had shape {shapes.bracket_text(_shape(values[at]))}."
            )
            raise InvalidArgumentError(None, None, text)
        return read_only(stacked(values, leaf.dtype))


def _shape(value: Any) -> tuple:
    return value.shape if hasattr(value, "shape") else ()


def stacked(values: Sequence[Any], dtype: dtypes.DType) -> np.ndarray:
    """Stack values of one shape."""
    if np.ndim(values[0]):
        return np.stack(values)
    made = np.empty(len(values), dtype.numpy)
    made[:] = values
    return made


def stacked_objects(values: Sequence[Any]) -> np.ndarray:
    """Stack Python objects: into a numeric array if they are all numbers or arrays of one shape."""
    kinds = {
        (np.shape(v), np.asarray(v).dtype.kind) for v in values if isinstance(v, (np.ndarray, np.generic, int, float))
    }
    if len(kinds) == 1 and all([isinstance(v, (np.ndarray, np.generic, int, float)) for v in values]):
        return read_only(np.stack(values))
    made = np.empty(len(values), object)
    made[:] = values
    return read_only(made)


def stacked_sparse(values: Sequence[SparseTensorValue]) -> SparseTensorValue:
    """Stack sparse values along a new first dimension. The other dimensions become the largest ones."""
    shape = np.max([value.dense_shape for value in values], axis=0)
    numbers = [np.full((len(value.values), 1), at, np.int64) for at, value in enumerate(values)]
    indices = [
        np.hstack([n, np.asarray(v.indices).reshape(len(v.values), len(shape))])
        for n, v in zip(numbers, values, strict=True)
    ]
    parts = (
        np.concatenate(indices),
        np.concatenate([value.values for value in values]),
        np.concatenate([[len(values)], shape]).astype(np.int64),
    )
    return SparseTensorValue(*map(read_only, parts))


@stage("PaddedBatch")
class PaddedBatch(Batch):
    """Pads elements to a common shape and stacks them."""

    def together(self, number: int, values: Sequence[Any]) -> Any:
        leaf, wanted = self.leaves[number], self.given.option("shapes")[number]
        for value in values:
            if np.ndim(value) != len(wanted):
                text = (
                    f"All elements in a batch must have the same rank as the padded shape for component{number}: "
                    f"expected rank {len(wanted)} but got element with rank {np.ndim(value)}"
                )
                raise InvalidArgumentError(None, None, text)
        largest = [max(sizes) for sizes in zip(*[np.shape(value) for value in values], strict=True)]
        full = tuple([most if w is None else w for w, most in zip(wanted, largest, strict=True)])
        if any([most > d for d, most in zip(full, largest, strict=True)]):
            text = (
                "Attempted to pad to a smaller size than the input element: component "
                f"{number} to {shapes.bracket_text(full)}"
            )
            raise DataLossError(None, None, text)
        made = np.empty((len(values), *full), leaf.dtype.numpy)
        made.fill(self.given.values[2 + number])
        for at, value in enumerate(values):
            made[(at, *[slice(0, d) for d in np.shape(value)])] = value
        return read_only(made)


@stage("Unbatch")
class Unbatch(Stage):
    """Yields the rows of each element."""

    saved = ("element", "at")
    element: list = []
    at = 0

    def begin(self) -> None:
        super().begin()
        self._rows: list = []

    def next(self) -> Any:
        while not self._rows or self.at >= len(self._rows[0]):
            element = self.source.next()
            if element is END:
                return END
            self._open(element)
        self.at += 1
        return [rows[self.at - 1] for rows in self._rows]

    def _open(self, element: list) -> None:
        self.at, self._rows = 0, []
        rows = [SparseRows(v) if isinstance(v, SparseTensorValue) else v for v in element]
        lengths = [len(r) for r in rows]
        if len(set(lengths)) != 1:
            text = f"Input tensors must have the same size in their first dimension, but have {lengths}"
            raise InvalidArgumentError(None, None, text)
        self.element, self._rows = element, rows

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        at = self.at
        if self.element:
            self._open(self.element)
        self.at = at


@stage("Window")
class Window(Stage):
    """Yields windows: datasets of consecutive elements."""

    saved = ("held", "ended", "dropped")
    held: list = []
    ended = False
    dropped = 0
    """Elements between two windows that are still to be skipped."""

    def prepare(self) -> None:
        self.size, self.shift, self.stride = [int(value) for value in self.given.values[:3]]
        self.drop = bool(self.given.values[3])
        for word, value in (("size", self.size), ("shift", self.shift), ("stride", self.stride)):
            check_count(f"Window {word}", value)

    def next(self) -> Any:
        wanted = (self.size - 1) * self.stride + 1
        while not self.ended and (self.dropped or len(self.held) < wanted):
            element = self.source.next()
            if element is END:
                self.ended = True
            elif self.dropped:
                self.dropped -= 1
            else:
                self.held.append(element)
        if not self.held or (self.drop and len(self.held) < wanted):
            return END
        window = self.held[: wanted : self.stride]
        self.dropped = max(0, self.shift - len(self.held))
        self.held = self.held[self.shift :]
        columns = zip(*window, strict=True)
        return [Description("Elements", values=tuple([[value] for value in column])) for column in columns]
