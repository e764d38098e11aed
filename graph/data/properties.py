"""TensorFlow 1's functions about datasets and iterators."""

from __future__ import annotations

from typing import Any

from weftwork.graph.data.dataset import Dataset
from weftwork.graph.data.iterators import Iterator


def get_output_types(dataset_or_iterator: Any) -> Any:
    """The dtype of each component.

    dataset_or_iterator: a Dataset or an Iterator.
    """
    return dataset_or_iterator.output_types


def get_output_shapes(dataset_or_iterator: Any) -> Any:
    """The shape of each component, as far as it is known.

    dataset_or_iterator: a Dataset or an Iterator.
    """
    return dataset_or_iterator.output_shapes


def get_output_classes(dataset_or_iterator: Any) -> Any:
    """Tensor, SparseTensor or Dataset for each component.

    dataset_or_iterator: a Dataset or an Iterator.
    """
    return dataset_or_iterator.output_classes


def make_one_shot_iterator(dataset: Dataset) -> Iterator:
    """The same as the dataset's method."""
    return dataset.make_one_shot_iterator()


def make_initializable_iterator(dataset: Dataset, shared_name: str | None = None) -> Iterator:
    """The same as the dataset's method."""
    return dataset.make_initializable_iterator(shared_name)
