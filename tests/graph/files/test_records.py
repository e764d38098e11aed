"""Files of records: what is written is read, what is broken is told."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weftwork as tf
from weftwork.graph.files.checksums import crc32c

RECORDS = [b"", b"a", bytes(range(256)) * 9, b"x" * 300_000]


def written(path, options=None) -> str:
    with tf.python_io.TFRecordWriter(str(path), options) as writer:
        for record in RECORDS:
            writer.write(record)
    return str(path)


def bytewise(data: bytes) -> int:
    """The definition: the remainder of a division of polynomials."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=120), st.integers(1, 40))
def test_the_checksum_is_that_of_its_definition(data, times):
    assert crc32c(data * times) == bytewise(data * times)


def test_the_checksum_has_its_known_values():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


@pytest.mark.parametrize("options", [None, "", "ZLIB", "GZIP", tf.python_io.TFRecordCompressionType.GZIP])
def test_what_is_written_is_read(tmp_path, options):
    path = written(tmp_path / "records", options)
    kept = tf.python_io.TFRecordOptions(options)
    assert list(tf.python_io.tf_record_iterator(path, kept)) == RECORDS
    raw = Path(path).read_bytes()
    name = tf.python_io.TFRecordOptions.get_compression_type_string(kept)
    plain = {"": bytes, "ZLIB": zlib.decompress, "GZIP": gzip.decompress}[name](raw)
    assert len(plain) == sum(16 + len(record) for record in RECORDS)


def test_a_writer_that_is_flushed_can_be_read_meanwhile(tmp_path):
    path = str(tmp_path / "records")
    writer = tf.python_io.TFRecordWriter(path, tf.python_io.TFRecordOptions("GZIP", compression_level=9))
    writer.write(b"one")
    writer.flush()
    records = tf.python_io.tf_record_iterator(path, "GZIP")
    assert next(records) == b"one"
    records.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"two")


@pytest.mark.parametrize("end", [3, 10, 13, 20, 31])
def test_a_truncated_file_is_told_after_the_whole_records(tmp_path, end):
    data = Path(written(tmp_path / "records")).read_bytes()[:end]
    (tmp_path / "cut").write_bytes(data)
    got = []
    with pytest.raises(tf.errors.DataLossError, match="truncated record at .*cut"):
        got.extend(tf.python_io.tf_record_iterator(str(tmp_path / "cut")))
    assert got == RECORDS[: end // 16]


@pytest.mark.parametrize("at", [0, 8, 12, 40])
def test_a_changed_byte_is_told(tmp_path, at):
    data = bytearray(Path(written(tmp_path / "records")).read_bytes())
    data[at] ^= 4
    (tmp_path / "changed").write_bytes(data)
    with pytest.raises(tf.errors.DataLossError, match="corrupted record at"):
        list(tf.python_io.tf_record_iterator(str(tmp_path / "changed")))


def test_bad_input_is_told(tmp_path):
    with pytest.raises(ValueError, match="Not a valid compression_type: 'LZ4'"):
        tf.python_io.TFRecordOptions("LZ4")
    with pytest.raises(tf.errors.NotFoundError, match="nowhere"):
        tf.python_io.TFRecordWriter(str(tmp_path / "nowhere" / "records"))
    with pytest.raises(tf.errors.NotFoundError, match="none"):
        next(tf.python_io.tf_record_iterator(str(tmp_path / "none")))
    with pytest.raises(tf.errors.DataLossError, match="Inflating"):
        list(tf.python_io.tf_record_iterator(written(tmp_path / "plain"), "GZIP"))
    with tf.python_io.TFRecordWriter(str(tmp_path / "text")) as writer, pytest.raises(TypeError, match="Serialize"):
        writer.write("text")
