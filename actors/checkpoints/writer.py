"""Checkpoint: the values of variables on a disk, as data that is safe to load, whoever wrote it.

prefix   the name of a checkpoint, a path or URL; its files are called `PREFIX.index` and `PREFIX.data-00000-of-00001`
key      the name of one value in it
shard    a data file: values one after another, each at a multiple of 64 bytes. Shards are written in parallel
index    what is where: a line that says what the file is, with the checksum of the rest, and the rest, in JSON
token    what the name of a data file ends in when the checkpoint replaces one of the same prefix

Invariant: an index is written last, names only files that are safe on the disk, and is replaced in one step. What the
old index named is deleted after that. So a prefix that has a whole checkpoint keeps one, whenever the writer dies.
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from weftwork.actors.checkpoints.encoding import encode
from weftwork.actors.checkpoints.files import Files, files_of, told, write_whole, writing
from weftwork.graph.errors import DataLossError, InvalidArgumentError

FORMAT = "weftwork checkpoint"
VERSION = 1
_ALIGNED = 64
CHUNK = 16 << 20
"""Bytes that are read, or written, in one call."""


class Row(NamedTuple):
    """Where a value is: its type and shape, and its place in a shard."""

    dtype: str
    shape: tuple[int, ...] | None
    shard: int
    offset: int
    bytes: int
    crc32: int


class Part(NamedTuple):
    """A written shard: the number of shards that it is one of, its bytes, and what is in it."""

    shard: int
    shards: int
    token: str
    bytes: int
    rows: dict[str, Row]


def data_name(prefix: str, shard: int, shards: int, token: str) -> str:
    """The name of a data file."""
    return f"{prefix}.data-{shard:05d}-of-{shards:05d}{'-' if token else ''}{token}"


def index_name(prefix: str) -> str:
    """The name of the index."""
    return f"{prefix}.index"


def exists(prefix: str, files: Files | None = None) -> bool:
    """Whether there is a checkpoint, or at least a file, of that name."""
    files = files or files_of(prefix)
    return files.exists(index_name(prefix)) or files.exists(prefix)


# Writing


def write_shard(
    prefix: str, values: Iterable[tuple[str, str, Any]], shard: int = 0, shards: int = 1, files: Files | None = None
) -> Part:
    """Write one data file of (key, type, value); the checkpoint is there once `write_index` has taken all of them.

    Raises InvalidArgumentError for a value that is not plain data, and OpErrors for what the operating system refuses.
    """
    files = files or files_of(prefix)
    with told(prefix):
        token = secrets.token_hex(4) if files.exists(index_name(prefix)) else ""
    rows: dict[str, Row] = {}
    at = 0
    name = data_name(prefix, shard, shards, token)
    with writing(name, files) as writer:
        for key, type_, value in values:
            data = _encoded(key, type_, value)
            gap = -at % _ALIGNED
            if gap:
                files.write(writer, bytes(gap))
            at, checksum = at + gap, 0
            for start in range(0, len(data), CHUNK):
                piece = data[start : start + CHUNK]
                checksum = zlib.crc32(piece, checksum)
                files.write(writer, piece)
            shape = None if type_ == "object" else np.shape(value)
            rows[key] = Row(type_, shape, shard, at, len(data), checksum)
            at += len(data)
    with told(name):
        files.settle(name)
    return Part(shard, shards, token, at, rows)


def _encoded(key: str, type_: str, value: Any) -> memoryview:
    try:
        return encode(value, type_)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(None, None, f"The value of {key} cannot be saved: {error}") from error


def write_index(prefix: str, parts: Sequence[Part], files: Files | None = None) -> None:
    """Make written shards the checkpoint `prefix`, and delete the data of the one that had the name before.

    Raises NotFoundError when a shard is not where this process looks for it, DataLossError when it is not whole.
    """
    files = files or files_of(prefix)
    parts = sorted(parts, key=lambda part: part.shard)
    rows = {key: row._asdict() for part in parts for key, row in part.rows.items()}
    kept = set()
    for part in parts:
        name = data_name(prefix, part.shard, part.shards, part.token)
        check_size(name, part.bytes, files)
        kept.add(_last(name))
    shards = [{"token": part.token, "bytes": part.bytes} for part in parts]
    body = json.dumps({"shards": shards, "tensors": rows}, separators=(",", ":")).encode()
    head = {"format": FORMAT, "version": VERSION, "bytes": len(body), "crc32": zlib.crc32(body)}
    write_whole(index_name(prefix), json.dumps(head).encode() + b"\n" + body, files)
    with suppress(OSError):
        for name in _files_of(prefix, files):
            if _last(name) not in kept and name != index_name(prefix):
                files.remove(name)


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _files_of(prefix: str, files: Files) -> list[str]:
    """The files of a checkpoint, and what a writer that died has left of it; the index first."""
    return [*files.starting_with(index_name(prefix)), *files.starting_with(f"{prefix}.data-")]


def check_size(name: str, size: int, files: Files) -> None:
    """DataLossError when a file has another size than was written, NotFoundError when it is not there."""
    with told(name):
        found = files.size(name)
    if found != size:
        raise DataLossError(None, None, f"{name} has {found} bytes, but {size} were written")


def remove(prefix: str, files: Files | None = None) -> None:
    """Delete a checkpoint, its index first. Raises OpErrors for what the operating system refuses."""
    files = files or files_of(prefix)
    with told(prefix):
        for name in _files_of(prefix, files):
            files.remove(name)
