"""Control-flow contexts: what TensorFlow's programs ask about the branch or the loop that an operation is in.

A context describes a section of the graph (`graph/sections.py`), or both sections of a loop. It decides nothing.
`graph._get_control_flow_context()` and `op._get_control_flow_context()` give one, or None outside of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weftwork.graph.graph import Graph
    from weftwork.graph.operation import Operation, Tensor
    from weftwork.graph.sections import Section


class ControlFlowContext:
    """A branch or a loop.

    name: unique in the graph, `cond/cond_text`.   outer_context: the context around it, or None.
    section: the section that operations made in this context belong to.   grad_state: None.
    """

    grad_state = None

    def __init__(self, graph: Graph, section: Section, name: str):
        self._graph, self.section = graph, section
        self.name = graph.unique_name(name)
        self.outer_context: ControlFlowContext | None = None if section.outer is None else section.outer.context_around
        self._left: Any = None

    @property
    def back_prop(self) -> bool:
        """Whether the loops around have a gradient."""
        return self.outer_context is None or self.outer_context.back_prop

    def IsWhileContext(self) -> bool:
        """Whether it is a loop."""
        return False

    def IsCondContext(self) -> bool:
        """Whether it is a branch."""
        return False

    def IsXLAContext(self) -> bool:
        """False: nothing here is compiled by XLA."""
        return False

    def GetWhileContext(self) -> WhileContext | None:
        """The innermost loop: this one, or one around it; None if there is none."""
        return None if self.outer_context is None else self.outer_context.GetWhileContext()

    def Enter(self) -> None:
        """From now on, make operations in this context."""
        self._left = self._graph.section
        self._graph.enter(self.section)

    def Exit(self) -> None:
        """Go back to where `Enter` came from."""
        self._graph.enter(self._left)


class CondContext(ControlFlowContext):
    """A branch of a `cond`.   pred, pivot: its predicate.   branch: 1 for the true branch, 0 for the other."""

    def __init__(self, graph: Graph, section: Section, pred: Tensor, branch: int):
        super().__init__(graph, section, "cond_text")
        self.pred = self.pivot = pred
        self.branch = branch

    def IsCondContext(self) -> bool:
        """True."""
        return True

    def GetControlPivot(self) -> Operation:
        """The operation that makes the predicate."""
        return self.pred.op


class WhileContext(ControlFlowContext):
    """A loop.

    pivot: the tensor that says whether it goes on; None while the condition is being made.   parallel_iterations,
    back_prop, swap_memory, maximum_iterations: as given to `while_loop`, the last one as a tensor.
    """

    def __init__(
        self,
        graph: Graph,
        section: Section,
        parallel_iterations: int = 10,
        back_prop: bool = True,
        swap_memory: bool = False,
        maximum_iterations: Tensor | None = None,
    ):
        super().__init__(graph, section, "while_context")
        self.parallel_iterations, self.swap_memory = parallel_iterations, swap_memory
        self.maximum_iterations = maximum_iterations
        self.pivot: Tensor | None = None
        self._back_prop = back_prop

    @property
    def back_prop(self) -> bool:
        """Whether the loop has a gradient."""
        return self._back_prop

    def IsWhileContext(self) -> bool:
        """True."""
        return True

    def GetWhileContext(self) -> WhileContext:
        """This loop."""
        return self

    def GetControlPivot(self) -> Operation | None:
        """The operation that makes `pivot`."""
        return None if self.pivot is None else self.pivot.op
