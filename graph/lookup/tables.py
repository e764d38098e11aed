"""Lookup tables: `tf.lookup` and `tf.contrib.lookup`.

A table is a variable of the session whose value is its entries. So a run sees one state of it, and lookups run wherever
the scheduler puts them. `tf.tables_initializer()` makes the entries.
"""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.graph import GraphKeys
from weftwork.graph.lookup import entries as kernels
from weftwork.graph.lookup.initializers import FileTable as FileTable  # pickled graphs refer to it here
from weftwork.graph.lookup.initializers import (
    Keyed,
    KeyValueTensorInitializer,
    TableInitializerBase,
    TextFileIdTableInitializer,
    TextFileIndex,
    TextFileStringTableInitializer,
)
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops.array_ops import size
from weftwork.graph.ops.composite import SparseTensor
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.flow import group, no_op
from weftwork.graph.ops.math_ops import not_equal
from weftwork.graph.ops.math_ops import range as numbers
from weftwork.graph.ops.selecting import where_v2
from weftwork.graph.ops.strings import as_string, string_to_hash_bucket_fast, string_to_hash_bucket_strong
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.variable import Variable
from weftwork.graph.variables.writes import peek

HasherSpec = namedtuple("HasherSpec", ["hasher", "key"])
FastHashSpec = HasherSpec("fasthash", None)


def StrongHashSpec(key: Any) -> HasherSpec:
    """The hash function with a key of two integers."""
    if not isinstance(key, (list, tuple)) or len(key) != 2:
        raise ValueError(f"key must have size 2, received {key!r}.")
    return HasherSpec("stronghash", tuple(key))


# Tables


class LookupInterface(Keyed):
    """The base class of all tables."""

    def lookup(self, keys: Any, name: str | None = None) -> Any:
        """The values for some keys, of the keys' shape; for a SparseTensor, a SparseTensor.

        Raises TypeError for keys of another dtype. At run time, raises FailedPreconditionError for an uninitialized
        table.
        """
        if isinstance(keys, SparseTensor):
            return SparseTensor(keys.indices, self._looked_up(keys.values, name), keys.dense_shape)
        return self._looked_up(keys, name)

    def _looked_up(self, keys: Any, name: str | None) -> Tensor:
        raise NotImplementedError

    def _checked(self, keys: Any) -> Tensor:
        given = convert_to_tensor(keys, name="keys", preferred_dtype=self._key_dtype)
        if given.dtype.base_dtype is not self._key_dtype:
            raise TypeError(f"Signature mismatch. Keys must be dtype {self._key_dtype}, got {given.dtype.base_dtype}.")
        return given


class VariableTable(LookupInterface):
    """A table whose entries are the value of a variable."""

    _variable: Variable

    @property
    def name(self) -> str:
        """The table's name."""
        return self._variable.op.name

    @property
    def initializer(self) -> Operation:
        """The operation that makes the table's entries."""
        return self._variable.initializer

    init = initializer

    @property
    def resource_handle(self) -> Tensor:
        """The tensor that stands for the table in the graph."""
        return self._variable._ref()


class StaticHashTable(VariableTable):
    """A table whose entries are made once, by an initializer; `default_value` is the value of missing keys.

    Raises TypeError if the default has another dtype than the values.
    """

    def __init__(self, initializer: Any, default_value: Any, shared_name: str | None = None, name: str | None = None):
        super().__init__(initializer.key_dtype, initializer.value_dtype)
        with name_scope(name, "hash_table") as scope:
            self._default = convert_to_tensor(default_value, self._value_dtype, name="Const")
            with get_default_graph().in_section(None):
                entries = initializer.entries()
                self._variable = Variable(entries, trainable=False, collections=[], name=scope, dtype=dtypes.object)
        graph = self._variable.graph
        graph.add_to_collection(GraphKeys.TABLE_INITIALIZERS, self._variable.initializer)

    @property
    def default_value(self) -> Tensor:
        """The value of missing keys."""
        return self._default

    table_ref = VariableTable.resource_handle

    def size(self, name: str | None = None) -> Tensor:
        """The number of entries, int64."""
        return peek("LookupTableSizeV2", kernels.size, [self._variable], [], {}, (dtypes.int64, ()), name)

    def _looked_up(self, keys: Any, name: str | None) -> Tensor:
        given, attrs = self._checked(keys), {"dtype": self._value_dtype.numpy}
        output = (self._value_dtype, given.raw_shape)
        rest = [given, self._default]
        return peek("LookupTableFindV2", kernels.find, [self._variable], rest, attrs, output, name)


HashTable = StaticHashTable


class IdTableWithHashBuckets(LookupInterface):
    """A table of ids that maps unknown keys to one of `num_oov_buckets` further ids, by hash.

    table: one with int64 values, or None: then all keys go to buckets.   hasher_spec: FastHashSpec or
    StrongHashSpec(key). Raises TypeError or ValueError if dtypes do not match, or without both table and buckets.
    """

    def __init__(
        self,
        table: Any,
        num_oov_buckets: int,
        hasher_spec: HasherSpec = FastHashSpec,
        name: str | None = None,
        key_dtype: Any = None,
    ):
        if table is None and num_oov_buckets <= 0:
            raise ValueError("oov_buckets must be > 0 if no table is supplied")
        if table is not None and table.value_dtype is not dtypes.int64:
            raise TypeError(f"Invalid value dtype, expected int64, got {table.value_dtype}.")
        if hasher_spec.hasher not in ("fasthash", "stronghash"):
            raise ValueError(f"hasher must be fasthash or stronghash, not {hasher_spec.hasher!r}.")
        kind = as_dtype(key_dtype or (dtypes.string if table is None else table.key_dtype))
        if kind not in (dtypes.string, dtypes.int32, dtypes.int64):
            raise TypeError(f"Invalid key_dtype, expected integer or string, got {kind}.")
        if table is not None and (kind is dtypes.string) != (table.key_dtype is dtypes.string):
            raise TypeError(f"Invalid key dtype, expected {table.key_dtype}, got {kind}.")
        super().__init__(kind, dtypes.int64)
        self._table, self._buckets, self._hasher = table, int(num_oov_buckets), hasher_spec
        self._name = name or "hash_bucket"

    @property
    def name(self) -> str:
        """The table's name."""
        return self._name

    @property
    def initializer(self) -> Operation:
        """The operation that makes the table's entries."""
        return no_op() if self._table is None else self._table.initializer

    init = initializer

    @property
    def resource_handle(self) -> Tensor | None:
        """The tensor that stands for the table in the graph."""
        return None if self._table is None else self._table.resource_handle

    def size(self, name: str | None = None) -> Tensor:
        """The number of ids, including those of the buckets, int64."""
        with name_scope(name, f"{self._name}_Size"):
            own = convert_to_tensor(np.int64(0)) if self._table is None else self._table.size()
            return own + np.int64(self._buckets)

    def _looked_up(self, keys: Any, name: str | None) -> Tensor:
        with name_scope(name, f"{self._name}_Lookup", [keys]):
            given = self._checked(keys)
            ids: Any = None
            if self._table is not None:
                ids = self._table.lookup(_as(given, self._table.key_dtype))
            if not self._buckets:
                return ids
            words = given if given.dtype.base_dtype is dtypes.string else as_string(given)
            if self._hasher.hasher == "fasthash":
                buckets = string_to_hash_bucket_fast(words, self._buckets)
            else:
                buckets = string_to_hash_bucket_strong(words, self._buckets, self._hasher.key)
            if self._table is None:
                return buckets
            return where_v2(not_equal(ids, self._table.default_value), ids, buckets + self._table.size())


def _as(keys: Tensor, dtype: DType) -> Tensor:
    return keys if dtype is dtypes.string else cast(keys, dtype)


class StaticVocabularyTable(IdTableWithHashBuckets):
    """A table of ids from 0 on that maps unknown keys to one of `num_oov_buckets` further ids, by hash.

    initializer: with int64 values, or None: then all keys go to buckets.   lookup_key_dtype: of the keys.
    Raises ValueError for a num_oov_buckets below 1.
    """

    def __init__(self, initializer: Any, num_oov_buckets: int, lookup_key_dtype: Any = None, name: str | None = None):
        if num_oov_buckets <= 0:
            raise ValueError("oov_buckets must be > 0.")
        table = None if initializer is None else StaticHashTable(initializer, np.int64(-1), name=name)
        super().__init__(table, num_oov_buckets, FastHashSpec, name, lookup_key_dtype)


# Vocabularies


def index_table_from_file(
    vocabulary_file: Any = None,
    num_oov_buckets: int = 0,
    vocab_size: int | None = None,
    default_value: int = -1,
    hasher_spec: HasherSpec = FastHashSpec,
    key_dtype: Any = dtypes.string,
    name: str | None = None,
    key_column_index: int = TextFileIndex.WHOLE_LINE,
    value_column_index: int = TextFileIndex.LINE_NUMBER,
    delimiter: str = "\t",
) -> LookupInterface:
    """A table from the lines of a file, or one of its columns, to their numbers.

    num_oov_buckets: the number of ids for unknown keys, chosen by hash; if 0, they map to `default_value`.
    Raises ValueError for an invalid file or number.
    """
    if vocabulary_file is None or (isinstance(vocabulary_file, str) and not vocabulary_file):
        raise ValueError(f"vocabulary_file must be specified and must not be empty: {vocabulary_file!r}")
    _check_buckets(num_oov_buckets)
    if vocab_size is not None and vocab_size < 1:
        raise ValueError(f"vocab_size must be greater than 0, got {vocab_size}.")
    kind = as_dtype(key_dtype)
    with name_scope(name, "string_to_index"):
        own = dtypes.int64 if kind.is_integer else kind
        options = {"delimiter": delimiter, "key_dtype": own, "vocab_size": vocab_size}
        initializer = TextFileIdTableInitializer(vocabulary_file, key_column_index, value_column_index, **options)
        return _with_buckets(initializer, default_value, num_oov_buckets, hasher_spec, kind)


def index_table_from_tensor(
    vocabulary_list: Any = None,
    num_oov_buckets: int = 0,
    default_value: int = -1,
    hasher_spec: HasherSpec = FastHashSpec,
    dtype: Any = dtypes.string,
    name: str | None = None,
    mapping: Any = None,
) -> LookupInterface:
    """A table from the elements of a vector to their indices. Other arguments as for `index_table_from_file`."""
    vocabulary = vocabulary_list if mapping is None else mapping
    if vocabulary is None:
        raise ValueError("vocabulary_list must be specified.")
    _check_buckets(num_oov_buckets)
    kind = as_dtype(dtype)
    if kind is not dtypes.string and not kind.is_integer:
        raise TypeError("Only integer and string keys are supported.")
    with name_scope(name, "string_to_index"):
        keys = convert_to_tensor(vocabulary)
        if kind.is_integer != keys.dtype.is_integer:
            raise ValueError(f"Expected {'integer' if kind.is_integer else 'non-integer'}, got {keys.dtype.name}.")
        places = numbers(cast(size(keys), dtypes.int64), dtype=dtypes.int64)
        initializer = KeyValueTensorInitializer(cast(keys, dtypes.int64) if kind.is_integer else keys, places)
        return _with_buckets(initializer, default_value, num_oov_buckets, hasher_spec, kind)


def _check_buckets(number: int) -> None:
    if number < 0:
        raise ValueError(f"num_oov_buckets must be greater or equal than 0, got {number}.")


def _with_buckets(
    initializer: TableInitializerBase, default_value: int, buckets: int, hasher: HasherSpec, kind: DType
) -> LookupInterface:
    table = StaticHashTable(initializer, np.int64(default_value))
    if not buckets and kind is table.key_dtype:
        return table
    return IdTableWithHashBuckets(table, buckets, hasher, key_dtype=kind)


def index_to_string_table_from_file(
    vocabulary_file: Any,
    vocab_size: int | None = None,
    default_value: str = "UNK",
    name: str | None = None,
    key_column_index: int = TextFileIndex.LINE_NUMBER,
    value_column_index: int = TextFileIndex.WHOLE_LINE,
    delimiter: str = "\t",
) -> StaticHashTable:
    """A table from numbers to the lines of a file, or one of its columns. Raises ValueError for invalid arguments."""
    if vocabulary_file is None or (isinstance(vocabulary_file, str) and not vocabulary_file):
        raise ValueError("vocabulary_file must be specified and must not be empty.")
    if vocab_size is not None and vocab_size < 1:
        raise ValueError(f"vocab_size must be greater than 0, got {vocab_size}.")
    with name_scope(name, "index_to_string"):
        options = {"vocab_size": vocab_size, "delimiter": delimiter}
        initializer = TextFileStringTableInitializer(vocabulary_file, key_column_index, value_column_index, **options)
        return StaticHashTable(initializer, default_value)


def index_to_string_table_from_tensor(
    vocabulary_list: Any = None, default_value: str = "UNK", name: str | None = None, mapping: Any = None
) -> StaticHashTable:
    """A table from indices to the elements of a vector of strings. Raises ValueError without a vector."""
    vocabulary = vocabulary_list if mapping is None else mapping
    if vocabulary is None:
        raise ValueError("vocabulary_list must be specified.")
    with name_scope(name, "index_to_string"):
        values = convert_to_tensor(vocabulary, dtypes.string)
        keys = numbers(cast(size(values), dtypes.int64), dtype=dtypes.int64)
        return StaticHashTable(KeyValueTensorInitializer(keys, values), default_value)


def tables_initializer(name: str | None = "init_all_tables") -> Operation:
    """The operation that makes the entries of all tables of the default graph."""
    found = get_default_graph().get_collection(GraphKeys.TABLE_INITIALIZERS)
    return group(*found, name=name) if found else no_op(name=name)
