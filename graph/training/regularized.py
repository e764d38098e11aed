"""Optimizers with regularizers that make weights exactly zero: Ftrl and the proximal ones."""

from __future__ import annotations

from typing import Any

from weftwork.graph.build import convert_to_tensor
from weftwork.graph.operation import Tensor
from weftwork.graph.training import kernels
from weftwork.graph.training.optimizer import Optimizer
from weftwork.graph.training.optimizers import AdagradOptimizer
from weftwork.graph.training.update import Update
from weftwork.graph.variables.variable import Variable


class FtrlOptimizer(Optimizer):
    """Follow the regularized leader. With an l1 strength, weights of little use are exactly zero.

    learning_rate_power: a float, at most 0.
    l2_shrinkage_regularization_strength: a float, at least 0.
    accum_name, linear_name: of the slots.
    Source: McMahan et al. 2013, "Ad click prediction: a view from the trenches". Slots: accum, linear.
    Raises ValueError for a learning_rate_power above 0, or a negative strength or initial value.
    """

    def __init__(
        self, learning_rate: Any, learning_rate_power: float = -0.5, initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0, use_locking: bool = False,
        name: str = "Ftrl", accum_name: str | None = None, linear_name: str | None = None,
        l2_shrinkage_regularization_strength: float = 0.0,
    ):  # fmt: skip
        super().__init__(use_locking, name)
        for word, number in (
            ("initial_accumulator_value", initial_accumulator_value),
            ("l1_regularization_strength", l1_regularization_strength),
            ("l2_regularization_strength", l2_regularization_strength),
            ("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength),
        ):
            if number < 0.0:
                raise ValueError(f"{word} {number} needs to be positive or zero")
        if learning_rate_power > 0.0:
            raise ValueError(f"learning_rate_power {learning_rate_power} needs to be negative or zero")
        self._learning_rate, self._learning_rate_power = learning_rate, learning_rate_power
        self._learning_rate_tensor: Any = None
        self._initial_accumulator_value = initial_accumulator_value
        self._l1, self._l2 = l1_regularization_strength, l2_regularization_strength
        self._shrinkage = l2_shrinkage_regularization_strength
        self._accum_name, self._linear_name = accum_name, linear_name

    def _create_slots(self, var_list: list[Variable]) -> None:
        for var in var_list:
            self._filled_slot(var, self._initial_accumulator_value, "accum", self._accum_name or self._name)
            self._zeros_slot(var, "linear", self._linear_name or self._name)

    def _prepare(self) -> None:
        rate = self._call_if_callable(self._learning_rate)
        self._learning_rate_tensor = convert_to_tensor(rate, name="learning_rate")

    def _step(self, update: Update) -> Tensor:
        var, grad = update.variable, update.grad
        rate, power = update.number(self._learning_rate_tensor), update.number(self._learning_rate_power)
        l1, l2, shrinkage = (update.number(number) for number in (self._l1, self._l2, self._shrinkage))
        squares, linear = self.get_slot(var, "accum"), self.get_slot(var, "linear")
        total, growth = update.write_with_result(squares, "Squares", kernels.ftrl_squares, grad, rate, power)
        new_linear = update.write(linear, "Linear", kernels.ftrl_linear, grad, growth, update.old(var), shrinkage)
        return update.write(var, "ApplyFtrl", kernels.ftrl, new_linear, total, rate, power, l1, l2)


class ProximalGradientDescentOptimizer(Optimizer):
    """Gradient descent that shrinks the weights towards zero after each step, by l1 and l2 strengths.

    Source: Duchi and Singer 2009, "Efficient learning using forward-backward splitting".
    """

    def __init__(
        self, learning_rate: Any, l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0,
        use_locking: bool = False, name: str = "ProximalGradientDescent",
    ):  # fmt: skip
        super().__init__(use_locking, name)
        self._learning_rate = learning_rate
        self._learning_rate_tensor: Any = None
        self._l1, self._l2 = l1_regularization_strength, l2_regularization_strength

    def _prepare(self) -> None:
        rate = self._call_if_callable(self._learning_rate)
        self._learning_rate_tensor = convert_to_tensor(rate, name="learning_rate")

    def _step(self, update: Update) -> Tensor:
        rate, l1, l2 = (update.number(t) for t in (self._learning_rate_tensor, self._l1, self._l2))
        inputs = (update.grad, rate, l1, l2)
        return update.write(update.variable, "ApplyProximalGradientDescent", kernels.proximal, *inputs)


class ProximalAdagradOptimizer(AdagradOptimizer):
    """Adagrad that shrinks the weights towards zero after each step, by l1 and l2 strengths. Slot: accumulator."""

    def __init__(
        self, learning_rate: Any, initial_accumulator_value: float = 0.1, l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0, use_locking: bool = False, name: str = "ProximalAdagrad",
    ):  # fmt: skip
        super().__init__(learning_rate, initial_accumulator_value, use_locking, name)
        self._l1, self._l2 = l1_regularization_strength, l2_regularization_strength

    def _step(self, update: Update) -> Tensor:
        var, grad = update.variable, update.grad
        total = update.write(self.get_slot(var, "accumulator"), "Squares", kernels.squares, grad)
        rate, l1, l2 = (update.number(t) for t in (self._learning_rate_tensor, self._l1, self._l2))
        return update.write(var, "ApplyProximalAdagrad", kernels.proximal_adagrad, grad, total, rate, l1, l2)


class AdagradDAOptimizer(Optimizer):
    """Adagrad with dual averaging: weights are computed from sums of all gradients, so an l1 strength makes zeros.

    global_step: the number of steps so far, int64.   Source: Duchi, Hazan and Singer 2011, JMLR 12. Slots:
    gradient_accumulator, gradient_squared_accumulator.
    initial_gradient_squared_accumulator_value: a float above 0.
    Raises ValueError for an initial value that is not positive.
    """

    def __init__(
        self, learning_rate: Any, global_step: Any, initial_gradient_squared_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0, use_locking: bool = False,
        name: str = "AdagradDA",
    ):  # fmt: skip
        if initial_gradient_squared_accumulator_value <= 0.0:
            raise ValueError(
                "initial_gradient_squared_accumulator_value must be positive: "
                f"{initial_gradient_squared_accumulator_value}"
            )
        super().__init__(use_locking, name)
        self._learning_rate, self._global_step = learning_rate, global_step
        self._learning_rate_tensor: Any = None
        self._initial = initial_gradient_squared_accumulator_value
        self._l1, self._l2 = l1_regularization_strength, l2_regularization_strength

    def _create_slots(self, var_list: list[Variable]) -> None:
        for var in var_list:
            self._zeros_slot(var, "gradient_accumulator", self._name)
            self._filled_slot(var, self._initial, "gradient_squared_accumulator", self._name)

    def _prepare(self) -> None:
        rate = self._call_if_callable(self._learning_rate)
        self._learning_rate_tensor = convert_to_tensor(rate, name="learning_rate")
        self._next_step = convert_to_tensor(self._global_step) + 1

    def _step(self, update: Update) -> Tensor:
        var, grad = update.variable, update.grad
        total = update.write(self.get_slot(var, "gradient_accumulator"), "Sum", kernels.summed, grad)
        squares = update.write(self.get_slot(var, "gradient_squared_accumulator"), "Squares", kernels.squares, grad)
        numbers = (self._learning_rate_tensor, self._next_step, self._l1, self._l2)
        rate, step, l1, l2 = [update.number(number) for number in numbers]
        return update.write(var, "ApplyAdagradDA", kernels.dual_averaged, total, squares, rate, step, l1, l2)
