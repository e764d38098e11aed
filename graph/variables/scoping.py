"""The scopes of variables: how `variable_scope` opens them.

scope    a name prefix and defaults (initializer, regularizer, reuse ...) for variables created inside; each thread
         has its own
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from weftwork.graph.build import graph_of
from weftwork.graph.graph import Graph
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.variable_scopes import AUTO_REUSE, VariableScope


def first_given(*given: Any) -> Any:
    """The first argument that is not None."""
    return next((item for item in given if item is not None), None)


def get_variable_scope() -> VariableScope:
    """The scope in which the default graph's next variable is created."""
    graph = get_default_graph()
    if graph.variable_scope is None:
        graph.variable_scope = VariableScope(False)
    return graph.variable_scope


class variable_scope:
    """A context manager: a scope for variables and a name scope of the same name; gives the scope.

    name_or_scope: a name within the current scope, or a VariableScope to re-enter; None uses `default_name`, made
        unique among the scopes of its parent.
    values: tensors whose graph becomes the default graph inside.
    initializer, regularizer, caching_device, partitioner, custom_getter, dtype, use_resource: defaults for the
        variables created inside; None keeps those of the outer scope, or of the scope that is re-entered.
    constraint: the default for the variables of this scope; scopes inside do not have it.
    reuse: None keeps the outer scope's setting; else True or AUTO_REUSE.
    auxiliary_name_scope: False opens no name scope.
    Raises ValueError or TypeError for invalid arguments.
    """

    def __init__(
        self,
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
    ):
        _check_arguments(name_or_scope, default_name, reuse)
        if not isinstance(auxiliary_name_scope, bool):
            raise TypeError(f"The auxiliary_name_scope must be `True` or `False`, while get {auxiliary_name_scope}")
        self._name_or_scope, self._default_name, self._values = name_or_scope, default_name, values
        self._reuse, self._names_too = reuse, auxiliary_name_scope
        self._given = {
            "initializer": initializer,
            "regularizer": regularizer,
            "caching_device": caching_device,
            "partitioner": partitioner,
            "dtype": dtype,
            "use_resource": use_resource,
        }
        self._getter, self._constraint = custom_getter, constraint
        self._open: list[Any] = []

    def __enter__(self) -> VariableScope:
        opened = self._opening()
        scope = opened.__enter__()
        self._open.append(opened)
        return scope

    def __exit__(self, *error: Any) -> None:
        self._open.pop().__exit__(*error)

    @contextmanager
    def _opening(self) -> Iterator[VariableScope]:
        graph = graph_of(self._values or ())
        with graph.as_default():
            outer = get_variable_scope()
            given = self._name_or_scope
            parent = given if isinstance(given, VariableScope) else outer
            reentered = isinstance(given, VariableScope)
            name = _scope_name(graph, outer, given, self._default_name)
            local = given.name.rpartition("/")[2] if isinstance(given, VariableScope) else given or self._default_name
            with graph.name_scope(local) if self._names_too and local else _same_names(graph) as prefix:
                scope = VariableScope(
                    self._reuse or (outer.reuse if not reentered else parent.reuse or outer.reuse),
                    name,
                    name_scope=parent.original_name_scope if reentered else prefix,
                    custom_getter=_chain_getters(self._getter, parent.custom_getter),
                    constraint=self._constraint,
                    **{key: first_given(value, getattr(parent, key)) for key, value in self._given.items()},
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
