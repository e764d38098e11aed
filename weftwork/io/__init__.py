"""tf.io: reading and writing files, records, examples and pictures."""

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
from weftwork.io import gfile

__all__ = [
    "FixedLenFeature",
    "FixedLenSequenceFeature",
    "SparseFeature",
    "TFRecordCompressionType",
    "TFRecordOptions",
    "TFRecordWriter",
    "VarLenFeature",
    "gfile",
    "parse_example",
    "parse_single_example",
    "parse_single_sequence_example",
    "tf_record_iterator",
]
