"""A scope of variables: the prefix of their names, and what `get_variable` takes where it is not told."""

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
"""Make the variable when it is not there, share it when it is."""


def no_regularizer(_: Any) -> None:
    """The regularizer that says: none, whatever the outer scope says."""
    return None


class VariableScope:
    """The defaults for the variables that are made inside a scope.

    name: the prefix of their names.   reuse: None, True or AUTO_REUSE.
    initializer, regularizer, caching_device, custom_getter, dtype, constraint, partitioner: used where `get_variable`
    gets none.
    """

    def __init__(
        self,
        reuse: Any,
        name: str = "",
        initializer: Any = None,
        regularizer: Any = None,
        caching_device: Any = None,
        name_scope: str = "",
        custom_getter: Callable[..., Any] | None = None,
        dtype: Any = float32,
        constraint: Any = None,
        use_resource: bool | None = None,
        partitioner: Callable[..., Any] | None = None,
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
        """From now on variables of this scope must be there already."""
        self._reuse = True

    def set_initializer(self, initializer: Any) -> None:
        """The initializer of what is made inside."""
        self.initializer = initializer

    def set_regularizer(self, regularizer: Any) -> None:
        """The regularizer of what is made inside."""
        self.regularizer = regularizer

    def set_caching_device(self, caching_device: Any) -> None:
        """The device that cached reads of what is made inside name; a session's values are found everywhere."""
        self.caching_device = caching_device

    def set_dtype(self, dtype: Any) -> None:
        """The dtype of what is made inside."""
        self.dtype = as_dtype(dtype)

    def set_use_resource(self, use_resource: bool) -> None:
        """Taken and kept: there is one kind of variable."""
        self.use_resource = use_resource

    def set_custom_getter(self, custom_getter: Callable[..., Any] | None) -> None:
        """The function through which variables are got inside."""
        self.custom_getter = custom_getter

    def set_partitioner(self, partitioner: Callable[..., Any] | None) -> None:
        """What says in how many parts variables are made inside."""
        self.partitioner = partitioner

    def get_collection(self, name: Any) -> list[Any]:
        """The items of a collection whose names are in this scope."""
        return get_default_graph().get_collection(name, f"{self.name}/" if self.name else "")

    def global_variables(self) -> list[Any]:
        """The variables of this scope."""
        return self.get_collection(GraphKeys.GLOBAL_VARIABLES)

    def trainable_variables(self) -> list[Any]:
        """The variables of this scope that optimizers work on."""
        return self.get_collection(GraphKeys.TRAINABLE_VARIABLES)

    def local_variables(self) -> list[Any]:
        """The local variables of this scope."""
        return self.get_collection(GraphKeys.LOCAL_VARIABLES)
