"""Simplification: merges equal pure nodes, and folds pure nodes of small constants."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from weftwork.actors.programs.float_errors import quiet
from weftwork.graph.operation import LIBRARY, Operation
from weftwork.graph.sameness import exact_key
from weftwork.scheduler.request.config import OptimizerOptions, RewriterConfig

_MAX_ELEMENTS = 65_536
"""Larger constants are neither folded nor made by folding."""


class Rewrites(NamedTuple):
    """Which simplifications apply.

    merges: equal pure nodes run once.   folds: nodes of constants are computed at once, if each output has at most
    `largest` bytes (0: no limit).
    """

    merges: bool = True
    folds: bool = True
    largest: int = 0

    @classmethod
    def of(cls, config: Any) -> Rewrites:
        """Read a config. A simplification applies at level L1 or if requested, unless the rewriter turns it OFF."""
        asked, passes = config.graph_options.optimizer_options, config.graph_options.rewrite_options
        both = asked.opt_level >= OptimizerOptions.L1
        return cls(
            (both or asked.do_common_subexpression_elimination)
            and passes.common_subgraph_elimination != RewriterConfig.OFF,
            (both or asked.do_constant_folding) and passes.constant_folding != RewriterConfig.OFF,
            asked.max_folded_constant_in_bytes,
        )


ALL = Rewrites()


class Simplifier:
    """Finds pure nodes that need not run, while a dataflow is being built."""

    def __init__(self, flow: Any, rewrites: Rewrites):
        self._flow, self._rewrites = flow, rewrites
        self._scalars: dict[Any, dict[bytes, int]] = {}
        """Numbers of constants that are NumPy scalars, by type, dtype and content."""
        self._readers: list[int | dict | None] = []
        """For each value, the node whose last input it is. If there are several, a dict of them by merge key."""
        self._sources: dict[Any, int] = {}
        """Nodes without inputs, by merge key."""

    def constant(self, value: Any) -> int:
        """The number of a constant. Equal scalars share one."""
        if not isinstance(value, np.generic) or value.dtype.hasobject:
            return self._new(value)
        alike = self._scalars.setdefault((type(value), value.dtype), {})
        content = value.tobytes()
        number = alike.get(content)
        if number is None:
            number = alike[content] = self._new(value)
        return number

    def outputs_of(self, op: Operation, inputs: tuple[int, ...]) -> tuple[int, ...] | None:
        """The outputs of a pure node that need not run.

        None if it must: then it is recorded as the dataflow's next node.
        """
        constants, rewrites = self._flow.constants, self._rewrites
        if rewrites.folds and inputs and inputs[0] in constants and op.traits is LIBRARY and not op.device:
            if all([v in constants for v in inputs]):
                results = folded(op, [constants[v] for v in inputs], rewrites.largest)
                if results is not None:
                    return tuple([self._new(value) for value in results])
        if not rewrites.merges:
            return None
        return self._merged(op, inputs) if inputs else self._alike(op, inputs, self._sources)

    def _merged(self, op: Operation, inputs: tuple[int, ...]) -> tuple[int, ...] | None:
        """Find an equal node.

        Most values have a single reader, which has no equal, so keys are made only for the others.
        """
        flow, readers, last = self._flow, self._readers, inputs[-1]
        if last >= len(readers):
            readers.extend([None] * (len(flow.producer) - len(readers)))
        known = readers[last]
        if known is None:
            readers[last] = len(flow.ops)
            return None
        if isinstance(known, int):
            known = readers[last] = {merge_key(flow.ops[known], flow.inputs[known]): known}
        return self._alike(op, inputs, known)

    def _alike(self, op: Operation, inputs: tuple[int, ...], known: dict[Any, int]) -> tuple[int, ...] | None:
        key = merge_key(op, inputs)
        if key is None:
            return None
        following = len(self._flow.ops)
        node = known.setdefault(key, following)
        return None if node == following else self._flow.outputs[node]

    def _new(self, value: Any) -> int:
        producer = self._flow.producer
        number = len(producer)
        producer.append(-1)
        self._flow.constants[number] = value
        return number


def merge_key(op: Operation, inputs: tuple[int, ...]) -> Any:
    """A key that is equal for nodes that compute the same. None if the node cannot be compared."""
    attrs = op.attrs
    if not attrs:
        return (op.kernel, inputs, op.device)
    try:
        return (op.kernel, inputs, op.device, tuple([(name, exact_key(value)) for name, value in attrs.items()]))
    except (TypeError, RecursionError):  # an attribute that cannot be compared, or is nested too deeply
        return None


def folded(op: Operation, values: list, largest: int = 0) -> list | None:
    """The outputs of a pure node of constants, frozen. None if it should not be folded.

    largest: maximum size of each output in bytes; 0 means no limit.
    """
    if sum([np.size(v) for v in values]) > _MAX_ELEMENTS:
        return None
    sizes = [1 if t.raw_shape is None or None in t.raw_shape else int(np.prod(t.raw_shape)) for t in op.outputs]  # type: ignore[arg-type]
    if sum(sizes) > _MAX_ELEMENTS:
        return None
    try:
        with quiet():
            result = op.kernel(*values, **op.attrs)  # type: ignore[misc]
    except Exception:  # the error recurs, with the node's name, when the node runs
        return None
    results = result if len(op.outputs) != 1 else (result,)
    if largest and any([getattr(item, "nbytes", 0) > largest for item in results]):
        return None
    for item in results:
        if isinstance(item, np.ndarray):
            if item.size > _MAX_ELEMENTS:
                return None
            item.flags.writeable = False
    return list(results)
