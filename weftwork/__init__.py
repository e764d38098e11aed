"""Weftwork: an actor-based parallel dataflow scheduler with TensorFlow 1's programming model, on Ray.

import weftwork as tf

The public names stand in `__init__.pyi`. Each is imported when it is first asked for: a program, and a worker process,
loads what it uses.
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
    """Of each public name the module that has it, and its name there."""
    homes: dict[str, tuple[str, str]] = {}
    for node in ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            homes.update({alias.asname: (node.module or "", alias.name) for alias in node.names if alias.asname})
        elif isinstance(node, ast.Assign):
            homes[node.targets[0].id] = homes[node.value.id]  # type: ignore[attr-defined]
    return {name: home for name, home in homes.items() if not name.startswith("_")}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for.

    TensorBoard's messages too (`tf.Summary` ...). Raises AttributeError, which says what to install where an extra is
    not here: it is as if the name did not exist.
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
    """A protocol buffer. Raises AttributeError for any other name, which says what is here instead."""
    if not name.startswith("_"):
        protos = importlib.import_module("weftwork.graph.protos")
        module = {**protos.MESSAGES, **protos.SUMMARY_MESSAGES}.get(name)
        if module is not None:
            return getattr(protos.protos(module), name)
    reason = f": {_NOT_HERE[name]}" if name in _NOT_HERE else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{reason}")


_KERAS = "Keras is not here. tf.layers makes layers, tf.train optimizers."
_ESTIMATORS = (
    "Estimators and their feature columns are not here. tf.train.MonitoredTrainingSession runs a training loop."
)
_GRAPHS = "programs here make graphs and run them in sessions, as TensorFlow 1 does without eager execution."
_OF_TENSORFLOW_2 = ["enable_eager_execution", "GradientTape", "Module", "autograph", "enable_v2_behavior"]
_NOT_HERE = {
    **dict.fromkeys(["keras"], _KERAS),
    **dict.fromkeys(["estimator", "feature_column"], _ESTIMATORS),
    **dict.fromkeys(_OF_TENSORFLOW_2, _GRAPHS),
    "distribute": "strategies are not here. tf.train.ClusterSpec and tf.train.replica_device_setter are.",
    "tpu": "there are no TPUs here.",
    "lite": "TensorFlow Lite is not here.",
    "distributions": "distributions are not here. tf.random draws, tf.math has the special functions.",
    "python": "TensorFlow's own modules are not here. The public names are under `weftwork`.",
    "examples": "TensorFlow's examples, and the data that they load, are not here.",
}
"""Names of TensorFlow that programs ask for, and what to say of them."""
