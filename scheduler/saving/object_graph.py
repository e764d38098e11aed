"""The objects that hold variables, as a graph: the form in which `tf.train.Checkpoint` names what it saves.

child     an object held by another one, under a local name: an attribute, a place in a list, a key of a dict
key       the path of local names to a variable, `model/kernel/.ATTRIBUTES/VARIABLE_VALUE`, its name in a checkpoint
slot      a variable that an optimizer keeps for another one: `kernel/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/...`
wire      the graph as a TrackableObjectGraph, the protocol buffer beside the values in a checkpoint
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from weftwork.graph.layers.base import Layer
from weftwork.graph.protos import messages
from weftwork.graph.training.optimizer import Optimizer
from weftwork.graph.variables.partitioned import PartitionedVariable
from weftwork.graph.variables.variable import Variable

RECORD = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""The key of the object graph in a checkpoint."""
_VALUE = "VARIABLE_VALUE"


class Trackable:
    """An object whose attributes that hold variables are its children."""

    def _children(self) -> dict[str, Any]:
        return _attributes(self)


@cache
def wire() -> Any:
    """The class of TrackableObjectGraph, with TensorFlow's field numbers."""
    return messages(
        "weftwork.object_graph",
        {
            "Reference": {"node_id": "1 int32", "local_name": "2 string"},
            "Value": {"name": "1 string", "full_name": "2 string", "checkpoint_key": "3 string"},
            "Slot": {
                "original_variable_node_id": "1 int32",
                "slot_name": "2 string",
                "slot_variable_node_id": "3 int32",
            },
            "Object": {
                "children": "1 repeated Reference",
                "attributes": "2 repeated Value",
                "slots": "3 repeated Slot",
            },
            "TrackableObjectGraph": {"nodes": "1 repeated Object"},
        },
    )["TrackableObjectGraph"]


def is_variable(item: Any) -> bool:
    """True for what a checkpoint holds a value of."""
    return isinstance(item, (Variable, PartitionedVariable))


def can_hold(item: Any) -> bool:
    """True for a variable, and for an object that may hold some."""
    return is_variable(item) or isinstance(item, (Trackable, Layer, Optimizer, list, tuple, dict))


def children(item: Any) -> dict[str, Any]:
    """The objects that an object holds, by their local names."""
    if isinstance(item, (list, tuple)):
        return {str(number): each for number, each in enumerate(item) if can_hold(each)}
    if isinstance(item, dict):
        return {key: each for key, each in item.items() if isinstance(key, str) and can_hold(each)}
    if isinstance(item, Layer):
        return {**{v.op.name.rpartition("/")[2]: v for v in item.weights}, **_attributes(item)}
    if isinstance(item, Optimizer):
        return dict(sorted(item.non_slots().items()))
    return item._children() if isinstance(item, Trackable) else {}


def _attributes(item: Any) -> dict[str, Any]:
    return {name: each for name, each in vars(item).items() if not name.startswith("_") and can_hold(each)}


def _escaped(name: str) -> str:
    return name.replace(".", "..").replace("/", ".S")


class ObjectGraph:
    """All that can be reached from `root`, breadth first, and then the slots.

    objects: in this order.   values: the variables among them, by their keys.   wire: the graph as a protocol buffer.
    """

    def __init__(self, root: Any):
        self.objects: list[Any] = [root]
        self.values: dict[str, Any] = {}
        self.wire = wire()()
        numbers, paths = {id(root): 0}, [""]
        for number, item in _growing(self.objects):
            node = self.wire.nodes.add()
            for name, child in children(item).items():
                if id(child) not in numbers:
                    numbers[id(child)] = len(self.objects)
                    self.objects.append(child)
                    paths.append(f"{paths[number]}/{_escaped(name)}".lstrip("/"))
                node.children.add(node_id=numbers[id(child)], local_name=name)
            self._hold(node, item, paths[number])
        for number, item in enumerate(self.objects[:]):
            if isinstance(item, Optimizer):
                self._add_slots(number, item, paths)

    def _add_slots(self, number: int, optimizer: Optimizer, paths: list[str]) -> None:
        for name in optimizer.get_slot_names():
            for original, path in enumerate(paths):
                variable = self.objects[original]
                slot = optimizer.get_slot(variable, name) if isinstance(variable, Variable) else None
                if slot is not None:
                    self.wire.nodes[number].slots.add(
                        original_variable_node_id=original,
                        slot_name=name,
                        slot_variable_node_id=len(self.objects),
                    )
                    self.objects.append(slot)
                    key = f"{path}/.OPTIMIZER_SLOT/{paths[number]}/{_escaped(name)}"
                    self._hold(self.wire.nodes.add(), slot, key)

    def _hold(self, node: Any, item: Any, path: str) -> None:
        if is_variable(item):
            key = f"{path}/.ATTRIBUTES/{_VALUE}"
            node.attributes.add(name=_VALUE, full_name=full_name(item), checkpoint_key=key)
            self.values[key] = item


def _growing(items: list[Any]) -> Iterator[tuple[int, Any]]:
    """Numbers and items of a list to which items are added meanwhile."""
    number = 0
    while number < len(items):
        yield number, items[number]
        number += 1


def full_name(variable: Any) -> str:
    """The name of a variable in a checkpoint of a Saver."""
    return variable.name if isinstance(variable, PartitionedVariable) else variable.op.name


def matched(root: Any, saved: Any) -> dict[int, Any]:
    """The objects for the nodes of a saved graph, by the nodes' numbers.

    Two objects belong together if they have the same names from the root on, slots if their variables do.
    """
    found: dict[int, Any] = {0: root}
    for number in (order := [0]):
        held = children(found[number])
        for child in saved.nodes[number].children:
            if child.node_id not in found and child.local_name in held:
                found[child.node_id] = held[child.local_name]
                order.append(child.node_id)
    for number in order:
        optimizer = found[number]
        for slot in saved.nodes[number].slots if isinstance(optimizer, Optimizer) else ():
            variable = found.get(slot.original_variable_node_id)
            of_it = optimizer.get_slot(variable, slot.slot_name) if isinstance(variable, Variable) else None
            if of_it is not None:
                found[slot.slot_variable_node_id] = of_it
    return found
