"""The kernel of a node that calls a user's function, and the cache that gives each function a single kernel.

It fills in the arguments, calls, retries, checks and converts the results, and reports calls with a time limit.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import re
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from types import MethodType
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from weftwork.graph import dtypes, nest
from weftwork.graph.dtypes import DType
from weftwork.graph.errors import DeadlineExceededError, InternalError, InvalidArgumentError, text_of
from weftwork.graph.operation import Traits
from weftwork.graph.python.by_identity import ByIdentity
from weftwork.graph.python.callables import awaited, identity, is_async, named
from weftwork.graph.python.captured import Captured
from weftwork.graph.python.interruptible import Code, are_data
from weftwork.graph.python.ownership import ATOMS, copied, is_atom, own
from weftwork.graph.python.reading import may_bypass_copy, reads_only
from weftwork.graph.retries import Retry
from weftwork.graph.shapes import RawShape, compatible
from weftwork.graph.shapes import text as shape_text
from weftwork.graph.values import to_value

_LOG = logging.getLogger("weftwork")
_STOP_CHECK_SECONDS = 0.02
"""Seconds between checks, while waiting for a retry, whether the run should end."""
WATCHERS: list[Callable[[float | None], None]] = []
"""Called when a call with a time limit begins, with its seconds, and with None when it ends. A process that works for
a session registers a function that reports to the session."""
STOPS: list[Callable[[], None]] = []
"""Called while waiting for a retry; each raises if the run should end. A process that works for a session registers
one; in the program's own process the waiting thread is interrupted."""
RETRIED: list[Callable[[UserFunction, int, str], None]] = []
"""Called before each retry, with the function, the number of the attempt (2 or more), and the error's text."""


class UserFunction:
    """The kernel of a node that calls a user's function: fills in the arguments, checks and converts the results.

    numpy: this is TensorFlow 1's `py_func`, which may write into its arguments and has no derivative.
    """

    shapes: tuple[RawShape, ...] = ()
    """The declared shape of each output; empty if none was declared."""

    def __init__(
        self,
        function: Callable,
        outputs: int | None,
        types: tuple[DType, ...],
        retries: int | Retry = 0,
        timeout: float | None = None,
        numpy: bool = False,
        given: tuple = (),
        shapes: tuple[RawShape, ...] = (),
    ):
        """given: functions, and classes of objects, among its constant arguments."""
        if any([shape is not None for shape in shapes]):
            self.shapes = shapes
        self.function, self.outputs, self.types, self.retries, self.timeout = function, outputs, types, retries, timeout
        self.numpy, self._given = numpy, given
        self.__name__ = named(function)
        self.node_name = _node_name(self.__name__)
        self._async = is_async(function)
        self._convert = any(t is not dtypes.object for t in types)
        wrapped = self._convert or Retry.of(retries).times or timeout is not None or numpy or self._async
        self._bare = outputs is None and not wrapped and not self.shapes
        """Just call the function: there is nothing to check, convert, retry or watch."""
        self.gradient: Callable | None = None
        """The `@f.gradient` function. It makes nodes, so it stays in the process that builds the graph."""
        self.token: Token | None = None
        """Identifies this kernel in another process."""
        self.unordered = False
        """No other function sees what it changes, so it need not run in creation order."""
        self.silent = False
        """It only passes on what others have made: reports of a run leave it out."""
        self.at_once = False
        """It takes a moment, and any thread may call it: in a shared-out run, whoever makes its node ready does."""
        self.sees_to_draws = False
        """It sees to its random numbers itself: the run does not seed the program's generators for its calls."""
        self.threadsafe = False
        """Any thread of the program may call it, even for the first time: the library that it was written for would."""

    @functools.cached_property
    def captured(self) -> Captured:
        """What the function refers to, analyzed on first use."""
        return Captured(self.function, given=self._given)

    def __getstate__(self) -> dict:
        state = {**self.__dict__, "gradient": None, "token": None, "_given": ()}
        state.pop("captured", None)
        state.pop("code", None)
        return state

    def direct(self, template: Any) -> tuple[tuple, dict] | None:
        """The call as (positional arguments, keyword constants), if calling the function is all there is to do.

        An argument is a Slot or a constant. None if an argument is mutable, which requires a copy for each call, if a
        keyword argument is a tensor, or if results are checked or converted.
        """
        args, kwargs = template
        if not self._bare:
            return None
        for arg in args:
            if type(arg) is not nest.Slot and type(arg) not in ATOMS and not _is_constant(arg):
                return None
        return (args, kwargs) if not kwargs or all(map(_is_constant, kwargs.values())) else None

    def __call__(self, *values: Any, template: Any) -> Any:
        """The function's own result. `values` belong to this call; mutable parts of the template are copied."""
        args, kwargs = nest.fill_call(template, values, lambda: self.reads)
        del values
        if self._bare:
            result = self.function(*args, **kwargs)
            return own([result])
        results = self.results(args, kwargs, self._once if self.timeout is None else self._watched)
        return results[0] if len(results) == 1 else tuple(results)

    def results(self, args: Any, kwargs: Any, call: Callable | None = None) -> list:
        """Call the function, or `call` in its place, and return its outputs, checked and converted."""
        return self._outputs_from(self._call(call or self._once, args, kwargs))

    def _outputs_from(self, result: Any) -> list:
        """Split the function's result into outputs, checked and converted."""
        results = [result] if self.outputs is None else self._unpacked(result)
        del result
        if self._convert:
            results = [self._converted(value, wanted) for value, wanted in zip(results, self.types, strict=True)]
        if self.shapes:
            self._check_shapes(results)
        for at in range(len(results)):
            value = results[at]
            if type(value) not in ATOMS:
                results[at] = None
                results[at] = own([value])
        return results

    async def wait(self, args: Any, kwargs: Any) -> Any:
        """The result of a coroutine function called with these arguments. A time limit applies to each attempt.

        Raises DeadlineExceededError when the limit expires, and whatever the function raises.
        """
        results = self._outputs_from(await self._tried(args, kwargs))
        return results[0] if len(results) == 1 else tuple(results)

    async def _tried(self, args: Any, kwargs: Any) -> Any:
        retry = Retry.of(self.retries)
        for attempt, wait in enumerate(retry.waits(), 2):
            try:
                return await self._within(*copied((args, kwargs), lazily=not self.bypasses()))
            except DeadlineExceededError:
                raise
            except retry.on as error:  # type: ignore[misc]
                text = f"{type(error).__name__}: {text_of(error)}"
            self._report_retry(attempt, retry.times + 1, wait, text)
            await asyncio.sleep(wait)
        return await self._within(args, kwargs)

    async def _within(self, args: Any, kwargs: Any) -> Any:
        """Await the function's result, up to its time limit."""
        result = self.function(*args, **kwargs)
        if not inspect.isawaitable(result):
            return result
        if self.timeout is None:
            return await result
        task = asyncio.ensure_future(result)
        try:
            done, _ = await asyncio.wait([task], timeout=self.timeout)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        if done:
            return task.result()
        task.cancel()
        await asyncio.wait([task])
        text = f"{self.__name__} took longer than its time limit of {self.timeout:g} s"
        raise DeadlineExceededError(None, None, text)

    def _call(self, call: Callable, args: Any, kwargs: Any) -> Any:
        if not self.retries:
            return call(args, kwargs)
        retry = Retry.of(self.retries)
        for attempt, wait in enumerate(retry.waits(), 2):
            try:
                return call(*copied((args, kwargs), lazily=not self.bypasses()))
            except retry.on as error:
                text = f"{type(error).__name__}: {text_of(error)}"
            self._prepare_retry(attempt, retry.times + 1, wait, text)
        return call(args, kwargs)

    def _prepare_retry(self, attempt: int, most: int, wait: float, text: str) -> None:
        """After a failed call: report it, and wait for the next attempt. Raises if the run should end meanwhile."""
        self._report_retry(attempt, most, wait, text)
        end = monotonic() + wait
        while (left := end - monotonic()) > 0:
            for look in STOPS:
                look()
            sleep(min(left, _STOP_CHECK_SECONDS))

    def _report_retry(self, attempt: int, most: int, wait: float, text: str) -> None:
        when = f"in {wait:.3g} s" if wait else "at once"
        _LOG.info("%s failed with %s. Try %d of %d follows %s.", self.__name__, text, attempt, most, when)
        for tell in RETRIED:
            tell(self, attempt, text)

    def once(self) -> UserFunction:
        """The same kernel without retries."""
        if not self.retries:
            return self
        return UserFunction(self.function, self.outputs, self.types, 0, self.timeout, self.numpy, shapes=self.shapes)

    def _once(self, args: Any, kwargs: Any) -> Any:
        result = self.function(*args, **kwargs)
        return awaited(result) if self._async else result

    def _watched(self, args: Any, kwargs: Any) -> Any:
        """Call the function once, and tell the watchers."""
        for watch in WATCHERS:
            watch(self.timeout)
        try:
            return self._once(args, kwargs)
        finally:
            for watch in WATCHERS:
                watch(None)

    @functools.cached_property
    def reads(self) -> bool | None:
        """True if the function's code shows that it modifies no array argument; None if it may write behind a frame."""
        return reads_only(self.function) or (None if self.bypasses() else False)

    @functools.cached_property
    def code(self) -> Code | None:
        """What the function's code shows; None if a call is more than one of its code."""
        return None if self.timeout is not None or self.retries or self._async else Code(self.function)

    @property
    def interruptible(self) -> bool:
        """Whether the function's code shows that a call whose arguments are data can be interrupted."""
        return self.code is not None and self.code.is_interruptible

    def can_be_interrupted(self, arguments: Sequence[Any]) -> bool:
        """Whether a call can be interrupted, as code and arguments show, so that it need not be tried elsewhere."""
        return self.interruptible and are_data(arguments)

    def holds_gil(self, arguments: Sequence[Any]) -> bool:
        """Whether such a call holds the GIL for sure; False is no answer."""
        return self.code is not None and not self.code.uses_arrays and are_data(arguments, arrays=False)

    def bypasses(self) -> bool:
        """True if the function may write behind a frame, so that it must not get a lazy copy."""
        return self._bypasses

    @functools.cached_property
    def _bypasses(self) -> bool:
        return may_bypass_copy(self.function)

    def _unpacked(self, result: Any) -> list:
        """Unpack the declared number of values. Raises ValueError if the function returned another number."""
        if self.numpy and result is None:
            result = []  # as TensorFlow counts
        if not isinstance(result, (tuple, list)):
            if self.outputs == 1:
                return [result]
            if self.outputs == 0:
                return []
            raise ValueError(
                f"{self.__name__} returned one {type(result).__name__}, but {self.outputs} outputs were declared"
            )
        if len(result) != self.outputs and self.numpy:
            text = f"{self.__name__} returns {len(result)} values, but expects to see {self.outputs} values."
            raise InvalidArgumentError(None, None, text)
        if len(result) != self.outputs:
            raise ValueError(f"{self.__name__} returned {len(result)} values, but {self.outputs} outputs were declared")
        return list(result)

    def _check_shapes(self, results: list) -> None:
        """Raise ValueError if an array or a number has another shape than declared."""
        for value, wanted in zip(results, self.shapes, strict=True):
            if wanted is not None and isinstance(value, (np.ndarray, np.generic, int, float, complex, bytes)):
                shape = np.shape(value)
                if not compatible(shape, wanted):
                    declared, returned = shape_text(wanted), shape_text(shape)
                    raise ValueError(f"{self.__name__}: declared shape {declared}, returned {returned}")

    def _converted(self, value: Any, wanted: DType) -> Any:
        if wanted is dtypes.object:
            return value
        if wanted is dtypes.string:
            text = to_value(value, dtypes.string)
            return text[()] if isinstance(text, np.ndarray) else text
        array = np.asarray(value)
        if array.dtype != wanted.numpy:
            if self.numpy and array.dtype.kind in "OV" and not isinstance(value, (int, type(None))):
                what = (
                    f"object type {type(value).__name__}"
                    if array.dtype.kind == "O"
                    else f"numpy data type {array.dtype}"
                )
                raise InternalError(None, None, f"Unsupported {what}: the result of {self.__name__}")
            if not _holds(wanted.numpy, array):
                raise TypeError(
                    f"{self.__name__} returned {_shown(value)}, which the declared dtype {wanted.name} cannot hold"
                )
            with np.errstate(all="ignore"):
                array = array.astype(wanted.numpy)
        return array if array.ndim else array[()]


_KINDS = {"b": "b", "i": "biu", "u": "biu", "f": "biuf", "c": "biufc"}
"""The kinds of numbers that may be stored as a kind; integers among each other if they fit."""


def _holds(wanted: np.dtype, array: np.ndarray) -> bool:
    """True if an array may be converted to a dtype: by NumPy's same_kind rule, and without leaving its range."""
    if array.dtype.kind not in "biufc" or wanted.kind not in _KINDS:
        return False
    if array.size == 0:
        return True
    if array.dtype.kind not in _KINDS[wanted.kind]:
        return False
    if wanted.kind in "iu":
        return array.dtype.kind == "b" or bool(_in_range(wanted, array))
    with np.errstate(all="ignore"):
        return not bool(np.any(np.isfinite(array) & ~np.isfinite(array.astype(wanted))))


def _in_range(wanted: np.dtype, array: np.ndarray) -> bool:
    limits = np.iinfo(wanted)
    return limits.min <= int(array.min()) and int(array.max()) <= limits.max


def _shown(value: Any) -> str:
    """A value's type, and its text if short."""
    text = repr(value) if isinstance(value, (bool, int, float, complex, str, bytes, np.generic, type(None))) else ""
    kind = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    return f"{text} ({kind})" if 0 < len(text) <= 80 else kind


def _is_constant(value: Any) -> bool:
    """True for an argument that every call may share: it contains no tensor, and nothing mutable."""
    return type(value) is not nest.Slot and is_atom(value)


def _node_name(name: str) -> str:
    """A function's name, turned into a valid node name."""
    return "function" if name == "<lambda>" else re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "function"


_kernels: WeakValueDictionary[Any, UserFunction] = WeakValueDictionary()


def kernel_of(
    function: Callable,
    outputs: int | None,
    types: tuple[DType, ...],
    traits: Traits,
    gradient: Callable | None = None,
    numpy: bool = False,
    given: tuple = (),
    shapes: tuple[RawShape, ...] = (),
) -> UserFunction:
    """The single kernel for a function and its options: it carries the measured costs and whether the function is pure.

    given: functions, and classes of objects, among a node's constant arguments. They may refer to state.
    """
    options = (outputs, types, traits, numpy, shapes)
    key = (identity(function), options, None if gradient is None else identity(gradient), tuple(map(id, given)))
    kernel = _kernels.get(key)
    if kernel is None:
        kernel = UserFunction(function, outputs, types, traits.retries, traits.timeout, numpy, given, shapes)
        kernel.gradient, kernel.token = gradient, _token(function, options)
        _kernels[key] = kernel
    return kernel


class Token:
    """Stands for a user's function and its options, without holding either.

    It lives as long as the function, or the object of a bound method, even while no graph uses it. What we know about
    the function is stored under its token, and is forgotten with the function.
    """

    __slots__ = ("__weakref__",)


_tokens: ByIdentity[dict[tuple, Token]] = ByIdentity()
_MOST_OPTIONS = 64
"""The number of option sets remembered for each function."""


def _token(function: Callable, options: tuple) -> Token:
    """The token for a function and its options; a new one if the function is not weakly referenceable."""
    method = isinstance(function, MethodType)
    known = _tokens.find(function.__self__ if method else function, dict)
    key = (identity(function) if method else None, options)
    if key not in known and len(known) >= _MOST_OPTIONS:
        known.pop(next(iter(known)), None)
    return known.setdefault(key, Token())
