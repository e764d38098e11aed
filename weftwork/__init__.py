"""Weftwork: an actor-based parallel dataflow scheduler with TensorFlow 1's programming model, on Ray.

import weftwork as tf

The public names are listed in `__init__.pyi`. Each is imported when it is first used, so a program or worker process
loads only what it needs.
"""

from __future__ import annotations

import ast
import functools
import importlib
from pathlib import Path
from typing import Any

from weftwork.graph.moved import keep_old_names

__version__ = "0.1.0"

keep_old_names()


@functools.cache
def _homes() -> dict[str, tuple[str, str]]:
    """For each public name, the module that has it, and its name there."""
    homes: dict[str, tuple[str, str]] = {}
    for node in ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            homes.update({alias.asname: (node.module or "", alias.name) for alias in node.names if alias.asname})
        elif isinstance(node, ast.Assign):
            homes[node.targets[0].id] = homes[node.value.id]  # type: ignore[attr-defined]
    return {name: home for name, home in homes.items() if not name.startswith("_")}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, TensorBoard's messages (`tf.Summary` ...) included.

    Raises AttributeError, which says what to install if an extra is missing: the name then seems not to exist.
    """
    if name == "__all__":
        return sorted([*_homes(), "__version__"])
    home = _homes().get(name)
    try:
        value = _from_home(*home) if home is not None else _message(name)
    except ImportError as error:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r} here. {error}") from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_homes()})


def _from_home(module: str, name: str) -> Any:
    found = importlib.import_module(module)
    if module == __name__ or not hasattr(found, name):  # it is a module itself
        return importlib.import_module(f"{module}.{name}")
    return getattr(found, name)


def _message(name: str) -> Any:
    """A protocol buffer. For any other name, raises AttributeError, which says what to use instead."""
    if not name.startswith("_"):
        protos = importlib.import_module("weftwork.graph.protos")
        module = {**protos.MESSAGES, **protos.SUMMARY_MESSAGES}.get(name)
        if module is not None:
            return getattr(protos.protos(module), name)
    reason = f": {_NOT_HERE[name]}" if name in _NOT_HERE else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{reason}")


_KERAS = "Keras is not included: use tf.layers for layers, and tf.train for optimizers."
_ESTIMATORS = (
    "Estimators and their feature columns are not included: tf.train.MonitoredTrainingSession runs a training loop."
)
_GRAPHS = "there is no eager execution: build a graph and run it in a session, as in TensorFlow 1."
_OF_TENSORFLOW_2 = ["enable_eager_execution", "GradientTape", "Module", "autograph", "enable_v2_behavior"]
_NOT_HERE = {
    **dict.fromkeys(["keras"], _KERAS),
    **dict.fromkeys(["estimator", "feature_column"], _ESTIMATORS),
    **dict.fromkeys(_OF_TENSORFLOW_2, _GRAPHS),
    "distribute": "strategies are not included: use tf.train.ClusterSpec and tf.train.replica_device_setter.",
    "tpu": "TPUs are not supported.",
    "lite": "TensorFlow Lite is not included.",
    "python": "TensorFlow's internal modules do not exist here: use the public names, as in `weftwork.Session`.",
    "examples": "TensorFlow's examples, and the data that they load, are not included.",
}
"""Names of TensorFlow that are missing here although programs use them, and what to say about each."""
