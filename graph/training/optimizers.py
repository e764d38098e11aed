"""The optimizers of `tf.train`, with the formulas of TensorFlow 1.15.

Each variable's update is one node, and so is each slot's. Learning rates and other numbers may be tensors, or functions
that return tensors. Gradients of table rows (IndexedSlices) update only these rows; Adam's update all rows.
"""

from __future__ import annotations

from typing import Any

from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops.composite import IndexedSlices
from weftwork.graph.training import kernels
from weftwork.graph.training.optimizer import Optimizer
from weftwork.graph.training.update import Update
from weftwork.graph.variables.variable import Variable
from weftwork.graph.variables.writes import scatter_add


class GradientDescentOptimizer(Optimizer):
    """w - learning_rate g."""

    def __init__(self, learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent"):
        super().__init__(use_locking, name)
        self._learning_rate = learning_rate
        self._learning_rate_tensor: Any = None

    def _prepare(self) -> None:
        rate = self._call_if_callable(self._learning_rate)
        self._learning_rate_tensor = convert_to_tensor(rate, name="learning_rate")

    def _step(self, update: Update) -> Tensor:
        rate = update.number(self._learning_rate_tensor)
        return update.write(update.variable, "ApplyGradientDescent", kernels.descend, update.grad, rate)


class MomentumOptimizer(Optimizer):
    """v = momentum v + g, w - learning_rate v; with use_nesterov w - learning_rate (g + momentum v).

    Source: Polyak 1964; Sutskever, Martens, Dahl and Hinton 2013 for Nesterov's. Slot: momentum.
    """

    def __init__(
        self, learning_rate: Any, momentum: Any, use_locking: bool = False, name: str = "Momentum",
        use_nesterov: bool = False,
    ):  # fmt: skip
        super().__init__(use_locking, name)
        self._learning_rate, self._momentum, self._use_nesterov = learning_rate, momentum, use_nesterov

    def _create_slots(self, var_list: list[Variable]) -> None:
        for var in var_list:
            self._zeros_slot(var, "momentum", self._name)

    def _prepare(self) -> None:
        rate, momentum = self._call_if_callable(self._learning_rate), self._call_if_callable(self._momentum)
        self._learning_rate_tensor = convert_to_tensor(rate, name="learning_rate")
        self._momentum_tensor = convert_to_tensor(momentum, name="momentum")

    def _step(self, update: Update) -> Tensor:
        var, grad = update.variable, update.grad
        rate, mass = update.number(self._learning_rate_tensor), update.number(self._momentum_tensor)
        velocity = update.write(self.get_slot(var, "momentum"), "Velocity", kernels.momentum, grad, mass)
        if self._use_nesterov:
            return update.write(var, "ApplyMomentum", kernels.nesterov, grad, velocity, rate, mass)
        return update.write(var, "ApplyMomentum", kernels.descend, velocity, rate)


class AdagradOptimizer(Optimizer):
    """s = s + g^2, w - learning_rate g / sqrt(s).

    Source: Duchi, Hazan and Singer 2011, JMLR 12. Slot: accumulator, at first initial_accumulator_value.
    Raises ValueError for an initial value that is not positive.
    """

    def __init__(
        self, learning_rate: Any, initial_accumulator_value: float = 0.1, use_locking: bool = False,
        name: str = "Adagrad",
    ):  # fmt: skip
        if initial_accumulator_value <= 0.0:
            raise ValueError(f"initial_accumulator_value must be positive: {initial_accumulator_value}")
        super().__init__(use_locking, name)
        self._learning_rate, self._initial_accumulator_value = learning_rate, initial_accumulator_value
        self._learning_rate_tensor: Any = None

    def _create_slots(self, var_list: list[Variable]) -> None:
        for var in var_list:
            self._filled_slot(var, self._initial_accumulator_value, "accumulator", self._name)

    def _prepare(self) -> None:
        rate = self._call_if_callable(self._learning_rate)
        self._learning_rate_tensor = convert_to_tensor(rate, name="learning_rate")

    def _step(self, update: Update) -> Tensor:
        var, grad = update.variable, update.grad
        total = update.write(self.get_slot(var, "accumulator"), "Squares", kernels.squares, grad)
        rate = update.number(self._learning_rate_tensor)
        return update.write(var, "ApplyAdagrad", kernels.adagrad, grad, total, rate)


class AdadeltaOptimizer(Optimizer):
    """Steps scaled like the previous ones: sqrt(mean of squared steps / mean of squared gradients) g.

    rho: the fraction of the old means that is kept, 0 to 1.
    Source: Zeiler 2012, arXiv:1212.5701. Slots: accum (of gradients), accum_update (of steps).
    """

    def __init__(
        self, learning_rate: Any = 0.001, rho: Any = 0.95, epsilon: Any = 1e-8, use_locking: bool = False,
        name: str = "Adadelta",
    ):  # fmt: skip
        super().__init__(use_locking, name)
        self._lr, self._rho, self._epsilon = learning_rate, rho, epsilon
        self._lr_t: Any = None
        self._rho_t: Any = None
        self._epsilon_t: Any = None

    def _create_slots(self, var_list: list[Variable]) -> None:
        for var in var_list:
            self._zeros_slot(var, "accum", self._name)
            self._zeros_slot(var, "accum_update", self._name)

    def _prepare(self) -> None:
        self._lr_t = convert_to_tensor(self._call_if_callable(self._lr), name="lr")
        self._rho_t = convert_to_tensor(self._call_if_callable(self._rho), name="rho")
        self._epsilon_t = convert_to_tensor(self._call_if_callable(self._epsilon), name="epsilon")

    def _step(self, update: Update) -> Tensor:
        var, grad = update.variable, update.grad
        rate, keep, epsilon = (update.number(t) for t in (self._lr_t, self._rho_t, self._epsilon_t))
        square = update.write(self.get_slot(var, "accum"), "MeanSquare", kernels.mean_square_of, grad, keep)
        steps = self.get_slot(var, "accum_update")
        _, step = update.write_with_result(steps, "MeanSquareStep", kernels.adadelta, grad, square, keep, epsilon)
        return update.write(var, "ApplyAdadelta", kernels.descend, step, rate)


class RMSPropOptimizer(Optimizer):
    """s = decay s + (1 - decay) g^2, v = momentum v + learning_rate g / sqrt(s + epsilon), w - v.

    centered: use the variance, s - (mean of g)^2, instead of s.
    Source: Tieleman and Hinton 2012, lecture 6.5; Graves 2013, arXiv:1308.0850. Slots: rms (at first 1), momentum, mg.
    """

    def __init__(
        self, learning_rate: Any, decay: Any = 0.9, momentum: Any = 0.0, epsilon: Any = 1e-10,
        use_locking: bool = False, centered: bool = False, name: str = "RMSProp",
    ):  # fmt: skip
        super().__init__(use_locking, name)
        self._learning_rate, self._decay, self._momentum = learning_rate, decay, momentum
        self._epsilon, self._centered = epsilon, centered
        self._learning_rate_tensor: Any = None
        self._decay_tensor: Any = None
        self._momentum_tensor: Any = None
        self._epsilon_tensor: Any = None

    def _create_slots(self, var_list: list[Variable]) -> None:
        for var in var_list:
            self._filled_slot(var, 1.0, "rms", self._name)
            if self._centered:
                self._zeros_slot(var, "mg", self._name)
            self._zeros_slot(var, "momentum", self._name)

    def _prepare(self) -> None:
        rate, decay = self._call_if_callable(self._learning_rate), self._call_if_callable(self._decay)
        momentum, epsilon = self._call_if_callable(self._momentum), self._call_if_callable(self._epsilon)
        self._learning_rate_tensor = convert_to_tensor(rate, name="learning_rate")
        self._decay_tensor = convert_to_tensor(decay, name="decay")
        self._momentum_tensor = convert_to_tensor(momentum, name="momentum")
        self._epsilon_tensor = convert_to_tensor(epsilon, name="epsilon")

    def _step(self, update: Update) -> Tensor:
        var, grad = update.variable, update.grad
        rate, keep = update.number(self._learning_rate_tensor), update.number(self._decay_tensor)
        mass, epsilon = update.number(self._momentum_tensor), update.number(self._epsilon_tensor)
        square = update.write(self.get_slot(var, "rms"), "MeanSquare", kernels.mean_square_of, grad, keep)
        step = self.get_slot(var, "momentum")
        if self._centered:
            mean = update.write(self.get_slot(var, "mg"), "Mean", kernels.mean_of, grad, keep)
            inputs = (grad, square, mean, rate, mass, epsilon)
            moved = update.write(step, "CenteredStep", kernels.centered_rmsprop, *inputs)
        else:
            moved = update.write(step, "Step", kernels.rmsprop, grad, square, rate, mass, epsilon)
        return update.write(var, "ApplyRMSProp", kernels.minus, moved)


class AdamOptimizer(Optimizer):
    """m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
    w - learning_rate sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon).

    Source: Kingma and Ba 2014, arXiv:1412.6980, with the epsilon from the end of section 2. Slots: m, v; the variables
    beta1_power and beta2_power are shared.
    """

    def __init__(
        self, learning_rate: Any = 0.001, beta1: Any = 0.9, beta2: Any = 0.999, epsilon: Any = 1e-8,
        use_locking: bool = False, name: str = "Adam",
    ):  # fmt: skip
        super().__init__(use_locking, name)
        self._lr, self._beta1, self._beta2, self._epsilon = learning_rate, beta1, beta2, epsilon
        self._lr_t: Any = None
        self._beta1_t: Any = None
        self._beta2_t: Any = None
        self._epsilon_t: Any = None

    def _get_beta_accumulators(self) -> tuple[Any, Any]:
        return self._get_non_slot_variable("beta1_power"), self._get_non_slot_variable("beta2_power")

    def _create_slots(self, var_list: list[Variable]) -> None:
        first = min(var_list, key=lambda var: var.name)
        self._create_non_slot_variable(self._call_if_callable(self._beta1), "beta1_power", first)
        self._create_non_slot_variable(self._call_if_callable(self._beta2), "beta2_power", first)
        for var in var_list:
            self._zeros_slot(var, "m", self._name)
            self._zeros_slot(var, "v", self._name)

    def _prepare(self) -> None:
        self._lr_t = convert_to_tensor(self._call_if_callable(self._lr), name="learning_rate")
        self._beta1_t = convert_to_tensor(self._call_if_callable(self._beta1), name="beta1")
        self._beta2_t = convert_to_tensor(self._call_if_callable(self._beta2), name="beta2")
        self._epsilon_t = convert_to_tensor(self._call_if_callable(self._epsilon), name="epsilon")
        self._rates: dict[Any, Tensor] = {}

    def _rate(self, update: Update) -> Tensor:
        """The learning rate of this step: one node for all variables of a dtype."""
        if update.dtype not in self._rates:
            inputs = [update.number(t) for t in (self._lr_t, *self._get_beta_accumulators())]
            self._rates[update.dtype] = apply(
                kernels.adam_rate, inputs, type="AdamRate", dtype=update.dtype, shape=inputs[0].raw_shape
            )
        return self._rates[update.dtype]

    def _apply_sparse(self, grad: IndexedSlices, var: Variable) -> Any:
        return self._apply_sparse_shared(grad.values, var, grad.indices, scatter_add)

    def _resource_apply_sparse(self, grad: Tensor, handle: Variable, indices: Tensor) -> Any:
        return self._apply_sparse_shared(grad, handle, indices, self._resource_scatter_add)

    def _apply_sparse_shared(self, grad: Tensor, var: Variable, indices: Tensor, scatter_add: Any) -> Any:
        """The update for both kinds of variables. scatter_add: for subclasses, scatter_add(variable, rows, values)."""
        return self._step(Update(var, grad, indices))

    def _resource_scatter_add(self, x: Variable, i: Any, v: Any) -> Tensor:
        with x.graph.control_dependencies([scatter_add(x, i, v)]):
            return x.value()

    def _step(self, update: Update) -> Tensor:
        var, grad, at = update.variable, update.grad, update.rows
        beta1, beta2, epsilon = (update.number(t) for t in (self._beta1_t, self._beta2_t, self._epsilon_t))
        mean_slot, square_slot = self.get_slot(var, "m"), self.get_slot(var, "v")
        if at is None:
            mean = update.write(mean_slot, "Mean", kernels.mean_of, grad, beta1)
            square = update.write(square_slot, "MeanSquare", kernels.mean_square_of, grad, beta2)
        else:
            mean = update.write_all(mean_slot, "Mean", kernels.mean_of_rows, at, grad, beta1)
            square = update.write_all(square_slot, "MeanSquare", kernels.mean_square_of_rows, at, grad, beta2)
        return update.write_all(var, "ApplyAdam", kernels.adam, mean, square, self._rate(update), epsilon)

    def _finish(self, update_ops: list, name_scope: str) -> Operation:
        powers = []
        for power, beta in zip(self._get_beta_accumulators(), (self._beta1_t, self._beta2_t), strict=True):
            update = Update(power, beta)
            with power.graph.control_dependencies(update_ops):
                powers.append(update.write(power, "Power", kernels.scaled, update.grad))
        return super()._finish([*update_ops, *powers], name_scope)
