"""Lookup tables whose entries the program can change.

A table is a variable of the session, and each change makes a new dictionary. So a run sees one state of it, and changes
are as atomic as those of variables. It is empty before the first insertion.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.keys import GraphKeys
from weftwork.graph.lookup.entries import Entries, listed
from weftwork.graph.lookup.tables import VariableTable
from weftwork.graph.operation import UNINITIALIZED, Kind, Operation, Tensor
from weftwork.graph.saveable import Piece, Saveable
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.variable import Variable
from weftwork.graph.variables.writes import peek, write


class MutableHashTable(VariableTable):
    """A table with insertion, removal and export. default_value: the value, of any shape, for missing keys.

    checkpoint: whether a Saver of all variables saves the entries too, as `NAME-keys` and `NAME-values`.
    shared_name: accepted and ignored.
    """

    _key_shape: tuple[int, ...] = ()
    """The shape of a key: a scalar, or for a dense table a vector."""

    def __init__(
        self, key_dtype: Any, value_dtype: Any, default_value: Any, shared_name: str | None = None,
        name: str = "MutableHashTable", checkpoint: bool = True,
    ):  # fmt: skip
        super().__init__(as_dtype(key_dtype), as_dtype(value_dtype))
        with name_scope(name, "MutableHashTable") as scope, get_default_graph().in_section(None):
            self._default = convert_to_tensor(default_value, self._value_dtype, name="default_value")
            initial = apply(empty_entries, [], type="EmptyTable", dtype=dtypes.object, shape=())
            self._variable = Variable(initial, trainable=False, collections=[], name=scope)
        self._value_shape: Any = self._default.raw_shape
        if checkpoint:
            get_default_graph().add_to_collection(GraphKeys.SAVEABLE_OBJECTS, TableState(self))

    def size(self, name: str | None = None) -> Tensor:
        """The number of entries, int64."""
        return peek("LookupTableSizeV2", count, [self._variable], [], {}, (dtypes.int64, ()), name)

    def _looked_up(self, keys: Any, name: str | None) -> Tensor:
        given = self._checked(keys)
        attrs = {"dtype": self._value_dtype.numpy, "rank": len(self._key_shape)}
        rows = self._rows(given)
        shape = None if rows is None or self._value_shape is None else rows + self._value_shape
        rest = [given, self._default]
        return peek("LookupTableFindV2", find, [self._variable], rest, attrs, (self._value_dtype, shape), name)

    def _rows(self, keys: Tensor) -> Any:
        """The raw shape of the keys without that of one key. Raises ValueError if they are of another shape."""
        rank = len(self._key_shape)
        if not rank or keys.raw_shape is None:
            return keys.raw_shape
        if not shapes.compatible(keys.raw_shape[-rank:], self._key_shape):
            raise ValueError(f"Expected key shape {list(self._key_shape)} got {list(keys.raw_shape[-rank:])}")
        return keys.raw_shape[:-rank]

    def insert(self, keys: Any, values: Any, name: str | None = None) -> Operation:
        """The operation that sets the values of some keys: values [..., of the default's shape].

        Raises TypeError for another dtype, ValueError if the shapes do not match.
        """
        key_tensor, value_tensor = self._checked(keys), convert_to_tensor(values, self._value_dtype, name="values")
        rows = self._rows(key_tensor)
        if rows is not None and self._value_shape is not None:
            shapes.merge(value_tensor.raw_shape, rows + self._value_shape)
        return self._write("LookupTableInsertV2", inserted, [key_tensor, value_tensor], name)

    def remove(self, keys: Any, name: str | None = None) -> Operation:
        """The operation that removes keys; missing ones are ignored. Raises TypeError for another dtype."""
        return self._write("LookupTableRemoveV2", removed, [self._checked(keys)], name)

    def _write(self, type: str, kernel: Any, values: list[Tensor], name: str | None) -> Operation:
        attrs = {"_from_nothing": True, "rank": len(self._key_shape)}
        return write(Kind.UPDATE, type, kernel, self._variable, values, attrs, (), name or type).op

    def export(self, name: str | None = None) -> tuple[Tensor, Tensor]:
        """(keys, values) of all entries, in the order of insertion."""
        attrs = {"dtype": self.key_dtype.numpy, "key_shape": self._key_shape}
        output = (self.key_dtype, (None, *self._key_shape))
        keys = peek("LookupTableExportV2", all_keys, [self._variable], [], attrs, output, name or "Export")
        return keys, self._looked_up(keys, None)


class TableState(Saveable):
    """The entries of a table, as a Saver keeps them: keys and values."""

    def __init__(self, table: MutableHashTable):
        super().__init__(table._variable.op, table.key_dtype, None)
        self._table = table
        self._parts: list[Saveable] = []

    @property
    def parts(self) -> list[Saveable]:
        """The keys and the values."""
        if not self._parts:
            keys, values = self._table.export()
            self._parts = [Piece(self, "-keys", keys), Piece(self, "-values", values)]
        return self._parts

    def restored(self, *values: Tensor) -> Operation:
        """The operation that replaces all entries."""
        return self._table._write("LookupTableImportV2", imported, [*values], None)


class MutableDenseHashTable(MutableHashTable):
    """A MutableHashTable with two reserved keys, `empty_key` and `deleted_key`, that must not be used.

    The keys may be vectors, like these two.   initial_num_buckets: a power of 2, at least 4, without effect.
    Raises InvalidArgumentError if both keys are the same, or for another number of buckets.
    """

    def __init__(
        self, key_dtype: Any, value_dtype: Any, default_value: Any, empty_key: Any, deleted_key: Any = None,
        initial_num_buckets: int | None = None, shared_name: str | None = None, name: str = "MutableDenseHashTable",
        checkpoint: bool = True,
    ):  # fmt: skip
        kind = as_dtype(key_dtype)
        self._key_shape = np.shape(empty_key)
        if len(self._key_shape) > 1:
            raise ValueError(f"Empty key must be a scalar or a vector, got shape {list(self._key_shape)}")
        reserved = {"empty_key": empty_key, "deleted_key": deleted_key}
        self._reserved = {_as_key(key, kind): word for word, key in reserved.items() if key is not None}
        if deleted_key is not None and len(self._reserved) < 2:
            raise InvalidArgumentError(None, None, "Empty and deleted keys cannot be equal")
        if initial_num_buckets is not None and (initial_num_buckets < 4 or initial_num_buckets.bit_count() > 1):
            text = f"Number of buckets must be at least 4 and a power of 2, got: {initial_num_buckets}"
            raise InvalidArgumentError(None, None, text)
        super().__init__(key_dtype, value_dtype, default_value, shared_name, name, checkpoint)

    def _checked(self, keys: Any) -> Tensor:
        given, attrs = super()._checked(keys), {"reserved": self._reserved, "rank": len(self._key_shape)}
        kind = given.dtype.base_dtype
        return apply(free_keys, [given], attrs, type="CheckedKeys", dtype=kind, shape=given.raw_shape)


def _as_key(key: Any, kind: dtypes.DType) -> Any:
    """A reserved key as the kernels have it."""
    if kind is dtypes.string:
        words = [
            word.encode() if isinstance(word, str) else word for word in np.ravel(np.asarray(key, object)).tolist()
        ]
        return tuple(words) if np.ndim(key) else words[0]
    found = np.asarray(key, kind.numpy).tolist()
    return tuple(found) if np.ndim(key) else found


# Kernels. A key is a scalar, or a tuple for a vector; rank: 0 or 1


def empty_entries() -> Entries:
    """The kernel of an empty table."""
    return Entries({})


nobody = empty_entries  # the name in graphs that older versions wrote


def _entries_of(table: Any) -> dict:
    return {} if table is UNINITIALIZED else table.found


def _listed(keys: Any, rank: int = 0) -> list:
    return [tuple(row) for row in keys.reshape(-1, keys.shape[-1]).tolist()] if rank else listed(keys)


def inserted(table: Any, keys: Any, values: Any, *, rank: int = 0) -> Entries:
    """The kernel of LookupTableInsert."""
    listed_keys = _listed(keys, rank)
    rows = np.asarray(values, object if isinstance(values, bytes) else None)
    rows = rows.reshape(len(listed_keys), *np.shape(values)[np.ndim(keys) - rank :])
    return Entries({**_entries_of(table), **{key: rows[number] for number, key in enumerate(listed_keys)}})


def imported(table: Any, keys: Any, values: Any, *, rank: int = 0) -> Entries:
    """The kernel of LookupTableImport: these entries replace all others."""
    return inserted(UNINITIALIZED, keys, values, rank=rank)


def removed(table: Any, keys: Any, *, rank: int = 0) -> Entries:
    """The kernel of LookupTableRemove."""
    gone = set(_listed(keys, rank))
    return Entries({key: value for key, value in _entries_of(table).items() if key not in gone})


def find(table: Any, keys: Any, default: Any, *, dtype: np.dtype, rank: int = 0) -> Any:
    """The kernel of LookupTableFind."""
    found, shape = _entries_of(table), () if isinstance(default, bytes) else np.shape(default)
    result = np.empty((*np.shape(keys)[: np.ndim(keys) - rank], *shape), dtype)
    flat = result.reshape(-1, *shape)
    for number, key in enumerate(_listed(keys, rank)):
        flat[number] = found.get(key, default)
    return result[()]


def count(table: Any) -> Any:
    """The kernel of LookupTableSize."""
    return np.int64(len(_entries_of(table)))


def all_keys(table: Any, *, dtype: np.dtype, key_shape: tuple[int, ...] = ()) -> Any:
    """The kernel of LookupTableExport's keys."""
    result = np.empty((len(_entries_of(table)), *key_shape), dtype)
    if len(result):
        result[:] = list(_entries_of(table))
    return result


def free_keys(keys: Any, *, reserved: Any, rank: int = 0) -> Any:
    """The kernel that rejects the reserved keys of a dense table."""
    for key in _listed(keys, rank):
        if key in reserved:
            raise InvalidArgumentError(None, None, f"Using the {reserved[key]} as a table key is not allowed: {key!r}")
    return keys
