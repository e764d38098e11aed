"""The file system under TensorFlow 1's names: `tf.gfile`, and `tf.io.gfile` with Python's names.

path     on this machine (with or without `file://`), or a URL (`s3://bucket/name`) that fsspec supports
Errors of the system become OpErrors that name the path: NotFoundError, AlreadyExistsError, PermissionDeniedError ...
"""

from __future__ import annotations

import errno
import fnmatch
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from weftwork.graph.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    OpError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnknownError,
)

_CODES: dict[int | None, type[OpError]] = {
    errno.ENOSPC: ResourceExhaustedError,
    errno.EDQUOT: ResourceExhaustedError,
    errno.EFBIG: ResourceExhaustedError,
    errno.EMFILE: ResourceExhaustedError,
    errno.EACCES: PermissionDeniedError,
    errno.EPERM: PermissionDeniedError,
    errno.EROFS: PermissionDeniedError,
    errno.ENOENT: NotFoundError,
    errno.ENOTDIR: FailedPreconditionError,
    errno.EISDIR: FailedPreconditionError,
    errno.ENOTEMPTY: FailedPreconditionError,
    errno.EEXIST: AlreadyExistsError,
}


@contextmanager
def file_errors(path: str) -> Iterator[None]:
    """Turn an operating system error into an OpError that names the file."""
    try:
        yield
    except OSError as error:
        kind = _CODES.get(error.errno, NotFoundError if isinstance(error, FileNotFoundError) else UnknownError)
        text = error.strerror or str(error) or type(error).__name__
        raise kind(None, None, f"{error.filename or path}; {text}") from error


def is_url(path: str) -> bool:
    """True for `SCHEME://...`."""
    return "://" in path


def as_path(path: Any) -> str:
    """A path as text, from text, UTF-8 bytes or a path object, without `file://`."""
    return os.fsdecode(path).removeprefix("file://")


class FileStatistics(NamedTuple):
    """The properties of a file: length in bytes, last modification in ns since 1970, whether it is a directory."""

    length: int
    mtime_nsec: int
    is_directory: bool


class _Local:
    """This machine's file system."""

    open: Any = staticmethod(open)
    exists = staticmethod(os.path.exists)
    is_directory = staticmethod(os.path.isdir)
    remove = staticmethod(os.remove)
    make_directory = staticmethod(os.mkdir)
    rename = staticmethod(os.replace)
    copy = staticmethod(shutil.copyfile)

    def names(self, path: str) -> list[str]:
        """The contents of a directory."""
        return os.listdir(path)

    def make_directories(self, path: str) -> None:
        """Create a directory and its parents."""
        os.makedirs(path, exist_ok=True)

    def remove_all(self, path: str) -> None:
        """Delete a directory and its contents."""
        (shutil.rmtree if os.path.isdir(path) and not os.path.islink(path) else os.remove)(path)

    def statistics(self, path: str) -> FileStatistics:
        """The properties of a file."""
        found = os.stat(path)
        return FileStatistics(found.st_size, found.st_mtime_ns, os.path.isdir(path))


class _Url:
    """A file system provided by fsspec."""

    def __init__(self, path: str):
        try:
            from fsspec.core import url_to_fs  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise ImportError(f"{path} needs the package fsspec: pip install 'weftwork[fsspec]'") from None
        self._system: Any = url_to_fs(path)[0]
        self.open, self.exists, self.is_directory = self._system.open, self._system.exists, self._system.isdir
        self.remove, self.make_directory = self._system.rm_file, self._system.mkdir
        self.rename, self.copy = self._system.mv, self._system.cp_file

    def names(self, path: str) -> list[str]:
        """The contents of a directory."""
        self._system.invalidate_cache()
        return [str(found).rstrip("/").rpartition("/")[2] for found in self._system.ls(path, detail=False)]

    def make_directories(self, path: str) -> None:
        """Create a directory and its parents."""
        self._system.makedirs(path, exist_ok=True)

    def remove_all(self, path: str) -> None:
        """Delete a directory and its contents."""
        self._system.rm(path, recursive=True)

    def statistics(self, path: str) -> FileStatistics:
        """The properties of a file."""
        found = self._system.info(path)
        try:
            written = int(self._system.modified(path).timestamp() * 1e9)
        except (NotImplementedError, KeyError, FileNotFoundError):  # some stores do not know it
            written = 0
        return FileStatistics(int(found["size"] or 0), written, found["type"] == "directory")


_LOCAL = _Local()


def _system(path: str) -> Any:
    return _Url(path) if is_url(path) else _LOCAL


def _join(folder: str, name: str) -> str:
    return folder + name if not folder or folder.endswith("/") else f"{folder}/{name}"


# Queries


def exists(path: Any) -> bool:
    """True if the path is a file or directory."""
    path = as_path(path)
    with file_errors(path):
        return bool(_system(path).exists(path))


def is_directory(path: Any) -> bool:
    """True if the path is a directory."""
    path = as_path(path)
    with file_errors(path):
        return bool(_system(path).is_directory(path))


def stat(path: Any) -> FileStatistics:
    """(length in bytes, mtime_nsec, is_directory) of a file. Raises NotFoundError if it does not exist."""
    path = as_path(path)
    with file_errors(path):
        return _system(path).statistics(path)


def list_directory(path: Any) -> list[str]:
    """The sorted names in a directory. Raises NotFoundError if there is no such directory."""
    path = as_path(path)
    if not is_directory(path):
        raise NotFoundError(None, None, f"Could not find directory {path}")
    with file_errors(path):
        return sorted(_system(path).names(path))


def glob(pattern: Any) -> list[str]:
    """The sorted paths that match a pattern, or one of several: `*`, `?`, `[a-z]` match within a component.

    For a pattern without a directory, results begin with `./`, as in TensorFlow.
    """
    patterns = [pattern] if isinstance(pattern, (str, bytes, os.PathLike)) else pattern
    return [path for one in patterns for path in sorted(_matching(as_path(one)))]


def _matching(pattern: str) -> list[str]:
    start = pattern.find("://") + 3 if is_url(pattern) else len(pattern) - len(pattern.lstrip("/"))
    found, parts = [pattern[:start]], [part for part in pattern[start:].split("/") if part]
    for part in parts:
        if any(c in part for c in "*?["):
            folders = [folder or "." for folder in found if is_directory(folder or ".")]
            found = [
                _join(folder, name)
                for folder in folders
                for name in list_directory(folder)
                if fnmatch.fnmatchcase(name, part)
            ]
        else:
            found = [_join(folder, part) for folder in found]
    return [path for path in found if exists(path)]


def walk(
    top: Any, in_order: bool = True, onerror: Callable[[OpError], Any] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """(directory, names of its subdirectories, names of its files) for a directory and everything below it.

    in_order: a directory comes before its subdirectories, else after them.   onerror: called with the error for a
    directory that cannot be listed; by default such directories are skipped.   top: the directory's path.
    """
    top = as_path(top)
    try:
        names = list_directory(top)
    except OpError as error:
        if onerror is not None:
            onerror(error)
        return
    folders = [name for name in names if is_directory(_join(top, name))]
    entry = (top, folders, [name for name in names if name not in set(folders)])
    if in_order:
        yield entry
    for name in folders:
        yield from walk(_join(top, name), in_order, onerror)
    if not in_order:
        yield entry


# Changes


def make_directory(path: Any) -> None:
    """Create a directory unless it exists. Raises NotFoundError if its parent does not exist."""
    path = as_path(path)
    if not is_directory(path):
        with file_errors(path):
            _system(path).make_directory(path)


def make_directories(path: Any) -> None:
    """Create a directory and its parents, unless they exist. Raises FailedPreconditionError if it is a file."""
    path = as_path(path)
    if exists(path) and not is_directory(path):
        raise FailedPreconditionError(None, None, f"{path} is not a directory")
    with file_errors(path):
        _system(path).make_directories(path)


def remove(path: Any) -> None:
    """Delete a file. Raises NotFoundError if it does not exist, FailedPreconditionError for a directory."""
    path = as_path(path)
    if is_directory(path):
        raise FailedPreconditionError(None, None, f"{path}; Is a directory")
    with file_errors(path):
        _system(path).remove(path)


def remove_all(path: Any) -> None:
    """Delete a directory and its contents. Raises NotFoundError if it does not exist."""
    path = as_path(path)
    with file_errors(path):
        _system(path).remove_all(path)


def copy(oldpath: Any, newpath: Any, overwrite: bool = False) -> None:
    """Copy the file `oldpath`. Raises NotFoundError; AlreadyExistsError if `newpath` exists, unless `overwrite`."""
    old, new = as_path(oldpath), as_path(newpath)
    _check_free(new, overwrite)
    with file_errors(old):
        if _system(old) is _LOCAL and _system(new) is _LOCAL:
            _LOCAL.copy(old, new)
        else:
            with _system(old).open(old, "rb") as source, _system(new).open(new, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)


def rename(oldname: Any, newname: Any, overwrite: bool = False) -> None:
    """Move the file or directory `oldname`. Raises as `copy` does: `newname` must not exist, unless `overwrite`."""
    old, new = as_path(oldname), as_path(newname)
    _check_free(new, overwrite)
    if is_url(old) != is_url(new):
        copy(old, new, overwrite)
        remove(old)
        return
    with file_errors(old):
        _system(old).rename(old, new)


def _check_free(path: str, overwrite: bool) -> None:
    if not overwrite and exists(path):
        raise AlreadyExistsError(None, None, f"{path}; file already exists")


# Files


_MODES = ("r", "w", "a", "r+", "w+", "a+")


class GFile:
    """A file, opened on first use.

    mode: r, w, a, r+, w+ or a+; with b the contents are bytes, else UTF-8 text. Positions are counted in bytes.
    It is an iterator of lines, and a context manager that closes the file.
    Raises InvalidArgumentError for another mode. Methods raise PermissionDeniedError if the mode does not permit them,
    and errors of the system (NotFoundError ...).
    """

    def __init__(self, name: Any, mode: str = "r"):
        if mode.replace("b", "") not in _MODES:
            raise InvalidArgumentError(None, None, f"mode is not {' or '.join(map(repr, _MODES))}: {mode!r}")
        self._name, self._mode, self._file = name, mode, None

    @property
    def name(self) -> Any:
        """The path, as given."""
        return self._name

    @property
    def mode(self) -> str:
        """The mode, as given."""
        return self._mode

    def size(self) -> int:
        """The length of the file in bytes."""
        return stat(self._name).length

    def read(self, n: int = -1) -> Any:
        """Read n bytes, or the rest of the file."""
        file = self._opened(reading=True)
        with file_errors(as_path(self._name)):
            return self._text(file.read(n))

    def readline(self) -> Any:
        """The next line with its line end; empty at the end of the file."""
        file = self._opened(reading=True)
        with file_errors(as_path(self._name)):
            return self._text(file.readline())

    def readlines(self) -> list[Any]:
        """All remaining lines."""
        return list(self)

    def write(self, file_content: Any) -> None:
        """Write file_content: bytes, or text as UTF-8."""
        file = self._opened(writing=True)
        with file_errors(as_path(self._name)):
            file.write(file_content.encode() if isinstance(file_content, str) else file_content)

    def seek(self, offset: int | None = None, whence: int = 0, position: int | None = None) -> None:
        """Go to byte `offset` (or `position`) from the start (whence 0), here (1) or the end (2)."""
        if (offset is None) == (position is None):
            raise TypeError("seek(): one offset, or position, must be given.")
        if whence not in (0, 1, 2):
            raise InvalidArgumentError(None, None, f"Invalid whence argument: {whence}. Valid values are 0, 1, or 2.")
        file = self._opened(reading=True)
        with file_errors(as_path(self._name)):
            file.seek(position if offset is None else offset, whence)

    def tell(self) -> int:
        """The current position, in bytes."""
        return self._opened().tell()

    def seekable(self) -> bool:
        """True: `seek` works."""
        return True

    def flush(self) -> None:
        """Hand everything written to the operating system."""
        if self._file is not None:
            with file_errors(as_path(self._name)):
                self._file.flush()

    def close(self) -> None:
        """Close the file; one that was never used is not touched."""
        file, self._file = self._file, None
        if file is not None:
            with file_errors(as_path(self._name)):
                file.close()

    def _opened(self, reading: bool = False, writing: bool = False) -> Any:
        bare = self._mode.replace("b", "")
        if reading and bare in ("w", "a"):
            raise PermissionDeniedError(None, None, f"File isn't open for reading: {as_path(self._name)}")
        if writing and bare == "r":
            raise PermissionDeniedError(None, None, f"File isn't open for writing: {as_path(self._name)}")
        if self._file is None:
            path = as_path(self._name)
            with file_errors(path):
                self._file = _system(path).open(path, bare[0] + "b" + bare[1:])
        return self._file

    def _text(self, data: bytes) -> Any:
        return data if "b" in self._mode else data.decode()

    def __iter__(self) -> GFile:
        return self

    def __next__(self) -> Any:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    next = __next__

    def __enter__(self) -> GFile:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __del__(self) -> None:  # as in TensorFlow, it need not be closed: `GFile(path).read()`
        if getattr(self, "_file", None) is not None:
            self.close()

    def __repr__(self) -> str:
        return f"<GFile {as_path(self._name)!r}, mode {self._mode!r}>"


def read_whole(path: Any) -> bytes:
    """All bytes of a file. Raises NotFoundError etc."""
    with GFile(path, "rb") as file:
        return file.read()


def open_to_read(path: Any) -> Any:
    """Open a file for reading bytes. Raises NotFoundError etc."""
    path = as_path(path)
    with file_errors(path):
        return _system(path).open(path, "rb")


def open_to_write(path: Any) -> Any:
    """Open a file for writing bytes; an existing one is replaced."""
    path = as_path(path)
    with file_errors(path):
        return _system(path).open(path, "wb")


# `tf.io.gfile`


def walk_v2(top: Any, topdown: bool = True, onerror: Any = None) -> Iterator[tuple[str, Sequence[Any], Sequence[Any]]]:
    """Like `walk`, with newer names of its arguments: topdown is in_order. top, onerror: as in `walk`."""
    return walk(top, topdown, onerror)
