"""Saver: writes variables to checkpoints and reads them back, through nodes of the graph (`saver_nodes`).

A save sees the variables of one moment, while other runs go on. A restore is one run, so it changes all variables or
none. Checkpoints contain data only, and at any moment the newest checkpoint is a complete one.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from weftwork.actors.checkpoints.files import absolute, file_errors, files_of, split, write_whole
from weftwork.actors.checkpoints.reader import tidy
from weftwork.graph.errors import InvalidArgumentError, NotFoundError, OpError
from weftwork.graph.graph import Graph, GraphKeys
from weftwork.graph.interchange.native import Functions
from weftwork.graph.names import without_scope
from weftwork.graph.protos import available
from weftwork.graph.stacks import get_default_graph
from weftwork.scheduler.saving.meta_graph import as_bytes, export_meta_graph, read_meta_graph, scoped
from weftwork.scheduler.saving.saveables import saveables_of
from weftwork.scheduler.saving.saver_def import SaverDef
from weftwork.scheduler.saving.saver_nodes import add_nodes
from weftwork.scheduler.session.session import BaseSession
from weftwork.scheduler.state.checkpoint_state import (
    STATE_FILE,
    Kept,
    checkpoint_exists,
    log,
    remove_checkpoint,
    update_checkpoint_state,
)

SAVEABLES = "saveable_objects"
"""The collection of variables that are saved although they are not global."""


class Saver:
    """Saves variables to checkpoints and restores them. Create it before the graph is finalized: it adds nodes.

    var_list: variables, or a dict of them by their keys in the checkpoint, which are names otherwise; None: all global
        variables.
    reshape: restore values of another shape with the same number of elements.
    sharded: write several data files in parallel, each where its values are. On several machines, the path must be on a
        shared file system, or a URL.
    max_to_keep: the number of checkpoints to keep; None or 0 keeps all.   keep_checkpoint_every_n_hours: keep one
        checkpoint for good in this many hours.
    defer_build: add the nodes when `build` is called.   allow_empty: accept that there is nothing to save.
    pad_step_number: write steps in file names with eight digits.   save_relative_paths: allow moving the folder.
    filename: the prefix if none is fed.
    write_version: SaverDef.V2 writes TensorFlow's files, which hold numbers and text, SaverDef.V1 its older ones; None
        writes Weftwork's own, which hold any plain data. Each saver reads all of them.
    restore_sequentially, builder: accepted, without effect.
    Raises ValueError without variables or for duplicate keys, TypeError for anything that is not a variable.

        saver = tf.train.Saver()
        path = saver.save(session, "/tmp/model", global_step=100)
        saver.restore(later_session, path)
    """

    def __init__(
        self,
        var_list: Any = None,
        reshape: bool = False,
        sharded: bool = False,
        max_to_keep: int | None = 5,
        keep_checkpoint_every_n_hours: float = 10000.0,
        name: str | None = None,
        restore_sequentially: bool = False,
        saver_def: SaverDef | None = None,
        builder: Any = None,
        defer_build: bool = False,
        allow_empty: bool = False,
        write_version: Any = None,
        pad_step_number: bool = False,
        save_relative_paths: bool = False,
        filename: str | None = None,
    ):
        if defer_build and var_list:
            raise ValueError(
                "If `var_list` is provided then build cannot be deferred. Either set defer_build=False or "
                "var_list=None."
            )
        self._var_list, self._name, self._filename = var_list, name, filename
        if write_version not in (None, SaverDef.V1, SaverDef.V2, "weftwork"):
            raise ValueError(f"write_version must be SaverDef.V1, SaverDef.V2 or None, not {write_version!r}.")
        self._bundled: bool | str = "V1" if write_version == SaverDef.V1 else write_version == SaverDef.V2
        self._reshape, self._sharded, self._allow_empty = reshape, sharded, allow_empty
        self._pad_step_number, self._save_relative_paths = pad_step_number, save_relative_paths
        self._kept = Kept(max_to_keep, keep_checkpoint_every_n_hours)
        self._is_empty = False
        self._meta: tuple[tuple[int, bool], bytes] = ((-1, False), b"")
        self._saving = threading.Lock()
        if saver_def is not None and not isinstance(saver_def, SaverDef):
            raise ValueError(f"saver_def must be a saver_pb2.SaverDef: {saver_def}")
        for field in ("save_tensor_name", "restore_op_name") if saver_def is not None else ():
            if not getattr(saver_def, field):
                raise ValueError(f"saver_def must specify the {field}: {saver_def}")
        self.saver_def: SaverDef | None = saver_def
        if saver_def is not None and max_to_keep == 5:
            self._kept = Kept(saver_def.max_to_keep, saver_def.keep_checkpoint_every_n_hours or 10000.0)
        if saver_def is None and not defer_build:
            self.build()

    def build(self) -> None:
        """Add the nodes to the graph, unless that was done.

        Raises ValueError if there is nothing to save, unless allow_empty.
        """
        if self.saver_def is not None or self._is_empty:
            return
        given, self._var_list = self._var_list, None
        if given is None:
            graph = get_default_graph()
            given = graph.get_collection(GraphKeys.GLOBAL_VARIABLES) + graph.get_collection(SAVEABLES)
        saveables = saveables_of(given)
        if not saveables:
            if not self._allow_empty:
                raise ValueError("No variables to save")
            self._is_empty = True
            return
        filename, saved, restored = add_nodes(
            self._name, self._filename, saveables, self._sharded, self._reshape, self._bundled
        )
        self.saver_def = SaverDef(
            filename_tensor_name=filename.name,
            save_tensor_name=saved.name,
            restore_op_name=restored.name,
            max_to_keep=int(self._kept.limit or 0),
            sharded=self._sharded,
            keep_checkpoint_every_n_hours=self._kept.hours,
            version=SaverDef.V1 if self._bundled == "V1" else SaverDef.V2,
        )

    def as_saver_def(self) -> SaverDef | None:
        """The SaverDef that finds this saver in its graph; None before `build`."""
        return self.saver_def

    # Saving

    def save(
        self,
        sess: Any,
        save_path: Any,
        global_step: Any = None,
        latest_filename: str | None = None,
        meta_graph_suffix: str = "meta",
        write_meta_graph: bool = True,
        write_state: bool = True,
        strip_default_attrs: bool = False,
        save_debug_info: bool = False,
    ) -> str | None:
        """Write a checkpoint of the variables as of one moment. Returns its prefix, for `restore`.

        In shards of the older format, the prefix ends in `-?????-of-00002`.

        save_path: a path or URL. With a `global_step` (a number, tensor or variable), `-STEP` is appended.
        write_state: also write the file `checkpoint` (`latest_filename`), and delete checkpoints beyond the limit.
        write_meta_graph: also write the graph and its collections as a MetaGraphDef, if TensorBoard is installed.
        strip_default_attrs: leave out attributes that have TensorFlow's default.
        Until the new checkpoint is completely on disk, the previous one is the newest.
        The folder is made if only that one is missing.
        Raises ValueError or TypeError for invalid arguments, and OpErrors of the file system.
        """
        if self.saver_def is None and not self._is_empty:
            raise RuntimeError("`build()` should be called before save if defer_build==True")
        latest_filename = STATE_FILE if latest_filename is None else latest_filename
        if os.path.split(latest_filename)[0]:
            raise ValueError("'latest_filename' must not contain path components")
        save_path = os.fsdecode(save_path)
        folder, name = split(save_path)
        if global_step is None and name == latest_filename and not self._sharded:
            raise ValueError(f"'latest_filename' collides with 'save_path': '{latest_filename}' and '{save_path}'")
        if not isinstance(sess, BaseSession):
            raise TypeError(f"'sess' must be a Session; {sess}")
        prefix = save_path + self._step(sess, global_step)
        files = files_of(prefix)
        if not files.has_place(prefix):
            raise ValueError(f"Parent directory of {save_path} doesn't exist, can't save.")
        with file_errors(prefix):
            files.make_folder(prefix)
        meta_graph = f"{prefix}.{meta_graph_suffix}"
        with self._saving:
            if self.saver_def is not None:
                names, given = self.saver_def, os.fsencode(absolute(prefix))
                try:
                    saved = sess.run(names.save_tensor_name, {names.filename_tensor_name: given})
                    prefix += os.fsdecode(saved[len(given) :])
                except OpError:
                    tidy(prefix)
                    raise
            if self.saver_def is not None and write_state:
                self._record(prefix, folder, latest_filename, meta_graph_suffix)
            if write_meta_graph:
                self._write_meta_graph(sess.graph, meta_graph, strip_default_attrs)
        return None if self._is_empty else prefix

    def _step(self, sess: BaseSession, global_step: Any) -> str:
        if global_step is None:
            return ""
        step = int(global_step if isinstance(global_step, (int, np.integer)) else sess.run(global_step))
        return f"-{step:08d}" if self._pad_step_number else f"-{step}"

    def _record(self, prefix: str, folder: str, latest_filename: str, meta_graph_suffix: str) -> None:
        """Record `prefix` as the newest checkpoint, then delete checkpoints beyond the limit."""
        self._kept.add(prefix, time.time())
        update_checkpoint_state(
            folder, prefix, self.last_checkpoints, latest_filename, save_relative_paths=self._save_relative_paths
        )
        for old in self._kept.leaving():
            try:
                remove_checkpoint(old, meta_graph_suffix=meta_graph_suffix)
            except OpError as error:  # the new checkpoint is complete all the same
                log.warning("Ignoring: %s", error)

    def _write_meta_graph(self, graph: Graph, name: str, strip: bool) -> None:
        if not available():
            log.debug("%s is not written: TensorBoard, whose protocol buffers it is made of, is not installed.", name)
            return
        which, data = self._meta
        if which != (graph.version, strip):
            made = export_meta_graph(graph=graph, saver_def=self.saver_def, strip_default_attrs=strip)
            data = as_bytes(made, False)
            self._meta = ((graph.version, strip), data)
        write_whole(name, data, files_of(name))

    def export_meta_graph(
        self,
        filename: Any = None,
        collection_list: Any = None,
        as_text: bool = False,
        export_scope: str | None = None,
        clear_devices: bool = False,
        clear_extraneous_savers: bool = False,
        strip_default_attrs: bool = False,
        save_debug_info: bool = False,
    ) -> Any:
        """The MetaGraphDef of the default graph and this saver. See `tf.train.export_meta_graph`."""
        return export_meta_graph(
            filename,
            saver_def=self.saver_def,
            collection_list=collection_list,
            as_text=as_text,
            export_scope=export_scope,
            clear_devices=clear_devices,
            clear_extraneous_savers=clear_extraneous_savers,
            strip_default_attrs=strip_default_attrs,
        )

    @classmethod
    def from_proto(cls, saver_def: SaverDef, import_scope: str | None = None) -> Saver:
        """The saver for a SaverDef whose nodes are in the default graph, under `import_scope`."""
        return cls(saver_def=scoped(saver_def, import_scope))

    def to_proto(self, export_scope: str | None = None) -> SaverDef | None:
        """Its SaverDef, with names relative to a scope. None if its nodes are outside of that."""
        made = self.saver_def
        if made is None or export_scope is None:
            return made
        names = (made.filename_tensor_name, made.save_tensor_name, made.restore_op_name)
        if not all([name.startswith(f"{export_scope.rstrip('/')}/") for name in names]):
            return None
        relative = SaverDef()
        relative.CopyFrom(made)
        for field in ("filename_tensor_name", "save_tensor_name", "restore_op_name"):
            setattr(relative, field, without_scope(getattr(made, field), export_scope))
        return relative

    # Restoring

    def restore(self, sess: Any, save_path: Any) -> None:
        """Restore the variables from a checkpoint: all of them, or none if anything is wrong.

        They need not be initialized. Other variables are unchanged.
        Raises ValueError if there is no such checkpoint, NotFoundError if it lacks a key, InvalidArgumentError if a
        dtype or shape differs, DataLossError if its files are damaged.
        """
        if self._is_empty:
            return
        if save_path is None:
            raise ValueError("Can't load save_path when it is None.")
        prefix = os.fsdecode(save_path)
        if not checkpoint_exists(prefix):
            raise ValueError(f"The passed save_path is not a valid checkpoint: {prefix}")
        if self.saver_def is None:
            raise RuntimeError("`build()` should be called before restore if defer_build==True")
        log.info("Restoring parameters from %s", prefix)
        names = self.saver_def
        try:
            sess.run(names.restore_op_name, {names.filename_tensor_name: os.fsencode(absolute(prefix))})
        except NotFoundError as error:
            raise _explained(error, "a Variable name or other graph key that is missing from the checkpoint") from error
        except InvalidArgumentError as error:
            text = "a mismatch between the current graph and the graph from the checkpoint"
            raise _explained(error, text) from error

    # Existing checkpoints

    @property
    def last_checkpoints(self) -> list[str]:
        """The checkpoints that this saver has written and kept, oldest first."""
        return self._kept.paths()

    @property
    def _last_checkpoints(self) -> list[tuple[str, float]]:
        return self._kept.entries

    @property
    def _next_checkpoint_time(self) -> float:
        return self._kept.next_for_good

    @_next_checkpoint_time.setter
    def _next_checkpoint_time(self, value: float) -> None:
        self._kept.next_for_good = value

    def set_last_checkpoints(self, last_checkpoints: Sequence[str]) -> None:
        """Adopt checkpoints, which are kept for good, since nobody knows when they were written.

        last_checkpoints: a list of paths. Raises TypeError for anything else. See `recover_last_checkpoints`.
        """
        if not isinstance(last_checkpoints, list):
            raise TypeError(f"last_checkpoints must be a list, but got {last_checkpoints!r}.")
        self._kept.entries = [(path, float("inf")) for path in last_checkpoints]

    def set_last_checkpoints_with_time(self, last_checkpoints_with_time: Sequence[tuple[str, float]]) -> None:
        """Like `set_last_checkpoints`, for a list of (path, seconds since 1970).

        last_checkpoints_with_time: a list of pairs.
        Raises TypeError if it is not a list.
        """
        if not isinstance(last_checkpoints_with_time, list):
            raise TypeError(f"last_checkpoints_with_time must be a list, but got {last_checkpoints_with_time!r}.")
        self._kept.entries = list(last_checkpoints_with_time)

    def recover_last_checkpoints(self, checkpoint_paths: Iterable[str]) -> None:
        """Adopt those of `checkpoint_paths` that exist, with the times when they were written."""
        self._kept.recover(checkpoint_paths)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_saving"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._saving = threading.Lock()


def _explained(error: OpError, reason: str) -> OpError:
    return type(error)(
        error.node_def,
        error.op,
        f"Restoring from checkpoint failed. This is most likely due to {reason}. Please ensure that you have not "
        f"altered the graph expected based on the checkpoint. Original error:\n\n{error.message}",
    )


def import_meta_graph(
    meta_graph_or_file: Any,
    clear_devices: bool = False,
    import_scope: str | None = None,
    input_map: Any = None,
    functions: Functions = False,
    **kwargs: Any,
) -> Saver | None:
    """Add the nodes and collections of a MetaGraphDef, or of a file with one, to the default graph. Returns its saver.

    If it has no saver, one is created for its variables; without variables, returns None.
    input_map, functions: as in `tf.import_graph_def`.
    meta_graph_or_file: a MetaGraphDef, or a path.
    Raises OSError if the file is missing or malformed, and what `tf.import_graph_def` raises.
    """
    made, scope = read_meta_graph(meta_graph_or_file, clear_devices, import_scope, input_map, functions)
    if GraphKeys.SAVERS in made.collection_def:
        savers = get_default_graph().get_collection_ref(GraphKeys.SAVERS)
        savers[:] = [Saver(saver_def=item) if isinstance(item, SaverDef) else item for item in savers]
    if made.HasField("saver_def"):
        return Saver.from_proto(SaverDef.FromString(made.saver_def.SerializeToString()), scope)
    if get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES, scope):
        return Saver()
    log.info("Saver not created because there are no variables in the graph to restore")
    return None
