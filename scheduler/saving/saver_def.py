"""SaverDef: identifies a Saver in its graph. Its wire format is TensorFlow's."""

from __future__ import annotations

from functools import cache
from typing import Any

from weftwork.graph.protos import messages
from weftwork.scheduler.request.fields import Message

_WIRE = {
    "filename_tensor_name": "1 string",
    "save_tensor_name": "2 string",
    "restore_op_name": "3 string",
    "max_to_keep": "4 int32",
    "sharded": "5 bool",
    "keep_checkpoint_every_n_hours": "6 float",
    "version": "7 int32",
}


@cache
def _wire() -> Any:
    return messages("weftwork.saver", {"SaverDef": _WIRE})["SaverDef"]


class SaverDef(Message):
    """Identifies a Saver in its graph: the names of its nodes, what it keeps, and the format of its files."""

    filename_tensor_name: str = ""
    save_tensor_name: str = ""
    restore_op_name: str = ""
    max_to_keep: int = 0
    sharded: bool = False
    keep_checkpoint_every_n_hours: float = 0.0
    version: int = 0
    """LEGACY, V1 or V2."""

    LEGACY, V1, V2 = 0, 1, 2
    _enums = {"version": ("LEGACY", "V1", "V2")}

    def SerializeToString(self) -> bytes:
        """Serialize to TensorFlow's wire format."""
        return _wire()(**self._set_fields()).SerializeToString()

    @classmethod
    def FromString(cls, data: bytes) -> SaverDef:
        """Parse TensorFlow's wire format."""
        wire = _wire().FromString(data)
        return cls(**{name: getattr(wire, name) for name in _WIRE})
