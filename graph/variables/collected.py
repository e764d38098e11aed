"""The variables of a graph: collections of them, and operations that initialize or check many."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply
from weftwork.graph.graph import GraphKeys
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops.flow import group
from weftwork.graph.seams import seams
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables import writes as state_ops


def global_variables(scope: str | None = None) -> list[Any]:
    """The variables of the default graph."""
    return get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


all_variables = global_variables


def trainable_variables(scope: str | None = None) -> list[Any]:
    """The variables that optimizers train."""
    return get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)


def local_variables(scope: str | None = None) -> list[Any]:
    """The variables that are not part of a model's state."""
    return get_default_graph().get_collection(GraphKeys.LOCAL_VARIABLES, scope)


def model_variables(scope: str | None = None) -> list[Any]:
    """The variables of the collection MODEL_VARIABLES."""
    return get_default_graph().get_collection(GraphKeys.MODEL_VARIABLES, scope)


def variables_initializer(var_list: Any, name: str = "init") -> Operation:
    """An operation that gives each variable of `var_list` its initial value."""
    return group(*[v.initializer for v in var_list or ()], name=name)


def global_variables_initializer() -> Operation:
    """An operation that initializes the variables that exist now."""
    return variables_initializer(global_variables())


def local_variables_initializer() -> Operation:
    """An operation that initializes the local variables that exist now."""
    return variables_initializer(local_variables())


initialize_variables = variables_initializer


initialize_all_variables = global_variables_initializer


initialize_local_variables = local_variables_initializer


def is_variable_initialized(variable: Any) -> Tensor:
    """A boolean: whether `variable` has a value."""
    return state_ops.is_variable_initialized(variable)


def assert_variables_initialized(var_list: Any = None) -> Tensor | None:
    """The ranks of variables [n]; at run time, FailedPreconditionError if one has no value. None if there are none.

    A single variable's rank is a scalar.
    """
    var_list = list(global_variables() + local_variables() if var_list is None else var_list)
    if not var_list:
        return None
    ranks = [apply(np.ndim, [v._ref()], type="Rank", dtype=dtypes.int32, shape=()) for v in var_list]
    return ranks[0] if len(ranks) == 1 else seams.stack(ranks)


def report_uninitialized_variables(var_list: Any = None, name: str = "report_uninitialized_variables") -> Tensor:
    """The names, as bytes [n], of the variables that have no value."""
    if var_list is None:
        var_list = global_variables() + local_variables()
    names = tuple([v.op.name.encode() for v in var_list])
    return state_ops.peek(
        "ReportUninitialized",
        state_ops.names_of_uninitialized,
        list(var_list),
        [],
        {"names": names},
        (dtypes.string, (None,)),
        name,
    )
