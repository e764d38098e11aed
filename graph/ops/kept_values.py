"""Values that the program keeps between runs without fetching them: `get_session_handle` and related functions.

A handle keeps its value alive. Its name, a string, identifies the value in another run.
"""

from __future__ import annotations

import itertools
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor, placeholder
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.function import Op, py_func
from weftwork.graph.operation import Operation, Tensor, Traits
from weftwork.graph.python.ownership import add_atoms

_handles: WeakValueDictionary[str, TensorHandle] = WeakValueDictionary()
_raw: dict[str, TensorHandle] = {}
_numbers = itertools.count()
_HERE = Traits(user=True, here=True)


class TensorHandle:
    """A value of an earlier run, returned by fetching `get_session_handle`. You can feed it to any placeholder."""

    def __init__(self, value: Any):
        self._value = value
        self.handle = f"GetSessionHandle;{next(_numbers)};/job:localhost/replica:0/task:0/device:CPU:0"
        """Its name, to be fed to `get_session_tensor` and `delete_session_tensor`."""
        _handles[self.handle] = self

    def eval(self) -> Any:
        """The value. Raises TypeError if it was deleted."""
        if self.handle not in _handles:
            raise TypeError(f"Persistent tensor {self.handle} may have already been deleted.")
        return self._value.copy() if isinstance(self._value, np.ndarray) else self._value

    to_numpy_array = eval

    def delete(self) -> None:
        """Delete the value."""
        if self.handle not in _handles:
            raise TypeError(f"Persistent tensor {self.handle} may have already been deleted.")
        _forget(self.handle)

    def get_raw_handle(self) -> str:
        """The name. From now on, the value stays until you delete it."""
        _raw[self.handle] = self
        return self.handle

    def fed_to(self, dtype: DType) -> Any:
        """What is fed in its place: its name for a string tensor, else its value."""
        return self.handle if dtype is dtypes.string else self.eval()

    def __str__(self) -> str:
        return self.handle

    def __repr__(self) -> str:
        return f"<tf.TensorHandle {self.handle}>"


add_atoms(TensorHandle)


def _keep(value: Any) -> TensorHandle:
    return TensorHandle(value.copy() if isinstance(value, np.ndarray) else value)


def _named(name: Any) -> str:
    text = name.decode() if isinstance(name, bytes) else str(name)
    if text not in _handles:
        raise InvalidArgumentError(None, None, f"The tensor with handle '{text}' is not in the session store.")
    return text


def _value_of(name: Any) -> Any:
    return _handles[_named(name)].eval()


def _forget(name: Any) -> None:
    text = _named(name)
    handle = _handles.pop(text)
    handle._value = None
    _raw.pop(text, None)


def get_session_handle(data: Any, name: str | None = None) -> Tensor:
    """A tensor that is fetched as a TensorHandle, which keeps the value of `data` for later runs of this program."""
    node = Op(_keep, None, (dtypes.object,), (None,), False, _HERE, name or "GetSessionHandle", numpy=True)
    return node(convert_to_tensor(data))


def get_session_tensor(handle: Any, dtype: Any, name: str | None = None) -> tuple[Tensor, Tensor]:
    """(a placeholder for the name of a handle, the tensor of the value that the handle keeps).

    handle: the name of a handle, which says where its value is.   dtype: of the value.
    Raises InvalidArgumentError at run time if there is no such handle.
    """
    holder = placeholder(dtypes.string)
    return holder, py_func(_value_of, [holder], as_dtype(dtype), name=name or "GetSessionTensor")


def delete_session_tensor(handle: Any, name: str | None = None) -> tuple[Tensor, Operation]:
    """(a placeholder for the name of a handle, the operation that deletes its value).

    handle: the name of a handle, which says where its value is.
    """
    holder = placeholder(dtypes.string)
    node = Op(_forget, 0, (), (), False, _HERE, name or "DeleteSessionTensor", numpy=True)
    return holder, node(holder)
