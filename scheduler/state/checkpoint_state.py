"""The list of checkpoints in a folder: a text file called `checkpoint` names the newest one, and those that are kept.

The file is rewritten in one step, after a new checkpoint is complete and before old ones are deleted. So a reader
always finds a checkpoint that can be loaded. The format is TensorFlow's: CheckpointState in protobuf's text format.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Sequence
from typing import Any

from weftwork.actors.checkpoints import writer as checkpoint
from weftwork.actors.checkpoints.files import file_errors, files_of, is_absolute, is_url, join, write_whole
from weftwork.actors.checkpoints.reader import CheckpointReader
from weftwork.graph.errors import OpError
from weftwork.scheduler.request.fields import Message, Repeated
from weftwork.scheduler.request.message_text import merge_text

log = logging.getLogger("weftwork")
STATE_FILE = "checkpoint"


class CheckpointState(Message):
    """The content of the file `checkpoint`."""

    model_checkpoint_path: str = ""
    """The newest checkpoint."""
    all_model_checkpoint_paths: Repeated[str]
    """The checkpoints that are kept, oldest first."""
    all_model_checkpoint_timestamps: Repeated[float]
    """The time of each checkpoint, in seconds since 1970."""
    last_preserved_timestamp: float = 0.0
    """The time of the last checkpoint that is kept for good."""


def generate_checkpoint_state_proto(
    save_dir: str,
    model_checkpoint_path: str,
    all_model_checkpoint_paths: Sequence[str] | None = None,
    all_model_checkpoint_timestamps: Sequence[float] | None = None,
    last_preserved_timestamp: float | None = None,
) -> CheckpointState:
    """Build a CheckpointState. If `save_dir` is relative, relative paths are made relative to it.

    The newest checkpoint is appended to the list if it is not its last. Raises ValueError if the numbers of paths and
    timestamps differ.
    last_preserved_timestamp: of the newest checkpoint that is kept forever, in seconds since 1970.
    """
    paths = list(all_model_checkpoint_paths or ())
    times = list(all_model_checkpoint_timestamps or ())
    if not paths or paths[-1] != model_checkpoint_path:
        paths.append(model_checkpoint_path)
    if times and len(times) != len(paths):
        raise ValueError(
            "Checkpoint timestamps, if provided, must match checkpoint paths (got paths "
            f"{paths} and timestamps {times})"
        )
    if not is_absolute(save_dir):
        paths = [_relative(path, save_dir) for path in paths]
        model_checkpoint_path = _relative(model_checkpoint_path, save_dir)
    return CheckpointState(
        model_checkpoint_path=model_checkpoint_path,
        all_model_checkpoint_paths=paths,
        all_model_checkpoint_timestamps=times,
        last_preserved_timestamp=last_preserved_timestamp,
    )


def _relative(path: str, folder: str) -> str:
    """A relative path as seen from `folder`. Absolute paths are unchanged."""
    return path if is_absolute(path) else os.path.relpath(path, folder or ".")


def update_checkpoint_state(
    save_dir: str,
    model_checkpoint_path: str,
    all_model_checkpoint_paths: Sequence[str] | None = None,
    latest_filename: str | None = None,
    all_model_checkpoint_timestamps: Sequence[float] | None = None,
    last_preserved_timestamp: float | None = None,
    save_relative_paths: bool = False,
) -> None:
    """Write the file `checkpoint` of a folder, in one step.

    save_relative_paths: write paths relative to the folder, so that it can be moved.
    save_dir: the folder.
    last_preserved_timestamp: of the newest checkpoint that is kept forever, in seconds since 1970.
    Raises RuntimeError if the checkpoint has the name of the file, and OpErrors of the file system.
    """
    paths = list(all_model_checkpoint_paths or ())
    newest = model_checkpoint_path
    if save_relative_paths:
        newest, *paths = [_inside(path, save_dir) for path in [newest, *paths]]
    state = generate_checkpoint_state_proto(
        save_dir, newest, paths, all_model_checkpoint_timestamps, last_preserved_timestamp
    )
    name = state_file(save_dir, latest_filename)
    if name == state.model_checkpoint_path:
        raise RuntimeError(
            f"Save path '{model_checkpoint_path}' conflicts with path used for checkpoint state.  Please use a "
            "different save path."
        )
    write_whole(name, str(state).encode("utf-8", "surrogateescape"), files_of(name))


def _inside(path: str, folder: str) -> str:
    """An absolute path as seen from `folder`. Other paths, and URLs elsewhere, are unchanged."""
    if is_url(path):
        start = join(folder, "")
        return path[len(start) :] if path.startswith(start) else path
    return os.path.relpath(path, os.path.abspath(folder)) if os.path.isabs(path) else path


def state_file(folder: str, latest_filename: str | None = None) -> str:
    """The path of a folder's file `checkpoint`."""
    return join(folder, latest_filename or STATE_FILE)


def get_checkpoint_state(checkpoint_dir: str, latest_filename: str | None = None) -> CheckpointState | None:
    """Read the file `checkpoint` of a folder; paths become full paths. None if it is missing or unreadable.

    Raises ValueError if it names no checkpoint.
    """
    checkpoint_dir = os.fspath(checkpoint_dir)
    name = state_file(checkpoint_dir, latest_filename)
    files = files_of(name)
    try:
        with file_errors(name):
            if not files.exists(name):
                return None
            with files.open(name) as reader:
                state = merge_text(reader.read().decode("utf-8", "surrogateescape"), CheckpointState())
    except (OpError, ValueError, AttributeError, TypeError) as error:
        log.warning("%s: %s", type(error).__name__, error)
        log.warning("%s: Checkpoint ignored", name)
        return None
    if not state.model_checkpoint_path:
        raise ValueError(f"Invalid checkpoint state loaded from {checkpoint_dir}")
    state.model_checkpoint_path = join(checkpoint_dir, state.model_checkpoint_path)
    state.all_model_checkpoint_paths[:] = [join(checkpoint_dir, path) for path in state.all_model_checkpoint_paths]
    return state


def latest_checkpoint(checkpoint_dir: str, latest_filename: str | None = None) -> str | None:
    """The newest checkpoint of a folder. None if there is none, or it is gone."""
    state = get_checkpoint_state(checkpoint_dir, latest_filename)
    if state is None:
        return None
    if checkpoint_exists(state.model_checkpoint_path):
        return state.model_checkpoint_path
    log.error("Couldn't match files for checkpoint %s", state.model_checkpoint_path)
    return None


def checkpoint_exists(checkpoint_prefix: str) -> bool:
    """Whether the files of a checkpoint exist. Only reading them shows whether they are whole."""
    return checkpoint.exists(os.fspath(checkpoint_prefix))


def get_checkpoint_mtimes(checkpoint_prefixes: Iterable[str]) -> list[float]:
    """The time of each checkpoint, in seconds since 1970. Checkpoints that do not exist are left out.

    checkpoint_prefixes: a list of paths without the ends of their files.
    """
    times = []
    for prefix in checkpoint_prefixes:
        when = _modified(prefix)
        if when is not None:
            times.append(when)
    return times


def _modified(prefix: str) -> float | None:
    name = checkpoint.index_name(prefix)
    files = files_of(prefix)
    with file_errors(name):
        found = [name] if files.exists(name) else checkpoint.single_files(prefix, files)
        return files.modified(found[0]) if found else None


def remove_checkpoint(
    checkpoint_prefix: str, checkpoint_format_version: int = 2, meta_graph_suffix: str = "meta"
) -> None:
    """Delete the files of a checkpoint.

    checkpoint_format_version: accepted; the files of each version are found.
    meta_graph_suffix: the end of the name of its MetaGraphDef.
    """
    checkpoint.remove(checkpoint_prefix)
    alone = files_of(checkpoint_prefix)
    with file_errors(checkpoint_prefix):
        for found in checkpoint.single_files(checkpoint_prefix, alone):
            alone.remove(found)
    name = f"{checkpoint.unsharded(os.fspath(checkpoint_prefix))}.{meta_graph_suffix}"
    files = files_of(name)
    with file_errors(name):
        if files.exists(name):
            files.remove(name)


# Reading checkpoints


def load_checkpoint(ckpt_dir_or_file: str) -> CheckpointReader:
    """Open a checkpoint, or the newest one of a folder. Raises ValueError if the folder has none."""
    path = os.fspath(ckpt_dir_or_file)
    if not checkpoint_exists(path) and (files_of(path).exists(state_file(path)) or os.path.isdir(path)):
        newest = latest_checkpoint(path)
        if newest is None:
            raise ValueError(f"Couldn't find 'checkpoint' file or checkpoints in given directory {path}")
        path = newest
    return CheckpointReader(path)


def load_variable(ckpt_dir_or_file: str, name: str) -> Any:
    """Read the value of one key of a checkpoint."""
    return load_checkpoint(ckpt_dir_or_file).get_tensor(name.removesuffix(":0"))


def list_variables(ckpt_dir_or_file: str) -> list[tuple[str, list[int] | None]]:
    """(key, shape) of each value in a checkpoint, sorted. The shape of a Python object is None."""
    return sorted(load_checkpoint(ckpt_dir_or_file).get_variable_to_shape_map().items())


# Retention


class Kept:
    """The checkpoints that a saver has written and keeps, as (path, seconds since 1970), oldest first.

    limit: their maximum number. With None or 0 nothing is deleted, and nothing is listed.
    hours: one checkpoint per this many hours is kept for good.   next_for_good: the time after which the next one is.
    """

    def __init__(self, limit: float | None, hours: float):
        self.limit, self.hours = limit, hours
        self.entries: list[tuple[str, float]] = []
        self.next_for_good = time.time() + hours * 3600
        self._leaving: list[tuple[str, float]] = []

    def paths(self) -> list[str]:
        """The paths of the kept checkpoints."""
        return [path for path, _ in self.entries]

    def add(self, path: str, when: float) -> None:
        """Add a checkpoint at the end, even if its path was in the list before."""
        if not self.limit:
            return
        self.entries = [entry for entry in self.entries if entry[0] != path]
        self.entries.append((path, when))
        while len(self.entries) > self.limit:
            self._leaving.append(self.entries.pop(0))

    def leaving(self) -> list[str]:
        """Remove checkpoints beyond the limit. Returns those to delete now, without those that are kept for good."""
        old = []
        for path, when in self._leaving:
            if when > self.next_for_good:
                self.next_for_good += self.hours * 3600
            elif path not in self.paths():
                old.append(path)
        self._leaving = []
        return old

    def recover(self, paths: Iterable[str]) -> None:
        """Take over those of `paths` that exist, with their times of writing."""
        found = [(path, _modified(path)) for path in paths]
        self.entries = [(path, when) for path, when in found if when is not None]
