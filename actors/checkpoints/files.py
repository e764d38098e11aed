"""File operations for checkpoints, on a disk or an object store. Each effect is one method call.

path     a local path, or a URL such as `s3://bucket/name` that fsspec can open
writer   an open temporary file; it becomes visible under its real name only at `publish`
safe     after `settle` returns, a published file survives a crash of the machine

Because every effect on the disk is a method here, a test can make any single one fail.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from weftwork.graph.files.system import file_errors as file_errors
from weftwork.graph.files.system import is_url as is_url


def temporary(path: str) -> str:
    """A unique file name beside `path`."""
    return f"{path}.{secrets.token_hex(4)}.tmp"


class LocalFiles:
    """Files on this machine."""

    def create(self, path: str) -> BinaryIO:
        """Open a new file for writing."""
        return open(path, "wb")

    def write(self, writer: BinaryIO, data: Any) -> None:
        """Append bytes."""
        writer.write(data)

    def finish(self, writer: BinaryIO) -> None:
        """Flush a file to disk and close it."""
        writer.flush()
        os.fsync(writer.fileno())
        writer.close()

    def publish(self, temporary: str, path: str) -> None:
        """Rename a finished file to `path` in one step, replacing any file of that name."""
        os.replace(temporary, path)

    def settle(self, path: str) -> None:
        """Flush the folder that holds `path`, so that its file names survive a crash."""
        folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove(self, path: str) -> None:
        """Delete a file."""
        os.remove(path)

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading."""
        return open(path, "rb", buffering=0)

    def size(self, path: str) -> int:
        """The size of a file in bytes."""
        return os.path.getsize(path)

    def exists(self, path: str) -> bool:
        """Whether a file of this name exists."""
        return os.path.isfile(path)

    def modified(self, path: str) -> float:
        """The time of the last write, in seconds since 1970."""
        return os.path.getmtime(path)

    def starting_with(self, prefix: str) -> list[str]:
        """All files whose paths start with `prefix`, sorted."""
        folder, start = os.path.split(prefix)
        return sorted(os.path.join(folder, name) for name in os.listdir(folder or ".") if name.startswith(start))

    def has_place(self, path: str) -> bool:
        """Whether the folder that will hold `path` exists, or at least the one that will hold that folder."""
        folder = os.path.dirname(path) or "."
        return os.path.isdir(folder if os.path.lexists(folder) else os.path.dirname(folder) or ".")

    def make_folder(self, path: str) -> None:
        """Create the folder that will hold `path`, unless it exists."""
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)

    def remove_folder(self, path: str) -> None:
        """Delete the folder that holds `path`, if it is empty."""
        with suppress(OSError):
            os.rmdir(os.path.dirname(path))


class UrlFiles:
    """Files on a file system of fsspec. How durable a published file is depends on the store."""

    def __init__(self, path: str):
        try:
            from fsspec.core import url_to_fs  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise ImportError(
                f"Reading and writing {path} needs the package fsspec: pip install 'weftwork[fsspec]'"
            ) from None
        self._system: Any = url_to_fs(path)[0]

    def create(self, path: str) -> Any:
        """Open a new file for writing."""
        self._system.makedirs(self._system._parent(path), exist_ok=True)
        return self._system.open(path, "wb")

    def write(self, writer: Any, data: Any) -> None:
        """Append bytes."""
        writer.write(data)

    def finish(self, writer: Any) -> None:
        """Close a written file."""
        writer.close()

    def publish(self, temporary: str, path: str) -> None:
        """Rename a finished file to `path`, replacing any file of that name."""
        self._system.mv(temporary, path)

    def settle(self, path: str) -> None:
        """Do nothing: a store makes a file durable when it is closed."""

    def remove(self, path: str) -> None:
        """Delete a file."""
        self._system.rm_file(path)

    def open(self, path: str) -> Any:
        """Open a file for reading."""
        return self._system.open(path, "rb")

    def size(self, path: str) -> int:
        """The size of a file in bytes."""
        return self._system.size(path)

    def exists(self, path: str) -> bool:
        """Whether a file of this name exists."""
        return self._system.isfile(path)

    def modified(self, path: str) -> float:
        """The time of the last write, in seconds since 1970."""
        return self._system.modified(path).timestamp()

    def starting_with(self, prefix: str) -> list[str]:
        """All files whose paths start with `prefix`, sorted."""
        folder, start = split(prefix)
        self._system.invalidate_cache()
        names = [str(found).rstrip("/").rpartition("/")[2] for found in self._system.ls(folder, detail=False)]
        return sorted(join(folder, name) for name in names if name.startswith(start))

    def has_place(self, path: str) -> bool:
        """True: a store creates folders on demand."""
        return True

    def make_folder(self, path: str) -> None:
        """Do nothing: a store creates folders on demand."""

    def remove_folder(self, path: str) -> None:
        """Do nothing: in a store, folders exist only as parts of names."""


Files = LocalFiles | UrlFiles


def files_of(path: str) -> Files:
    """The file system for `path`. Raises ImportError for a URL if fsspec or its driver is not installed."""
    return UrlFiles(path) if is_url(path) else LocalFiles()


def split(path: str) -> tuple[str, str]:
    """(folder, name) of a path or URL."""
    if not is_url(path):
        return os.path.split(path)
    folder, _, name = path.rpartition("/")
    return (folder + "/" if folder.endswith("/") else folder), name


def join(folder: str, name: str) -> str:
    """The path of `name` in `folder`, or `name` itself if it is a URL or absolute."""
    if is_url(name):
        return name
    return f"{folder}{'' if folder.endswith('/') else '/'}{name}" if is_url(folder) else os.path.join(folder, name)


def is_absolute(path: str) -> bool:
    """Whether `path` is a URL or an absolute local path."""
    return is_url(path) or os.path.isabs(path)


def absolute(path: str) -> str:
    """An absolute form of `path`, valid in any process of this machine."""
    folder, name = split(path)
    return path if is_url(path) else os.path.join(os.path.abspath(folder), name)


@contextmanager
def writing(path: str, files: Files) -> Iterator[Any]:
    """Open a temporary file that becomes `path` when the block ends.

    If the block raises, `path` is unchanged and nothing is left behind. Errors of the operating system become OpErrors
    that name `path`. A path that is not a regular file, such as a pipe or /dev/stdout, is written to directly.
    """
    if not is_url(path) and os.path.exists(path) and not os.path.isfile(path):
        with file_errors(path), open(path, "wb") as device:
            yield device
        return
    name, writer = temporary(path), None
    with file_errors(path):
        try:
            writer = files.create(name)
            yield writer
            files.finish(writer)
            files.publish(name, path)
        except BaseException as error:
            if isinstance(error, OSError) and error.filename == name:
                error.filename = path
            if writer is not None:
                with suppress(OSError):
                    writer.close()
            with suppress(OSError):
                files.remove(name)
            raise


def write_whole(path: str, data: bytes, files: Files) -> None:
    """Write a whole file in one step: at any moment, either the old or the new content exists. Raises OpErrors."""
    with writing(path, files) as writer:
        files.write(writer, data)
    with file_errors(path):
        files.settle(path)
