"""Initial values of shared variables."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from weftwork.graph import shapes
from weftwork.graph.build import as_tensor
from weftwork.graph.dtypes import DType, string
from weftwork.graph.variables import initializers as init_ops
from weftwork.graph.variables.partitioned import PartitionInfo


def part_initializer(initializer: Any, info: PartitionInfo) -> Any:
    """Tell the initializer which part it is for, if it accepts that."""
    instance = initializer() if isinstance(initializer, type) else initializer
    if instance is None:
        return None
    takes = inspect.signature(instance).parameters
    if "partition_info" not in takes and not any(p.kind is p.VAR_KEYWORD for p in takes.values()):
        return instance
    return lambda shape, dtype=None: instance(shape, dtype=dtype, partition_info=info)


def initial_value(name: str, shape: Any, dtype: DType, initializer: Any, wanted: DType | None) -> Any:
    if initializer is not None and not callable(initializer):
        if shape is not None:
            raise ValueError("If initializer is a constant, do not specify shape.")
        tensor = as_tensor(initializer)
        if tensor is not None and wanted is not None and tensor.dtype.base_dtype is not wanted:
            text = f"Initializer type '{tensor.dtype.base_dtype}' and explicit dtype '{wanted}' don't match."
            raise ValueError(f"{text} The variable is {name!r}.")
        return initializer
    raw = shapes.as_raw(shape)
    if isinstance(initializer, type):
        initializer = initializer()
    parameters = _parameters(initializer)
    if raw is None and initializer is not None and not any([p.default is p.empty for p in parameters.values()]):
        return initializer
    if not shapes.is_full(raw):
        raise ValueError(f"Shape of a new variable ({name}) must be fully defined, but instead was {shapes.text(raw)}.")
    if initializer is None:
        initializer = _default_initializer(name, dtype)
    assert raw is not None
    extra = {"partition_info": None} if "partition_info" in parameters else {}
    return lambda: initializer(list(raw), dtype=dtype, **extra)


def _parameters(function: Any) -> dict[str, inspect.Parameter]:
    """A function's parameters; without a signature, it is assumed to take a shape."""
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return {"shape": inspect.Parameter("shape", inspect.Parameter.POSITIONAL_ONLY)}


def _default_initializer(name: str, dtype: DType) -> Callable:
    if dtype.is_floating or dtype.is_complex:
        return init_ops.GlorotUniform()
    if dtype.is_integer or dtype.is_bool or dtype is string:
        return init_ops.Zeros()
    raise ValueError(f"An initializer for variable {name} of {dtype.name} is required")
