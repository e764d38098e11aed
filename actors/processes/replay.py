"""Replay: repeat the call of a node that failed, here or, from a bundle, anywhere.

bundle    a file with one failed call: a line of text, what the error printed, and the call as code
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from traceback import walk_tb
from types import TracebackType
from typing import Any, NamedTuple

from weftwork.actors.processes import pickling
from weftwork.actors.programs.failed_call import KEPT, PICKLERS, FailedCall
from weftwork.actors.programs.program import StepFailed
from weftwork.actors.programs.sizes import sizes_of
from weftwork.graph.errors import OpError, printed
from weftwork.graph.python.modules import is_own, settle_modules
from weftwork.graph.seams import seams
from weftwork.graph.source import is_ours

_FIRST_LINE = b"weftwork: a call that failed, version 1. This file is code: python -m weftwork replay PATH runs it.\n"

PICKLERS.append((pickling.dumps, pickling.loads))


# From a worker to its session


def tell_inputs(failed: StepFailed, values: Sequence[Any], leave: Callable[[Any], Any] = lambda value: value) -> Any:
    """Describe a failed step's inputs for the session.

    Returns their positions among the program's `values` (None for one made by the program) with a pickle of the made
    ones, or a string that says why they are not available.   leave: converts a value before it is pickled.
    """
    cause = failed.__cause__
    if failed.taken is None or (isinstance(cause, OpError) and cause.call is not None):
        return "the worker does not know them"
    places = [next((p for p, value in enumerate(values) if value is one), None) for one in failed.taken]
    made = [leave(one) for one, place in zip(failed.taken, places, strict=True) if place is None]
    if sizes_of(made) > KEPT:
        return f"they were made in a worker, and take more than {KEPT / 1e6:.0f} MB"
    try:
        return places, pickling.dumps(made)
    except Exception as error:
        return f"they were made in a worker, and do not pickle ({error})"


def reported_inputs(report: Any, given: Callable[[int], Any]) -> tuple[list | None, str]:
    """The inputs described by `tell_inputs`, or None and why not.   given: the program's input at a position."""
    if isinstance(report, str):
        return None, report
    places, packed = report
    try:
        made = iter(pickling.loads(packed))
    except Exception as error:
        return None, f"they were made in a worker, and cannot be read here ({error})"
    return [next(made) if place is None else given(place) for place in places], ""


# Repeating a call


def _call_of(error: OpError) -> FailedCall:
    if error.call is None:
        raise RuntimeError(f"This error does not come from a call of a function: {error.message}")
    return error.call


def _inputs(error: OpError) -> list:
    return _call_of(error).inputs()


def _replay(error: OpError, debug: bool = False) -> Any:
    return call_again(_call_of(error), debug)


def call_again(call: FailedCall, debug: bool = False) -> Any:
    """Repeat a call and return its result. Raises what it raises, with the frames of the user's code.

    debug: start `pdb` in the innermost of these frames.
    """
    call.inputs()
    try:
        return call.again()
    except Exception as error:
        failure = error
    trace = _user_part(failure.__traceback__)
    if debug:
        _debug(trace)
    try:
        raise failure.with_traceback(trace)
    finally:
        del failure  # break the reference cycle with its frames


def _user_part(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without its leading frames of the library; unchanged if every frame is the library's."""
    at = trace
    while at is not None and (is_ours(at.tb_frame.f_code.co_filename) or _is_compiled(at)):
        at = at.tb_next
    return at or trace


def _is_compiled(trace: TracebackType) -> bool:
    return trace.tb_frame.f_code.co_filename.startswith("<weftwork")


def _debug(trace: TracebackType | None) -> None:
    """Start pdb at an exception, in the innermost frame of the user's own code."""
    import pdb

    own = [is_own(frame.f_globals.get("__name__")) for frame, _ in walk_tb(trace)]
    debugger = pdb.Pdb()
    debugger.reset()
    if True in own and not own[-1]:
        debugger.cmdqueue.append(f"up {own[::-1].index(True)}")
    debugger.interaction(None, trace)


# Bundles


class Bundle(NamedTuple):
    """The content of a bundle. where: the node.   said: what its error printed.   python: the version of Python.

    code: the pickled call. Unpickling it, as `call` does, runs code from the file.
    """

    where: str
    said: str
    python: str
    code: bytes

    def call(self) -> FailedCall:
        """Unpickle the call. Raises what that raises, mostly ModuleNotFoundError."""
        kernel, attrs, users, stops, inputs = pickling.loads(self.code)
        return FailedCall(kernel, attrs, inputs, self.where, users, stops)


def _save(error: OpError, path: Any) -> None:
    call = _call_of(error)
    settle_modules()
    try:
        code = call.packed()
    except RuntimeError:
        raise
    except Exception as failure:
        raise TypeError(f"The call of {call.where} cannot be pickled: {failure}") from failure
    bundle = Bundle(call.where, printed(error), sys.version.split()[0], code)
    seams.write_bytes(os.fspath(path), _FIRST_LINE + pickle.dumps(tuple(bundle), protocol=5))


def load(path: Any) -> Bundle:
    """Read a bundle. Raises OSError, or ValueError if the file is not a bundle."""
    data = Path(path).read_bytes()
    if not data.startswith(_FIRST_LINE):
        raise ValueError(f"{path} is not a bundle of a failed call: `error.save(path)` writes such files.")
    try:
        return Bundle(*pickle.loads(data[len(_FIRST_LINE) :]))
    except Exception as error:
        raise ValueError(f"{path} is damaged: {error}") from error


seams.failed_inputs, seams.replay, seams.save_call = _inputs, _replay, _save
