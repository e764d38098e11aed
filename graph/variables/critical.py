"""Critical sections: parts of the graph that are executed one after the other, within a run and among runs.

mutex    a variable without a meaning of its own. An execution begins by updating it and ends by writing it. A run makes
         its writes of a variable in the order of their creation, and holds the variable's lock from an update to its
         commit, so executions never overlap. Whatever depends on the first one runs under the lock, and reads the
         versions of variables that are the newest then
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes, nest
from weftwork.graph.graph import Graph
from weftwork.graph.operation import REFERENCES, WRITES, Kind, Operation
from weftwork.graph.ops.flow import group, identity
from weftwork.graph.ops.tensor_array import TensorArray
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.structures import pack_sequence_as
from weftwork.graph.variables import writes

MUTEX, LOCK, _UNLOCK = "MutexV2", "MutexLock", "ConsumeMutexLock"
"""The types of the operations of a section."""
_SECTIONS, _EXECUTIONS = "critical_sections", "critical_section_executions"
_open = threading.local()


class CriticalSection:
    """Executes parts of the graph one after the other, so that no other execution sees what one has half done.

    name: of its node; shared_name: the executions of all sections of one shared_name exclude each other.
    critical_section_def, import_scope: not supported. Raises ValueError if the former is given.

        section = tf.CriticalSection()
        session.run([section.execute(f), section.execute(g)])  # f, then g
    """

    def __init__(
        self, name: str | None = None, shared_name: str | None = None, critical_section_def: Any = None,
        import_scope: str | None = None,
    ):  # fmt: skip
        if critical_section_def is not None:
            raise ValueError("critical_section_def is not supported.")
        graph = get_default_graph()
        with name_scope(name, "CriticalSection", []) as scope:
            self._signature = shared_name or scope
            twin = next((one for one in graph.get_collection(_SECTIONS) if one._signature == self._signature), None)
            self._mutex = _mutex(graph, scope) if twin is None else twin._mutex
        graph.add_to_collection(_SECTIONS, self)

    @property
    def name(self) -> str:
        """The name of its node."""
        return self._mutex.name

    def execute(self, fn: Callable[[], Any], exclusive_resource_access: bool = True, name: str | None = None) -> Any:
        """What `fn()` makes: tensors, or a structure of them. Each waits for everything that fn makes.

        exclusive_resource_access: whether the variables that fn uses may be used in this section alone.
        Raises ValueError if fn executes something in this section itself, or uses a variable of another one while one
        of the two requires exclusive access to it.
        """
        opened = _open.__dict__.setdefault("signatures", [])
        if self._signature in opened:
            raise ValueError(
                f"Attempting to lock a CriticalSection (signature={self._signature!r}) in which we are already "
                "running. This is illegal and may cause deadlocks."
            )
        graph = get_default_graph()
        ref = self._mutex.outputs[0]
        with name_scope(name, "critical_section_execute", []):
            begun = writes.write(Kind.UPDATE, LOCK, _locked, ref, [], {"_from_nothing": True}, (), LOCK).op
            first = graph.version
            opened.append(self._signature)
            try:
                with graph.control_dependencies([begun]):
                    result = fn()
            finally:
                opened.pop()
            used = _variables(graph.operations[first:])
            self._note(graph, used, exclusive_resource_access)
            made = [_held(item) for item in nest.flatten(result)]
            with graph.control_dependencies([item.flow if isinstance(item, TensorArray) else item for item in made]):
                done = writes.write(Kind.ASSIGN, _UNLOCK, _unlocked, ref, [], {}, (), _UNLOCK).op
            with graph.control_dependencies([done]):
                return pack_sequence_as(result, [_held(item) for item in made])

    def _note(self, graph: Graph, used: set[str], exclusive: bool) -> None:
        """Remember the variables of an execution. Raises ValueError if another section has them for itself."""
        for signature, others, alone in graph.get_collection(_EXECUTIONS):
            both = used & others
            if signature != self._signature and both and (exclusive or alone):
                raise ValueError(
                    "This execution would access resources: "
                    f"{sorted(both)}. Either this lock (CriticalSection: {self._signature!r}) or lock "
                    f"'{signature}' requested exclusive resource access of this resource. Did you mean to call "
                    "execute with keyword argument exclusive_resource_access=False?"
                )
        graph.add_to_collection(_EXECUTIONS, (self._signature, used, exclusive))


def _mutex(graph: Graph, scope: str) -> Operation:
    with graph.control_dependencies(None):
        return graph.add(Kind.VARIABLE, MUTEX, outputs=[(dtypes.bool._as_ref, ())], name=scope, pinned=True)


def _locked(_: Any) -> Any:
    return np.True_


def _unlocked() -> Any:
    return np.False_


def _variables(ops: Any) -> set[str]:
    """The names of the variables that some operations read or write."""
    read = {t.op.attrs.get("_variable", t.op.name) for op in ops for t in op.inputs if t.op.kind in REFERENCES}
    return read | {op.attrs["_variable"] for op in ops if op.kind in WRITES and op.type not in (LOCK, _UNLOCK)}


def _held(item: Any) -> Any:
    """An item once the open control dependencies have run."""
    if isinstance(item, TensorArray):
        return item.identity()
    return group(item) if isinstance(item, Operation) else identity(item)
