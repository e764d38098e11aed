"""Signatures: the inputs, outputs and attributes of TensorFlow's public operations, as its registry declares them.

They are in signatures.txt, which is read on first use. A line is
`NAME INPUTS -> OUTPUTS | ATTRIBUTES`. `!` after the name: the operation has state or side effects.
input, output   `x:T` one tensor of the type in attribute T (or a plain dtype), `x:N*T` as many as attribute N says,
    `x:[T]` one for each type in the list T. `&` after it: a variable's reference
attribute       `name:kind=default`. Types and numbers of tensors are attributes, too; they are listed only if they
    have a default

A line that begins with a space continues the previous one.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from weftwork.graph import dtypes
from weftwork.graph.protos import protos


class Arg(NamedTuple):
    """An input or output. type: a dtype or an attribute's name; count, types: names of attributes, or ""."""

    name: str
    type: str
    count: str
    types: str
    ref: bool


class Attr(NamedTuple):
    """An attribute: its kind, and its default, if any, as a Python value."""

    name: str
    kind: str
    default: Any
    has_default: bool


class Signature(NamedTuple):
    """An operation's declaration."""

    name: str
    inputs: tuple[Arg, ...]
    outputs: tuple[Arg, ...]
    attrs: dict[str, Attr]
    stateful: bool


NO_DEFAULT = object()
"""A default that is not plain data: the attribute may be omitted."""


def _arg(text: str) -> Arg:
    name, _, type_ = text.removesuffix("&").partition(":")
    if type_.startswith("["):
        return Arg(name, "", "", type_[1:-1], text.endswith("&"))
    count, star, one = type_.partition("*")
    return Arg(name, one if star else type_, count if star else "", "", text.endswith("&"))


def _attr(text: str, implied: dict[str, str]) -> Attr:
    head, equals, default = text.partition("=")
    name, _, kind = head.partition(":")
    kind = kind or implied[name]
    value: Any = None
    if equals and kind == "type":
        value = dtypes.as_dtype(default)
    elif equals and kind == "shape":
        value = None if default == "?" else json.loads(default)
    elif equals:
        value = NO_DEFAULT if default == "?" else json.loads(default)
        if kind == "list(type)":
            value = [dtypes.as_dtype(number) for number in value]
    return Attr(name, kind, value, bool(equals))


def _parsed(line: str) -> Signature:
    shape, _, attrs = line.partition(" | ")
    left, _, right = shape.partition(" ->")
    name, *inputs = left.split()
    ins, outs = tuple(map(_arg, inputs)), tuple(map(_arg, right.split()))
    implied: dict[str, str] = {}
    for arg in (*ins, *outs):
        if arg.count:
            implied[arg.count] = "int"
        if arg.types:
            implied[arg.types] = "list(type)"
        elif arg.type not in dtypes.ALL:
            implied[arg.type] = "type"
    explicit = {attr.name: attr for attr in [_attr(text, implied) for text in attrs.split()]}
    found = {key: explicit.pop(key, Attr(key, kind, None, False)) for key, kind in implied.items()}
    return Signature(name.removesuffix("!"), ins, outs, {**found, **explicit}, name.endswith("!"))


def signature(name: str) -> Signature | None:
    """The declaration of one of TensorFlow's operations, or None."""
    line = _lines().get(name)
    return None if line is None else _parse_once(line)


_parse_once = cache(_parsed)


@cache
def _lines() -> dict[str, str]:
    table = resources.files(__package__ or "").joinpath("signatures.txt").read_text(encoding="utf-8")
    joined = table.strip().replace("\n  ", " ").splitlines()
    return {line.split(" ", 1)[0].removesuffix("!"): line for line in joined}


def names() -> list[str]:
    """The names of all declared operations."""
    return list(_lines())


def op_def(declared: Signature) -> Any:
    """The OpDef message of a declaration."""
    module = protos("op_def")
    definition = module.OpDef(name=declared.name, is_stateful=declared.stateful)
    for args, field in ((declared.inputs, definition.input_arg), (declared.outputs, definition.output_arg)):
        for arg in args:
            entry = field.add(name=arg.name, number_attr=arg.count, type_list_attr=arg.types, is_ref=arg.ref)
            if arg.type in dtypes.ALL:
                entry.type = dtypes.ALL[arg.type].as_datatype_enum
            else:
                entry.type_attr = arg.type
    for attr in declared.attrs.values():
        definition.attr.add(name=attr.name, type=attr.kind)
    return definition
