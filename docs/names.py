"""Writes docs/names.md: every public name of TensorFlow 1.15, and whether it exists here.

python docs/names.py      with `tensorflow` installed (the extra `bench`), whose `compat.v1` has the names
"""

from __future__ import annotations

import textwrap
import types
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "names.md"
WHOLE = {
    "app": "it is absl's, see `weftwork.app`",
    "audio": "audio formats are not supported",
    "compat": "these are names of TensorFlow 2",
    "autograph": "functions are traced, not rewritten",
    "distribute": "strategies are missing; use `train.ClusterSpec` and `train.replica_device_setter`",
    "estimator": "there are no Estimators",
    "experimental": "these are names of TensorFlow 2",
    "feature_column": "there are no Estimators",
    "flags": "it is absl's, see `weftwork.flags`",
    "keras": "there is no Keras",
    "lite": "there is no TensorFlow Lite",
    "mixed_precision": "it rewrites graphs for GPUs",
    "mlir": "it is TensorFlow's compiler",
    "profiler": "use `RunMetadata`, `timeline` and `session.explain`",
    "ragged": "these are names of TensorFlow 2",
    "raw_ops": "its names are types of operations",
    "tpu": "TPUs are not supported",
    "types": "these are names of TensorFlow 2",
    "xla": "there is no XLA",
}
"""Modules that are missing as a whole, and why."""
DIFFERS = {
    "TensorArray": "an element may be read more than once; each `grad` without `flow` begins a new array",
    "compat": "it has functions for text and bytes, and `v1`, which is this library",
    "contrib": "it has the parts that programs use most",
    "executing_eagerly": "always False",
    "function": "Python's numbers are data, control flow is not rewritten, and there is no `input_signature`",
    "distributions.Gamma": "its draws have no gradient; so with Beta and Dirichlet",
    "nn.ctc_loss": "labels that cannot fit into the time are an error; the loss is not inf",
    "nn.ctc_beam_search_decoder": "a narrow beam may keep other prefixes",
    "nn.fused_batch_norm": "it consists of `moments` and `batch_normalization`",
    "nn.learned_unigram_candidate_sampler": "raises NotImplementedError",
    "py_function": "its function gets NumPy arrays that also have `numpy()`, and it has no gradient",
    "raw_ops": "an operation that no other function here makes fails when it runs",
    "Variable": "`synchronization` and `aggregation` have no effect",
    "VERSION": "the version of TensorFlow that these names are from",
}
"""Names that exist but behave differently."""


def public(module: Any, prefix: str, seen: set[int], depth: int = 0) -> list[str]:
    """The public names of a module and its submodules; a submodule that Weftwork lacks counts as one name."""
    found = []
    for name in sorted(dir(module)):
        if name.startswith("_"):
            continue
        try:
            value = getattr(module, name)
        except Exception:  # TensorFlow loads some of them when asked, and lacks a package
            continue
        if not isinstance(value, types.ModuleType):
            found.append(prefix + name)
        elif prefix == "" and name in WHOLE:
            found.append(name)
        elif depth < 2 and id(value) not in seen and "tensorflow" in str(value):
            seen.add(id(value))
            found += public(value, f"{prefix}{name}.", seen, depth + 1)
    return found


def is_here(library: Any, name: str) -> bool:
    """Whether a dotted name is found in a library."""
    value = library
    for part in name.split("."):
        if not hasattr(value, part):
            return False
        value = getattr(value, part)
    return True


def wrapped(text: str) -> list[str]:
    """A paragraph of the page."""
    return [*textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False), ""]


def listed(word: str, names: list[str]) -> list[str]:
    """A paragraph that lists the last parts of some names; nothing for none."""
    return wrapped(f"{word}: " + ", ".join([f"`{name.rpartition('.')[2]}`" for name in names]) + ".") if names else []


def page(names: list[str], library: Any) -> str:
    """The page, as Markdown."""
    here = [name for name in names if is_here(library, name)]
    lines = ["# TensorFlow 1's public names", ""]
    lines += wrapped(
        f"{len(here)} of the {len(names)} names in `tensorflow.compat.v1` exist in Weftwork. (Many of the others come "
        "from TensorFlow 2.) A name behaves as in TensorFlow unless this page says otherwise. `tensorflow.python` and "
        "`tensorflow.examples` are not public: a program that imports them needs TensorFlow. `docs/names.py` writes "
        "this page."
    )
    groups: dict[str, list[str]] = {}
    for name in [*names, "contrib"]:
        groups.setdefault(name.rpartition(".")[0], []).append(name)
    for group, members in sorted(groups.items()):
        lines += [f"## tf.{group}" if group else "## tf", ""]
        there = [name for name in members if is_here(library, name)]
        missing = [name for name in members if name not in there]
        lines += listed("Available", [name for name in there if name not in DIFFERS and name not in WHOLE])
        for name in there:
            lines += wrapped(f"`{name.rpartition('.')[2]}` differs: {DIFFERS[name]}.") if name in DIFFERS else []
        for name in missing:
            lines += wrapped(f"`{name}` is missing: {WHOLE[name]}.") if name in WHOLE else []
        lines += listed("Missing", [name for name in missing if name not in WHOLE])
    return "\n".join(lines)


if __name__ == "__main__":
    import tensorflow.compat.v1 as theirs  # type: ignore[import-not-found]

    import weftwork as ours

    PAGE.write_text(page(public(theirs, "", set()), ours))
