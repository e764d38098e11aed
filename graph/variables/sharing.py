"""Variables shared by name: `get_variable`, and the scopes that `variable_scope` opens.

store    the variables of a graph that `get_variable` has created, by full name
scope    a name prefix and defaults (initializer, regularizer, reuse ...) for variables created inside; each thread
         has its own
reuse    None: the variable must be new.  True: it must exist.  AUTO_REUSE: either
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from inspect import Parameter, signature
from typing import Any

import numpy as np

from weftwork.graph import shapes
from weftwork.graph.build import as_tensor, graph_of
from weftwork.graph.dtypes import DType, as_dtype, float32
from weftwork.graph.graph import Graph, GraphKeys
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.initial_values import initial_value, part_initializer
from weftwork.graph.variables.modes import resource_variables_enabled
from weftwork.graph.variables.partitioned import PartitionedVariable, PartitionInfo, parts_of
from weftwork.graph.variables.slices import SaveSliceInfo
from weftwork.graph.variables.variable import Variable, VariableAggregation, VariableSynchronization
from weftwork.graph.variables.variable_scopes import AUTO_REUSE, VariableScope

_STORE = ("_weftwork_variable_store",)


def get_variable_scope() -> VariableScope:
    """The scope in which the default graph's next variable is created."""
    graph = get_default_graph()
    if graph.variable_scope is None:
        graph.variable_scope = VariableScope(False)
    return graph.variable_scope


@contextmanager
def variable_scope(
    name_or_scope: Any,
    default_name: str | None = None,
    values: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    caching_device: Any = None,
    partitioner: Any = None,
    custom_getter: Callable[..., Any] | None = None,
    reuse: Any = None,
    dtype: Any = None,
    use_resource: Any = None,
    constraint: Any = None,
    auxiliary_name_scope: bool = True,
) -> Iterator[VariableScope]:
    """Open a scope for variables and a name scope of the same name; yields the scope.

    name_or_scope: a name within the current scope, or a VariableScope to re-enter; None uses `default_name`, made
        unique among the scopes of its parent.
    reuse: None keeps the outer scope's setting; else True or AUTO_REUSE.
    auxiliary_name_scope: False opens no name scope.
    Raises ValueError or TypeError for invalid arguments.
    """
    _check_arguments(name_or_scope, default_name, reuse)
    if not isinstance(auxiliary_name_scope, bool):
        raise TypeError(f"The auxiliary_name_scope must be `True` or `False`, while get {auxiliary_name_scope}")
    graph = graph_of(values or ())
    with graph.as_default():
        outer = get_variable_scope()
        reentered = isinstance(name_or_scope, VariableScope)
        name = _scope_name(graph, outer, name_or_scope, default_name)
        parent = name_or_scope if reentered else outer
        local = name_or_scope.name.rpartition("/")[2] if reentered else (name_or_scope or default_name)
        naming = graph.name_scope(local) if auxiliary_name_scope and local else _same_names(graph)
        with naming as prefix:
            scope = VariableScope(
                reuse or (outer.reuse if not reentered else parent.reuse or outer.reuse),
                name,
                _first_given(initializer, parent.initializer),
                _first_given(regularizer, parent.regularizer),
                _first_given(caching_device, parent.caching_device),
                parent.original_name_scope if reentered else prefix,
                _chain_getters(custom_getter, parent.custom_getter),
                _first_given(dtype, parent.dtype),
                _first_given(constraint, parent.constraint),
                _first_given(use_resource, parent.use_resource),
                _first_given(partitioner, parent.partitioner),
            )
            with _opened(graph, scope, outer, reentered):
                yield scope


@contextmanager
def _opened(graph: Any, scope: VariableScope, outer: VariableScope, reentered: bool) -> Iterator[None]:
    """Make a scope the current one of a graph. Raises RuntimeError if another one is when it is closed."""
    graph.variable_scope = scope
    opened = _opened_scopes(graph)
    opened.add(scope.name)
    before = set(opened)
    try:
        yield
    finally:
        if graph.variable_scope is not scope:
            raise RuntimeError("Improper nesting of variable_scope.")
        graph.variable_scope = outer
        # Default names start over in a re-entered scope, so that its variables can be shared.
        inner = opened - before if reentered else [name for name in opened if name.startswith(f"{scope.name}/")]
        opened.difference_update(inner)


def _check_arguments(name_or_scope: Any, default_name: Any, reuse: Any) -> None:
    if name_or_scope is None and default_name is None:
        raise TypeError("If default_name is None then name_or_scope is required")
    if name_or_scope is not None and not isinstance(name_or_scope, (str, VariableScope)):
        raise TypeError(f"VariableScope: name_or_scope must be a string or VariableScope, but got {name_or_scope!r}.")
    if reuse not in (None, False, True, AUTO_REUSE):
        raise ValueError(f"The reuse parameter must be True or False or None, but got {reuse!r}.")
    if name_or_scope is None and reuse:
        raise ValueError("reuse=True cannot be used without a name_or_scope")


@contextmanager
def _same_names(graph: Graph) -> Iterator[str]:
    scope = graph.get_name_scope()
    yield f"{scope}/" if scope else ""


def _scope_name(graph: Graph, outer: VariableScope, name_or_scope: Any, default_name: str | None) -> str:
    if isinstance(name_or_scope, VariableScope):
        return name_or_scope.name
    prefix = f"{outer.name}/" if outer.name else ""
    if name_or_scope is not None:
        return prefix + name_or_scope
    opened_names = _opened_scopes(graph)
    name, number = f"{prefix}{default_name}", 0
    while name in opened_names:
        number += 1
        name = f"{prefix}{default_name}_{number}"
    return name


def _opened_scopes(graph: Graph) -> set[str]:
    """The names of the scopes opened so far, which default names avoid."""
    holder = graph.get_collection_ref(("_weftwork_opened_scopes",))
    if not holder:
        holder.append(set())
    return holder[0]


def _chain_getters(inner: Callable | None, outer: Callable | None) -> Callable | None:
    """Combine two custom getters: the inner one gets its variables through the outer one."""
    if inner is None or outer is None:
        return inner or outer
    return lambda getter, *args, **kwargs: inner(partial(outer, getter), *args, **kwargs)


@contextmanager
def variable_op_scope(values: Any, name_or_scope: Any, default_name: str | None = None, **kwargs: Any):
    """TensorFlow's older spelling of `variable_scope`.

    name_or_scope, default_name: as in `variable_scope`.
    """
    with variable_scope(name_or_scope, default_name, values, **kwargs) as scope:
        yield scope


def get_variable(
    name: str | None,
    shape: Any = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool | None = None,
    collections: Any = None,
    caching_device: Any = None,
    partitioner: Any = None,
    validate_shape: bool = True,
    use_resource: Any = None,
    custom_getter: Callable[..., Any] | None = None,
    constraint: Any = None,
    synchronization: VariableSynchronization = VariableSynchronization.AUTO,
    aggregation: VariableAggregation = VariableAggregation.NONE,
) -> Any:
    """The variable `name` of the current scope, created or shared according to the scope's `reuse`.

    shape: fully defined, unless the initializer is a value. dtype: None for the scope's (float32).
    initializer: a function of (shape, dtype) or a value; else the scope's; else Glorot uniform for floats, and zeros
        for integers and booleans.
    use_resource: True makes a resource variable; None takes the scope's setting, else `enable_resource_variables`'s.
    regularizer: a function of the variable's tensor; its result is added to REGULARIZATION_LOSSES.
    Raises ValueError if the variable exists but must be new, must exist but does not, or has another shape or dtype.

        with tf.variable_scope("layer", reuse=tf.AUTO_REUSE):
            w = tf.get_variable("w", [3, 4])  # the same variable whenever these lines run
    """
    scope = get_variable_scope()
    request = _Request(
        shape, dtype, initializer, regularizer, trainable, collections, caching_device, validate_shape, constraint,
        scope.reuse, _first_given(partitioner, scope.partitioner), synchronization, aggregation,
        _first_given(use_resource, scope.use_resource, resource_variables_enabled()),
    )  # fmt: skip
    full = "/".join([part for part in (scope.name, name) if part])
    if not full:
        raise ValueError("Variable name can't be empty")
    getter = _first_given(custom_getter, scope.custom_getter)
    if getter is not None and not callable(getter):
        raise ValueError(f"Passed a custom_getter which is not callable: {getter}")
    if getter is not None:
        with get_default_graph().name_scope(None):
            return _through(getter, full, _getter_arguments(request, scope))
    return _create_or_share(full, request)


def _getter_arguments(request: _Request, scope: VariableScope) -> dict[str, Any]:
    """The keyword arguments of a custom getter: those of the request, completed by the scope's defaults."""
    arguments = {**vars(request), "reuse": request.reuse or False}
    for key in ("dtype", "initializer", "regularizer", "caching_device", "constraint"):
        arguments[key] = _first_given(arguments[key], getattr(scope, key))
    if arguments["trainable"] is None:
        arguments["trainable"] = request.synchronization is not VariableSynchronization.ON_READ
    return arguments


def _through(custom_getter: Callable, full: str, arguments: dict[str, Any]) -> Any:
    """The result of a custom getter, which is called with those keyword arguments that it accepts, as in TensorFlow."""
    known = signature(custom_getter).parameters
    takes_any = any([p.kind is Parameter.VAR_KEYWORD for p in known.values()])
    if "constraint" not in known and not takes_any:
        del arguments["constraint"]  # it is younger than many getters
    if "getter" in known and ("name" in known or takes_any):
        return custom_getter(getter=_get, name=full, **arguments)
    return custom_getter(_get, full, **arguments)


def get_local_variable(
    name: str, shape: Any = None, dtype: Any = None, *args: Any, collections: Any = None, **kwargs: Any
) -> Variable:
    """As `get_variable`, for a variable that is not part of the model: in LOCAL_VARIABLES, and not trainable."""
    names = [*(collections or ()), GraphKeys.LOCAL_VARIABLES]
    return get_variable(name, shape, dtype, *args, **{**kwargs, "collections": names, "trainable": False})


@dataclass
class _Request:
    """The arguments of `get_variable`, except the name. Custom getters receive them as keyword arguments."""

    shape: Any = None
    dtype: Any = None
    initializer: Any = None
    regularizer: Any = None
    trainable: bool | None = None
    collections: Any = None
    caching_device: Any = None
    validate_shape: bool = True
    constraint: Any = None
    reuse: Any = None
    partitioner: Callable | None = None
    synchronization: VariableSynchronization = VariableSynchronization.AUTO
    aggregation: VariableAggregation = VariableAggregation.NONE
    use_resource: bool | None = None


def _get(name: str, *args: Any, **kwargs: Any) -> Any:
    """The function that custom getters call. Additional arguments of theirs are ignored."""
    known = _Request.__dataclass_fields__
    initializer = kwargs.get("initializer")
    if initializer is not None and not callable(initializer):
        kwargs["dtype"] = None  # a value has its own
    return _create_or_share(name, _Request(*args, **{key: kwargs[key] for key in kwargs if key in known}))


def _create_or_share(name: str, request: _Request) -> Any:
    if request.partitioner is not None:
        divided = _create_partitioned(name, request)
        if divided is not None:
            return divided
    scope = get_variable_scope()
    graph = get_default_graph()
    store: dict[str, Any] = _store(graph)
    wanted = None if request.dtype is None else as_dtype(request.dtype).base_dtype
    if name in store:
        return _shared(store[name], name, request.shape, wanted, request.reuse)
    if f"{name}/parts" in store and request.partitioner is None:
        if request.reuse is True:
            return store[f"{name}/parts"]
        raise ValueError(
            f"No partitioner was provided, but a partitioned version of the variable was found: {name}/part_0. Perhaps "
            "a variable of the same name was already created with partitioning?"
        )
    if request.reuse is True:
        raise ValueError(
            f"Variable {name} does not exist, or was not created with tf.get_variable(). Did you mean to set "
            "reuse=tf.AUTO_REUSE in VarScope?"
        )
    new_dtype = scope.dtype if wanted is None else wanted
    initializer = _first_given(request.initializer, scope.initializer)
    with graph.control_dependencies(None), graph.name_scope(None):
        value = initial_value(name, request.shape, new_dtype, initializer, wanted)
        variable = Variable(
            value,
            trainable=request.trainable,
            caching_device=_first_given(request.caching_device, scope.caching_device),
            collections=request.collections,
            validate_shape=request.validate_shape,
            name=name,
            dtype=wanted if value is initializer else new_dtype,
            constraint=_first_given(request.constraint, scope.constraint),
            synchronization=request.synchronization,
            aggregation=request.aggregation,
            use_resource=request.use_resource,
        )
        store[name] = variable
        _regularize(graph, name, variable, _first_given(request.regularizer, scope.regularizer))
    return variable


def _create_partitioned(name: str, request: _Request) -> PartitionedVariable | None:
    """A variable partitioned by the scope's partitioner; None if it has no axis to be partitioned along."""
    store, scope = _store(get_default_graph()), get_variable_scope()
    if not callable(request.partitioner):
        raise ValueError(f"Partitioner must be callable, but received: {request.partitioner}")
    if name in store and shapes.as_raw(request.shape) != ():
        raise ValueError(
            f"A partitioner was provided, but an unpartitioned version of the variable was found: {name}.  Perhaps a "
            "variable of the same name was already created without partitioning?"
        )
    known: Any = store.get(f"{name}/parts")
    if known is not None and not request.reuse:
        raise ValueError(
            f"Partitioned variable with name {name} already exists. Did you mean to set reuse=True or "
            "reuse=tf.AUTO_REUSE in VarScope?"
        )
    if known is not None and request.shape is None:
        return known
    initializer = _first_given(request.initializer, scope.initializer)
    constant = as_tensor(initializer)
    if constant is None and initializer is not None and not callable(initializer):
        constant = np.asarray(initializer)
    shape = shapes.as_raw(request.shape if constant is None else constant.shape)
    if not shapes.is_full(shape):
        raise ValueError(
            f"Shape of a new partitioned variable ({name}) must be fully defined, but instead was {shape}."
        )
    if shape == ():
        return None
    dtype = scope.dtype if request.dtype is None else as_dtype(request.dtype)
    dims: Any = shape
    counts = request.partitioner(shape=shapes.TensorShape(shape), dtype=dtype)
    if not isinstance(counts, Sequence):
        raise ValueError(f"Partitioner must return a sequence, but saw: {counts}")
    counts = list(counts)
    if known is not None and counts != known.partitions:
        raise ValueError(
            f"Trying to reuse partitioned variable {name}, but specified partitions {counts} and found partitions "
            f"{known.partitions}."
        )
    parts = []
    for number, (offset, part) in enumerate(parts_of(name, dims, counts)):
        info = PartitionInfo(list(dims), offset)
        where = tuple(slice(a, a + n) for a, n in zip(offset, part, strict=True))
        value = constant[where] if constant is not None else part_initializer(initializer, info)
        one = replace(request, partitioner=None, shape=None if constant is not None else part, initializer=value)
        parts.append(_create_or_share(f"{name}/part_{number}", one))
        parts[-1].save_slice_info = SaveSliceInfo(name, dims, offset, part)
    if known is None:
        known = store[f"{name}/parts"] = PartitionedVariable(name, dims, parts[0].dtype.base_dtype, parts, counts)
    return known


def create_partitioned_variables(
    shape: Any,
    slicing: Any,
    initializer: Any,
    dtype: Any = float32,
    trainable: bool = True,
    collections: Any = None,
    name: str | None = None,
    reuse: Any = None,
) -> list[Variable]:
    """The parts of a variable, with `slicing` parts along each axis; see `get_variable(partitioner=)`.

    Raises ValueError for a slicing of another rank, or along several axes.
    """
    if len(shape) != len(slicing):
        raise ValueError(
            "The 'shape' and 'slicing' of a partitioned Variable must have the length: shape: "
            f"{shape}, slicing: {slicing}"
        )
    if sum([count > 1 for count in slicing]) > 1:
        raise ValueError(f"Can only slice a variable along one dimension: shape: {shape}, partitioning: {slicing}")
    with variable_scope(name, "PartitionedVariable", reuse=reuse):
        result = get_variable(
            None, shape, dtype, initializer, trainable=trainable, collections=collections,
            partitioner=lambda **_: list(slicing),
        )  # fmt: skip
    return list(result)


def _first_given(*given: Any) -> Any:
    """The first argument that is not None."""
    return next((item for item in given if item is not None), None)


def _store(graph: Graph) -> dict[str, Any]:
    holder = graph.get_collection_ref(_STORE)
    if not holder:
        holder.append({})
    return holder[0]


def _shared(known: Variable, name: str, shape: Any, wanted: DType | None, reuse: Any) -> Variable:
    if not reuse:
        raise ValueError(
            f"Variable {name} already exists, disallowed. Did you mean to set reuse=True or reuse=tf.AUTO_REUSE in "
            f"VarScope? Originally defined at:\n\n{known.op.source.text}"
        )
    raw = shapes.as_raw(shape)
    if raw is not None and not shapes.compatible(raw, known.raw_shape):
        raise ValueError(
            f"Trying to share variable {name}, but specified shape {shapes.text(raw)} and found shape "
            f"{shapes.text(known.raw_shape)}."
        )
    if wanted is not None and wanted is not known.dtype.base_dtype:
        raise ValueError(
            f"Trying to share variable {name}, but specified dtype {wanted.name} and found dtype "
            f"{known.dtype.base_dtype.name}."
        )
    return known


def _regularize(graph: Graph, name: str, variable: Variable, regularizer: Any) -> None:
    if regularizer is None:
        return
    with graph.name_scope(f"{name}/Regularizer/"):
        loss = regularizer(variable)
    if loss is not None:
        graph.add_to_collection(GraphKeys.REGULARIZATION_LOSSES, loss)
