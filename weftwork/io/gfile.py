"""tf.io.gfile: the file system, by names in Python's style (`tf.gfile` has TensorFlow 1's)."""

from weftwork.graph.files.system import (
    GFile,
    copy,
    exists,
    glob,
    remove,
    rename,
    stat,
)
from weftwork.graph.files.system import is_directory as isdir
from weftwork.graph.files.system import list_directory as listdir
from weftwork.graph.files.system import make_directories as makedirs
from weftwork.graph.files.system import make_directory as mkdir
from weftwork.graph.files.system import remove_all as rmtree
from weftwork.graph.files.system import walk_v2 as walk

__all__ = [
    "GFile",
    "copy",
    "exists",
    "glob",
    "isdir",
    "listdir",
    "makedirs",
    "mkdir",
    "remove",
    "rename",
    "rmtree",
    "stat",
    "walk",
]
