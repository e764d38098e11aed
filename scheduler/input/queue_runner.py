"""QueueRunner: threads that keep a queue filled while others take from it."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from weftwork.graph import errors, stacks
from weftwork.graph.errors import (
    CancelledError,
    OpError,
    OutOfRangeError,
    error_code_from_exception_type,
    exception_type_from_error_code,
)
from weftwork.graph.graph import Graph, GraphKeys
from weftwork.graph.names import with_scope, without_scope
from weftwork.graph.operation import Operation
from weftwork.graph.protos import messages
from weftwork.graph.stacks import get_default_graph
from weftwork.scheduler.input.coordinator import Coordinator
from weftwork.scheduler.session.session import BaseSession

log = logging.getLogger("weftwork")


@cache
def _wire() -> Any:
    fields = {
        "queue_name": "1 string",
        "enqueue_op_name": "2 repeated string",
        "close_op_name": "3 string",
        "cancel_op_name": "4 string",
        "queue_closed_exception_types": "5 repeated Code",
    }
    codes = {word: number for word, number in vars(errors).items() if word.isupper() and type(number) is int}
    return messages("weftwork.queue_runner", {"QueueRunnerDef": fields, "Code": codes})["QueueRunnerDef"]


class QueueRunner:
    """Runs each of `enqueue_ops` repeatedly in a thread of its own, until there is no more data.

    close_op, cancel_op: close the queue when all threads are done, and when the coordinator stops them; by default
    `queue.close()`, without and with cancelling pending enqueues.
    queue_closed_exception_types: errors that mean "no more data"; by default OutOfRangeError.
    queue_runner_def, import_scope: as in `from_proto`, instead of all other arguments.
    Raises ValueError without a queue or operations, TypeError for invalid error types.
    """

    def __init__(
        self,
        queue: Any = None,
        enqueue_ops: Sequence[Any] | None = None,
        close_op: Any = None,
        cancel_op: Any = None,
        queue_closed_exception_types: tuple[Any, ...] | None = None,
        queue_runner_def: Any = None,
        import_scope: str | None = None,
    ):
        if queue_runner_def is not None:
            if queue is not None or enqueue_ops:
                raise ValueError("queue_runner_def and queue are mutually exclusive.")
            vars(self).update(vars(self.from_proto(queue_runner_def, import_scope)))
            return
        if queue is None or not enqueue_ops:
            raise ValueError("Must provide queue and enqueue_ops.")
        types = (OutOfRangeError,) if queue_closed_exception_types is None else queue_closed_exception_types
        if (
            not isinstance(types, tuple)
            or not types
            or not all([isinstance(t, type) and issubclass(t, OpError) for t in types])
        ):
            raise TypeError(
                "queue_closed_exception_types, when provided, must be a tuple of tf.error types, but saw: "
                f"{queue_closed_exception_types!r}"
            )
        self._queue, self._enqueue_ops = queue, list(enqueue_ops)
        self._close_op = queue.close() if close_op is None else close_op
        self._cancel_op = queue.close(cancel_pending_enqueues=True) if cancel_op is None else cancel_op
        self._queue_closed_exception_types = types
        self._lock = threading.Lock()
        self._runs_per_session: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._exceptions_raised: list[Exception] = []

    def to_flat(self) -> dict[str, Any]:
        """The runner as plain data, without references to the graph."""
        read = isinstance(self._queue, Operation)  # from a QueueRunnerDef, which only knows the operation
        return {
            "queue": (Operation, self._queue.index) if read else (type(self._queue), self._queue.to_flat()),
            "ops": [op.index for op in (*self._enqueue_ops, self._close_op, self._cancel_op)],
            "types": self._queue_closed_exception_types,
        }

    @classmethod
    def from_flat(cls, graph: Graph, flat: dict[str, Any]) -> QueueRunner:
        """The runner of a graph from the data of `to_flat`."""
        kind, queue = flat["queue"]
        *enqueue_ops, close_op, cancel_op = [graph.operations[index] for index in flat["ops"]]
        made = graph.operations[queue] if kind is Operation else kind.from_flat(graph, queue)
        return cls(made, enqueue_ops, close_op, cancel_op, flat["types"])

    def to_proto(self, export_scope: str | None = None) -> Any:
        """Its QueueRunnerDef, with names of operations relative to `export_scope`. None if it is outside of that."""
        if export_scope and not self.name.startswith(f"{export_scope.rstrip('/')}/"):
            return None

        def name(item: Any) -> str:
            return without_scope(item.name, export_scope)

        closed = [error_code_from_exception_type(kind) for kind in self._queue_closed_exception_types]
        return _wire()(
            queue_name=name(self._queue),
            enqueue_op_name=[name(op) for op in self._enqueue_ops],
            close_op_name=name(self._close_op),
            cancel_op_name=name(self._cancel_op),
            queue_closed_exception_types=closed,
        )

    @classmethod
    def from_proto(cls, queue_runner_def: Any, import_scope: str | None = None) -> QueueRunner:
        """The runner for a QueueRunnerDef, or its bytes, whose operations are in the default graph, under a scope.

        queue_runner_def: a QueueRunnerDef, or its bytes.
        Raises TypeError for another message.
        """
        wire = queue_runner_def
        if isinstance(wire, bytes):
            wire = _wire().FromString(wire)
        if getattr(getattr(wire, "DESCRIPTOR", None), "name", None) != "QueueRunnerDef":
            raise TypeError(f"queue_runner_def must be a QueueRunnerDef, not {wire!r}")

        def op(name: str) -> Any:
            return get_default_graph().get_operation_by_name(with_scope(name.removesuffix(":0"), import_scope))

        types = tuple([exception_type_from_error_code(code) for code in wire.queue_closed_exception_types])
        enqueue_ops = [op(name) for name in wire.enqueue_op_name]
        ends = op(wire.close_op_name), op(wire.cancel_op_name)
        return cls(op(wire.queue_name), enqueue_ops, *ends, types or None)

    @property
    def queue(self) -> Any:
        """The queue that is filled."""
        return self._queue

    @property
    def enqueue_ops(self) -> list[Any]:
        """The operations that its threads run."""
        return self._enqueue_ops

    @property
    def close_op(self) -> Any:
        """The operation that closes the queue."""
        return self._close_op

    @property
    def cancel_op(self) -> Any:
        """The operation that closes the queue and cancels its pending enqueues."""
        return self._cancel_op

    @property
    def queue_closed_exception_types(self) -> tuple[Any, ...]:
        """Errors that mean "no more data"."""
        return self._queue_closed_exception_types

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._queue.name

    @property
    def exceptions_raised(self) -> list[Exception]:
        """Errors of its threads, if there was no coordinator to report to."""
        return self._exceptions_raised

    def is_running(self, sess: Any) -> bool:
        """Whether it has threads in a session."""
        with self._lock:
            return self._runs_per_session.get(sess, 0) > 0

    def create_threads(
        self, sess: Any, coord: Coordinator | None = None, daemon: bool = False, start: bool = False
    ) -> list[threading.Thread]:
        """Create threads that fill the queue in a session, and with a coordinator one more that waits for its stop.

        They stop when the coordinator says so, and report errors to it. No threads are created if there are some for
        this session already.   daemon: make daemon threads.   start: start them.
        """
        with self._lock:
            if self._runs_per_session.get(sess, 0) > 0:
                return []
            self._runs_per_session[sess] = len(self._enqueue_ops)
            self._exceptions_raised = []
        threads = [
            threading.Thread(target=self._run, args=(sess, op, coord), name=f"QueueRunnerThread-{self.name}-{op.name}")
            for op in self._enqueue_ops
        ]
        if coord is not None:
            name = f"QueueRunnerThread-{self.name}-close_on_stop"
            threads.append(threading.Thread(target=self._close_on_stop, args=(sess, coord), name=name))
        for thread in threads:
            if coord is not None:
                coord.register_thread(thread)
            if daemon:
                thread.daemon = True
            if start:
                thread.start()
        return threads

    def _run(self, sess: Any, enqueue_op: Any, coord: Coordinator | None) -> None:
        clean = False
        try:
            enqueue = self._caller(sess, enqueue_op)
            while coord is None or not coord.should_stop():
                enqueue()
        except self._queue_closed_exception_types:
            clean = True
        except Exception as error:
            if isinstance(error, CancelledError) and coord is not None and coord.should_stop():
                log.debug("Ignored exception: %s", error)  # the thread was stopped by it
            elif coord is not None:
                coord.request_stop(error)
            else:
                log.error("Exception in QueueRunner: %s", error)
                with self._lock:
                    self._exceptions_raised.append(error)
        finally:
            with self._lock:  # atomic, so that exactly one of several ending threads is the last
                self._runs_per_session[sess] -= 1
                last = self._runs_per_session[sess] == 0
        if clean and last:
            _try(sess, self._close_op)

    def _caller(self, sess: Any, enqueue_op: Any) -> Callable[[], Any]:
        return sess.make_callable(enqueue_op)

    def _close_on_stop(self, sess: Any, coord: Coordinator) -> None:
        coord.wait_for_stop()
        _try(sess, self._cancel_op)


def _try(sess: Any, op: Any) -> None:
    """Close a queue. Others may have closed it, or the session, before."""
    try:
        sess.run(op)
    except (OpError, RuntimeError) as error:
        log.debug("Ignored exception: %s", error)


def add_queue_runner(qr: QueueRunner, collection: str = GraphKeys.QUEUE_RUNNERS) -> None:
    """Add a runner to a collection of the default graph, for `start_queue_runners`.

    qr: a QueueRunner.
    """
    stacks.get_default_graph().add_to_collection(collection, qr)


def start_queue_runners(
    sess: Any = None,
    coord: Coordinator | None = None,
    daemon: bool = True,
    start: bool = True,
    collection: str = GraphKeys.QUEUE_RUNNERS,
) -> list[threading.Thread]:
    """Start the threads of all runners in a collection of the session's graph, and return them.

    sess: by default the default session. Nothing is started for a monitored session, which has started its own.
    daemon: whether the threads end with the program.
    Raises ValueError without a session, TypeError for anything else.
    """
    if sess is None:
        sess = stacks.get_default_session()
        if sess is None:
            raise ValueError(
                "Cannot start queue runners: No default session is registered. Use `with sess.as_default()` or pass an "
                "explicit session to tf.start_queue_runners(sess=sess)"
            )
    if not isinstance(sess, BaseSession):
        if type(sess).__name__ in ("MonitoredSession", "SingularMonitoredSession"):
            return []
        raise TypeError(f"sess must be a `tf.Session` object. Given class: {type(sess)}")
    runners = sess.graph.get_collection(collection)
    return [thread for runner in runners for thread in runner.create_threads(sess, coord, daemon, start)]
