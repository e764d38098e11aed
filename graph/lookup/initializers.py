"""Initializers of lookup tables: from tensors of keys and values, or from the lines of a file."""

from __future__ import annotations

from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import apply, as_tensor, convert_to_tensor
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.graph import GraphKeys
from weftwork.graph.lookup import entries as kernels
from weftwork.graph.operation import Kind, Tensor, Traits
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph


class TextFileIndex:
    """What to take from a line, other than a column."""

    WHOLE_LINE = kernels.WHOLE_LINE
    LINE_NUMBER = kernels.LINE_NUMBER


class Keyed:
    """The base class of objects with keys and values of certain dtypes."""

    def __init__(self, key_dtype: Any, value_dtype: Any):
        self._key_dtype, self._value_dtype = as_dtype(key_dtype).base_dtype, as_dtype(value_dtype).base_dtype

    @property
    def key_dtype(self) -> DType:
        """The dtype of the keys."""
        return self._key_dtype

    @property
    def value_dtype(self) -> DType:
        """The dtype of the values."""
        return self._value_dtype


class TableInitializerBase(Keyed):
    """The base class of initializers: the dtypes of keys and values, and a node that makes the entries."""

    def entries(self) -> Tensor:
        """The node that makes the table's entries."""
        raise NotImplementedError


class KeyValueTensorInitializer(TableInitializerBase):
    """Initializes a table from two tensors of the same shape.

    key_dtype, value_dtype: for inputs that are not tensors.   Raises ValueError or TypeError if dtypes or shapes do not
    match. At run time, raises FailedPreconditionError if a key has two values.
    keys, values: tensors or lists of the same shape.
    """

    def __init__(self, keys: Any, values: Any, key_dtype: Any = None, value_dtype: Any = None, name: str | None = None):
        with name_scope(name, "key_value_init", [keys, values]):
            self._keys = convert_to_tensor(keys, key_dtype, name="keys")
            self._values = convert_to_tensor(values, value_dtype, name="values")
        if not self._keys.shape.is_compatible_with(self._values.shape):
            raise ValueError(f"keys and values must have the same shape: {self._keys.shape}, {self._values.shape}")
        super().__init__(self._keys.dtype, self._values.dtype)

    def entries(self) -> Tensor:
        """The node that makes the table's entries."""
        inputs = [self._keys, self._values]
        return apply(kernels.from_tensors, inputs, type="TableEntries", dtype=dtypes.object)


class TextFileInitializer(TableInitializerBase):
    """Initializes a table from the lines of a text file: `key_index` and `value_index` of each line.

    These are numbers of columns, separated by `delimiter`, or TextFileIndex.WHOLE_LINE (a string) or LINE_NUMBER
    (int64, from 0).   vocab_size: the number of lines to use.   Raises ValueError for invalid arguments. At run time,
    raises NotFoundError, or InvalidArgumentError for malformed lines.
    key_dtype, value_dtype: the dtypes of keys and values.
    """

    def __init__(
        self,
        filename: Any,
        key_dtype: Any,
        key_index: int,
        value_dtype: Any,
        value_index: int,
        vocab_size: int | None = None,
        delimiter: str = "\t",
        name: str | None = None,
    ):
        super().__init__(key_dtype, value_dtype)
        for word, index, dtype in (("Key", key_index, self.key_dtype), ("Value", value_index, self.value_dtype)):
            if index < -2:
                raise ValueError(f"Invalid {word.lower()} index {index}.")
            if index == TextFileIndex.LINE_NUMBER and dtype is not dtypes.int64:
                raise ValueError(f"Signature mismatch. {word}s must be dtype {dtypes.int64}, got {dtype}.")
            if index == TextFileIndex.WHOLE_LINE and dtype not in (dtypes.int64, dtypes.string):
                raise ValueError(f"Signature mismatch. {word}s must be integer or string, got {dtype}.")
        if as_tensor(filename) is None and not filename:
            raise ValueError("Filename required for TextFileInitializer.")
        if vocab_size is not None and vocab_size <= 0:
            raise ValueError(f"Invalid vocab_size {vocab_size}.")
        self._path = convert_to_tensor(filename, dtypes.string, name="filename")
        get_default_graph().add_to_collection(GraphKeys.ASSET_FILEPATHS, self._path)
        self._options = {
            "key": int(key_index),
            "value": int(value_index),
            "key_dtype": self.key_dtype.numpy,
            "value_dtype": self.value_dtype.numpy,
            "size": vocab_size,
            "delimiter": delimiter.encode(),
        }

    def entries(self) -> Tensor:
        """The node that makes the table's entries; it runs in the program that runs the session, which has the file."""
        graph = self._path.graph
        outputs: list = [(dtypes.object, None)]
        kernel = FileTable(self._options)
        inputs, traits = (self._path,), Traits(here=True)
        op = graph.add(Kind.FUNCTION, "TableOfFile", kernel=kernel, inputs=inputs, outputs=outputs, traits=traits)
        return op.outputs[0]


class FileTable:
    """The kernel of a table from a file."""

    def __init__(self, options: dict[str, Any]):
        self.options = options

    def __call__(self, path: bytes) -> kernels.Entries:
        return kernels.from_file(path, **self.options)


def TextFileStringTableInitializer(
    filename: Any,
    key_column_index: int = TextFileIndex.LINE_NUMBER,
    value_column_index: int = TextFileIndex.WHOLE_LINE,
    vocab_size: int | None = None,
    delimiter: str = "\t",
    name: str = "text_file_string_table_init",
) -> TextFileInitializer:
    """A table from line numbers of a text file to the lines."""
    options = (dtypes.int64, key_column_index, dtypes.string, value_column_index, vocab_size, delimiter, name)
    return TextFileInitializer(filename, *options)


def TextFileIdTableInitializer(
    filename: Any,
    key_column_index: int = TextFileIndex.WHOLE_LINE,
    value_column_index: int = TextFileIndex.LINE_NUMBER,
    vocab_size: int | None = None,
    delimiter: str = "\t",
    name: str = "text_file_id_table_init",
    key_dtype: Any = dtypes.string,
) -> TextFileInitializer:
    """A table from lines of a text file to their line numbers."""
    options = (key_dtype, key_column_index, dtypes.int64, value_column_index, vocab_size, delimiter, name)
    return TextFileInitializer(filename, *options)
