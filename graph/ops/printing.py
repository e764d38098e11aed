"""Nodes that print when they run: `Print`, which passes its input on, and `print`.

They print in the program that runs the session, never in another process.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.graph import nest
from weftwork.graph.build import as_tensor, convert_to_tensor, graph_of
from weftwork.graph.operation import Kind, Operation, Tensor, Traits
from weftwork.graph.ops.assertions import summarized

_HERE = Traits(here=True)
_STREAMS = {"stdout": lambda: sys.stdout, "stderr": lambda: sys.stderr}


class Printer:
    """The kernel of Print. first_n: the number of runs of this process that print, -1 for all."""

    def __init__(self, message: str, first_n: int, summarize: int | None):
        self.message, self.first_n, self.summarize = message, first_n, summarize
        self._left = first_n

    def __call__(self, value: Any, *data: Any) -> Any:
        if self._left:
            self._left -= 1
            sys.stderr.write(self.message + "".join([summarized(item, self.summarize) for item in data]) + "\n")
        return value


def Print(
    input_: Any,
    data: Sequence[Any],
    message: str | None = None,
    first_n: int | None = None,
    summarize: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Return `input_`; at run time, print `message` and the values of `data` to standard error.

    first_n: print this many times at most.   summarize: the number of elements shown of each value, 3 by default, -1
    for all. Gradients flow through it as through tf.identity.
    """
    tensors = tuple(map(convert_to_tensor, [input_, *data]))
    spec = (tensors[0].dtype.base_dtype, tensors[0].raw_shape)
    kernel = Printer(message or "", -1 if first_n is None else first_n, summarize)
    op = graph_of(tensors).add(
        Kind.FUNCTION, "Print", kernel=kernel, inputs=tensors, outputs=[spec], name=name, traits=_HERE
    )
    return op.outputs[0]


class Writer:
    """The kernel of print. template: its arguments, with slots for the values of tensors."""

    def __init__(self, template: list, stream: str, summarize: int, sep: str, end: str):
        self.template, self.stream, self.sep, self.end = template, stream, sep, end
        self.edge = summarize if summarize >= 0 else sys.maxsize

    def __call__(self, *values: Any) -> tuple:
        with np.printoptions(threshold=0, edgeitems=self.edge):
            text = (
                self.sep.join(map(str, nest.fill(self.template, list(map(_Verbatim, values)), nest.unchanged)))
                + self.end
            )
        if self.stream in _STREAMS:
            _STREAMS[self.stream]().write(text)
        else:
            with open(self.stream, "a", encoding="utf-8") as file:
                file.write(text)
        return ()


class _Verbatim:
    """A value that prints the same on its own and within lists."""

    def __init__(self, value: Any):
        self.text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def __repr__(self) -> str:
        return self.text


def print(
    *inputs: Any,
    output_stream: Any = None,
    summarize: int | None = 3,
    sep: str = " ",
    end: str = "\n",
    name: str | None = None,
) -> Operation:
    """An operation that prints its inputs, like Python's print, with tensors replaced by their values.

    output_stream: sys.stderr (the default), sys.stdout, or "file://" and a path, to append to that file.
    summarize: the number of elements shown at either end of each axis, 3 by default, -1 for all.
    sep, end: printed between the inputs, and after them.   Raises ValueError for another stream.
    """
    tensors: list[Tensor] = []
    template = [nest.lift(item, tensors, as_tensor) for item in inputs]
    kernel = Writer(template, _name_of(output_stream), 3 if summarize is None else summarize, sep, end)
    graph = graph_of(tensors)
    return graph.add(
        Kind.FUNCTION, "PrintV2", kernel=kernel, inputs=tuple(tensors), outputs=[], name=name, traits=_HERE
    )


def _name_of(stream: Any) -> str:
    """A stream in a form that a graph can store."""
    if stream is None or stream is sys.stderr:
        return "stderr"
    if stream is sys.stdout:
        return "stdout"
    if isinstance(stream, str) and stream.startswith("file://"):
        return stream[len("file://") :]
    raise ValueError(f"Unsupported output stream: {stream}. Expected sys.stderr, sys.stdout, or file:// and a path.")
