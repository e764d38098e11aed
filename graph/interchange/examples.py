"""Readers and writers of operations that parse examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.files import parsing
from weftwork.graph.interchange.given import Given, known, reads
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.writing import Node, writes
from weftwork.graph.operation import Tensor

Written = tuple[list[Part], dict[str, Any]]


# Reading


def _features(given: Given, sparse: Sequence[str], dense: Sequence[str], defaults: Sequence[Tensor]) -> dict[str, Any]:
    """What to read under each key. A default of no elements means that the feature is needed."""
    features: dict[str, Any] = {}
    for key, dtype in zip(sparse, given["sparse_types"], strict=True):
        features[key] = parsing.VarLenFeature(dtype)
    for key, dtype, shape, default in zip(dense, given["Tdense"], given["dense_shapes"], defaults, strict=True):
        if shape[:1] == (None,):
            features[key] = parsing.FixedLenSequenceFeature(shape[1:], dtype, True, default)
        else:
            needed = default.raw_shape is not None and 0 in default.raw_shape and 0 not in shape
            features[key] = parsing.FixedLenFeature(shape, dtype, None if needed else default)
    if len(features) < len(sparse) + len(dense):
        raise ValueError("a feature that is read twice is not supported")
    return features


def _ordered(found: dict[str, Any], sparse: Sequence[str], dense: Sequence[str]) -> list[Tensor]:
    """The results in the order of the declaration: all indices, all values, all shapes, what is dense."""
    rows = [found[key] for key in sparse]
    indices, values, dims = [sp.indices for sp in rows], [sp.values for sp in rows], [sp.dense_shape for sp in rows]
    return [*indices, *values, *dims, *[found[key] for key in dense]]


def _keys(tensors: Sequence[Tensor]) -> list[str]:
    return [key.decode() for value in known(tensors, "keys") for key in np.ravel(np.asarray(value, object))]


@reads("ParseExample", "ParseExampleV2")
def _parse(given: Given) -> Any:
    serialized, names, *rest = given.inputs
    if given.type == "ParseExampleV2":
        if given["ragged_value_types"]:
            raise ValueError("ragged features are not supported")
        sparse, dense, rest = _keys(rest[:1]), _keys(rest[1:2]), rest[3:]
    else:
        some, more = given["Nsparse"], given["Ndense"]
        sparse, dense, rest = _keys(rest[:some]), _keys(rest[some : some + more]), rest[some + more :]
    features = _features(given, sparse, dense, rest)
    make = parsing.parse_single_example if serialized.raw_shape == () else parsing.parse_example
    labels = names if names.raw_shape is None or 0 not in names.raw_shape else None
    return _ordered(make(serialized, features, given.name, labels), sparse, dense)


@reads("ParseSingleExample")
def _parse_single(given: Given) -> Any:
    serialized, *defaults = given.inputs
    sparse, dense = given["sparse_keys"], given["dense_keys"]
    features = _features(given, sparse, dense, defaults)
    return _ordered(parsing.parse_single_example(serialized, features, given.name), sparse, dense)


# Writing


def _layout(node: Node) -> tuple[list[Any], list[Any]]:
    """The wanted features that are sparse, and those that are dense; says where each output is."""
    wanted = node.attrs["wanted"]
    if any(one.way == "sparse" for one in wanted):
        raise Inexpressible  # TensorFlow makes it of two features
    sparse = [one for one in wanted if one.way == "ragged"]
    dense = [one for one in wanted if one.way != "ragged"]
    places: list[int] = []
    for one in wanted:
        at = (sparse if one.way == "ragged" else dense).index(one)
        count = len(sparse)
        places += [at, count + at, 2 * count + at] if one.way == "ragged" else [3 * count + at]
    outputs = zip(places, node.op.outputs, strict=True)
    node.made = [Part(f"{node.op.name}:{at}" if at else node.op.name, t.dtype.base_dtype) for at, t in outputs]
    return sparse, dense


def _defaults(node: Node, inputs: list[Part], dense: list[Any]) -> list[Part]:
    found = []
    for one in dense:
        if one.default is not None:
            found.append(inputs[2 + one.default])
        elif one.way == "padded":
            zero = b"" if one.dtype == "string" else 0
            found.append(node.constant("Const", zero, one.dtype))
        else:
            found.append(node.constant("Const", np.empty(0, dtypes.ALL[one.dtype].numpy), one.dtype))
    return found


def _types(sparse: list[Any], dense: list[Any]) -> dict[str, Any]:
    shapes = [(None, *one.shape) if one.way == "padded" else one.shape for one in dense]
    return {
        "sparse_types": [dtypes.ALL[one.dtype] for one in sparse],
        "Tdense": [dtypes.ALL[one.dtype] for one in dense],
        "dense_shapes": shapes,
    }


@writes("ParseExample")
def _write_parse(node: Node) -> Written:
    sparse, dense = _layout(node)
    inputs = node.inputs()
    keys = [
        node.constant(f"ParseExample/{word}_keys_{number}", one.keys[0].encode(), "string")
        for word, some in (("sparse", sparse), ("dense", dense))
        for number, one in enumerate(some)
    ]
    counts = {"Nsparse": len(sparse), "Ndense": len(dense)}
    return [*inputs[:2], *keys, *_defaults(node, inputs, dense)], {**_types(sparse, dense), **counts}


@writes("ParseSingleExample")
def _write_parse_single(node: Node) -> Written:
    sparse, dense = _layout(node)
    inputs = node.inputs()
    words = {"sparse_keys": [one.keys[0] for one in sparse], "dense_keys": [one.keys[0] for one in dense]}
    attrs = {**_types(sparse, dense), **words, "num_sparse": len(sparse)}
    return [inputs[0], *_defaults(node, inputs, dense)], attrs
