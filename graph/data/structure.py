"""The structure of a dataset's elements: nested tuples and dicts with a leaf for each component.

leaf      one component: a tensor, a SparseTensor, or a dataset (the windows of `window`)
parts     the tensors that represent a component in a graph: three for a SparseTensor, one for anything else
Lists are not structures, as in TensorFlow 1: a list becomes one tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Kind, Tensor
from weftwork.graph.ops.composite import SparseTensor, SparseTensorValue
from weftwork.graph.ops.specs import SparseTensorSpec, TensorSpec, TypeSpec
from weftwork.graph.structures import same_kind

TENSOR, SPARSE, DATASET = "tensor", "sparse", "dataset"


class Leaf(NamedTuple):
    """The type of a component. inner: for a dataset, the structure of its elements."""

    word: str
    dtype: dtypes.DType
    shape: shapes.RawShape
    inner: Any = None

    @property
    def parts(self) -> list[tuple[dtypes.DType, shapes.RawShape]]:
        """The dtype and shape of each of its tensors."""
        if self.word != SPARSE:
            return [(self.dtype, self.shape)]
        rank = None if self.shape is None else len(self.shape)
        return [(dtypes.int64, (None, rank)), (self.dtype, (None,)), (dtypes.int64, (rank,))]


def tensor_leaf(dtype: Any, shape: shapes.RawShape = ()) -> Leaf:
    """The leaf for a tensor."""
    return Leaf(TENSOR, dtypes.as_dtype(dtype).base_dtype, shape)


# Structures


def is_nested(value: Any) -> bool:
    """True for a tuple, a mapping, or an object of an attrs class: these contain components."""
    plain = isinstance(value, tuple) and not isinstance(value, (Leaf, SparseTensorValue))
    return plain or isinstance(value, Mapping) or hasattr(type(value), "__attrs_attrs__")


def _items(structure: Any) -> list:
    if isinstance(structure, Mapping):
        return [structure[key] for key in sorted(structure)]
    if hasattr(type(structure), "__attrs_attrs__"):
        return [getattr(structure, attribute.name) for attribute in type(structure).__attrs_attrs__]
    return list(structure)


def flatten(structure: Any) -> list:
    """The components in order; those of a mapping by sorted keys."""
    if not is_nested(structure):
        return [structure]
    return [leaf for item in _items(structure) for leaf in flatten(item)]


def pack(structure: Any, leaves: Sequence[Any]) -> Any:
    """A structure of the same kind with other components."""
    return _packed(structure, iter(leaves))


def _packed(structure: Any, leaves: Any) -> Any:
    if not is_nested(structure):
        return next(leaves)
    items = [_packed(item, leaves) for item in _items(structure)]
    if isinstance(structure, Mapping):
        result = dict(zip(sorted(structure), items, strict=True))
        return type(structure)([(key, result[key]) for key in structure])  # type: ignore[call-arg]
    plain = type(structure) is tuple
    return tuple(items) if plain else type(structure)(*items)


def mapped(function: Callable, structure: Any) -> Any:
    """Apply a function to each component."""
    return pack(structure, [function(leaf) for leaf in flatten(structure)])


def alike(one: Any, other: Any) -> bool:
    """True if two structures are nested the same way."""
    if not is_nested(one) or not is_nested(other):
        return is_nested(one) == is_nested(other)
    if isinstance(one, Mapping) != isinstance(other, Mapping):
        return False
    if isinstance(one, Mapping) and set(one) != set(other):
        return False
    if hasattr(one, "_fields") and hasattr(other, "_fields") and not same_kind(one, other):
        return False
    items, others = _items(one), _items(other)
    return len(items) == len(others) and all([alike(a, b) for a, b in zip(items, others, strict=True)])


def check_alike(one: Any, other: Any) -> None:
    """Raise TypeError or ValueError, as TensorFlow 1 does, if the structures are nested differently."""
    if not alike(one, other):
        kind = TypeError if is_nested(one) and is_nested(other) and type(one) is not type(other) else ValueError
        text = f"First structure: {one}\n\nSecond structure: {other}"
        raise kind(f"The two structures don't have the same nested structure.\n\n{text}")


# Between graphs and elements


def as_components(value: Any) -> Any:
    """A user's element as a structure of tensors, SparseTensors and datasets. Raises TypeError or ValueError."""
    return mapped(_component, value)


def _component(value: Any) -> Any:
    if isinstance(value, SparseTensorValue):
        return SparseTensor.from_value(value)
    return value if isinstance(value, SparseTensor) or hasattr(value, "variant_tensor") else convert_to_tensor(value)


def leaf_of(component: Any) -> Leaf:
    """The leaf for a tensor, SparseTensor or dataset."""
    if isinstance(component, SparseTensor):
        return Leaf(SPARSE, component.dtype.base_dtype, shapes.as_raw(component.get_shape()))
    if hasattr(component, "variant_tensor"):
        return Leaf(DATASET, dtypes.variant, (), component.structure)
    return Leaf(TENSOR, component.dtype.base_dtype, component.raw_shape)


def parts_of(components: Sequence[Any]) -> list[Tensor]:
    """The tensors of the components."""
    parts: list[Tensor] = []
    for component in components:
        if isinstance(component, SparseTensor):
            parts += [component.indices, component.values, component.dense_shape]
        else:
            parts.append(getattr(component, "variant_tensor", component))
    return parts


class _Factories:
    """Set by `dataset`, which avoids an import cycle."""

    dataset: Callable[[Tensor, Any], Any]
    """Makes a Dataset from a tensor and a structure."""
    classes: dict[str, type]
    """The class for each name."""


MADE = _Factories()


class Structured:
    """The base class of objects whose elements have a structure."""

    structure: Any

    @property
    def output_types(self) -> Any:
        """The dtype of each component."""
        return mapped(lambda leaf: leaf.dtype, self.structure)

    @property
    def output_shapes(self) -> Any:
        """The shape of each component, as far as it is known."""
        return mapped(lambda leaf: shapes.TensorShape(leaf.shape), self.structure)

    @property
    def element_spec(self) -> Any:
        """The description of each component: a TensorSpec, SparseTensorSpec or DatasetSpec."""
        return mapped(_spec, self.structure)

    @property
    def output_classes(self) -> Any:
        """Tensor, SparseTensor or Dataset for each component."""
        return mapped(lambda leaf: MADE.classes[leaf.word], self.structure)


class DatasetSpec(TypeSpec):
    """The description of a dataset.

    element_spec: of its elements, a structure of TypeSpecs.   dataset_shape: must be a scalar's.
    """

    def __init__(self, element_spec: Any, dataset_shape: Any = ()):
        self._element_spec, self._dataset_shape = element_spec, shapes.TensorShape(dataset_shape)

    @property
    def value_type(self) -> type:
        """Dataset."""
        return MADE.classes[DATASET]

    @property
    def element_spec(self) -> Any:
        """The description of an element."""
        return self._element_spec

    def _serialize(self) -> tuple[Any, ...]:
        return (self._element_spec, self._dataset_shape)


def _spec(leaf: Leaf) -> TypeSpec:
    if leaf.word == DATASET:
        return DatasetSpec(mapped(_spec, leaf.inner))
    return (SparseTensorSpec if leaf.word == SPARSE else TensorSpec)(leaf.shape, leaf.dtype)


def whole(structure: Any, parts: Sequence[Tensor]) -> Any:
    """Assemble a structure of tensors, SparseTensors and datasets from their parts."""
    left = iter(parts)
    components: list[Any] = []
    for leaf in flatten(structure):
        tensors = [next(left) for _ in leaf.parts]
        if leaf.word == SPARSE:
            components.append(SparseTensor(*tensors))
        else:
            components.append(MADE.dataset(tensors[0], leaf.inner) if leaf.word == DATASET else tensors[0])
    return pack(structure, components)


def placeholders(graph: Graph, structure: Any) -> list[Tensor]:
    """A placeholder for each part of an element."""
    return [
        graph.add(Kind.PLACEHOLDER, "Element", outputs=[part], name="element").outputs[0]
        for leaf in flatten(structure)
        for part in leaf.parts
    ]


def batched(structure: Any, rows: int | None) -> Any:
    """The structure of elements after stacking."""

    def stacked_leaf(leaf: Leaf) -> Leaf:
        return leaf._replace(shape=None if leaf.shape is None else (rows, *leaf.shape))

    return mapped(stacked_leaf, structure)


def unbatched(structure: Any, error: str) -> Any:
    """The structure of an element's rows. Raises ValueError with the text `error` for scalars."""

    def row_leaf(leaf: Leaf) -> Leaf:
        if leaf.shape == ():
            raise ValueError(error)
        return leaf._replace(shape=None if leaf.shape is None else leaf.shape[1:])

    return mapped(row_leaf, structure)


def rows_of(structure: Any) -> Any:
    """The structure of an element's rows. Raises ValueError for scalars and unequal numbers of rows."""
    rows = unbatched(structure, "Cannot unbatch an input with scalar components.")
    if len({leaf.shape[0] for leaf in flatten(structure) if leaf.shape} - {None}) > 1:
        raise ValueError("Cannot unbatch an input whose components have different batch sizes.")
    return rows


def in_common(one: Any, other: Any) -> Any:
    """The most specific structure that matches the elements of both."""
    pairs = zip(flatten(one), flatten(other), strict=True)
    return pack(one, [a._replace(shape=shapes.common(a.shape, b.shape)) for a, b in pairs])


def of(types: Any, given_shapes: Any = None, classes: Any = None, words: Mapping[Any, str] | None = None) -> Any:
    """A structure from dtypes, shapes (unknown if not given) and classes (tensors if not given).

    Raises TypeError or ValueError if they do not match.
    """
    types = mapped(dtypes.as_dtype, types)
    flat = flatten(types)
    if given_shapes is None:
        raw: list[shapes.RawShape] = [None] * len(flat)
    else:
        raw = _shapes_like(types, given_shapes)
    kinds = [TENSOR] * len(flat)
    if classes is not None:
        check_alike(types, classes)
        kinds = [(words or {}).get(kind, TENSOR) for kind in flatten(classes)]
    return pack(types, [Leaf(k, d.base_dtype, s) for k, d, s in zip(kinds, flat, raw, strict=True)])


def _shapes_like(types: Any, given: Any) -> list[shapes.RawShape]:
    """Shapes for a structure of types: whatever is in the place of a type is its shape."""
    if not is_nested(types):
        return [partial_shape(given)]
    if isinstance(types, Mapping):
        if not isinstance(given, Mapping) or set(given) != set(types):
            raise ValueError(f"The shapes {given!r} do not have the structure of the types {types!r}")
        return [shape for key in sorted(types) for shape in _shapes_like(types[key], given[key])]
    if not isinstance(given, (tuple, list)) or len(given) != len(_items(types)):
        raise ValueError(f"The shapes {given!r} do not have the structure of the types {types!r}")
    return [shape for item, one in zip(_items(types), given, strict=True) for shape in _shapes_like(item, one)]


def partial_shape(given: Any) -> shapes.RawShape:
    """A shape in which -1 and None mean unknown."""
    if isinstance(given, (list, tuple)):
        given = [None if isinstance(d, int) and d < 0 else d for d in given]
    return shapes.as_raw(given)


def shapes_for(structure: Any, given: Any) -> list[shapes.RawShape]:
    """A shape for each component of a structure. Raises ValueError if they do not match."""
    return _shapes_like(mapped(lambda leaf: leaf.dtype, structure), given)
