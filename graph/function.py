"""Any Python function as a node: `@weftwork.op`, and TensorFlow 1's `py_func`.

The function is called at run time, in some process, with the values of the tensors among its arguments; its arguments
may be nested structures with tensors in them. What it returns is any Python object.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from weftwork.graph import dtypes, nest, shapes
from weftwork.graph.agreement import check, takes
from weftwork.graph.build import as_tensor, convert_to_tensor
from weftwork.graph.callables import bound, check_callable, is_coroutine_function, on_loop, takes_name
from weftwork.graph.captured_kinds import given
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.operation import Kind, Operation, R, Tensor, Traits
from weftwork.graph.retries import Retry
from weftwork.graph.stacks import get_default_graph, inside_node, local
from weftwork.graph.user_function import UserFunction, kernel_of

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P", default=...)
else:
    P = ParamSpec("P")
Q = ParamSpec("Q")
T = TypeVar("T")


@functools.lru_cache(maxsize=64)
def _straight(count: int) -> dict[str, Any]:
    """The attributes of a call whose arguments are its inputs, in their order: one object for all such calls."""
    return {"template": (tuple(map(nest.Slot, range(count))), {})}


class Op(Generic[P, R]):
    """A Python function that makes a node when it is called. `op.function` is the plain function.

    As an attribute of a class it binds as its function does: `@op` on a method gives the object to `self`. What an Op
    has not got itself is its function's: `op.cache_info()`, `op.register(int)`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        outputs: int | None,
        types: tuple[DType, ...],
        raw: tuple[shapes.RawShape, ...],
        pure: bool,
        traits: Traits,
        name: str | None,
        numpy: bool = False,
    ):
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self._specs = list(zip(types, raw, strict=True))
        self._kind = Kind.PURE if pure else Kind.FUNCTION
        self._type = "PyFuncStateless" if numpy and pure else "PyFunc"  # the types that TensorFlow has
        self._traits = traits
        self._name = name
        self._gradient: Callable | None = None
        self._kernel = kernel_of(function, outputs, types, traits, numpy=numpy)

    def _set_kernel(self) -> None:
        """The function, or the gradient, is another one now."""
        known = self._kernel
        self._kernel = kernel_of(self.function, known.outputs, known.types, self._traits, self._gradient, known.numpy)

    @property
    def traits(self) -> Traits:
        """What was asked for its nodes' execution."""
        return self._traits

    @property
    def kernel(self) -> UserFunction:
        """What its nodes call at run time."""
        return self._kernel

    def gradient(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A decorator: `function` makes the nodes of this function's derivative, for `weftwork.gradients`.

        It is called with tensors while the graph is built: function(grad, *inputs), where grad is the gradient of the
        output (a list of them where outputs=n), inputs the tensors among the call's arguments, in order. A parameter
        `outputs` gets the output(s). It returns the gradient of each input, one or a list; None where there is none.
        A derivative that needs values rather than tensors is an op itself:

            @f.gradient
            @weftwork.op
            def f_gradient(grad, x): return grad * expensive_derivative(x)

        It holds for the nodes that are made after it. In a class it is a method, as the function is.
        """
        self._gradient = function
        self._set_kernel()
        return function

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Op[P, R]: ...
    @overload
    def __get__(self: Op[Concatenate[Any, Q], R], instance: object, owner: Any = None) -> Op[Q, R]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        function = bound(self.function, instance, owner)
        if function is self.function:
            return self
        method = Op.__new__(Op)
        method.__dict__.update(self.__dict__)
        for learned in ("_takes_name", "_says"):
            method.__dict__.pop(learned, None)
        method.function = method.__wrapped__ = function  # type: ignore[attr-defined]
        if self._gradient is not None:
            method._gradient = bound(self._gradient, instance, owner)
        method._set_kernel()
        return method

    def __getattr__(self, name: str) -> Any:
        function = self.__dict__.get("function")
        if function is None or (name.startswith("_") and name != "__isabstractmethod__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(function, name)

    @overload
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Tensor[R]: ...
    @overload
    def __call__(self, /, *args: Any, name: str, **kwargs: Any) -> Tensor[R]: ...
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Make the node; tensors anywhere in the arguments become its inputs.

        All arguments are the function's. Only where it has none of that name, `name=` names the node.
        In a function that runs as a node it computes: without tensors it gives the value(s), and makes no node.
        Raises TypeError where an argument's values contradict what the function says of it by an annotation.
        """
        name = self._name or self._kernel.node_name
        if "name" in kwargs and not self._takes_name:
            name = _checked_name(kwargs.pop("name"), self._kernel) or name
        found: list[Tensor] = []
        tracing = local.tracing
        convert = as_tensor if tracing is None else tracing.argument
        lifted, named_args = nest.lift_call(args, kwargs, found, convert)
        kernel = self._kernel
        if not kwargs and len(found) == len(args) and all([type(item) is nest.Slot for item in lifted]):
            attrs: Mapping[str, Any] = _straight(len(args))
        else:
            attrs = {"template": (lifted, named_args)}
            if not (nest.PLAIN.issuperset(map(type, lifted)) and nest.PLAIN.issuperset(map(type, named_args.values()))):
                kernel = self._kernel_for([*lifted, *named_args.values()])
        if found:
            graph = found[0].op.graph
            if self._says:
                self._check(args, kwargs, convert)
        elif inside_node():
            return self._computed(args, kwargs)
        else:
            graph = get_default_graph()
        node = self._node(graph, kernel, found, attrs, name)
        if kernel.outputs is None:
            return node.outputs[0]
        return node if not node.outputs else list(node.outputs)

    def of_atoms(self, graph: Any, args: Sequence[Any]) -> Tensor:
        """The node of a call whose arguments are tensors of `graph` and atoms: they are not looked into.

        For those who make many nodes of a function with one output.
        """
        found: list[Tensor] = []
        lifted = tuple([nest.slot_of(arg, found) if isinstance(arg, Tensor) else arg for arg in args])
        return self._node(graph, self._kernel, found, {"template": (lifted, {})}, self._kernel.node_name).outputs[0]

    def _node(self, graph: Any, kernel: UserFunction, inputs: list, attrs: Mapping[str, Any], name: str) -> Operation:
        return graph.add(
            self._kind,
            self._type,
            kernel=kernel,
            inputs=tuple(inputs),
            attrs=attrs,
            outputs=self._specs,
            name=name,
            traits=self._traits,
        )

    def _kernel_for(self, items: list) -> UserFunction:
        """The kernel of a call with constant arguments: one of its own where they hold functions, or objects."""
        parts = tuple(given(nest.constants(items)))
        known = self._kernel
        if not parts:
            return known
        return kernel_of(
            self.function, known.outputs, known.types, self._traits, self._gradient, known.numpy, given=parts
        )

    def _computed(self, args: tuple, kwargs: dict) -> Any:
        """What the node would give, at once: a function that runs as a node calls this one.

        A coroutine that runs as a node gets a coroutine to await.
        """
        if self._traits.waits and on_loop():
            return self._kernel.wait(args, kwargs)
        results = self._kernel.results(args, kwargs)
        if self._kernel.outputs is None:
            return results[0]
        return results or None

    def _check(self, args: tuple, kwargs: dict, convert: Callable[[Any], Tensor | None]) -> None:
        """Raise TypeError for a tensor whose values contradict an annotation."""
        names, told, rest = self._says
        given = [(names[at] if at < len(names) else None, value) for at, value in enumerate(args)]
        for name, value in (*given, *kwargs.items()):
            said = rest if name is None else told.get(name)
            tensor = None if said is None else convert(value)
            if said is not None and tensor is not None:
                check(self._kernel.__name__, name or "*args", said, tensor)

    @functools.cached_property
    def _says(self) -> tuple:
        """What the function says of its parameters, for sure; empty for nothing."""
        says = takes(self.function)
        return says if says[1] or says[2] else ()

    @functools.cached_property
    def _takes_name(self) -> bool:
        return takes_name(self.function)


if TYPE_CHECKING:

    class OpOfSeveral(Op[P, Any]):
        """An Op whose call gives a list of tensors."""

        def __call__(self, /, *args: Any, **kwargs: Any) -> Any: ...


def _checked_name(name: Any, kernel: UserFunction) -> str | None:
    if name is not None and not isinstance(name, str):
        raise TypeError(f"{kernel.__name__} has no argument `name`, so `name=` names the node: text, not {name!r}.")
    return name


class Lift(Protocol):
    """What makes a function a node, of one output: a decorator."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, T]], /) -> Op[P, T]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> Op[P, T]: ...


@overload
def op(function: Callable[P, Coroutine[Any, Any, T]], /) -> Op[P, T]: ...
@overload
def op(function: Callable[P, T], /) -> Op[P, T]: ...
@overload
def op(*, outputs: int, **options: Any) -> Callable[[Callable[P, Any]], OpOfSeveral[P]]: ...
@overload
def op(
    *,
    outputs: None = ...,
    dtype: Any = ...,
    shape: Any = ...,
    pure: bool = ...,
    isolated: bool = ...,
    here: bool = ...,
    num_cpus: float | None = ...,
    num_gpus: float | None = ...,
    memory: float | None = ...,
    resources: Mapping[str, float] | None = ...,
    label_selector: Mapping[str, str] | None = ...,
    limits: Mapping[str, int] | None = ...,
    retries: int | Retry = ...,
    timeout: float | None = ...,
    name: str | None = ...,
) -> Lift: ...
def op(
    function: Callable[..., Any] | None = None,
    /,
    *,
    outputs: int | None = None,
    dtype: Any = None,
    shape: Any = None,
    pure: bool = False,
    isolated: bool = False,
    here: bool = False,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: Mapping[str, float] | None = None,
    label_selector: Mapping[str, str] | None = None,
    limits: Mapping[str, int] | None = None,
    retries: int | Retry = 0,
    timeout: float | None = None,
    name: str | None = None,
) -> Any:
    """Make a Python function a node: calling it adds an operation to the graph and gives a Tensor.

    outputs: None: what it returns is one value. A number: it returns a tuple of so many values, and the call gives a
        list of so many tensors (an Operation for 0).
    dtype, shape: of the output, or a list of them for several; unset, the value is any Python object.
    pure: the same arguments always give the same result and nothing else happens; equal calls may then be made once.
    isolated: never run it in the caller's process.
    here: always run it in the caller's process; those that are not pure run in the order in which they were created.
    num_cpus, num_gpus, memory (bytes), resources, label_selector: what one call needs of a machine, as in Ray.
    limits: how much of the session's named limits one call takes: {"api": 1}, where the session was made with
        ConfigProto(limits={"api": 5}), is called five times at a time at most. Such a call runs in the caller's
        process, in a thread beside the others, or on the program's loop where it is an `async def`.
    retries: how often it is called again when it raises; or a tf.Retry, which also says after how long, and after
        which errors.
    timeout: seconds that one call may take, from when the function begins: waiting for a free worker does not count,
        and each retry has as many of its own. A call that takes longer ends the run with DeadlineExceededError.
    Raises TypeError or ValueError for options that make no sense. docs/functions.md says what a function may rely on.

        @weftwork.op(outputs=2)
        def split(text): return text[:1], text[1:]
    """
    if function is not None:
        check_callable(function)
    types, raw = _declared(outputs, dtype, shape)
    machine = needed(num_cpus, num_gpus, memory, resources)
    traits = _traits(isolated, here, retries, timeout, machine, selected(label_selector), limited(limits))
    coroutine = replace(traits, waits=True)
    if function is None:
        traits.check_place("@op") if timeout is None else coroutine.check_place("@op")

    def lift(function: Callable) -> Op:
        check_callable(function)
        mine = coroutine if is_coroutine_function(function) else traits
        mine.check_place("@op")
        return Op(function, outputs, types, raw, pure, mine, name)

    return lift if function is None else lift(function)


def _traits(isolated: bool, here: bool, retries: Any, timeout: Any, resources: Any, labels: Any, limits: Any) -> Traits:
    """What a user asks for a function. Raises TypeError and ValueError for what makes no sense."""
    Retry.of(retries)
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout must be seconds above 0, not {timeout!r}.")
    asked = {"isolated": isolated, "here": here, "retries": retries, "timeout": timeout}
    return Traits(user=True, resources=resources, labels=labels, limits=limits, **asked)


def _declared(outputs: Any, dtype: Any, shape: Any) -> tuple[tuple[DType, ...], tuple[shapes.RawShape, ...]]:
    """The dtype and the shape of each output."""
    if outputs is not None and (not isinstance(outputs, int) or outputs < 0):
        raise ValueError(f"outputs must be a whole number of outputs or None, not {outputs!r}.")
    count = 1 if outputs is None else outputs
    types = tuple([as_dtype(d) for d in _each(dtype, count, dtypes.object, "dtype")])
    return types, tuple([shapes.as_raw(s) for s in _each(shape, count, None, "shape", one=outputs is None)])


def _each(given: Any, count: int, default: Any, word: str, one: bool = False) -> list:
    if given is None:
        return [default] * count
    if one:
        return [given]
    if isinstance(given, (list, tuple)):
        if len(given) != count:
            raise ValueError(f"{word} has {len(given)} entries for {count} outputs.")
        return list(given)
    return [given] * count


def needed(
    num_cpus: float | None, num_gpus: float | None, memory: float | None, resources: Mapping[str, float] | None
) -> tuple[tuple[str, float], ...]:
    """Ray resources from the usual options, sorted by name; ValueError for a negative or nameless one."""
    asked = dict(resources or {})
    for key, value in (("CPU", num_cpus), ("GPU", num_gpus), ("memory", memory)):
        if key in asked:
            raise ValueError(f"Ask for {key} by its own option, not in resources.")
        if value is not None:
            asked[key] = value
    for key, value in asked.items():
        if not isinstance(key, str) or not isinstance(value, (int, float)) or value < 0:
            raise ValueError(f"resources maps a name to an amount, 0 or more, but got {key!r}: {value!r}.")
    return tuple(sorted(asked.items()))


def limited(limits: Mapping[str, int] | None) -> tuple[tuple[str, int], ...]:
    """Named limits, sorted by name; ValueError for what is no mapping of text to whole numbers of 1 or more."""
    asked = dict(limits or {})
    for key, value in asked.items():
        if not isinstance(key, str) or not isinstance(value, int) or value < 1:
            raise ValueError(f"limits maps a name to a whole number, 1 or more, but got {key!r}: {value!r}.")
    return tuple(sorted(asked.items()))


def selected(label_selector: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Ray's label selector, sorted by label; ValueError when it is not a mapping of text to text."""
    chosen = dict(label_selector or {})
    for key, value in chosen.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ValueError(f"label_selector maps a label to the value it must have, but got {key!r}: {value!r}.")
    return tuple(sorted(chosen.items()))


def py_func(
    func: Callable[..., Any], inp: Sequence[Any], Tout: Any, stateful: bool = True, name: str | None = None
) -> Any:
    """TensorFlow 1's spelling of a Python function as a node: func(*arrays) gives arrays of the dtypes `Tout`.

    Returns a Tensor where `Tout` is one dtype, a list of them where it is a list. It has no derivative: its gradient is
    None. It may write into the arrays that it gets.
    stateful: it is called in the caller's process, once for each node and run, in the order of the nodes' creation.
    stateful=False says that the function is pure: equal calls may be made once, anywhere.
    Running it raises InvalidArgumentError where a dtype of `Tout` cannot hold what it returns.
    """
    if not callable(func):
        raise ValueError(f"py_func expected func to be callable, but got {func!r}.")
    check_callable(func)
    several = isinstance(Tout, (list, tuple))
    types = tuple([as_dtype(dtype) for dtype in (Tout if several else [Tout])])
    traits = _STATEFUL if stateful else _STATELESS
    outputs = len(types) if several else None
    kind = "PyFunc" if stateful else "PyFuncStateless"
    node = Op(func, outputs, types, (None,) * len(types), not stateful, traits, name or kind, numpy=True)
    return node(*[convert_to_tensor(x) for x in inp])


_STATEFUL, _STATELESS = Traits(user=True, here=True), Traits(user=True)
