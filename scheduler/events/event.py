"""Event: one thing that a run did, where it did it and when.

lane      a thread of a process: what runs in it runs one after another
clock     the program's own, `time.time`: times of other processes are brought to it before they are told
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

KINDS = {
    "began": "a run began; `text` names its fetches, `ops` are theirs",
    "planned": "a plan was made in `seconds`, or chosen; `text` says which way to run, and why; `ops` are its nodes",
    "started": "the run, or what was sent to a lane, waited `seconds` for processes to start; `text` says for which",
    "segment": "nodes ran in one lane, one after another",
    "node": "one node ran; told only where a listener asks for nodes",
    "retried": "a node failed and is called again, because it has `retries`; `text` is the error",
    "lost": "a process died under its nodes, which run again; `text` says what is known of its end",
    "repaired": "lost variables were made anew, or the run begins again; `text` says why",
    "copied": "a segment is far behind, and a copy of it was started on a free core",
    "stayed": "a function cannot run in another process, so it runs in the caller from now on; `text` says why",
    "spilled": "values went to disk; `bytes_out` of them",
    "locked": "the run waited `seconds` for variables that another run writes; `text` names them",
    "committed": "the variables that the run wrote were published; `text` names them",
    "ended": "the run ended; `start` and `seconds` are of the whole run, `text` is its error or empty",
}
"""Each kind of event, and what it says."""


class Lane(NamedTuple):
    """Where something ran.

    place: "caller", "thread", "resident" (a local worker), "task" or "actor"; "queue" for a node that waited in a
    queue, "loop" for a coroutine, or a call that had to wait for a limit, and "nested" for a branch or a loop whose
    bodies are runs of their own: in these three nothing computes, so what is in them may lie beside each other.
    machine: the address of the machine, "" for the program's own.   pid: the process.   thread: the number that the
    system has given to its thread, as in `threading.get_native_id`.
    """

    place: str = "caller"
    machine: str = ""
    pid: int = 0
    thread: int = 0


IDLE = ("queue", "loop", "nested")
"""Places in which nothing computes."""


@dataclass(slots=True, unsafe_hash=True)
class Event:
    """One thing that a run did. Nobody changes one: it is not frozen since that would make it three times as slow.

    kind: one of `KINDS`.   run: the run's number in this program; parts of a run have the number of the whole.
    start: seconds since the epoch, by the program's clock.   seconds: how long it took; 0 for a moment.
    lane: where.   ops: the nodes that it is about, in the order in which they ran.
    ready, sent: seconds since the epoch at which the nodes waited for nothing any more, and left the caller; 0.0 where
    nothing is known of it.   back: when the caller had the results; 0.0 where they did not travel.
    bytes_in, bytes_out: of the values that it took and made.   attempt: 1 for the first try.
    packing: seconds of it, or beside it, that values took to be pickled and unpickled.   text: what else is to be said.
    plan: of "planned" the plan (`scheduler.plan.plan.Plan`); None for a run without one, and for a shared session's.
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
        """Seconds since the epoch at which it was over."""
        return self.start + self.seconds
