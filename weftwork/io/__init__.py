"""tf.io: reading and writing files, records, examples and pictures."""

from weftwork.graph.files.nodes import (
    decode_compressed,
    decode_csv,
    decode_json_example,
    decode_raw,
    matching_files,
    read_file,
    write_file,
)
from weftwork.graph.files.parsing import (
    FixedLenFeature,
    FixedLenSequenceFeature,
    SparseFeature,
    VarLenFeature,
    parse_example,
    parse_sequence_example,
    parse_single_example,
    parse_single_sequence_example,
)
from weftwork.graph.files.records import TFRecordCompressionType, TFRecordOptions, TFRecordWriter, tf_record_iterator
from weftwork.graph.images.coding import (
    decode_and_crop_jpeg,
    decode_bmp,
    decode_gif,
    decode_image,
    decode_jpeg,
    decode_png,
    encode_jpeg,
    encode_png,
    extract_jpeg_shape,
    is_jpeg,
)
from weftwork.graph.interchange.graph_util import write_graph
from weftwork.graph.interchange.sparse import deserialize_many_sparse, serialize_many_sparse, serialize_sparse
from weftwork.graph.interchange.tensors import parse_tensor, serialize_tensor
from weftwork.graph.ops.queues import PaddingFIFOQueue, PriorityQueue, QueueBase, RandomShuffleQueue
from weftwork.graph.ops.strings import decode_base64, encode_base64
from weftwork.io import gfile
from weftwork.scheduler.input.input_producers import match_filenames_once

__all__ = [
    "FixedLenFeature",
    "FixedLenSequenceFeature",
    "PaddingFIFOQueue",
    "PriorityQueue",
    "QueueBase",
    "RandomShuffleQueue",
    "SparseFeature",
    "TFRecordCompressionType",
    "TFRecordOptions",
    "TFRecordWriter",
    "VarLenFeature",
    "decode_and_crop_jpeg",
    "decode_base64",
    "decode_bmp",
    "decode_compressed",
    "decode_csv",
    "decode_json_example",
    "decode_gif",
    "decode_image",
    "decode_jpeg",
    "decode_png",
    "decode_raw",
    "deserialize_many_sparse",
    "encode_base64",
    "encode_jpeg",
    "encode_png",
    "extract_jpeg_shape",
    "gfile",
    "is_jpeg",
    "match_filenames_once",
    "matching_files",
    "parse_example",
    "parse_single_example",
    "parse_sequence_example",
    "parse_single_sequence_example",
    "parse_tensor",
    "read_file",
    "serialize_many_sparse",
    "serialize_sparse",
    "serialize_tensor",
    "tf_record_iterator",
    "write_file",
    "write_graph",
]
