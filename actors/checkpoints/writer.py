"""Write checkpoints: values of variables on disk, as data that is safe to load whoever wrote it.

prefix   the path or URL of a checkpoint; its files are `PREFIX.index` and `PREFIX.data-00000-of-00001`
key      the name of a value in it
shard    a data file: values in a row, each aligned to 64 bytes. Shards can be written in parallel
index    locates the values: a first line with the format and a checksum of the rest, then JSON
token    a suffix of data file names, used when a checkpoint replaces another of the same prefix

Invariant: the index is written last, in one step, and names only files that are safely on disk. The files of the old
index are deleted after that. So a prefix that has a whole checkpoint keeps one, whenever the writer dies.
"""

from __future__ import annotations

import json
import re
import secrets
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from weftwork.actors.checkpoints.encoding import encode
from weftwork.actors.checkpoints.files import Files, file_errors, files_of, write_whole, writing
from weftwork.actors.checkpoints.slices import Cut, place_of
from weftwork.graph.errors import DataLossError, InvalidArgumentError

FORMAT = "weftwork checkpoint"
VERSION = 1
_ALIGNED = 64
CHUNK = 16 << 20
"""Bytes to read or write per call."""


class Row(NamedTuple):
    """The type, shape and position of a value."""

    dtype: str
    shape: tuple[int, ...] | None
    shard: int
    offset: int
    bytes: int
    crc32: int
    parts: tuple = ()
    """For a value in slices, (range along each axis, row) of each slice; the value itself then has no position."""


class Part(NamedTuple):
    """A written shard: its number, the number of all shards, its size in bytes, and its rows by key."""

    shard: int
    shards: int
    token: str
    bytes: int
    rows: dict[str, Row]


def note(rows: dict[str, Row], key: str, row: Row, value: Any) -> None:
    """Add the row of a value, or of a slice of one (a `Cut`), some of whose slices may be there already."""
    if not isinstance(value, Cut):
        rows[key] = row
        return
    whole = rows.setdefault(key, Row(row.dtype, value.shape, row.shard, 0, 0, 0))
    place = tuple([(at.start, at.stop - at.start) for at in place_of(value.cut, value.shape)])
    rows[key] = whole._replace(parts=(*whole.parts, (place, row)))


def all_rows(parts: Iterable[Part]) -> dict[str, Row]:
    """The rows of all shards. The slices of a value may lie in several."""
    rows: dict[str, Row] = {}
    for part in parts:
        for key, row in part.rows.items():
            both = (*rows[key].parts, *row.parts) if key in rows else row.parts
            rows[key] = row._replace(parts=both)
    return rows


def data_name(prefix: str, shard: int, shards: int, token: str) -> str:
    """The file name of a shard."""
    return f"{prefix}.data-{shard:05d}-of-{shards:05d}{'-' if token else ''}{token}"


def index_name(prefix: str) -> str:
    """The file name of the index."""
    return f"{prefix}.index"


def exists(prefix: str, files: Files | None = None) -> bool:
    """Whether a checkpoint, or a file, of this name exists."""
    files = files or files_of(prefix)
    return bool(files.exists(index_name(prefix)) or single_files(prefix, files))


def single_files(prefix: str, files: Files) -> list[str]:
    """The files of a checkpoint without an index (`sliced`): the prefix itself, or its shards.

    A prefix that ends in `-?????-of-00002` stands for its two shards, one that ends in `-?????-of-?????` for any.
    """
    if files.exists(prefix):
        return [prefix]
    base = unsharded(prefix)
    count = prefix[-5:] if base != prefix and not prefix.endswith("?") else r"\d{5}"
    with suppress(OSError):
        shard = re.compile(rf"{re.escape(base)}-\d{{5}}-of-{count}")
        return [name for name in files.starting_with(f"{base}-") if shard.fullmatch(name)]
    return []


def unsharded(prefix: str) -> str:
    """A prefix without an ending that stands for all shards, such as `-?????-of-00002`."""
    return re.sub(r"-\?{5}-of-(\d{5}|\?{5})$", "", prefix)


# Writing


def write_shard(
    prefix: str, values: Iterable[tuple[str, str, Any]], shard: int = 0, shards: int = 1, files: Files | None = None
) -> Part:
    """Write one data file of (key, type, value). The checkpoint exists once `write_index` has been given all parts.

    A value may be a `Cut`, whose other slices have the same key.
    Raises InvalidArgumentError for a value that is not plain data, and OpErrors for errors of the operating system.
    """
    files = files or files_of(prefix)
    with file_errors(prefix):
        token = secrets.token_hex(4) if files.exists(index_name(prefix)) else ""
    rows: dict[str, Row] = {}
    at = 0
    name = data_name(prefix, shard, shards, token)
    with writing(name, files) as writer:
        for key, type_, value in values:
            array = value.value if isinstance(value, Cut) else value
            data = _encoded(key, type_, array)
            gap = -at % _ALIGNED
            if gap:
                files.write(writer, bytes(gap))
            at, checksum = at + gap, 0
            for start in range(0, len(data), CHUNK):
                piece = data[start : start + CHUNK]
                checksum = zlib.crc32(piece, checksum)
                files.write(writer, piece)
            shape = None if type_ == "object" else np.shape(array)
            note(rows, key, Row(type_, shape, shard, at, len(data), checksum), value)
            at += len(data)
    with file_errors(name):
        files.settle(name)
    return Part(shard, shards, token, at, rows)


def _encoded(key: str, type_: str, value: Any) -> memoryview:
    try:
        return encode(value, type_)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(None, None, f"The value of {key} cannot be saved: {error}") from error


def write_index(prefix: str, parts: Sequence[Part], files: Files | None = None) -> None:
    """Publish written shards as the checkpoint `prefix`, and delete the data files of the checkpoint it replaces.

    Raises NotFoundError if a shard is not visible to this process, DataLossError if a shard is incomplete.
    """
    files = files or files_of(prefix)
    parts = sorted(parts, key=lambda part: part.shard)
    rows = {key: _as_json(row) for key, row in all_rows(parts).items()}
    kept = set()
    for part in parts:
        name = data_name(prefix, part.shard, part.shards, part.token)
        check_size(name, part.bytes, files)
        kept.add(_base_name(name))
    shards = [{"token": part.token, "bytes": part.bytes} for part in parts]
    body = json.dumps({"shards": shards, "tensors": rows}, separators=(",", ":")).encode()
    head = {"format": FORMAT, "version": VERSION, "bytes": len(body), "crc32": zlib.crc32(body)}
    write_whole(index_name(prefix), json.dumps(head).encode() + b"\n" + body, files)
    with suppress(OSError):
        for name in _files_of(prefix, files):
            if _base_name(name) not in kept and name != index_name(prefix):
                files.remove(name)


def _as_json(row: Row) -> dict[str, Any]:
    """A row, in the form of the index."""
    entry = {name: value for name, value in row._asdict().items() if name != "parts"}
    if row.parts:
        entry["parts"] = [[place, _as_json(part)] for place, part in row.parts]
    return entry


def _base_name(name: str) -> str:
    return name.rpartition("/")[2]


def _files_of(prefix: str, files: Files) -> list[str]:
    """All files of a checkpoint, and leftovers of writers that died. The index comes first."""
    return [*files.starting_with(index_name(prefix)), *files.starting_with(f"{prefix}.data-")]


def check_size(name: str, size: int, files: Files) -> None:
    """Raise DataLossError if a file's size is not `size`, NotFoundError if the file does not exist."""
    with file_errors(name):
        found = files.size(name)
    if found != size:
        raise DataLossError(None, None, f"{name} has {found} bytes, but {size} were written")


def remove(prefix: str, files: Files | None = None) -> None:
    """Delete a checkpoint, its index first. Raises OpErrors for errors of the operating system."""
    files = files or files_of(prefix)
    with file_errors(prefix):
        for name in _files_of(prefix, files):
            files.remove(name)
