"""RequestBuilder: packs the requests of a run's segments.

by value    a small value, in the message       by reference    a large one, beside the message
held        a value that the receiving actor has already: a version of a variable, or one that an earlier segment of the
            run left there (`stayed`)
"""

from __future__ import annotations

import pickle
from time import monotonic
from typing import Any

from weftwork.actors.processes.messages import Request, pack_values
from weftwork.actors.processes.worker import KEPT_BYTES
from weftwork.actors.programs.sizes import size_of
from weftwork.scheduler.machines import objects
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.plan.policy import REMOTE_BYTES
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.state.actor_link import ActorLink


class RequestBuilder:
    """Packs the requests of one run of one plan."""

    def __init__(self, run: Run, plan: Plan, measure: bool):
        self.run, self.plan, self.measure = run, plan, measure
        self.references: dict[int, Any] = {}
        self.stayed: dict[int, tuple[ActorLink, str]] = {}
        """Values that an actor keeps for later segments: its link, and their names."""

    def request(self, segment: Segment, link: ActorLink | None, token: str) -> tuple[bytes, list]:
        """A segment's request, and the references to send beside it. link: to the receiving actor, if any."""
        known = set() if link is None else link.programs
        program, code, code_reference, blocks = objects.code_of(segment.program)
        small: list = []
        beside: list[int] = []
        arrived: list = []
        held: list[tuple[int, str, int]] = []
        for position, number in enumerate(segment.inputs):
            there = None if link is None else self._held(number, link)
            reference = None if there is not None else self.reference(number)
            small.append(self.run.values[number] if there is None and reference is None else None)
            if there is not None:
                held.append((position, *there))
            elif reference is not None:
                beside.append(position)
                arrived.append(reference)
        if program in known:
            blocks = ()
        beside_code = [block.key not in known for block in blocks]
        arrived += [block.reference for block in blocks if block.key not in known]
        code_beside = code_reference is not None and program not in known
        if code_beside:
            arrived.append(code_reference)
        request = Request(
            program,
            None if program in known else code,
            pack_values(small),
            tuple(beside),
            tuple(held),
            () if link is None else self._kept_by(segment),
            () if link is None else tuple([(name, self.run.mirror.cell(name).version) for name in link.held]),
            segment.separate,
            self.seconds_left(),
            self.measure,
            code_beside,
            segment.stays,
            token,
            tuple([block.key for block in blocks]),
            tuple(beside_code),
            around=self.run.around(known if link is not None else None),
        )
        return pickle.dumps(request, protocol=5), arrived

    def _held(self, number: int, link: ActorLink) -> tuple[str, int] | None:
        """The name and version under which the actor holds a value; None if it does not."""
        name, version = self.run.version_of(number)
        if version and link.held.get(name) == version:
            return name, version
        where, name = self.stayed.get(number, (None, ""))
        return (name, 0) if where is link else None

    def _kept_by(self, segment: Segment) -> tuple[tuple[int, str, int], ...]:
        """The outputs that the actor must keep: new versions of variables, and values for later segments."""
        stays = [(position, self._name(segment.outputs[position]), 0) for position in segment.stays]
        return (*self.versions_of(segment), *stays)

    def versions_of(self, segment: Segment) -> tuple[tuple[int, str, int], ...]:
        """The outputs of a segment that are new versions: (position, variable, version)."""
        ends = {number: name for name, number in self.plan.flow.writes.items()}
        return tuple(
            [
                (position, ends[number], self.run.new_version_of(ends[number]))
                for position, number in enumerate(segment.outputs)
                if number in ends
            ]
        )

    def left(self, segment: Segment, link: ActorLink, sizes: dict[int, int]) -> None:
        """Note the values that a finished segment left with the actor, and the versions that the actor now holds.

        sizes: the bytes of the outputs in the store, by position.
        """
        for position in segment.stays:
            number = segment.outputs[position]
            self.stayed[number] = (link, self._name(number))
        for position, name, version in self.versions_of(segment):
            kept = link.home.gpu is not None or sizes.get(position, 0) <= KEPT_BYTES
            link.held[name] = version if kept else 0
            self.run.versions[segment.outputs[position]] = (name, version)

    def depends_on(self, actor: Any) -> bool:
        """True if some values of the run exist only in `actor`."""
        return any(link.actor is actor for link, _ in self.stayed.values())

    def clean(self) -> None:
        """Release the values kept in actors, once the run is over."""
        names: dict[ActorLink, list[str]] = {}
        for link, name in self.stayed.values():
            names.setdefault(link, []).append(name)
        for link, mine in names.items():
            link.drop(mine)

    def _name(self, number: int) -> str:
        return f"value {number} of run {id(self.run)}"

    def reference(self, number: int) -> Any:
        """A reference to a value that is large or not local; None for a value sent in the message."""
        value = self.run.values[number]
        if objects.is_reference(value):
            return value
        references = self.run.flow.stored if number in self.run.flow.constants else self.references
        reference = references.get(number)
        if (reference is None or reference.is_gone) and size_of(value) > REMOTE_BYTES:
            name, version = self.run.version_of(number)
            cell = self.run.mirror.cell(name) if version else None
            if (
                cell is not None
                and cell.version == version
                and cell.reference is not None
                and not cell.reference.is_gone
            ):
                reference = cell.reference
            else:
                reference = objects.put(value)
                if cell is not None:
                    self.run.mirror.stored(cell, version, reference, size_of(value) > KEPT_BYTES)
            references[number] = reference
        return reference

    def seconds_left(self) -> float | None:
        """The seconds until the run's time is over; None if it has no limit."""
        return None if self.run.deadline is None else max(0.0, self.run.deadline - monotonic())
