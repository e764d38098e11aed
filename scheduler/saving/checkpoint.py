"""Checkpoint: saves and restores variables by the objects that hold them, not by their names in the graph.

What it saves is named by the path of attributes to it (`object_graph`). So another program can restore it whatever its
scopes are, if its objects have the same attributes.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from weftwork.actors.checkpoints.files import split
from weftwork.actors.checkpoints.reader import CheckpointReader
from weftwork.graph import dtypes
from weftwork.graph.build import constant
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops.flow import no_op
from weftwork.graph.saveable import Saveable
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph, get_default_session
from weftwork.graph.variables.variable import Variable
from weftwork.scheduler.saving.object_graph import (
    RECORD,
    ObjectGraph,
    Trackable,
    can_hold,
    children,
    full_name,
    is_variable,
    matched,
    wire,
)
from weftwork.scheduler.saving.saver import Saver
from weftwork.scheduler.saving.saver_def import SaverDef
from weftwork.scheduler.state.checkpoint_state import Kept, get_checkpoint_state, remove_checkpoint
from weftwork.scheduler.state.checkpoint_state import update_checkpoint_state as update_state


class _Record(Saveable):
    """The object graph, which is saved beside the values."""

    def __init__(self, content: bytes):
        self._content = constant(content, name="object_graph")
        super().__init__(self._content.op, dtypes.string, ())

    def value(self) -> Tensor:
        return self._content

    def restored(self, *values: Tensor) -> Operation:
        return no_op()


def _session(session: Any) -> Any:
    """`session`, or the default session. Raises ValueError if there is none."""
    found = get_default_session() if session is None else session
    if found is None:
        raise ValueError("A checkpoint needs a session: use `with sess.as_default()`, or pass session=sess.")
    return found


class Checkpoint(Trackable):
    """A group of objects whose variables are saved and restored together.

    kwargs: variables, layers, optimizers, other Checkpoints, and lists and dicts of these. They become attributes; you
    may set more of them later, or in the `__init__` of a subclass. Saved are also an optimizer's slots of the variables
    in the group, and `save_counter`, the number of saves. The files are TensorFlow's.
    Raises ValueError for an object of another kind.

        checkpoint = tf.train.Checkpoint(model=layer, optimizer=optimizer)
        path = checkpoint.save("/tmp/model", session=session)
        checkpoint.restore(path).assert_consumed().run_restore_ops(session)
    """

    def __init__(self, **kwargs: Any):
        self._save_counter: Variable | None = None
        self._count_up: Operation | None = None
        self._saver: tuple[Any, Saver] | None = None
        for name, item in sorted(kwargs.items()):
            if not can_hold(item):
                raise ValueError(
                    f"`Checkpoint` was expecting a trackable object, which holds variables, got {item!r} as {name!r}: "
                    "a variable, a layer, an optimizer, a Checkpoint, or a list or dict of these."
                )
            setattr(self, name, item)

    @property
    def save_counter(self) -> Variable:
        """The number of saves, an int64 variable, which begins with 0. Made when it is first used."""
        if self._save_counter is None:
            with get_default_graph().name_scope(None):
                self._save_counter = Variable(np.int64(0), trainable=False, name="save_counter", use_resource=True)
        return self._save_counter

    def _children(self) -> dict[str, Any]:
        counter = {} if self._save_counter is None else {"save_counter": self._save_counter}
        return {**super()._children(), **counter}

    def write(self, file_prefix: Any, session: Any = None) -> str:
        """Write the variables, as of one moment, to a checkpoint with exactly this prefix. Returns the prefix.

        file_prefix: a path or URL.
        session: by default the default session.
        Raises FailedPreconditionError if a variable is not initialized, and OpErrors of the file system.
        """
        made = ObjectGraph(self)
        content = made.wire.SerializeToString()
        which = (content, [id(v) for v in made.values.values()])
        if self._saver is None or self._saver[0] != which:
            with name_scope("save_checkpoint"):
                saved = {**made.values, RECORD: _Record(content)}
                self._saver = which, Saver(saved, max_to_keep=None, write_version=SaverDef.V2)
        saver, prefix = self._saver[1], os.fspath(file_prefix)
        saver.save(_session(session), prefix, write_meta_graph=False, write_state=False)
        return prefix

    def save(self, file_prefix: Any, session: Any = None) -> str:
        """As `write`, with the number of the save after the prefix; also writes the file `checkpoint`.

        file_prefix: a path or URL.
        """
        session = _session(session)
        path = self.write(f"{os.fspath(file_prefix)}-{self._counted(session)}", session)
        update_state(split(path)[0], path, [path], save_relative_paths=True)
        return path

    def _counted(self, session: Any) -> int:
        """Count one more save. Returns the number."""
        if self._save_counter is None:
            session.run(self.save_counter.initializer)
        if self._count_up is None:
            self._count_up = self.save_counter.assign_add(1)
        return int(session.run(self._count_up))

    def restore(self, save_path: Any) -> LoadStatus:
        """What a checkpoint holds for these objects. Nothing is restored before you run it in a session.

        save_path: the prefix, also of a Saver's checkpoint, whose variables are found by their names. None: there is
        no checkpoint; `initialize_or_restore` then initializes all variables.
        Raises NotFoundError if there is no such checkpoint.
        """
        self.save_counter  # noqa: B018  # it is restored, too
        return LoadStatus(self, None if save_path is None else os.fspath(save_path))


class LoadStatus:
    """The result of `Checkpoint.restore`: which objects and values belong together, and how to restore them.

    Objects made after `restore` are taken in, too, up to the moment of a call.
    """

    def __init__(self, root: Checkpoint, path: str | None):
        self._root, self._path = root, path
        self._saved: Any = None
        self._saver: tuple[Any, Saver] | None = None
        self._keys: set[str] = set()
        if path is not None:
            reader = CheckpointReader(path)
            self._keys = set(reader.get_variable_to_shape_map())
            if RECORD in self._keys:
                self._saved = wire().FromString(reader.get_tensor(RECORD))

    def _found(self) -> tuple[list[Any], dict[int, Any], dict[str, Any]]:
        """The objects, those of the saved nodes, and the variables to restore, by their keys."""
        objects = ObjectGraph(self._root).objects
        if self._saved is None:  # a Saver's checkpoint: no nodes
            named = {full_name(v): v for v in objects if is_variable(v)}
            return objects, {}, {name: v for name, v in named.items() if name in self._keys}
        of_nodes = matched(self._root, self._saved)
        saved = [
            (value.checkpoint_key, v)
            for number, v in of_nodes.items()
            if is_variable(v)
            for value in self._saved.nodes[number].attributes
        ]
        return objects, of_nodes, dict(saved)

    def _check_path(self) -> None:
        if self._path is None:
            raise AssertionError("No checkpoint specified (save_path=None); nothing is being restored.")

    def _unmatched(self) -> list[Any]:
        """The objects that the checkpoint knows nothing of, apart from empty lists and dicts."""
        objects, of_nodes, values = self._found()
        if self._saved is None:
            known = {id(self._root._save_counter), *map(id, values.values())}
            return [v for v in objects if is_variable(v) and id(v) not in known]
        known = set(map(id, of_nodes.values()))
        return [v for v in objects if id(v) not in known and (children(v) or not isinstance(v, (list, tuple, dict)))]

    def assert_consumed(self) -> LoadStatus:
        """Raise AssertionError unless each object has a value in the checkpoint, and each value an object."""
        self.assert_existing_objects_matched()
        of_nodes = self._found()[1]
        for number, node in enumerate(() if self._saved is None else self._saved.nodes):
            if number not in of_nodes:
                raise AssertionError(f"Unresolved object in checkpoint {self._path}: {node}")
        return self

    def assert_existing_objects_matched(self) -> LoadStatus:
        """Raise AssertionError if an object has no value in the checkpoint."""
        self._check_path()
        rest = self._unmatched()
        if rest:
            raise AssertionError(
                "Some Python objects were not bound to checkpointed values, likely due to changes in the Python "
                f"program: {rest}"
            )
        return self

    def assert_nontrivial_match(self) -> LoadStatus:
        """Raise AssertionError if the checkpoint has values for none of the objects."""
        self._check_path()
        objects, _, values = self._found()
        if not [v for v in values.values() if v is not self._root._save_counter]:
            raise AssertionError(
                "Nothing except the root object matched a checkpointed value. Typically this means that the "
                "checkpoint does not match the Python program. The following objects have no matching checkpointed "
                f"value: {objects[1:]}"
            )
        return self

    def expect_partial(self) -> LoadStatus:
        """Says that you do not mind unused values. Nothing warns of them here."""
        return self

    def run_restore_ops(self, session: Any = None) -> None:
        """Restore all variables that have a value, in one run.

        session: by default the default session.
        Raises AssertionError without a checkpoint, InvalidArgumentError if a dtype or shape differs.
        """
        self._check_path()
        values = self._found()[2]
        which = {key: id(v) for key, v in values.items()}
        if not values:
            return
        if self._saver is None or self._saver[0] != which:
            with name_scope("restore_checkpoint"):
                self._saver = which, Saver(values, max_to_keep=None)
        self._saver[1].restore(_session(session), self._path)

    def initialize_or_restore(self, session: Any = None) -> None:
        """Restore all variables that have a value, and initialize the others.

        session: by default the default session.
        """
        session = _session(session)
        objects, _, values = self._found()
        restored = {id(v) for v in values.values()}
        others = [v for v in objects if is_variable(v) and id(v) not in restored]
        if self._path is not None:
            self.run_restore_ops(session)
        session.run([v.initializer for v in others])


class CheckpointManager:
    """Keeps the newest checkpoints of a Checkpoint in a folder, and deletes older ones. It goes on with what is there.

    checkpoint: a Checkpoint.   directory: the folder, a path or URL.   checkpoint_name: the beginning of file names.
    max_to_keep: how many to keep; None keeps all.   keep_checkpoint_every_n_hours: keep one for good every N hours.
    Raises ValueError if max_to_keep is not positive.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        directory: Any,
        max_to_keep: int | None,
        keep_checkpoint_every_n_hours: float | None = None,
        checkpoint_name: str = "ckpt",
    ):
        if max_to_keep is not None and max_to_keep <= 0:
            raise ValueError(f"Expected a positive integer or `None` for `max_to_keep`, got {max_to_keep}.")
        self._checkpoint, self._directory = checkpoint, os.fspath(directory)
        self._prefix = os.path.join(self._directory, checkpoint_name)
        hours = float("inf") if keep_checkpoint_every_n_hours is None else keep_checkpoint_every_n_hours
        self._kept = Kept(max_to_keep or float("inf"), hours)
        state = get_checkpoint_state(self._directory)
        self._latest: str | None = None
        if state is not None:
            self._latest = state.model_checkpoint_path
            self._kept.recover(state.all_model_checkpoint_paths)

    @property
    def latest_checkpoint(self) -> str | None:
        """The newest checkpoint in the folder, for `Checkpoint.restore`; None if there is none."""
        return self._latest

    @property
    def checkpoints(self) -> list[str]:
        """The checkpoints that are kept, oldest first."""
        return self._kept.paths()

    def save(self, checkpoint_number: Any = None, session: Any = None) -> str:
        """Write a checkpoint, and delete those beyond the limit. Returns its prefix.

        checkpoint_number: a number, tensor or variable, which ends its name; by default the number of the save.
        session: by default the default session.
        """
        session = _session(session)
        number = self._checkpoint._counted(session)
        if checkpoint_number is not None:
            given = isinstance(checkpoint_number, (int, np.integer))
            number = int(checkpoint_number if given else session.run(checkpoint_number))
        path = self._checkpoint.write(f"{self._prefix}-{number}", session)
        self._kept.add(path, time.time())
        self._latest = path
        times = [when for _, when in self._kept.entries]
        update_state(self._directory, path, self.checkpoints, None, times, save_relative_paths=True)
        for old in self._kept.leaving():
            remove_checkpoint(old)
        return path
