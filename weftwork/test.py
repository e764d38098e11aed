"""tf.test: a TestCase with sessions and comparisons of arrays, and numerical derivatives."""

from unittest import mock

from weftwork.scheduler.testing.derivatives import compute_gradient, compute_gradient_error
from weftwork.scheduler.testing.local_cluster import create_local_cluster
from weftwork.scheduler.testing.more_assertions import StubOutForTesting
from weftwork.scheduler.testing.testing import (
    Benchmark,
    TestCase,
    assert_equal_graph_def,
    get_temp_dir,
    gpu_device_name,
    is_built_with_cuda,
    is_gpu_available,
    main,
    test_src_dir_path,
)

is_built_with_gpu_support = is_built_with_rocm = is_built_with_xla = is_built_with_cuda

__all__ = [
    "Benchmark",
    "StubOutForTesting",
    "TestCase",
    "assert_equal_graph_def",
    "compute_gradient",
    "compute_gradient_error",
    "create_local_cluster",
    "get_temp_dir",
    "gpu_device_name",
    "is_built_with_cuda",
    "is_built_with_gpu_support",
    "is_built_with_rocm",
    "is_built_with_xla",
    "is_gpu_available",
    "main",
    "mock",
    "test_src_dir_path",
]
