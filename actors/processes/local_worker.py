"""Resident: a process that works for one program and runs one slot of its sessions' plans, run after run.

A run costs it one message, its inputs, and one reply; what crosses between slots goes straight from process to process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from time import monotonic
from typing import Any

from weftwork.actors.processes.exchange import ProcessExchange, Unsendable
from weftwork.actors.processes.messages import Request, describe, pack_parts, unpack_parts
from weftwork.actors.processes.transport import Gone, Mesh
from weftwork.actors.processes.worker import ProgramMissing, Programs
from weftwork.actors.programs.program import StepFailed, Stopped, quiet
from weftwork.graph.stacks import working

_LOOKS_EVERY = 5e-3
"""Seconds between two looks, while a program runs, whether the run is to end."""


class _Stop(Sequence):
    """What a program looks at between two steps, as at a list: true once the caller has told it to stop."""

    def __init__(self):
        self.exchange: Any = None
        self.told = False
        self._due = 0.0

    def __len__(self) -> int:
        if not self.told and (now := monotonic()) > self._due:
            self._due = now + _LOOKS_EVERY
            self.exchange.look(0)
        return self.told

    def __getitem__(self, index: Any) -> str:
        return ["stop"][index]


class _Exchange(ProcessExchange):
    """A resident's end of a run's exchange."""

    gone = False
    """The caller has."""

    def told(self, slot: int, message: list | None) -> None:
        """The caller says that the run ends; or a process has gone, without which it cannot go on."""
        if message is None or message == ["stop", self.number]:
            self.stop.told = True
            self.gone = self.gone or (message is None and slot == 0)


class Resident:
    """The process in one slot."""

    def __init__(self):
        self._programs = Programs()

    def serve(self, folder: str, slot: int) -> None:
        """Run what the caller, slot 0, sends, until it goes."""
        mesh = Mesh(folder, slot)
        mesh.send(0, pack_parts(["up", os.getpid()]))
        early: list[tuple[int, list]] = []
        while self._take(mesh, *(mesh.next(None) or (0, [])), early):
            pass

    def _take(self, mesh: Mesh, sender: int, parts: list | None, early: list[tuple[int, list]]) -> bool:
        """Do what a message asks for; False once the caller has gone. Nothing of it is kept until the next one."""
        if not parts:
            return parts is not None or sender != 0
        message = unpack_parts(parts)
        if message[0] == "value":  # of a run that another slot has begun already
            early.append((sender, message))
        elif message[0] == "run":
            stop = _Stop()
            exchange = stop.exchange = _Exchange(mesh, message[1], stop)
            for each in early:
                exchange.take(*each)
            early.clear()
            request, first = message[2], 1 + sum(message[2].beside)
            request.take_blocks(parts[1:first])
            reply = self._perform(request, parts[first:], exchange)
            if exchange.gone:
                return False
            mesh.send(0, reply)
        return True

    def _perform(self, request: Request, inputs: list, exchange: _Exchange) -> list:
        """Run a program on packed inputs: the reply."""
        number = exchange.number
        try:
            program = self._programs.get(request)
        except ProgramMissing:
            return pack_parts(["missing", number])
        except Exception as error:  # its code does not load here: a package is missing, say
            return pack_parts(["unfit", number, *describe(error)])
        measured: list = []
        try:
            values = [exchange, *unpack_parts(inputs)]
            with working(), quiet():
                if request.measure:
                    outputs, *measured = program.measure(values, exchange.stop)
                else:
                    outputs = program(values, exchange.stop)
        except (Stopped, Gone):
            return pack_parts(["stopped", number])
        except StepFailed as failed:
            cause = failed.__cause__ or failed
            if isinstance(cause, Gone):
                return pack_parts(["stopped", number])
            kind = "unfit" if isinstance(cause, Unsendable) else "failed"
            return pack_parts([kind, number, *describe(cause), failed.step])
        try:
            return pack_parts(["done", number, outputs, *measured])
        except Exception as error:
            return pack_parts(["unfit", number, *describe(error)])
