"""Slices: which part of a larger saved variable a variable is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weftwork.graph.names import with_scope, without_scope
from weftwork.graph.protos import protos


class SaveSliceInfo:
    """A variable is the slice of `var_shape` at `var_offset` of a variable saved as `full_name`, of `full_shape`.

    save_slice_info_def: a SaveSliceInfoDef to read these from.
    """

    def __init__(
        self,
        full_name: str | None = None,
        full_shape: Sequence[int] | None = None,
        var_offset: Sequence[int] | None = None,
        var_shape: Sequence[int] | None = None,
        save_slice_info_def: Any = None,
        import_scope: str | None = None,
    ):
        if save_slice_info_def is not None:
            full_name = with_scope(save_slice_info_def.full_name, import_scope)
            full_shape = save_slice_info_def.full_shape
            var_offset, var_shape = save_slice_info_def.var_offset, save_slice_info_def.var_shape
        self.full_name = full_name or ""
        self.full_shape = [int(size) for size in full_shape or ()]
        self.var_offset = [int(size) for size in var_offset or ()]
        self.var_shape = [int(size) for size in var_shape or ()]

    @property
    def place(self) -> tuple[slice, ...]:
        """The index of the slice within the whole."""
        return tuple([slice(start, start + size) for start, size in zip(self.var_offset, self.var_shape, strict=True)])

    @property
    def spec(self) -> str:
        """`FULL SHAPE OFFSET,LENGTH:OFFSET,LENGTH`, the form of TensorFlow's savers."""
        slices = [f"{start},{size}" for start, size in zip(self.var_offset, self.var_shape, strict=True)]
        return " ".join(map(str, self.full_shape)) + " " + ":".join(slices)

    def to_proto(self, export_scope: str | None = None) -> Any:
        """The SaveSliceInfoDef; None if it is outside `export_scope`."""
        if export_scope and not self.full_name.startswith(export_scope):
            return None
        return protos("variable").SaveSliceInfoDef(
            full_name=without_scope(self.full_name, export_scope),
            full_shape=self.full_shape,
            var_offset=self.var_offset,
            var_shape=self.var_shape,
        )
