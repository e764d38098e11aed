"""A picture of a graph in the languages of Graphviz and Mermaid."""

from __future__ import annotations

from weftwork.graph.drawing.boxes import Box, Picture


def to_dot(picture: Picture) -> str:
    """The picture in Graphviz's language: control edges dashed, variables as cylinders."""
    lines = ["digraph weftwork {", "  rankdir=TB;"]
    for number, box in enumerate(picture.boxes):
        shape = "cylinder" if box.is_variable else "plaintext" if box.is_constant else "box"
        label = "\\n".join([part.replace("\\", "\\\\").replace('"', '\\"') for part in _lines(box)])
        lines.append(f'  n{number} [label="{label}", shape={shape}];')
    for (start, end), control in picture.edges.items():
        lines.append(f"  n{start} -> n{end}{' [style=dashed]' if control else ''};")
    return "\n".join([*lines, "}"])


def to_mermaid(picture: Picture) -> str:
    """The picture in Mermaid's language."""
    lines = ["flowchart TD"]
    for number, box in enumerate(picture.boxes):
        left, right = ("[(", ")]") if box.is_variable else ("[", "]")
        label = "<br/>".join([_entities(part) for part in _lines(box)])
        lines.append(f'  n{number}{left}"{label}"{right}')
    for (start, end), control in picture.edges.items():
        lines.append(f"  n{start} {'-.->' if control else '-->'} n{end}")
    return "\n".join(lines)


def _lines(box: Box) -> list[str]:
    return [part for part in (box.title, box.text) if part]


def _entities(text: str) -> str:
    """Escape everything that Mermaid would interpret."""
    return text.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
