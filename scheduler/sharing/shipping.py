"""Shipping: sends kernels, rows and values to local workers, each only once; and with tasks, whose process Ray chooses.

token    a number for a kernel with the state that its functions capture; a new one once that state has changed
"""

from __future__ import annotations

import pickle
import secrets
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from weftwork.actors.processes.code import pack_code
from weftwork.actors.processes.messages import pack_parts, pack_values
from weftwork.actors.programs.sizes import size_of
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import functions_of
from weftwork.scheduler.compile.emit import carrying
from weftwork.scheduler.machines import objects
from weftwork.scheduler.plan.policy import DROPPED_FROM_BYTES
from weftwork.scheduler.segments.requests import RequestBuilder
from weftwork.scheduler.sharing.lane import Lane


@dataclass(slots=True)
class _Sent:
    """What is known of a kernel that was sent.

    state: the versions of what its functions capture.   token: unique among all programs, because processes of tasks
    may serve several.   code: as tasks are sent it.   kernel: itself, if it has no weak references.
    """

    state: tuple
    token: int
    code: objects.Code | None = None
    kernel: Any = None


_SENT: WeakKeyDictionary[Any, _Sent] = WeakKeyDictionary()
_LASTING: dict[int, _Sent] = {}
"""Kernels without weak references, by identity."""


class Parcel:
    """Nodes for a worker, with the kernels, rows and inputs that it lacks. The inputs are brought to this process.

    Constants of a dataflow that may run again are kept with its rows, under the complements of their numbers.
    """

    _keeps = True
    """Whether it goes to a process that keeps rows and constants."""

    def __init__(self, run: Any, lane: Lane, nodes: Sequence[int], packed: dict[int, tuple]):
        """packed: by token, the pickled kernels of the run's other parcels; new ones are added."""
        flow = run.flow
        self._run, self._lane, self._nodes, self._packed = run, lane, nodes, packed
        once = flow.ops[0].graph.once
        self._key = "" if once else key_of(flow)
        known = set() if once else lane.rows.find(self._key)
        self._known: set[int] = lane.rows.keep(self._key, set()) if known is None else known
        self._rows: list = []
        self._code: list = []
        self._tokens: set[int] = set()
        self._blocks: set[str] = set()
        self._there = {value for node in nodes for value in flow.outputs[node]}
        """The values that the worker will have, beside those that it has."""
        self._given: dict[int, Any] = {}
        self._constants: dict[int, Any] = {}
        constants = flow.constants if self._key and self._keeps else {}
        tokens: dict[Any, int] = {}
        for node in nodes:
            kernel = flow.kernels[node]
            for number in flow.inputs[node]:
                if number in constants:
                    if ~number not in self._known:
                        self._constants[~number] = constants[number]
                elif number not in lane.held and number not in self._there:
                    self._there.add(number)
                    self._give(number)
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

    @property
    def brings_code(self) -> bool:
        """Whether there are kernels in it."""
        return bool(self._code)

    def _give(self, number: int) -> None:
        """Let a value go along."""
        self._given[number] = self._run.local(number)

    def packed(self) -> list:
        """The parts of a message for it. Raises whatever pickling raises."""
        kernels, self._blocks = shipped(self._code, self._lane.blocks, self._packed)
        return pack_parts([self._key, kernels, self._rows, self._given, self._constants])

    def has_left(self) -> None:
        """Note that the worker now has all of it."""
        lane = self._lane
        lane.dropped, lane.clear = [], False
        lane.tokens |= self._tokens
        lane.blocks |= self._blocks
        self._known.update(self._nodes, self._constants)
        lane.held |= self._there
        lane.large = lane.large or any([size_of(value) >= DROPPED_FROM_BYTES for value in self._given.values()])


class TaskParcel(Parcel):
    """Nodes for a task, with all that they need: code is pickled once, and large values lie in Ray's store."""

    _keeps = False

    def __init__(self, run: Any, nodes: Sequence[int], requests: RequestBuilder):
        self._requests, self._beside = requests, dict[int, Any]()
        super().__init__(run, Lane(), nodes, {})

    def _give(self, number: int) -> None:
        reference = self._requests.reference(number)
        if reference is None:
            super()._give(number)
        else:
            self._beside[number] = reference

    def message(self, token: str, separate: tuple[int, ...], inner: frozenset[int]) -> tuple[bytes, list]:
        """The message, and the references beside it. See `actors.processes.batches`.   token: of the attempt."""
        arrived = list(self._beside.values())

        def beside(reference: Any) -> int:
            arrived.append(reference)
            return len(arrived) - 1

        code = []
        for kernel in self._code:
            sent = _sent(kernel)
            if sent.code is None or sent.code.is_gone:
                sent.code = objects.stored_code(carrying(kernel))
            _, text, reference, blocks = sent.code
            came = [beside(block.reference) for block in blocks]
            code.append((sent.token, text or beside(reference), [block.key for block in blocks], came))
        content = pack_values(["", code, self._rows, self._given, {}])
        head = (token, self._requests.seconds_left(), self._run.around(None), tuple(self._beside), separate, inner)
        return pickle.dumps((*head, content), protocol=5), arrived


def uses_elsewhere(flow: Dataflow, nodes: Sequence[int], uses: Sequence[int]) -> dict[int, int]:
    """How often others use the values that some nodes make.   uses: the number of uses of each value."""
    others = {value: uses[value] for node in nodes for value in flow.outputs[node]}
    for node in nodes:
        for value in flow.inputs[node]:
            if value in others:
                others[value] -= 1
    return others


def key_of(flow: Dataflow) -> str:
    """The name under which workers keep the rows of a dataflow."""
    if flow.key is None:
        flow.key = uuid.uuid4().hex
    return flow.key


def token_of(kernel: Any) -> int:
    """The number of a kernel in messages."""
    return _sent(kernel).token


def _sent(kernel: Any) -> _Sent:
    try:
        sent = _SENT.get(kernel)
    except TypeError:  # without weak references: a library's own, which is never freed
        return _LASTING.get(id(kernel)) or _LASTING.setdefault(id(kernel), _Sent((), _token(), kernel=kernel))
    state = tuple([function.captured.version for function in functions_of([kernel])])
    if sent is None or sent.state != state:
        sent = _SENT[kernel] = _Sent(state, _token())
    return sent


def _token() -> int:
    return secrets.randbits(64)


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


def travels(run: Any, node: int) -> bool:
    """True if everything a worker needs for a node of a run pickles."""
    flow, values = run.flow, [run.values[number] for number in run.flow.inputs[node]]
    try:
        pack_code(carrying(flow.kernels[node]))
        pack_parts([flow.attrs[node], [value for value in values if not objects.is_reference(value)]])
    except Exception:
        return False
    return True
