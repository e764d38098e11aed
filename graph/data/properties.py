"""TensorFlow 1's functions about datasets and iterators."""

from __future__ import annotations

from typing import Any

from weftwork.graph.data.dataset import Dataset
from weftwork.graph.data.iterators import Iterator
from weftwork.graph.ops.specs import SparseTensorSpec, TensorSpec


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


def get_structure(dataset_or_iterator: Any) -> Any:
    """The description of an element, as its `element_spec`. Raises TypeError for what has none.

    dataset_or_iterator: a Dataset or an Iterator.
    """
    try:
        return dataset_or_iterator.element_spec
    except AttributeError:
        raise TypeError(
            "`dataset_or_iterator` must be a Dataset or Iterator object, but got " + str(type(dataset_or_iterator))
        ) from None


def tensor_structure(dtype: Any, shape: Any) -> TensorSpec:
    """A TensorSpec, from its dtype and its shape.

    dtype: of the elements.   shape: as for a TensorShape.
    """
    return TensorSpec(shape, dtype)


def sparse_tensor_structure(dtype: Any, shape: Any) -> SparseTensorSpec:
    """A SparseTensorSpec, from its dtype and its shape.

    dtype: of the values.   shape: of the whole, as for a TensorShape.
    """
    return SparseTensorSpec(shape, dtype)


def make_one_shot_iterator(dataset: Dataset) -> Iterator:
    """The same as the dataset's method."""
    return dataset.make_one_shot_iterator()


def make_initializable_iterator(dataset: Dataset, shared_name: str | None = None) -> Iterator:
    """The same as the dataset's method."""
    return dataset.make_initializable_iterator(shared_name)
