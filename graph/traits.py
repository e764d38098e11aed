"""Traits: execution options that the user set: resources, retries, a time limit, isolation.

Many nodes share one object.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from weftwork.graph.retries import Retry


@dataclass(frozen=True)
class Traits:
    """The execution options that a user set for a node.

    resources: Ray resources, e.g. {"CPU": 2, "GPU": 0.5, "memory": 2**30, "tpu": 1}.
    retries: how often to call the function again if it raises, or a Retry, which also says when.
    timeout: seconds that one call may take; None for no limit. For a branch or a loop, the smallest of those inside.
    labels: required labels of the machine, in the form of Ray's label selectors, e.g. {"region": "in(eu, us)"}.
    isolated: never run it in the caller's process.
    here: run it only in the caller's process; nodes with side effects run in the order of their creation.
    waits: its function is a coroutine.   limits: how much of the session's named limits one call takes.
    user: the kernel is a user's function, not the library's.
    anywhere: none of these options restricts where or how it runs.
    """

    user: bool = False
    isolated: bool = False
    retries: int | Retry = 0
    timeout: float | None = None
    resources: tuple[tuple[str, float], ...] = field(default=())
    labels: tuple[tuple[str, str], ...] = field(default=())
    here: bool = False
    waits: bool = False
    limits: tuple[tuple[str, int], ...] = field(default=())
    anywhere: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        restricted = self.isolated or self.timeout is not None or self.resources or self.labels or self.here
        object.__setattr__(self, "anywhere", not (restricted or self.waits or self.limits))

    @property
    def awaited(self) -> bool:
        """True for a call that waits in the caller's process without a lane: on the program's loop, or for a limit."""
        return (self.waits or bool(self.limits)) and not (self.isolated or self.resources or self.labels)

    @property
    def elsewhere(self) -> list[str]:
        """The options that require a process other than the caller's."""
        options = {
            "isolated": self.isolated,
            "resources": self.resources,
            "label_selector": self.labels,
            "timeout": self.timeout is not None,
        }
        return [option for option, given in options.items() if given]

    def check_place(self, word: str) -> None:
        """Raise ValueError if the options require the caller's process and another one at the same time."""
        if self.here and self.elsewhere:
            raise ValueError(
                f"{word} must run in the caller's process (here=True), but needs another one because of "
                f"{' and '.join(self.elsewhere)}. Leave one of them out."
            )
        elsewhere = [option for option in self.elsewhere if option != "timeout" or not self.waits]
        if self.limits and elsewhere:
            raise ValueError(
                f"{word} has limits, which count the calls in the program's own process, but needs another "
                f"one because of {' and '.join(elsewhere)}. Leave one of them out."
            )
