"""Variable scopes: a prefix for variable names, and defaults for the arguments of `get_variable`."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from weftwork.graph.dtypes import as_dtype, float32
from weftwork.graph.graph import GraphKeys
from weftwork.graph.stacks import get_default_graph


class _Reuse(enum.Enum):
    AUTO_REUSE = 1

    def __repr__(self) -> str:
        return "tf.AUTO_REUSE"

    __str__ = __repr__


AUTO_REUSE = _Reuse.AUTO_REUSE
"""Create the variable if it does not exist, else share it."""


def no_regularizer(_: Any) -> None:
    """A regularizer that means none, even if the outer scope has one."""
    return None


class VariableScope:
    """The defaults for variables created inside a scope.

    name: the prefix of their names.   reuse: None, True or AUTO_REUSE.
    initializer, regularizer, caching_device, custom_getter, dtype, constraint, partitioner: used if `get_variable` gets
    none.
    name_scope: the name scope that belongs to it.
    """

    def __init__(
        self,
        reuse: Any,
        name: str = "",
        initializer: Any = None,
        regularizer: Any = None,
        caching_device: Any = None,
        partitioner: Callable[..., Any] | None = None,
        custom_getter: Callable[..., Any] | None = None,
        name_scope: str = "",
        dtype: Any = float32,
        use_resource: bool | None = None,
        constraint: Any = None,
    ):
        self.name = name
        self.partitioner = partitioner
        self.original_name_scope = name_scope
        self.initializer = initializer
        self.regularizer = regularizer
        self.caching_device = caching_device
        self.custom_getter = custom_getter
        self.dtype = as_dtype(dtype)
        self.constraint = constraint
        self.use_resource = use_resource
        self._reuse = reuse

    @property
    def reuse(self) -> Any:
        """None, True or AUTO_REUSE."""
        return self._reuse

    def reuse_variables(self) -> None:
        """Require the variables of this scope to exist, from now on."""
        self._reuse = True

    def set_initializer(self, initializer: Any) -> None:
        """Set the initializer for variables created inside."""
        self.initializer = initializer

    def set_regularizer(self, regularizer: Any) -> None:
        """Set the regularizer for variables created inside."""
        self.regularizer = regularizer

    def set_caching_device(self, caching_device: Any) -> None:
        """Set the device recorded for cached reads; values are available on every machine of a session."""
        self.caching_device = caching_device

    def set_dtype(self, dtype: Any) -> None:
        """Set the dtype of variables created inside."""
        self.dtype = as_dtype(dtype)

    def set_use_resource(self, use_resource: bool) -> None:
        """Set whether variables created inside are resource variables; None leaves it to the outer setting."""
        self.use_resource = use_resource

    def set_custom_getter(self, custom_getter: Callable[..., Any] | None) -> None:
        """Set the function through which variables are obtained inside."""
        self.custom_getter = custom_getter

    def set_partitioner(self, partitioner: Callable[..., Any] | None) -> None:
        """Set the function that chooses the number of parts of variables created inside."""
        self.partitioner = partitioner

    def get_collection(self, name: Any) -> list[Any]:
        """The items of a collection whose names are in this scope."""
        return get_default_graph().get_collection(name, f"{self.name}/" if self.name else "")

    def global_variables(self) -> list[Any]:
        """The variables of this scope."""
        return self.get_collection(GraphKeys.GLOBAL_VARIABLES)

    def trainable_variables(self) -> list[Any]:
        """The variables of this scope that optimizers train."""
        return self.get_collection(GraphKeys.TRAINABLE_VARIABLES)

    def local_variables(self) -> list[Any]:
        """The local variables of this scope."""
        return self.get_collection(GraphKeys.LOCAL_VARIABLES)
