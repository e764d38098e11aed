"""Parse messages in protobuf's text format: `job { name: "ps" tasks { key: 0 value: "host:1" } }`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from weftwork.scheduler.request.fields import Map, Message, Repeated

_TOKEN = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[{}:]|[\w.+-]+)""")


def merge_text(text: str, message: Message) -> Message:
    """Merge a text into a message. Raises ValueError for malformed text, AttributeError for unknown fields."""
    tokens = iter(_TOKEN.findall(text))
    _fields(tokens, message)
    return message


def _fields(tokens: Iterator[str], message: Any) -> None:
    for name in tokens:
        if name == "}":
            return
        mark = next(tokens, "")
        value = next(tokens, "") if mark == ":" else mark
        held = getattr(message, name)
        if value == "{":
            _nested(tokens, message, name, held)
        elif isinstance(held, Repeated):
            held.append(_plain(value, message))
        else:
            setattr(message, name, _plain(value, message))


def _nested(tokens: Iterator[str], message: Any, name: str, held: Any) -> None:
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
    """A value: a number, a text, a truth value, or a constant of the message's class."""
    if text.isidentifier() and isinstance(getattr(type(message), text, None), int):
        return getattr(type(message), text)
    if text in ("true", "false"):
        return text == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise ValueError(f"{text!r} is not a value") from None
