"""tf.contrib.framework: arg_scope, variables by scope and name, the global step."""

from weftwork import nest
from weftwork.graph.contrib.arg_scope import (
    add_arg_scope,
    arg_scope,
    arg_scope_func_key,
    current_arg_scope,
    has_arg_scope,
)
from weftwork.graph.contrib.smart import smart_cond, smart_constant_value
from weftwork.graph.contrib.variables import (
    assign_from_values,
    assign_from_values_fn,
    get_local_variables,
    get_model_variables,
    get_trainable_variables,
    get_unique_variable,
    get_variables,
    get_variables_by_name,
    get_variables_by_suffix,
    get_variables_to_restore,
    local_variable,
    model_variable,
    variable,
)
from weftwork.graph.default_scopes import (
    get_name_scope,
)
from weftwork.graph.ops.asking import (
    is_tensor,
)
from weftwork.graph.ops.sorting import argsort, sort
from weftwork.graph.ops.specs import BoundedTensorSpec, TensorSpec
from weftwork.graph.training.steps import (
    assert_global_step,
    create_global_step,
    get_global_step,
    get_or_create_global_step,
)
from weftwork.scheduler.saving.from_checkpoint import init_from_checkpoint
from weftwork.scheduler.saving.restoring import (
    assign_from_checkpoint_fn,
)
from weftwork.scheduler.state.checkpoint_state import (
    list_variables,
    load_checkpoint,
    load_variable,
)

__all__ = [
    "BoundedTensorSpec",
    "TensorSpec",
    "argsort",
    "init_from_checkpoint",
    "nest",
    "smart_cond",
    "smart_constant_value",
    "sort",
    "add_arg_scope",
    "arg_scope",
    "arg_scope_func_key",
    "assert_global_step",
    "assign_from_checkpoint_fn",
    "assign_from_values",
    "assign_from_values_fn",
    "create_global_step",
    "current_arg_scope",
    "get_global_step",
    "get_local_variables",
    "get_model_variables",
    "get_name_scope",
    "get_or_create_global_step",
    "get_trainable_variables",
    "get_unique_variable",
    "get_variables",
    "get_variables_by_name",
    "get_variables_by_suffix",
    "get_variables_to_restore",
    "has_arg_scope",
    "is_tensor",
    "list_variables",
    "load_checkpoint",
    "load_variable",
    "local_variable",
    "model_variable",
    "variable",
]
