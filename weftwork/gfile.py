"""tf.gfile: the file system, by TensorFlow 1's names (`tf.io.gfile` has the newer ones)."""

from weftwork.graph.files.system import GFile
from weftwork.graph.files.system import GFile as FastGFile
from weftwork.graph.files.system import GFile as Open
from weftwork.graph.files.system import copy as Copy
from weftwork.graph.files.system import exists as Exists
from weftwork.graph.files.system import glob as Glob
from weftwork.graph.files.system import is_directory as IsDirectory
from weftwork.graph.files.system import list_directory as ListDirectory
from weftwork.graph.files.system import make_directories as MakeDirs
from weftwork.graph.files.system import make_directory as MkDir
from weftwork.graph.files.system import remove as Remove
from weftwork.graph.files.system import remove_all as DeleteRecursively
from weftwork.graph.files.system import rename as Rename
from weftwork.graph.files.system import stat as Stat
from weftwork.graph.files.system import walk as Walk

__all__ = [
    "Copy",
    "DeleteRecursively",
    "Exists",
    "FastGFile",
    "GFile",
    "Glob",
    "IsDirectory",
    "ListDirectory",
    "MakeDirs",
    "MkDir",
    "Open",
    "Remove",
    "Rename",
    "Stat",
    "Walk",
]
