"""The names of nodes for NumPy's elementwise functions, the kernels that run them, and the dtypes of their results."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.dtypes import DType, as_dtype

OPERATORS: dict[np.ufunc, Callable] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.divide: operator.truediv,
    np.floor_divide: operator.floordiv,
    np.remainder: operator.mod,
    np.power: operator.pow,
    np.negative: operator.neg,
    np.absolute: operator.abs,
    np.equal: operator.eq,
    np.not_equal: operator.ne,
    np.less: operator.lt,
    np.less_equal: operator.le,
    np.greater: operator.gt,
    np.greater_equal: operator.ge,
}
"""Ufuncs that Python has an operator for: the same on arrays, and five times as fast on NumPy scalars."""

UFUNC_TYPES = {
    "multiply": ("Mul", "mul"),
    "subtract": ("Sub", "sub"),
    "add": ("AddV2", "add"),
    "divide": ("RealDiv", "truediv"),
    "floor_divide": ("FloorDiv", "floordiv"),
    "remainder": ("FloorMod", "mod"),
    "negative": ("Neg", "Neg"),
    "absolute": ("Abs", "Abs"),
    "power": ("Pow", "pow"),
    "greater": ("Greater", "Greater"),
    "greater_equal": ("GreaterEqual", "GreaterEqual"),
    "less": ("Less", "Less"),
    "less_equal": ("LessEqual", "LessEqual"),
    "bitwise_and": ("BitwiseAnd", "and"),
    "bitwise_or": ("BitwiseOr", "or"),
    "bitwise_xor": ("BitwiseXor", "xor"),
}
"""The type and the name of a ufunc's nodes, as for TensorFlow's operators."""

LOGICAL = {
    "bitwise_and": ("LogicalAnd", "and"),
    "bitwise_or": ("LogicalOr", "or"),
    "bitwise_xor": ("LogicalXor", "xor"),
    "invert": ("LogicalNot", "LogicalNot"),
}
"""The same of booleans."""

OF_TEXT = {"add": ("Add", "add")}
"""The same of strings, which TensorFlow's AddV2 does not take."""


def type_and_name(ufunc: np.ufunc, dtype: DType | None) -> tuple[str, str]:
    """The type and the default name of a node of `ufunc`. dtype: of its first tensor, if it has one."""
    word = ufunc.__name__
    special = LOGICAL if dtype is dtypes.bool else OF_TEXT if dtype is dtypes.string else UFUNC_TYPES
    found = special.get(word) or UFUNC_TYPES.get(word)
    if found is None:
        word = re.sub(r"\W+", "_", word).strip("_")  # np.frompyfunc's are called "<lambda> (vectorized)"
        found = (word.title().replace("_", ""), word)
    return found


@lru_cache(maxsize=4096)
def ufunc_dtypes(ufunc: np.ufunc, given: tuple[DType, ...], name: str) -> tuple[DType, ...]:
    """The dtypes of the outputs; object where an input is one. Text is compared with text, and added to text."""
    if any(d.is_quantized for d in given):
        raise TypeError(f"{name.rstrip('/')} does not take {', '.join(d.name for d in given)}")
    if any(d.numpy.kind not in "biufc" for d in given):
        of_text = dtypes.string in given and all(d is dtypes.string or d.numpy.kind in "biufc" for d in given)
        compares = ufunc.__name__ in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
        if of_text and (len(set(given)) > 1 or not (compares or ufunc is np.add)):
            raise TypeError(f"{name.rstrip('/')} does not take {', '.join(d.name for d in given)}")
        if compares:
            return (dtypes.bool,) * ufunc.nout
        if of_text:
            return (dtypes.string,)
        return (dtypes.variant if dtypes.variant in given else dtypes.object,) * ufunc.nout
    try:
        resolved = ufunc.resolve_dtypes((*[d.numpy for d in given], *[None] * ufunc.nout))
    except TypeError as error:
        raise TypeError(f"{name.rstrip('/')} does not take {', '.join(d.name for d in given)}: {error}") from None
    return tuple([as_dtype(d) for d in resolved[ufunc.nin :]])
