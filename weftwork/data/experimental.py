"""tf.data.experimental: further datasets."""

from weftwork.graph.data.cardinality import INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, cardinality
from weftwork.graph.data.csv_files import make_csv_dataset
from weftwork.graph.data.description import AUTOTUNE
from weftwork.graph.data.experimental import (
    Counter,
    bucket_by_sequence_length,
    choose_from_datasets,
    enumerate_dataset,
    get_single_element,
    group_by_window,
    ignore_errors,
    map_and_batch,
    parallel_interleave,
    prefetch_to_device,
    sample_from_datasets,
    scan,
    shuffle_and_repeat,
    take_while,
    unbatch,
)
from weftwork.graph.data.iterators import make_saveable_from_iterator
from weftwork.graph.data.properties import get_structure
from weftwork.graph.data.properties import sparse_tensor_structure as SparseTensorStructure
from weftwork.graph.data.properties import tensor_structure as TensorStructure
from weftwork.graph.data.sources import (
    CsvDataset,
    RandomDataset,
    SqlDataset,
    TFRecordWriter,
    make_batched_features_dataset,
)
from weftwork.graph.data.structure import DatasetSpec as DatasetStructure
from weftwork.graph.data.transformations import (
    Reducer,
    copy_to_device,
    dense_to_sparse_batch,
    group_by_reducer,
    parse_example_dataset,
    rejection_resample,
    unique,
)

__all__ = [
    "DatasetStructure",
    "SparseTensorStructure",
    "TensorStructure",
    "get_structure",
    "AUTOTUNE",
    "Counter",
    "CsvDataset",
    "INFINITE_CARDINALITY",
    "RandomDataset",
    "Reducer",
    "SqlDataset",
    "TFRecordWriter",
    "UNKNOWN_CARDINALITY",
    "bucket_by_sequence_length",
    "cardinality",
    "choose_from_datasets",
    "copy_to_device",
    "dense_to_sparse_batch",
    "enumerate_dataset",
    "get_single_element",
    "group_by_reducer",
    "group_by_window",
    "ignore_errors",
    "make_batched_features_dataset",
    "make_csv_dataset",
    "make_saveable_from_iterator",
    "map_and_batch",
    "parallel_interleave",
    "parse_example_dataset",
    "prefetch_to_device",
    "rejection_resample",
    "sample_from_datasets",
    "scan",
    "shuffle_and_repeat",
    "take_while",
    "unbatch",
    "unique",
]
