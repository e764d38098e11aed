"""What a class says about its objects: how they are copied and pickled, and whether they consist of their attributes
alone."""

from __future__ import annotations

import copyreg
import sys
import types
from typing import Any

HEAP = 1 << 9
"""The flag of types created at run time."""
_STATE_METHODS = ("__getstate__", "__setstate__", "__getnewargs_ex__")
"""Methods by which a class defines its objects' state."""


def class_entry(kind: type, name: str) -> Any:
    """A class's own entry under a name. The object itself is not asked, because it might answer anything."""
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def is_reduced_as(kind: type, base: type) -> bool:
    """True for a class whose objects are copied and pickled like those of `base`."""
    return (
        all([class_entry(kind, name) is vars(base).get(name) for name in ("__reduce_ex__", "__reduce__")])
        and class_entry(kind, "__deepcopy__") is None
    )


def answers_all(kind: type) -> bool:
    """True for a class whose objects may answer to any attribute name, so the answers mean nothing.

    Such an object is fully described by its attributes. A class that defines how it is pickled, as data frames do, is
    not one of these: its objects know what they answer. Nor is a class with slots, or derived from dict, say: its
    objects hold more than attributes.
    """
    if not kind.__dictoffset__ or kind.__itemsize__ or kind in copyreg.dispatch_table:
        return False
    if defines_its_state(kind):
        return False
    if any([base is not object and not base.__flags__ & HEAP for base in kind.__mro__]):
        return False
    return any(
        [isinstance(class_entry(kind, name), types.FunctionType) for name in ("__getattr__", "__getattribute__")]
    )


def is_masked_array(kind: type) -> bool:
    """True for NumPy's class of masked arrays, and for its subclasses.

    As long as nobody has imported it there are none. NumPy imports it when it is first asked for, which takes 5 ms.
    """
    masked = sys.modules.get("numpy.ma")
    return masked is not None and issubclass(kind, getattr(masked, "MaskedArray", ()))


def defines_its_state(kind: type) -> bool:
    """True for a class that defines its objects' state by methods of its own."""
    return any([isinstance(class_entry(kind, name), types.FunctionType) for name in _STATE_METHODS])


def fill(made: Any, state: Any) -> None:
    """Fill an object with the state that its `__reduce_ex__` has returned, as `pickle` does."""
    own_method = class_entry(type(made), "__setstate__")
    if own_method is not None:
        own_method(made, state)
        return
    attributes, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
    if attributes:
        object.__getattribute__(made, "__dict__").update(attributes)
    for name, item in (slots or {}).items():
        object.__setattr__(made, name, item)


def is_plain(kind: type) -> bool:
    """True for a class whose objects consist of their attributes alone, and are copied by Python's default."""
    return (
        bool(kind.__dictoffset__)
        and kind.__new__ is object.__new__
        and all([base is object or (base.__flags__ & HEAP and "__slots__" not in vars(base)) for base in kind.__mro__])
        and kind not in copyreg.dispatch_table
        and is_reduced_as(kind, object)
        and not defines_its_state(kind)
        and class_entry(kind, "__getnewargs__") is class_entry(kind, "__del__") is None
    )
