"""Autosave: a session writes checkpoints by itself, and resumes from the last one that it finds.

Configured by `ConfigProto(checkpoint_dir=..., checkpoint_every=...)`. A checkpoint holds the committed values of one
moment. A thread writes it while runs go on, and once more when the session is closed.
"""

from __future__ import annotations

import os
import threading
import warnings
from time import time
from typing import Any

import numpy as np

from weftwork.actors.checkpoints import writer as checkpoint
from weftwork.actors.checkpoints.files import file_errors, is_url, join
from weftwork.actors.checkpoints.reader import CheckpointReader, tidy
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import OpError
from weftwork.graph.operation import UNINITIALIZED
from weftwork.graph.python.forks import fresh
from weftwork.scheduler.machines import backend, objects
from weftwork.scheduler.state.checkpoint_state import Kept, latest_checkpoint, update_checkpoint_state
from weftwork.scheduler.state.mirror import Cell, Mirror, new_version

_KEPT = 3
"""Number of checkpoints to keep."""
_NAME = "session"


class Autosave:
    """Writes the checkpoints of one session. Without a folder it does nothing."""

    def __init__(self, mirror: Mirror, folder: str, every: float):
        self._mirror, self._folder, self._every = mirror, folder, every
        self._prefix: str | None = None
        self._versions: dict[str, int] = {}
        """Names and versions in the last checkpoint."""
        self._kept = Kept(_KEPT, 1e9)
        self._number = 0
        self._saving = fresh(threading.Lock())
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        if folder:
            if not is_url(folder):
                with file_errors(folder):
                    os.makedirs(folder, exist_ok=True)
            self._resume()

    def wake(self) -> None:
        """Note that a run has changed variables, so there is something to save."""
        if self._folder and self._thread is None:
            self._thread = threading.Thread(target=self._work, name="weftwork-autosave", daemon=True)
            self._thread.start()

    def save(self) -> None:
        """Write a checkpoint if anything has changed since the last one. Raises OpErrors of the file system."""
        with self._saving:
            cells = [cell for cell in self._mirror.cells() if cell.value is not UNINITIALIZED]
            pinned = list(zip(cells, self._mirror.pin(cells), strict=True))
            versions = {cell.name: version for cell, (_, version) in pinned}
            if not versions or versions == self._versions:
                return
            rows = []
            for cell, (value, _) in pinned:
                value = objects.fetch(value) if objects.is_reference(value) else value
                rows.append((cell.name, _type_of(value), value))
            prefix = join(self._folder, f"{_NAME}-{self._number + 1}")
            leaving = self._write(prefix, rows)
            self._number += 1  # only after success: a failed write is repeated under the same name
            self._prefix, self._versions = prefix, versions
            for old in leaving:
                checkpoint.remove(old)

    def _write(self, prefix: str, rows: list[tuple[str, str, Any]]) -> list[str]:
        """Write the newest checkpoint. Returns the old ones to be deleted."""
        before, self._kept.entries = self._kept.entries, list(self._kept.entries)
        try:
            checkpoint.write_index(prefix, [checkpoint.write_shard(prefix, rows)])
            self._kept.add(prefix, time())
            leaving = self._kept.leaving()
            update_checkpoint_state(self._folder, prefix, self._kept.paths())
        except OpError:
            self._kept.entries = before
            tidy(prefix)
            raise
        return leaving

    def saved(self, cell: Cell) -> Any:
        """The value of a cell in the last checkpoint, if its version is the current one; else None."""
        if self._prefix is None or self._versions.get(cell.name) != cell.version:
            return None
        return CheckpointReader(self._prefix).get_tensor(cell.name)

    def roll_back(self) -> str | None:
        """Set every variable to the last checkpoint's value. Returns the checkpoint's prefix, or None without one."""
        if self._prefix is None:
            return None
        self._load(self._prefix)
        return self._prefix

    def close(self) -> None:
        """Save once more, and end the thread."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
            self._try()

    def _resume(self) -> None:
        prefix = latest_checkpoint(self._folder)
        if prefix is None:
            return
        tail = prefix.rpartition("-")[2]
        self._number = int(tail) if tail.isdigit() else 0
        self._kept.add(prefix, time())
        self._load(prefix)

    def _load(self, prefix: str) -> None:
        reader = CheckpointReader(prefix)
        names = list(reader.get_variable_to_shape_map())
        values = {self._mirror.cell(name): (reader.get_tensor(name), new_version()) for name in names}
        for value, _ in values.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
        with self._mirror.owned(values):
            self._mirror.put(values)
        self._prefix, self._versions = prefix, {cell.name: version for cell, (_, version) in values.items()}

    def _work(self) -> None:
        while not self._end.wait(self._every):
            self._try()

    def _try(self) -> None:
        try:
            self.save()
        except (OpError, backend.WorkerLost, backend.StoreFull) as error:
            # The session goes on, and saves again later.
            warnings.warn(f"The session could not write a checkpoint to {self._folder}: {error}", stacklevel=2)


def _type_of(value: Any) -> str:
    """The type name under which a value is written."""
    array = value if isinstance(value, (np.ndarray, np.generic)) else np.asarray(value, None)
    if array.dtype.kind in "OSU":
        every = array.ravel().tolist() if isinstance(array, np.ndarray) else [value]
        return "string" if all(isinstance(item, bytes) for item in every) else "object"
    return as_dtype(array.dtype).name
