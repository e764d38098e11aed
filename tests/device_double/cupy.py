"""Stands for CuPy on a machine without a GPU: arrays that NumPy cannot look into, dispatched by NEP 13 and NEP 18.

As with CuPy, mixing with NumPy's arrays and turning into one without being asked are TypeErrors, and not every function
of NumPy is there. It counts what crosses the border.
"""

from __future__ import annotations

import numpy as np

crossed = {"in": 0, "out": 0}
_LACKING = {np.linalg.svd}


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of the device."""

    __slots__ = ("_there",)

    def __init__(self, there):
        self._there = there

    shape = property(lambda self: self._there.shape)
    dtype = property(lambda self: self._there.dtype)
    ndim = property(lambda self: self._there.ndim)
    size = property(lambda self: self._there.size)
    nbytes = property(lambda self: self._there.nbytes)

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return _wrapped(getattr(ufunc, method)(*_unwrapped(inputs), **kwargs))

    def __array_function__(self, function, types, args, kwargs):
        if function in _LACKING:
            return NotImplemented
        return _wrapped(function(*_unwrapped(args), **kwargs))

    def __getitem__(self, key):
        return _wrapped(self._there[key])

    def __len__(self):
        return len(self._there)

    def reshape(self, *shape):
        return _wrapped(self._there.reshape(*shape))

    def astype(self, dtype):
        return _wrapped(self._there.astype(dtype))


def _unwrapped(value):
    if isinstance(value, ndarray):
        return value._there
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    return type(value)([_unwrapped(item) for item in value]) if type(value) in (list, tuple) else value


def _wrapped(value):
    return ndarray(np.asarray(value)) if isinstance(value, (np.ndarray, np.generic)) else value


def asarray(value):
    """To the device."""
    if isinstance(value, ndarray):
        return value
    crossed["in"] += 1
    return ndarray(np.array(value))


def asnumpy(value):
    """From the device."""
    crossed["out"] += 1
    return value._there.copy()
