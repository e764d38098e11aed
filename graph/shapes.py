"""Shapes, as far as they are known before anything runs.

raw shape   None (not even the rank is known), or a tuple of ints and Nones: the form used inside the package
TensorShape the form for users, with TensorFlow 1's methods; a Dimension is one entry of it
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from weftwork.graph.protos import protos

RawShape = tuple[int | None, ...] | None


def as_raw(shape: Any) -> RawShape:
    """The raw shape for None, an int, a TensorShape (or its proto), or a sequence of ints, Nones and Dimensions."""
    if shape is None:
        return None
    if isinstance(shape, TensorShape):
        return shape._raw
    if hasattr(shape, "unknown_rank"):  # a TensorShapeProto
        return None if shape.unknown_rank else tuple([None if dim.size < 0 else int(dim.size) for dim in shape.dim])
    if isinstance(shape, Dimension) or (hasattr(shape, "__index__") and not getattr(shape, "ndim", 0)):
        return (_dim(shape),)
    try:
        return tuple([_dim(dim) for dim in shape])
    except TypeError:
        raise TypeError(f"A shape must be None or a sequence of integers and Nones, not {shape!r}.") from None


def _dim(dim: Any) -> int | None:
    value = dim.value if isinstance(dim, Dimension) else dim
    if value is None:
        return None
    value = operator.index(value)
    if value < 0:
        raise ValueError(f"Dimension {value} must be >= 0")
    return value


def is_full(shape: RawShape) -> bool:
    """True if every dimension is known."""
    return shape is not None and None not in shape


def compatible(a: RawShape, b: RawShape) -> bool:
    """True if some value could have both shapes."""
    if a is None or b is None or a == b:
        return True
    return len(a) == len(b) and all([x is None or y is None or x == y for x, y in zip(a, b, strict=True)])


def merge(a: RawShape, b: RawShape) -> RawShape:
    """Combine what is known of both shapes. Raises ValueError if they contradict each other."""
    if a is None:
        return b
    if b is None:
        return a
    if not compatible(a, b):
        raise ValueError(f"Shapes {text(a)} and {text(b)} are not compatible")
    return tuple([y if x is None else x for x, y in zip(a, b, strict=True)])


def less_specific(shape: RawShape, other: RawShape) -> bool:
    """True if every value of shape `other` also has shape `shape`."""
    if shape is None:
        return True
    if other is None or len(shape) != len(other):
        return False
    return all(a is None or a == b for a, b in zip(shape, other, strict=True))


def common(a: RawShape, b: RawShape) -> RawShape:
    """The known part of a shape that is either `a` or `b`."""
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple([x if x == y else None for x, y in zip(a, b, strict=True)])


def broadcast(a: RawShape, b: RawShape) -> RawShape:
    """The shape of an elementwise result, by NumPy's rules. Raises ValueError if the shapes do not broadcast."""
    if a is None or b is None:
        return None
    if len(a) < len(b):
        a, b = b, a
    pad = len(a) - len(b)
    out = list(a[:pad])
    for x, y in zip(a[pad:], b, strict=True):
        if x == 1:
            out.append(y)
        elif y == 1 or x == y:
            out.append(x)
        elif x is None or y is None:
            out.append(x if y is None else y)
        else:
            raise ValueError(f"Dimensions must be equal, but are {x} and {y} for shapes {text(a)} and {text(b)}.")
    return tuple(out)


def text(shape: RawShape) -> str:
    """The form for messages: `(?, 3)`, `(4,)`, `<unknown>`."""
    if shape is None:
        return "<unknown>"
    dims = ["?" if dim is None else str(dim) for dim in shape]
    return f"({dims[0]},)" if len(dims) == 1 else f"({', '.join(dims)})"


def bracket_text(shape: Sequence[Any] | None) -> str:
    """The form that TensorFlow's runtime prints: `[?,3]`."""
    if shape is None:
        return "<unknown>"
    return "[" + ",".join(["?" if dim is None else str(dim) for dim in shape]) + "]"


def agreed(a: RawShape, b: RawShape) -> RawShape:
    """As `merge`, but the error is worded as by TensorFlow's runtime."""
    if not compatible(a, b):
        raise ValueError(difference(a, b))
    return merge(a, b)


def difference(a: RawShape, b: RawShape) -> str:
    """How two shapes contradict each other, in the words of TensorFlow's runtime."""
    assert a is not None
    assert b is not None
    if len(a) != len(b):
        return f"Shapes must be equal rank, but are {len(a)} and {len(b)}."
    axis = next(i for i, (x, y) in enumerate(zip(a, b, strict=True)) if None not in (x, y) and x != y)
    return (
        f"Dimension {axis} in both shapes must be equal, but are {a[axis]} and {b[axis]}. Shapes are "
        f"{bracket_text(a)} and {bracket_text(b)}."
    )


class Dimension:
    """One entry of a shape: a whole number, or unknown (`value` is None)."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = _dim(value)

    def is_compatible_with(self, other: Any) -> bool:
        """True if both could be the same number."""
        other = _dim(other)
        return self.value is None or other is None or self.value == other

    def assert_is_compatible_with(self, other: Any) -> None:
        """Raise ValueError unless both could be the same number."""
        if not self.is_compatible_with(other):
            raise ValueError(f"Dimensions {self} and {other} are not compatible")

    def merge_with(self, other: Any) -> Dimension:
        """Combine both. Raises ValueError if they differ."""
        self.assert_is_compatible_with(other)
        return Dimension(_dim(other) if self.value is None else self.value)

    def __int__(self) -> int:
        if self.value is None:
            raise TypeError("This dimension is not known before the graph runs.")
        return self.value

    __index__ = __int__

    def __bool__(self) -> bool:
        return bool(self.value)

    def __eq__(self, other: Any) -> Any:
        try:
            other = _dim(other)
        except (TypeError, ValueError):
            return NotImplemented
        if self.value is None or other is None:
            return None
        return self.value == other

    def __ne__(self, other: Any) -> Any:
        same = self == other
        return None if same is None else not same

    def __hash__(self) -> int:
        return hash(self.value)

    def _with(self, other: Any, function: Any, swap: bool = False) -> Dimension:
        other = _dim(other)
        if self.value is None or other is None:
            return Dimension(None)
        return Dimension(function(other, self.value) if swap else function(self.value, other))

    def __add__(self, other: Any) -> Dimension:
        return self._with(other, operator.add)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Dimension:
        return self._with(other, operator.sub)

    def __rsub__(self, other: Any) -> Dimension:
        return self._with(other, operator.sub, swap=True)

    def __mul__(self, other: Any) -> Dimension:
        return self._with(other, operator.mul)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Dimension:
        return self._with(other, operator.floordiv)

    def __rfloordiv__(self, other: Any) -> Dimension:
        return self._with(other, operator.floordiv, swap=True)

    def __truediv__(self, other: Any) -> Any:
        raise _no_quotient(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        raise _no_quotient(other, self)

    def __mod__(self, other: Any) -> Dimension:
        return self._with(other, operator.mod)

    def __rmod__(self, other: Any) -> Dimension:
        return self._with(other, operator.mod, swap=True)

    def _compare(self, other: Any, function: Any) -> Any:
        other = _dim(other)
        return None if self.value is None or other is None else function(self.value, other)

    def __lt__(self, other: Any) -> Any:
        return self._compare(other, operator.lt)

    def __le__(self, other: Any) -> Any:
        return self._compare(other, operator.le)

    def __gt__(self, other: Any) -> Any:
        return self._compare(other, operator.gt)

    def __ge__(self, other: Any) -> Any:
        return self._compare(other, operator.ge)

    def __str__(self) -> str:
        return "?" if self.value is None else str(self.value)

    def __repr__(self) -> str:
        return f"Dimension({self.value})"


def _no_quotient(a: Any, b: Any) -> TypeError:
    kinds = f"{type(a).__name__!r} and {type(b).__name__!r}"
    return TypeError(f"unsupported operand type(s) for /: {kinds}, please use // instead")


def _unknown_slice(key: slice) -> TensorShape:
    """A slice of a shape of unknown rank: its own rank is known if both of its ends count from the start."""
    if key.step is not None:
        raise ValueError("Steps are not yet handled")
    start, stop = key.start or 0, key.stop
    return TensorShape(None if stop is None or start < 0 or stop < 0 else [None] * (stop - start))


class TensorShape:
    """A shape, all or part of which may be unknown.

    dims: a list of integers, Dimensions and None; None for an unknown rank.
    """

    __slots__ = ("_raw",)

    def __init__(self, dims: Any):
        self._raw = as_raw(dims)

    @property
    def dims(self) -> list[Dimension] | None:
        """The dimensions, or None if not even their number is known."""
        return None if self._raw is None else [Dimension(dim) for dim in self._raw]

    @property
    def ndims(self) -> int | None:
        """The rank, or None."""
        return None if self._raw is None else len(self._raw)

    rank = ndims

    def as_list(self) -> list[int | None]:
        """The dimensions as ints and Nones. Raises ValueError if the rank is unknown."""
        if self._raw is None:
            raise ValueError("as_list() is not defined on an unknown TensorShape.")
        return list(self._raw)

    def num_elements(self) -> int | None:
        """The product of the dimensions, or None if one is unknown."""
        if self._raw is None or None in self._raw:
            return None
        product = 1
        for dim in self._raw:
            product *= dim  # type: ignore[operator]
        return product

    def is_fully_defined(self) -> bool:
        """True if every dimension is known."""
        return is_full(self._raw)

    def assert_is_fully_defined(self) -> None:
        """Raise ValueError unless every dimension is known."""
        if not self.is_fully_defined():
            raise ValueError(f"Shape {self} is not fully defined")

    def is_compatible_with(self, other: Any) -> bool:
        """True if some value could have both shapes."""
        return compatible(self._raw, as_raw(other))

    def assert_is_compatible_with(self, other: Any) -> None:
        """Raise ValueError unless some value could have both shapes."""
        if not self.is_compatible_with(other):
            raise ValueError(f"Shapes {self} and {text(as_raw(other))} are incompatible")

    def merge_with(self, other: Any) -> TensorShape:
        """Combine what both shapes tell. Raises ValueError if they contradict each other."""
        return TensorShape(merge(self._raw, as_raw(other)))

    def concatenate(self, other: Any) -> TensorShape:
        """The dimensions of this shape followed by those of the other."""
        raw = as_raw(other)
        return TensorShape(None if self._raw is None or raw is None else self._raw + raw)

    def __add__(self, other: Any) -> TensorShape:
        return self.concatenate(other)

    def __radd__(self, other: Any) -> TensorShape:
        return TensorShape(other).concatenate(self)

    def most_specific_compatible_shape(self, other: Any) -> TensorShape:
        """The known part of a shape that is either this one or the other."""
        return TensorShape(common(self._raw, as_raw(other)))

    def assert_same_rank(self, other: Any) -> None:
        """Raise ValueError if both ranks are known and differ."""
        other = as_raw(other)
        if self._raw is not None and other is not None and len(self._raw) != len(other):
            raise ValueError(f"Shapes {self} and {text(other)} must have the same rank")

    def as_proto(self) -> Any:
        """A TensorShapeProto, with -1 for unknown dimensions."""
        kinds = protos("tensor_shape").TensorShapeProto
        if self._raw is None:
            return kinds(unknown_rank=True)
        return kinds(dim=[kinds.Dim(size=-1 if dim is None else dim) for dim in self._raw])

    def with_rank(self, rank: int) -> TensorShape:
        """This shape with its rank set to `rank`. Raises ValueError if it has another rank."""
        if self._raw is not None and len(self._raw) != rank:
            raise ValueError(f"Shape {self} must have rank {rank}")
        return TensorShape([None] * rank) if self._raw is None else self

    def assert_has_rank(self, rank: int) -> None:
        """Raise ValueError if the rank is known and differs."""
        self.with_rank(rank)

    def with_rank_at_least(self, rank: int) -> TensorShape:
        """This shape. Raises ValueError if its rank is known to be less than `rank`."""
        if self._raw is not None and len(self._raw) < rank:
            raise ValueError(f"Shape {self} must have rank at least {rank}")
        return self

    def with_rank_at_most(self, rank: int) -> TensorShape:
        """This shape. Raises ValueError if its rank is known to be more than `rank`."""
        if self._raw is not None and len(self._raw) > rank:
            raise ValueError(f"Shape {self} must have rank at most {rank}")
        return self

    def __len__(self) -> int:
        if self._raw is None:
            raise ValueError("Cannot take the length of shape with unknown rank.")
        return len(self._raw)

    def __bool__(self) -> bool:
        return self._raw is not None

    def __iter__(self) -> Iterator[Dimension]:
        if self._raw is None:
            raise ValueError("Cannot iterate over a shape with unknown rank.")
        return iter(self.dims or [])

    def __getitem__(self, key: Any) -> Any:
        if self._raw is None:
            return _unknown_slice(key) if isinstance(key, slice) else Dimension(None)
        return TensorShape(self._raw[key]) if isinstance(key, slice) else Dimension(self._raw[key])

    def __eq__(self, other: Any) -> bool:
        try:
            return self._raw == as_raw(other)
        except (TypeError, ValueError):
            return NotImplemented

    def __hash__(self) -> int:
        return hash(self._raw)

    def __reduce__(self):
        return TensorShape, (self._raw,)

    def __str__(self) -> str:
        return text(self._raw)

    def __repr__(self) -> str:
        return f"TensorShape({None if self._raw is None else [Dimension(dim) for dim in self._raw]})"


def unknown_shape(ndims: int | None = None) -> TensorShape:
    """A shape with unknown dimensions, and a known or unknown rank."""
    return TensorShape(None if ndims is None else [None] * ndims)


@lru_cache(maxsize=4096)
def index_of(spec: tuple[Any, ...]) -> tuple[Any, ...]:
    """The index to use on a NumPy array."""
    return tuple([slice(*part) if isinstance(part, tuple) else part for part in spec])
