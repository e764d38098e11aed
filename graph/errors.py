"""The errors of a run, by TensorFlow 1's names and codes.

Exception
+-- OpError                       a node failed; .op, .node_def, .message, .error_code; .inputs, .replay(), .save()
|   +-- CancelledError            1   the run was cancelled, or the session was closed
|   +-- UnknownError              2   a user's function raised an exception of its own
|   +-- InvalidArgumentError      3   a value, shape or dtype does not fit
|   +-- DeadlineExceededError     4   a time limit has expired
|   +-- NotFoundError             5
|   +-- AlreadyExistsError        6
|   +-- PermissionDeniedError     7
|   +-- ResourceExhaustedError    8   memory, or another resource
|   +-- FailedPreconditionError   9   a variable has no value
|   +-- AbortedError             10
|   +-- OutOfRangeError          11   a counter or queue is exhausted
|   +-- UnimplementedError       12
|   +-- InternalError            13   a bug in the library
|   +-- UnavailableError         14   a process or machine was lost and could not be replaced
|   +-- DataLossError            15
|   +-- UnauthenticatedError     16
+-- RemoteTraceback               cause of an exception from another process: the traceback there
ValueError
+-- InaccessibleTensorError       a tensor inside a control-flow construct was requested
"""

from __future__ import annotations

import copyreg
import math
import pickle
import re
import traceback
from typing import Any

from weftwork.graph.seams import seams

__all__ = [
    "ABORTED", "ALREADY_EXISTS", "AbortedError", "AlreadyExistsError", "CANCELLED", "CancelledError",
    "DATA_LOSS", "DEADLINE_EXCEEDED", "DataLossError", "DeadlineExceededError", "FAILED_PRECONDITION",
    "FailedPreconditionError", "INTERNAL", "INVALID_ARGUMENT", "InaccessibleTensorError", "InternalError",
    "InvalidArgumentError", "NOT_FOUND", "NotFoundError", "OK", "OUT_OF_RANGE", "OpError", "OutOfRangeError",
    "PERMISSION_DENIED", "PermissionDeniedError", "RESOURCE_EXHAUSTED", "RemoteTraceback",
    "ResourceExhaustedError", "UNAUTHENTICATED", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN",
    "UnauthenticatedError", "UnavailableError", "UnimplementedError", "UnknownError",
    "error_code_from_exception_type", "exception_type_from_error_code",
]  # fmt: skip

OK = 0
CANCELLED = 1
UNKNOWN = 2
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
NOT_FOUND = 5
ALREADY_EXISTS = 6
PERMISSION_DENIED = 7
RESOURCE_EXHAUSTED = 8
FAILED_PRECONDITION = 9
ABORTED = 10
OUT_OF_RANGE = 11
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
DATA_LOSS = 15
UNAUTHENTICATED = 16


class _Node:
    """An operation as an error from another process knows it: its name and creation line."""

    def __init__(self, name: str, defined_at: str):
        self.name, self.defined_at = name, defined_at

    def __repr__(self) -> str:
        return f"<node {self.defined_at}>"


class OpError(Exception):
    """A node failed. str() gives the message and the line where the node was created."""

    _code = UNKNOWN
    call: Any = None
    """The `FailedCall`, if known."""

    def __init__(self, node_def: Any, op: Any, message: str, error_code: int | None = None):
        super().__init__(node_def, op, message)
        copyreg.dispatch_table.pop(type(self), None)  # tblib would register a reducer, even for what cannot be pickled
        self._node_def, self._op, self._message = node_def, op, message
        self._error_code = self._code if error_code is None else error_code

    @property
    def op(self) -> Any:
        """The operation that failed, or None if unknown."""
        return self._op

    @property
    def node_def(self) -> Any:
        """The operation as a NodeDef, built on demand, or None."""
        return getattr(self._op, "node_def", None) if self._node_def is None else self._node_def

    @property
    def message(self) -> str:
        """What went wrong."""
        return self._message

    @property
    def error_code(self) -> int:
        """The numeric code of the error's class."""
        return self._error_code

    @property
    def inputs(self) -> list:
        """The node's input values, in the order of `op.inputs`; for a node in a branch or a loop its arguments.

        They stay where they are, without a copy, if they take at most 64 MB. If the function was the last user of an
        input and changed it before failing, you see the changed value. Raises RuntimeError, with the reason, if they
        were not kept.
        """
        return seams.failed_inputs(self)

    def replay(self, debug: bool = False) -> Any:
        """Call the node's function again with the same inputs, here in this thread; nothing else of the run is
        repeated.

        Raises what the function raises, with the frames of your code, or returns its result if it does not fail this
        time. Random draws are repeated exactly. debug: if it raises, `pdb` starts in your frame first. A call that
        ended its process or took too long may do so here, too. Raises RuntimeError as `inputs` does.
        """
        return seams.replay(self, debug)

    def save(self, path: Any) -> None:
        """Write the failed call, function and inputs, to a file; `python -m weftwork replay PATH` repeats it anywhere.

        The file contains code: replaying it runs whatever is in it. Raises RuntimeError as `inputs` does, TypeError if
        something cannot be pickled, and an OpError if the file cannot be written. An existing file then stays.
        """
        seams.save_call(self, path)

    def __str__(self) -> str:
        where = getattr(self._op, "defined_at", None)
        if where is None or "(defined at" in self._message:
            return self._message
        return f"{self._message}\n\t [[node {where} ]]"

    def __reduce__(self):
        where = getattr(self._op, "defined_at", None)
        op = None if where is None else _Node(self._op.name, where)
        state = {"code": self._error_code, "cause": _portable(self.__cause__), "call": self.call}
        return type(self), (self._node_def, op, self._message), state

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        state = state or {}
        self._error_code = state.get("code", self._code)
        self.call = state.get("call")
        if state.get("cause") is not None:
            self.__cause__ = state["cause"]


def _portable(cause: BaseException | None) -> BaseException | None:
    """The cause, or its printed text if it does not survive pickling: the error itself must always arrive."""
    try:
        pickle.loads(pickle.dumps(cause))
    except BaseException:
        return RemoteTraceback(printed(cause))
    return cause


def part_of(error: BaseException, name: str) -> Any:
    """What Python itself knows of an exception (`args`, `__cause__` ...), since its class may return anything.

    error: an exception.   name: of the attribute.
    """
    return vars(BaseException)[name].__get__(error)


def set_part(error: BaseException, name: str, value: Any) -> None:
    """Set what Python itself knows of an exception, whatever its class does when an attribute is set.

    error: an exception.   name: of the attribute.   value: its new value.
    """
    vars(BaseException)[name].__set__(error, value)


def text_of(error: BaseException) -> str:
    """An exception's text, if there is any: its `__str__` may do anything.

    error: an exception.
    """
    try:
        text = str(error)
        return text if type(text) is str else str.__str__(text)
    except BaseException:
        return ", ".join([shown(arg) for arg in part_of(error, "args")])


_SHAPE = re.compile(r"\(([\d,]*)\)")


_WORDS = (
    ("Singular matrix", "Input is not invertible."),
    ("Matrix is not positive definite", "Cholesky decomposition was not successful. The input might not be valid."),
    ("Last 2 dimensions of the array must be square", "Input matrix must be square."),
    ("all the input array dimensions except for the concatenation", "ConcatOp : Dimensions of inputs should match"),
    ("all the input arrays must have same number of dimensions", "ConcatOp : Ranks of all input tensors should match"),
    ("all input arrays must have the same shape", "Shapes of all inputs must match"),
    ("cannot select an axis to squeeze out", "Can not squeeze dim, expected a dimension of 1"),
    ("negative dimensions are not allowed", "Dimension must be >= 0"),
)
"""How messages of NumPy begin, and what TensorFlow says instead."""
_RESHAPE = re.compile(r"cannot reshape array of size (\d+) into shape \((.*)\)")


def message_of(error: BaseException, of_library: bool = False) -> str:
    """How a node's error quotes an exception: `Type: text`. NumPy's messages about shapes get TensorFlow's wording.

    of_library: the node's function is one of ours; then a ValueError says all in its text.
    """
    if isinstance(error, OpError):
        return error.message
    text = text_of(error)
    description = text if of_library and type(error) is ValueError else f"{type(error).__name__}: {text}"
    words = next((words for start, words in _WORDS if text.startswith(start)), None)
    if words is not None:
        return f"{words}{' ' if words.endswith('.') else ': '}{description}"
    if (found := _RESHAPE.match(text)) is not None:
        return f"{_reshape_words(*found.groups())}: {description}"
    if text.startswith("operands could not be broadcast together with shapes "):
        shapes = [f"[{shape.rstrip(',')}]" for shape in _SHAPE.findall(text)]
        return f"Incompatible shapes: {' vs. '.join(shapes)}: {description}"
    if text.startswith("matmul: Input operand 1 has a mismatch in its core dimension"):
        return f"Matrix size-incompatible: {description}"
    return description


def _reshape_words(count: str, shape: str) -> str:
    known = [int(size) for size in shape.split(",") if size.strip().isdigit()]
    wanted = f"requires a multiple of {math.prod(known)}" if "newaxis" in shape else f"has {math.prod(known)}"
    return f"Input to reshape is a tensor with {count} values, but the requested shape {wanted}"


def shown(value: Any) -> str:
    """A value's text, or its type if it has none."""
    try:
        return str(value)
    except BaseException:
        return f"<{type(value).__name__}>"


def printed(error: BaseException | None) -> str:
    """What an exception prints, if it can be printed.

    error: an exception.
    """
    try:
        return "".join(traceback.format_exception(error))
    except BaseException as failure:
        return f"{type(error).__name__} (its traceback cannot be printed: {type(failure).__name__})\n"


class CancelledError(OpError):
    """The run was cancelled, or its session was closed."""

    _code = CANCELLED


class UnknownError(OpError):
    """A user's function raised an exception that maps to no other class."""

    _code = UNKNOWN


class InvalidArgumentError(OpError):
    """A value, shape or dtype does not fit."""

    _code = INVALID_ARGUMENT


class RefusedError(InvalidArgumentError, ValueError):
    """An argument was refused when its node was made; TensorFlow refuses it when the node runs, with the base class."""


class DeadlineExceededError(OpError):
    """A time limit has expired."""

    _code = DEADLINE_EXCEEDED


class NotFoundError(OpError):
    """Something requested by name does not exist."""

    _code = NOT_FOUND


class AlreadyExistsError(OpError):
    """Something to be created exists already."""

    _code = ALREADY_EXISTS


class PermissionDeniedError(OpError):
    """The program is not allowed to do this."""

    _code = PERMISSION_DENIED


class ResourceExhaustedError(OpError):
    """Memory or another resource has run out."""

    _code = RESOURCE_EXHAUSTED


class FailedPreconditionError(OpError):
    """The session is not in the required state, e.g. a variable has no value."""

    _code = FAILED_PRECONDITION


class AbortedError(OpError):
    """The run was aborted."""

    _code = ABORTED


class OutOfRangeError(OpError):
    """A counter or queue is exhausted."""

    _code = OUT_OF_RANGE


class UnimplementedError(OpError):
    """The operation is not implemented."""

    _code = UNIMPLEMENTED


class InternalError(OpError):
    """An invariant of the library was broken: a bug in the library, not in the program."""

    _code = INTERNAL


class UnavailableError(OpError):
    """A process or machine was lost and could not be replaced."""

    _code = UNAVAILABLE


class DataLossError(OpError):
    """Data is lost or corrupt."""

    _code = DATA_LOSS


class UnauthenticatedError(OpError):
    """The caller did not prove its identity."""

    _code = UNAUTHENTICATED


class InaccessibleTensorError(ValueError):
    """A tensor inside a function or control-flow construct was requested from outside."""


def add_remote(error: BaseException, text: str) -> None:
    """Append the traceback from the other process to the exceptions that an exception was raised from.

    error: the exception.   text: a traceback of another process.
    """
    last, seen = error, {id(error)}
    while True:
        is_suppressed = part_of(last, "__suppress_context__")
        earlier = part_of(last, "__cause__")
        if earlier is None and not is_suppressed:
            earlier = part_of(last, "__context__")
        if earlier is None or id(earlier) in seen:
            break
        seen.add(id(earlier))
        last = earlier
    set_part(last, "__cause__", RemoteTraceback(text))
    set_part(last, "__suppress_context__", is_suppressed)


class RemoteTraceback(Exception):
    """The cause of an exception that was raised in another process: str() is the traceback there.

    text: a traceback of another process.
    """

    def __init__(self, text: str):
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


_BY_CODE = {cls._code: cls for cls in OpError.__subclasses__()}


def exception_type_from_error_code(error_code: int) -> type[OpError]:
    """The class for a code; KeyError for an unknown code."""
    return _BY_CODE[error_code]


def error_code_from_exception_type(cls: type[OpError]) -> int:
    """The number of an error class, such as 3 for InvalidArgumentError.

    cls: a class of `tf.errors`.
    """
    return cls._code


def from_exception(error: BaseException, of_library: bool = False) -> type[OpError]:
    """The class that an exception of a user's function is mapped to, as TensorFlow 1's py_func maps it.

    error: an exception.   of_library: it is of a function of ours, where an IndexError is about an argument, too.
    """
    if isinstance(error, OpError):
        return type(error)
    if isinstance(error, StopIteration):
        return OutOfRangeError
    if isinstance(error, MemoryError):
        return ResourceExhaustedError
    if isinstance(error, NotImplementedError):
        return UnimplementedError
    if isinstance(error, (ValueError, TypeError)) or (of_library and isinstance(error, IndexError)):
        return InvalidArgumentError
    return UnknownError


def at_node(kind: type[OpError], op: Any, message: str, call: Any = None) -> OpError:
    """An error of a node: the message, and where the node was created.   call: the failed call, if known.

    kind: the class of the error.
    """
    op = op.listed
    if "(defined at" not in message:
        message = f"{message}\n\t [[node {op.defined_at} ]]"
    error = kind(None, op, message)
    error.call = call
    return error
