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
from weftwork.graph.lookup.entries import Entries, listed
from weftwork.graph.lookup.tables import VariableTable
from weftwork.graph.operation import UNINITIALIZED, Kind, Operation, Tensor
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.variable import Variable
from weftwork.graph.variables.writes import peek, write


class MutableHashTable(VariableTable):
    """A table with insertion, removal and export. default_value: the value, of any shape, for missing keys.

    shared_name, checkpoint: accepted and ignored.
    """

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

    def size(self, name: str | None = None) -> Tensor:
        """The number of entries, int64."""
        return peek("LookupTableSizeV2", count, [self._variable], [], {}, (dtypes.int64, ()), name)

    def _looked_up(self, keys: Any, name: str | None) -> Tensor:
        given, attrs = self._checked(keys), {"dtype": self._value_dtype.numpy}
        shape = None if given.raw_shape is None or self._value_shape is None else given.raw_shape + self._value_shape
        rest = [given, self._default]
        return peek("LookupTableFindV2", find, [self._variable], rest, attrs, (self._value_dtype, shape), name)

    def insert(self, keys: Any, values: Any, name: str | None = None) -> Operation:
        """The operation that sets the values of some keys: values [..., of the default's shape].

        Raises TypeError for another dtype, ValueError if the shapes do not match.
        """
        key_tensor, value_tensor = self._checked(keys), convert_to_tensor(values, self._value_dtype, name="values")
        if key_tensor.raw_shape is not None and self._value_shape is not None:
            shapes.merge(value_tensor.raw_shape, key_tensor.raw_shape + self._value_shape)
        return self._write("LookupTableInsertV2", inserted, [key_tensor, value_tensor], name)

    def remove(self, keys: Any, name: str | None = None) -> Operation:
        """The operation that removes keys; missing ones are ignored. Raises TypeError for another dtype."""
        return self._write("LookupTableRemoveV2", removed, [self._checked(keys)], name)

    def _write(self, type: str, kernel: Any, values: list[Tensor], name: str | None) -> Operation:
        return write(Kind.UPDATE, type, kernel, self._variable, values, {"_from_nothing": True}, (), name or type).op

    def export(self, name: str | None = None) -> tuple[Tensor, Tensor]:
        """(keys, values) of all entries, in the order of insertion."""
        attrs = {"dtype": self._key_dtype.numpy}
        keys = peek(
            "LookupTableExportV2", all_keys, [self._variable], [], attrs, (self._key_dtype, (None,)), name or "Export"
        )
        return keys, self.lookup(keys)


class MutableDenseHashTable(MutableHashTable):
    """A MutableHashTable with two reserved keys, `empty_key` and `deleted_key`, that must not be used.

    initial_num_buckets: accepted and ignored.
    """

    def __init__(
        self, key_dtype: Any, value_dtype: Any, default_value: Any, empty_key: Any, deleted_key: Any = None,
        initial_num_buckets: int | None = None, shared_name: str | None = None, name: str = "MutableDenseHashTable",
        checkpoint: bool = True,
    ):  # fmt: skip
        super().__init__(key_dtype, value_dtype, default_value, shared_name, name, checkpoint)
        self._reserved = [np.asarray(key).item() for key in (empty_key, deleted_key) if key is not None]

    def _checked(self, keys: Any) -> Tensor:
        given, attrs = super()._checked(keys), {"reserved": tuple(self._reserved)}
        kind = given.dtype.base_dtype
        return apply(free_keys, [given], attrs, type="CheckedKeys", dtype=kind, shape=given.raw_shape)


# Kernels


def empty_entries() -> Entries:
    """The kernel of an empty table."""
    return Entries({})


nobody = empty_entries  # the name in graphs that older versions wrote


def _entries_of(table: Any) -> dict:
    return {} if table is UNINITIALIZED else table.found


def inserted(table: Any, keys: Any, values: Any) -> Entries:
    """The kernel of LookupTableInsert."""
    all_keys = listed(keys)
    rows = np.asarray(values, object if isinstance(values, bytes) else None)
    rows = rows.reshape(len(all_keys), *np.shape(values)[np.ndim(keys) :])
    return Entries({**_entries_of(table), **{key: rows[number] for number, key in enumerate(all_keys)}})


def removed(table: Any, keys: Any) -> Entries:
    """The kernel of LookupTableRemove."""
    gone = set(listed(keys))
    return Entries({key: value for key, value in _entries_of(table).items() if key not in gone})


def find(table: Any, keys: Any, default: Any, *, dtype: np.dtype) -> Any:
    """The kernel of LookupTableFind."""
    found, shape = _entries_of(table), () if isinstance(default, bytes) else np.shape(default)
    result = np.empty((*np.shape(keys), *shape), dtype)
    flat = result.reshape(-1, *shape)
    for number, key in enumerate(listed(keys)):
        flat[number] = found.get(key, default)
    return result[()]


def count(table: Any) -> Any:
    """The kernel of LookupTableSize."""
    return np.int64(len(_entries_of(table)))


def all_keys(table: Any, *, dtype: np.dtype) -> Any:
    """The kernel of LookupTableExport's keys."""
    result = np.empty(len(_entries_of(table)), dtype)
    result[:] = list(_entries_of(table))
    return result


def free_keys(keys: Any, *, reserved: tuple) -> Any:
    """The kernel that rejects the reserved keys of a dense table."""
    for key in listed(keys):
        if key in reserved:
            raise InvalidArgumentError(None, None, f"Using the empty_key or the deleted_key is not allowed: {key!r}")
    return keys
