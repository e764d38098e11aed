"""Examples as tensors: `parse_example` and its variants, and descriptions of how to read each feature.

example   a serialized `tf.train.Example`: named features, each a list of int64, float32 or bytes
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.files import columns
from weftwork.graph.files.columns import Wanted
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.array_ops import reshape
from weftwork.graph.ops.composite import SparseTensor
from weftwork.graph.scopes import name_scope


class FixedLenFeature(NamedTuple):
    """The same number of values in each example: a tensor, of `shape` for each.

    default_value: for examples without the feature; if not given, they are errors.
    """

    shape: Any
    dtype: Any
    default_value: Any = None


class FixedLenSequenceFeature(NamedTuple):
    """Any number of elements of `shape` in each example: a tensor, padded to the longest.

    allow_missing: an example without the feature counts as empty. Must be True, except in a SequenceExample.
    default_value: the padding, 0 or "" by default.
    """

    shape: Any
    dtype: Any
    allow_missing: bool = False
    default_value: Any = None


class VarLenFeature(NamedTuple):
    """Any number of values in each example: a SparseTensor."""

    dtype: Any


class SparseFeature(
    namedtuple("SparseFeature", ["index_key", "value_key", "dtype", "size", "already_sorted"], defaults=[False])
):
    """Values in one feature and their indices in another: a SparseTensor of shape `size`.

    index_key, size: lists of these for several dimensions.   already_sorted: the indices are in order.
    """

    __slots__ = ()


_DTYPES = (dtypes.float32, dtypes.int64, dtypes.string)
_ALLOWED = ", ".join([dtype.name for dtype in _DTYPES])


class _Plan:
    """The wanted features of one call: how to read them, their defaults, and the resulting tensors.

    batch: the raw shape in front of an element's.   sequence: these are the feature lists of a SequenceExample.
    """

    def __init__(self, features: Any, batch: tuple, inputs: list, sequence: bool = False):
        self.batch, self.inputs, self.sequence = batch, inputs, sequence
        self.keys = sorted(features)
        self.wanted = tuple([self._wanted(key, features[key]) for key in self.keys])

    def _wanted(self, key: str, feature: Any) -> Wanted:
        if not isinstance(feature, (FixedLenFeature, FixedLenSequenceFeature, VarLenFeature, SparseFeature)):
            raise ValueError(f"Invalid feature {key}:{feature}.")
        if feature.dtype is None:
            raise ValueError(f"Missing type for feature {key}.")
        dtype = as_dtype(feature.dtype).base_dtype
        if dtype not in _DTYPES:
            raise TypeError(f"Feature {key} has DataType {dtype.name} not in list of allowed values: {_ALLOWED}")
        if isinstance(feature, VarLenFeature):
            return Wanted("ragged", (key,), dtype.name)
        if isinstance(feature, SparseFeature):
            return self._sparse(key, feature, dtype)
        if feature.shape is None:
            raise ValueError(f"Missing shape for feature {key}.")
        shape = shapes.as_raw(feature.shape) or ()
        if None in shape:
            open_end = shape.index(None) == 0
            first = "First dimension of shape" if open_end else "All dimensions of shape"
            hint = " Consider using FixedLenSequenceFeature." if open_end else ""
            raise ValueError(f"{first} for feature {key} must be known but received {shapes.text(shape)}.{hint}")
        if isinstance(feature, FixedLenFeature):
            if self.sequence:
                raise ValueError(f"Unsupported FixedLenFeature {key} in a sequence: use FixedLenSequenceFeature.")
            return Wanted("fixed", (key,), dtype.name, shape, self._default(key, feature, dtype, shape))  # type: ignore[arg-type]
        if self.sequence:
            return Wanted("fixed", (key,), dtype.name, shape, is_optional=feature.allow_missing)  # type: ignore[arg-type]
        if not feature.allow_missing:
            raise ValueError("Unsupported: FixedLenSequenceFeature requires allow_missing to be True.")
        return Wanted("padded", (key,), dtype.name, shape, self._default(key, feature, dtype, ()))  # type: ignore[arg-type]

    def _sparse(self, key: str, feature: SparseFeature, dtype: DType) -> Wanted:
        is_list = isinstance(feature.index_key, (list, tuple))
        places = tuple(feature.index_key) if is_list else (feature.index_key,)
        size = tuple(feature.size) if isinstance(feature.size, (list, tuple)) else (feature.size,)
        if not feature.value_key or not all(places):
            raise ValueError(f"Missing {'index_key' if feature.value_key else 'value_key'} for SparseFeature {key}.")
        if len(size) != len(places):
            raise ValueError(f"SparseFeature {key} needs a size for each index key, not {len(size)} for {len(places)}.")
        numbers = tuple([int(s) for s in size])
        return Wanted("sparse", (feature.value_key, *places), dtype.name, numbers, None, bool(feature.already_sorted))

    def _default(self, key: str, feature: Any, dtype: DType, shape: tuple) -> int | None:
        if feature.default_value is None:
            return None
        name = "key_" + re.sub(r"[^A-Za-z0-9_.\-/]", "_", key)
        self.inputs.append(reshape(convert_to_tensor(feature.default_value, dtype, name=name), shape))
        return len(self.inputs) - 3

    def outputs(self) -> list[tuple[DType, shapes.RawShape]]:
        """(dtype, raw shape) of all outputs of the node."""
        specs = []
        for one in self.wanted:
            dtype = as_dtype(one.dtype)
            if one.way in ("fixed", "padded"):
                specs.append((dtype, (*self.batch, *((None,) if one.way == "padded" else ()), *one.shape)))
            else:
                rank = len(self.batch) + (len(one.shape) if one.way == "sparse" else 1)
                specs += [(dtypes.int64, (None, rank)), (dtype, (None,)), (dtypes.int64, (rank,))]
        return specs

    def tensors(self, outputs: list[Tensor]) -> dict[str, Any]:
        """The result for each key, from the node's first outputs, which are consumed."""
        found = {}
        for key, one in zip(self.keys, self.wanted, strict=True):
            dense = one.way in ("fixed", "padded")
            found[key] = outputs.pop(0) if dense else SparseTensor(outputs.pop(0), outputs.pop(0), outputs.pop(0))
        return found


def _checked(features: Any, what: str = "features") -> Mapping[str, Any]:
    if not features:
        raise ValueError(f"Missing: {what} was {features}.")
    return features


def _inputs(serialized: Any, names: Any, rank: int) -> tuple[Tensor, Tensor]:
    tensor = convert_to_tensor(serialized, dtypes.string, name="serialized")
    if tensor.raw_shape is not None and len(tensor.raw_shape) != rank:
        raise ValueError(f"Shape must be rank {rank} but is rank {len(tensor.raw_shape)}: {tensor!r}")
    no_names = [] if rank else ""
    return tensor, convert_to_tensor(no_names if names is None else names, dtypes.string, name="names")


def parse_example(serialized: Any, features: Any, name: str | None = None, example_names: Any = None) -> dict[str, Any]:
    """Parse a vector of serialized examples into {key: tensor}.

    features: {key: FixedLenFeature, VarLenFeature, SparseFeature or FixedLenSequenceFeature}. For n examples these give
    a tensor [n, ...shape], a SparseTensor [n, longest], a SparseTensor [n, ...size], a tensor [n, longest, ...shape].
    example_names: a vector of names for the examples, used in errors.
    Raises ValueError or TypeError for invalid features. At run time, raises InvalidArgumentError for an example that
    does not match, naming the key and the example.
    """
    with name_scope(name, "ParseExample", [serialized]) as scope:
        data, names = _inputs(serialized, example_names, 1)
        batch = (None,) if data.raw_shape is None else data.raw_shape
        return _parse(columns.parse_batch, "ParseExample", scope, [data, names], _checked(features), batch)


def parse_single_example(
    serialized: Any, features: Any, name: str | None = None, example_names: Any = None
) -> dict[str, Any]:
    """Parse one serialized example, a scalar, into {key: tensor}: as `parse_example`, without the first axis.

    example_names: a scalar string for error messages.
    """
    with name_scope(name, "ParseSingleExample", [serialized]) as scope:
        inputs = list(_inputs(serialized, example_names, 0))
        return _parse(columns.parse_one, "ParseSingleExample", scope, inputs, _checked(features), ())


def _parse(kernel: Callable, kind: str, name: str, inputs: list, features: Any, batch: tuple) -> dict[str, Any]:
    plan = _Plan(features, batch, inputs)
    attrs = {"wanted": plan.wanted}
    return plan.tensors(apply(kernel, plan.inputs, attrs, type=kind, name=name, outputs=plan.outputs()))


def parse_single_sequence_example(
    serialized: Any,
    context_features: Any = None,
    sequence_features: Any = None,
    example_name: Any = None,
    name: str | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parse one serialized `SequenceExample`: ({key: tensor} for its context, {key: tensor} for its feature lists).

    context_features: as for `parse_single_example`.   sequence_features: {key: FixedLenSequenceFeature, VarLenFeature
    or SparseFeature}. For t steps these give a tensor [t, ...shape], a SparseTensor [t, longest] or [t, ...size].
    example_name: a scalar string for error messages.
    Raises ValueError without any features.
    """
    if not context_features and not sequence_features:
        raise ValueError("Missing features: neither context_features nor sequence_features were given.")
    with name_scope(name, "ParseSingleSequenceExample", [serialized]) as scope:
        inputs = list(_inputs(serialized, example_name, 0))
        context = _Plan(context_features or {}, (), inputs)
        steps = _Plan(sequence_features or {}, (None,), inputs, sequence=True)
        attrs = {"context": context.wanted, "steps": steps.wanted}
        outputs = context.outputs() + steps.outputs()
        kind = "ParseSingleSequenceExample"
        result = apply(columns.parse_sequence, inputs, attrs, type=kind, name=scope, outputs=outputs)
        return context.tensors(result), steps.tensors(result)


def parse_sequence_example(
    serialized: Any,
    context_features: Any = None,
    sequence_features: Any = None,
    example_names: Any = None,
    name: str | None = None,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor]]:
    """Parse a vector of serialized `SequenceExample`s: ({key: tensor} for their contexts, {key: tensor} for their
    feature lists, {key: lengths} for those of fixed length).

    context_features: as for `parse_example`.   sequence_features: {key: FixedLenSequenceFeature, VarLenFeature or
    SparseFeature}. For n examples of at most t steps these give a tensor [n, t, ...shape], padded with 0 or "", and its
    lengths [n]; a SparseTensor [n, t, longest] or [n, t, ...size].
    example_names: a vector of names for the examples, used in errors.
    Raises ValueError without any features. At run time, raises InvalidArgumentError for an example that does not match.
    """
    if not context_features and not sequence_features:
        raise ValueError("Missing features: neither context_features nor sequence_features were given.")
    with name_scope(name, "ParseSequenceExample", [serialized]) as scope:
        inputs = list(_inputs(serialized, example_names, 1))
        rows = (None,) if inputs[0].raw_shape is None else inputs[0].raw_shape
        context = _Plan(context_features or {}, rows, inputs)
        steps = _Plan(sequence_features or {}, (*rows, None), inputs, sequence=True)
        attrs = {"context": context.wanted, "steps": steps.wanted}
        dense = [key for key, one in zip(steps.keys, steps.wanted, strict=True) if one.way == "fixed"]
        outputs = context.outputs() + steps.outputs() + [(dtypes.int64, rows)] * len(dense)
        kind = "ParseSequenceExample"
        result = apply(columns.parse_sequences, inputs, attrs, type=kind, name=scope, outputs=outputs)
        return context.tensors(result), steps.tensors(result), dict(zip(dense, result, strict=True))
