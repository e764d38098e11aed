"""FirstCalls: what a cold run learns of its functions, and which of them a worker is to try first.

A function whose code and arguments show that its calls can be interrupted need not be tried: it can neither wait for
anything nor end the process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from weftwork.graph import nest
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.user_function import UserFunction
from weftwork.scheduler.plan.call_list import CallList
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import CROWDED_FROM, FIRST_CALLS, OFTEN_CALLED
from weftwork.scheduler.sharing.gil_watch import CallWatch

_TIMED = 64
"""Most calls of a function that are timed one by one."""
_WATCHED, _UNWATCHED = 16, 8
"""Most long calls of a function that are watched, and the calls in a row without a watch after which none is expected.
A watch makes calls slower that release the GIL often."""


class FirstCalls:
    """The calls of one run."""

    def __init__(self, unseen: set[UserFunction]):
        self.unseen = unseen
        """The functions that a worker is to try."""
        self._timed: dict[Any, list[float]] = {}
        """The seconds of long calls, by function."""
        self._watch = CallWatch()
        self._unwatched = 0
        """The number of calls since the last watched one."""

    def look_at(self, op: Operation, values: Sequence[Any]) -> None:
        """Look whether the function of a node that is about to be called need not be tried.   values: its inputs."""
        kernel: Any = op.kernel
        given = nest.arguments(op.attrs["template"], values)
        if kernel.can_be_interrupted(given):
            self.unseen.discard(kernel)
            if kernel.holds_gil(given):
                HISTORY.let_hold(kernel)

    def trial(
        self, window: list[Operation], call_list: CallList, is_there: Callable[[Tensor], bool], slots: int
    ) -> list[list[Operation]]:
        """A few first calls of each unseen function that can run now; `slots` calls of a function with few calls.

        Each is the first node of a chain: what follows it is to stay in its process. Afterwards these functions are no
        longer unseen.   window: nodes that are not done.   is_there: whether a value exists.
        """
        some = min(slots, FIRST_CALLS)
        often = {kernel for kernel in self.unseen if call_list.counts[kernel] >= OFTEN_CALLED * slots}
        left: dict[Any, int] = {kernel: some if kernel in often else slots for kernel in self.unseen}
        chains = []
        for op in window:
            waits = op is not window[0] and op.controls
            if left.get(op.kernel) and not waits and all(map(is_there, op.inputs)):
                chain = _chain(op, window, call_list, is_there)
                chains.append(chain)
                tried = {op.kernel for op in chain}
                for kernel in tried & left.keys():
                    left[kernel] -= 1
                self.unseen -= tried
        return chains

    def call(self, op: Operation, matters: bool, function: Callable, args: Sequence, attrs: Mapping) -> Any:
        """Call a node's function.   matters: whether a plan depends on who holds the GIL."""
        kernel, user = op.kernel, op.traits.user
        watches = user and HISTORY.holds_gil(kernel) is None and (matters or self._is_long(kernel))
        self._unwatched = 0 if watches else self._unwatched + 1
        if self._unwatched == _UNWATCHED:
            self._watch.end()
        start = perf_counter()
        result = self._watch.call(kernel, function, *args, **attrs) if watches else function(*args, **attrs)
        self.took(op, perf_counter() - start)
        return result

    def _is_long(self, kernel: Any) -> bool:
        """Whether watching a call of a function takes little beside it, and may still show something."""
        calls = self._timed.get(kernel)
        return calls is not None and len(calls) <= _WATCHED and calls[-1] >= CROWDED_FROM

    def took(self, op: Operation | None, seconds: float) -> None:
        """Note how long a call took; of the first ones of each function."""
        if op is not None and op.traits.user and len(calls := self._timed.setdefault(op.kernel, [])) < _TIMED:
            calls.append(seconds)

    def learn(self, rest: bool = False) -> None:
        """Learn what the timed calls cost.

        rest: nodes are left, of which batches had better be short while it is unknown if their functions hold the GIL.
        """
        for kernel in [kernel for kernel in self._timed if not rest or HISTORY.holds_gil(kernel) is not None]:
            COSTS.learn_seconds(kernel, self._timed.pop(kernel))

    def end(self) -> None:
        """End the watch."""
        self._watch.end()


def _chain(
    op: Operation, window: list[Operation], call_list: CallList, is_there: Callable[[Tensor], bool]
) -> list[Operation]:
    """A first call and the nodes that follow it: each alone reads the previous one, and has its other inputs."""
    chain, functions = [op], {op.kernel}
    while len(chain[-1].outputs) == 1:
        made = chain[-1].outputs[0]
        following = [op for op in window if any([tensor is made for tensor in op.inputs])]
        if len(following) != 1 or call_list.last[made.number] != following[0].index:
            break
        (then,) = following
        others = [tensor for tensor in then.inputs if tensor is not made]
        stays = then.controls or then.kernel in call_list.bound
        if then.kernel in functions or stays or not all(map(is_there, others)):
            break
        chain.append(then)
        functions.add(then.kernel)
    return chain
