"""Functions whose parameter list is assembled from those of others, so that no list is written twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import Parameter, Signature
from typing import Any

from weftwork.graph.operation import Tensor


def function_with(
    name: str, doc: str | None, module: str, parameters: Iterable[Parameter], body: Callable[..., Tensor]
) -> Any:
    """A function `name` of a module with these parameters, which calls body(**arguments), defaults included.

    body: returns a tensor. To `inspect`, `help` and `pickle` the result looks like a function written in the module.
    """
    signature = Signature(list(parameters), return_annotation="Tensor")

    def function(*args: Any, **kwargs: Any) -> Tensor:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}() {error}") from None
        given.apply_defaults()
        return body(**given.arguments)

    function.__name__ = function.__qualname__ = name
    function.__doc__, function.__module__ = doc, module
    function.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()} | {"return": "Tensor"}
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function
