"""Messages: sets of typed fields, declared as annotations with defaults, with the semantics of protobuf's messages.

present   said of a nested message: a field in it was set, or it was assigned whole. Reading it does not make it present

Invariant: a message belongs to one parent, and the parent of a present child is present. Messages are therefore copied
when they are assigned. Unlike in protobuf, a nested message or a repeated field can also be assigned whole.
"""

from __future__ import annotations

import json
import numbers
import operator
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")
K = TypeVar("K")
_ESCAPES = str.maketrans({chr(code): f"\\{code:03o}" for code in range(32)} | {
    "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\",
})  # fmt: skip
"""How protobuf's text format writes special characters."""


class Repeated(MutableSequence, Generic[T]):
    """A list of values of one type. Messages are copied when they are added."""

    def __init__(self, kind: type[Any], name: str, changed: Callable[[], None]):
        self._kind, self._name, self._changed = kind, name, changed
        self._items: list[Any] = []

    def add(self, **values: Any) -> Any:
        """Append a new message with these fields and return it.

        Raises AttributeError if the elements are not messages.
        """
        if not issubclass(self._kind, Message):
            raise AttributeError(f"{self._name} holds no messages: use append.")
        self.append(self._kind())
        item = self._items[-1]
        for name, value in values.items():
            item._init_field(name, value)
        return item

    def insert(self, index: int, value: Any) -> None:
        """Insert a value before `index`. Raises TypeError for a value of another type."""
        self._items.insert(index, _checked(self._kind, self._name, value))
        self._changed()

    def __setitem__(self, index: Any, value: Any) -> None:
        many = isinstance(index, slice)
        new = [_checked(self._kind, self._name, v) for v in (value if many else [value])]
        self._items[index] = new if many else new[0]
        self._changed()

    def __delitem__(self, index: Any) -> None:
        del self._items[index]

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: Any) -> bool:
        return self._items == (other._items if isinstance(other, Repeated) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._items)


class Map(MutableMapping, Generic[K, T]):
    """A dict from keys of one type to values of one type. Reading a missing key enters a default, as in protobuf."""

    def __init__(
        self, kinds: tuple[type[Any], type[Any]], name: str, changed: Callable[[], None], least: float | None = None
    ):
        """least: the smallest value that is allowed."""
        self._kinds, self._name, self._changed, self._least = kinds, name, changed, least
        self._items: dict[Any, Any] = {}

    def __setitem__(self, key: Any, value: Any) -> None:
        key_kind, kind = self._kinds
        self._items[_checked(key_kind, self._name, key)] = _checked(kind, self._name, value, self._least)
        self._changed()

    def __delitem__(self, key: Any) -> None:
        del self._items[key]

    def __getitem__(self, key: Any) -> Any:
        key_kind, kind = self._kinds
        return self._items.setdefault(_checked(key_kind, self._name, key), kind())

    def __contains__(self, key: Any) -> bool:
        return key in self._items

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of a key, or the default."""
        return self._items.get(key, default)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


class _Field(NamedTuple):
    """A declared field. make: Repeated, Map, a Message class, or None for a plain value of type `kind`."""

    name: str
    kind: Any
    make: Any


def _checked(kind: type, name: str, value: Any, least: float | None = None) -> Any:
    """Convert a value for a field. Raises TypeError for another type, ValueError if it is out of range.

    least: the smallest value that is allowed.
    """
    amount: Any = value
    if least is not None and isinstance(amount, numbers.Real) and not float(amount) >= least:
        raise ValueError(f"{name} must be at least {least:g}, not {value!r}.")
    if issubclass(kind, Message) and isinstance(value, (kind, Mapping)):
        return kind(**(value._set_fields() if isinstance(value, Message) else value))
    if kind is bool and (isinstance(value, np.bool_) or hasattr(value, "__index__")):
        return bool(value)
    if kind is int and hasattr(value, "__index__"):
        number = operator.index(value)
        if not -(2**63) <= number < 2**64:
            raise ValueError(f"Value out of range: {number} for field {name}")
        return number
    if kind is float and isinstance(value, numbers.Real):
        return float(value)
    if kind is str and isinstance(value, (str, bytes)):
        return value.decode() if isinstance(value, bytes) else value
    if kind is dict and isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} has type {type(value)}, but field {name} expects one of: {kind.__name__}")


class Message:
    """The base class of all messages. Fields are keyword arguments of the constructor, and attributes.

    An unknown field raises ValueError in the constructor and AttributeError as an attribute. A value of another type
    raises TypeError.
    """

    _fields: ClassVar[dict[str, _Field]] = {}
    _choices: ClassVar[dict[str, tuple[str, ...]]] = {}
    _enums: ClassVar[dict[str, tuple[str, ...]]] = {}
    """The names of the class's constants that stand for a field's numbers in text."""
    _least: ClassVar[dict[str, float]] = {}
    """The smallest values of those fields that have one."""

    def __init_subclass__(cls) -> None:
        hints = typing.get_type_hints(cls, localns=dict(vars(cls)))
        cls._fields = {name: _field(name, hint) for name, hint in hints.items() if not name.startswith("_")}

    def __init__(self, **values: Any):
        self.__dict__.update(_parent=None, _present=False)
        for name, value in values.items():
            self._init_field(name, value)

    def _init_field(self, name: str, value: Any) -> None:
        self._known(name)
        if value is not None:
            setattr(self, name, value)

    def _known(self, name: str) -> _Field:
        field = self._fields.get(name)
        if field is None:
            raise ValueError(f'Protocol message {type(self).__name__} has no "{name}" field.')
        return field

    def __getattr__(self, name: str) -> Any:
        field = self._fields.get(name)
        if field is None or field.make is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if field.make is Repeated:
            made = Repeated(field.kind, name, self.SetInParent)
        elif field.make is Map:
            made = Map(field.kind, name, self.SetInParent, self._least.get(name))
        else:
            made = field.make()
            made.__dict__["_parent"] = self
        self.__dict__[name] = made
        return made

    def __setattr__(self, name: str, value: Any) -> None:
        field = self._fields.get(name)
        if field is None:
            raise AttributeError(f'Protocol message {type(self).__name__} has no "{name}" field.')
        if field.make is None:
            value = _checked(field.kind, name, value, self._least.get(name))
            if name in self._choices and value not in self._choices[name]:
                raise ValueError(f"{name} is one of {', '.join(self._choices[name])}, not {value!r}.")
            self.__dict__[name] = value
        else:
            self._assign(name, field, value)
        self.SetInParent()

    def _assign(self, name: str, field: _Field, value: Any) -> None:
        if field.make is Repeated:
            if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
                raise TypeError(f"{value!r} has type {type(value)}, but field {name} expects a sequence")
            getattr(self, name)[:] = list(value)
        elif field.make is Map:
            if not isinstance(value, (Mapping, list)):  # JSON has lists of pairs
                raise TypeError(f"{value!r} has type {type(value)}, but field {name} expects a mapping")
            new = Map(field.kind, name, self.SetInParent, self._least.get(name))
            new.update(value)
            getattr(self, name)._items = new._items
        else:
            getattr(self, name).CopyFrom(_checked(field.kind, name, value))

    def _set_fields(self) -> dict[str, Any]:
        """The fields that differ from their defaults: values, present messages, non-empty lists and dicts."""
        own, found = self.__dict__, {}
        for name, field in self._fields.items():
            if name not in own:
                continue
            value = own[name]
            if field.make is None:
                keep = value != getattr(type(self), name)
            else:
                keep = value._present if isinstance(value, Message) else len(value) > 0
            if keep:
                found[name] = value
        return found

    def SetInParent(self) -> None:
        """Make this message present in its parent."""
        message = self
        while message is not None and not message._present:
            message.__dict__["_present"] = True
            message = message._parent

    def HasField(self, field_name: str) -> bool:
        """Whether a nested message is present, or a value is not its default. Raises ValueError for lists and maps."""
        if self._known(field_name).make in (Repeated, Map):
            raise ValueError(f'Protocol message {type(self).__name__} has no singular "{field_name}" field.')
        return field_name in self._set_fields()

    def ClearField(self, field_name: str) -> None:
        """Reset one field to its default. Raises ValueError for an unknown field."""
        self._known(field_name)
        old = self.__dict__.pop(field_name, None)
        if isinstance(old, Message):
            old.__dict__["_parent"] = None

    def Clear(self) -> None:
        """Reset all fields to their defaults."""
        for name in self._fields:
            self.ClearField(name)

    def MergeFrom(self, other: Any) -> None:
        """Merge the set fields of `other`: values replace, nested messages merge, lists and maps are extended."""
        if type(other) is not type(self):
            raise TypeError(f"Parameter must be an instance of {type(self).__name__}, but got {type(other)}.")
        for name, value in other._set_fields().items():
            if isinstance(value, Message):
                getattr(self, name).MergeFrom(value)
            elif isinstance(value, Repeated):
                getattr(self, name).extend(list(value))
            elif isinstance(value, Map):
                getattr(self, name).update(value)
            else:
                setattr(self, name, value)
        self.SetInParent()

    def CopyFrom(self, other: Any) -> None:
        """Become equal to `other`. Raises TypeError for another class."""
        if type(other) is not type(self):
            raise TypeError(f"Parameter must be an instance of {type(self).__name__}, but got {type(other)}.")
        if other is not self:
            self.Clear()
            self.MergeFrom(other)

    def SerializeToString(self) -> bytes:
        """Serialize the set fields as JSON in a fixed order. This is not protobuf's wire format."""
        return json.dumps(_plain(self), sort_keys=True, default=repr).encode()

    def ByteSize(self) -> int:
        """The length of the serialized message."""
        return len(self.SerializeToString())

    def ParseFromString(self, serialized: bytes) -> int:
        """Replace the contents by what `SerializeToString` returned. Returns its length."""
        self.CopyFrom(type(self).FromString(serialized))
        return len(serialized)

    def MergeFromString(self, serialized: bytes) -> int:
        """Merge what `SerializeToString` returned. Returns its length."""
        self.MergeFrom(type(self).FromString(serialized))
        return len(serialized)

    def ListFields(self) -> list[tuple[Any, Any]]:
        """(field, value) for each field that is set; `field.name` is its name."""
        return [(self._fields[name], value) for name, value in self._set_fields().items()]

    def IsInitialized(self) -> bool:
        """True: no field is required."""
        return True

    def WhichOneof(self, oneof_group: str) -> str | None:
        """Raise ValueError: no message has alternative fields."""
        raise ValueError(f'Protocol message {type(self).__name__} has no "{oneof_group}" field.')

    def to_plain(self) -> dict[str, Any]:
        """The set fields as dicts, lists and plain values, as `json_format.ParseDict` of protobuf takes them."""
        return _plain(self, dict)

    @classmethod
    def FromString(cls, data: bytes) -> Any:
        """Parse what `SerializeToString` returned."""
        return cls(**json.loads(data))

    def __eq__(self, other: Any) -> bool:
        return type(other) is type(self) and self._set_fields() == other._set_fields()

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self):
        return _rebuild, (type(self), {name: _bare(value) for name, value in self._set_fields().items()})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join([f'{n}={v!r}' for n, v in self._set_fields().items()])})"

    def __str__(self) -> str:
        """The set fields in protobuf's text format."""
        return "".join([line + "\n" for line in _lines(self._named_fields())])

    def _named_fields(self) -> list[tuple[str, Any]]:
        """The set fields, where names stand for the numbers of enumerations."""
        return [(name, self._enum_name(name, value)) for name, value in self._set_fields().items()]

    def _enum_name(self, name: str, value: Any) -> Any:
        names = [_Word(word) for word in self._enums.get(name, ()) if getattr(type(self), word) == value]
        return names[0] if names else value


class _Word(str):
    """Text that is written without quotes."""


def _lines(fields: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """The lines of a message's text."""
    for name, value in fields:
        if isinstance(value, Map):
            entries = [[("key", key), ("value", inner)] for key, inner in sorted(value.items())]
        else:
            entries = [item._named_fields() if isinstance(item, Message) else item for item in _listed(value)]
        for entry in entries:
            if isinstance(entry, (bool, int, float, str, bytes)):
                yield f"{name}: {_text(entry)}"
            else:
                yield f"{name} {{"
                yield from [f"  {line}" for line in _lines(entry)]
                yield "}"


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Repeated) else [value]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, (str, bytes)) and not isinstance(value, _Word):
        text = value if isinstance(value, str) else value.decode("latin-1")
        return f'"{text.translate(_ESCAPES)}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _field(name: str, hint: Any) -> _Field:
    make, kinds = typing.get_origin(hint), typing.get_args(hint)
    if make is Repeated:
        return _Field(name, kinds[0], make)
    if make is Map:
        return _Field(name, kinds, make)
    return _Field(name, hint, hint if issubclass(hint, Message) else None)


def _rebuild(cls: type[Message], values: dict[str, Any]) -> Message:
    return cls(**values)


def _bare(value: Any) -> Any:
    return value._items if isinstance(value, (Repeated, Map)) else value


def _plain(value: Any, mapped: Callable = sorted) -> Any:
    """Convert to plain values. mapped: applied to the items of a map."""
    if isinstance(value, Message):
        return {name: _plain(field, mapped) for name, field in value._set_fields().items()}
    if isinstance(value, Repeated):
        return [_plain(item, mapped) for item in value]
    return mapped(value.items()) if isinstance(value, Map) else value
