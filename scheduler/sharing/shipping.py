"""Shipping: sends kernels, rows and values to local workers, each only once.

token    a number for a kernel with the state that its functions capture; a new one once that state has changed
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from weftwork.actors.processes.code import pack_code
from weftwork.actors.processes.messages import pack_parts
from weftwork.actors.programs.sizes import size_of
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import functions_of
from weftwork.scheduler.compile.emit import carrying
from weftwork.scheduler.plan.policy import DROPPED_FROM_BYTES
from weftwork.scheduler.sharing.lane import Lane

_TOKENS: WeakKeyDictionary[Any, tuple[tuple, int]] = WeakKeyDictionary()
"""The versions of the captured state, and the tokens, of the kernels that were sent to workers."""
_LASTING: dict[int, tuple[Any, int]] = {}
"""Kernels without weak references, by identity, and their tokens."""
_NUMBERS = count()


class Parcel:
    """Nodes for a worker, with the kernels, rows and inputs that it lacks. The inputs are brought to this process."""

    def __init__(self, run: Any, lane: Lane, nodes: Sequence[int], packed: dict[int, tuple]):
        """packed: by token, the pickled kernels of the run's other parcels; new ones are added."""
        flow = run.flow
        self._lane, self._nodes, self._packed = lane, nodes, packed
        once = flow.ops[0].graph.once
        self._key = "" if once else key_of(flow)
        known = set() if once else lane.rows.find(self._key)
        self._known: set[int] = lane.rows.keep(self._key, set()) if known is None else known
        self._rows: list = []
        self._code: list = []
        self._tokens: set[int] = set()
        self._blocks: set[str] = set()
        self._inside = {value for node in nodes for value in flow.outputs[node]}
        self._given: dict[int, Any] = {}
        tokens: dict[Any, int] = {}
        for node in nodes:
            kernel = flow.kernels[node]
            for number in flow.inputs[node]:
                if number not in lane.held and number not in self._inside and number not in self._given:
                    self._given[number] = run.local(number)
            if node in self._known:
                self._rows.append(node)
                continue
            token = tokens.get(kernel)
            if token is None:
                token = tokens[kernel] = token_of(kernel)
            if token not in lane.tokens and token not in self._tokens:
                self._tokens.add(token)
                self._code.append(kernel)
            self._rows.append((node, token, flow.attrs[node], flow.inputs[node], flow.outputs[node]))

    def packed(self) -> list:
        """The parts of a message for it. Raises whatever pickling raises."""
        kernels, self._blocks = shipped(self._code, self._lane.blocks, self._packed)
        return pack_parts([self._key, kernels, self._rows, self._given])

    def has_left(self) -> None:
        """Note that the worker now has all of it."""
        lane = self._lane
        lane.dropped, lane.clear = [], False
        lane.tokens |= self._tokens
        lane.blocks |= self._blocks
        self._known.update(self._nodes)
        lane.held.update(self._given, self._inside)
        lane.large = lane.large or any([size_of(value) >= DROPPED_FROM_BYTES for value in self._given.values()])


def key_of(flow: Dataflow) -> str:
    """The name under which workers keep the rows of a dataflow."""
    if flow.key is None:
        flow.key = uuid.uuid4().hex
    return flow.key


def token_of(kernel: Any) -> int:
    """The number of a kernel in messages to workers."""
    try:
        token = _TOKENS.get(kernel)
    except TypeError:  # without weak references: a library's own, which is never freed
        return _LASTING.setdefault(id(kernel), (kernel, next(_NUMBERS)))[1]
    state = tuple([function.captured.version for function in functions_of([kernel])])
    if token is None or token[0] != state:
        token = _TOKENS[kernel] = (state, next(_NUMBERS))
    return token[1]


def shipped(kernels: Sequence[Any], known: Iterable[str], packed: dict[int, tuple]) -> tuple[list[tuple], set[str]]:
    """Kernels as sent: (token, code, keys of its blocks, missing blocks) of each one; and all the keys.

    known: the keys of the blocks that the worker has.   packed: see `Parcel`.
    """
    made, keys = [], set(known)
    for kernel in kernels:
        token = token_of(kernel)
        if token not in packed:
            packed[token] = pack_code(carrying(kernel))
        code, blocks = packed[token]
        came = [None if key in keys else np.frombuffer(data, np.uint8) for key, data in blocks]
        made.append((token, code, [key for key, _ in blocks], came))
        keys.update([key for key, _ in blocks])
    return made, keys


def travels(flow: Dataflow, node: int, values: list) -> bool:
    """True if everything a worker needs for a node with these inputs pickles."""
    try:
        pack_code(carrying(flow.kernels[node]))
        pack_parts([flow.attrs[node], values])
    except Exception:
        return False
    return True
