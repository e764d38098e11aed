"""Operations that TensorFlow lacks, as plain text in a node's attribute, which Weftwork can read back completely.

path     the name of a function, `module:name`. It finds only functions of the library, of NumPy and of SciPy that
  compute; user functions are found only if the caller permits it. Nothing is ever unpickled
mark     the first word of a JSON list that represents a non-JSON value: `["dtype", "float32"]`

Anything that cannot be written (an object of a user's class, a function without a path) is described in its place, and
refused when the graph is read.
"""

from __future__ import annotations

import base64
import builtins
import importlib
import json
import re
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from weftwork.graph import dtypes, errors, shapes
from weftwork.graph.dtypes import DType
from weftwork.graph.function import UserFunction
from weftwork.graph.moved import current_name
from weftwork.graph.numpy_protocol import _UfuncMethod
from weftwork.graph.operation import Traits
from weftwork.graph.retries import Retry
from weftwork.graph.seams import seams
from weftwork.graph.ufuncs import OPERATORS

ATTRIBUTE = "_weftwork"
"""The node attribute that holds the text."""
Functions = bool | Mapping[str, Callable[..., Any]]
"""The user functions that a graph may call: none (False), any that can be imported (True), or those in a mapping."""

_OPERATORS = {f"operator:{function.__name__.strip('_')}": function for function in OPERATORS.values()}
_WRITES_FILES = frozenset("save savez savez_compressed savetxt".split())
_CREATORS = frozenset("zeros ones empty arange full".split())
_OURS = re.compile(
    r"weftwork\.graph\.(kernels|ops|linear|nn|images|lookup|gradients|layers|recurrent|training|data|variables)(\.\w+)*"
    r"|weftwork\.graph\.(build|divisions|streams|files\.columns|interchange\.sparse)"
)
"""The modules of the library whose functions nodes may call."""
SAVING = "weftwork.scheduler.saving.saver_nodes"
KERNELS: dict[str, Callable] = {}
"""Functions from above the language that nodes call, by path: those that save and restore, in the module `SAVING`."""
_NUMPY = ("numpy", "numpy.linalg", "numpy.fft", "scipy.special")


class Refused(ValueError):
    """The graph refers to something that may not be used here."""


def dumps(value: Any) -> bytes:
    """A value as text."""
    return json.dumps(_to_json(value), separators=(",", ":")).encode()


def loads(data: bytes, functions: Functions = False) -> Any:
    """The value written by `dumps`. Raises ValueError if the text is damaged, Refused if it may not be used."""
    try:
        return _Reader(functions).value(json.loads(data))
    except (TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is damaged: {error!r}") from error


# Writing


def _to_json(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind in _MARKS:
        mark, content = _MARKS[kind]
        return [mark, content(value)]
    if isinstance(value, np.dtype):
        return ["dtype", value.name]
    if isinstance(value, np.ndarray) and value.dtype == object:
        return ["objects", [list(value.shape), [_to_json(item) for item in value.ravel()]]]
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufc":
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return ["array", [value.dtype.str, list(value.shape), data]]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return ["named", [_place(kind), [_to_json(item) for item in value]]]
    if isinstance(value, (np.ufunc, FunctionType, BuiltinFunctionType)) or hasattr(value, "_implementation"):
        path = path_of(value)
        return ["unwritable", f"the function {path}"] if _library(path) is not value else ["function", path]
    return ["unwritable", f"a {kind.__module__}.{kind.__qualname__}"]


def _user(kernel: UserFunction) -> dict:
    """A user's function: its import path, and the options of its node."""
    return {
        "path": path_of(kernel.function),
        "outputs": kernel.outputs,
        "types": [dtype.name for dtype in kernel.types],
        "retries": _retries(kernel.retries),
        "timeout": kernel.timeout,
        "numpy": kernel.numpy,
        "shapes": [None if shape is None else list(shape) for shape in kernel.shapes],
    }


def _traits(traits: Traits) -> dict:
    words = ("user", "isolated", "retries", "timeout", "resources", "labels", "here")
    changed = {word: getattr(traits, word) for word in words if getattr(traits, word) != getattr(Traits(), word)}
    return {**changed, "retries": _retries(changed["retries"])} if "retries" in changed else changed


def _retries(retries: int | Retry) -> int | dict:
    """The number of retries, or all fields of a Retry, with error classes by path."""
    if not isinstance(retries, Retry):
        return retries
    return {**vars(retries), "on": [_place(kind) for kind in retries.on]}  # type: ignore[union-attr]


_MARKS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    tuple: ("tuple", lambda value: [_to_json(item) for item in value]),
    list: ("list", lambda value: [_to_json(item) for item in value]),
    dict: ("dict", lambda value: [[_to_json(key), _to_json(item)] for key, item in value.items()]),
    bytes: ("bytes", lambda value: base64.b64encode(value).decode()),
    complex: ("complex", lambda value: [value.real, value.imag]),
    slice: ("slice", lambda value: [value.start, value.stop, value.step]),
    type(...): ("ellipsis", lambda value: None),
    shapes.TensorShape: ("shape", lambda value: None if value.ndims is None else value.as_list()),
    DType: ("type", lambda value: value.name),
    UserFunction: ("user", _user),
    Traits: ("traits", _traits),
    _UfuncMethod: ("method", lambda value: [path_of(value.ufunc), value.method]),
}


def _place(value: Any) -> str:
    return f"{value.__module__}:{value.__qualname__}"


def path_of(function: Any) -> str:
    """The path `module:name` of a function."""
    if isinstance(function, np.ufunc):
        module = "numpy" if getattr(np, function.__name__, None) is function else "scipy.special"
        return f"{module}:{function.__name__}"
    module = getattr(function, "__module__", None) or "numpy"
    if module == "_operator":
        return f"operator:{function.__name__.strip('_')}"
    return f"{module}:{getattr(function, '__qualname__', type(function).__name__)}"


# Reading


def _library(path: str) -> Any:
    """A computing function of the library, NumPy or SciPy; None for any other path."""
    if path in _OPERATORS:
        return _OPERATORS[path]
    module, _, name = path.partition(":")
    module = current_name(module)
    if module == SAVING and seams.saving:
        return KERNELS.get(f"{module}:{name}")
    is_ours = _OURS.fullmatch(module) is not None
    if not name.isidentifier() or not (is_ours or module in _NUMPY) or name in _WRITES_FILES:
        return None
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
    if is_ours:
        return found if isinstance(found, FunctionType) and found.__module__ == module else None
    computes = isinstance(found, np.ufunc) or hasattr(found, "_implementation") or name in _CREATORS
    return found if computes else None


class _Reader:
    """Reads one text."""

    def __init__(self, functions: Functions):
        self._functions = functions

    def value(self, item: Any) -> Any:
        if type(item) is not list:
            if type(item) is dict:
                raise ValueError("it is damaged")
            return item
        mark, content = item
        return getattr(self, f"_{mark}_value")(content)

    def _tuple_value(self, content: Any) -> tuple:
        return tuple([self.value(item) for item in content])

    def _list_value(self, content: Any) -> list:
        return [self.value(item) for item in content]

    def _dict_value(self, content: Any) -> dict:
        return {self.value(key): self.value(item) for key, item in content}

    def _bytes_value(self, content: Any) -> bytes:
        return base64.b64decode(content, validate=True)

    def _complex_value(self, content: Any) -> complex:
        return complex(*content)

    def _slice_value(self, content: Any) -> slice:
        return slice(*content)

    def _ellipsis_value(self, content: Any) -> Any:
        return ...

    def _dtype_value(self, content: Any) -> np.dtype:
        return np.dtype(content)

    def _type_value(self, content: Any) -> DType:
        return dtypes.as_dtype(content)

    def _shape_value(self, content: Any) -> shapes.TensorShape:
        return shapes.TensorShape(content)

    def _array_value(self, content: Any) -> Any:
        kind, shape, data = content
        array = np.frombuffer(base64.b64decode(data), np.dtype(kind)).reshape(shapes.as_raw(shape))
        return array.copy() if array.ndim else array[()]

    def _objects_value(self, content: Any) -> Any:
        shape, items = content
        flat = np.empty(len(items), dtype=object)
        for number, item in enumerate(items):
            flat[number] = self.value(item)
        return flat.reshape(shape)

    def _named_value(self, content: Any) -> Any:
        path, items = content
        module, _, name = path.partition(":")
        is_ours = module.startswith(("weftwork.graph.", "weftwork.actors."))
        found = getattr(importlib.import_module(module), name, None) if is_ours else None
        if not (isinstance(found, type) and issubclass(found, tuple) and hasattr(found, "_fields")):
            raise Refused(f"{path} is not a record of the library's")
        return found(*[self.value(item) for item in items])

    def _function_value(self, content: Any) -> Any:
        found = _library(content)
        if found is None:
            raise Refused(f"{content} is not one of the library's functions that compute")
        return found

    def _method_value(self, content: Any) -> Any:
        path, method = content
        ufunc = self._function_value(path)
        if not isinstance(ufunc, np.ufunc) or method not in ("reduce", "accumulate", "outer", "reduceat"):
            raise Refused(f"{path}.{method} is not a method of a ufunc that computes")
        return _UfuncMethod(ufunc, method)

    def _traits_value(self, content: Any) -> Traits:
        pairs = {key: tuple(map(tuple, content[key])) for key in ("resources", "labels") if key in content}
        return Traits(**{**content, **pairs, "retries": self._retries(content.get("retries", 0))})

    def _retries(self, content: Any) -> int | Retry:
        if not isinstance(content, dict):
            return content
        return Retry(**{**content, "on": tuple(map(self._error, content["on"]))})

    def _error(self, path: str) -> Any:
        """An error class: built in, the library's, or a user's, if user functions are permitted."""
        module, _, name = path.partition(":")
        known = getattr({"builtins": builtins, errors.__name__: errors}.get(module), name, None)
        return known if isinstance(known, type) and issubclass(known, Exception) else self._users(path)

    def _user_value(self, content: Any) -> UserFunction:
        function = self._users(content["path"])
        types = tuple([dtypes.as_dtype(name) for name in content["types"]])
        options = self._retries(content["retries"]), content["timeout"], content["numpy"]
        declared = tuple(map(shapes.as_raw, content.get("shapes", ())))
        return UserFunction(function, content["outputs"], types, *options, shapes=declared)

    def _users(self, path: str) -> Any:
        """A user's function."""
        if not isinstance(self._functions, bool):
            if path in self._functions:
                return self._functions[path]
            raise Refused(f"the graph calls the function {path}, which `functions` does not name")
        if not self._functions:
            raise Refused(
                f"the graph calls the function {path}: a graph whose author you do not know could call any function. "
                "Pass functions=True to import what it names, or functions={path: function} for those you mean"
            )
        module, _, name = path.partition(":")
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if not callable(found):
            raise Refused(f"no function is called {path}")
        return getattr(found, "function", found)

    def _unwritable_value(self, content: Any) -> Any:
        raise Refused(f"it holds {content}, which cannot be written")

    def __getattr__(self, name: str) -> Any:
        raise ValueError(f"it is damaged: {name}")
