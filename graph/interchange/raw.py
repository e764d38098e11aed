"""tf.raw_ops: each operation that TensorFlow declares, as a function of keyword arguments.

A function takes the operation's inputs and attributes by their declared names, and `name`. Types and numbers of inputs
follow from the inputs. It returns the output, a namedtuple of several outputs, or the operation if it has none.
"""

from __future__ import annotations

import keyword
from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import as_tensor, convert_to_tensor
from weftwork.graph.dtypes import ALL, DType, as_dtype
from weftwork.graph.interchange.creating import make
from weftwork.graph.interchange.signatures import NO_DEFAULT, Arg, Attr, Signature, names, signature
from weftwork.graph.interchange.values import array_of
from weftwork.graph.operation import Tensor
from weftwork.graph.stacks import get_default_graph

_AXIS = {"reduction_indices": "axis"}
_RENAMED = {
    **dict.fromkeys(["Sum", "Prod", "Mean", "Max", "Min", "Any", "All", "EuclideanNorm"], _AXIS),
    "ExpandDims": {"dim": "axis"},
    "Select": {"t": "x", "e": "y"},
    "Split": {"split_dim": "axis"},
    "SplitV": {"split_dim": "axis"},
    "Squeeze": {"squeeze_dims": "axis"},
    "Where": {"input": "condition"},
}
"""What TensorFlow's Python functions call some inputs and attributes, in place of their declared names."""


@cache
def raw_op(type: str) -> Callable[..., Any]:
    """The function that makes operations of a type. Raises AttributeError if TensorFlow does not declare the type."""
    declared = signature(type)
    if declared is None:
        raise AttributeError(f"TensorFlow has no operation of the type {type!r}")
    renamed = _RENAMED.get(type, {})
    inferred = {key for arg in declared.inputs for key in (arg.type, arg.count, arg.types)}
    own = [attr for attr in declared.attrs.values() if attr.name not in inferred]
    needed = [arg.name for arg in declared.inputs] + [attr.name for attr in own if not attr.has_default]
    keys = [renamed.get(key, key) for key in needed + [attr.name for attr in own if attr.has_default]]
    known_as = {renamed.get(key, key): key for key in [*needed, *declared.attrs]}

    def function(*args: Any, name: str | None = None, **given: Any) -> Any:
        if args:
            raise TypeError(
                f"{type} only takes keyword args (possible keys: {[*keys, 'name']}). Please pass these args as kwargs "
                "instead."
            )
        unknown = given.keys() - known_as.keys()
        if unknown:
            raise TypeError(f"{type}() got an unexpected keyword argument '{min(unknown)}'")
        values = {known_as[key]: value for key, value in given.items()}
        missing = [renamed.get(key, key) for key in needed if key not in values]
        if missing:
            raise TypeError(f"{type}() missing 1 required positional argument: '{missing[0]}'")
        return _made(declared, values, name or type)

    function.__name__ = function.__qualname__ = type
    function.__doc__ = f"The operation {type}.  Keyword arguments: {', '.join([*keys, 'name'])}."
    return function


def all_names() -> list[str]:
    """The names of the functions."""
    return [name for name in names() if not name.startswith("_")]


def _made(declared: Signature, given: Mapping[str, Any], name: str) -> Any:
    attrs = {key: _attribute(declared.attrs[key], value) for key, value in given.items() if key in declared.attrs}
    first = next((t for value in given.values() for t in _tensors(value)), None)
    graph = get_default_graph() if first is None else first.graph
    full = graph.named(name)
    with graph.as_default():
        inputs = _converted(declared, given, dict(attrs), full)
        made, values = make(declared, inputs, None, full, attrs)
    return _results(declared, made, values)


def _tensors(value: Any) -> list[Tensor]:
    parts = value if isinstance(value, (list, tuple)) else [value]
    return [tensor for tensor in map(as_tensor, parts) if tensor is not None]


def _attribute(attr: Attr, value: Any) -> Any:
    """An attribute's value in the form for building nodes."""
    if attr.kind == "type":
        return as_dtype(value).base_dtype
    if attr.kind == "list(type)":
        return [as_dtype(item).base_dtype for item in value]
    if attr.kind == "shape":
        return shapes.as_raw(value)
    if attr.kind == "list(shape)":
        return [shapes.as_raw(item) for item in value]
    if attr.kind == "tensor" and hasattr(value, "tensor_shape"):
        return array_of(value)
    return value.decode() if isinstance(value, bytes) and attr.kind == "string" else value


def _converted(declared: Signature, given: Mapping[str, Any], known: dict[str, Any], full: str) -> list[Tensor]:
    """The inputs as tensors. Those that share a type attribute take the dtype of the first, or the attribute's.

    known: the type attributes that are known so far, which grows.   full: the node's name with a slash.
    """
    inputs: list[Tensor] = []
    for arg in declared.inputs:
        value = given[arg.name]
        if not (arg.count or arg.types):
            inputs.append(_input(declared, arg, value, known, f"{full}{arg.name}/"))
            continue
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"Expected list for '{arg.name}' argument to '{declared.name}' Op, not {value!r}.")
        if arg.count and arg.type not in ALL and arg.type not in known and _tensors(value):
            known[arg.type] = _tensors(value)[0].dtype.base_dtype
        for number, item in enumerate(value):
            inputs.append(_input(declared, arg, item, known, f"{full}{arg.name}_{number}/"))
    return inputs


def _input(declared: Signature, arg: Arg, value: Any, known: dict[str, Any], name: str) -> Tensor:
    """One input as a tensor of the dtype that it must have, if that is known. Raises TypeError for another one."""
    if arg.ref and hasattr(value, "_ref"):
        value = value._ref()
    wanted: DType | None = ALL[arg.type] if arg.type in ALL else known.get(arg.type)
    tensor = as_tensor(value)
    if tensor is None:
        attr = declared.attrs.get(arg.type)
        hint = attr.default if wanted is None and attr is not None and attr.default is not NO_DEFAULT else None
        try:
            tensor = convert_to_tensor(value, wanted, name=name, preferred_dtype=hint)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"Expected {'a tensor' if wanted is None else wanted.name} passed to parameter '{arg.name}' of op "
                f"'{declared.name}', got {value!r} of type '{type(value).__name__}' instead. Error: {error}"
            ) from error
    if wanted is not None and tensor.dtype.base_dtype is not wanted and tensor.dtype is not dtypes.variant:
        first = next((a.name for a in declared.inputs if a.type == arg.type), "")
        than = f"type {wanted.name} of argument '{first}'" if first != arg.name else f"expected type of {wanted.name}"
        raise TypeError(
            f"Input '{arg.name}' of '{declared.name}' Op has type {tensor.dtype.base_dtype.name} that does not match "
            f"{than}."
        )
    if arg.type and arg.type not in ALL:
        known[arg.type] = tensor.dtype.base_dtype
    return tensor


def _results(declared: Signature, made: Any, attrs: Mapping[str, Any]) -> Any:
    """The outputs, in the form that the declaration gives them."""
    if not declared.outputs:
        return made
    found: list[Any] = []
    rest = list(made)
    for arg in declared.outputs:
        if arg.count or arg.types:
            size = attrs[arg.count] if arg.count else len(attrs[arg.types])
            found.append(rest[:size])
            del rest[:size]
        else:
            found.append(rest.pop(0))
    return found[0] if len(found) == 1 else _tuple_of(declared.name, tuple(a.name for a in declared.outputs))(*found)


@cache
def _tuple_of(name: str, fields: tuple[str, ...]) -> Any:
    return namedtuple(name, [f"{field}_" if keyword.iskeyword(field) else field for field in fields])
