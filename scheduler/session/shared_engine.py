"""SharedEngine: the engine's interface for a session whose engine is a `Host`, in another process."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import time
from typing import Any

from weftwork.actors.processes.code import pack_code
from weftwork.actors.processes.messages import described, pack_values, unpack
from weftwork.graph.errors import AbortedError, CancelledError, OpError, UnavailableError
from weftwork.graph.graph import Graph
from weftwork.scheduler.core.ending import cancel_at_end
from weftwork.scheduler.core.engine import CLOSED, FORKED
from weftwork.scheduler.events.stream import Stream
from weftwork.scheduler.machines import backend
from weftwork.scheduler.machines import host_actors as hosts
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.plan.explain import Explanation
from weftwork.scheduler.plan.signatures import Signature, Signatures
from weftwork.scheduler.run.waiting import Waiting
from weftwork.scheduler.session.cluster import Task
from weftwork.scheduler.session.far_events import PackedEvents, RemoteRun
from weftwork.scheduler.session.host import HostRequest, Reports
from weftwork.scheduler.session.sendable import SendableGraph, check_values
from weftwork.scheduler.state.mirror import Mirror
from weftwork.scheduler.views.metadata import Metadata, Wanted


class _Remote:
    """A run that the host executes, for those who may cancel it."""

    def __init__(self, ask: Callable[[], bool]):
        self._ask = ask

    def cancel(self) -> bool:
        """Cancel, like `Run.cancel`. If the host is gone, the run counts as cancelled."""
        try:
            return self._ask()
        except backend.WorkerLost:
            return True


class _HostedSignatures(Signatures):
    """The signatures of a shared session. The host prepares them, so nothing is done here."""

    may_finish = False

    def __init__(self):
        super().__init__(Mirror(), None)

    def _prepare(self, signature: Signature) -> None:
        """Do nothing."""


class SharedEngine:
    """The engine's interface for a session whose engine is a host in another process.

    ran: for each place, the number of segments and nodes of this session's runs.   ends: the host ends with this
    session.
    task_options: the session's task of the host's cluster, and whether its nodes are placed softly; or None.
    """

    def __init__(self, host: Any, graph: Graph, ends: bool, task_options: tuple[Task, bool] | None = None):
        self.signatures = _HostedSignatures()
        self.events = Stream()
        self.ran: dict[str, list[int]] = {}
        self.runs = 0
        self.closed, self._refusal = False, CLOSED
        self.host = host
        self._graph, self._ends, self._at = graph, ends, task_options
        self._id, self._graph_id = uuid.uuid4().hex, uuid.uuid4().hex
        self._generation = hosts.ask(host, "hello")
        self._sent = -1
        self._blocks: set[str] = set()
        """Keys of the graph's blocks that the host has."""
        self._asked: set[_Remote] = set()
        cancel_at_end(self)

    def under_way(self) -> list:
        """Like `Engine.under_way`."""
        return list(self._asked)

    def execute(
        self,
        signature: Signature,
        fed: Sequence[Any],
        timeout: float | None,
        listener: Metadata | None = None,
        started: Any = None,
    ) -> list:
        """Like `Engine.execute`. Raises UnavailableError if the host is gone, AbortedError if it was reset."""
        run = uuid.uuid4().hex
        remote = _Remote(lambda: hosts.ask(self.host, "cancel", self._id, run))
        if started is not None:
            started(remote)
        wanted, sent = Wanted() if listener is None else listener.wanted, time()
        heard, far = (self.events.is_heard, self.events.wants_nodes), RemoteRun(self.events, self._graph)
        self._asked.add(remote)
        if heard[0]:
            borrow(1)[0].put(lambda: far.follow(lambda first: self._events_since(run, first)))
        try:
            error, rest = self._ask("run", signature, fed, run=run, timeout=timeout, wanted=wanted, heard=heard)
        finally:
            self._asked.discard(remote)
            far.end()
        if error is not None:
            _report(rest[0], sent, far, listener)
            raise error
        ran, reports, *fetched = rest
        self.runs += 1
        for place, *counts in ran:
            self.ran[place] = [a + b for a, b in zip(self.ran.get(place, (0, 0)), counts, strict=True)]
        if reports is not None:
            _report(unpack(reports), sent, far, listener)
        return fetched

    def _events_since(self, run: str, first: int) -> PackedEvents | None:
        """The events of an active run from number `first` on. Raises WorkerLost."""
        packed = hosts.ask(self.host, "events_since", run, first)
        return None if packed is None else unpack(packed)

    def explain(self, signature: Signature, fed: Sequence[Any]) -> Explanation:
        """The plan that the host would use. Raises like `execute`."""
        error, rest = self._ask("explain", signature, fed)
        if error is not None:
            raise error
        return rest[0]

    def waiting(self) -> list[Waiting]:
        """What this session's runs wait for at the host. Raises UnavailableError if the host is gone."""
        if not self._asked:
            return []
        try:
            return hosts.ask(self.host, "waiting", self._id)
        except backend.WorkerLost as error:
            raise _gone(error) from error

    def _ask(self, method: str, signature: Signature, fed: Sequence[Any], **more: Any) -> tuple[Exception | None, list]:
        """Send a request to the host. Returns the error, if it failed, and the rest of the reply.

        The graph is sent along if it has grown. Raises RuntimeError if the session is closed.
        """
        if self.closed:
            raise RuntimeError(self._refusal)
        names = tuple([element.name for element in signature.fetches.elements])
        asked = HostRequest(
            self._id,
            self._generation,
            self._graph_id,
            names,
            tuple([tensor.name for tensor in signature.fed]),
            _packed(signature, fed),
            ran=tuple(sorted([op.name for op in signature.ran])),
            task_options=self._at,
            **more,
        )
        flat = None
        while True:
            version = self._graph.version
            if version > self._sent:
                flat = self._flat()
            message = pickle.dumps(asked._replace(version=version, flat=flat), protocol=5)
            try:
                kind, *rest = unpack(hosts.ask(self.host, method, message))
            except backend.WorkerLost as error:
                raise _gone(error) from error
            if kind == "graph":
                self._sent = -1
                self._blocks.clear()
                continue
            if kind == "reset":
                raise AbortedError(None, None, "The shared session was reset, which has closed this one.")
            self._sent = version
            if kind == "done":
                return None, rest
            bare, text, reports = rest
            error: Any = described(bare, text)
            if self.closed and isinstance(error, CancelledError):
                error = CancelledError(None, None, "Step was cancelled by an explicit call to `Session::Close()`.")
            return self._with_operation(error), [reports]

    def _flat(self) -> tuple[bytes, list[str], list[bytes | None]]:
        """The graph as code, and its blocks. Each block is sent to the host once."""
        try:
            code, blocks = pack_code(self._graph)
        except Exception:  # runs that do not need what cannot be sent go on
            code, blocks = pack_code(SendableGraph(self._graph))
        came = [None if key in self._blocks else bytes(data) for key, data in blocks]
        self._blocks.update([key for key, _ in blocks])
        return code, [key for key, _ in blocks], came

    def _with_operation(self, error: Exception) -> Exception:
        """Attach this process's operation to an error of the host's."""
        name = getattr(getattr(error, "op", None), "name", None)
        if isinstance(error, OpError) and name is not None:
            with suppress(KeyError):  # it may be a part of an operation, which is in no graph
                error._op = self._graph.get_operation_by_name(name)
        return error

    def cancel_all(self, grace: float, bound: float) -> None:
        """Cancel this session's runs at the host."""
        if self._refusal is FORKED:
            return
        self.closed = True
        hosts.tell(self.host, "cancel", self._id)

    def belong_to_parent(self) -> None:
        """Like `Engine.belong_to_parent`. The host goes on with the parent's runs, and ends with the parent."""
        self.closed, self._refusal = True, FORKED
        self._ends = False
        self._asked.clear()

    def close(self) -> None:
        """Leave the host. If it was created for the lifetime of this session, end it."""
        if self._ends:
            hosts.end_host(self.host)


def _packed(signature: Signature, fed: Sequence[Any]) -> bytes:
    try:
        return pack_values(list(fed))
    except Exception:
        check_values(signature.fed, fed, "fed for")
        raise


def _report(reports: Reports, sent: float, far: RemoteRun, listener: Metadata | None) -> None:
    """Report the events and metadata that came with the reply of a run."""
    events, metadata = reports
    if events is not None:
        far.take(events, sent)
    if listener is not None and metadata is not None:
        listener.take(metadata)


def _gone(error: backend.WorkerLost) -> UnavailableError:
    return UnavailableError(None, None, f"The process of the shared session is gone: {error}")
