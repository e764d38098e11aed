"""Writes docs/names.md: every public name of TensorFlow 1.15, and whether it is here.

python docs/names.py      with `tensorflow` installed (the extra `bench`), whose `compat.v1` has the names
"""

from __future__ import annotations

import textwrap
import types
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "names.md"
WHOLE = {
    "app": "absl's, see `weftwork.app`",
    "audio": "no audio formats",
    "compat": "TensorFlow 2's names",
    "autograph": "graphs are made by calls, not from Python's code",
    "distribute": "strategies; `train.ClusterSpec` and `train.replica_device_setter` are there",
    "distributions": "moved to TensorFlow Probability",
    "estimator": "no Estimators",
    "experimental": "TensorFlow 2's",
    "feature_column": "no Estimators",
    "flags": "absl's, see `weftwork.flags`",
    "keras": "no Keras",
    "lite": "no TensorFlow Lite",
    "mixed_precision": "a rewrite of graphs for GPUs",
    "mlir": "TensorFlow's compiler",
    "profiler": "`RunMetadata`, `timeline` and `session.explain` tell what a run took",
    "ragged": "TensorFlow 2's",
    "raw_ops": "operations are made by their public functions",
    "tpu": "no TPUs",
    "types": "TensorFlow 2's",
    "xla": "no XLA",
}
"""Modules that are not here as a whole, and why."""
DIFFERS = {
    "TensorArray": "a cell may be read again; `grad` is not there, `gradients` goes through by itself",
    "compat": "text and bytes, and `v1`, which is this library",
    "contrib": "the names that stand for something outside of it",
    "executing_eagerly": "always False",
    "function": "Python's numbers are data, control flow is not rewritten, and there is no `input_signature`",
    "metrics.average_precision_at_k": "a row without labels counts 0, not NaN",
    "metrics.sparse_average_precision_at_k": "a row without labels counts 0, not NaN",
    "nn.ctc_loss": "labels that cannot fit into the time are an error, not inf",
    "nn.ctc_beam_search_decoder": "a narrow beam may keep other prefixes",
    "nn.fused_batch_norm": "made of moments and `batch_normalization`",
    "nn.learned_unigram_candidate_sampler": "NotImplementedError: a run depends on its inputs and variables alone",
    "resource_variables_enabled": "there is one kind of variable",
    "Variable": "one kind of variable; `use_resource`, `synchronization`, `aggregation` change nothing",
    "VERSION": "whose names these are",
}
"""Names that are here and do not do quite the same."""


def public(module: Any, prefix: str, seen: set[int], depth: int = 0) -> list[str]:
    """The public names of a module and those below it; a module that is not here counts as one name."""
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
        value = getattr(value, part, None)
        if value is None:
            return False
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
        f"Made by `docs/names.py` from `tensorflow.compat.v1`: {len(here)} of {len(names)} names exist here. Names "
        "that only TensorFlow 2 has are among those that do not. A name behaves as in TensorFlow unless the list says "
        "otherwise. `tensorflow.python` and `tensorflow.examples` are not public: a program that imports them needs "
        "TensorFlow."
    )
    groups: dict[str, list[str]] = {}
    for name in [*names, "contrib"]:
        groups.setdefault(name.rpartition(".")[0], []).append(name)
    for group, members in sorted(groups.items()):
        lines += [f"## tf.{group}" if group else "## tf", ""]
        there = [name for name in members if is_here(library, name)]
        missing = [name for name in members if name not in there]
        lines += listed("There", [name for name in there if name not in DIFFERS and name not in WHOLE])
        for name in there:
            lines += wrapped(f"`{name.rpartition('.')[2]}` differs: {DIFFERS[name]}.") if name in DIFFERS else []
        for name in missing:
            lines += wrapped(f"`{name}` is not here: {WHOLE[name]}.") if name in WHOLE else []
        lines += listed("Not here", [name for name in missing if name not in WHOLE])
    return "\n".join(lines)


if __name__ == "__main__":
    import tensorflow.compat.v1 as theirs  # type: ignore[import-not-found]

    import weftwork as ours

    PAGE.write_text(page(public(theirs, "", set()), ours))
