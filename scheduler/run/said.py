"""Said: output of nodes in other processes (prints, logs, warnings), repeated here before their run returns.

In the graphs of doors, that of a node is repeated before anybody gets its result.
Retries come the same way. They are reported as events, with the time and the process of the failed call.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from weftwork.actors.programs.output import replay
from weftwork.graph.operation import Operation
from weftwork.scheduler.events.clock import OFFSETS
from weftwork.scheduler.events.event import Lane
from weftwork.scheduler.machines import inventory


def heard(run: Any, place: str, ops: Sequence[Operation], events: list, owners: Sequence[int] = ()) -> None:
    """Note what nodes said in another process.

    place: the kind of process.   owners: the node of each step of their program, if it has several nodes.
    """
    for event in events:
        kind, content, step = event
        op = ops[0] if step is None or not owners or owners[step] < 0 else run.flow.ops[owners[step]]
        if kind == "retried":
            _tell_retry(run, place, op, *content)
        run.said.append((op.index, event))


def _tell_retry(
    run: Any, place: str, op: Operation, attempt: int, text: str, when: float, machine: str, pid: int, thread: int
) -> None:
    """Report a retry in another process. when: by its clock; unknown before the first message from its machine."""
    offset = OFFSETS.of(machine)
    start = None if offset is None else when + offset
    where = Lane(place, inventory.address_of(machine), pid, thread)
    run.teller().tell("retried", start, lane=where, ops=(op,), attempt=attempt, text=text)


def speak(run: Any) -> None:
    """Repeat what was said, in creation order of the nodes."""
    said = run.said[:]
    del run.said[: len(said)]  # a nested run may add more meanwhile
    replay([event for _, event in sorted(said, key=itemgetter(0))])


def speak_early(run: Any, outside: Any) -> None:
    """In a graph of a door, repeat what nodes said before anybody gets their results.

    outside: a context without the locks of the run, because handlers are the user's code.
    """
    if run.said and run.flow.ops[0].graph.once:
        with outside:
            speak(run)
