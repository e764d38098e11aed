"""tf.layers: parts of models, as functions and as classes."""

from weftwork.graph.layers import (
    average_pooling2d,
    batch_normalization,
    conv2d,
    dense,
    dropout,
    flatten,
    max_pooling2d,
)
from weftwork.graph.layers_base import Layer
from weftwork.graph.layers_core import Dense, Dropout, Flatten
from weftwork.graph.layers_normalization import BatchNormalization
from weftwork.graph.layers_windows import AveragePooling2D, Conv2D, MaxPooling2D

__all__ = [
    "AveragePooling2D",
    "BatchNormalization",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "MaxPooling2D",
    "average_pooling2d",
    "batch_normalization",
    "conv2d",
    "dense",
    "dropout",
    "flatten",
    "max_pooling2d",
]
