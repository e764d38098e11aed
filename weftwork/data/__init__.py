"""tf.data: input pipelines, which prepare a program's data ahead of its runs and in parallel with them."""

from weftwork.data import experimental
from weftwork.graph.data.cardinality import INFINITE_CARDINALITY, UNKNOWN_CARDINALITY
from weftwork.graph.data.dataset import Dataset
from weftwork.graph.data.iterators import Iterator
from weftwork.graph.data.options import Options
from weftwork.graph.data.properties import (
    get_output_classes,
    get_output_shapes,
    get_output_types,
    make_initializable_iterator,
    make_one_shot_iterator,
)
from weftwork.graph.data.readers import FixedLengthRecordDataset, TextLineDataset, TFRecordDataset
from weftwork.graph.data.structure import DatasetSpec

AUTOTUNE = experimental.AUTOTUNE

__all__ = [
    "AUTOTUNE",
    "INFINITE_CARDINALITY",
    "UNKNOWN_CARDINALITY",
    "Dataset",
    "DatasetSpec",
    "FixedLengthRecordDataset",
    "Iterator",
    "Options",
    "TFRecordDataset",
    "TextLineDataset",
    "experimental",
    "get_output_classes",
    "get_output_shapes",
    "get_output_types",
    "make_initializable_iterator",
    "make_one_shot_iterator",
]
