"""tf.contrib.slim.learning: creates train operations, and runs the training loop."""

from weftwork.graph.contrib.training import clip_gradient_norms, create_train_op, multiply_gradients
from weftwork.scheduler.training.slim_loops import train, train_step

__all__ = ["clip_gradient_norms", "create_train_op", "multiply_gradients", "train", "train_step"]
