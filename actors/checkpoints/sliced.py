"""TensorFlow's older checkpoint files, "V1": one sorted table, which holds the values themselves, slice by slice.

meta    the value of the empty key: the names, shapes, types and slices in the file
data    the value of a slice's key (`slices`): its numbers, in the field of their type

The file of a checkpoint is the prefix itself; of several shards, `PREFIX-00000-of-00002` and so on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from weftwork.actors.checkpoints.bundle import is_table, read_table, table
from weftwork.actors.checkpoints.encoding import NUMBERS
from weftwork.actors.checkpoints.files import Files, file_errors, files_of, write_whole
from weftwork.actors.checkpoints.slices import SLICE_MESSAGES, Cut, Slice, assembled, place_of, slice_key, slice_of
from weftwork.actors.checkpoints.writer import Part
from weftwork.graph import dtypes
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.protos import messages

_FIELDS = {
    "float32": "float_val", "float64": "double_val", "string": "string_val", "int64": "int64_val", "bool": "bool_val",
    "complex64": "scomplex_val", "complex128": "dcomplex_val", "float16": "half_val", "uint32": "uint32_val",
    "uint64": "uint64_val", **dict.fromkeys(["int32", "uint8", "int16", "int8", "uint16"], "int_val"),
}  # fmt: skip
"""The field in which a TensorProto has its values, by dtype."""


@cache
def _messages() -> dict[str, Any]:
    return messages(
        "weftwork.sliced",
        {
            **SLICE_MESSAGES,
            "Version": {"producer": "1 int32", "min_consumer": "2 int32"},
            "Tensor": {
                "dtype": "1 int32",
                "half_val": "13 repeated int32",
                "float_val": "5 repeated float",
                "double_val": "6 repeated double",
                "int_val": "7 repeated int32",
                "string_val": "8 repeated bytes",
                "scomplex_val": "9 repeated float",
                "int64_val": "10 repeated int64",
                "bool_val": "11 repeated bool",
                "dcomplex_val": "12 repeated double",
                "uint32_val": "16 repeated uint32",
                "uint64_val": "17 repeated uint64",
            },
            "SliceMeta": {"name": "1 string", "shape": "2 Shape", "type": "3 int32", "slice": "4 repeated Slice"},
            "Meta": {"tensor": "1 repeated SliceMeta", "versions": "2 Version"},
            "Data": {"name": "1 string", "slice": "2 Slice", "data": "3 Tensor"},
            "Saved": {"meta": "1 Meta", "data": "2 Data"},
        },
    )


class Kept(NamedTuple):
    """A value of a checkpoint: its type and shape, and the (slice, key) of its parts."""

    dtype: str
    shape: tuple[int, ...]
    parts: list[tuple[Slice, bytes]]


# Reading


class Sliced:
    """The values of V1 files. Raises ValueError for damaged files, and for files in another format."""

    def __init__(self, contents: Iterable[bytes]):
        self.kept: dict[str, Kept] = {}
        self._data: dict[bytes, bytes] = {}
        for content in contents:
            if not is_table(content):
                raise ValueError("not an sstable (bad magic number)")
            items = dict(read_table(content))
            for entry in _parsed(items.pop(b"", b"")).meta.tensor:
                self._add(entry)
            self._data |= items

    def _add(self, entry: Any) -> None:
        shape = tuple([int(dim.size) for dim in entry.shape.dim])
        dtype = dtypes.as_dtype(entry.type).name
        known = self.kept.setdefault(entry.name, Kept(dtype, shape, []))
        if known[:2] != (dtype, shape) or min(shape, default=0) < 0:
            raise ValueError(f"{entry.name} is listed twice, or has a negative size")
        known.parts.extend([(slice_of(part), slice_key(entry.name, slice_of(part))) for part in entry.slice])

    def value(self, name: str, place: tuple[slice, ...] | None = None) -> Any:
        """The value of a key, or a part of it.

        Raises ValueError if a slice is missing, or differs from its entry.
        """
        kept = self.kept[name]
        parts = []
        for cut, key in kept.parts:
            where = place_of(cut, kept.shape)
            shape = tuple([at.stop - at.start for at in where])
            parts.append((where, partial(self._part, name, key, kept.dtype, shape)))
        wanted = place_of((None,) * len(kept.shape), kept.shape) if place is None else place
        try:
            made = assembled(wanted, object if kept.dtype == "string" else NUMBERS[kept.dtype], parts)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        return made if made.ndim else made[()]

    def _part(self, name: str, key: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        if key not in self._data:
            raise ValueError(f"{name}: a slice is missing")
        flat = _numbers(_parsed(self._data[key]).data.data, dtype)
        if flat.size != math.prod(shape):
            raise ValueError(f"{name}: a slice of shape {list(shape)} cannot have {flat.size} values")
        return flat.reshape(shape)


def _parsed(data: bytes) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return _messages()["Saved"].FromString(data)
    except DecodeError as error:
        raise ValueError(f"it is damaged: {error}") from error


def _numbers(proto: Any, dtype: str) -> np.ndarray:
    """The values of a TensorProto, as a vector."""
    items = getattr(proto, _FIELDS[dtype])
    if dtype == "string":
        made = np.empty(len(items), object)
        made[:] = list(items)
        return made
    if dtype == "float16":
        return np.array(items, np.uint16).view(np.float16)
    if dtype.startswith("complex"):
        real = np.array(items, "float32" if dtype == "complex64" else "float64")
        return (real[0::2] + 1j * real[1::2]).astype(dtype)
    return np.array(items, dtype=NUMBERS[dtype])


# Writing


def write_shard(
    prefix: str, values: Iterable[tuple[str, str, Any]], shard: int = 0, shards: int = 0, files: Files | None = None
) -> Part:
    """Write one file of (key, type, value): of `shards` many, or the only one (0).

    Raises InvalidArgumentError for kinds of values that it cannot hold."""
    files = files or files_of(prefix)
    kinds = _messages()
    about, items = kinds["Saved"](), {}
    about.meta.versions.producer = 1
    known: dict[str, Any] = {}
    for key, type_, value in sorted(values, key=lambda item: item[0]):
        if type_ not in _FIELDS:
            raise InvalidArgumentError(
                None, None, f"The value of {key} is of type {type_}, which no V1 checkpoint holds"
            )
        array, shape, cut = value if isinstance(value, Cut) else (value, np.shape(value), (None,) * np.ndim(value))
        entry = known.get(key)
        if entry is None:
            entry = known[key] = about.meta.tensor.add(name=key, type=dtypes.ALL[type_].as_datatype_enum)
            entry.shape.dim.extend([kinds["Dim"](size=size) for size in shape])
        ranges = [{} if extent is None else {"start": extent[0], "length": extent[1]} for extent in cut]
        which = kinds["Slice"](extent=[kinds["Extent"](**extent) for extent in ranges])
        entry.slice.append(which)
        data = kinds["Data"](name=key, slice=which)
        _fill(data.data, type_, array)
        items[slice_key(key, cut)] = kinds["Saved"](data=data).SerializeToString()
    with file_errors(prefix):
        files.make_folder(prefix)
    name = f"{prefix}-{shard:05d}-of-{shards:05d}" if shards else prefix
    write_whole(name, table([(b"", about.SerializeToString()), *sorted(items.items())]), files)
    return Part(shard, shards, "", 0, {})


def _fill(proto: Any, dtype: str, value: Any) -> None:
    field = getattr(proto, _FIELDS[dtype])
    if dtype == "string":
        flat = value.ravel().tolist() if isinstance(value, np.ndarray) else [value]
        field.extend([item.encode() if isinstance(item, str) else bytes(item) for item in flat])
        return
    flat = np.ascontiguousarray(np.asarray(value, NUMBERS[dtype])).reshape(-1)
    if dtype == "float16":
        flat = flat.view(np.uint16)
    elif dtype.startswith("complex"):
        flat = flat.view("float32" if dtype == "complex64" else "float64")
    field.extend(flat.tolist())


def write_index(prefix: str, parts: Sequence[Part], files: Files | None = None) -> None:
    """Do nothing: each file describes its own content."""
