"""Read checkpoints: check the index, then read each value straight into its final array.

An index or data file is trusted only if its content is possible and its checksums match. So a corrupt or malicious
checkpoint leads to an error, never to a wrong value, and can refer to no files but its own. The formats are described
in `writer` (ours) and `bundle` (TensorFlow's).
"""

from __future__ import annotations

import json
import math
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from weftwork.actors.checkpoints import bundle, sliced
from weftwork.actors.checkpoints.encoding import NUMBERS, TYPES, decode, little
from weftwork.actors.checkpoints.files import Files, file_errors, files_of, split
from weftwork.actors.checkpoints.slices import Cut, assembled, parsed, place_of
from weftwork.actors.checkpoints.writer import (
    CHUNK,
    FORMAT,
    VERSION,
    Row,
    check_size,
    data_name,
    index_name,
    single_files,
)
from weftwork.graph import dtypes, shapes
from weftwork.graph.errors import DataLossError, InvalidArgumentError, NotFoundError, OpError, UnimplementedError
from weftwork.graph.files.checksums import crc32c, masked
from weftwork.graph.shapes import RawShape, bracket_text

_HEADER = 200
"""Maximum length in bytes of an index's first line."""


class Wanted(NamedTuple):
    """A value to read: its key, expected dtype, and expected shape. A shape of None accepts any shape.

    spec: the slice to read (see `slices`); empty for the whole.
    """

    key: str
    dtype: str
    shape: RawShape
    reshape: bool = False
    spec: str = ""


class CheckpointReader:
    """A checkpoint, open for reading. Creating the reader reads only the index.

    files: the folder's files.
    Raises NotFoundError if no checkpoint has this prefix, DataLossError if its index is corrupt or of another format.
    """

    def __init__(self, prefix: str | os.PathLike[str], files: Files | None = None):
        self._prefix = prefix = os.fspath(prefix)
        self._files = files or files_of(prefix)
        self._shards: list[tuple[str, int]] = []
        self._rows: dict[str, Row] = {}
        self._sliced = _read_sliced(prefix, self._files)
        """What is in TensorFlow's older files: see `sliced`. None for others."""
        content = b"" if self._sliced else _read_content(prefix, self._files)
        self._bundle = bundle.is_table(content)
        """Whether this is a checkpoint of TensorFlow's V2 format."""
        if self._sliced is not None:
            kept = self._sliced.kept.items()
            self._rows = {key: Row(value.dtype, value.shape, 0, 0, 0, 0) for key, value in kept}
        else:
            self._load(content)

    def _load(self, content: bytes) -> None:
        body = content if self._bundle else _checked_body(index_name(self._prefix), content)
        try:
            if self._bundle:
                self._shards, self._rows = bundle.read_index(content, self._prefix)
                return
            index = json.loads(body)
            shards = index["shards"]
            for number, shard in enumerate(shards):
                token, size = shard["token"], _whole(shard["bytes"])
                if not re.fullmatch("[0-9a-f]*", token):  # a free-form name could point to any file
                    raise ValueError(f"{token!r} is not a token")
                self._shards.append((data_name(self._prefix, number, len(shards), token), size))
            self._rows = {key: _row(row, self._shards) for key, row in index["tensors"].items()}
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise DataLossError(None, None, f"{index_name(self._prefix)}: corrupt index: {error}") from error

    def has_tensor(self, tensor_str: str) -> bool:
        """Whether the checkpoint has a value with this key.

        tensor_str: the key.
        """
        return tensor_str in self._rows

    def get_variable_to_shape_map(self) -> dict[str, list[int] | None]:
        """The shape of each value, by key. The shape of a Python object is None."""
        return {key: None if row.shape is None else list(row.shape) for key, row in self._rows.items()}

    def get_variable_to_dtype_map(self) -> dict[str, dtypes.DType]:
        """The dtype of each value, by key."""
        return {key: dtypes.ALL[row.dtype] for key, row in self._rows.items() if row.dtype in dtypes.ALL}

    def get_tensor(self, tensor_str: str) -> Any:
        """Read the value of a key. Raises NotFoundError for an unknown key, DataLossError for corrupt data.

        tensor_str: the key.
        """
        self._check_keys([tensor_str])
        return self.read([Wanted(tensor_str, self._rows[tensor_str].dtype, None)])[0]

    def data_files(self) -> list[str]:
        """The names of the data files in the index."""
        return [name for name, _ in self._shards]

    def debug_string(self) -> bytes:
        """One line per value: key, dtype, shape."""
        lines = [f"{key} ({_type_word(row)}) {bracket_text(row.shape)}\n" for key, row in sorted(self._rows.items())]
        return "".join(lines).encode()

    def read(self, wanted: Sequence[Wanted]) -> list[Any]:
        """Read values, in the given order. All keys, types and shapes are checked before any data is read.

        wanted: (key, dtype, shape) of each value.
        Raises NotFoundError for a missing key or data file, InvalidArgumentError for a mismatch of type or shape, and
        DataLossError for corrupt data.
        """
        self._check_keys([want.key for want in wanted])
        targets = [self._target(want, self._rows[want.key]) for want in wanted]
        with ExitStack() as opened:
            readers: dict[int, Any] = {}
            found = []

            def reader(row: Row) -> Any:
                if row.shard not in readers:
                    readers[row.shard] = opened.enter_context(self._open(row.shard))
                return readers[row.shard]

            for want, shape in zip(wanted, targets, strict=True):
                row = self._rows[want.key]
                place = place_of(parsed(want.spec)[1], row.shape or ()) if want.spec else None
                if self._sliced is None and not row.parts:
                    value = self._value(row, row.shape if place else shape, reader(row))
                    found.append(value[place].copy() if place else value)
                    continue
                value = self._from_slices(want.key, row, place, reader)
                found.append(value.reshape(shape) if isinstance(value, np.ndarray) and not place else value)
        return found

    def _from_slices(self, key: str, row: Row, place: tuple[slice, ...] | None, reader: Callable[[Row], Any]) -> Any:
        """A value stored in slices, or a part of it."""
        try:
            if self._sliced is not None:
                return self._sliced.value(key, place)
            whole = place_of((None,) * len(row.shape or ()), row.shape or ()) if place is None else place
            parts = [(_ranges(at), partial(self._value, part, part.shape, reader(part))) for at, part in row.parts]
            return assembled(whole, NUMBERS.get(row.dtype, np.dtype(object)), parts)
        except ValueError as error:
            raise DataLossError(None, None, f"{self._prefix}: {key}: {error}") from error

    def items(self) -> Iterator[tuple[str, str, Any]]:
        """(key, type, value) of all values; for a value stored in slices, a `Cut` for each slice."""
        for key, row in sorted(self._rows.items()):
            if not row.parts:
                yield key, row.dtype, self.get_tensor(key)
            for cut, part in row.parts:
                with self._open(part.shard) as reader:
                    yield key, row.dtype, Cut(self._value(part, part.shape, reader), row.shape or (), cut)

    def _check_keys(self, keys: Iterable[str]) -> None:
        missing = [key for key in keys if key not in self._rows]
        if missing:
            more = f"; also missing: {', '.join(missing[1:])}" if missing[1:] else ""
            raise NotFoundError(None, None, f"Key {missing[0]} not found in checkpoint {self._prefix}{more}")

    def _target(self, want: Wanted, row: Row) -> tuple[int, ...] | None:
        """The shape in which to read a value; None for a Python object."""
        if row.dtype not in TYPES:
            text = f"{want.key} in {self._prefix} is {row.dtype}, which Weftwork does not support"
            raise UnimplementedError(None, None, text)
        if want.dtype != row.dtype:
            expected, original = (dtypes.ALL[name].cpp_name for name in (want.dtype, row.dtype))
            text = f"tensor_name = {want.key}; expected dtype {expected} does not equal original dtype {original}"
            raise InvalidArgumentError(None, None, text)
        if want.spec:
            whole = parsed(want.spec)[0]
            if whole != row.shape:
                text = (
                    f"Shape in shape_and_slice spec {bracket_text(whole)} does not match the shape in the checkpoint: "
                )
                raise InvalidArgumentError(None, None, f"{text}{bracket_text(row.shape)}: {want.key}")
            return row.shape
        if want.shape is None or row.shape is None or shapes.compatible(want.shape, row.shape):
            return row.shape
        if not want.reshape or None in want.shape:
            raise InvalidArgumentError(
                None,
                None,
                f"Assign requires shapes of both tensors to match. lhs shape= {bracket_text(want.shape)} "
                f"rhs shape= {bracket_text(row.shape)}: {want.key} in the checkpoint has another shape",
            )
        has, needs = math.prod(row.shape), math.prod(want.shape)  # type: ignore[arg-type]
        if has != needs:
            text = f"Input to reshape is a tensor with {has} values, but the requested shape has {needs}: {want.key}"
            raise InvalidArgumentError(None, None, text)
        return want.shape  # type: ignore[return-value]

    def _open(self, shard: int) -> Any:
        name, size = self._shards[shard]
        if not self._bundle:
            check_size(name, size, self._files)
        with file_errors(name):
            return self._files.open(name)

    def _value(self, row: Row, shape: tuple[int, ...] | None, reader: Any) -> Any:
        name, _ = self._shards[row.shard]
        numbers = row.dtype in NUMBERS
        made = np.empty(shape if numbers else row.bytes, little(row.dtype) if numbers else np.uint8)  # type: ignore[arg-type]
        raw = made.reshape(-1).view(np.uint8)
        with file_errors(name):
            checksum = _fill(raw, row.offset, reader, name, crc32c if self._bundle else zlib.crc32)
        if self._bundle and not numbers:
            return self._strings(raw.tobytes(), row, name)
        if self._bundle:
            checksum = masked(checksum)
        if checksum != row.crc32:
            raise self._changed(row, checksum)
        if row.dtype == "bool" and raw.max(initial=0) > 1:
            raise DataLossError(None, None, f"{name}: a boolean is neither 0 nor 1")
        if numbers:
            made = made.astype(NUMBERS[row.dtype], copy=False)
            return made if made.ndim else made[()]
        try:
            return decode(raw.tobytes(), row.dtype, shape)
        except ValueError as error:
            raise DataLossError(None, None, f"{name}: {error}") from error

    def _changed(self, row: Row, checksum: int) -> DataLossError:
        size = self._shards[row.shard][1]
        return DataLossError(
            None,
            None,
            f"TensorBundle at {self._prefix} shard {row.shard} ({size} bytes): Checksum does not match: stored "
            f"{row.crc32} vs. calculated on the restored bytes {checksum}",
        )

    def _strings(self, data: bytes, row: Row, name: str) -> Any:
        """Decode strings of TensorFlow's format."""
        try:
            found, checksum = bundle.decode_strings(data, row.shape or ())
        except ValueError as error:
            raise DataLossError(None, None, f"{name}: {error}") from error
        if checksum != row.crc32:
            raise self._changed(row, checksum)
        return found


def _ranges(cut: Iterable[tuple[int, int]]) -> tuple[slice, ...]:
    return tuple([slice(start, start + length) for start, length in cut])


def _type_word(row: Row) -> str:
    return f"DT_{dtypes.ALL[row.dtype].cpp_name.upper()}" if row.dtype in dtypes.ALL else row.dtype


def _fill(raw: np.ndarray, offset: int, reader: Any, name: str, extend: Callable[[Any, int], int]) -> int:
    """Read bytes into `raw` and return their checksum."""
    view, at, checksum = raw.data, 0, 0
    reader.seek(offset)
    while at < len(view):
        count = reader.readinto(view[at : at + CHUNK])
        if not count:
            raise DataLossError(None, None, f"{name}: Read less bytes than requested")
        checksum = extend(view[at : at + count], checksum)
        at += count
    return checksum


def _read_sliced(prefix: str, files: Files) -> sliced.Sliced | None:
    """The content of a checkpoint without an index; None if there is an index, or there are no such files."""
    with file_errors(prefix):
        names = [] if files.exists(index_name(prefix)) else single_files(prefix, files)
        contents = []
        for name in names:
            with files.open(name) as reader:
                contents.append(reader.read())
    if not contents or not all(map(bundle.is_table, contents)):
        return None
    try:
        return sliced.Sliced(contents)
    except (ValueError, TypeError) as error:
        raise DataLossError(None, None, f"{prefix}: corrupt checkpoint: {error}") from error


def _read_content(prefix: str, files: Files) -> bytes:
    """Read an index file."""
    name = index_name(prefix)
    with file_errors(name):
        if not files.exists(name):
            raise _no_index(prefix, files)
        with files.open(name) as reader:
            return reader.read()


def _checked_body(name: str, content: bytes) -> bytes:
    """Check the head of an index of Weftwork's format, and return the rest."""
    head, newline, body = content.partition(b"\n")
    try:
        head_fields = json.loads(head) if newline and len(head) < _HEADER else None
    except (ValueError, RecursionError):
        head_fields = None
    if type(head_fields) is not dict or head_fields.get("format") != FORMAT:
        raise _foreign(name)
    if head_fields.get("version") != VERSION:
        text = f"{name} is a checkpoint of version {head_fields.get('version')}; this program reads version {VERSION}"
        raise InvalidArgumentError(None, None, text)
    if head_fields.get("bytes") != len(body):
        text = f"{name} is truncated: it has {len(body)} of {head_fields.get('bytes')} bytes"
        raise DataLossError(None, None, text)
    checksum = zlib.crc32(body)
    if head_fields.get("crc32") != checksum:
        text = f"{name}: Checksum does not match: stored {head_fields.get('crc32')} vs. calculated {checksum}"
        raise DataLossError(None, None, text)
    return body


def _no_index(prefix: str, files: Files) -> OpError:
    if files.exists(prefix):
        return _foreign(prefix)
    text = f"Unsuccessful TensorSliceReader constructor: Failed to find any matching files for {prefix}"
    return NotFoundError(None, None, text)


def _foreign(name: str) -> DataLossError:
    text = f"Unable to open table file {name}: Data loss: not a Weftwork checkpoint (bad magic number): perhaps your "
    return DataLossError(None, None, text + "file is in a different file format, or corrupt")


def tidy(prefix: str, files: Files | None = None) -> None:
    """Delete leftovers of failed saves: data files of this prefix that no index names. Errors are ignored."""
    files = files or files_of(prefix)
    with suppress(OpError, OSError):
        index = index_name(prefix)
        named = CheckpointReader(prefix, files).data_files() if files.exists(index) else []
        kept = {split(name)[1] for name in named}
        for name in files.starting_with(f"{prefix}.data-"):
            if split(name)[1] not in kept:
                files.remove(name)


def _row(row: Mapping[str, Any], shards: list[tuple[str, int]]) -> Row:
    """Parse one row of the index. Raises ValueError if it is impossible."""
    dtype, shape = row["dtype"], row["shape"]
    shard, offset, size, checksum = (_whole(row[word]) for word in ("shard", "offset", "bytes", "crc32"))
    if dtype not in TYPES or (shape is None) != (dtype == "object"):
        raise ValueError(f"no value can be of type {dtype!r} and shape {shape!r}")
    if shape is not None:
        shape = tuple([_whole(d) for d in shape])
    if row.get("parts"):
        return _in_parts(Row(dtype, shape, shard, 0, 0, 0), row["parts"], shards)
    if offset + size > shards[shard][1]:
        raise ValueError("a value ends beyond its file")
    if shape is not None and dtype in NUMBERS and math.prod(shape) * NUMBERS[dtype].itemsize != size:
        raise ValueError(f"a value of type {dtype} and shape {list(shape)} cannot have {size} bytes")
    return Row(dtype, shape, shard, offset, size, checksum)


def _in_parts(whole: Row, parts: Any, shards: list[tuple[str, int]]) -> Row:
    """The row of a value stored in slices. Raises ValueError for impossible slices."""
    found = []
    for ranges, entry in parts:
        cut = tuple([(_whole(start), _whole(length)) for start, length in ranges])
        part = _row(entry, shards)
        lengths = tuple([at.stop - at.start for at in place_of(cut, whole.shape or ())])
        if part.parts or part.dtype != whole.dtype or part.shape != lengths:
            raise ValueError("a slice has another dtype or shape than the tensor")
        found.append((cut, part))
    return whole._replace(parts=tuple(found))


def _whole(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is not an integer")
    return number
