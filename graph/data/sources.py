"""Further sources of datasets, and a writer of one."""

from __future__ import annotations

import glob
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import constant, convert_to_tensor
from weftwork.graph.data.dataset import Dataset
from weftwork.graph.data.readers import TextLineDataset, TFRecordDataset
from weftwork.graph.data.transformations import as_list, parse_example_dataset
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.files.nodes import decode_csv
from weftwork.graph.files.records import TFRecordOptions
from weftwork.graph.files.records import TFRecordWriter as RecordWriter
from weftwork.graph.function import py_func
from weftwork.graph.operation import Operation


def CsvDataset(
    filenames: Any,
    record_defaults: Sequence[Any],
    compression_type: Any = None,
    buffer_size: Any = None,
    header: bool = False,
    field_delim: str = ",",
    use_quote_delim: bool = True,
    na_value: str = "",
    select_cols: Sequence[int] | None = None,
) -> Dataset:
    """The records of CSV files, as tuples of scalars.

    record_defaults: for each column, its default, or its dtype if a value is required. header: skip the first line of
    each file. select_cols: the numbers of the columns to read, in order.
    compression_type: as for TextLineDataset.   buffer_size: ignored.
    At run time, raises InvalidArgumentError for a field that its dtype cannot hold.
    field_delim: one character between fields.
    use_quote_delim: whether double quotes enclose a field.
    na_value: also means an empty field.
    """
    given = [constant([], d) if isinstance(d, dtypes.DType) else convert_to_tensor(d) for d in record_defaults]

    def lines(name: Any) -> Dataset:
        return TextLineDataset(name, compression_type).skip(1 if header else 0)

    def parsed(line: Any) -> tuple:
        columns = None if select_cols is None else list(select_cols)
        return tuple(decode_csv(line, given, field_delim, use_quote_delim, None, na_value, columns))

    return Dataset.from_tensor_slices(as_list(filenames)).flat_map(lines).map(parsed)


def SqlDataset(driver_name: str, data_source_name: str, query: str, output_types: Sequence[Any]) -> Dataset:
    """The rows that a query of an SQLite database returns, as tuples of scalars.

    driver_name: "sqlite".   data_source_name: the path of the database.   output_types: of the columns. At run time,
    raises InvalidArgumentError for another driver.
    """
    types = tuple([as_dtype(dtype) for dtype in output_types])

    def rows() -> Iterator[tuple]:
        if driver_name != "sqlite":
            text = (
                f"The database type, {driver_name}, is not supported by SqlDataset. The set of supported databases is"
            )
            raise InvalidArgumentError(None, None, f"{text}: {{'sqlite'}}.")
        connection = sqlite3.connect(data_source_name)
        try:
            yield from connection.execute(query)
        finally:
            connection.close()

    return Dataset.from_generator(rows, types, tuple([() for _ in types]))


def RandomDataset(seed: int | None = None) -> Dataset:
    """Random integers below 2**32, int64, forever; the same ones for the same seed."""

    def numbers() -> Iterator[int]:
        generator = np.random.default_rng(seed)
        while True:
            yield int(generator.integers(1 << 32))

    return Dataset.from_generator(numbers, dtypes.int64, ())


def make_batched_features_dataset(
    file_pattern: Any,
    batch_size: Any,
    features: Any,
    reader: Callable[..., Dataset] = TFRecordDataset,
    label_key: str | None = None,
    reader_args: Sequence[Any] | None = None,
    num_epochs: int | None = None,
    shuffle: bool = True,
    shuffle_buffer_size: int = 10000,
    shuffle_seed: int | None = None,
    prefetch_buffer_size: Any = None,
    reader_num_threads: Any = None,
    parser_num_threads: Any = None,
    sloppy_ordering: bool = False,
    drop_final_batch: bool = False,
) -> Dataset:
    """Batches of the features of serialized Examples in files: dicts; with `label_key`, pairs of a dict and a label.

    file_pattern: one pattern or several, as for `glob`.   features: as for `tf.parse_example`.   num_epochs: the number
    of repetitions; None means forever. Raises ValueError if no file matches.
    reader: makes a dataset of a file; reader_args are passed to it too.
    shuffle_buffer_size, shuffle_seed, prefetch_buffer_size: as of `shuffle` and `prefetch`.
    reader_num_threads, parser_num_threads: the number of files, or batches, processed at a time.
    sloppy_ordering: accepted as in TensorFlow.
    drop_final_batch: whether an incomplete last batch is dropped.
    """
    names = sorted([name for pattern in as_list(file_pattern) for name in glob.glob(pattern)])
    if not names:
        raise ValueError(f"No files matched: {file_pattern}")
    files = Dataset.from_tensor_slices(names)
    if shuffle:
        files = files.shuffle(len(names), shuffle_seed)
    records = files.flat_map(lambda name: reader(name, *(reader_args or ())))
    if shuffle:
        records = records.shuffle(shuffle_buffer_size, shuffle_seed)
    batches = records.repeat(num_epochs).batch(batch_size, drop_final_batch or num_epochs is None)
    parsed = batches.apply(parse_example_dataset(features, parser_num_threads or 1))
    if label_key is None:
        return parsed
    return parsed.map(lambda given: ({key: given[key] for key in given if key != label_key}, given[label_key]))


class TFRecordWriter:
    """Writes datasets of strings to a TFRecord file.

    compression_type: "", "GZIP" or "ZLIB". Raises ValueError for another one.
    """

    def __init__(self, filename: Any, compression_type: Any = None):
        self._new = partial(RecordWriter, filename, TFRecordOptions(compression_type))

    def write(self, dataset: Dataset) -> Operation:
        """An operation that writes the elements of a dataset. Raises TypeError unless they are strings."""
        if dataset.output_types != dtypes.string:
            raise TypeError(f"`dataset` must produce scalar `DT_STRING` tensors, not {dataset.output_types}")
        new = self._new

        def put(writer: RecordWriter | None, record: bytes) -> RecordWriter:
            writer = new() if writer is None else writer
            writer.write(record)
            return writer

        def step(writer: Any, record: Any) -> Any:
            return py_func(put, [writer, record], dtypes.object)

        def done(writer: RecordWriter | None) -> None:
            (new() if writer is None else writer).close()

        return py_func(done, [dataset.reduce(constant(None, dtypes.object), step)], [])
