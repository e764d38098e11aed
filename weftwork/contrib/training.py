"""tf.contrib.training: hyperparameters, and train operations."""

from weftwork.graph.contrib.training import (
    HParams,
    clip_gradient_norms,
    create_train_op,
    multiply_gradients,
)
from weftwork.scheduler.training.loops import checkpoints_iterator, wait_for_new_checkpoint
from weftwork.scheduler.training.slim_loops import StopAfterNEvalsHook, evaluate_once, get_or_create_eval_step
from weftwork.scheduler.training.slim_loops import train_with_hooks as train

__all__ = [
    "StopAfterNEvalsHook",
    "checkpoints_iterator",
    "evaluate_once",
    "get_or_create_eval_step",
    "train",
    "wait_for_new_checkpoint",
    "HParams",
    "clip_gradient_norms",
    "create_train_op",
    "multiply_gradients",
]
