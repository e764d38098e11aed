"""Shares a run out among Ray tasks, on all machines of the cluster."""

from __future__ import annotations

from typing import Any

from weftwork.scheduler.plan.lanes import Lanes
from weftwork.scheduler.plan.placement import Estimate
from weftwork.scheduler.plan.plan import Plan
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.segments.detached import Detached
from weftwork.scheduler.segments.post import Post
from weftwork.scheduler.sharing.lane import of_tasks
from weftwork.scheduler.sharing.sharing import Sharing
from weftwork.scheduler.sharing.tasks import Tasks, most_of
from weftwork.scheduler.state.actor_link import Links


def share_in_tasks(run: Run, plan: Plan, links: Links, detached: Detached, lanes: Lanes, config: ConfigProto) -> None:
    """Run the nodes of a dataflow in tasks, or here. The first error wins, and is raised once all work has ended.

    detached: the detached nodes.
    """
    estimate, grace = Estimate(run.flow, {}), config.cancel_grace_in_ms / 1000
    post = Post(run, plan, links, True, config.names_in_ray)
    tasks = Tasks(run, plan, post, estimate, lanes.cpus(), config)
    most, lengths = most_of(lanes.cpus()), of_tasks(lanes.cpus())
    sharing = Sharing(
        run, run.flow, tasks, tasks.hire, most, estimate.seconds, _nothing, detached, lanes.most, lengths, threads=False
    )
    run.wakers.append(sharing.wake)
    try:
        sharing.carry_out(grace)
    except BaseException:
        post.drain(grace)
        raise


def _nothing(*_: Any) -> None:
    """No worker is to be started: Ray starts processes as it needs them."""
