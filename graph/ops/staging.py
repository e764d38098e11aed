"""Staging areas: one run puts values in, another takes them out, in order or by key.

Like queues, they belong to the session, and are found by their shared name or their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weftwork.graph import dtypes as kinds_of
from weftwork.graph.build import as_tensor, convert_to_tensor
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops.accumulators import SessionObject, scalar_input
from weftwork.graph.ops.flow import identity, no_op
from weftwork.graph.ops.queues import Definition
from weftwork.graph.shapes import TensorShape, as_raw
from weftwork.graph.stacks import get_default_graph


class BaseStagingArea(SessionObject):
    """The base class of both kinds of staging areas.

    kind: the type of the operation that stands for it.
    Raises ValueError for another number of shapes or names than dtypes, or a shared_name that is no string.
    """

    def __init__(
        self, kind: str, dtypes: Any, shapes: Any = None, names: Any = None, shared_name: str | None = None,
        capacity: int = 0, memory_limit: int = 0,
    ):  # fmt: skip
        if shared_name is not None and not isinstance(shared_name, str):
            raise ValueError("shared_name must be a string")
        for what, given in (("shapes", shapes), ("names", names)):
            if given is not None and len(given) != len(dtypes):
                raise ValueError(f"StagingArea {what} must be the same length as dtypes")
        known = tuple([as_dtype(dtype) for dtype in dtypes])
        raw = tuple([as_raw(shape) for shape in shapes or [None] * len(known)])
        self._names = None if names is None else list(names)
        name = shared_name or get_default_graph().unique_name(type(self).__name__, mark_as_used=False)
        super().__init__(Definition(kind, capacity, known, raw, (0, 0), memory_limit), {}, shared_name, name)

    @property
    def dtypes(self) -> list[Any]:
        """The dtypes of the components."""
        return list(self._definition.dtypes)

    @property
    def shapes(self) -> list[TensorShape]:
        """The shapes of the components."""
        return [TensorShape(shape) for shape in self._definition.shapes or ()]

    @property
    def names(self) -> list[str] | None:
        """The names of the components."""
        return self._names

    @property
    def capacity(self) -> int:
        """The largest number of elements; 0 is no limit."""
        return self._definition.capacity

    @property
    def memory_limit(self) -> int:
        """The largest number of bytes; 0 is no limit."""
        return self._definition.keep

    def size(self, name: str | None = None) -> Tensor:
        """The number of elements, int32."""
        return self._number("size", name)

    def clear(self, name: str | None = None) -> Operation:
        """The operation that removes all elements."""
        with self._scope("clear", name) as scope:
            return self._node("clear", [], [], scope)

    def _number(self, word: str, name: str | None) -> Tensor:
        with self._scope(word, name) as scope:
            return self._node(word, [], [(kinds_of.int32, ())], scope).outputs[0]

    def _components(self, values: Any, indices: Sequence[int] | None) -> tuple[list[Tensor], list[int]]:
        """The given components as tensors, and which they are."""
        if isinstance(values, dict):
            if not self._names:
                raise ValueError("Staging areas must have names to enqueue a dictionary")
            if not set(values) <= set(self._names):
                both = f"Dictionary: ({sorted(values)}), Queue: ({sorted(self._names)})"
                raise ValueError(f"Keys in dictionary to put do not match names of staging area. {both}")
            indices = [number for number, name in enumerate(self._names) if name in values]
            values = [values[self._names[number]] for number in indices]
        elif self._names:
            raise ValueError("You must enqueue a dictionary in a staging area with names")
        elif indices is None:
            raise ValueError("Indices must be supplied when inserting a list of tensors")
        elif not isinstance(values, (list, tuple)):
            values, indices = [values], [0]
        if len(indices) != len(values):
            raise ValueError(f"Number of indices '{len(indices)}' doesn't match number of values '{len(values)}'")
        if len(values) > len(self.dtypes):
            raise ValueError(f"Unexpected number of inputs '{len(values)}' vs '{len(self.dtypes)}'")
        return [self._component(value, number) for value, number in zip(values, indices, strict=True)], list(indices)

    def _component(self, value: Any, number: int) -> Tensor:
        wanted, given = self.dtypes[number], as_tensor(value)
        if given is not None and given.dtype.base_dtype is not wanted:
            raise ValueError(f"Datatypes do not match. '{given.dtype}' != '{wanted}'")
        tensor = convert_to_tensor(value, wanted, name=f"component_{number}")
        tensor.shape.assert_is_compatible_with(self.shapes[number])
        return tensor

    def _returned(self, tensors: Sequence[Tensor], indices: Sequence[int]) -> Any:
        """Components as a list, or by their names; on the device of the scope."""
        found = self._here(tensors)
        if self._names is not None:
            return {self._names[number]: tensor for number, tensor in zip(indices, found, strict=True)}
        return found

    def _here(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors, copied to the device of the scope if that is not the area's own."""
        return list(tensors) if no_op().device == self._op.device else [identity(tensor) for tensor in tensors]

    def _outputs(self, indices: Sequence[int]) -> list:
        shapes = self._definition.shapes or ()
        return [(self.dtypes[number], shapes[number]) for number in indices]


def _types_of(prefix: str, words: dict[str, str]) -> dict[str, tuple[str, str]]:
    """The types of operations, and their names."""
    return {word: (prefix + kind, f"NAME_{word}") for word, kind in words.items()}


class StagingArea(BaseStagingArea):
    """Values that wait, first in, first out, to be used in a later run: `put` them in one run, `get` them in the next.

    dtypes, shapes, names: of an element's components.   capacity: `put` waits while there are so many elements.
    memory_limit: `put` waits while the elements would take more bytes.   shared_name: areas with one name are one area
    of the session. Raises ValueError for another number of shapes or names than dtypes.

        area = tf.contrib.staging.StagingArea([tf.float32])
        put, (taken,) = area.put([x]), area.get()
    """

    op_types = _types_of("", {"put": "Stage", "get": "Unstage", "peek": "StagePeek", "size": "StageSize"}) | {
        "clear": ("StageClear", "NAME_clear")
    }

    def __init__(
        self, dtypes: Any, shapes: Any = None, names: Any = None, shared_name: str | None = None, capacity: int = 0,
        memory_limit: int = 0,
    ):  # fmt: skip
        super().__init__("Stage", dtypes, shapes, names, shared_name, capacity, memory_limit)

    def put(self, values: Any, name: str | None = None) -> Operation:
        """The operation that adds an element; it waits while there is no room.

        values: a tensor, a list, or a dict if the components have names. Raises ValueError for values that do not
        match. At run time, raises ResourceExhaustedError for more bytes than the limit.
        """
        with self._scope("put", name) as scope:
            given = values if isinstance(values, (list, tuple, dict)) else [values]
            tensors, _ = self._components(given, range(len(given)))
            return self._node("put", tensors, [], scope)

    def get(self, name: str | None = None) -> Any:
        """Take the first element: a list of components, or a dict if they have names. Waits until there is one."""
        every = range(len(self.dtypes))
        with self._scope("get", name) as scope:
            made = self._node("get", [], self._outputs(every), scope)
        return self._returned(made.outputs, every)

    def peek(self, index: Any, name: str | None = None) -> Any:
        """The element with this index, which stays. Waits until there is one.

        index: a scalar integer, counted from 0.
        """
        every = range(len(self.dtypes))
        with self._scope("peek", name) as scope:
            at = scalar_input(index, kinds_of.int32, scope, "index")
            made = self._node("peek", [at], self._outputs(every), scope)
        return self._returned(made.outputs, every)


class MapStagingArea(BaseStagingArea):
    """Values that wait by key to be used in a later run. Their components may be put and taken one by one.

    dtypes, shapes, names: of an element's components.   ordered: `get` without a key takes the element with the
    smallest key.   capacity: `put` waits while there are so many complete elements.   memory_limit: `put` waits while
    the elements would take more bytes.   shared_name: areas with one name are one area of the session.
    Raises ValueError for another number of shapes or names than dtypes.
    """

    op_types = _types_of(
        "Map",
        {
            "put": "Stage", "get": "Unstage", "peek": "Peek", "size": "Size", "incomplete_size": "IncompleteSize",
            "clear": "Clear",
        },
    ) | {"get_any": ("MapUnstageNoKey", "NAME_get_nokey")}  # fmt: skip

    def __init__(
        self, dtypes: Any, shapes: Any = None, names: Any = None, shared_name: str | None = None, ordered: bool = False,
        capacity: int = 0, memory_limit: int = 0,
    ):  # fmt: skip
        kind = "OrderedMapStage" if ordered else "MapStage"
        super().__init__(kind, dtypes, shapes, names, shared_name, capacity, memory_limit)
        if ordered:
            self.op_types = {word: (f"Ordered{kind}", name) for word, (kind, name) in self.op_types.items()}

    def put(self, key: Any, vals: Any, indices: Sequence[int] | None = None, name: str | None = None) -> Operation:
        """The operation that adds components of the element with this key; it waits while there is no room.

        key: a scalar int64.   vals: a list of tensors, or a dict if the components have names.
        indices: which components a list contains, ascending. Raises ValueError for values that do not match.
        At run time, raises InvalidArgumentError for a component that is there already.
        """
        with self._scope("put", name) as scope:
            tensors, numbers = self._components(vals, indices)
            at = scalar_input(key, kinds_of.int64, scope, "key")
            return self._node("put", [at, *tensors], [], scope, [tuple(numbers)])

    def get(self, key: Any = None, indices: Any = None, name: str | None = None) -> Any:
        """Take components of the element with this key, or without a key of any element: (key, components).

        indices: the numbers or the names of the components, all by default. Waits until the element is complete.
        At run time, raises InvalidArgumentError for a component that has been taken.
        """
        numbers = self._numbers(indices)
        if key is not None:
            return self._components_at("get", key, numbers, name)
        with self._scope("get_any", name) as scope:
            outputs = [(kinds_of.int64, ()), *self._outputs(numbers)]
            made = self._node("get_any", [], outputs, scope, [numbers])
        return self._here(made.outputs[:1])[0], self._returned(made.outputs[1:], numbers)

    def peek(self, key: Any, indices: Any = None, name: str | None = None) -> Any:
        """Components of the element with this key, which stay; see `get`."""
        return self._components_at("peek", key, self._numbers(indices), name)[1]

    def incomplete_size(self, name: str | None = None) -> Tensor:
        """The number of elements that lack components, int32."""
        return self._number("incomplete_size", name)

    def _components_at(self, word: str, key: Any, numbers: tuple[int, ...], name: str | None) -> tuple[Any, Any]:
        with self._scope(word, name) as scope:
            at = scalar_input(key, kinds_of.int64, scope, "key")
            made = self._node(word, [at], self._outputs(numbers), scope, [numbers])
        return key, self._returned(made.outputs, numbers)

    def _numbers(self, indices: Any) -> tuple[int, ...]:
        """The numbers of the named or numbered components."""
        if indices is None:
            return tuple(range(len(self.dtypes)))
        if not isinstance(indices, (list, tuple)):
            raise TypeError(f"Invalid indices type '{type(indices)}'")
        if not indices:
            raise ValueError("Empty indices")
        if all(isinstance(index, int) for index in indices):
            return tuple(indices)
        if not all(isinstance(index, str) for index in indices):
            raise TypeError(f"Mixed types in indices '{indices}'. May only be str or int")
        if self._names is None:
            raise ValueError(f"String indices provided '{indices}', but this Staging Area was not created with names.")
        for index in indices:
            if index not in self._names:
                raise ValueError(f"Named index '{index}' not in Staging Area names '{self._names}'")
        return tuple([self._names.index(index) for index in indices])
