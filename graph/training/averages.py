"""ExponentialMovingAverage: running means of variables, kept in variables of their own."""

from __future__ import annotations

from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.ops import math_ops as m
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.filling import zeros
from weftwork.graph.ops.flow import group
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.training import kernels
from weftwork.graph.training.update import make_slot
from weftwork.graph.variables.collected import global_variables, trainable_variables
from weftwork.graph.variables.variable import Variable
from weftwork.graph.variables.writes import write

MOVING_AVERAGE_VARIABLES = "moving_average_variables"
"""The collection of variables that have a moving average."""


def moving_average_variables(scope: str | None = None) -> list[Any]:
    """The variables that have a moving average."""
    return get_default_graph().get_collection(MOVING_AVERAGE_VARIABLES, scope)


class ExponentialMovingAverage:
    """Averages that follow variables: average = decay * average + (1 - decay) * variable at each step.

    decay: a number near 1.   num_updates: if given, the decay is at most (1 + num_updates) / (10 + num_updates), so
    that the average adapts quickly at first.   zero_debias: divide the averages of tensors, which start at 0, by 1 -
    decay^t (Kingma and Ba 2014, section 3).
    """

    def __init__(
        self, decay: Any, num_updates: Any = None, zero_debias: bool = False, name: str = "ExponentialMovingAverage"
    ):
        self._decay, self._num_updates, self._zero_debias, self._name = decay, num_updates, zero_debias, name
        self._averages: dict[Any, Variable] = {}
        self._biased: dict[Any, tuple[Variable, Variable]] = {}

    @property
    def name(self) -> str:
        """The name of the averages."""
        return self._name

    def apply(self, var_list: Any = None) -> Operation:
        """The operation that updates the averages; creates missing averages.

        var_list: variables or tensors, by default all trainable ones. Raises TypeError unless they are floats.
        """
        items = trainable_variables() if var_list is None else list(var_list)
        for item in items:
            if item.dtype.base_dtype not in (dtypes.float16, dtypes.float32, dtypes.float64):
                raise TypeError(f"The variables must be half, float, or double: {item.name}")
            if item not in self._averages:
                # its initialization must neither wait for anything nor be inside a branch
                with item.graph.control_dependencies(None):
                    self._averages[item] = self._create_average(item)
        with name_scope(self._name, None, [*items]) as scope:
            decay = convert_to_tensor(self._decay, name="decay")
            if self._num_updates is not None:
                updates = cast(convert_to_tensor(self._num_updates), dtypes.float32, name="num_updates")
                decay = m.minimum(decay, (1.0 + updates) / (10.0 + updates))
            return group(*[self._update(item, decay) for item in items], name=scope)

    def _create_average(self, item: Any) -> Variable:
        graph = item.graph
        if isinstance(item, Variable):
            graph.add_to_collection(MOVING_AVERAGE_VARIABLES, item)
            return make_slot(item, item.initialized_value(), self._name)
        dtype, shape = item.dtype.base_dtype, item.raw_shape
        with graph.name_scope(None):
            name = f"{item.op.name}/{self._name}"
            average = Variable(zeros(shape, dtype), name=name, trainable=False)
            if self._zero_debias:
                self._biased[item] = (
                    Variable(zeros(shape, dtype), name=f"{average.op.name}/biased", trainable=False),
                    Variable(zeros([], dtype), name=f"{average.op.name}/local_step", trainable=False),
                )
        return average

    def _update(self, item: Any, decay: Tensor) -> Tensor:
        average, value = self._averages[item], convert_to_tensor(item)
        keep = cast(decay, average.dtype.base_dtype)
        if item not in self._biased:
            return _write(average, "AssignMovingAvg", kernels.mean_of, value, keep)
        biased, step = self._biased[item]
        new = _write(biased, "AssignMovingAvg", kernels.mean_of, value, keep)
        count = _write(step, "CountSteps", kernels.plus_one)
        return _write(average, "Debiased", kernels.debiased, new, keep, count)

    def average(self, var: Any) -> Variable | None:
        """The variable that holds the average of `var`; None if there is none."""
        return self._averages.get(var)

    def average_name(self, var: Any) -> str:
        """The name that the average of `var` has, or would have; checkpoints store it under this name."""
        if var in self._averages:
            return self._averages[var].op.name
        return get_default_graph().unique_name(f"{var.op.name}/{self._name}", mark_as_used=False)

    def variables_to_restore(self, moving_avg_variables: Any = None) -> dict[str, Variable]:
        """A map from names in a checkpoint to variables, with which restoring gives variables their averages.

        moving_avg_variables: those that have averages, by default all trainable ones.
        """
        averaged = list(moving_avg_variables if moving_avg_variables is not None else [])
        if moving_avg_variables is None:
            graph = get_default_graph()
            averaged = [*trainable_variables(), *graph.get_collection(MOVING_AVERAGE_VARIABLES)]
        averaged = list(dict.fromkeys(averaged))
        names = {self.average_name(v): v for v in averaged}
        averaged_names = {v.op.name for v in averaged}
        for v in list(dict.fromkeys(global_variables())):
            if v.op.name not in averaged_names and v.op.name not in names:
                names[v.op.name] = v
        return names


def _write(variable: Variable, type: str, kernel: Any, *values: Tensor) -> Tensor:
    return write(Kind.UPDATE, type, kernel, variable, list(values), {}, variable.raw_shape, type)
