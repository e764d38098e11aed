"""Datasets read from files: text lines, records, and records of fixed length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.data.dataset import Dataset, made_dataset
from weftwork.graph.data.structure import tensor_leaf
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.array_ops import reshape


class _Files(Dataset):
    """The elements of several files, one file after another."""

    def __init__(self, filenames: Any, read: Callable[[Tensor], Dataset], num_parallel_reads: Any = None):
        if isinstance(filenames, Dataset):
            if filenames.output_types != dtypes.string:
                raise TypeError("`filenames` must be a `tf.data.Dataset` of `tf.string` elements.")
            names = filenames
        else:
            given = convert_to_tensor(filenames, dtypes.string, name="filenames")
            names = Dataset.from_tensor_slices(reshape(given, [-1]))
        if num_parallel_reads is None:
            dataset = names.flat_map(read)
        else:
            dataset = names.interleave(read, num_parallel_reads, 1, num_parallel_reads)
        super().__init__(dataset.variant_tensor, dataset.structure)


def _kind(compression_type: Any) -> Tensor:
    return convert_to_tensor("" if compression_type is None else compression_type, dtypes.string)


class TextLineDataset(_Files):
    """The lines of text files, as strings without line ends.

    filenames: a string, several, or a dataset of them.   compression_type: "", "ZLIB" or "GZIP".
    num_parallel_reads: read this many files at a time, in advance, alternating lines.   buffer_size: ignored.
    At run time, raises NotFoundError if a file does not exist.
    """

    def __init__(
        self, filenames: Any, compression_type: Any = None, buffer_size: Any = None, num_parallel_reads: Any = None
    ):
        kind = _kind(compression_type)
        super().__init__(filenames, lambda name: _lines("TextLine", [name, kind]), num_parallel_reads)


class TFRecordDataset(_Files):
    """The records of files written by `tf.python_io.TFRecordWriter`, as strings. Arguments as for TextLineDataset.

    At run time, raises NotFoundError if a file does not exist, DataLossError for a broken record.
    """

    def __init__(
        self, filenames: Any, compression_type: Any = None, buffer_size: Any = None, num_parallel_reads: Any = None
    ):
        kind = _kind(compression_type)
        super().__init__(filenames, lambda name: _lines("TFRecord", [name, kind]), num_parallel_reads)


class FixedLengthRecordDataset(_Files):
    """Records of `record_bytes` bytes, as strings. header_bytes and footer_bytes of each file are skipped.

    Other arguments as for TextLineDataset. At run time, raises NotFoundError if a file does not exist,
    InvalidArgumentError if it is not a whole number of records.
    """

    def __init__(
        self,
        filenames: Any,
        record_bytes: Any,
        header_bytes: Any = None,
        footer_bytes: Any = None,
        buffer_size: Any = None,
        compression_type: Any = None,
        num_parallel_reads: Any = None,
    ):
        kind = _kind(compression_type)
        sizes = [
            convert_to_tensor(np.int64(0) if v is None else v, dtypes.int64)
            for v in (record_bytes, header_bytes, footer_bytes)
        ]
        super().__init__(filenames, lambda name: _lines("FixedLength", [name, kind, *sizes]), num_parallel_reads)


def _lines(kind: str, values: list[Tensor]) -> Dataset:
    return made_dataset(kind, tensor_leaf(dtypes.string), values=values)
