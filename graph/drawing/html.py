"""HTML elements shared by notebooks and reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """A table whose cells are HTML.   numbers: the columns with numbers."""
    kinds = [' class="n" style="text-align:right"' if place in numbers else "" for place in range(len(heads))]
    head = "".join([f"<th{kind}>{text}</th>" for kind, text in zip(kinds, heads, strict=True)])
    body = [
        "<tr>" + "".join([f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True)]) + "</tr>"
        for row in rows
    ]
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def marked(text: str) -> str:
    """Text as HTML; text between backquotes becomes code."""
    parts = escape(text).split("`")
    return "".join([f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts)])
