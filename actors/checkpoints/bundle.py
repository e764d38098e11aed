"""TensorFlow's V2 checkpoint files: an index, which is a sorted table, and the data files beside it.

table     blocks of (key, value), sorted by key, each with a masked CRC-32C. The last block locates the others, and the
          footer locates the last block. https://github.com/google/leveldb/blob/main/doc/table_format.md
header    the value of the empty key: the number of data files
entry     the value of any other key: dtype, shape, and the position of its bytes in a data file
strings   each string's length as a varint, a checksum of the lengths, then the strings' bytes

If a prefix is written again, its data files get another total in their names (`-of-00002` instead of `-of-00001`), so
the old checkpoint stays whole until the new index replaces the old one.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np

from weftwork.actors.checkpoints.encoding import NUMBERS, little
from weftwork.actors.checkpoints.files import Files, file_errors, files_of, split, write_whole, writing
from weftwork.actors.checkpoints.slices import SLICE_MESSAGES, Cut, place_of, slice_key, slice_of
from weftwork.actors.checkpoints.writer import CHUNK, Part, Row, all_rows, check_size, data_name, index_name, note
from weftwork.graph import dtypes
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.files.checksums import crc32c, masked
from weftwork.graph.protos import messages

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FOOTER = 48
_BLOCK_BYTES = 1 << 18
_RESTART = 16


@cache
def _messages() -> dict[str, Any]:
    return messages(
        "weftwork.bundle",
        {
            **SLICE_MESSAGES,
            "Version": {"producer": "1 int32", "min_consumer": "2 int32"},
            "Header": {"num_shards": "1 int32", "endianness": "2 int32", "version": "3 Version"},
            "Entry": {
                "dtype": "1 int32",
                "shape": "2 Shape",
                "shard_id": "3 int32",
                "offset": "4 int64",
                "size": "5 int64",
                "crc32c": "6 fixed32",
                "slices": "7 repeated Slice",
            },
        },
    )


# Varints


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 128:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Decode the varint at offset `at`. Returns (number, offset after it)."""
    number, shift = 0, 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
        if shift > 63:
            raise ValueError("a number is too long")


# Tables


def is_table(content: bytes) -> bool:
    """Whether `content` ends like a table."""
    return len(content) >= _FOOTER and content[-8:] == MAGIC


def _block(items: Sequence[tuple[bytes, bytes]]) -> bytes:
    encoded, restarts, last = bytearray(), [], b""
    for number, (key, value) in enumerate(items):
        shared = 0
        if number % _RESTART == 0:
            restarts.append(len(encoded))
        else:
            while shared < min(len(last), len(key)) and last[shared] == key[shared]:
                shared += 1
        encoded += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        last = key
    restarts = restarts or [0]
    return bytes(encoded) + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def table(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Encode a table of (key, value) pairs, which must be sorted by key."""
    encoded, places, block = bytearray(), [], []

    def place(content: bytes) -> bytes:
        start = len(encoded)
        encoded.extend(content + b"\0" + struct.pack("<I", masked(crc32c(content + b"\0"))))
        return _varint(start) + _varint(len(content))

    size = 0
    for key, value in items:
        block.append((key, value))
        size += len(key) + len(value)
        if size >= _BLOCK_BYTES:
            places.append((key, place(_block(block))))
            block, size = [], 0
    if block or not places:
        places.append((block[-1][0] if block else b"", place(_block(block))))
    footer = place(_block([])) + place(_block(places))
    return bytes(encoded) + footer.ljust(_FOOTER - 8, b"\0") + MAGIC


def _items(content: bytes, at: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the (key, value) pairs of one block. Raises ValueError if the block is corrupt."""
    block, tail = content[at : at + size], content[at + size : at + size + 5]
    if len(block) < size or len(tail) < 5:
        raise ValueError("a block ends beyond the file")
    if tail[0]:
        raise ValueError("it is compressed")
    if masked(crc32c(block + tail[:1])) != struct.unpack("<I", tail[1:])[0]:
        raise ValueError("Checksum does not match: a block was changed or damaged")
    (count,) = struct.unpack_from("<I", block, size - 4)
    end, place, key = size - 4 * (count + 1), 0, b""
    while place < end:
        shared, place = _read_varint(block, place)
        more, place = _read_varint(block, place)
        length, place = _read_varint(block, place)
        if shared > len(key) or place + more + length > end:
            raise ValueError("an entry ends beyond its block")
        key = key[:shared] + block[place : place + more]
        yield key, block[place + more : place + more + length]
        place += more + length


def read_table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the (key, value) pairs of a table, in order. Raises ValueError if the table is corrupt."""
    footer = content[-_FOOTER:]
    try:
        _, at = _read_varint(footer, 0)
        _, at = _read_varint(footer, at)
        start, at = _read_varint(footer, at)
        size, at = _read_varint(footer, at)
        for _, handle in _items(content, start, size):
            first, place = _read_varint(handle, 0)
            length, _ = _read_varint(handle, place)
            yield from _items(content, first, length)
    except (IndexError, struct.error) as error:
        raise ValueError(f"it is damaged: {error}") from error


# Reading


def read_index(content: bytes, prefix: str) -> tuple[list[tuple[str, int]], dict[str, Row]]:
    """Parse an index into its data files, as (name, size in bytes), and its rows by key.

    A file's size is the minimum that the rows imply. The row of a partitioned variable holds the rows of its slices.
    Raises ValueError if the index is corrupt.
    """
    from google.protobuf.message import DecodeError

    kinds = _messages()
    items = read_table(content)
    try:
        key, value = next(items)
        header = kinds["Header"].FromString(value)
        if key or header.endianness:
            raise ValueError("it has no header" if key else "its numbers are big-endian")
        rows, sizes, pieces = {}, [0] * header.num_shards, {}
        for key, value in items:
            entry = kinds["Entry"].FromString(value)
            row = _row(entry)
            if key.startswith(b"\0"):
                pieces[key] = row
            else:
                name = key.decode("utf-8", "surrogateescape")
                rows[name] = (row, [slice_of(cut) for cut in entry.slices])
            sizes[row.shard] = max(sizes[row.shard], row.offset + row.bytes)
        rows = {name: _joined(name, row, cuts, pieces) for name, (row, cuts) in rows.items()}
    except (DecodeError, StopIteration, IndexError) as error:
        raise ValueError(f"it is damaged: {error!r}") from error
    names = [data_name(prefix, number, len(sizes), "") for number in range(len(sizes))]
    return list(zip(names, sizes, strict=True)), rows


def _row(entry: Any) -> Row:
    shape = tuple([int(dim.size) for dim in entry.shape.dim])
    try:
        dtype = dtypes.as_dtype(entry.dtype).name
    except TypeError:
        dtype = f"DT_{entry.dtype}"
    if min((*shape, entry.offset, entry.size, entry.shard_id)) < 0:
        raise ValueError("an entry has negative numbers")
    if dtype in NUMBERS and not entry.slices and math.prod(shape) * NUMBERS[dtype].itemsize != entry.size:
        raise ValueError(f"a value of type {dtype} and shape {list(shape)} cannot have {entry.size} bytes")
    return Row(dtype, shape, entry.shard_id, entry.offset, entry.size, entry.crc32c)


def _joined(name: str, row: Row, cuts: list, pieces: dict[bytes, Row]) -> Row:
    """A row with those of its slices. Raises ValueError if one is missing, or does not match the whole."""
    if not cuts:
        return row
    parts = []
    for cut in cuts:
        piece = pieces.get(slice_key(name, cut))
        if piece is None:
            raise ValueError(f"a slice of {name} is missing")
        place = place_of(cut, row.shape or ())
        if piece.dtype != row.dtype or piece.shape != tuple([at.stop - at.start for at in place]):
            raise ValueError(f"a slice of {name} has another dtype or shape than the tensor")
        parts.append((tuple([(at.start, at.stop - at.start) for at in place]), piece))
    return row._replace(parts=tuple(parts))


def decode_strings(data: bytes, shape: tuple[int, ...]) -> tuple[Any, int]:
    """Decode strings. Returns (strings, masked checksum). Raises ValueError if lengths or checksum are wrong."""
    count, at, lengths = math.prod(shape), 0, []
    try:
        for _ in range(count):
            length, at = _read_varint(data, at)
            lengths.append(length)
    except IndexError as error:
        raise ValueError("the lengths of its strings do not add up") from error
    checksum = crc32c(_lengths(lengths))
    stored = data[at : at + 4]
    if len(stored) < 4 or struct.unpack("<I", stored)[0] != masked(checksum):
        raise ValueError("Checksum does not match: the lengths of its strings were changed or damaged")
    at += 4
    if at + sum(lengths) != len(data):
        raise ValueError("the lengths of its strings do not add up")
    checksum = crc32c(data[at - 4 :], checksum)
    items = np.empty(count, dtype=object)
    for number, length in enumerate(lengths):
        items[number] = bytes(data[at : at + length])
        at += length
    return (items.reshape(shape) if shape else items[0]), masked(checksum)


def _lengths(lengths: Sequence[int]) -> bytes:
    """The bytes of string lengths over which their checksum is computed."""
    return b"".join([struct.pack("<I" if length < 1 << 32 else "<Q", length) for length in lengths])


# Writing


def _encoded(key: str, type_: str, value: Any) -> tuple[Any, int]:
    """(bytes, masked checksum) of a value. Raises InvalidArgumentError for types that a V2 checkpoint cannot hold."""
    if type_ in NUMBERS:
        array = np.ascontiguousarray(np.asarray(value, dtype=little(type_)))
        data: Any = array.reshape(-1).view(np.uint8).data
        return data, masked(crc32c(data))
    if type_ != "string":
        raise InvalidArgumentError(None, None, f"The value of {key} is of type {type_}, which no V2 checkpoint holds")
    flat = value.ravel().tolist() if isinstance(value, np.ndarray) else [value]
    items = [item.encode() if isinstance(item, str) else bytes(item) for item in flat]
    lengths = [len(item) for item in items]
    checksum = crc32c(_lengths(lengths))
    rest = struct.pack("<I", masked(checksum)) + b"".join(items)
    return b"".join(map(_varint, lengths)) + rest, masked(crc32c(rest, checksum))


def _count(prefix: str, shards: int, files: Files) -> int:
    """The total to write into data file names: `shards`, or one more if the old checkpoint's files have that name."""
    name = index_name(prefix)
    if not files.exists(name):
        return shards
    with files.open(name) as reader:
        content = reader.read()
    try:
        if is_table(content):
            old = _messages()["Header"].FromString(next(read_table(content))[1]).num_shards
        else:
            old = len(json.loads(content.partition(b"\n")[2])["shards"])
    except (ValueError, TypeError, LookupError, StopIteration):
        return shards  # the existing file is not a checkpoint
    return shards + 1 if old == shards else shards


def write_shard(
    prefix: str, values: Iterable[tuple[str, str, Any]], shard: int = 0, shards: int = 1, files: Files | None = None
) -> Part:
    """Write one data file of (key, type, value). The checkpoint exists once `write_index` has been given all parts."""
    files = files or files_of(prefix)
    with file_errors(prefix):
        files.make_folder(prefix)
        count = _count(prefix, shards, files)
    rows: dict[str, Row] = {}
    at = 0
    name = data_name(prefix, shard, count, "")
    with writing(name, files) as writer:
        for key, type_, value in values:
            array = value.value if isinstance(value, Cut) else value
            data, checksum = _encoded(key, type_, array)
            for start in range(0, len(data), CHUNK):
                files.write(writer, data[start : start + CHUNK])
            note(rows, key, Row(type_, np.shape(array), shard, at, len(data), checksum), value)
            at += len(data)
    with file_errors(name):
        files.settle(name)
    return Part(shard, count, "", at, rows)


def write_index(prefix: str, parts: Sequence[Part], files: Files | None = None) -> None:
    """Publish written shards as the checkpoint `prefix`, and delete the data files of the checkpoint it replaces."""
    files = files or files_of(prefix)
    kinds = _messages()
    kept = set()
    for part in parts:
        name = data_name(prefix, part.shard, part.shards, "")
        check_size(name, part.bytes, files)
        kept.add(split(name)[1])
    header = kinds["Header"](num_shards=parts[0].shards, version=kinds["Version"](producer=1))
    items = [(b"", header.SerializeToString())]
    for key, row in all_rows(parts).items():
        items.append((key.encode("utf-8", "surrogateescape"), _entry(row)))
        items += [(slice_key(key, cut), _entry(part)) for cut, part in row.parts]
    items.sort()
    write_whole(index_name(prefix), table(items), files)
    with suppress(OSError):
        for name in files.starting_with(f"{prefix}.data-"):
            if split(name)[1] not in kept:
                files.remove(name)


def _entry(row: Row) -> bytes:
    kinds = _messages()
    shape = kinds["Shape"](dim=[kinds["Dim"](size=size) for size in row.shape or ()])
    number = dtypes.ALL[row.dtype].as_datatype_enum
    entry = kinds["Entry"](dtype=number, shape=shape)
    for cut, _ in row.parts:
        entry.slices.add().extent.extend([kinds["Extent"](start=start, length=length) for start, length in cut])
    if row.parts:
        return entry.SerializeToString()
    entry.shard_id, entry.offset, entry.size = row.shard, row.offset, row.bytes
    entry.crc32c = row.crc32
    return entry.SerializeToString()
