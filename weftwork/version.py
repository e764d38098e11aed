"""tf.version: the version of TensorFlow whose names these are."""

VERSION = "1.15.0"
GIT_VERSION = "weftwork"
COMPILER_VERSION = ""

__all__ = ["COMPILER_VERSION", "GIT_VERSION", "VERSION"]
