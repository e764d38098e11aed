"""tf.config.optimizer: settings of TensorFlow's graph optimizer, which are kept."""

from weftwork.scheduler.session.devices import (
    get_experimental_options,
    get_jit,
    set_experimental_options,
    set_jit,
)

__all__ = ["get_experimental_options", "get_jit", "set_experimental_options", "set_jit"]
