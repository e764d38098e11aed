"""Files: the few things that checkpoints do with a disk or an object store, each one call.

path     of a local file, or a URL (`s3://bucket/name`) for which fsspec has a file system
writer   a file that is being written; nobody sees it under its name before `publish`
safe     what was published survives a crash of the machine once `settle` has returned

Every effect on the disk is one call of a method here, so that a test can fail any one of them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from weftwork.graph.files.system import is_url as is_url
from weftwork.graph.files.system import told as told


def temporary(path: str) -> str:
    """A name beside `path` that nobody else has."""
    return f"{path}.{secrets.token_hex(4)}.tmp"


class LocalFiles:
    """The files of this machine."""

    def create(self, path: str) -> BinaryIO:
        """A new file, to be written."""
        return open(path, "wb")

    def write(self, writer: BinaryIO, data: Any) -> None:
        """Append bytes."""
        writer.write(data)

    def finish(self, writer: BinaryIO) -> None:
        """Close a written file once it is on the disk."""
        writer.flush()
        os.fsync(writer.fileno())
        writer.close()

    def publish(self, temporary: str, path: str) -> None:
        """Give a finished file its name, in one step; what had the name is replaced."""
        os.replace(temporary, path)

    def settle(self, path: str) -> None:
        """Make the names in the folder of `path` safe."""
        folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove(self, path: str) -> None:
        """Delete a file."""
        os.remove(path)

    def open(self, path: str) -> BinaryIO:
        """A file to read."""
        return open(path, "rb", buffering=0)

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return os.path.getsize(path)

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return os.path.isfile(path)

    def modified(self, path: str) -> float:
        """When a file was last written, in seconds since 1970."""
        return os.path.getmtime(path)

    def starting_with(self, prefix: str) -> list[str]:
        """The files whose names start so, sorted."""
        folder, start = os.path.split(prefix)
        return sorted(os.path.join(folder, name) for name in os.listdir(folder or ".") if name.startswith(start))

    def has_folder(self, path: str) -> bool:
        """Whether a file of this path has a folder to be in."""
        return os.path.isdir(os.path.dirname(path) or ".")

    def make_folder(self, path: str) -> None:
        """Make the folder that a file of this path is to be in, unless it is there."""
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)

    def remove_folder(self, path: str) -> None:
        """Delete the folder of a file, if nothing is in it."""
        with suppress(OSError):
            os.rmdir(os.path.dirname(path))


class UrlFiles:
    """The files of a file system of fsspec. How safe a published file is, is the store's promise."""

    def __init__(self, path: str):
        try:
            from fsspec.core import url_to_fs  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise ImportError(
                f"Reading and writing {path} needs the package fsspec: pip install 'weftwork[fsspec]'"
            ) from None
        self._system: Any = url_to_fs(path)[0]

    def create(self, path: str) -> Any:
        """A new file, to be written."""
        self._system.makedirs(self._system._parent(path), exist_ok=True)
        return self._system.open(path, "wb")

    def write(self, writer: Any, data: Any) -> None:
        """Append bytes."""
        writer.write(data)

    def finish(self, writer: Any) -> None:
        """Close a written file."""
        writer.close()

    def publish(self, temporary: str, path: str) -> None:
        """Give a finished file its name; what had the name is replaced."""
        self._system.mv(temporary, path)

    def settle(self, path: str) -> None:
        """Nothing: a store makes a file safe when it is closed."""

    def remove(self, path: str) -> None:
        """Delete a file."""
        self._system.rm_file(path)

    def open(self, path: str) -> Any:
        """A file to read."""
        return self._system.open(path, "rb")

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return self._system.size(path)

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return self._system.isfile(path)

    def modified(self, path: str) -> float:
        """When a file was last written, in seconds since 1970."""
        return self._system.modified(path).timestamp()

    def starting_with(self, prefix: str) -> list[str]:
        """The files whose names start so, sorted."""
        folder, start = split(prefix)
        self._system.invalidate_cache()
        names = [str(found).rstrip("/").rpartition("/")[2] for found in self._system.ls(folder, detail=False)]
        return sorted(join(folder, name) for name in names if name.startswith(start))

    def has_folder(self, path: str) -> bool:
        """True: folders are made when they are needed."""
        return True

    def make_folder(self, path: str) -> None:
        """Nothing: folders are made when they are needed."""

    def remove_folder(self, path: str) -> None:
        """Nothing: a folder is nothing of its own."""


Files = LocalFiles | UrlFiles


def files_of(path: str) -> Files:
    """What reads and writes `path`. Raises ImportError for a URL when fsspec, or what it needs, is not installed."""
    return UrlFiles(path) if is_url(path) else LocalFiles()


def split(path: str) -> tuple[str, str]:
    """(folder, name) of a path or URL."""
    if not is_url(path):
        return os.path.split(path)
    folder, _, name = path.rpartition("/")
    return (folder + "/" if folder.endswith("/") else folder), name


def join(folder: str, name: str) -> str:
    """The path of `name` in `folder`; `name` itself where it is absolute."""
    if is_url(name):
        return name
    return f"{folder}{'' if folder.endswith('/') else '/'}{name}" if is_url(folder) else os.path.join(folder, name)


def is_absolute(path: str) -> bool:
    """True for URLs and for local paths from the root."""
    return is_url(path) or os.path.isabs(path)


def absolute(path: str) -> str:
    """The path as any process of the machine understands it."""
    return path if is_url(path) else os.path.abspath(path)


@contextmanager
def writing(path: str, files: Files) -> Iterator[Any]:
    """A writer for what becomes `path` at the end; when the body raises, `path` is as it was and nothing is left.

    Raises OpErrors for what the operating system refuses.
    """
    name, writer = temporary(path), None
    with told(path):
        try:
            writer = files.create(name)
            yield writer
            files.finish(writer)
            files.publish(name, path)
        except BaseException:
            if writer is not None:
                with suppress(OSError):
                    writer.close()
            with suppress(OSError):
                files.remove(name)
            raise


def write_whole(path: str, data: bytes, files: Files) -> None:
    """Write a file so that at every moment there is the old one or the new one. Raises OpErrors."""
    with writing(path, files) as writer:
        files.write(writer, data)
    with told(path):
        files.settle(path)
