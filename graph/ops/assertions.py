"""Assertions: nodes that fail the run if a condition does not hold.

A run commits completely or not at all, so it does not matter when it evaluates an assertion: a failed run has changed
nothing. An assertion is evaluated if it is fetched, or if a control input makes a fetched node depend on it. Conditions
whose value is known while the graph is built are checked then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, as_tensor, convert_to_tensor, convert_together, graph_of, static_value
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.known import renamed
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.ops import array_ops
from weftwork.graph.ops.flow import group, no_op
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph

_SHOWN_ELEMENTS = 3
"""The default number of elements of a value that an error shows."""
_TOLERANCE = 10
"""Default tolerance of assert_near, in units of the dtype's epsilon."""


def summarized(value: Any, most: int | None) -> str:
    """The first elements of a value, in TensorFlow's format: [1 2 3...], or [[1 2][3...]...] for several axes."""
    if isinstance(value, bytes):
        return f"[{value.decode('utf-8', 'replace')}]"
    array = np.asarray(value)
    limit = _SHOWN_ELEMENTS if most is None else most if most >= 0 else array.size
    texts = [e.decode("utf-8", "replace") if isinstance(e, bytes) else str(e) for e in np.ravel(array)[:limit]]
    shown = _rows([text.removesuffix(".0") for text in texts], array.shape)
    return f"[{shown}{'...' if limit < array.size else ''}]"


def _rows(texts: list[str], shape: tuple[int, ...]) -> str:
    """The first elements of an array of this shape, in the brackets of its inner axes."""
    if len(shape) < 2:
        return " ".join(texts)
    size, rows = math.prod(shape[1:]), []
    for start in range(0, len(texts), size or 1):
        row = texts[start : start + size]
        cut = len(row) < size and len(shape) == 2
        rows.append(f"[{_rows(row, shape[1:])}{'...' if cut else ''}]")
    return "".join(rows)


def check(holds: Any, *data: Any, summarize: int | None) -> tuple:
    """The kernel of Assert."""
    if not np.all(holds):
        raise InvalidArgumentError(
            None, None, "assertion failed: " + " ".join([summarized(value, summarize) for value in data])
        )
    return ()


def Assert(condition: Any, data: Sequence[Any], summarize: int | None = None, name: str | None = None) -> Operation:
    """An operation that raises InvalidArgumentError, with the values of `data`, unless `condition` is true.

    condition: booleans, all of which must be true.   summarize: how many elements of each value to show, 3 by default,
    -1 for all.
    Raises TypeError for a condition of another dtype, ValueError for no data.
    """
    with name_scope(name, "Assert", [condition, *data]):
        tensors = [convert_to_tensor(item) for item in data]
        if not tensors:
            raise ValueError("Attr 'T' of 'Assert' Op passed list of length 0 less than minimum 1.")
        # TensorFlow puts other assertions into a branch, and returns its result.
        plain = all([t.dtype.base_dtype in (dtypes.string, dtypes.int32) for t in tensors])
        return asserted(condition, tensors, summarize, "Assert" if plain else "AssertGuard/Merge")


def asserted(condition: Any, data: Sequence[Tensor], summarize: int | None, name: str) -> Operation:
    """The operation of `Assert`, by its own name."""
    holds = convert_to_tensor(condition)
    if not holds.dtype.is_bool and holds.dtype is not dtypes.object:
        text = f"Input 'condition' of 'Assert' has type {holds.dtype.name} that does not match expected type of bool"
        raise TypeError(f"{text}: {condition!r}")
    inputs = (holds, *data)
    return graph_of(inputs).add(
        Kind.PURE, "Assert", kernel=check, inputs=inputs, attrs={"summarize": summarize}, outputs=[], name=name
    )


# Comparisons of elements


def _compared(sign: str, holds: Callable, x: Any, y: Any, data: Any, summarize: int | None, message: Any, name: str):
    """An assertion that `holds` is true for all pairs of elements; checked at once if both are known.

    sign: how the message says it, with " 0" if y is zero.
    """
    with name_scope(name, None, [x, y]) as scope:
        x, y = convert_together([x, y], folder=scope)
        if data is None:
            bound = [] if sign.endswith("0") else [f"y ({y.name}) = ", y]
            words = sign if sign.endswith("0") else f"{sign} y"
            data = [f"Condition x {words} did not hold element-wise:", f"x ({x.name}) = ", x, *bound]
        if message is not None:
            data = [message, *data]
        shapes.broadcast(x.raw_shape, y.raw_shape)
        known = [static_value(x), static_value(y)]
        if any(value is None for value in known):
            return Assert(holds(x, y), data, summarize)
        check(holds(*known), *map(_shown, data), summarize=summarize)
        return no_op(name=scope)


def _shown(item: Any) -> Any:
    """An item's value, if it is known while the graph is built."""
    if as_tensor(item) is None:
        return item
    value = static_value(item)
    return str(item) if value is None else value


def assert_equal(
    x: Any, y: Any, data: Any = None, summarize: int | None = None, message: Any = None, name: str | None = None
) -> Operation:
    """Assert x == y, element by element, with broadcasting. If it fails, the run raises InvalidArgumentError."""
    return _compared("==", np.equal, x, y, data, summarize, message, name or "assert_equal")


def assert_none_equal(
    x: Any, y: Any, data: Any = None, summarize: int | None = None, message: Any = None, name: str | None = None
) -> Operation:
    """Assert x != y, element by element, with broadcasting."""
    return _compared("!=", np.not_equal, x, y, data, summarize, message, name or "assert_none_equal")


def assert_less(
    x: Any, y: Any, data: Any = None, summarize: int | None = None, message: Any = None, name: str | None = None
) -> Operation:
    """Assert x < y, element by element, with broadcasting."""
    return _compared("<", np.less, x, y, data, summarize, message, name or "assert_less")


def assert_less_equal(
    x: Any, y: Any, data: Any = None, summarize: int | None = None, message: Any = None, name: str | None = None
) -> Operation:
    """Assert x <= y, element by element, with broadcasting."""
    return _compared("<=", np.less_equal, x, y, data, summarize, message, name or "assert_less_equal")


def assert_greater(
    x: Any, y: Any, data: Any = None, summarize: int | None = None, message: Any = None, name: str | None = None
) -> Operation:
    """Assert x > y, element by element, with broadcasting."""
    return _compared(">", np.greater, x, y, data, summarize, message, name or "assert_greater")


def assert_greater_equal(
    x: Any, y: Any, data: Any = None, summarize: int | None = None, message: Any = None, name: str | None = None
) -> Operation:
    """Assert x >= y, element by element, with broadcasting."""
    return _compared(">=", np.greater_equal, x, y, data, summarize, message, name or "assert_greater_equal")


def assert_positive(
    x: Any, data: Any = None, summarize: int | None = None, message: Any = None, name: str | None = None
) -> Operation:
    """Assert x > 0 for every element."""
    return _compared("> 0", np.greater, x, 0, data, summarize, message, name or "assert_positive")


def assert_negative(
    x: Any, data: Any = None, summarize: int | None = None, message: Any = None, name: str | None = None
) -> Operation:
    """Assert x < 0 for every element."""
    return _compared("< 0", np.less, x, 0, data, summarize, message, name or "assert_negative")


def assert_non_negative(
    x: Any, data: Any = None, summarize: int | None = None, message: Any = None, name: str | None = None
) -> Operation:
    """Assert x >= 0 for every element."""
    return _compared(">= 0", np.greater_equal, x, 0, data, summarize, message, name or "assert_non_negative")


def assert_non_positive(
    x: Any, data: Any = None, summarize: int | None = None, message: Any = None, name: str | None = None
) -> Operation:
    """Assert x <= 0 for every element."""
    return _compared("<= 0", np.less_equal, x, 0, data, summarize, message, name or "assert_non_positive")


def assert_near(
    x: Any,
    y: Any,
    rtol: Any = None,
    atol: Any = None,
    data: Any = None,
    summarize: int | None = None,
    message: Any = None,
    name: str | None = None,
) -> Operation:
    """Assert |x - y| <= atol + rtol * |y| for every element. By default both are 10 times the dtype's epsilon."""
    with name_scope(name, "assert_near", [x, y]) as scope:
        x, y = convert_together([x, y], folder=scope)
        eps = float(_TOLERANCE * np.finfo(x.dtype.numpy).eps)
        rtol, atol = (eps if t is None else t for t in (rtol, atol))
        details = [] if message is None else [message]
        if data is None:
            data = ["x and y not equal to tolerance rtol and atol:", f"x ({x.name}) = ", x, f"y ({y.name}) = ", y]
        return Assert(np.abs(x - y) <= atol + rtol * np.abs(y), [*details, *data], summarize)


# Ranks and types


def assert_rank(
    x: Any, rank: int, data: Any = None, summarize: int | None = None, message: Any = None, name: str | None = None
) -> Operation:
    """Assert that x has this rank. Raises ValueError at once if its rank is known to be another."""
    return _ranked("rank", np.equal, x, rank, data, summarize, message, name or "assert_rank")


def assert_rank_at_least(
    x: Any, rank: int, data: Any = None, summarize: int | None = None, message: Any = None, name: str | None = None
) -> Operation:
    """Assert that x has at least this rank. Raises ValueError at once if its rank is known to be less."""
    return _ranked("rank at least", np.greater_equal, x, rank, data, summarize, message, name or "assert_rank_at_least")


def _ranked(what: str, holds: Callable, x: Any, rank: int, data: Any, summarize: int | None, message: Any, name: str):
    with name_scope(name, None, [x]) as scope:
        x = convert_to_tensor(x)
        given = whole_number(rank)
        rank = rank if given is None else int(given)
        known, text = x.raw_shape if given is not None else None, message or ""
        if known is not None:
            if not holds(len(known), rank):
                raise ValueError(
                    f"{text}.  Tensor {x.name} must have {what} {rank}.  Received rank {len(known)}, "
                    f"shape {shapes.bracket_text(known)}"
                )
            return no_op(name=scope)
        if data is None:
            data = [text, f"Tensor {x.name} must have {what}", rank, "Received shape: ", array_ops.shape(x)]
        return Assert(holds(array_ops.rank(x), rank), data, summarize)


def whole_number(rank: Any) -> Any:
    """The static value of a rank, None if it is not known. Raises TypeError or ValueError unless it is one integer."""
    tensor = convert_to_tensor(rank)
    if not tensor.dtype.is_integer:
        raise TypeError(f"{tensor.name} must be of type tf.int32; got {tensor.dtype!r}: a rank is a whole number")
    if tensor.raw_shape not in (None, ()):
        raise ValueError("Rank must be a scalar.")
    return static_value(tensor)


def assert_type(tensor: Any, tf_type: Any, message: str | None = None, name: str | None = None) -> Operation:
    """Raise TypeError at once unless the tensor has the dtype `tf_type`."""
    tensor, wanted = convert_to_tensor(tensor), dtypes.as_dtype(tf_type)
    if tensor.dtype.base_dtype is not wanted.base_dtype:
        raise TypeError(f"{message or ''}  {tensor.op.name} must be of type {wanted!r}")
    return no_op(name=name or "assert_type")


def assert_integer(x: Any, message: str | None = None, name: str | None = None) -> Operation:
    """Raise TypeError at once unless x has an integer dtype."""
    tensor = convert_to_tensor(x)
    if not tensor.dtype.is_integer:
        raise TypeError(f'{message or ""}  Expected "x" to be integer type.  Found: {tensor.dtype!r}')
    return no_op(name=name or "assert_integer")


# NaN and infinity


def finite(value: Any, *, message: str) -> Any:
    """The kernel of CheckNumerics."""
    if not np.all(np.isfinite(value)):
        infinite, none = np.any(np.isinf(value)), np.any(np.isnan(value))
        found = "Inf and NaN" if infinite and none else "Inf" if infinite else "NaN"
        raise InvalidArgumentError(None, None, f"{message} : Tensor had {found} values")
    return value


def check_numerics(tensor: Any, message: str, name: str | None = None) -> Tensor:
    """Return the tensor. At run time, raises InvalidArgumentError with `message` if an element is infinite or NaN."""
    x = convert_to_tensor(tensor)
    if not (x.dtype.is_floating or x.dtype.is_complex):
        raise TypeError(f"Value passed to parameter 'tensor' has DataType {x.dtype.name} not in list of allowed values")
    attrs = {"message": message}
    return apply(finite, [x], attrs, type="CheckNumerics", name=name, dtype=x.dtype.base_dtype, shape=x.raw_shape)


def verify_tensor_all_finite(
    t: Any = None, msg: str | None = None, name: str | None = None, x: Any = None, message: str | None = None
) -> Tensor:
    """The same as check_numerics.

    t: a float tensor.   x, message: newer names of t and msg.
    """
    t, msg = renamed("x", x, "t", t), renamed("message", message, "msg", msg)
    with name_scope(name, "VerifyFinite", [t]) as scope:
        return check_numerics(t, msg or "", name=scope)


def add_check_numerics_ops() -> Operation:
    """An operation that checks every floating tensor now in the graph, except those inside branches and loops."""
    checks = []
    for op in get_default_graph().get_operations():
        for tensor in op.outputs:
            plain = tensor.dtype.is_floating and op.section is None and not tensor.dtype._is_ref_dtype
            if plain and op.kind is not Kind.CONSTANT:
                checks.append(check_numerics(tensor, f"{op.name}:{op.outputs.index(tensor)}").op)
    return group(*checks)
