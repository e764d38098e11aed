"""Any Python function as a node: `@weftwork.op`, and TensorFlow 1's `py_func`.

The function is called at run time, in some process. Its arguments may be nested structures, in which each tensor is
replaced by its value. It may return any Python object.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, Protocol, TypeVar, overload

from weftwork.graph import dtypes, nest, shapes
from weftwork.graph.agreement import check, parameters_of
from weftwork.graph.build import as_tensor, convert_to_tensor
from weftwork.graph.call_shapes import check_shape, shape_of
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.hidden import refuse_used_up
from weftwork.graph.needed import limited, needed, selected
from weftwork.graph.operation import Kind, Operation, R, Tensor, Traits
from weftwork.graph.python.amounts import seconds_of
from weftwork.graph.python.callables import bound, check_callable, is_coroutine_function, on_loop, takes_name
from weftwork.graph.python.captured_kinds import given
from weftwork.graph.retries import Retry
from weftwork.graph.source import Source
from weftwork.graph.stacks import get_default_graph, inside_node, local
from weftwork.graph.user_function import UserFunction, kernel_of

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, TypedDict, TypeVar, Unpack

    from weftwork.graph.operation import Operation

    P = ParamSpec("P", default=...)
    T = TypeVar("T", default=Any)
else:
    P = ParamSpec("P")
    T = TypeVar("T")
Q = ParamSpec("Q")


@functools.lru_cache(maxsize=64)
def _positional_attrs(count: int) -> dict[str, Any]:
    """The attributes of a call whose arguments are its inputs, in order: one object shared by all such calls."""
    return {"template": (tuple(map(nest.Slot, range(count))), {})}


class Op(Generic[P, R]):
    """A Python function that makes a node when you call it. `op.function` is the plain function.

    As a class attribute it binds as its function does: `@op` on a method passes the object as `self`. Attributes that
    an Op lacks are looked up on its function: `op.cache_info()`, `op.register(int)`.
    outputs, types, raw: how many outputs there are, with their dtypes and shapes.
    pure, traits: the options that `op` was given.
    numpy: whether arguments are arrays.
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
        self._type = "PyFuncStateless" if numpy and pure else "PyFunc"  # TensorFlow's op types
        self._traits = traits
        self._name = name
        self._gradient: Callable | None = None
        self.source: Source | None = None
        """Where all its nodes were made, if not at the lines of their callers."""
        self._fits: set[tuple | int] = set()
        """The shapes of calls that its function takes, or just the number of arguments; and those of its methods."""
        self._method_fits: tuple[set[tuple | int], set[tuple | int]] = set(), set()
        self._kernel = kernel_of(function, outputs, types, traits, numpy=numpy, shapes=raw)

    def _set_kernel(self) -> None:
        """Update the kernel: the function or the gradient has changed."""
        self._kernel = self._made_kernel()

    @property
    def traits(self) -> Traits:
        """The execution options of its nodes."""
        return self._traits

    @property
    def kernel(self) -> UserFunction:
        """The kernel of its nodes."""
        return self._kernel

    def gradient(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: `function` builds the nodes of this function's derivative, for `weftwork.gradients`.

        It is called with tensors while the graph is built: function(grad, *inputs). grad is the gradient of the
        output (a list if outputs=n), inputs are the tensors among the call's arguments, in order. A parameter named
        `outputs` gets the output(s). It returns the gradient of each input, one or a list, with None for no gradient.
        A derivative that needs values instead of tensors is an op itself:

            @f.gradient
            @weftwork.op
            def f_gradient(grad, x): return grad * expensive_derivative(x)

        It applies to nodes created afterwards. In a class, write it as a method, like the function.
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
        for cached in ("_takes_name", "_claims"):
            method.__dict__.pop(cached, None)
        method.function = method.__wrapped__ = function  # type: ignore[attr-defined]
        method._fits = self._method_fits[instance is None]
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

        All arguments are passed to the function. Only if it has no parameter `name`, `name=` names the node.
        Inside a function that runs as a node, a call without tensors computes and returns the value(s) at once.
        Raises TypeError if the function cannot be called with these arguments, because one is missing or has no
        parameter, or if an argument contradicts the annotation of its parameter.
        """
        name = self._name or self._kernel.node_name
        if "name" in kwargs and not self._takes_name:
            name = _checked_name(kwargs.pop("name"), self._kernel) or name
        shape = shape_of(args, kwargs) if kwargs else len(args)
        if shape not in self._fits and not self._kernel.numpy:
            check_shape(self.function, self._kernel.__name__, shape_of(args, kwargs))
            self._fits.add(shape)
        found: list[Tensor] = []
        tracing = local.tracing
        convert = as_tensor if tracing is None else tracing.argument
        lifted, named_args = nest.lift_call(args, kwargs, found, convert)
        kernel, plain = self._kernel, True
        if not kwargs and len(found) == len(args) and all([type(item) is nest.Slot for item in lifted]):
            attrs: Mapping[str, Any] = _positional_attrs(len(args))
        else:
            attrs = {"template": (lifted, named_args)}
            plain = nest.are_plain(lifted) and (not kwargs or nest.are_plain(named_args.values()))
            if not plain:
                kernel = self._kernel_for([*lifted, *named_args.values()])
        if found:
            graph = found[0].op.graph
            if self._claims:
                self._check(args, kwargs, convert)
        elif inside_node():
            return self._computed(args, kwargs)
        else:
            graph = get_default_graph()
        if not plain:
            refuse_used_up(nest.constants([*lifted, *named_args.values()]), kernel.__name__)
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
            source=self.source,
        )

    def _kernel_for(self, items: list) -> UserFunction:
        """The kernel for a call's constant arguments: a separate one if they hold functions or objects."""
        parts = tuple(given(nest.constants(items)))
        return self._made_kernel(parts) if parts else self._kernel

    def _made_kernel(self, parts: tuple = ()) -> UserFunction:
        known, function = self._kernel, self.function
        types = known.outputs, known.types
        return kernel_of(function, *types, self._traits, self._gradient, known.numpy, parts, known.shapes)

    def _computed(self, args: tuple, kwargs: dict) -> Any:
        """Compute the value at once: the caller is a function that runs as a node.

        A coroutine that runs as a node gets a coroutine to await.
        """
        if self._traits.waits and on_loop():
            return self._kernel.wait(args, kwargs)
        results = self._kernel.results(args, kwargs)
        if self._kernel.outputs is None:
            return results[0]
        return results or None

    def _check(self, args: tuple, kwargs: dict, convert: Callable[[Any], Tensor | None]) -> None:
        """Raise TypeError for a tensor that contradicts the annotation of its parameter."""
        names, annotated, star_args = self._claims
        given = [(names[at] if at < len(names) else None, value) for at, value in enumerate(args)]
        for name, value in (*given, *kwargs.items()):
            claim = star_args if name is None else annotated.get(name)
            tensor = None if claim is None else convert(value)
            if claim is not None and tensor is not None:
                check(self._kernel.__name__, name or "*args", claim, tensor)

    @functools.cached_property
    def _claims(self) -> tuple:
        """The certain content of the function's parameter annotations; empty if there is none."""
        claims = parameters_of(self.function)
        return claims if claims[1] or claims[2] else ()

    @functools.cached_property
    def _takes_name(self) -> bool:
        return takes_name(self.function)


if TYPE_CHECKING:

    class OpOfSeveral(Op[P, Any]):
        """An Op whose calls return lists of tensors."""

        def __call__(self, /, *args: Any, **kwargs: Any) -> list[Tensor[Any]]: ...

    class OpOfNone(Op[P, Any]):
        """An Op whose call gives an operation."""

        def __call__(self, /, *args: Any, **kwargs: Any) -> Operation: ...

    class Options(TypedDict, total=False):
        """The options of `op` besides `outputs`."""

        dtype: Any
        shape: Any
        pure: bool
        isolated: bool
        here: bool
        num_cpus: float | None
        num_gpus: float | None
        memory: float | None
        resources: Mapping[str, float] | None
        label_selector: Mapping[str, str] | None
        limits: Mapping[str, int] | None
        retries: int | Retry
        timeout: float | None
        name: str | None


def _checked_name(name: Any, kernel: UserFunction) -> str | None:
    if name is not None and not isinstance(name, str):
        raise TypeError(
            f"{kernel.__name__} has no parameter `name`, so `name=` names the node: a string, not {name!r}."
        )
    return name


class Lift(Protocol):
    """A decorator that turns a function into an op with one output."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, T]], /) -> Op[P, T]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> Op[P, T]: ...


@overload
def op(
    function: Callable[P, Coroutine[Any, Any, T]], /, *, outputs: None = ..., **options: Unpack[Options]
) -> Op[P, T]: ...
@overload
def op(function: Callable[P, T], /, *, outputs: None = ..., **options: Unpack[Options]) -> Op[P, T]: ...
@overload
def op(function: Callable[P, Any], /, *, outputs: int, **options: Unpack[Options]) -> OpOfSeveral[P]: ...
@overload
def op(*, outputs: Literal[0], **options: Unpack[Options]) -> Callable[[Callable[P, Any]], OpOfNone[P]]: ...
@overload
def op(*, outputs: int, **options: Unpack[Options]) -> Callable[[Callable[P, Any]], OpOfSeveral[P]]: ...
@overload
def op(*, outputs: None = ..., **options: Unpack[Options]) -> Lift: ...
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
    """Make a Python function a node: calling it adds an operation to the graph and returns a Tensor.

    outputs: None: the return value is one value. A number n: the function returns a tuple of n values, and the call a
        list of n tensors (an Operation for 0).
    dtype, shape: of the output, or a list of them for several; if unset, the value may be any Python object. At run
        time, InvalidArgumentError is raised for a value that does not fit.
    pure: equal arguments always give equal results, without side effects; equal calls may then be made only once.
    isolated: never run it in the caller's process.
    here: always run it in the caller's process; calls that are not pure run in the order of their creation.
    num_cpus, num_gpus, memory (bytes), resources, label_selector: what one call needs of a machine, as in Ray.
    limits: how much of the session's named limits one call takes: a function with {"api": 1} is called at most five
        times at once if the session was made with ConfigProto(limits={"api": 5}). Such a call runs in the caller's
        process, in a thread next to the others, or on the program's loop if it is an `async def`.
    retries: how often to call it again if it raises; or a tf.Retry, which also says how long to wait, and for which
        errors.
    timeout: seconds that one call may take once it has started: waiting for a free worker does not count, and each
        retry gets the full time. A call that takes longer ends the run with DeadlineExceededError.
    Raises TypeError or ValueError for invalid options. docs/functions.md says what a function may rely on.

        @weftwork.op(outputs=2)
        def split(text): return text[:1], text[1:]
    """
    if function is not None:
        check_callable(function)
    types, raw = _output_specs(outputs, dtype, shape)
    machine = needed(num_cpus, num_gpus, memory, resources)
    traits = _traits(isolated, here, retries, timeout, machine, selected(label_selector), limited(limits))
    coroutine = replace(traits, waits=True)
    if function is None:
        traits.check_place("@op") if timeout is None else coroutine.check_place("@op")

    def lift(function: Callable) -> Op:
        check_callable(function)
        own_traits = coroutine if is_coroutine_function(function) else traits
        own_traits.check_place("@op")
        return Op(function, outputs, types, raw, pure, own_traits, name)

    return lift if function is None else lift(function)


def _traits(isolated: bool, here: bool, retries: Any, timeout: Any, resources: Any, labels: Any, limits: Any) -> Traits:
    """The traits for a user's options. Raises TypeError or ValueError for invalid ones."""
    Retry.of(retries)
    seconds_of("timeout", timeout)
    if timeout is not None and timeout <= 0:
        raise ValueError(f"timeout must be a positive number of seconds, not {timeout!r}.")
    options = {"isolated": isolated, "here": here, "retries": retries, "timeout": timeout}
    return Traits(user=True, resources=resources, labels=labels, limits=limits, **options)


def _output_specs(outputs: Any, dtype: Any, shape: Any) -> tuple[tuple[DType, ...], tuple[shapes.RawShape, ...]]:
    """The dtype and the shape of each output."""
    if outputs is not None and (not isinstance(outputs, int) or outputs < 0):
        raise ValueError(f"outputs must be an integer or None, not {outputs!r}.")
    count = 1 if outputs is None else outputs
    types = tuple([as_dtype(d) for d in _one_for_each_output(dtype, count, dtypes.object, "dtype")])
    return types, tuple(
        [shapes.as_raw(s) for s in _one_for_each_output(shape, count, None, "shape", one=outputs is None)]
    )


def _one_for_each_output(given: Any, count: int, default: Any, word: str, one: bool = False) -> list:
    if given is None:
        return [default] * count
    if one:
        return [given]
    if isinstance(given, (list, tuple)):
        if len(given) != count:
            raise ValueError(f"{word} has {len(given)} entries for {count} outputs.")
        return list(given)
    return [given] * count


def py_func(
    func: Callable[..., Any], inp: Sequence[Any], Tout: Any, stateful: bool = True, name: str | None = None
) -> Any:
    """TensorFlow 1's spelling of a Python function as a node: func(*arrays) returns arrays of the dtypes `Tout`.

    Returns a Tensor if `Tout` is one dtype, a list of them if it is a list. The node has no derivative: its gradient
    is None. The function may write into its arguments.
    stateful: call it in the caller's process, once for each node and run, in the order of creation. stateful=False
    declares the function pure: equal calls may be made only once, anywhere.
    At run time, InvalidArgumentError is raised if a dtype of `Tout` cannot hold the returned value, or for another
    number of values, and InternalError for an object that no dtype can hold. A list is a list of values, unless `Tout`
    is `tf.object`.
    """
    if not callable(func):
        raise ValueError(f"py_func expected func to be callable, but got {func!r}.")
    check_callable(func)
    several = isinstance(Tout, (list, tuple))
    types = tuple([as_dtype(dtype) for dtype in (Tout if several else [Tout])])
    traits = _STATEFUL if stateful else _STATELESS
    whole = not several and types[0] is dtypes.object  # a list is an object, too
    kind = "PyFunc" if stateful else "PyFuncStateless"
    outputs = None if whole else len(types)
    node = Op(func, outputs, types, (None,) * len(types), not stateful, traits, name or kind, numpy=True)
    made = node(*[convert_to_tensor(x) for x in inp])
    return made if several or whole else made[0]


_STATEFUL, _STATELESS = Traits(user=True, here=True), Traits(user=True)
