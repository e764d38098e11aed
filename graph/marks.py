"""Notes that TensorFlow's internals keep on operations: further attributes, kernel labels, original operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from weftwork.graph.collections import Collections
from weftwork.graph.dead import may_die

if TYPE_CHECKING:
    from weftwork.graph.operation import Operation


def is_attr_value(value: Any) -> bool:
    """Whether `value` is an AttrValue, whoever compiled it."""
    return getattr(getattr(value, "DESCRIPTOR", None), "name", None) == "AttrValue"


class Marks(Collections):
    """The part of a graph that keeps these notes.

    marks: the further attributes (AttrValues) of operations that have any.
    dead: operations whose outputs may be dead (`graph/dead.py`).
    originals: maps an operation made for another one, such as one of its gradient, to that other one.
    """

    def __init__(self):
        super().__init__()
        self.marks: dict[Operation, dict[str, Any]] = {}
        self.originals: dict[Operation, Operation] = {}
        self._attr_scopes: dict[str, Any] = {}
        self._kernel_labels: dict[str, str] = {}
        self._original: Operation | None = None
        self.dead: set[Operation] = set()
        self._marking = False

    @contextmanager
    def _attr_scope(self, attr_map: Mapping[str, Any]) -> Iterator[None]:
        """A context manager: operations created inside have these attributes.

        attr_map: AttrValues by name, functions that take a NodeDef and give one or None, or None for no attribute.
        Raises TypeError for anything else.
        """
        if not isinstance(attr_map, dict):
            raise TypeError("attr_map must be a dictionary mapping strings to Callable attr objects")
        if not all(isinstance(k, str) and (v is None or callable(v) or is_attr_value(v)) for k, v in attr_map.items()):
            raise TypeError(
                "attr_map must be a dictionary mapping strings to Callable attr objects, AttrValue protocol buffers "
                "or callables that emit AttrValue protocol buffers"
            )
        merged = {key: value for key, value in {**self._attr_scopes, **attr_map}.items() if value is not None}
        with self._marking_with("_attr_scopes", merged):
            yield

    @contextmanager
    def _kernel_label_map(self, op_to_kernel_label_map: Mapping[str, str]) -> Iterator[None]:
        """A context manager: operations of these types, created inside, have the attribute `_kernel`.

        It has no effect, because there is only one kernel for each type.
        """
        words = op_to_kernel_label_map
        if not isinstance(words, dict) or not all(isinstance(w, str) for pair in words.items() for w in pair):
            raise TypeError("op_to_kernel_label_map must be a dictionary mapping strings to strings")
        with self._marking_with("_kernel_labels", {**self._kernel_labels, **words}):
            yield

    @contextmanager
    def _original_op(self, op: Operation) -> Iterator[None]:
        """A context manager: operations created inside are made for `op`, and have it as `_original_op`."""
        with self._marking_with("_original", op):
            yield

    @contextmanager
    def _marking_with(self, name: str, value: Any) -> Iterator[None]:
        outer, was = getattr(self, name), self._marking
        setattr(self, name, value)
        self._marking = True
        try:
            yield
        finally:
            setattr(self, name, outer)
            self._marking = was or bool(self.dead)

    def may_be_dead(self, op: Operation) -> None:
        """Note that outputs of an operation may be dead, so that operations that use them can be skipped."""
        self.dead.add(op)
        self._marking = True

    def _mark(self, op: Operation) -> None:
        """Attach the open scopes' notes to a new operation."""
        if self.dead and may_die(op, self.dead):
            self.dead.add(op)
        if self._original is not None:
            self.originals[op] = self._original
        for key, value in self._attr_scopes.items():
            made = value(op.node_def) if callable(value) else value
            if made is not None and not is_attr_value(made):
                raise TypeError(
                    f"Callable for scope map key '{key}' must return either None or an AttrValue protocol buffer; but "
                    f"it returned: {made}"
                )
            if made is not None:
                self.marks.setdefault(op, {})[key] = made
        if op.type in self._kernel_labels:
            from_label = op.node_def.attr["_kernel"]
            from_label.s = self._kernel_labels[op.type].encode()
            self.marks.setdefault(op, {})["_kernel"] = from_label
