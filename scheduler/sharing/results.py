"""Results: takes what processes report of the batches that they were sent, whether these ended early or not."""

from __future__ import annotations

from collections.abc import Iterable

from weftwork.actors.processes.batches import Report
from weftwork.actors.processes.messages import described
from weftwork.actors.programs.program import spread
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.run import unfinished
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.said import heard
from weftwork.scheduler.run.telling import Sent
from weftwork.scheduler.sharing.frontier import Frontier
from weftwork.scheduler.sharing.lane import Lane
from weftwork.scheduler.sharing.refusals import Refusals, is_repeated


class Results:
    """The results of one run's batches. place: where these run."""

    def __init__(self, run: Run, frontier: Frontier, refusals: Refusals, place: str):
        self._run, self._frontier, self._refusals, self._place = run, frontier, refusals, place

    def take(
        self, lane: Lane, nodes: list[int], sent: Sent, report: Report, back: float, stored: Iterable = ()
    ) -> tuple[list[int], list[int]]:
        """Take a report. Returns the nodes that are done, and those that are ready again.

        lane: what the process has.   sent, back: how the nodes went there, and when the report came.
        stored: (number, reference) of the values in Ray's store.   Raises the error of a failed node, or Stopped.
        """
        run, end, done, rest = self._run, report.end, nodes[: len(report.made)], nodes[len(report.made) :]
        again = rest if end is not None and is_repeated(*end) else ()  # these run once more, and report it then
        for node, events in report.said:
            if node not in again:
                heard(run, self._place, [run.flow.ops[node]], events)
        self.keep(nodes, sent, report, back)
        for number, reference in stored:
            run.values[number] = reference
        if end is not None:
            lane.held.difference_update([value for node in rest for value in run.flow.outputs[node]])
            self._refusals.ended_early(lane, rest, *end)
        return done, self._frontier.again(rest)

    def keep(self, nodes: list[int], sent: Sent, report: Report, back: float) -> None:
        """Keep the values and costs of the nodes that are done, and report where nodes ran."""
        run, flow, place = self._run, self._run.flow, self._place
        end, made, costs, _, ran = report
        run.count(place, len(made))
        rows = []
        for node, result, (*cost, gil) in zip(nodes, made, costs, strict=False):
            outputs = flow.outputs[node]
            if len(outputs) == 1:
                run.values[outputs[0]] = result
            else:
                spread(run.values, outputs, result)
            self._frontier.took(node, cost[1])
            rows.append((node, cost, cost[1]))
            if gil is not None and flow.ops[node].traits.user:
                HISTORY.tell_gil(flow.kernels[node], gil)
        if rows:
            run.ran_there(place, nodes[: len(made)], run.learn_nodes(rows), sent, ran, back)
        if end is not None and end[0] in ("failed", "stopped") and not is_repeated(*end):
            ops = [flow.ops[node] for node in nodes[len(made) : len(made) + 1]]
            why = unfinished.why_of(described(*end[1:])) if end[0] == "failed" else unfinished.STOPPED
            since = costs[-1][0] + costs[-1][1] if costs else 0.0
            run.teller().ran_there(place, ops, (), sent, ran, back, since, why)
