"""The scopes and collections of the default graph, as functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from weftwork.graph.needed import needed, selected
from weftwork.graph.stacks import get_default_graph


def control_dependencies(control_inputs: Iterable[Any] | None):
    """A context manager: operations created inside run after `control_inputs`; None clears the outer ones.

    with tf.control_dependencies([tf.assert_positive(x)]):
        root = tf.sqrt(x)  # runs only if the assertion holds
    """
    return get_default_graph().control_dependencies(control_inputs)


@contextmanager
def init_scope() -> Iterator[None]:
    """A context manager: operations created inside are outside all branches, loops and control dependencies."""
    graph = get_default_graph()
    with graph.control_dependencies(None):
        yield


def device(device_name_or_function: Any):
    """A context manager that requests a device: a string, a DeviceSpec, a function of the operation, or None.

    with tf.device("/gpu:0"):
        product = tf.matmul(a, b)
    """
    return get_default_graph().device(device_name_or_function)


def colocate_with(op: Any, ignore_existing: bool = False):
    """A context manager: operations created inside are placed with `op`.

    ignore_existing: forget what enclosing scopes ask for.
    """
    return get_default_graph().colocate_with(op, ignore_existing)


def container(container_name: str):
    """A context manager: stateful operations created inside keep their state under `container_name`."""
    return get_default_graph().container(container_name)


def resources(
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    custom: Mapping[str, float] | None = None,
    label_selector: Mapping[str, str] | None = None,
):
    """A context manager: operations created inside request these resources of one machine, and run in a worker.

    num_cpus, num_gpus; memory in bytes; custom: any other resource of the Ray cluster, e.g. {"tpu": 1}.
    label_selector: required labels of the machine, in Ray's form, e.g. {"region": "eu", "gpu": "!in(T4, K80)"}.
    Raises ValueError for a negative amount. Running a node that fits no machine raises InvalidArgumentError.
    """
    return get_default_graph().resources(needed(num_cpus, num_gpus, memory, custom), selected(label_selector))


def get_name_scope() -> str:
    """The current name scope, without a trailing slash."""
    return get_default_graph().get_name_scope()


def add_to_collection(name: Any, value: Any) -> None:
    """Append `value` to a collection of the default graph."""
    get_default_graph().add_to_collection(name, value)


def add_to_collections(names: Any, value: Any) -> None:
    """Append `value` to several collections of the default graph."""
    get_default_graph().add_to_collections(names, value)


def get_collection(key: Any, scope: str | None = None) -> list[Any]:
    """A copy of a collection of the default graph. `scope`: only items whose name matches this regular expression."""
    return get_default_graph().get_collection(key, scope)


def get_collection_ref(key: Any) -> list[Any]:
    """A collection of the default graph: the list itself."""
    return get_default_graph().get_collection_ref(key)
