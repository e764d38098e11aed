"""tf.io: reading and writing files, records, examples and pictures."""

from weftwork.graph.files.nodes import decode_compressed, decode_csv, decode_raw, matching_files, read_file, write_file
from weftwork.graph.files.parsing import (
    FixedLenFeature,
    FixedLenSequenceFeature,
    SparseFeature,
    VarLenFeature,
    parse_example,
    parse_single_example,
    parse_single_sequence_example,
)
from weftwork.graph.files.records import TFRecordCompressionType, TFRecordOptions, TFRecordWriter, tf_record_iterator
from weftwork.graph.ops.strings import decode_base64, encode_base64
from weftwork.io import gfile
from weftwork.scheduler.training.input_producers import match_filenames_once

__all__ = [
    "FixedLenFeature",
    "FixedLenSequenceFeature",
    "SparseFeature",
    "TFRecordCompressionType",
    "TFRecordOptions",
    "TFRecordWriter",
    "VarLenFeature",
    "decode_base64",
    "decode_compressed",
    "decode_csv",
    "decode_raw",
    "encode_base64",
    "gfile",
    "match_filenames_once",
    "matching_files",
    "parse_example",
    "parse_single_example",
    "parse_single_sequence_example",
    "read_file",
    "tf_record_iterator",
    "write_file",
]
