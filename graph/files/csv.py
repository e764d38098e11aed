"""The kernel of `decode_csv`: splits lines of comma-separated values according to RFC 4180."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.kernels.text import number, shown

_QUOTE, _ENDS = b'"', (b"\n", b"\r")


def decode_csv(
    records: Any, *defaults: Any, dtypes: tuple, delim: bytes, quotes: bool, missing: bytes, columns: tuple | None
) -> Any:
    """The columns of the records, one array for each of `dtypes`."""
    columns_of_values = [np.empty(np.shape(records), object if d.kind == "O" else d) for d in dtypes]
    flat = [column.reshape(-1) for column in columns_of_values]
    for i, record in enumerate(np.ravel(np.asarray(records, object))):
        fields = _fields(record, delim, quotes, i)
        if columns is not None:
            if columns and columns[-1] >= len(fields):
                raise _error(f"Expect at least {columns[-1] + 1} fields but have {len(fields)} in record {i}")
            fields = [fields[c] for c in columns]
        if len(fields) != len(dtypes):
            raise _error(f"Expect {len(dtypes)} fields but have {len(fields)} in record {i}")
        for j, (field, default, dtype) in enumerate(zip(fields, defaults, dtypes, strict=True)):
            flat[j][i] = _value(field, dtype, j, i) if field and field != missing else _default(default, j, i)
    columns_made = [column[()] for column in columns_of_values]
    return columns_made[0] if len(columns_made) == 1 else tuple(columns_made)


def _value(field: bytes, dtype: np.dtype, j: int, i: int) -> Any:
    value = field if dtype.kind == "O" else number(field, dtype)
    if value is None:
        raise _error(f"Field {j} in record {i} is not a valid {dtype.name}: {shown(field)}")
    return value


def _default(default: Any, j: int, i: int) -> Any:
    if not np.size(default):
        raise _error(f"Field {j} is required but missing in record {i}!")
    return default if isinstance(default, bytes) else np.ravel(default)[0]


def _fields(record: bytes, delim: bytes, quotes: bool, i: int) -> list[bytes]:
    record = record.lstrip(b"\r\n")
    if not (quotes and _QUOTE in record) and not any(end in record for end in _ENDS):
        return record.split(delim) if record else []
    fields, at = [], 0
    while at < len(record):
        if record[at : at + 1] in _ENDS:
            at += 1
        elif quotes and record[at : at + 1] == _QUOTE:
            field, at = _quoted(record, at + 1, delim, i)
            fields.append(field)
        else:
            end = record.find(delim, at)
            end = len(record) if end < 0 else end
            field = record[at:end]
            if (quotes and _QUOTE in field) or any(c in field for c in _ENDS):
                raise _error(f"Unquoted fields cannot have quotes/CRLFs inside: record {i}, {shown(record)}")
            fields.append(field)
            at = end + 1
    return [*fields, b""] if record.endswith(delim) and at == len(record) else fields


def _quoted(record: bytes, at: int, delim: bytes, i: int) -> tuple[bytes, int]:
    """A field, starting after its opening quote, and the position of the next field."""
    parts = []
    while True:
        end = record.find(_QUOTE, at)
        if end < 0:
            raise _error(f"Quoted field has to end with quote followed by delim or end: record {i}, {shown(record)}")
        parts.append(record[at:end])
        after = record[end + 1 : end + 2]
        if after in (b"", delim):
            return b"".join(parts), end + 2
        if after != _QUOTE:
            text = f"Quote inside a string has to be escaped by another quote: record {i}, {shown(record)}"
            raise _error(text)
        parts.append(_QUOTE)
        at = end + 2


def _error(text: str) -> InvalidArgumentError:
    return InvalidArgumentError(None, None, text)
