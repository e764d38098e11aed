"""Stages without sources: tensors, ranges, generators, file names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weftwork.actors.data.stage import END, Stage, read_only, stage
from weftwork.graph import dtypes, shapes
from weftwork.graph.data import structure as structures
from weftwork.graph.data.structure import SPARSE, Leaf
from weftwork.graph.errors import (
    InvalidArgumentError,
    OpError,
    OutOfRangeError,
    UnimplementedError,
    UnknownError,
    from_exception,
)
from weftwork.graph.files.system import glob
from weftwork.graph.ops.composite import SparseTensorValue
from weftwork.graph.python.ownership import copied
from weftwork.graph.values import freeze, to_value


def _owned(value: Any) -> Any:
    """A value that the pipeline owns: frozen, or copied if it cannot be frozen."""
    plain = isinstance(value, np.ndarray) and not value.dtype.hasobject
    return freeze(value) if plain else copied(value)


def _components(values: tuple, leaves: tuple[Leaf, ...]) -> list:
    left = iter(values)
    made = []
    for leaf in leaves:
        mine = [_owned(next(left)) for _ in leaf.parts]
        made.append(SparseTensorValue(*mine) if leaf.word == SPARSE else mine[0])
    return made


@stage("Tensor")
class Once(Stage):
    """Yields one element."""

    saved = ("done",)
    done = False

    def prepare(self) -> None:
        self.element = _components(self.given.values, self.given.option("leaves"))

    def next(self) -> Any:
        if self.done:
            return END
        self.done = True
        return list(self.element)


class Counted(Stage):
    """Yields `count` elements, each of which `element` makes from its number."""

    saved = ("at",)
    at = 0
    count: int

    def element(self, at: int) -> list:
        """The element with a number."""
        raise NotImplementedError

    def next(self) -> Any:
        at = self.at
        if at >= self.count:
            return END
        self.at = at + 1
        return self.element(at)

    def several(self, most: int) -> list:
        some = range(self.at, min(self.at + most, self.count))
        self.at += len(some)
        return [self.element(at) for at in some] or [END]


@stage("TensorSlice")
class Rows(Counted):
    """Yields the rows of arrays."""

    def prepare(self) -> None:
        components = _components(self.given.values, self.given.option("leaves"))
        self.rows = [SparseRows(c) if isinstance(c, SparseTensorValue) else c for c in components]
        lengths = [len(rows) for rows in self.rows]
        if len(set(lengths)) != 1:
            text = f"All components must have the same size in the 0th dimension, but have {lengths}"
            raise InvalidArgumentError(None, None, text)
        self.count = lengths[0]

    def element(self, at: int) -> list:
        return [rows[at] for rows in self.rows]


class SparseRows:
    """The rows of a sparse tensor, as sparse tensors."""

    def __init__(self, value: SparseTensorValue):
        self._indices, self._values = np.asarray(value.indices), np.asarray(value.values)
        self._shape = np.asarray(value.dense_shape)
        order = np.argsort(self._indices[:, 0], kind="stable")
        self._indices, self._values = self._indices[order], self._values[order]
        self._ends = np.searchsorted(self._indices[:, 0], np.arange(len(self) + 1))

    def __len__(self) -> int:
        return int(self._shape[0])

    def __getitem__(self, at: int) -> SparseTensorValue:
        mine = slice(self._ends[at], self._ends[at + 1])
        parts = (self._indices[mine, 1:].copy(), self._values[mine].copy(), self._shape[1:].copy())
        return SparseTensorValue(*map(read_only, parts))


@stage("SparseTensorSlice")
class SparseSlices(Counted):
    """Yields the rows of a sparse tensor, as three arrays each."""

    def prepare(self) -> None:
        self.rows = SparseRows(SparseTensorValue(*self.given.values))
        self.count = len(self.rows)

    def element(self, at: int) -> list:
        return list(self.rows[at])


@stage("Elements")
class Elements(Counted):
    """Yields given elements: those of a window."""

    def prepare(self) -> None:
        self.count = len(self.given.values)

    def element(self, at: int) -> list:
        return list(self.given.values[at])


@stage("Range")
class Numbers(Counted):
    """Yields int64 numbers."""

    def prepare(self) -> None:
        self.start, stop, self.step = [int(value) for value in self.given.values]
        if not self.step:
            raise InvalidArgumentError(None, None, "step must be a non-zero integer.")
        self.count = max(0, -((self.start - stop) // self.step))

    def element(self, at: int) -> list:
        return [np.int64(self.start + at * self.step)]


@stage("Generator")
class Generated(Stage):
    """Yields the items of a Python generator."""

    def begin(self) -> None:
        self.items: Iterator | None = None
        self.structure = self.given.option("elements")

    def next(self) -> Any:
        try:
            if self.items is None:
                args = [copied(value) for value in self.given.values]
                self.items = iter(self.given.option("generator")(*args))
            item = next(self.items, END)  # type: ignore[arg-type]
        except Exception as error:
            if isinstance(error, OpError) and not isinstance(error, OutOfRangeError):
                raise
            self.items = iter(())  # a generator that raised is exhausted
            text = f"{type(error).__name__}: {error}"
            kind = UnknownError if isinstance(error, OpError) else from_exception(error)  # not what says the end
            raise kind(None, None, f"{text}\n\t [[the generator {_named(self.given)}]]") from error
        return END if item is END else self._element(item)

    def _element(self, item: Any) -> list:
        flat = _flat(self.structure, item)
        if flat is None:
            expected = structures.mapped(lambda leaf: leaf.dtype.name, self.structure)
            raise self._unfit(
                "`generator` yielded an element that did not match the expected structure. The expected structure was "
                f"{expected}, but the yielded element was {item}."
            )
        return [self._value(leaf, v) for leaf, v in zip(structures.flatten(self.structure), flat, strict=True)]

    def _value(self, leaf: Leaf, value: Any) -> Any:
        try:
            made = _owned(to_value(value, leaf.dtype))
        except (TypeError, ValueError, OverflowError):
            raise self._unfit(
                "`generator` yielded an element that could not be converted to the expected type. The expected type "
                f"was {leaf.dtype.name}, but the yielded element was {value}."
            ) from None
        if leaf.dtype is not dtypes.object and not shapes.compatible(np.shape(made), leaf.shape):
            raise self._unfit(
                f"`generator` yielded an element of shape {np.shape(made)} where an element of shape "
                f"{shapes.text(leaf.shape)} was expected."
            )
        return made

    def _unfit(self, text: str) -> InvalidArgumentError:
        return InvalidArgumentError(None, None, f"TypeError: {text}\n\t [[the generator {_named(self.given)}]]")

    def state(self) -> dict[str, Any]:
        raise UnimplementedError(None, None, "The state of an iterator over a Python generator cannot be saved.")


def _flat(structure: Any, item: Any) -> list | None:
    """Flatten an item along a structure, whatever its parts are. None if the item has another structure."""
    if not structures.is_nested(structure):
        return [item]
    if isinstance(structure, Mapping):
        if not isinstance(item, Mapping) or set(item) != set(structure):
            return None
        pairs = [(structure[key], item[key]) for key in sorted(structure)]
    elif isinstance(structure, tuple) and isinstance(item, (tuple, list)) and len(item) == len(structure):
        pairs = list(zip(structure, item, strict=True))
    else:
        return None
    flat = [_flat(part, one) for part, one in pairs]
    return None if None in flat else [value for part in flat for value in part]  # type: ignore[union-attr]


def _named(given: Any) -> str:
    code = getattr(given.option("generator"), "__code__", None)
    name = getattr(given.option("generator"), "__qualname__", "")
    return name if code is None else f"{name} (defined at {code.co_filename}:{code.co_firstlineno})"


@stage("MatchingFiles")
class MatchingFiles(Stage):
    """Yields the paths that match patterns, sorted."""

    saved = ("at",)
    at = 0

    def begin(self) -> None:
        super().begin()
        self.paths: list[bytes] | None = None

    def next(self) -> Any:
        if self.paths is None:
            self.paths = self._found()
        if self.at >= len(self.paths):
            return END
        self.at += 1
        return [self.paths[self.at - 1]]

    def _found(self) -> list[bytes]:
        patterns = [os.fsdecode(p) for p in np.ravel(np.asarray(self.given.values[0], object)).tolist()]
        found = sorted(set(glob(patterns)))
        if not found:
            raise InvalidArgumentError(None, None, f"No files matched pattern: {', '.join(patterns)}")
        return [os.fsencode(path) for path in found]
