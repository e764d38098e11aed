"""Record files in TensorFlow's format: `tf.python_io`.

record   its length (8 bytes, little endian), the length's masked CRC-32C, the bytes, the bytes' masked CRC-32C
The whole file may be compressed, as a zlib or gzip stream.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from weftwork.graph.errors import DataLossError, InvalidArgumentError
from weftwork.graph.files.checksums import crc32c, masked
from weftwork.graph.files.system import as_path, file_errors, open_to_read, open_to_write

_HEAD, _LENGTH, _SUM = struct.Struct("<QI"), struct.Struct("<Q"), struct.Struct("<I")
_CHUNK = 1 << 18


class TFRecordCompressionType:
    """The ways to compress a record file."""

    NONE = 0
    ZLIB = 1
    GZIP = 2


_COMPRESSIONS = {"": 0, "ZLIB": TFRecordCompressionType.ZLIB, "GZIP": TFRecordCompressionType.GZIP}
_WINDOW = {TFRecordCompressionType.ZLIB: 15, TFRecordCompressionType.GZIP: 31}


class TFRecordOptions:
    """Options for writing and reading record files.

    compression_type: a TFRecordCompressionType, or its name: "", "ZLIB", "GZIP".   compression_level, mem_level,
    compression_strategy: passed to zlib.   window_bits: 9 to 15, the size of zlib's history.   The others,
    flush_mode, input_buffer_size, output_buffer_size and compression_method, are accepted and ignored.
    Raises ValueError for another compression.
    """

    compression_type_map = {number: name for name, number in _COMPRESSIONS.items()}

    def __init__(
        self,
        compression_type: Any = None,
        flush_mode: int | None = None,
        input_buffer_size: int | None = None,
        output_buffer_size: int | None = None,
        window_bits: int | None = None,
        compression_level: int | None = None,
        compression_method: int | None = None,
        mem_level: int | None = None,
        compression_strategy: int | None = None,
    ):
        self.get_compression_type_string(compression_type)
        self.compression_type = compression_type
        self.flush_mode = flush_mode
        self.input_buffer_size = input_buffer_size
        self.output_buffer_size = output_buffer_size
        self.window_bits = window_bits
        self.compression_level = compression_level
        self.compression_method = compression_method
        self.mem_level = mem_level
        self.compression_strategy = compression_strategy

    @classmethod
    def get_compression_type_string(cls, options: Any) -> str:
        """The name of the compression: of options, of a number, of a name, or for None."""
        if isinstance(options, TFRecordOptions):
            options = options.compression_type
        if options is None:
            return ""
        if options in cls.compression_type_map:
            return cls.compression_type_map[options]
        if options in _COMPRESSIONS:
            return options
        raise ValueError(f"Not a valid compression_type: {options!r}. Known are {sorted(_COMPRESSIONS)}.")

    def _compressor(self) -> Any:
        kind = _COMPRESSIONS[self.get_compression_type_string(self)]
        if not kind:
            return None
        given = (self.compression_level, self.mem_level, self.compression_strategy)
        level, memory, strategy = [d if v is None else v for v, d in zip(given, (-1, 8, 0), strict=True)]
        window = _WINDOW[kind] if self.window_bits is None else _WINDOW[kind] - 15 + abs(self.window_bits) % 16
        return zlib.compressobj(level, zlib.DEFLATED, window, memory, strategy)


class TFRecordWriter:
    """Writes records to a new file.

    path: a path or URL.   options: a TFRecordOptions, a TFRecordCompressionType or its name.
    As a context manager it closes the file. Raises NotFoundError etc.
    """

    def __init__(self, path: Any, options: Any = None):
        options = options if isinstance(options, TFRecordOptions) else TFRecordOptions(options)
        self._path, self._compressor = as_path(path), options._compressor()
        self._file: Any = open_to_write(path)

    def write(self, record: bytes) -> None:
        """Append a record. Raises TypeError unless it is bytes, ValueError if the writer is closed."""
        if not isinstance(record, (bytes, bytearray, memoryview)):
            raise TypeError(
                f"A record must be bytes, not {type(record).__name__}. A message becomes bytes by SerializeToString()."
            )
        length, record = _LENGTH.pack(len(record)), bytes(record)
        parts = (length, _SUM.pack(masked(crc32c(length))), record, _SUM.pack(masked(crc32c(record))))
        self._put(b"".join(parts))

    def _put(self, data: bytes) -> None:
        if self._file is None:
            raise ValueError(f"The writer of {self._path} is closed.")
        with file_errors(self._path):
            self._file.write(data if self._compressor is None else self._compressor.compress(data))

    def flush(self) -> None:
        """Hand everything written to the operating system."""
        if self._file is not None:
            with file_errors(self._path):
                if self._compressor is not None:
                    self._file.write(self._compressor.flush(zlib.Z_SYNC_FLUSH))
                self._file.flush()

    def close(self) -> None:
        """Write the rest, and close the file."""
        file, self._file = self._file, None
        if file is not None:
            with file_errors(self._path):
                if self._compressor is not None:
                    file.write(self._compressor.flush())
                file.close()

    def __enter__(self) -> TFRecordWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


class Unpacked:
    """The contents of a compressed file, as a file that can be read forwards."""

    def __init__(self, file: Any, window: int):
        self._file, self._window = file, window
        self._stream, self._ready = zlib.decompressobj(window), b""

    def read(self, n: int = -1) -> bytes:
        """The next n bytes, or all; fewer at the end. Raises DataLossError if it is not such a stream."""
        parts, remaining = [], n
        while n < 0 or remaining > 0:
            if not self._ready and not self._fill():
                break
            part = self._ready if n < 0 else self._ready[:remaining]
            self._ready = self._ready[len(part) :]
            parts.append(part)
            remaining -= len(part)
        return b"".join(parts)

    def _fill(self) -> bool:
        """Decompress some more; False at the end."""
        while not self._ready:
            packed = self._stream.unused_data or self._stream.unconsumed_tail or self._file.read(_CHUNK)
            if not packed:
                return False
            if self._stream.eof:  # concatenated files are one stream
                self._stream = zlib.decompressobj(self._window)
            try:
                self._ready = self._stream.decompress(packed, _CHUNK)
            except zlib.error as error:
                raise DataLossError(None, None, f"Inflating the file failed: {error}") from error
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def unpacked(file: Any, compression: str) -> Any:
    """Decompress a binary file: "", "ZLIB" or "GZIP"."""
    kind = _COMPRESSIONS.get(compression)
    if kind is None:
        raise InvalidArgumentError(None, None, f"Unsupported compression_type: {compression!r}.")
    return Unpacked(file, _WINDOW[kind]) if kind else file


def records_from(file: Any, path: str) -> Iterator[tuple[int, bytes]]:
    """(byte offset, record) for each record of an open file. Raises DataLossError, naming `path`."""
    at = 0
    while head := file.read(_HEAD.size):
        length, check = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, None)
        if check is None:
            raise _broken("truncated record", at, path)
        if masked(crc32c(head[:8])) != check:
            raise _broken("corrupted record", at, path)
        record, tail = file.read(length), file.read(_SUM.size)
        if len(record) < length or len(tail) < _SUM.size:
            raise _broken("truncated record", at, path)
        if masked(crc32c(record)) != _SUM.unpack(tail)[0]:
            raise _broken("corrupted record", at, path)
        yield at, record
        at += _HEAD.size + length + _SUM.size


def _broken(what: str, at: int, path: str) -> DataLossError:
    return DataLossError(None, None, f"{what} at {at} in {path}")


def tf_record_iterator(path: Any, options: Any = None) -> Iterator[bytes]:
    """The records of a file, in order, as bytes.

    options: the same as for TFRecordWriter. Raises NotFoundError etc., and DataLossError for a broken record.
    """
    name = as_path(path)
    file = unpacked(open_to_read(path), TFRecordOptions.get_compression_type_string(options))
    try:
        with file_errors(name):
            for _, record in records_from(file, name):
                yield record
    finally:
        file.close()
