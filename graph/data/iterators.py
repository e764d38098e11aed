"""Iterators: nodes that take the next element of a dataset. The position belongs to the session, like a variable.

Two sessions of one graph have separate positions. An iterator's own node is only its name. The nodes that use it are of
the kind that may wait (`Kind.QUEUE`), and `actors.data.host` executes them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.data import structure as structures
from weftwork.graph.data.structure import flatten
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.saveable import Saveable
from weftwork.graph.stacks import get_default_graph

_MANY_CALLS = 32
"""Number of `get_next` calls after which we warn: they were probably meant to be one node."""
_WARNING = (
    "An unusually high number of `Iterator.get_next()` calls was detected. This often indicates that "
    "`Iterator.get_next()` is being called inside a training loop, which will cause gradual slowdown and eventual "
    "resource exhaustion. If this is the case, restructure your code to call `next_element = iterator.get_next()` once "
    "outside the loop, and use `next_element` as the input to some computation that is invoked inside the loop."
)
_PLACEHOLDERS = frozenset({Kind.PLACEHOLDER})
_STATES = frozenset({Kind.VARIABLE, Kind.READ, Kind.PEEK, Kind.QUEUE})


def node_of(
    graph: Graph, type: str, inputs: Sequence[Tensor], attrs: dict[str, Any], outputs: list, name: str
) -> Operation:
    """A node executed by `actors.data.host`."""
    with graph.as_default():
        attrs = {"_host": "iterators", **attrs}
        return graph.add(Kind.QUEUE, type, inputs=tuple(inputs), attrs=attrs, outputs=outputs, name=name)


class Iterator(structures.Structured):
    """Takes the elements of a dataset, one in each run that fetches the result of `get_next`.

    handle: for a feedable iterator, the string tensor that selects the iterator in a run.
    variant: the tensor of the dataset that it starts from, if it is fixed.
    """

    def __init__(
        self,
        op: Operation,
        structure: Any,
        initializer: Operation | None = None,
        shared_name: str | None = None,
        variant: Tensor | None = None,
        handle: Tensor | None = None,
    ):
        self._iterator_resource, self.structure, self._initializer = op, structure, initializer
        self._key = shared_name or op.name
        self._variant, self._handle = variant, handle
        self._first: Tensor | None = variant
        """The dataset that it starts with, if known."""
        self._get_next_call_count = 0

    @staticmethod
    def from_structure(
        output_types: Any, output_shapes: Any = None, shared_name: str | None = None, output_classes: Any = None
    ) -> Iterator:
        """An iterator without a dataset; `make_initializer` starts it on any dataset with these types and shapes.

        output_types, output_shapes, output_classes: of an element, in its structure; None means unknown shapes, and
            tensors.
        """
        structure = structures.of(output_types, output_shapes, output_classes, _names_of_classes())
        return Iterator(_name_node(get_default_graph()), structure, shared_name=shared_name)

    @staticmethod
    def from_string_handle(
        string_handle: Any, output_types: Any, output_shapes: Any = None, output_classes: Any = None
    ) -> Iterator:
        """The iterator whose `string_handle()` has the value of `string_handle` in a run.

        At run time, raises NotFoundError for a handle of another session, InvalidArgumentError for a string that is
        no handle, and for an iterator with other types or shapes.
        output_types, output_shapes, output_classes: of an element, in its structure; None means unknown shapes, and
            tensors.
        """
        structure = structures.of(output_types, output_shapes, output_classes, _names_of_classes())
        handle = convert_to_tensor(string_handle, dtypes.string, name="string_handle")
        with handle.graph.as_default():
            return Iterator(_name_node(handle.graph, "IteratorFromStringHandle"), structure, handle=handle)

    @property
    def initializer(self) -> Operation:
        """The operation that starts the iteration. Raises ValueError if the iterator has none of its own."""
        if self._initializer is None:
            raise ValueError("Iterator does not have an initializer.")
        return self._initializer

    def make_initializer(self, dataset: Any, name: str | None = None) -> Operation:
        """The operation that starts iterating over `dataset`. Raises TypeError if types or shapes do not match."""
        graph = dataset.variant_tensor.graph
        if graph is not self._iterator_resource.graph:
            raise ValueError("The dataset and its iterator must be from the same graph.")
        for word, of in (("classes", "output_classes"), ("types", "output_types")):
            structures.check_alike(self.structure, dataset.structure)
            expected, got = getattr(self, of), getattr(dataset, of)
            if expected != got:
                raise TypeError(f"Expected output {word} {expected!r} but got dataset with output {word} {got!r}.")
        pairs = zip(flatten(self.structure), flatten(dataset.structure), strict=True)
        if not all([shapes.compatible(a.shape, b.shape) for a, b in pairs]):
            raise TypeError(
                f"Expected output shapes compatible with {self.output_shapes!r} but got dataset with output shapes "
                f"{dataset.output_shapes!r}."
            )
        return self._made_initializer(dataset.variant_tensor, name or "make_initializer")

    def starts_with(self, variant: Tensor) -> None:
        """Give the iterator an initializer for this dataset.

        variant: the tensor of a dataset's description.
        """
        self._first, self._initializer = variant, self._made_initializer(variant, "MakeIterator")

    def _made_initializer(self, variant: Tensor, name: str) -> Operation:
        return node_of(self._graph, "MakeIterator", [variant], self._attrs("make"), [], name)

    @property
    def _graph(self) -> Graph:
        return self._iterator_resource.graph

    def _attrs(self, word: str) -> dict[str, Any]:
        first = self._first if word == "restore" else self._variant
        variant = None if first is None else (first.op.index, first.index)
        leaves = flatten(self.structure)
        types, raw = tuple([leaf.dtype for leaf in leaves]), tuple([leaf.shape for leaf in leaves])
        key = (self._iterator_resource.container, self._key)
        return {"_word": word, "_iterator": key, "_dataset": variant, "_types": types, "_shapes": raw}

    def get_next(self, name: str | None = None) -> Any:
        """The next element, in the structure of the dataset's. Call this once, and run the result again and again.

        At run time, raises OutOfRangeError at the end, FailedPreconditionError for an uninitialized iterator.
        """
        self._get_next_call_count += 1
        if self._get_next_call_count > _MANY_CALLS:
            warnings.warn(_WARNING, stacklevel=2)
        outputs = [part for leaf in flatten(self.structure) for part in leaf.parts]
        inputs = [] if self._handle is None else [self._handle]
        word = "get_next" if self._handle is None else "get_next_of"
        op = node_of(self._graph, "IteratorGetNext", inputs, self._attrs(word), outputs, name or "IteratorGetNext")
        return structures.whole(self.structure, op.outputs)

    def string_handle(self, name: str | None = None) -> Tensor:
        """A string that identifies the iterator in its session. Feed its value to `from_string_handle`."""
        if self._handle is not None:
            return self._handle
        outputs = [(dtypes.string, ())]
        attrs = self._attrs("handle")
        kind = "IteratorToStringHandle"
        return node_of(self._graph, kind, [], attrs, outputs, name or kind).outputs[0]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._key!r}, types: {self.output_types}>"


class IteratorState(Saveable):
    """The position of an iterator, as a Saver keeps it: a string."""

    def __init__(self, iterator: Iterator):
        super().__init__(iterator._iterator_resource, dtypes.string, ())
        self._iterator = iterator
        self._value: Tensor | None = None

    def value(self) -> Tensor:
        """The state.

        At run time, raises FailedPreconditionError for an uninitialized iterator, UnimplementedError if it reads from a
        Python generator, or if its elements are datasets.
        """
        if self._value is None:
            self._value = self._node("save", "SerializeIterator", [], [(dtypes.string, ())]).outputs[0]
        return self._value

    def restored(self, *values: Tensor) -> Operation:
        """The operation that sets the iterator to a state, which must come from the same dataset."""
        return self._node("restore", "DeserializeIterator", [*values], [])

    def _node(self, word: str, type: str, inputs: list, outputs: list) -> Operation:
        iterator = self._iterator
        return node_of(self.op.graph, type, inputs, iterator._attrs(word), outputs, type)


def make_saveable_from_iterator(iterator: Iterator) -> IteratorState:
    """The position of an iterator, for the list of a `tf.train.Saver` or the collection "saveable_objects"."""
    return IteratorState(iterator)


def _names_of_classes() -> dict[Any, str]:
    return {kind: word for word, kind in structures.MADE.classes.items()}


def _name_node(graph: Graph, name: str = "IteratorV2") -> Operation:
    """The node that an iterator is named after; only one, however often a loop iterates."""
    with graph.control_dependencies(None):
        return graph.add(Kind.NOOP, "IteratorV2", outputs=[], name=name)


def initializable_iterator(variant: Tensor, structure: Any, shared_name: str | None) -> Iterator:
    """An iterator that starts whenever its initializer runs."""
    with variant.graph.as_default():
        iterator = Iterator(_name_node(variant.graph), structure, shared_name=shared_name)
        iterator.starts_with(variant)
        return iterator


def one_shot_iterator(variant: Tensor, structure: Any) -> Iterator:
    """An iterator that starts on first use, once in a session."""
    _check_constant(variant)
    with variant.graph.as_default():
        return Iterator(_name_node(variant.graph, "OneShotIterator"), structure, variant=variant)


_CONSUMERS = frozenset({"ReduceDataset", "DatasetToSingleElement"})
"""Nodes that read a dataset of their own from its beginning, and so depend on nothing else."""


def _check_constant(variant: Tensor) -> None:
    """Raise ValueError for a dataset that depends on the state of a session or the feeds of a run."""
    stack, seen = [variant.op], {variant.op}
    while stack:
        op = stack.pop()
        if op.kind in _PLACEHOLDERS and op.section is None:
            raise ValueError(f"Cannot capture a placeholder (name:{op.name}, type:{op.type}) by value.")
        if op.kind in _STATES and op.type not in _CONSUMERS:
            raise ValueError(
                f"Cannot capture a stateful node (name:{op.name}, type:{op.type}) by value.: A likely cause of this "
                "error is that the dataset for which you are calling `make_one_shot_iterator()` captures a stateful "
                "object, such as a `tf.Variable` or `tf.lookup.StaticHashTable`, which is not supported. Use "
                "`make_initializable_iterator()` instead."
            )
        function = op.attrs.get("function") if op.type.endswith("Dataset") else None
        inside = [] if function is None else [t.op for o in op.graph.sections[function].ops for t in o.inputs]
        for other in (*[t.op for t in op.inputs], *op.controls, *inside):
            if other not in seen:
                seen.add(other)
                stack.append(other)
