"""Recovery: what a session does when values of its variables were lost with a machine.

Values held by the caller, and those that a process returned, survive the death of any process but the caller's. A large
value on another machine is lost with it, unless there is a
replica    a second copy on another machine, made before the commit (`ConfigProto(replicas=2)`), or a
saved      value of that very version in the session's last checkpoint.
Otherwise the whole session goes back to its last checkpoint and says so. Without a checkpoint, it names what is lost.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

from weftwork.graph.errors import AbortedError, DataLossError
from weftwork.graph.operation import Operation
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.machines import inventory, objects
from weftwork.scheduler.state.autosave import Autosave
from weftwork.scheduler.state.mirror import Cell, Mirror


class Recovery:
    """Repairs the variables of one session."""

    def __init__(self, mirror: Mirror, autosave: Autosave, replicas: int):
        self._mirror, self._autosave = mirror, autosave
        self._replicas = replicas
        self._cluster: Any = None
        """The machines at the time when every large value was known to have its copies."""

    def replicas_of(self, values: Iterable[tuple[Cell, Any]]) -> dict[Cell, list]:
        """Make the copies of the large values that a run is about to commit, on other machines."""
        if self._replicas < 2 or inventory.machine_count() < 2:
            return {}
        committing = dict(values)
        self._restore_copies(committing)
        return {
            cell: objects.copies(value, self._replicas - 1)
            for cell, value in committing.items()
            if objects.is_reference(value)
        }

    def _restore_copies(self, committing: Container[Cell]) -> None:
        """After machines have joined or left, copy values that are on too few of them and are not about to change.

        It takes no locks, because its run holds some already. A value that changes meanwhile is left alone.
        """
        cluster = inventory.cluster()
        if cluster == self._cluster:
            return
        for cell in self._mirror.cells():
            with self._mirror.mutex:
                value, version, replicas = cell.value, cell.version, cell.replicas
            if cell in committing or not objects.is_reference(value):
                continue
            living = [each for each in (value, *replicas) if objects.lie_on([each])]
            if not living:
                continue  # reading it will report the loss
            if len(objects.lie_on(living)) < self._replicas:
                living += objects.copies(living[0], self._replicas - 1)
            with self._mirror.mutex:
                if cell.version == version:
                    cell.value, cell.replicas = living[0], living[1:]
        self._cluster = cluster

    def repair(self, flow: Dataflow) -> None:
        """Repair the variables that a dataflow reads. Raises AbortedError or DataLossError if that is impossible."""
        cells = [self._mirror.cell(name) for name in {**flow.pinned, **flow.newest}]
        suspects = [cell for cell in cells if objects.is_reference(cell.value)]
        lost = [cell for cell in suspects if objects.is_lost(cell.value)]
        lost = [cell for cell in lost if not (self._from_replica(cell) or self._from_checkpoint(cell))]
        if not lost:
            return
        ops = [flow.variables[cell.name] for cell in lost]
        prefix = self._autosave.roll_back()
        if prefix is None:
            raise DataLossError(
                None,
                ops[0],
                f"The values of {_named(ops)} were lost with the machine that held them. ConfigProto(replicas=2) keeps "
                "a copy on a second machine, checkpoint_dir one on disk. Assign them again to go on.",
            )
        raise AbortedError(
            None,
            ops[0],
            f"The values of {_named(ops)} were lost with the machine that held them; the session has gone back to the "
            f"checkpoint {prefix}, and what was committed after it is undone.",
        )

    def _from_replica(self, cell: Cell) -> bool:
        """Use a copy on another machine, if there is one."""
        with self._mirror.owned([cell]), self._mirror.mutex:
            for reference in cell.replicas:
                if not objects.is_lost(reference):
                    cell.value, cell.reference = reference, None
                    return True
        return False

    def _from_checkpoint(self, cell: Cell) -> bool:
        """Use the checkpoint's value, if its version is the right one."""
        value = self._autosave.saved(cell)
        if value is None:
            return False
        with self._mirror.owned([cell]), self._mirror.mutex:
            cell.value, cell.reference = value, None
        return True


def _named(ops: list[Operation]) -> str:
    return ", ".join(op.defined_at for op in ops)
