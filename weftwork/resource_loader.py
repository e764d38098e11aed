"""tf.resource_loader: files in the folder of the program's modules."""

import os
from inspect import currentframe
from types import FrameType

from weftwork.graph.files.system import GFile


def get_data_files_path() -> str:
    """The folder of the module that calls it."""
    return _folder_of(currentframe())


def get_path_to_datafile(path: str) -> str:
    """The path of a file in the folder of the module that calls it."""
    return os.path.join(_folder_of(currentframe()), path)


def _folder_of(frame: FrameType | None) -> str:
    caller = None if frame is None else frame.f_back
    return os.path.dirname(os.path.abspath(caller.f_code.co_filename)) if caller is not None else os.getcwd()


def load_resource(path: str) -> bytes:
    """The content of a file. Raises NotFoundError if it does not exist."""
    with GFile(path, "rb") as file:
        return file.read()


def readahead_file_path(path: str, readahead: str = "128M") -> str:
    """The path itself.

    readahead: ignored.
    """
    return path


__all__ = ["get_data_files_path", "get_path_to_datafile", "load_resource", "readahead_file_path"]
