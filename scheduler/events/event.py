"""Event: something that a run did, with its place and time.

lane      a thread of a process, in which work runs one after another
clock     the program's own, `time.time`; times of other processes are converted to it before they are reported
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from weftwork.graph.user_function import UserFunction

KINDS = {
    "began": "a run began; `text` names its fetches, `ops` are theirs",
    "compiled": "the graph was compiled in `seconds`, before the first run of these fetches",
    "planned": "a plan was made in `seconds`, or chosen; `text` says which way to run, and why; `ops` are its nodes",
    "started": "the run, or what was sent to a lane, waited `seconds` for processes to start, or to load functions; "
    "`text` says for which",
    "segment": "nodes ran in one lane, one after another",
    "node": "one node ran; reported only if a listener asks for nodes",
    "failed": "nodes ran in one lane until the last of them failed, or until the run was stopped; `text` says why",
    "retried": "a node failed and is called again, because it has `retries`; `text` is the error",
    "lost": "a process died while running its nodes, which run again; `text` says how it ended",
    "repaired": "lost variables were restored, or the run begins again; `text` says why",
    "copied": "a segment is far behind, and a copy of it was started on a free core",
    "stayed": "a function cannot run in another process, so it runs in the caller from now on; `text` says why",
    "spilled": "values went to disk; `bytes_out` of them",
    "locked": "the run waited `seconds` for variables that another run writes; `text` names them",
    "committed": "the variables that the run wrote were published; `text` names them",
    "ended": "the run ended; `start` and `seconds` are of the whole run, `text` is its error or empty",
}
"""The kinds of event, and what each one says."""


class Lane(NamedTuple):
    """The thread in which something ran.

    place: "caller", "thread", "resident" (a local worker), "task" or "actor". Or a place that only waits, where events
    may overlap: "queue" for a node that waited in a queue, "loop" for a coroutine or a call that had to wait for a
    limit, and "nested" for a branch or a loop whose bodies are separate runs.
    machine: the address of the machine, "" for the program's own.   pid: the process.   thread: the system's number of
    the thread, as in `threading.get_native_id`.
    """

    place: str = "caller"
    machine: str = ""
    pid: int = 0
    thread: int = 0


_SILENT = frozenset(["NoOp", "Tell"])


def is_told(op: Any) -> bool:
    """Whether events tell of an operation. Not of groups, nor of what only passes a result on while the run goes on."""
    kernel = op.kernel
    return not (kernel.silent if type(kernel) is UserFunction else op.type in _SILENT)


class Told(tuple):
    """Operations of all of which events tell. Whoever keeps it spares later runs the question."""

    __slots__ = ()


def told(ops: Iterable[Any]) -> tuple[Any, ...]:
    """The operations of which events tell."""
    return ops if type(ops) is Told else Told([op for op in ops if is_told(op)])


IDLE = ("queue", "loop", "nested")
"""Places in which nothing computes."""


@dataclass(slots=True, unsafe_hash=True)
class Event:
    """Something that a run did. Do not modify it; it is not frozen only because that would make it three times as slow.

    kind: one of `KINDS`.   run: the run's number in this program; inner runs have the number of the whole run.
    start: seconds since the epoch, by the program's clock.   seconds: its duration; 0 for a moment.
    lane: where it ran.   ops: its nodes, in the order in which they ran.
    ready, sent: when the nodes became ready, and when they were sent, as seconds since the epoch; 0.0 if unknown.
    back: when the caller received the results; 0.0 if they were not sent.
    bytes_in, bytes_out: the bytes of its inputs and outputs.   attempt: 1 for the first try.
    packing: seconds for pickling and unpickling values, before and after it.   text: further information.
    plan: for "planned" the plan (`scheduler.plan.plan.Plan`); None for a run without a plan, or of a shared session.
    """

    kind: str
    run: int
    start: float
    seconds: float = 0.0
    lane: Lane = Lane()
    ops: tuple[Any, ...] = ()
    ready: float = 0.0
    sent: float = 0.0
    back: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    attempt: int = 1
    packing: float = 0.0
    text: str = ""
    plan: Any = None

    @property
    def end(self) -> float:
        """Its end, in seconds since the epoch."""
        return self.start + self.seconds
