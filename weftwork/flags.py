"""tf.flags, also tf.app.flags: command-line flags, from absl (needs the extra `flags`)."""

import sys
from collections.abc import Iterator
from typing import Any, cast

try:
    from absl import flags as _absl
except ImportError as error:
    raise ImportError("tf.flags needs absl: pip install 'weftwork[flags]'") from error

from absl.flags import (
    DEFINE_alias,
    DEFINE_bool,
    DEFINE_boolean,
    DEFINE_enum,
    DEFINE_flag,
    DEFINE_float,
    DEFINE_integer,
    DEFINE_list,
    DEFINE_multi_float,
    DEFINE_multi_integer,
    DEFINE_multi_string,
    DEFINE_spaceseplist,
    DEFINE_string,
    mark_flag_as_required,  # pyright: ignore[reportUnknownVariableType]
    mark_flags_as_required,  # pyright: ignore[reportUnknownVariableType]
    register_validator,  # pyright: ignore[reportUnknownVariableType]
)

__all__ = [
    "FLAGS",
    "DEFINE_alias",
    "DEFINE_bool",
    "DEFINE_boolean",
    "DEFINE_enum",
    "DEFINE_flag",
    "DEFINE_float",
    "DEFINE_integer",
    "DEFINE_list",
    "DEFINE_multi_float",
    "DEFINE_multi_integer",
    "DEFINE_multi_string",
    "DEFINE_spaceseplist",
    "DEFINE_string",
    "mark_flag_as_required",
    "mark_flags_as_required",
    "register_validator",
]


class _Flags:
    """absl's flag values. The command line is parsed when a value is first read, as in TensorFlow 1."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _absl.FLAGS(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if not _absl.FLAGS.is_parsed():
            _absl.FLAGS(sys.argv, known_only=True)
        return getattr(_absl.FLAGS, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_absl.FLAGS, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_absl.FLAGS, name)

    def __dir__(self) -> list[str]:
        return dir(_absl.FLAGS)

    def __getitem__(self, name: str) -> Any:
        return cast(Any, _absl.FLAGS)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_absl.FLAGS)

    def __len__(self) -> int:
        return len(_absl.FLAGS)

    def __contains__(self, name: str) -> bool:
        return name in _absl.FLAGS


FLAGS = _Flags()


def __getattr__(name: str) -> Any:
    """What else absl has: parsers, kinds of flags, errors."""
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(_absl, name)
