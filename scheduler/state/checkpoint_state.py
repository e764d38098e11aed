"""Which checkpoints there are: the text file `checkpoint` beside them names the newest, and those that are kept.

It is rewritten in one step, after a checkpoint is whole and before old ones are deleted: whoever reads it finds one
that can be loaded. Its format is TensorFlow's (protobuf's text format of CheckpointState).
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterable, Sequence
from typing import Any

from weftwork.actors.checkpoints import writer as checkpoint
from weftwork.actors.checkpoints.files import files_of, is_absolute, is_url, join, told, write_whole
from weftwork.actors.checkpoints.reader import CheckpointReader
from weftwork.graph.errors import OpError
from weftwork.scheduler.request.fields import Message, Repeated

log = logging.getLogger("weftwork")
STATE_FILE = "checkpoint"
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_LINE = re.compile(r'\s*(\w+)\s*:\s*("(?:[^"\\\n]|\\.)*"|[-+.\w]+)\s*')


class CheckpointState(Message):
    """What the file `checkpoint` says."""

    model_checkpoint_path: str = ""
    """The newest checkpoint."""
    all_model_checkpoint_paths: Repeated[str]
    """Those that are kept, oldest first."""
    all_model_checkpoint_timestamps: Repeated[float]
    """When each was made, in seconds since 1970."""
    last_preserved_timestamp: float = 0.0
    """When the last one was made that is kept for good."""


def _text(state: CheckpointState) -> str:
    lines = [f"model_checkpoint_path: {_quoted(state.model_checkpoint_path)}"]
    lines += [f"all_model_checkpoint_paths: {_quoted(path)}" for path in state.all_model_checkpoint_paths]
    lines += [f"all_model_checkpoint_timestamps: {when!r}" for when in state.all_model_checkpoint_timestamps]
    if state.last_preserved_timestamp:
        lines.append(f"last_preserved_timestamp: {state.last_preserved_timestamp!r}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + "".join([_ESCAPES.get(char, char) for char in text]) + '"'


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _UNESCAPED.get(found[1], found[1]), text[1:-1])


def _parsed(text: str) -> CheckpointState:
    """The state that a file's text describes; ValueError when it is no such text."""
    state, at = CheckpointState(), 0
    while at < len(text.rstrip()):
        match = _LINE.match(text, at)
        if match is None:
            raise ValueError(f"no field of a CheckpointState at {text[at : at + 40]!r}")
        name, value = match.groups()
        at = match.end()
        content: Any = float(value) if value[0] != '"' else _unquoted(value)
        try:
            if name.startswith("all_"):
                getattr(state, name).append(content)
            else:
                setattr(state, name, content)
        except (AttributeError, TypeError) as error:
            raise ValueError(str(error)) from error
    return state


def generate_checkpoint_state_proto(
    save_dir: str,
    model_checkpoint_path: str,
    all_model_checkpoint_paths: Sequence[str] | None = None,
    all_model_checkpoint_timestamps: Sequence[float] | None = None,
    last_preserved_timestamp: float | None = None,
) -> CheckpointState:
    """A CheckpointState; where `save_dir` is a relative path, relative paths become relative to it.

    The newest checkpoint is added to the list if it is not its last. Raises ValueError when there is not one timestamp
    for each path.
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
    """A relative path as seen from `folder`; others stay."""
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

    save_relative_paths: paths are written as seen from the folder, so that it can be moved.
    Raises RuntimeError when the checkpoint has the name of the file, OpErrors for what the system refuses.
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
    write_whole(name, _text(state).encode("utf-8", "surrogateescape"), files_of(name))


def _inside(path: str, folder: str) -> str:
    """An absolute path as seen from `folder`; others, and URLs elsewhere, stay."""
    if is_url(path):
        start = join(folder, "")
        return path[len(start) :] if path.startswith(start) else path
    return os.path.relpath(path, os.path.abspath(folder)) if os.path.isabs(path) else path


def state_file(folder: str, latest_filename: str | None = None) -> str:
    """The path of the file `checkpoint` of a folder."""
    return join(folder, latest_filename or STATE_FILE)


def get_checkpoint_state(checkpoint_dir: str, latest_filename: str | None = None) -> CheckpointState | None:
    """What the file `checkpoint` of a folder says, with full paths; None when there is none that can be read.

    Raises ValueError when it names no checkpoint.
    """
    checkpoint_dir = os.fspath(checkpoint_dir)
    name = state_file(checkpoint_dir, latest_filename)
    files = files_of(name)
    try:
        with told(name):
            if not files.exists(name):
                return None
            with files.open(name) as reader:
                state = _parsed(reader.read().decode("utf-8", "surrogateescape"))
    except (OpError, ValueError) as error:
        log.warning("%s: %s", type(error).__name__, error)
        log.warning("%s: Checkpoint ignored", name)
        return None
    if not state.model_checkpoint_path:
        raise ValueError(f"Invalid checkpoint state loaded from {checkpoint_dir}")
    state.model_checkpoint_path = join(checkpoint_dir, state.model_checkpoint_path)
    state.all_model_checkpoint_paths[:] = [join(checkpoint_dir, path) for path in state.all_model_checkpoint_paths]
    return state


def latest_checkpoint(checkpoint_dir: str, latest_filename: str | None = None) -> str | None:
    """The newest checkpoint of a folder, or None when there is none, or it is gone."""
    state = get_checkpoint_state(checkpoint_dir, latest_filename)
    if state is None:
        return None
    if checkpoint_exists(state.model_checkpoint_path):
        return state.model_checkpoint_path
    log.error("Couldn't match files for checkpoint %s", state.model_checkpoint_path)
    return None


def checkpoint_exists(checkpoint_prefix: str) -> bool:
    """Whether there are files of a checkpoint; only reading it tells whether they are whole."""
    return checkpoint.exists(os.fspath(checkpoint_prefix))


def get_checkpoint_mtimes(checkpoint_prefixes: Iterable[str]) -> list[float]:
    """When each checkpoint was made, in seconds since 1970; those that do not exist are left out."""
    times = []
    for prefix in checkpoint_prefixes:
        when = _modified(prefix)
        if when is not None:
            times.append(when)
    return times


def _modified(prefix: str) -> float | None:
    name = checkpoint.index_name(prefix)
    files = files_of(prefix)
    with told(name):
        return files.modified(name) if files.exists(name) else None


def remove_checkpoint(checkpoint_prefix: str, meta_graph_suffix: str = "meta") -> None:
    """Delete a checkpoint's files."""
    checkpoint.remove(checkpoint_prefix)
    name = f"{checkpoint_prefix}.{meta_graph_suffix}"
    files = files_of(name)
    with told(name):
        if files.exists(name):
            files.remove(name)


# What is in a checkpoint


def load_checkpoint(ckpt_dir_or_file: str) -> CheckpointReader:
    """A reader of a checkpoint, or of the newest one of a folder. Raises ValueError when the folder has none."""
    path = os.fspath(ckpt_dir_or_file)
    if not checkpoint_exists(path) and files_of(path).exists(state_file(path)):
        newest = latest_checkpoint(path)
        if newest is None:
            raise ValueError(f"Couldn't find 'checkpoint' file or checkpoints in given directory {path}")
        path = newest
    return CheckpointReader(path)


def load_variable(ckpt_dir_or_file: str, name: str) -> Any:
    """The value of one key of a checkpoint."""
    return load_checkpoint(ckpt_dir_or_file).get_tensor(name.removesuffix(":0"))


def list_variables(ckpt_dir_or_file: str) -> list[tuple[str, list[int] | None]]:
    """(key, shape) of what is in a checkpoint, sorted; the shape of a Python object is None."""
    return sorted(load_checkpoint(ckpt_dir_or_file).get_variable_to_shape_map().items())


# Which ones are kept


class Kept:
    """The checkpoints that a saver has made and keeps: (path, seconds since 1970), oldest first.

    limit: how many; None or 0 keeps all files, and lists none.
    hours: one checkpoint in so many hours is kept for good.
    """

    def __init__(self, limit: int | None, hours: float):
        self.limit, self.hours = limit, hours
        self.entries: list[tuple[str, float]] = []
        self._next_for_good = time.time() + hours * 3600
        self._leaving: list[tuple[str, float]] = []

    def paths(self) -> list[str]:
        """Their paths."""
        return [path for path, _ in self.entries]

    def add(self, path: str, when: float) -> None:
        """Take a new checkpoint in, at the end, also when its name was there before."""
        if not self.limit:
            return
        self.entries = [entry for entry in self.entries if entry[0] != path]
        self.entries.append((path, when))
        while len(self.entries) > self.limit:
            self._leaving.append(self.entries.pop(0))

    def leaving(self) -> list[str]:
        """The checkpoints that are too many, without those whose turn it is to be kept for good: to be deleted now."""
        doomed = []
        for path, when in self._leaving:
            if when > self._next_for_good:
                self._next_for_good += self.hours * 3600
            elif path not in self.paths():
                doomed.append(path)
        self._leaving = []
        return doomed

    def recover(self, paths: Iterable[str]) -> None:
        """Take over those of `paths` that exist, as of when they were written."""
        found = [(path, _modified(path)) for path in paths]
        self.entries = [(path, when) for path, when in found if when is not None]
