"""Kernels of lookup tables. A table is a value like any other, and immutable."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.errors import FailedPreconditionError, InvalidArgumentError
from weftwork.graph.files.system import as_path, file_errors, open_to_read
from weftwork.graph.kernels.text import number, shown
from weftwork.graph.operation import UNINITIALIZED
from weftwork.graph.python.ownership import add_atoms

WHOLE_LINE, LINE_NUMBER = -2, -1


class Entries:
    """The entries of a table; immutable."""

    __slots__ = ("found",)

    def __init__(self, found: dict):
        self.found = found


add_atoms(Entries)


def listed(array: Any) -> list:
    """The elements as Python objects, which are equal keys whatever their dtype."""
    return [array] if isinstance(array, bytes) else np.ravel(array).tolist()


def _entries(keys: list, values: list) -> Entries:
    found: dict = {}
    for key, value in zip(keys, values, strict=True):
        if found.setdefault(key, value) != value:
            text = f"HashTable has different value for same key. Key {_text(key)} has {_text(found[key])}"
            raise FailedPreconditionError(None, None, f"{text} and trying to add value {_text(value)}")
    return Entries(found)


def _text(value: Any) -> str:
    return shown(value) if isinstance(value, bytes) else str(value)


def from_tensors(keys: Any, values: Any) -> Entries:
    """The kernel of a table of keys and values. Raises FailedPreconditionError if a key has two values."""
    if np.shape(keys) != np.shape(values):
        text = f"keys and values must have the same shape, not {list(np.shape(keys))} and {list(np.shape(values))}"
        raise InvalidArgumentError(None, None, text)
    return _entries(listed(keys), listed(values))


def from_file(
    path: bytes, *, key: int, value: int, key_dtype: np.dtype, value_dtype: np.dtype, size: int | None, delimiter: bytes
) -> Entries:
    """The kernel of a table of a text file's lines."""
    name, keys, values = as_path(path), [], []
    with open_to_read(path) as file, file_errors(name):
        for line, text in enumerate(file):
            if line == size:
                break
            text = text.rstrip(b"\r\n")
            fields = text.split(delimiter) if max(key, value) >= 0 else []
            keys.append(_field(name, line, text, fields, key, key_dtype))
            values.append(_field(name, line, text, fields, value, value_dtype))
    if size is not None and len(keys) < size:
        text = f"Invalid vocab_size in {name}: expected {size} but got {len(keys)}"
        raise InvalidArgumentError(None, None, text)
    return _entries(keys, values)


def _field(name: str, line: int, text: bytes, fields: list[bytes], column: int, dtype: np.dtype) -> Any:
    if column == LINE_NUMBER:
        return line
    if column >= len(fields):
        counts = f"expected at least {column + 1} got {len(fields)}"
        message = f"Invalid number of columns in {name} line {line} ({shown(text)}) : {counts}"
        raise InvalidArgumentError(None, None, message)
    field = text if column == WHOLE_LINE else fields[column]
    if dtype.kind == "O":
        return field
    found = number(field, dtype)
    if found is None:
        message = f"Field {shown(field)} in line {line} of {name} is not a valid {dtype.name}."
        raise InvalidArgumentError(None, None, message)
    return found.item()


def _ready(table: Any) -> dict:
    if table is UNINITIALIZED:
        raise FailedPreconditionError(None, None, "Table not initialized: run tf.tables_initializer() first.")
    return table.found


def find(table: Any, keys: Any, default: Any, *, dtype: np.dtype) -> Any:
    """The kernel of LookupTableFind."""
    found = _ready(table)
    result = np.empty(np.shape(keys), dtype)
    flat, otherwise = result.reshape(-1), default if isinstance(default, bytes) else np.asarray(default).item()
    flat[:] = [found.get(key, otherwise) for key in listed(keys)]
    return result[()]


def size(table: Any) -> Any:
    """The kernel of LookupTableSize."""
    return np.int64(len(_ready(table)))
