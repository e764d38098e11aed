"""Batches: nodes of a shared-out run that a process runs one after another, be it a local worker or a Ray task.

row       a node: its kernel's token, attributes, and the numbers of its inputs and outputs
token     stands for a kernel that was sent before
visit     successive calls of one kernel

If a batch ends early, what its finished nodes have made is kept, so they need not run again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from time import perf_counter
from typing import Any, NamedTuple

from weftwork.actors.processes.code import LARGE, BlockMissing, unpack_code
from weftwork.actors.processes.messages import (
    Request,
    Watch,
    check_pickles,
    describe,
    pack_values,
    unpack,
    unpack_parts,
    unwrap,
    wrap,
)
from weftwork.actors.processes.ticker import Ticker
from weftwork.actors.processes.worker import HEARTBEAT, RUNNERS, as_input, run_segment, stopping_after, stops_with
from weftwork.actors.programs.ambient import PLACE
from weftwork.actors.programs.bodies import Control
from weftwork.actors.programs.carried import Carried
from weftwork.actors.programs.float_errors import quiet, turn
from weftwork.actors.programs.lru import Lru
from weftwork.actors.programs.output import RECORDER
from weftwork.actors.programs.program import Stopped, spread
from weftwork.actors.programs.sizes import size_of
from weftwork.graph.kernels.team import limit
from weftwork.graph.python.forks import children_end
from weftwork.graph.python.lending import all_lent
from weftwork.graph.stacks import working

_VISIT, _LOOKS = 1e-3, 0.02
"""Minimum seconds for which calls of a function go on before its captured state is looked at, and the maximum fraction
of the time that looking takes."""
_MOST_KERNELS = 256
"""Most kernels that a task's process keeps. Beyond that, it forgets all of them."""
FLOWS = 64
"""Number of dataflows whose rows are remembered."""


class Report(NamedTuple):
    """What has come of a batch, as its sender gets it.

    end: why it ended early, with details; None if it did not.   made: the result of each node that has finished.
    costs: of these: start, seconds, bytes of inputs and of outputs, and whether they hold the GIL (None: unknown).
    said: the recorded output of nodes, as (node, events).   ran: a `Ran`, as a plain tuple.
    """

    end: tuple | None
    made: list = []
    costs: list = []
    said: list = []
    ran: tuple = ()


class _Visit:
    """Successive calls of one kernel. The state that it captures is set before them, and checked after them.

    That takes some 15 to 30 us, more for a large state, so short calls share it. If one of them has changed the state,
    none of them counts.
    changed: the numbers of the functions that have changed theirs.   first: the number of nodes before the visit.
    """

    def __init__(self):
        self.changed: list[int] = []
        self.token, self.first = 0, 0
        self._carried: Carried | None = None
        self._until, self._looked = 0.0, 0.0

    def enter(self, token: int, carried: Carried | None, first: int) -> None:
        """Before each call."""
        if carried is self._carried and (carried is None or perf_counter() < self._until):
            return
        self.leave()
        if carried is not None and not self.changed:
            began = perf_counter()
            carried.arrive()
            self._carried, self.token, self.first = carried, token, first
            now = perf_counter()
            self._until = now + max(_VISIT, (self._looked + now - began) / _LOOKS)

    def leave(self) -> None:
        """After the last call."""
        carried, self._carried = self._carried, None
        if carried is not None:
            began = perf_counter()
            self.changed = carried.changed()
            self._looked = perf_counter() - began


class Kept:
    """What a process keeps from one batch to the next."""

    def __init__(self):
        self.kernels: dict[int, tuple] = {}
        """By token: the kernel, the state that its functions capture, and whether it is a user's."""
        self.rows: Lru[str, dict[int, Any]] = Lru(FLOWS)
        """By dataflow: its rows, by node, and its constants, by the complements of their numbers."""
        self.picklable: set[tuple[int, type]] = set()
        """Types of results that have pickled, with the tokens of their kernels."""
        self.ticker = Ticker()

    def clear(self) -> None:
        """Forget all of it."""
        self.kernels.clear()
        self.picklable.clear()
        self.ticker.forget()
        self.rows.clear()


class Batch:
    """One batch in the process that runs it."""

    def __init__(
        self,
        kept: Kept,
        values: dict[int, Any],
        stop: Any,
        separate: Sequence[int] = (),
        inner: frozenset[int] = frozenset(),
    ):
        """values: those that are here, by number; the batch adds its own.   stop: see `Program`.

        separate: the numbers of values that do not go with the report.   inner: of those that only its own nodes read.
        """
        self._kept, self._values, self._stop, self._separate, self._inner = kept, values, stop, separate, inner
        self._rows: list[tuple] = []
        self._end: tuple | None = ("missing",)
        self._costs: list[tuple] = []
        self._said: list[tuple] = []

    def run(
        self,
        content: list,
        heard: list,
        watch: Watch,
        probe: bool = False,
        arrived: Sequence[Any] = (),
        loaded: Callable[[], bool] = lambda: True,
    ) -> None:
        """Run the nodes that the parts `content` describe.

        heard: the live recording of output.   probe: find out whether the kernels hold the GIL.   arrived: what came
        beside the message, to which the kernels' code may refer by position.   loaded: called before the first node;
        False if none is to run any more.
        """
        self._end = self._unpack(content, arrived, watch)
        if self._end is not None or not loaded():
            return
        visit, ticker = _Visit(), self._kept.ticker
        if probe:
            ticker.start()
        with children_end(), working(), quiet(), ticker.looking() if probe else nullcontext():
            self._end = self._calls(visit, heard, probe)
            visit.leave()
        ticker.stop()
        RECORDER.gather()
        if heard and self._rows:
            self._said.append((self._rows[min(len(self._costs), len(self._rows) - 1)][0], heard[:]))
        if visit.changed:
            del self._kept.kernels[visit.token]
            self._end_before(visit.first, "wrote", visit.changed)

    def reply(self, head: list, pack: Callable[[list], Any], watch: Watch) -> Any:
        """What `pack` makes of `head` and the batch's report.

        A result that does not pickle ends the batch before the node that made it.
        """
        try:
            return pack([*head, *self._report(watch)])
        except Exception:
            for at, result in enumerate(self._results()):
                try:
                    pack([result])
                except Exception as error:
                    self._end_before(at, "unsendable", *describe(error))
                    return pack([*head, *self._report(watch)])
            raise

    def stored(self, given: dict[int, Any]) -> tuple[dict[int, Any], dict[int, tuple[int, int | None]]]:
        """The separate values, as they go to Ray's store; and the bytes of each, and the number of the value that it is
        identical to, or None.   given: the values that came from the store.
        """
        wrapped, sizes = {}, {}
        for at, row in enumerate(self._rows[: len(self._costs)]):
            for number in [number for number in row[4] if number in self._separate]:
                value = self._values[number]
                same = next((other for other, one in given.items() if one is value), None)
                try:
                    wrapped[number] = None if same is not None else wrap(value)
                except Exception as error:
                    self._end_before(at, "unsendable", *describe(error))
                    return wrapped, sizes
                sizes[number] = size_of(value), same
        return wrapped, sizes

    def _report(self, watch: Watch) -> Report:
        return Report(self._end, self._results(), self._costs, self._said, watch.leaves())

    def _results(self) -> list:
        """The results of the nodes that are done, with None for values that nobody needs, or that are separate."""
        done, values = len(self._costs), self._values
        needed = [number for row in self._rows[done:] for number in row[3]] if self._inner else ()
        out = self._inner.difference(needed).union(self._separate)
        rows = [[None if number in out else values[number] for number in row[4]] for row in self._rows[:done]]
        return [row[0] if len(row) == 1 else tuple(row) for row in rows]

    def _end_before(self, at: int, *why: Any) -> None:
        """End before the node at this position. What it and the nodes after it have made does not count."""
        self._end = why
        del self._costs[at:]

    def _unpack(self, content: list, arrived: Sequence[Any], watch: Watch) -> tuple | None:
        """Unpack rows, kernels and values. Returns why that fails, or None."""
        try:
            flow, code, rows, given, constants = unpack_parts(content)
        except Exception as error:  # a value does not unpickle here
            return "unreadable", -1, *describe(error)
        self._values.update(given)
        if code and (end := self._load(code, arrived, watch)) is not None:
            return end
        known = self._kept.rows.find(flow) if flow else {}  # else the graph runs once
        if known is None:
            known = self._kept.rows.keep(flow, {})
        known.update([(row[0], row) for row in rows if type(row) is tuple])
        known.update(constants)
        try:
            self._rows = [known[row] if type(row) is int else row for row in rows]
        except KeyError:
            return ("missing",)
        for row in self._rows:
            self._values.update([(number, known[~number]) for number in row[3] if ~number in known])
        watch.unpacked()
        return None

    def _load(self, code: list, arrived: Sequence[Any], watch: Watch) -> tuple | None:
        """Load kernels. Returns why that fails, or None."""
        loads = perf_counter()
        for token, text, keys, came in code:
            if token in self._kept.kernels:
                continue
            try:
                text = arrived[text].data if type(text) is int else text
                came = [arrived[data] if type(data) is int else data for data in came]
                self._kept.kernels[token] = unpack_code(text, keys, came)
            except BlockMissing:
                return ("missing",)
            except Exception as error:  # a package is missing here, say
                return "unreadable", token, *describe(error)
        watch.loaded(loads)
        return None

    def _calls(self, visit: _Visit, heard: list, probe: bool) -> tuple | None:
        """Call the nodes. Returns why that ended early, or None."""
        heard.clear()  # output of module imports has appeared in the program already
        kernels, values = self._kept.kernels, self._values
        try:
            for row in self._rows:
                if self._stop:
                    return ("stopped",)
                if row[1] not in kernels or not all([number in values for number in row[3]]):
                    return ("missing",)  # it was in a batch that could not be read
                visit.enter(row[1], kernels[row[1]][1], len(self._costs))
                if visit.changed:
                    break
                self._call(row, probe)
                if heard:
                    self._said.append((row[0], heard[:]))
                    heard.clear()
                if (why := self._unsendable(row)) is not None:
                    del self._costs[-1]
                    return "unsendable", *why
                if self._inner:
                    self._free(row, visit)
        except Stopped:
            return ("stopped",)
        except BaseException as error:
            return "failed", *describe(error)
        return None

    def _call(self, row: tuple, probe: bool) -> None:
        """Call one node."""
        _, token, attrs, takes, makes = row
        values, ticker = self._values, self._kept.ticker
        args = [values[number] for number in takes]
        kernel, _, users = self._kept.kernels[token]
        if users and args:  # the same inputs must be left if the node has to be retried elsewhere
            args = all_lent(args, getattr(kernel, "kernel", kernel).reads)
        before = ticker.read() if probe else None
        start = perf_counter()
        turn(users)
        result = kernel(*([self._stop, *args] if isinstance(kernel, Control) else args), **attrs)
        seconds = perf_counter() - start
        gil = None
        if before is not None:
            gil = ticker.verdict(token, seconds, ticker.read().since(before))
        if len(makes) == 1:
            values[makes[0]] = result
            size = size_of(result)
        else:
            spread(values, makes, result)
            size = sum(map(size_of, result))
        self._costs.append((start, seconds, sum(map(size_of, args)), size, gil))

    def _unsendable(self, row: tuple) -> tuple | None:
        """Why a result does not pickle, before others run in vain. Only the first one of its kind is looked at here."""
        kinds = self._kept.picklable
        try:
            for number in row[4]:
                value = self._values[number]
                if (row[1], type(value)) not in kinds and number not in self._inner:
                    check_pickles(value)
                    kinds.add((row[1], type(value)))
        except Exception as error:
            return describe(error)
        return None

    def _free(self, row: tuple, visit: _Visit) -> None:
        """Free large values that only the batch's nodes read, after the last one, unless that may have to run again."""
        values, done = self._values, len(self._costs)
        large = [number for number in self._inner.intersection(row[3]) if size_of(values[number]) >= LARGE]
        if large:
            visit.leave()
            with suppress(Exception):
                check_pickles([values.get(number) for other in self._rows[:done] for number in other[4]])
                later = [number for other in self._rows[done:] for number in other[3]]
                for number in set(large).difference(later) if not visit.changed else ():
                    del values[number]


RUNNERS.add(Batch._call.__code__)


# In tasks

_KEPT = Kept()


def run_message(message: bytes, *arrived: Any) -> Any:
    """Run a segment, or a batch: the function of every Ray task."""
    watch = Watch()
    request = unpack(message)
    limit(1)  # other tasks run at the same time
    PLACE.keep_own()
    with RECORDER.listening() as said:
        if isinstance(request, Request):
            reply = run_segment(request, arrived, said, watch)
        else:
            reply = _run_batch(request, arrived, said, watch)
    return reply[0] if len(reply) == 1 else tuple(reply)


def _run_batch(message: tuple, arrived: tuple, heard: list, watch: Watch) -> list:
    """Run a batch and return the reply: its sizes (see `Batch.stored`) and report, then the separate values.

    message: its token for heartbeats; the seconds that it may take, or None; the surroundings; the numbers of the
    values that have arrived, before code; of those that are return values of their own; of those that only its nodes
    read; and its content.
    """
    token, seconds, around, numbers, separate, inner, content = message
    PLACE.enter(*around)
    watch.loaded(watch.came)
    if len(_KEPT.kernels) > _MOST_KERNELS:
        _KEPT.clear()
    values: dict[int, Any] = {}
    mapped: list = []
    with HEARTBEAT.watching(token), stopping_after(seconds) as stop:
        stops_with(stop)
        batch = Batch(_KEPT, values, stop, separate, inner)
        try:
            for number, value in zip(numbers, arrived, strict=False):
                values[number] = as_input(unwrap(value, lazily=True), mapped)
        except Exception as error:  # a value does not unpickle here
            return [pack_values([{}, *Report(("unreadable", -1, *describe(error)), ran=watch.leaves())])]
        given = dict(values)
        batch.run([content], heard, watch, arrived=arrived)
    packs = perf_counter()
    stored, sizes = batch.stored(given)
    watch.packing += perf_counter() - packs
    return [batch.reply([sizes], pack_values, watch), *[stored.get(number) for number in separate]]
