"""Variables shared by name: `get_variable`.

store    the variables of a graph that `get_variable` has created, by full name
reuse    None: the variable must be new.  True: it must exist.  AUTO_REUSE: either
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from inspect import Parameter, signature
from typing import Any

import numpy as np

from weftwork.graph import shapes
from weftwork.graph.build import as_tensor
from weftwork.graph.dtypes import DType, as_dtype, float32
from weftwork.graph.graph import Graph, GraphKeys
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.initial_values import initial_value, part_initializer
from weftwork.graph.variables.modes import resource_variables_enabled
from weftwork.graph.variables.partitioned import PartitionedVariable, PartitionInfo, parts_of
from weftwork.graph.variables.scoping import first_given, get_variable_scope, variable_scope
from weftwork.graph.variables.slices import SaveSliceInfo
from weftwork.graph.variables.variable import Variable, VariableAggregation, VariableSynchronization
from weftwork.graph.variables.variable_scopes import VariableScope

_STORE = ("_weftwork_variable_store",)


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
        scope.reuse, first_given(partitioner, scope.partitioner), synchronization, aggregation,
        first_given(use_resource, scope.use_resource, resource_variables_enabled()),
    )  # fmt: skip
    full = "/".join([part for part in (scope.name, name) if part])
    if not full:
        raise ValueError("Variable name can't be empty")
    getter = first_given(custom_getter, scope.custom_getter)
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
        arguments[key] = first_given(arguments[key], getattr(scope, key))
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
    name: str | None,
    shape: Any = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool | None = False,
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
    """As `get_variable`, for a variable that is not part of the model: in LOCAL_VARIABLES, and never trainable."""
    return get_variable(
        name, shape, dtype, initializer, regularizer, False, [*(collections or ()), GraphKeys.LOCAL_VARIABLES],
        caching_device, partitioner, validate_shape, use_resource, custom_getter, constraint, synchronization,
        aggregation,
    )  # fmt: skip


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
    initializer = first_given(request.initializer, scope.initializer)
    with graph.control_dependencies(None), graph.name_scope(None):
        value = initial_value(name, request.shape, new_dtype, initializer, wanted)
        variable = Variable(
            value,
            trainable=request.trainable,
            caching_device=first_given(request.caching_device, scope.caching_device),
            collections=request.collections,
            validate_shape=request.validate_shape,
            name=name,
            dtype=wanted if value is initializer else new_dtype,
            constraint=first_given(request.constraint, scope.constraint),
            synchronization=request.synchronization,
            aggregation=request.aggregation,
            use_resource=request.use_resource,
        )
        store[name] = variable
        _regularize(graph, name, variable, first_given(request.regularizer, scope.regularizer))
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
    if known is None and request.reuse is True and shapes.as_raw(request.shape) != ():
        raise ValueError(
            f"PartitionedVariable {name} does not exist, or was not created with tf.get_variable(). Did you mean to "
            "set reuse=False or reuse=tf.AUTO_REUSE in VarScope?"
        )
    initializer = first_given(request.initializer, scope.initializer)
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
    if known is not None and shape != known.shape:
        raise ValueError(
            f"Trying to reuse partitioned variable {name}, but specified shape {shapes.text(shape)} and found shape "
            f"{known.shape}."
        )
    dtype = scope.dtype if request.dtype is None else as_dtype(request.dtype)
    dims: Any = shape
    counts = request.partitioner(shape=shapes.TensorShape(shape), dtype=dtype)
    if not isinstance(counts, Sequence):
        raise ValueError(f"Partitioner must return a sequence, but saw: {counts}")
    counts, found = list(counts), None if known is None else known.partitions
    if found is not None and counts != found:
        text = f"Trying to reuse partitioned variable {name}, but specified partitions {counts} and found partitions"
        raise ValueError(f"{text} {found}.")
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
