"""Session: runs a graph, or parts of it, and holds its state. Any number of sessions may use the same graph.

Variables belong to the session, so two sessions on one graph share nothing. Any number of threads may run at once.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload

from weftwork.graph import stacks
from weftwork.graph.errors import InvalidArgumentError, NotFoundError, OpError
from weftwork.graph.forks import fresh
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Operation, Tensor
from weftwork.scheduler.machines import backend, inventory
from weftwork.scheduler.machines import host_actors as hosts
from weftwork.scheduler.machines.devices import check_packages
from weftwork.scheduler.plan.signatures import Signature
from weftwork.scheduler.request.config import ConfigProto, RunMetadata, RunOptions
from weftwork.scheduler.request.feeds import convert_feed, parse_feed_key, parse_feeds
from weftwork.scheduler.request.fetches import owned, parse_fetches, structure_of
from weftwork.scheduler.run.engine import CLOSED
from weftwork.scheduler.run.limits import listen
from weftwork.scheduler.session.future import RunFuture
from weftwork.scheduler.session.looks import Looks
from weftwork.scheduler.session.partial import PartialRuns
from weftwork.scheduler.session.placement_log import PlacementLog
from weftwork.scheduler.session.stream import Channel, Parts, ResultStream, channel_of, tells
from weftwork.scheduler.session.targets import _hosted, connect, engine_of, host_named, timeout_of
from weftwork.scheduler.views.costs import remember
from weftwork.scheduler.views.log import LISTENING as LISTENING
from weftwork.scheduler.views.metadata import Metadata, Wanted, is_costed
from weftwork.scheduler.views.progress import is_shown, showing
from weftwork.scheduler.views.serving import Serving
from weftwork.scheduler.views.stats import Counting

T = TypeVar("T")
_CLOSE_BOUND = 30.0
"""Maximum number of seconds that closing a session takes."""


class BaseSession(Looks):
    """The common base of Session and InteractiveSession."""

    def __init__(self, target: Any = "", graph: Graph | None = None, config: ConfigProto | None = None):
        if graph is None:
            graph = stacks.get_default_graph()
        elif not isinstance(graph, Graph):
            raise TypeError(f"graph must be a tf.Graph, but got {type(graph)}")
        if target is None:
            target = ""
        if not isinstance(target, (str, bytes)):
            hint = ""
            if isinstance(target, ConfigProto):
                hint = '. Did you do "Session(config)" instead of "Session(config=config)"?'
            raise TypeError(f"target must be a string, but got {type(target)}{hint}")
        if config is not None and not isinstance(config, ConfigProto):
            raise TypeError(f"config must be a tf.ConfigProto, but got {type(config)}")
        self._graph = graph
        self._target = target if isinstance(target, bytes) else target.encode()
        self._config = ConfigProto()
        if config is not None:
            self._config.CopyFrom(config)
        listen()
        connect(self._target.decode(), self._config)
        if backend.is_running():
            check_packages(inventory.cluster())
        self._closed = False
        self._closing = fresh(threading.Lock())
        self._engine, self._cluster = engine_of(self._target.decode(), self._config, graph)
        self._partial = PartialRuns()
        self._counting = Counting(self._engine.events)
        self._pages: list[Serving] = []
        remember(graph, self._engine.events)
        self._finalizer = weakref.finalize(self, _end, self._engine, self._pages)
        self._placed = PlacementLog() if self._config.log_device_placement else None

    # Properties

    @property
    def graph(self) -> Graph:
        """The graph of the session."""
        return self._graph

    @property
    def graph_def(self) -> Any:
        """The graph as a GraphDef, a protocol buffer. See `Graph.as_graph_def`."""
        return self._graph.as_graph_def(add_shapes=self._config.graph_options.infer_shapes)

    @property
    def sess_str(self) -> bytes:
        """The target that the session was made with."""
        return self._target

    # Running

    @overload
    def run(
        self,
        fetches: Tensor[T],
        feed_dict: Mapping[Any, Any] | None = ...,
        options: RunOptions | None = ...,
        run_metadata: RunMetadata | None = ...,
        copy: bool | None = ...,
    ) -> T: ...
    @overload
    def run(
        self,
        fetches: Any,
        feed_dict: Mapping[Any, Any] | None = ...,
        options: RunOptions | None = ...,
        run_metadata: RunMetadata | None = ...,
        copy: bool | None = ...,
    ) -> Any: ...
    def run(
        self,
        fetches: Any,
        feed_dict: Mapping[Any, Any] | None = None,
        options: RunOptions | None = None,
        run_metadata: RunMetadata | None = None,
        copy: bool | None = None,
        progress: bool = False,
    ) -> Any:
        """Compute `fetches` and return their values in the same structure (None for operations).

        fetches: a Tensor, Operation, Variable or name, or nested lists, tuples, dicts and so on of these.
        feed_dict: maps tensors to values that replace what they would compute.
        options: a time limit, and what to report about the run.   run_metadata: receives the report.
        copy: False returns large results as read-only views without copying.
        progress: show progress on standard error, with a bar of tqdm if that is installed, else in a line of text.
        Values of rank 0 are NumPy scalars, others are arrays that belong to you. Text is bytes. A value made by a
        Python function is what the function returned.
        A run happens completely or not at all. Raises an OpError naming the node if a node fails, RuntimeError if the
        session is closed or its graph is empty, TypeError and ValueError for something that cannot be fetched or fed.
        """
        self._check_open()
        signature, fed, build = self._find(fetches, feed_dict)
        return self._run(signature, fed, options, run_metadata, copy, build=build, progress=progress)

    def _find(self, fetches: Any, feed_dict: Mapping | None) -> tuple[Signature, list, Callable]:
        """The signature for fetches and feeds, the fed values, and the function that builds the result."""
        self._check_not_empty()
        feeds = parse_feeds(self._graph, feed_dict) if feed_dict else {}
        fed, parsed = tuple(feeds), None
        key = structure_of(fetches)
        if key is None:  # the structure has no cache key, but its elements have
            parsed = parse_fetches(self._graph, fetches)
            key = ("elements", parsed.elements)
        signature = self._engine.signatures.find((key, fed))
        if signature is None:
            signature = self._engine.signatures.add((key, fed), parsed or parse_fetches(self._graph, fetches), fed)
        return signature, list(feeds.values()), (parsed or signature.fetches).build

    def _run(
        self,
        signature: Signature,
        fed: list,
        options: RunOptions | None = None,
        metadata: RunMetadata | None = None,
        copy: bool | None = None,
        started: Callable | None = None,
        build: Callable | None = None,
        progress: bool | None = False,
    ) -> Any:
        """progress: None if it is shown already."""
        if progress or (progress is not None and is_shown()):
            with showing(self._engine.events, self._engine, signature.fetches.elements, signature.fed):
                return self._run(signature, fed, options, metadata, copy, started, build, None)
        told = None
        if options is not None or metadata is not None or self._placed is not None:
            wanted = self._wanted(signature, options, metadata)
            told = Metadata(wanted) if any(wanted) else None
        try:
            values = self._engine.execute(signature, fed, timeout_of(options, self._config), told, started)
        finally:
            if told is not None and self._placed is not None:
                self._placed.tell(signature.fetches.elements, signature.fed, told.devices)
        if told is not None and metadata is not None:
            told.fill(metadata)
        if copy is None:
            copy = self._config.copy
        return (build or signature.fetches.build)(owned(values, copy, signature.kept))

    def _wanted(self, signature: Signature, options: RunOptions | None, metadata: RunMetadata | None) -> Wanted:
        """What a run should report. Raises TypeError for options or metadata of other types."""
        if options is not None and not isinstance(options, RunOptions):
            raise TypeError(f"options must be a tf.RunOptions, but got {type(options)}")
        pools = len(self._config.session_inter_op_thread_pool) or 1
        if options is not None and not -1 <= options.inter_op_thread_pool < pools:
            raise InvalidArgumentError(None, None, f"Invalid inter_op_thread_pool: {options.inter_op_thread_pool}")
        if metadata is None:
            return Wanted(devices=self._placed is not None)
        if not isinstance(metadata, RunMetadata):
            raise TypeError(f"run_metadata must be a tf.RunMetadata, but got {type(metadata)}")
        metadata.Clear()
        options = options or RunOptions()
        return Wanted(
            times=options.trace_level > RunOptions.NO_TRACE,
            graphs=options.output_partition_graphs,
            costs=is_costed(self._config.graph_options, next(signature.numbers)),
            devices=self._placed is not None,
        )

    def submit(
        self,
        fetches: Any,
        feed_dict: Mapping[Any, Any] | None = None,
        options: RunOptions | None = None,
        progress: bool = False,
    ) -> RunFuture:
        """Start a run in the background. Returns a future, whose `cancel` also cancels the run while it is running.

        A cancelled run changes nothing. Its future's `result` raises a CancelledError of both `tf.errors` and
        `concurrent.futures`.
        """
        self._check_open()
        signature, fed, build = self._find(fetches, feed_dict)

        def work(started: Callable) -> Any:
            return self._run(signature, fed, options, started=started, build=build, progress=progress)

        return RunFuture.start(work, lambda: self._closed)

    async def run_async(
        self,
        fetches: Any,
        feed_dict: Mapping[Any, Any] | None = None,
        options: RunOptions | None = None,
        progress: bool = False,
    ) -> Any:
        """Like `run`, for coroutines: `await session.run_async(y)`. The event loop goes on meanwhile.

        Cancelling the waiting task (`asyncio.wait_for` may do so) cancels the run, which then changes nothing. Closing
        the session cancels the run, and the task gets `asyncio.CancelledError`. Closing the loop ends its runs. Raises
        what `run` raises.
        """
        return await self.submit(fetches, feed_dict, options, progress).awaited()

    def stream(
        self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None, options: RunOptions | None = None
    ) -> ResultStream:
        """Start a run, and return its results as they become available: (key, value) pairs, for `for` or `async for`.

        fetches: a list, dict or named tuple of anything that `run` fetches. The keys are its indices, keys or field
        names. Leaving the loop early cancels the run, which then changes nothing: variables change when the run ends,
        after the last result. Raises what `run` raises: for invalid fetches and feeds at once, otherwise in the loop,
        after the results that are available.

            async for name, page in session.stream({"a": fetch(a), "b": fetch(b)}): ...
        """
        self._check_open()
        self._check_not_empty()
        feeds = parse_feeds(self._graph, feed_dict) if feed_dict else {}
        parts, channel = Parts(self._graph, fetches), Channel()
        fed, values = list(feeds), list(feeds.values())
        signatures = self._engine.signatures
        key = ("stream", parts.fetches.elements, tuple(fed))
        signature = signatures.find(key)
        if signature is None and signatures.may_finish:
            outlet = channel_of(self._graph)
            signature = signatures.add(key, parts.fetches, [*fed, outlet], finish=tells(self._graph, outlet))
        elif signature is None:
            signature = signatures.add(key, parts.fetches, fed)
        if signature.finish is not None:
            values.append(channel)

        def work(started: Callable) -> Any:
            return self._run(signature, values, options, started=started, build=list)

        return ResultStream(parts, channel, self._config.copy, RunFuture.start(work, lambda: self._closed))

    def make_callable(
        self, fetches: Any, feed_list: Sequence[Any] | None = None, accept_options: bool = False
    ) -> Callable[..., Any]:
        """Return a function that runs `fetches`, with one positional argument per tensor in `feed_list`.

        With accept_options it also takes the keywords options and run_metadata. The plan is made once and kept, so
        later additions to the graph have no effect. Raises TypeError if `feed_list` is not a list or tuple.
        """
        if feed_list is not None and not isinstance(feed_list, (list, tuple)):
            raise TypeError("`feed_list` must be a list or tuple.")
        self._check_open()
        self._check_not_empty()
        tensors = [parse_feed_key(self._graph, key) for key in feed_list or ()]
        parsed = parse_fetches(self._graph, fetches)
        try:
            signature = self._engine.signatures.add(None, parsed, tensors)
        except OpError as error:  # raised when the callable is called
            return _failing(error)

        def run(*args: Any, **kwargs: Any) -> Any:
            self._check_open()
            if len(args) != len(tensors):
                raise TypeError(f"This callable takes {len(tensors)} fed values, but got {len(args)}.")
            if kwargs and not accept_options:
                raise TypeError("This callable takes no options: make it with accept_options=True.")
            fed = [convert_feed(tensor, value) for tensor, value in zip(tensors, args, strict=True)]
            return self._run(signature, fed, kwargs.get("options"), kwargs.get("run_metadata"))

        return run

    def prepare(self, elements: Sequence[Tensor | Operation], tensors: Sequence[Tensor]) -> Callable[[list], list]:
        """Return a function from values of `tensors`, which are not checked, to the values of `elements`.

        Like `make_callable`, for callers that check values themselves. Small graphs are planned at the first call.
        """
        self._check_open()
        parsed = parse_fetches(self._graph, list(elements))
        signature = self._engine.signatures.add(("prepared", *elements, None, *tensors), parsed, tensors)

        def run(fed: list[Any]) -> list[Any]:
            self._check_open()
            return self._run(signature, fed)

        return run

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed

    def partial_run_setup(self, fetches: Any, feeds: Sequence[Any] | None = None) -> str:
        """Set up a run that is fed and fetched in parts. Returns a handle for `partial_run`.

        Each of `feeds` may be fed once and each of `fetches` fetched once, in any order that the graph allows.
        """
        self._check_open()
        return self._partial.setup(self._graph, fetches, feeds)

    def partial_run(self, handle: str, fetches: Any, feed_dict: Mapping[Any, Any] | None = None) -> Any:
        """Continue a run of `partial_run_setup`. What earlier parts computed is not computed again."""
        self._check_open()
        return self._partial.run(self._graph, handle, fetches, feed_dict, self._run_part, self._config.copy)

    def _run_part(self, elements: Sequence, values: Mapping[Tensor, Any], ran: frozenset[Operation]) -> list:
        signatures, known = self._engine.signatures, tuple(values)
        key = ("partial", tuple(elements), known, ran)
        signature = signatures.find(key) or signatures.add(key, parse_fetches(self._graph, list(elements)), known, ran)
        return self._run(signature, list(values.values()), copy=False)

    def _check_not_empty(self) -> None:
        if self._graph.version == 0:
            raise RuntimeError("The Session graph is empty.  Add operations to the graph before calling run().")

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(CLOSED)

    # Lifetime

    def close(self) -> None:
        """End the session. Active runs may finish within moments, and are then cancelled; its processes end."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        grace = self._config.cancel_grace_in_ms / 1000
        self._engine.cancel_all(grace, _CLOSE_BOUND)
        self._partial.clear()
        self._finalizer()

    @staticmethod
    def reset(target: Any, containers: Sequence[Any] | None = None, config: ConfigProto | None = None) -> None:
        """Delete the variables that sessions share at `target`, or under `config.name`, and close these sessions.

        containers: delete only variables in these containers; None means all, and also ends a detached session of that
        name. Raises NotFoundError if there is no such session or server.
        """
        config = config or ConfigProto()
        text = target.decode() if isinstance(target, bytes) else target or ""
        connect(text, config)
        name = _hosted(config) if config.name else text
        host = host_named(name, config)
        if host is None:
            raise NotFoundError(None, None, f"There is no shared session or server {name!r} to reset.")
        try:
            hosts.ask(host, "reset", containers)
        except backend.WorkerLost:  # it was just ending
            raise NotFoundError(None, None, f"There is no shared session or server {name!r} to reset.") from None
        if config.name and containers is None:
            hosts.end_host(host)

    def as_default(self):
        """A context manager that makes this the thread's default session. It does not close the session at the end."""
        return stacks.session_scope(self)

    def __repr__(self) -> str:
        return f"<tf.{type(self).__name__}{' (closed)' if self._closed else ''} of {self._graph!r}>"


def _end(engine: Any, pages: list[Serving]) -> None:
    """Release what belongs to a session that was closed, or that nobody holds any more."""
    for page in pages:
        page.close()
    engine.close()


def _failing(error: OpError) -> Callable:
    """A function that raises this error whenever it is called."""

    def run(*args: Any, **kwargs: Any) -> Any:
        raise error.with_traceback(None)

    return run


class Session(BaseSession):
    """A session. As a context manager, it makes itself and its graph the defaults, and is closed at the end.

    target: "" for this machine (Ray is joined if the program runs it already, else started when first needed), or
        "auto", "HOST:PORT" or "ray://HOST:PORT" for a cluster.
    graph: the graph to run; by default the current default graph.   config: a ConfigProto.
    Raises TypeError for arguments of other types, NotFoundError for a target that does not exist, and
    FailedPreconditionError if a machine of the cluster lacks a package.
    """

    def __init__(self, target: Any = "", graph: Graph | None = None, config: ConfigProto | None = None):
        super().__init__(target, graph, config)
        self._contexts: list = []

    def __enter__(self) -> Session:
        if self._contexts:
            raise RuntimeError(
                "Session context managers are not re-entrant. Use `Session.as_default()` if you want to enter a "
                "session multiple times."
            )
        self._contexts = [self._graph.as_default(), self.as_default()]
        for context in self._contexts:
            context.__enter__()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        contexts, self._contexts = self._contexts, []
        for context in reversed(contexts):
            context.__exit__(None, None, None)
        if error is None:
            self.close()
        else:  # the error must get out even if closing hangs
            closer = threading.Thread(name="SessionCloseThread", target=self.close, daemon=True)
            closer.start()
            closer.join(_CLOSE_BOUND)
