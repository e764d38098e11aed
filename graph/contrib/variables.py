"""Variables in the manner of contrib's layers: creating model or local ones, finding them by scope, name or suffix."""

from __future__ import annotations

import re
from typing import Any

from weftwork.graph.build import placeholder
from weftwork.graph.contrib.arg_scope import add_arg_scope
from weftwork.graph.graph import GraphKeys
from weftwork.graph.ops.flow import group
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.sharing import get_variable
from weftwork.graph.variables.variable import Variable
from weftwork.graph.variables.variable_scopes import VariableScope


@add_arg_scope
def variable(
    name: str,
    shape: Any = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    collections: Any = None,
    caching_device: Any = None,
    device: Any = None,
    partitioner: Any = None,
    custom_getter: Any = None,
    use_resource: Any = None,
    **kwargs: Any,
) -> Any:
    """`get_variable`, adding the variable to GLOBAL_VARIABLES and the given collections, on a device."""
    names = list(dict.fromkeys(collections or [GraphKeys.GLOBAL_VARIABLES]))
    with get_default_graph().device(device or ""):
        return get_variable(
            name, shape, dtype, initializer, regularizer, trainable, names, caching_device, partitioner,
            custom_getter=custom_getter,
        )  # fmt: skip


@add_arg_scope
def model_variable(name: str, *args: Any, collections: Any = None, **kwargs: Any) -> Any:
    """`variable`, also adding it to MODEL_VARIABLES."""
    names = [*(collections or []), GraphKeys.GLOBAL_VARIABLES, GraphKeys.MODEL_VARIABLES]
    return variable(name, *args, collections=names, **kwargs)


def local_variable(
    initial_value: Any, validate_shape: bool = True, name: str | None = None, use_resource: Any = None
) -> Variable:
    """A variable that is neither saved nor trained."""
    return Variable(
        initial_value,
        trainable=False,
        collections=[GraphKeys.LOCAL_VARIABLES],
        validate_shape=validate_shape,
        name=name,
    )


def get_variables(
    scope: Any = None, suffix: str | None = None, collection: str = GraphKeys.GLOBAL_VARIABLES
) -> list[Variable]:
    """The variables of a collection whose names begin with a scope and end with a suffix."""
    if isinstance(scope, VariableScope):
        scope = scope.name
    if suffix is not None:
        scope = f"{scope or ''}.*{suffix if ':' in suffix else suffix + ':0'}"
    return get_default_graph().get_collection(collection, scope)


def get_variables_by_name(given_name: str, scope: Any = None) -> list[Variable]:
    """The variables whose last name component is this one."""
    suffix = f"/{given_name}:|^{given_name}:"
    return [v for v in get_variables(scope) if re.search(suffix, v.name)]


def get_variables_by_suffix(suffix: str, scope: Any = None) -> list[Variable]:
    """The variables whose names end with this suffix."""
    return get_variables(scope, suffix)


def get_unique_variable(var_op_name: str) -> Variable:
    """The only variable of a name. Raises ValueError if there is none, or several."""
    found = [v for v in get_variables(var_op_name) if v.op.name == var_op_name]
    if len(found) != 1:
        raise ValueError(f"Variable {var_op_name} does not uniquely identify a variable: {found}")
    return found[0]


def get_model_variables(scope: Any = None, suffix: str | None = None) -> list[Variable]:
    """The model variables; see `get_variables`."""
    return get_variables(scope, suffix, GraphKeys.MODEL_VARIABLES)


def get_local_variables(scope: Any = None, suffix: str | None = None) -> list[Variable]:
    """The local variables; see `get_variables`."""
    return get_variables(scope, suffix, GraphKeys.LOCAL_VARIABLES)


def get_trainable_variables(scope: Any = None, suffix: str | None = None) -> list[Variable]:
    """The variables that optimizers train; see `get_variables`."""
    return get_variables(scope, suffix, GraphKeys.TRAINABLE_VARIABLES)


def get_variables_to_restore(include: Any = None, exclude: Any = None) -> list[Variable]:
    """The variables in the included scopes (None: all) that are not in the excluded ones."""
    if include is None:
        kept = get_variables()
    else:
        kept = [v for scope in include for v in get_variables(scope)]
    excluded = {v for scope in exclude or () for v in get_variables(scope)}
    return [v for v in kept if v not in excluded]


filter_variables_by = get_variables


def assign_from_values(var_names_to_values: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """(an operation that assigns values to variables, its feeds), from a dict of names to arrays."""
    ops, feeds = [], {}
    for name, value in var_names_to_values.items():
        target = get_unique_variable(name)
        place = placeholder(target.dtype.base_dtype, target.shape)
        ops.append(target.assign(place).op)
        feeds[place] = value
    return group(*ops), feeds


def assign_from_values_fn(var_names_to_values: dict[str, Any]) -> Any:
    """A function of a session that assigns values to variables."""
    op, feeds = assign_from_values(var_names_to_values)
    return lambda session: session.run(op, feeds)
