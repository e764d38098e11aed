"""Sections: the parts of a graph that a control-flow operation owns, and runs once, many times or not at all.

section    the operations created inside a branch of `cond`, or inside the condition or the body of a loop
owner      the operation that runs the section; it is outside, and the rest of the graph uses its outputs
capture    a tensor from outside that the section uses: an input of the owner, evaluated once and unconditionally

Invariant: a tensor of a section is used only in that section and those inside it. Sections are never fetched or fed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from weftwork.graph.operation import REFERENCES, WRITES, Kind, Operation, Tensor

if TYPE_CHECKING:
    from weftwork.graph.contexts import ControlFlowContext
    from weftwork.graph.graph import Graph


class Section:
    """A part of a graph with an owner.

    word: the kind of its owner, for messages.   outer: the enclosing section, or None.
    context: what programs may ask about it (`graph/contexts.py`), or None.
    parameters: placeholders that the owner supplies values for.   outputs: the tensors that it returns.
    targets: operations that must run as well.   naming: in a derivative, the name scope that all derivatives inside
    share; else "".
    """

    __slots__ = ("context", "index", "naming", "ops", "outer", "outputs", "parameters", "targets", "word")

    def __init__(self, graph: Graph, word: str, outer: Section | None):
        self.word, self.outer = word, outer
        self.naming: str = outer.naming if outer is not None else ""
        self.ops: list[Operation] = []
        self.parameters: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.targets: list[Operation] = []
        self.context: ControlFlowContext | None = None
        self.index = graph.add_section(self)

    @property
    def context_around(self) -> ControlFlowContext | None:
        """The context of this section, else of the nearest one around it that has any."""
        section: Section | None = self
        while section is not None and section.context is None:
            section = section.outer
        return None if section is None else section.context

    def inside(self, outer: Section | None) -> bool:
        """True if this section is `outer` or inside it. Every section is inside None."""
        section: Section | None = self
        while section is not None:
            if section is outer:
                return True
            section = section.outer
        return outer is None

    def changes(self) -> set[str]:
        """The names of the variables that operations inside write, or check for a value."""
        names: set[str] = set()
        for op in self.ops:
            if op.kind in WRITES:
                names.add(op.attrs["_variable"])
            elif op.kind is Kind.PEEK:
                names.update([t.op.attrs.get("_variable", t.op.name) for t in op.inputs])
            elif op.kind is Kind.CONTROL:
                for section in sections_of(op):
                    names |= section.changes()
        return names

    def controls(self) -> list[Operation]:
        """The operations outside that operations inside wait for."""
        own_ops = set(self.ops)
        return list(dict.fromkeys([c for op in self.ops for c in op.controls if c not in own_ops]))


def sections_of(op: Operation) -> list[Section]:
    """The sections that an operation owns."""
    return [op.graph.sections[index] for index in op.attrs["_sections"]]


def captures(sections: Sequence[Section]) -> list[Tensor]:
    """The tensors from outside that an owner's sections need.

    Variables that a section writes are not read in advance.
    """
    changing = {name for section in sections for name in section.changes()}
    found: dict[Tensor, None] = {}
    for section in sections:
        own_ops = set(section.ops)
        for tensor in [*[t for op in section.ops for t in op.valued], *section.outputs]:
            op = tensor.op
            if op not in own_ops and (op.kind not in REFERENCES or op.attrs.get("_variable", op.name) not in changing):
                found[tensor] = None
    return list(found)


def check_use(tensor: Tensor, section: Section | None, user: str, scope: str = "") -> None:
    """Raise ValueError if a tensor of a section is used outside it, by the node `user` in a name scope."""
    home = tensor.op.section
    if home is None or (section is not None and section.inside(home)):
        return
    if home.word != "while loop":
        where = f"'{tensor.op.name}' is in {home.word}"
    elif section is not None and section.word == "while loop":
        where = "they are in different while loops"
    else:
        where = f"'{tensor.op.name}' is in a while loop"
    user = user[:-1] if user.endswith("/") else f"{scope}/{user}" if scope else user
    raise ValueError(
        f"Cannot use '{tensor.op.name}' as input to '{user}' because {where}. See info log for more details."
    )
