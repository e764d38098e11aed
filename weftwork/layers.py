"""tf.layers: layers of neural networks, as functions and as classes."""

from weftwork.graph.layers.base import Layer
from weftwork.graph.layers.convolutions import AveragePooling1D, Conv1D, Conv2DTranspose, MaxPooling1D, SeparableConv2D
from weftwork.graph.layers.core import Dense, Dropout, Flatten
from weftwork.graph.layers.functions import (
    average_pooling1d,
    average_pooling2d,
    average_pooling3d,
    batch_normalization,
    conv1d,
    conv2d,
    conv2d_transpose,
    conv3d,
    conv3d_transpose,
    dense,
    dropout,
    flatten,
    max_pooling1d,
    max_pooling2d,
    max_pooling3d,
    separable_conv1d,
    separable_conv2d,
)
from weftwork.graph.layers.input_spec import InputSpec
from weftwork.graph.layers.normalization import BatchNormalization
from weftwork.graph.layers.volumes import AveragePooling3D, Conv3D, Conv3DTranspose, MaxPooling3D, SeparableConv1D
from weftwork.graph.layers.windows import AveragePooling2D, Conv2D, MaxPooling2D

__all__ = [
    "AveragePooling3D",
    "Conv3D",
    "Conv3DTranspose",
    "MaxPooling3D",
    "SeparableConv1D",
    "average_pooling3d",
    "conv3d",
    "conv3d_transpose",
    "max_pooling3d",
    "separable_conv1d",
    "AveragePooling1D",
    "AveragePooling2D",
    "BatchNormalization",
    "Conv1D",
    "Conv2D",
    "Conv2DTranspose",
    "Dense",
    "Dropout",
    "Flatten",
    "InputSpec",
    "Layer",
    "MaxPooling1D",
    "MaxPooling2D",
    "SeparableConv2D",
    "average_pooling1d",
    "average_pooling2d",
    "batch_normalization",
    "conv1d",
    "conv2d",
    "conv2d_transpose",
    "dense",
    "dropout",
    "flatten",
    "max_pooling1d",
    "max_pooling2d",
    "separable_conv2d",
]
