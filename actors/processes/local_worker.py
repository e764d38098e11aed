"""Local worker: a process that serves one program, run after run. It runs a slot of a plan, or batches of shared nodes.

slot      the process's number in the transport; the program is slot 0

A run needs only a few messages. Values between slots go directly from process to process.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections import deque
from contextlib import suppress
from time import monotonic, perf_counter, sleep
from typing import Any

from weftwork.actors.processes.batches import Batch, Kept
from weftwork.actors.processes.exchange import ProcessExchange, Unsendable, read
from weftwork.actors.processes.messages import Request, Watch, describe, pack_parts, unpack_parts
from weftwork.actors.processes.replay import tell_inputs
from weftwork.actors.processes.transport import Gone, Transport, is_left
from weftwork.actors.processes.worker import RUNNERS, ProgramMissing, Programs, call, stops_with
from weftwork.actors.programs.ambient import PLACE, Unknown
from weftwork.actors.programs.numbers import raised
from weftwork.actors.programs.output import RECORDER
from weftwork.actors.programs.program import StepFailed, Stopped
from weftwork.actors.programs.stack import step_of
from weftwork.graph.kernels.team import limit

_STOP_CHECK_SECONDS = 5e-3
"""Seconds between two checks for a stop while a program runs."""
_PARENT_ENDS_WITHIN = 10.0
"""Seconds that the program may take to end once it has closed this process's input: it may have much memory to free."""
_PARENT_CHECK_SECONDS = 2.0
"""Seconds between two checks that the program is alive, in case its pipe does not show it."""
_LONG_LOAD = 0.1
"""Seconds from which a batch is not awaited that the caller can do without: its functions import large modules, say."""


class _Stop:
    """Stands in for a program's stop list: true once the caller has asked for a stop. Looking receives messages."""

    def __init__(self):
        self.exchange: Any = None
        self.requested = False
        self._due = 0.0

    def __bool__(self) -> bool:
        if not self.requested and (now := monotonic()) > self._due:
            self._due = now + _STOP_CHECK_SECONDS
            self.exchange.look(0)
        return self.requested


class _Exchange(ProcessExchange):
    """A local worker's end of a run's exchange.

    shares: the run is shared out, so nothing is needed from other workers, and their death does not matter.
    """

    gone = False
    """True once the caller is gone."""

    def __init__(self, transport: Transport, number: int, stop: _Stop, pending: deque, shares: bool = False):
        super().__init__(transport, number, stop)
        self._pending, self._shares = pending, shares

    def receive(self, slot: int, message: list | None) -> None:
        """React to the end of the run, or to the death of a process that this one may depend on."""
        if message is None and slot != 0 and self._shares:
            return
        if message is None or message == ["stop", self.number]:
            self.stop.requested = True
            self.gone = self.gone or (message is None and slot == 0)

    def look(self, seconds: float | None) -> None:
        """Handle the next message, waiting at most `seconds`. A new batch is put off until the current one is done."""
        came = self.transport.next(seconds)
        if came is not None:
            slot, parts = came
            message = None if parts is None else read(parts)
            if message is not None and message[0] == "share":
                self._pending.append(parts)
            else:
                self.take(slot, message)


class _Loading:
    """The time in which a batch is loaded. If it takes long, the caller is told, and takes the batch back."""

    def __init__(self, transport: Transport, run: int, patient: bool):
        """patient: the caller waits however long it takes."""
        self._transport, self._run = transport, run
        self._lock, self._is_over, self._is_long = threading.Lock(), patient, False
        self._timer = None if patient else threading.Timer(_LONG_LOAD, self._tell)
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def _tell(self) -> None:
        with self._lock:
            if not self._is_over:
                self._is_long = True
                with suppress(Gone):  # which the worker will notice
                    self._transport.send(0, pack_parts(["loading", self._run]))

    def ends(self) -> bool:
        """Note that the batch is loaded. Returns whether it is still to run here."""
        with self._lock:
            self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        return not self._is_long


class LocalWorker:
    """The process of one slot."""

    def __init__(self):
        self._programs = Programs()
        self._kept = Kept()
        self._run = 0
        """Number of the run whose values are held."""
        self._values: dict[int, Any] = {}
        self._pending: deque = deque()
        """Batches that arrived while another one was running."""
        self._stop = _Stop()
        self._skips = False
        """Whether batches are skipped: the caller has taken them back, because one has taken long to load."""

    def serve(self, folder: str, slot: int) -> None:
        """Serve the caller, slot 0, until it is gone."""
        transport = Transport(folder, slot)
        transport.send(0, pack_parts(["up", os.getpid()]))
        early: list[tuple[int, list]] = []
        while self._take(transport, *self._next(transport), early):
            pass

    def _next(self, transport: Transport) -> tuple[int, list | None]:
        """The next message, and the slot that sent it."""
        return (0, self._pending.popleft()) if self._pending else transport.next(None) or (0, [])

    def _take(self, transport: Transport, sender: int, parts: list | None, early: list[tuple[int, list]]) -> bool:
        """Handle a message. Returns False once the caller is gone. Nothing of the message outlives this call."""
        if not parts:
            return parts is not None or sender != 0
        watch = Watch()
        try:
            message = unpack_parts(parts)
        except Exception as error:  # a value does not unpickle here
            transport.send(0, pack_parts(["unfit", None, *describe(error)]))
            return True
        if message[0] == "value":  # of a run that has started in another slot first
            early.append((sender, message))
        elif message[0] == "share" and self._skips:
            pass
        elif message[0] == "share":
            return self._share(transport, *message[1:], content=parts[1:], watch=watch)
        elif message[0] == "forget":
            self._forget()
        elif message[0] == "resume":
            self._skips = False
            transport.send(0, pack_parts(["up", os.getpid()]))
        elif message[0] == "run":
            self._forget()
            stop = _Stop()
            exchange = stop.exchange = _Exchange(transport, message[1], stop, self._pending)
            for each in early:
                exchange.take(*each)
            early.clear()
            request, first = message[2], 1 + sum(message[2].beside)
            request.take_blocks(parts[1:first])
            reply = self._perform(request, parts[first:], exchange, watch)
            if exchange.gone:
                return False
            transport.send(0, reply)
        return True

    # A slot of a plan

    def _perform(self, request: Request, inputs: list, exchange: _Exchange, watch: Watch) -> list:
        """Run a program on packed inputs and return the reply. Recorded output is sent before it."""
        with RECORDER.listening() as said:
            reply = self._reply_of(request, inputs, exchange, said, watch)
            RECORDER.gather()
        changed = self._programs.end(request.program)
        if changed:
            return pack_parts(["wrote", exchange.number, changed])
        if said:
            exchange.transport.send(0, pack_parts(["said", exchange.number, said]))
        return reply

    def _reply_of(self, request: Request, inputs: list, exchange: _Exchange, said: list, watch: Watch) -> list:
        number = exchange.number
        try:
            loads = perf_counter()
            PLACE.enter(*request.around)
            program = self._programs.get(request)
            watch.loaded(loads)
        except (ProgramMissing, Unknown):
            return pack_parts(["missing", number])
        except Exception as error:  # the code does not unpickle here: a package is missing, say
            return pack_parts(["unfit", number, *describe(error)])
        said.clear()
        try:
            values = [exchange, *unpack_parts(inputs)]
        except Exception as error:  # a value does not unpickle here
            return pack_parts(["unfit", number, *describe(error)])
        watch.unpacked()
        try:
            outputs, measured = call(program, values, exchange.stop, request, watch)
        except (Stopped, Gone) as stopped:
            return pack_parts(["stopped", number, step_of(stopped), watch.leaves()])
        except StepFailed as failed:
            cause = failed.__cause__ or failed
            if isinstance(cause, Gone):
                return pack_parts(["stopped", number, failed.step, watch.leaves()])
            kind = "unfit" if isinstance(cause, Unsendable) else "failed"
            inputs = tell_inputs(failed, values)
            return pack_parts([kind, number, *describe(cause), failed.step, inputs, watch.leaves(), failed.measured])
        try:
            return pack_parts(["done", number, outputs, watch.leaves(), *measured])
        except Exception as error:
            return pack_parts(["unfit", number, *describe(error)])

    # Shared nodes

    def _share(
        self,
        transport: Transport,
        run: int,
        batch: int,
        dropped: list,
        clear: bool,
        probe: bool,
        patient: bool,
        inner: frozenset[int],
        around: tuple,
        content: list,
        watch: Watch,
    ) -> bool:
        """Run a batch and send the reply. Returns False once the caller is gone."""
        if run != self._run:
            self._forget()
            self._run, self._stop = run, _Stop()
            self._stop.exchange = _Exchange(transport, run, self._stop, self._pending, shares=True)
            stops_with(self._stop)
        if clear:
            self._kept.clear()
        for number in dropped:
            self._values.pop(number, None)
        running = Batch(self._kept, self._values, self._stop, inner=inner)
        loading = _Loading(transport, run, patient)
        with suppress(Unknown), RECORDER.listening() as heard:
            loads = perf_counter()
            PLACE.enter(*around)
            watch.loaded(loads)
            running.run(content, heard, watch, probe, loaded=loading.ends)
        if self._stop.exchange.gone:
            return False
        if not loading.ends():
            self._forget()
            self._skips = True
            return True
        transport.send(0, running.reply(["shared", run, batch], pack_parts, watch))
        return True

    def _forget(self) -> None:
        self._run = 0
        self._values.clear()


RUNNERS.add(LocalWorker._reply_of.__code__)


def main(folder: str, slot: int) -> None:
    """Run the worker process until the program is gone."""
    parent = os.getppid()
    threading.Thread(
        target=_end_with_parent, args=(parent, _detach_input(), folder), name="weftwork-end", daemon=True
    ).start()
    limit(1)
    with suppress(Gone, OSError):
        LocalWorker().serve(folder, slot)
    sys.stdout.flush()
    _end(folder, parent)


def _end_with_parent(parent: int, life: int, folder: str) -> None:
    """End this process once its standard input is closed, which happens when the program ends."""
    poll = select.poll()
    poll.register(life, select.POLLIN | select.POLLHUP)
    while os.getppid() == parent and not poll.poll(_PARENT_CHECK_SECONDS * 1000):
        pass
    _end(folder, parent)


def _detach_input() -> int:
    """Replace standard input by /dev/null, so that functions do not wait for it. Returns the old descriptor."""
    was, nothing = raised(os.dup(0)), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return was


def _end(folder: str, parent: int) -> None:
    """Kill this process, and what functions have left behind; and remove the folder if the program could not."""
    end = monotonic() + _PARENT_ENDS_WITHIN
    while os.getppid() == parent and monotonic() < end:  # it closes its files one by one
        sleep(0.01)
    with suppress(OSError):  # another worker removes it as well
        if is_left(folder):
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))
            os.rmdir(folder)
    if os.getpgrp() == os.getpid():  # else a function forked, and this is its child
        os.killpg(0, signal.SIGKILL)
    os._exit(0)
