"""Initial values from a checkpoint whose rows or columns belonged to another vocabulary.

vocabulary   a text file with one entry a line. Entry number i of it belongs to row (or column) i of a variable
OOV          out of vocabulary: rows after those of the entries, for words that have none
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from weftwork.actors.checkpoints.files import absolute, files_of
from weftwork.actors.checkpoints.reader import CheckpointReader
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.indexing import gather
from weftwork.graph.ops.selecting import where_v2
from weftwork.graph.scopes import name_scope
from weftwork.graph.variables.variable import Variable
from weftwork.scheduler.saving.saver_nodes import whole_value


class _Fields(NamedTuple):
    new_vocab: Any
    new_vocab_size: int
    num_oov_buckets: int
    old_vocab: Any
    old_vocab_size: int
    backup_initializer: Any
    axis: int


class VocabInfo(_Fields):
    """The vocabularies of a variable for `tf.train.warm_start`.

    new_vocab, old_vocab: paths of the files that belong to the variable and to the checkpoint.
    new_vocab_size, old_vocab_size: how many of their entries are used; -1 stands for all of the old ones.
    num_oov_buckets: rows after those of the entries.
    backup_initializer: makes the values of new entries and of OOV rows; zeros by default.
    axis: 0 if the entries are rows, 1 if they are columns. Raises ValueError for another one.
    """

    def __new__(
        cls,
        new_vocab: Any,
        new_vocab_size: int,
        num_oov_buckets: int,
        old_vocab: Any,
        old_vocab_size: int = -1,
        backup_initializer: Any = None,
        axis: int = 0,
    ) -> VocabInfo:
        if axis not in (0, 1):
            raise ValueError(f"The only supported values for the axis argument are 0 and 1.  Provided axis: {axis}")
        sizes = new_vocab_size, num_oov_buckets, old_vocab, old_vocab_size
        return super().__new__(cls, new_vocab, *sizes, backup_initializer, axis)


def start_with_vocabulary(parts: Sequence[Variable], info: VocabInfo, prefix: str, key: str) -> None:
    """Make the initializers of a variable, or of its parts, read the rows or columns of their entries.

    Raises ValueError for sizes that do not fit, InvalidArgumentError for a vocabulary that is too short.
    """
    if not (info.new_vocab and info.new_vocab_size and info.old_vocab):
        raise ValueError(f"new_vocab, new_vocab_size and old_vocab of {key} must be given, but are {info}")
    known = CheckpointReader(prefix).get_variable_to_shape_map()
    if key not in known:
        raise ValueError(f"Tensor {key} is not found in {prefix} checkpoint {known}")
    old = {entry: number for number, entry in enumerate(_entries(info.old_vocab, info.old_vocab_size))}
    entries = _entries(info.new_vocab, info.new_vocab_size)
    if len(entries) < info.new_vocab_size:
        text = f"{info.new_vocab} has {len(entries)} entries, but new_vocab_size is {info.new_vocab_size}"
        raise ValueError(f"{text}: variable {parts[0].name}")
    places = np.array([old.get(entry, -1) for entry in entries] + [-1] * info.num_oov_buckets, np.int64)
    for part in parts:
        _start(part, info, prefix, key, known[key], places)


def _entries(path: Any, size: int) -> list[bytes]:
    """The first entries of a vocabulary; -1 for all of them."""
    name = os.fspath(path)
    with files_of(name).open(name) as file:
        lines = file.read().splitlines()
    return lines if size < 0 else lines[:size]


def _start(part: Variable, info: VocabInfo, prefix: str, key: str, stored: Any, places: np.ndarray) -> None:
    shape, slice_info, axis = [size or 0 for size in part.shape.as_list()], part.save_slice_info, info.axis
    if len(shape) <= axis or len(stored or ()) != len(shape):
        raise ValueError(f"Variable {part.name} has shape {shape}, but tensor {key} of the checkpoint has {stored}")
    start = slice_info.var_offset[axis] if slice_info is not None else 0
    whole = slice_info.full_shape[axis] if slice_info is not None else shape[axis]
    if whole != len(places):
        raise ValueError(
            f"Variable {part.name} has {whole} {('rows', 'columns')[axis]}, but new_vocab_size + num_oov_buckets = "
            f"{info.new_vocab_size} + {info.num_oov_buckets}"
        )
    with part.graph.as_default(), part.graph.control_dependencies(None), name_scope(part.op.name + "/"):
        value = whole_value(absolute(prefix), key, part, stored)
        for other in range(len(shape)):
            if other != axis:  # the part's own rows, where the entries are columns
                first = slice_info.var_offset[other] if slice_info is not None else 0
                value = gather(value, np.arange(first, first + shape[other]), axis=other)
        own = places[start : start + shape[axis]]
        value = gather(value, np.maximum(own, 0), axis=axis)
        backup = np.zeros(shape) if info.backup_initializer is None else info.backup_initializer(shape)
        known = np.broadcast_to((own >= 0).reshape([-1 if at == axis else 1 for at in range(len(shape))]), shape)
        value = where_v2(known, value, cast(convert_to_tensor(backup), part.dtype.base_dtype))
    part.initialise_from(value)
