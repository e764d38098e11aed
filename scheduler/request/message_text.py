"""Parse messages in protobuf's text format: `job { name: "ps" tasks { key: 0 value: "host:1" } }`."""

from __future__ import annotations

import ast
import codecs
import re
from collections.abc import Iterator
from typing import Any, TypeVar

from weftwork.scheduler.request.fields import Map, Message, Repeated

M = TypeVar("M", bound=Message)
_TOKEN = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[{}:]|[\w.+-]+)""")
_SEPARATORS = re.compile(r"[\s,;]+")


def merge_text(text: str, message: M) -> M:
    """Merge text into a message, and return it.

    Raises ValueError for malformed text, AttributeError for an unknown field, TypeError for a value of another type.
    """
    if rest := _SEPARATORS.sub("", _TOKEN.sub("", text)):
        raise ValueError(f"a message's text cannot contain {rest[:40]!r}")
    _fields(iter(_TOKEN.findall(text)), message)
    return message


def _fields(tokens: Iterator[str], message: Any) -> None:
    for name in tokens:
        if name == "}":
            return
        mark = next(tokens, "")
        value = next(tokens, "") if mark == ":" else mark
        held = getattr(message, name)
        if value == "{":
            _nested(tokens, held)
        elif isinstance(held, Repeated):
            held.append(_plain(value, message))
        else:
            setattr(message, name, _plain(value, message))


def _nested(tokens: Iterator[str], held: Any) -> None:
    if isinstance(held, Map):
        entry = _Entry()
        _fields(tokens, entry)
        held[entry.key] = entry.value
    elif isinstance(held, Repeated):
        _fields(tokens, held.add())
    else:
        _fields(tokens, held)


class _Entry:
    """An entry of a map: key and value."""

    key: Any = None
    value: Any = None


def _plain(text: str, message: Any) -> Any:
    """A value: a number, a string, a boolean, or a constant of the message's class."""
    if text.isidentifier() and isinstance(getattr(type(message), text, None), int):
        return getattr(type(message), text)
    if text in ("true", "false"):
        return text == "true"
    if text[:1] in ('"', "'"):
        content, _ = codecs.escape_decode(text[1:-1].encode("utf-8", "surrogateescape"))
        return content.decode("utf-8", "surrogateescape")
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise ValueError(f"{text!r} is not a value") from None
