"""Running: the part of a session that runs what is fetched: at once, in the background, or piece by piece.

For type checkers, a run returns the types of what was fetched: an int for a `Tensor[int]`, a list of ints for a list of
these. Where they cannot know, it is Any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, overload

from weftwork.graph.errors import InvalidArgumentError, OpError
from weftwork.graph.operation import Operation, Tensor
from weftwork.scheduler.plan.signatures import Signature
from weftwork.scheduler.request.config import RunMetadata, RunOptions
from weftwork.scheduler.request.feeds import FeedList, parse_feeds
from weftwork.scheduler.request.fetches import owned, parse_fetches, structure_of
from weftwork.scheduler.session.future import RunFuture
from weftwork.scheduler.session.inspection import Inspection
from weftwork.scheduler.session.placement_log import PlacementLog
from weftwork.scheduler.session.stream import Channel, Parts, ResultStream, add_tell_nodes, channel_of
from weftwork.scheduler.session.targets import timeout_of
from weftwork.scheduler.views.metadata import Metadata, Wanted, is_costed
from weftwork.scheduler.views.progress import is_shown, showing

if TYPE_CHECKING:
    from typing_extensions import TypedDict, TypeVar, Unpack

    K = TypeVar("K", default=Any)
    T = TypeVar("T", default=Any)
    U = TypeVar("U", default=Any)
    V = TypeVar("V", default=Any)
    W = TypeVar("W", default=Any)

    Feeds = Mapping[Any, Any] | None
    Options = RunOptions | None

    class How(TypedDict, total=False):
        """The options of a run."""

        options: RunOptions | None
        run_metadata: RunMetadata | None
        copy: bool | None
        progress: bool


class Running(Inspection):
    """The part of a session that runs what is fetched."""

    _placed: PlacementLog | None
    _make_ready: Any

    @overload
    def run(self, fetches: Tensor[T], feed_dict: Feeds = ..., **how: Unpack[How]) -> T: ...
    @overload
    def run(self, fetches: Operation, feed_dict: Feeds = ..., **how: Unpack[How]) -> None: ...
    @overload
    def run(self, fetches: list[Tensor[T]], feed_dict: Feeds = ..., **how: Unpack[How]) -> list[T]: ...
    @overload
    def run(self, fetches: dict[K, Tensor[T]], feed_dict: Feeds = ..., **how: Unpack[How]) -> dict[K, T]: ...
    @overload
    def run(self, fetches: tuple[Tensor[T], Tensor[U]], feed_dict: Feeds = ..., **how: Unpack[How]) -> tuple[T, U]: ...
    @overload
    def run(
        self, fetches: tuple[Tensor[T], Tensor[U], Tensor[V]], feed_dict: Feeds = ..., **how: Unpack[How]
    ) -> tuple[T, U, V]: ...
    @overload
    def run(
        self, fetches: tuple[Tensor[T], Tensor[U], Tensor[V], Tensor[W]], feed_dict: Feeds = ..., **how: Unpack[How]
    ) -> tuple[T, U, V, W]: ...
    @overload
    def run(
        self,
        fetches: Any,
        feed_dict: Feeds = ...,
        options: Options = ...,
        run_metadata: RunMetadata | None = ...,
        copy: bool | None = ...,
        progress: bool = ...,
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
        A run happens completely or not at all; code of yours that builds the result, such as the `__new__` of a fetched
        named tuple, is called after it. Raises an OpError naming the node if a node fails, RuntimeError if the session
        is closed or its graph is empty, TypeError and ValueError for something that cannot be fetched or fed.
        """
        self._check_open()
        signature, fed, build = self._find(fetches, feed_dict)
        return self._run(signature, fed, options, run_metadata, copy, build=build, progress=progress)

    def _find(self, fetches: Any, feed_dict: Mapping | None) -> tuple[Signature, list, Callable]:
        """The signature for fetches and feeds, the fed values, and the function that builds the result."""
        self._make_ready()
        feeds = parse_feeds(self._graph, feed_dict) if feed_dict else {}
        fed, parsed = tuple(feeds), None
        key = structure_of(fetches)
        if key is None:  # the structure has no cache key, but its elements have
            parsed = parse_fetches(self._graph, fetches)
            key = ("elements", parsed.elements)
        key = (key, fed, self._graph.rewired)
        signature = self._engine.signatures.find(key)
        if signature is None:
            now = monotonic()
            signature = self._engine.signatures.add(key, parsed or parse_fetches(self._graph, fetches), fed)
            signature.asked = now
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
            if not isinstance(progress, bool):
                raise TypeError(f"progress must be True or False, not {progress!r}.")
            with showing(self._engine.events, self._engine, signature.fetches.elements, signature.fed):
                return self._run(signature, fed, options, metadata, copy, started, build, None)
        report = None
        if options is not None or metadata is not None or self._placed is not None:
            wanted = self._wanted(signature, options, metadata)
            report = Metadata(wanted) if any(wanted) else None
        try:
            values = self._engine.execute(signature, fed, timeout_of(options, self._config), report, started)
        finally:
            if report is not None and self._placed is not None:
                self._placed.tell(signature.fetches.elements, signature.fed, report.devices)
        if report is not None and metadata is not None:
            fed_ones = set(signature.fed)
            computed = [element for element in signature.fetches.elements if element not in fed_ones]
            if computed:  # else nothing ran, and there is nothing to report
                report.fill(metadata, computed)
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

    @overload
    def submit(
        self, fetches: Tensor[T], feed_dict: Feeds = ..., options: Options = ..., progress: bool = ...
    ) -> RunFuture[T]: ...
    @overload
    def submit(
        self, fetches: list[Tensor[T]], feed_dict: Feeds = ..., options: Options = ..., progress: bool = ...
    ) -> RunFuture[list[T]]: ...
    @overload
    def submit(
        self, fetches: dict[K, Tensor[T]], feed_dict: Feeds = ..., options: Options = ..., progress: bool = ...
    ) -> RunFuture[dict[K, T]]: ...
    @overload
    def submit(
        self, fetches: Any, feed_dict: Feeds = ..., options: Options = ..., progress: bool = ...
    ) -> RunFuture[Any]: ...
    def submit(
        self,
        fetches: Any,
        feed_dict: Mapping[Any, Any] | None = None,
        options: RunOptions | None = None,
        progress: bool = False,
    ) -> RunFuture[Any]:
        """Start a run in the background. Returns a future, whose `cancel` also cancels the run while it is running.

        A cancelled run changes nothing. Its future's `result` raises a CancelledError of both `tf.errors` and
        `concurrent.futures`.
        fetches, feed_dict, options, progress: as in `run`.
        """
        self._check_open()
        signature, fed, build = self._find(fetches, feed_dict)

        def work(started: Callable) -> Any:
            return self._run(signature, fed, options, started=started, build=build, progress=progress)

        return RunFuture.start(work, lambda: self._closed)

    @overload
    async def run_async(
        self, fetches: Tensor[T], feed_dict: Feeds = ..., options: Options = ..., progress: bool = ...
    ) -> T: ...
    @overload
    async def run_async(
        self, fetches: list[Tensor[T]], feed_dict: Feeds = ..., options: Options = ..., progress: bool = ...
    ) -> list[T]: ...
    @overload
    async def run_async(
        self, fetches: dict[K, Tensor[T]], feed_dict: Feeds = ..., options: Options = ..., progress: bool = ...
    ) -> dict[K, T]: ...
    @overload
    async def run_async(
        self, fetches: Any, feed_dict: Feeds = ..., options: Options = ..., progress: bool = ...
    ) -> Any: ...
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
        progress: as in `run`.
        """
        return await self.submit(fetches, feed_dict, options, progress).awaited()

    @overload
    def stream(
        self, fetches: dict[K, Tensor[T]], feed_dict: Feeds = ..., options: Options = ...
    ) -> ResultStream[K, T]: ...
    @overload
    def stream(
        self, fetches: Tensor[T] | Sequence[Tensor[T]], feed_dict: Feeds = ..., options: Options = ...
    ) -> ResultStream[int, T]: ...
    @overload
    def stream(self, fetches: Any, feed_dict: Feeds = ..., options: Options = ...) -> ResultStream[Any, Any]: ...
    def stream(
        self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None, options: RunOptions | None = None
    ) -> ResultStream[Any, Any]:
        """Start a run, and return its results as they become available: (key, value) pairs, for `for` or `async for`.

        fetches: a list, dict or named tuple of anything that `run` fetches. The keys are its indices, keys or field
        names. Leaving the loop early cancels the run, which then changes nothing: variables change when the run ends,
        after the last result. Raises what `run` raises: for invalid fetches and feeds at once, otherwise in the loop,
        after the results that are available.

            async for name, page in session.stream({"a": fetch(a), "b": fetch(b)}): ...
        """
        self._check_open()
        self._make_ready()
        feeds = parse_feeds(self._graph, feed_dict) if feed_dict else {}
        parts, channel = Parts(self._graph, fetches), Channel()
        fed, values = list(feeds), list(feeds.values())
        signatures = self._engine.signatures
        key = ("stream", parts.fetches.elements, tuple(fed))
        signature = signatures.find(key)
        if signature is None and signatures.may_finish:
            outlet = channel_of(self._graph)
            signature = signatures.add(key, parts.fetches, [*fed, outlet], finish=add_tell_nodes(self._graph, outlet))
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
        """Return a function that runs `fetches`, with one positional argument per key in `feed_list`.

        With accept_options it also takes the keywords options and run_metadata. The plan is made once and kept, so
        later additions to the graph have no effect. Raises TypeError if `feed_list` is not a list or tuple.
        """
        if feed_list is not None and not isinstance(feed_list, (list, tuple)):
            raise TypeError("`feed_list` must be a list or tuple.")
        self._check_open()
        self._make_ready()
        feeds = FeedList(self._graph, feed_list or ())
        parsed = parse_fetches(self._graph, fetches)
        try:
            signature = self._engine.signatures.add(None, parsed, feeds.tensors)
        except OpError as error:  # raised when the callable is called
            return _failing(error)

        def run(*args: Any, **kwargs: Any) -> Any:
            self._check_open()
            fed = feeds.values(args)
            if kwargs and not accept_options:
                raise TypeError("This callable takes no options: create it with accept_options=True.")
            return self._run(signature, fed, kwargs.get("options"), kwargs.get("run_metadata"))

        return run

    def prepare(self, elements: Sequence[Tensor | Operation], tensors: Sequence[Tensor]) -> Callable[[list], list]:
        """Return a function from values of `tensors`, which are not checked, to the values of `elements`.

        Like `make_callable`, for callers that check values themselves. Small graphs are planned at the first call.
        """
        self._check_open()
        parsed = parse_fetches(self._graph, list(elements))
        signature = self._engine.signatures.add(None, parsed, tensors)

        def run(fed: list[Any]) -> list[Any]:
            self._check_open()
            return self._run(signature, fed)

        return run


def _failing(error: OpError) -> Callable:
    """A function that raises this error whenever it is called."""

    def run(*args: Any, **kwargs: Any) -> Any:
        raise error.with_traceback(None)

    return run
