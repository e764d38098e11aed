"""Refusals: reasons why a worker could not run nodes of a batch, and where these nodes run instead.

A node that cannot run in a worker runs in the caller from then on. Either its code, an input or an output does not
pickle, or it needs something only the caller has, or it writes to state that other functions share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weftwork.actors.processes.messages import described
from weftwork.actors.programs.program import Stopped
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import bound_together, functions_of
from weftwork.scheduler.plan.plan import found_writing
from weftwork.scheduler.run.failures import call_in_run, is_of_the_place, node_error
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.sharing.allowed import Allowed
from weftwork.scheduler.sharing.frontier import Frontier
from weftwork.scheduler.sharing.lane import Lane
from weftwork.scheduler.sharing.shipping import token_of, travels


def is_repeated(why: str, *details: Any) -> bool:
    """Whether the call that ended a batch is repeated in the caller, so that its output must not appear twice."""
    if why == "failed":
        return is_of_the_place(described(*details))
    return why in ("unsendable", "wrote")


class Refusals:
    """The refusals of one run."""

    def __init__(self, run: Run, flow: Dataflow, frontier: Frontier, allowed: Allowed):
        """allowed: what a refusal changes."""
        self._run, self._flow, self._frontier, self._allowed = run, flow, frontier, allowed

    def ended_early(self, lane: Lane, rest: list[int], why: str, *details: Any) -> None:
        """Handle a batch that a worker ended before the nodes `rest`. The caller makes these ready again afterwards.

        Raises Stopped, or the error of a failed node.
        """
        if why == "stopped":
            raise Stopped
        if why == "missing":  # the worker has forgotten something it was thought to have
            lane.forget()
            lane.held.clear()
        elif why == "unreadable":
            token, *error = details
            lane.tokens.discard(token)
            lane.held.clear()
            suspects = [node for node in rest if token in (-1, token_of(self._flow.kernels[node]))]
            self.does_not_load(rest, described(*error), suspects)
        elif why == "unloadable":
            self.does_not_load(rest, described(*details), rest)
        elif why == "wrote":
            lane.tokens.discard(token_of(self._flow.kernels[rest[0]]))
            self.writes(rest[:1], details[0])
        elif why == "unsendable":
            self.keep_here(rest[:1], described(*details))
        else:
            error, text = details
            cause = described(error, text)
            if not is_of_the_place(cause):
                raise node_error(self._flow.ops[rest[0]], cause, text, call_in_run(self._run, rest[0]))
            self.fails_there(rest[0], cause)

    def does_not_pack(self, nodes: Sequence[int], error: BaseException) -> None:
        """Keep nodes that cannot be pickled for a batch in the caller; all, if each one alone can be."""
        stuck = [node for node in nodes if not travels(self._run, node)]
        self.keep_here(stuck or nodes, error)

    def keep_here(self, nodes: Sequence[int], error: BaseException) -> None:
        """Run these nodes in the caller from now on, in later runs too."""
        for node in nodes:
            self._allowed.kept.add(node)
            self._run.stays(node, error)

    def fails_there(self, node: int, error: BaseException) -> None:
        """Run a node in the caller that failed elsewhere because of the place."""
        self.keep_here([node], error)
        written = [n for n, each in enumerate(functions_of([self._flow.kernels[node]])) if each.captured.writes]
        if written:
            self.writes([node], written)
        if isinstance(error, OSError):  # a file of the program's: earlier functions may use its other end
            ops = self._flow.ops[: node + 1]
            self._frontier.take_turns([n for n, op in enumerate(ops) if op.traits.user and n not in self._flow.needs])

    def does_not_load(self, rest: Sequence[int], error: BaseException, suspects: Sequence[int]) -> None:
        """Send suspects singly from now on, to find out which one has a value that does not load."""
        if len(suspects) == len(rest) > 1:
            self._frontier.singly.update(rest)
        elif suspects:
            self.keep_here(suspects, error)
        else:
            self.does_not_pack(rest, error)

    def writes(self, nodes: Sequence[int], numbers: Sequence[int]) -> None:
        """Make all functions that share captured state which a call has changed run in the caller from now on.

        numbers: of the functions that have changed it, among those of the nodes.
        """
        flow = self._flow
        found = found_writing(flow, nodes, numbers) | bound_together(flow.functions)
        sharing = [n for n, kernel in enumerate(flow.kernels) if not found.isdisjoint(functions_of([kernel]))]
        sharing = [n for n in sharing if n not in flow.needs]
        self._allowed.kept.update(sharing)
        self._frontier.take_turns(sharing)
        self._run.wrote(sharing)
