"""Inputs: the values that nodes of a run take in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weftwork.actors.processes.worker import as_input
from weftwork.scheduler.machines.backend import Reference
from weftwork.scheduler.run.failures import fetch_output


def inputs_here(run: Any, numbers: Sequence[int], users: bool, mapped: list) -> list:
    """The values with these numbers, fetched if they are in Ray's store.

    Users' functions read frames in the store: these are put into `mapped`, to be held while the nodes run, which get
    lazy copies. But a function that changes state may keep its frame for longer: where the run has one, frames are
    copied; also for nodes of the library, which may pass them on.   users: whether only users' functions take them.
    """
    found, values, lazily = [], run.values, users and not run.flow.bound
    for number in numbers:
        value = values[number]
        if type(value) is Reference:
            known = len(mapped)
            value = as_input(fetch_output(run, number, value, lazily), mapped)
            if len(mapped) == known:
                values[number] = value
        found.append(value)
    return found
