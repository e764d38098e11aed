"""Checkpoints: lists the checkpoints of a folder, and the values of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from math import prod
from typing import Any

import numpy as np

from weftwork.actors.checkpoints.files import files_of, join
from weftwork.actors.checkpoints.reader import CheckpointReader
from weftwork.graph.errors import OpError
from weftwork.scheduler.state.checkpoint_state import (
    checkpoint_exists,
    get_checkpoint_mtimes,
    get_checkpoint_state,
    load_checkpoint,
)

_INDEX = ".index"


def list_folder(folder: str, say: Callable[[str], None]) -> int:
    """List the checkpoints of a folder, the newest last, and return the status. Raises ValueError if there are none."""
    found = _found(folder)
    if not found:
        raise ValueError(f"{folder} contains no checkpoints.")
    state = get_checkpoint_state(folder)
    newest = None if state is None else os.path.basename(state.model_checkpoint_path)
    rows = []
    for prefix, made in found:
        name = os.path.basename(prefix)
        try:
            reader = CheckpointReader(prefix)
            what = f"{len(reader.get_variable_to_shape_map())} values"
            size = _shown(sum([files_of(file).size(file) for file in reader.data_files()]))
        except (OpError, OSError) as error:
            what, size = f"cannot be read: {str(error).splitlines()[0]}", "?"
        when = datetime.fromtimestamp(made).strftime("%Y-%m-%d %H:%M:%S")
        rows.append([name, when, size, what + (", the newest" if name == newest else "")])
    _say_table(rows, say)
    return 0


def _found(folder: str) -> list[tuple[str, float]]:
    """The checkpoints of a folder with their times, the oldest first."""
    try:
        files = files_of(folder).starting_with(join(folder, ""))
    except OSError as error:
        raise ValueError(f"{folder} cannot be read as a folder: {error.strerror or error}.") from error
    prefixes = [path.removesuffix(_INDEX) for path in files if path.endswith(_INDEX)]
    times = [(prefix, when) for prefix in prefixes for when in get_checkpoint_mtimes([prefix])]
    return sorted(times, key=lambda pair: pair[1])


def show(path: str, say: Callable[[str], None]) -> int:
    """List the values of a checkpoint, or of a folder's newest one, and return the status. Raises ValueError if there
    is none."""
    state = None if checkpoint_exists(path) else get_checkpoint_state(path)
    if state is None and not checkpoint_exists(path):
        raise ValueError(f"{path} is neither a checkpoint nor a folder that contains one.")
    try:
        reader = load_checkpoint(path)
    except OpError as error:
        raise ValueError(error.message) from error
    types = reader.get_variable_to_dtype_map()
    rows, total = [], 0
    for name, shape in sorted(reader.get_variable_to_shape_map().items()):
        kind = types.get(name)
        fixed = kind is not None and kind.numpy.kind not in "OSU" and shape is not None
        size = prod(shape) * np.dtype(kind.numpy).itemsize if fixed else 0  # type: ignore[union-attr, arg-type]
        total += size
        rows.append([name, "object" if kind is None else kind.name, _shape(shape), _shown(size) if fixed else ""])
    _say_table(rows, say)
    say(f"{len(rows)} values, {_shown(total)}")
    return 0


def _shape(shape: Any) -> str:
    return "" if shape is None else f"[{', '.join(map(str, shape))}]"


def _shown(size: float) -> str:
    """A number of bytes, as a string."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _say_table(rows: list[list[str]], say: Callable[[str], None]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join([text.ljust(width) for text, width in zip(row, widths, strict=True)]).rstrip())
