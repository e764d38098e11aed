"""Templates: functions that create variables in their first call and share them with all later calls."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from weftwork.graph.graph import GraphKeys
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.scoping import variable_scope
from weftwork.graph.variables.variable_scopes import VariableScope


def make_template(
    name_: str,
    func_: Callable[..., Any],
    create_scope_now_: bool = False,
    unique_name_: str | None = None,
    custom_getter_: Callable[..., Any] | None = None,
    **kwargs: Any,
) -> Template:
    """Bind `func_` to the arguments `kwargs` and to a variable scope of its own: `name_`, made unique, or
    `unique_name_`.

    The first call creates the variables, and all later ones share them, wherever in the graph they are made.
    create_scope_now_: create the scope now rather than in the first call.
    A later call raises ValueError if it creates a trainable variable that the first did not create.
    custom_getter_: as `custom_getter` of `variable_scope`.
    """
    function = functools.partial(func_, **kwargs) if kwargs else func_
    return Template(name_, function, create_scope_now_, unique_name_, custom_getter_)


class Template:
    """A function that shares its variables among its calls. Made by `make_template`."""

    def __init__(
        self, name: str, function: Callable, create_scope_now: bool, unique_name: str | None, custom_getter: Any
    ):
        if not name:
            raise ValueError("name cannot be None.")
        self._name, self._function, self._unique_name = name, function, unique_name
        self._custom_getter = custom_getter
        self._scope: VariableScope | None = None
        self._called = False
        if create_scope_now:
            with self._opened(names_too=False) as scope:
                self._scope = scope

    def _opened(self, names_too: bool = True) -> Any:
        """Enter the scope, which the first call creates.   names_too: also its name scope, as calls do."""
        if self._scope is not None:
            return variable_scope(self._scope, reuse=self._called or None)
        named = (self._unique_name,) if self._unique_name else (None, self._name)
        return variable_scope(*named, custom_getter=self._custom_getter, auxiliary_name_scope=names_too)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._opened() as scope:
            if self._scope is None:
                self._scope = scope
            count_before = len(get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES))
            result = self._function(*args, **kwargs)
            created = get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES)[count_before:]
            if self._called and created:
                raise ValueError(
                    "Trainable variable created when calling a template after the first time, perhaps you used "
                    f"tf.Variable when you meant tf.get_variable: {created}"
                )
            self._called = True
            return result

    @property
    def name(self) -> str:
        """The given name, or that of the scope once it exists."""
        return self._name if self._scope is None else self._scope.name

    @property
    def func(self) -> Callable:
        """The function."""
        return self._function

    @property
    def variable_scope(self) -> VariableScope | None:
        """The scope of its variables; None before it exists."""
        return self._scope

    @property
    def var_scope(self) -> VariableScope | None:
        """The same as `variable_scope`."""
        return self._scope

    @property
    def variable_scope_name(self) -> str | None:
        """The name of that scope with a slash at its end; None before it exists."""
        return f"{self._scope.name}/" if self._scope is not None and self._scope.name else None

    def _collection(self, name: str) -> list:
        return [] if self._scope is None else self._scope.get_collection(name)

    @property
    def global_variables(self) -> list:
        """Its variables that belong to the model's state."""
        return self._collection(GraphKeys.GLOBAL_VARIABLES)

    @property
    def local_variables(self) -> list:
        """Its local variables."""
        return self._collection(GraphKeys.LOCAL_VARIABLES)

    @property
    def variables(self) -> list:
        """All its variables."""
        return self.global_variables + self.local_variables

    weights = variables

    @property
    def trainable_variables(self) -> list:
        """Its variables that optimizers train."""
        return self._collection(GraphKeys.TRAINABLE_VARIABLES)

    @property
    def non_trainable_variables(self) -> list:
        """Its other variables."""
        trainable = set(self.trainable_variables)
        return [variable for variable in self.variables if variable not in trainable]
