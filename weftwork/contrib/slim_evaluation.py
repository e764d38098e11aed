"""tf.contrib.slim.evaluation: evaluates checkpoints as they appear."""

from weftwork.scheduler.training.loops import checkpoints_iterator, wait_for_new_checkpoint
from weftwork.scheduler.training.slim_loops import StopAfterNEvalsHook, evaluation_loop
from weftwork.scheduler.training.slim_loops import evaluate_checkpoint as evaluate_once

__all__ = [
    "StopAfterNEvalsHook",
    "checkpoints_iterator",
    "evaluate_once",
    "evaluation_loop",
    "wait_for_new_checkpoint",
]
