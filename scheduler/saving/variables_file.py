"""Variables in files of arrays: safetensors and npz (see `actors/checkpoints/arrays`)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from weftwork.actors.checkpoints.arrays import read_arrays, write_arrays
from weftwork.graph.graph import GraphKeys
from weftwork.graph.variables.variable import Variable


def _named(sess: Any, var_list: Any) -> dict[str, Variable]:
    if var_list is None:
        var_list = sess.graph.get_collection(GraphKeys.GLOBAL_VARIABLES)
    return dict(var_list) if isinstance(var_list, dict) else {variable.op.name: variable for variable in var_list}


def export_variables(sess: Any, path: Any, var_list: Any = None) -> None:
    """Write the values of variables, as of one moment, to a file `*.safetensors` or `*.npz`.

    var_list: variables, or a dict of them by their names in the file; None: all global variables.
    Raises ValueError for other file names, InvalidArgumentError for a value that the format cannot hold.
    """
    values = sess.run(_named(sess, var_list))
    write_arrays(os.fspath(path), {name: np.asarray(value) for name, value in values.items()})


def import_variables(sess: Any, path: Any, var_list: Any = None) -> None:
    """Restore variables from such a file: all of them, or none if anything is wrong.

    var_list: variables, or a dict of them by their names in the file; None: all global variables.
    Raises KeyError if the file lacks one, ValueError if a shape differs, TypeError if a dtype differs.
    """

    found, feeds = read_arrays(os.fspath(path)), {}
    named = _named(sess, var_list)
    for name, variable in named.items():
        if name not in found:
            raise KeyError(f"{name} is not in {path}, which has {', '.join(sorted(found))}")
        wanted = variable.dtype.base_dtype.numpy
        if found[name].dtype != wanted:
            raise TypeError(f"{variable.op.name} is {wanted}, but {name} of {path} is {found[name].dtype}")
        if not variable.shape.is_compatible_with(found[name].shape):
            raise ValueError(
                f"{variable.op.name} has shape {variable.shape}, but {name} of {path} has {found[name].shape}"
            )
        feeds[variable.initializer.inputs[1]] = found[name]
    sess.run([variable.initializer for variable in named.values()], feeds)
