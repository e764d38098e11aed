"""optimize_loss and create_train_op: a single training operation; HParams: a program's hyperparameters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from weftwork.graph.build import convert_to_tensor
from weftwork.graph.default_scopes import control_dependencies
from weftwork.graph.graph import GraphKeys
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import math_ops
from weftwork.graph.ops.assertions import check_numerics
from weftwork.graph.ops.clipping import clip_by_global_norm, clip_by_norm, global_norm
from weftwork.graph.ops.composite import IndexedSlices
from weftwork.graph.ops.flow import identity
from weftwork.graph.ops.random_ops import random_normal
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.training import summaries
from weftwork.graph.training.optimizer import Optimizer
from weftwork.graph.training.optimizers import (
    AdagradOptimizer,
    AdamOptimizer,
    GradientDescentOptimizer,
    MomentumOptimizer,
    RMSPropOptimizer,
)
from weftwork.graph.training.regularized import FtrlOptimizer
from weftwork.graph.training.steps import get_global_step, get_or_create_global_step
from weftwork.graph.variables.collected import trainable_variables
from weftwork.graph.variables.initializers import Constant
from weftwork.graph.variables.scoping import variable_scope
from weftwork.graph.variables.sharing import get_variable
from weftwork.graph.variables.variable import Variable

OPTIMIZER_CLS_NAMES: dict[str, Callable[..., Any]] = {
    "Adagrad": AdagradOptimizer,
    "Adam": AdamOptimizer,
    "Ftrl": FtrlOptimizer,
    "Momentum": lambda learning_rate: MomentumOptimizer(learning_rate, momentum=0.9),
    "RMSProp": RMSPropOptimizer,
    "SGD": GradientDescentOptimizer,
}
"""The optimizers that `optimize_loss` accepts by name."""

OPTIMIZER_SUMMARIES = [
    "learning_rate", "loss", "gradients", "gradient_norm", "global_gradient_norm",
]  # fmt: skip


def optimize_loss(
    loss: Any,
    global_step: Any,
    learning_rate: Any,
    optimizer: Any,
    gradient_noise_scale: float | None = None,
    gradient_multipliers: dict[str, Any] | None = None,
    clip_gradients: Any = None,
    learning_rate_decay_fn: Callable[..., Any] | None = None,
    update_ops: Any = None,
    variables: Sequence[Variable] | None = None,
    name: str | None = None,
    summaries: Sequence[str] | None = None,
    colocate_gradients_with_ops: bool = False,
    increment_global_step: bool = True,
) -> Tensor:
    """The loss, available after one step down its gradient.

    optimizer: a name (OPTIMIZER_CLS_NAMES), a class, an Optimizer, or a function of the learning rate.
    clip_gradients: a limit of the global norm, or a function of the pairs.   gradient_multipliers: by variable.
    learning_rate_decay_fn(learning_rate, global_step).   update_ops: run before; by default all in UPDATE_OPS.
    Raises ValueError for invalid arguments, or if no variable has a gradient.
    """
    loss = convert_to_tensor(loss)
    if loss.raw_shape is not None and loss.raw_shape != ():
        raise ValueError(f"Loss must be a scalar, but has shape {loss.shape}")
    step = get_global_step() if global_step is None else global_step
    with variable_scope(name, "OptimizeLoss", [loss]):
        updates = set(get_default_graph().get_collection(GraphKeys.UPDATE_OPS)) if update_ops is None else update_ops
        if updates:
            with control_dependencies(list(updates)):
                loss = identity(loss)
        rate = _rate(learning_rate, learning_rate_decay_fn, step)
        wanted = ["loss", "learning_rate", "global_gradient_norm"] if summaries is None else summaries
        _check_summaries(wanted)
        if rate is not None and "learning_rate" in wanted:
            _scalar("learning_rate", rate)
        chosen = _optimizer(optimizer, rate)
        pairs = chosen.compute_gradients(
            loss,
            trainable_variables() if variables is None else list(variables),
            colocate_gradients_with_ops=colocate_gradients_with_ops,
        )
        if gradient_noise_scale is not None:
            pairs = [(_with_noise(g, gradient_noise_scale), v) for g, v in pairs]
        if gradient_multipliers is not None:
            pairs = _multiplied(pairs, gradient_multipliers)
        found = [g for g, _ in pairs if g is not None]
        if not found:
            raise ValueError(
                "No gradients provided for any variable, check your graph for ops that do not support them."
            )
        if "global_gradient_norm" in wanted or "gradient_norm" in wanted:
            _scalar("global_norm/gradient_norm", global_norm(found))
        pairs = _clipped(pairs, clip_gradients)
        if "loss" in wanted:
            _scalar("loss", loss)
        train = chosen.apply_gradients(pairs, global_step=step if increment_global_step else None, name="train")
        with control_dependencies([train]):
            return identity(loss)


def _check_summaries(wanted: Sequence[str]) -> None:
    for summary in wanted:
        if summary not in OPTIMIZER_SUMMARIES:
            raise ValueError(f"Summaries should be one of [{', '.join(OPTIMIZER_SUMMARIES)}], you provided {summary}.")


def _clipped(pairs: list[Any], clip: Callable[[list[Any]], Any] | float | None) -> list[Any]:
    """Clip the gradients to the global norm `clip`, or apply the function `clip` to the pairs."""
    if callable(clip):
        return list(clip(pairs))
    if clip is None:
        return pairs
    clipped = iter(clip_by_global_norm([g for g, _ in pairs if g is not None], clip)[0])
    return [(None if g is None else next(clipped), v) for g, v in pairs]


def _rate(learning_rate: Any, decay: Callable[..., Any] | None, step: Any) -> Any:
    if learning_rate is None:
        return None
    if isinstance(learning_rate, (int, float)) and not isinstance(learning_rate, bool):
        if learning_rate < 0.0:
            raise ValueError(f"Invalid learning_rate {learning_rate}.")
        rate: Any = get_variable("learning_rate", [], trainable=False, initializer=Constant(float(learning_rate)))
    elif isinstance(learning_rate, (Tensor, Variable)):
        rate = learning_rate
    else:
        raise ValueError(
            f"Learning rate should be 0d Tensor or float. Got {learning_rate} of type {type(learning_rate)}"
        )
    if decay is None:
        return rate
    if step is None:
        raise ValueError("global_step is required for learning_rate_decay_fn.")
    return decay(rate, step)


def _optimizer(optimizer: Any, rate: Any) -> Optimizer:
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZER_CLS_NAMES:
            names = ", ".join(OPTIMIZER_CLS_NAMES)
            raise ValueError(f"Optimizer name should be one of [{names}], you provided {optimizer}.")
        if rate is None:
            raise ValueError(f"Learning rate is None, but should be specified for {optimizer}.")
        return OPTIMIZER_CLS_NAMES[optimizer](learning_rate=rate)
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        if rate is None:
            raise ValueError(f"Learning rate is None, but should be specified for {optimizer.__name__}.")
        return optimizer(learning_rate=rate)  # type: ignore[call-arg]
    if callable(optimizer):
        instance = optimizer(rate) if rate is not None else optimizer()
        if isinstance(instance, Optimizer):
            return instance
    raise ValueError(
        f"Unrecognized optimizer: should be string, subclass of Optimizer, instance, or function: {optimizer}"
    )


def _scalar(name: str, value: Any) -> None:
    summaries.scalar(name, value)


def _with_noise(grad: Any, scale: float) -> Any:
    if grad is None:
        return None
    if isinstance(grad, IndexedSlices):
        noise = random_normal(grad.values.shape.as_list(), dtype=grad.dtype) * scale
        return IndexedSlices(grad.values + noise, grad.indices, grad.dense_shape)
    return grad + random_normal(grad.shape.as_list(), dtype=grad.dtype.base_dtype) * scale


def _multiplied(pairs: list[Any], multipliers: dict[str, Any]) -> list[Any]:
    by_name = {getattr(key, "name", key): value for key, value in multipliers.items()}
    found = []
    for grad, variable in pairs:
        factor = by_name.get(variable.name, by_name.get(variable.op.name))
        if grad is not None and factor is not None:
            factor = math_ops.cast(convert_to_tensor(factor), grad.dtype.base_dtype)
            if isinstance(grad, IndexedSlices):
                grad = IndexedSlices(grad.values * factor, grad.indices, grad.dense_shape)
            else:
                grad = grad * factor
        found.append((grad, variable))
    return found


multiply_gradients = _multiplied


def clip_gradient_norms(gradients_to_variables: Sequence[tuple[Any, Any]], max_norm: float) -> list[tuple[Any, Any]]:
    """The pairs, with the norm of each gradient clipped."""
    found = []
    for grad, variable in gradients_to_variables:
        if isinstance(grad, IndexedSlices):
            grad = IndexedSlices(clip_by_norm(grad.values, max_norm), grad.indices, grad.dense_shape)
        elif grad is not None:
            grad = clip_by_norm(grad, max_norm)
        found.append((grad, variable))
    return found


def create_train_op(
    total_loss: Any,
    optimizer: Optimizer,
    global_step: Any = 0,
    update_ops: Any = None,
    variables_to_train: Any = None,
    transform_grads_fn: Callable[..., Any] | None = None,
    summarize_gradients: bool = False,
    gate_gradients: int = Optimizer.GATE_OP,
    aggregation_method: int | None = None,
    colocate_gradients_with_ops: bool = False,
    check_numerics: bool = True,
    clip_gradient_norm: float = 0,
    gradient_multipliers: dict[str, Any] | None = None,
) -> Tensor:
    """The loss, available after one step down its gradient; slim's spelling of `optimize_loss`.

    global_step: by default the graph's, created if necessary; None for no counter.
    check_numerics: raise InvalidArgumentError if the loss is NaN or infinite.
    """
    step = get_or_create_global_step() if isinstance(global_step, int) else global_step
    updates = set(get_default_graph().get_collection(GraphKeys.UPDATE_OPS)) if update_ops is None else set(update_ops)
    loss = convert_to_tensor(total_loss)
    if updates:
        with control_dependencies(list(updates)):
            loss = identity(loss)
    pairs = optimizer.compute_gradients(
        loss,
        trainable_variables() if variables_to_train is None else list(variables_to_train),
        gate_gradients=gate_gradients,
        aggregation_method=aggregation_method,
        colocate_gradients_with_ops=colocate_gradients_with_ops,
    )
    if gradient_multipliers:
        pairs = _multiplied(pairs, gradient_multipliers)
    if transform_grads_fn:
        pairs = transform_grads_fn(pairs)
    if clip_gradient_norm > 0:
        pairs = clip_gradient_norms(pairs, clip_gradient_norm)
    train: Operation = optimizer.apply_gradients(pairs, global_step=step)
    checked = _checked(loss) if check_numerics else loss
    with control_dependencies([train]):
        result = identity(checked, name="train_op")
    get_default_graph().add_to_collection(GraphKeys.TRAIN_OP, result)
    return result


def _checked(loss: Tensor) -> Tensor:
    return check_numerics(loss, "LossTensor is inf or nan")


# Hyperparameters


class HParams:
    """Named values, as attributes. Each keeps the type of its first value.

    Raises ValueError for a value of another type, or an unknown name.
    """

    _types: dict[str, tuple[type, bool]]

    def __init__(self, hparam_def: Any = None, model_structure: Any = None, **kwargs: Any):
        self.__dict__["_types"] = {}
        for name, value in kwargs.items():
            self.add_hparam(name, value)

    def add_hparam(self, name: str, value: Any) -> None:
        """Add a name with a value, which fixes its type: a number, text, a bool, None, or a list of these."""
        if name in self._types or hasattr(type(self), name):
            raise ValueError(f"Hyperparameter name is reserved: {name}")
        if isinstance(value, (list, tuple)):
            if not value:
                raise ValueError(f"Multi-valued hyperparameters cannot be empty: {name}")
            self._types[name] = (type(value[0]), True)
            self.__dict__[name] = list(value)
        else:
            self._types[name] = (type(value), False)
            self.__dict__[name] = value

    def set_hparam(self, name: str, value: Any) -> None:
        """Set an existing name to another value."""
        kind, several = self._known(name)
        if isinstance(value, (list, tuple)) != several:
            kind_of = "multi" if several else "single"
            word = "Must pass" if several else "Must not pass"
            raise ValueError(f"{word} a list for {kind_of}-valued parameter: {name}.")
        cast = [_cast(name, kind, item) for item in value] if several else _cast(name, kind, value)
        self.__dict__[name] = cast

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._types:
            self.set_hparam(name, value)
        else:
            self.__dict__[name] = value

    def _known(self, name: str) -> tuple:
        if name not in self._types:
            raise ValueError(f"Unknown hyperparameter: {name}")
        return self._types[name]

    def del_hparam(self, name: str) -> None:
        """Remove a name."""
        if name in self._types:
            del self._types[name], self.__dict__[name]

    def parse(self, values: str) -> HParams:
        """Set values from a string such as `rate=0.1,sizes=[1,2],name=a`; returns self."""
        for name, text in _assignments(values):
            kind, several = self._known(name)
            if text.startswith("[") != several:
                raise ValueError(f"Could not parse {name}={text}: it should be {'a list' if several else 'one value'}.")
            parts = [part.strip() for part in text.strip("[]").split(",") if part.strip()] if several else [text]
            parsed = [_parsed(name, kind, part) for part in parts]
            self.set_hparam(name, parsed if several else parsed[0])
        return self

    def override_from_dict(self, values_dict: dict[str, Any]) -> HParams:
        """Set values from a dict; returns self."""
        for name, value in values_dict.items():
            self.set_hparam(name, value)
        return self

    def parse_json(self, values_json: str) -> HParams:
        """Set values from JSON; returns self."""
        return self.override_from_dict(json.loads(values_json))

    def to_json(self, indent: int | None = None, separators: Any = None, sort_keys: bool = False) -> str:
        """The values as JSON, without functions."""
        kept = {name: value for name, value in self.values().items() if not callable(value)}
        return json.dumps(kept, indent=indent, separators=separators, sort_keys=sort_keys)

    def values(self) -> dict[str, Any]:
        """The values by name."""
        return {name: self.__dict__[name] for name in self._types}

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a name, or the default. Raises ValueError for a default of another type."""
        if key not in self._types:
            return default
        kind, several = self._types[key]
        if default is not None and isinstance(default, list) != several:
            raise ValueError(f"default value {default!r} does not have the type of {key}")
        if default is not None and not several:
            _cast(key, kind, default)
        return self.__dict__[key]

    def __contains__(self, key: str) -> bool:
        return key in self._types

    def __str__(self) -> str:
        return str(sorted(self.values().items()))

    def __repr__(self) -> str:
        return f"HParams({self})"


def _cast(name: str, kind: type, value: Any) -> Any:
    text = f"Could not cast hparam '{name}' of type '{kind.__name__}' from value {value!r}"
    if kind is type(None) or isinstance(value, kind):
        return value
    if value is None:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind is str and isinstance(value, bytes):
        return value.decode()
    raise ValueError(text)


def _parsed(name: str, kind: type, text: str) -> Any:
    if kind is bool:
        if text.lower() in ("true", "1"):
            return True
        if text.lower() in ("false", "0"):
            return False
        raise ValueError(f"Could not parse {name}={text}: it should be true or false.")
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"Could not parse {name}={text}: it should be of type {kind.__name__}.") from None
    return text


def _assignments(values: str) -> list[tuple[str, str]]:
    found = []
    pattern = re.compile(r"\s*([a-zA-Z][\w.]*)\s*=\s*(\[[^\]]*\]|[^,\[]*)\s*(,|$)")
    at = 0
    while at < len(values):
        match = pattern.match(values, at)
        if match is None:
            raise ValueError(f"Malformed hyperparameter value: {values[at:]}")
        found.append((match.group(1), match.group(2).strip()))
        at = match.end()
    return found
