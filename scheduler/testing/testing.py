"""tf.test: a TestCase with sessions and comparisons.

session          a new one for each `with self.session()`
cached session   one for the whole test
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import sys
import tempfile
import unittest
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from weftwork.graph.build import as_tensor
from weftwork.graph.devices import DeviceSpec
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import OpError
from weftwork.graph.graph import Graph
from weftwork.graph.ops.composite import IndexedSlicesValue, SparseTensorValue
from weftwork.graph.ops.random_ops import set_random_seed
from weftwork.graph.stacks import get_default_session, leave_graphs, reset_default_graph
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.request.fields import Message
from weftwork.scheduler.request.message_text import merge_text
from weftwork.scheduler.session.session import Session
from weftwork.scheduler.testing.checked_threads import CheckedThread
from weftwork.scheduler.testing.more_assertions import MoreAssertions

_SEED = 87654321


def get_temp_dir() -> str:
    """A folder for files of tests, one for the whole program."""
    if not _folders:
        _folders.append(tempfile.mkdtemp(prefix="weftwork_test_"))
    return _folders[0]


_folders: list[str] = []


class TestCase(MoreAssertions):
    """A test with a default graph of its own, fixed seeds, sessions, and comparisons of arrays."""

    __test__ = False  # a base class: only derived classes are collected

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "__test__" not in vars(cls):
            cls.__test__ = True

    def __init__(self, methodName: str = "runTest"):
        super().__init__(methodName)
        self._cached: Session | None = None
        self._cached_with: Any = None
        self._folder: str | None = None

    def setUp(self) -> None:
        """Start with an empty default graph and fixed seeds. Leaves the graphs that a failed test had entered."""
        super().setUp()
        random.seed(_SEED)
        np.random.seed(_SEED)
        leave_graphs()
        reset_default_graph()
        set_random_seed(_SEED)

    def tearDown(self) -> None:
        """Close the cached session."""
        if self._cached is not None:
            self._cached.close()
            self._cached = None
        super().tearDown()

    def get_temp_dir(self) -> str:
        """A folder for this test."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(dir=get_temp_dir())
        return self._folder

    # Sessions

    @contextlib.contextmanager
    def session(
        self, graph: Graph | None = None, config: Any = None, use_gpu: bool = False, force_gpu: bool = False
    ) -> Iterator[Session]:
        """A new session, which is the default inside the block.

        use_gpu: accepted as in TensorFlow; without a GPU, operations that ask for one run on the CPU.
        force_gpu: operations made inside must be on a GPU.
        """
        with Session(graph=graph, config=_placing(config, force_gpu)) as session:
            with session.graph.device("/device:GPU:0") if force_gpu else contextlib.nullcontext():
                yield session

    @contextlib.contextmanager
    def cached_session(
        self, graph: Graph | None = None, config: Any = None, use_gpu: bool = False, force_gpu: bool = False
    ) -> Iterator[Session]:
        """The cached session, the default inside the block. Each call must have the arguments of the first.

        Raises ValueError for another graph, config or force_gpu.
        """
        asked = {"graph": graph, "config": config, "force_gpu value": force_gpu}
        if self._cached is None:
            self._cached, self._cached_with = Session(graph=graph, config=_placing(config, force_gpu)), asked
        for word, value in asked.items():
            first = self._cached_with[word]
            if value is not first and (word == "graph" or value != first):
                raise ValueError(
                    f"The {word} used to get the cached session is different than the one that was used to create it. "
                    "Maybe create a new session with self.session()"
                )
        session = self._cached
        with session.graph.as_default(), session.as_default():
            with session.graph.device("/device:GPU:0") if force_gpu else contextlib.nullcontext():
                yield session

    def test_session(
        self, graph: Graph | None = None, config: Any = None, use_gpu: bool = False, force_gpu: bool = False
    ) -> Any:
        """The cached session, or a new one if a graph is given."""
        make = self.cached_session if graph is None else self.session
        return make(graph, config, use_gpu, force_gpu)

    test_session.__test__ = False  # type: ignore[attr-defined]

    def evaluate(self, tensors: Any) -> Any:
        """The values of tensors, in the default session or the cached one."""
        session = get_default_session()
        if session is not None:
            return session.run(tensors)
        with self.cached_session() as session:
            return session.run(tensors)

    def _value(self, a: Any) -> Any:
        """Convert numbers, a list or a tensor to an array."""
        if as_tensor(a) is not None:
            a = self.evaluate(a)
        if isinstance(a, (SparseTensorValue, IndexedSlicesValue)):
            return a
        return a if isinstance(a, np.ndarray) else np.array(a)

    # Comparisons

    def assertAllClose(self, a: Any, b: Any, rtol: float = 1e-6, atol: float = 1e-6, msg: Any = None) -> None:
        """Assert that |a - b| <= atol + rtol |b| for all elements of arrays, or of structures of arrays."""
        self._compared(a, b, lambda x, y, path: self._close(x, y, rtol, atol, msg, path), msg, "")

    def _compared(self, a: Any, b: Any, check: Callable, msg: Any, path: str) -> None:
        if hasattr(a, "_asdict"):
            a = a._asdict()
        if hasattr(b, "_asdict"):
            b = b._asdict()
        if isinstance(a, Mapping) != isinstance(b, Mapping):
            self.fail(f"Can't compare dict to non-dict, a{path} vs b{path}. {msg or ''}")
        if isinstance(a, Mapping):
            self.assertCountEqual(a.keys(), b.keys(), f"mismatched keys: a{path} and b{path}. {msg or ''}")
            for key in a:
                self._compared(a[key], b[key], check, msg, f"{path}[{key}]")
            return
        if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
            try:
                check(self._value(a), self._value(b), path)
                return
            except (ValueError, TypeError):  # the shapes inside differ
                self.assertEqual(len(a), len(b), f"Mismatched length: a{path}, b{path}. {msg or ''}")
            for i, (x, y) in enumerate(zip(a, b, strict=True)):
                self._compared(x, y, check, msg, f"{path}[{i}]")
            return
        check(self._value(a), self._value(b), path)

    def _close(self, a: np.ndarray, b: np.ndarray, rtol: float, atol: float, msg: Any, path: str) -> None:
        if a.dtype == object or b.dtype == object:
            raise TypeError("arrays of objects are compared part by part")
        self.assertEqual(
            a.shape, b.shape, f"Shape mismatch: expected {a.shape}, got {b.shape} for a{path}. {msg or ''}"
        )
        np.testing.assert_allclose(a, b, rtol, atol, err_msg=str(msg or path))

    def assertAllCloseAccordingToType(
        self,
        a: Any,
        b: Any,
        rtol: float = 1e-6,
        atol: float = 1e-6,
        float_rtol: float = 1e-6,
        float_atol: float = 1e-6,
        half_rtol: float = 1e-3,
        half_atol: float = 1e-3,
        bfloat16_rtol: float = 1e-2,
        bfloat16_atol: float = 1e-2,
        msg: Any = None,
    ) -> None:
        """Like assertAllClose, with larger tolerances if one side is float32, and even larger ones if it is float16."""
        x, y = self._value(a), self._value(b)
        kinds = {x.dtype, y.dtype}
        if kinds & {np.dtype(np.float32), np.dtype(np.complex64)}:
            rtol, atol = max(rtol, float_rtol), max(atol, float_atol)
        if np.dtype(np.float16) in kinds:
            rtol, atol = max(rtol, half_rtol), max(atol, half_atol)
        self.assertAllClose(x, y, rtol, atol, msg)

    def assertNotAllClose(self, a: Any, b: Any, **kwargs: Any) -> None:
        """Assert that some elements are not close."""
        try:
            self.assertAllClose(a, b, **kwargs)
        except AssertionError:
            return
        self.fail("The two values are close at all elements")

    def assertAllEqual(self, a: Any, b: Any, msg: Any = None) -> None:
        """Assert equal shapes and elements. NaN equals itself."""
        x, y = self._value(a), self._value(b)
        self.assertEqual(x.shape, y.shape, f"Shape mismatch: expected {x.shape}, got {y.shape}. {msg or ''}")
        if x.dtype.kind in "SUO" or y.dtype.kind in "SUO":
            x, y = np.vectorize(_as_bytes, otypes=[object])(x), np.vectorize(_as_bytes, otypes=[object])(y)
        np.testing.assert_array_equal(x, y, err_msg=str(msg or ""))

    def assertNotAllEqual(self, a: Any, b: Any, msg: Any = None) -> None:
        """Assert that some elements differ."""
        try:
            self.assertAllEqual(a, b)
        except AssertionError:
            return
        self.fail(f"The two values are equal at all elements. {msg or ''}")

    def assertAllGreater(self, a: Any, comparison_target: Any) -> None:
        """Assert that all elements are greater."""
        self.assertGreater(np.min(self._value(a)), comparison_target)

    def assertAllLess(self, a: Any, comparison_target: Any) -> None:
        """Assert that all elements are less."""
        self.assertLess(np.max(self._value(a)), comparison_target)

    def assertAllGreaterEqual(self, a: Any, comparison_target: Any) -> None:
        """Assert that all elements are greater or equal."""
        self.assertGreaterEqual(np.min(self._value(a)), comparison_target)

    def assertAllLessEqual(self, a: Any, comparison_target: Any) -> None:
        """Assert that all elements are less or equal."""
        self.assertLessEqual(np.max(self._value(a)), comparison_target)

    def assertAllInRange(
        self,
        target: Any,
        lower_bound: Any,
        upper_bound: Any,
        open_lower_bound: bool = False,
        open_upper_bound: bool = False,
    ) -> None:
        """Assert that all elements are in a range. Its ends are included unless they are declared open."""
        x = self._value(target)
        low = x > lower_bound if open_lower_bound else x >= lower_bound
        high = x < upper_bound if open_upper_bound else x <= upper_bound
        outside = ~(low & high)
        if outside.any():
            self.fail(
                f"{np.argwhere(outside)[:5].tolist()} are not in [{lower_bound}, {upper_bound}]: {x[outside][:5]}"
            )

    def assertAllInSet(self, target: Any, expected_set: Any) -> None:
        """Assert that all elements are in a set."""
        extra = set(np.ravel(self._value(target)).tolist()) - set(expected_set)
        if extra:
            self.fail(f"{len(extra)} unique element(s) are not in the set {expected_set}: {extra}")

    def assertNDArrayNear(self, ndarray1: Any, ndarray2: Any, err: float, msg: Any = None) -> None:
        """Assert that the distance of two arrays is at most `err`."""
        self.assertLessEqual(np.linalg.norm(np.asarray(ndarray1) - np.asarray(ndarray2)), err, msg)

    def assertShapeEqual(self, np_array: Any, tf_tensor: Any, msg: Any = None) -> None:
        """Assert that the static shape of a tensor is the shape of an array."""
        self.assertIsInstance(np_array, (np.ndarray, np.generic), msg)
        self.assertAllEqual(np_array.shape, tf_tensor.shape.as_list(), msg)

    def assertDTypeEqual(self, target: Any, expected_dtype: Any) -> None:
        """Assert the dtype of an array or a tensor."""
        found = target.dtype if hasattr(target, "dtype") else self._value(target).dtype
        self.assertEqual(as_dtype(found).base_dtype.name, as_dtype(expected_dtype).base_dtype.name)

    def assertDeviceEqual(self, device1: Any, device2: Any, msg: Any = None) -> None:
        """Assert that two device names denote the same device."""
        one, two = (DeviceSpec.from_string(str(device or "")) for device in (device1, device2))
        self.assertEqual(one.to_string(), two.to_string(), msg)

    def assertProtoEqualsVersion(
        self, expected: Any, actual: Any, producer: int | None = None, min_consumer: int = 0, msg: Any = None
    ) -> None:
        """Assert that a GraphDef equals another one, or its text, to which its versions are added.

        producer, min_consumer: the versions; by default those of `actual` and none.
        """
        number = actual.versions.producer if producer is None else producer
        least = f" min_consumer: {min_consumer}" if min_consumer else ""
        self.assertProtoEquals(f"versions {{ producer: {number}{least} }} {expected}", actual, msg)

    def assertProtoEquals(self, expected_message_maybe_ascii: Any, message: Any, msg: Any = None) -> None:
        """Assert that a protocol buffer equals another one, or its text."""
        expected = expected_message_maybe_ascii
        if isinstance(expected, str) and isinstance(message, Message):
            expected = merge_text(expected, type(message)())
        elif isinstance(expected, str):
            from google.protobuf import text_format  # imported here, because few programs need it

            expected = text_format.Merge(expected, type(message)())
        self.assertEqual(str(expected), str(message), msg)
        self.assertEqual(expected, message, msg)

    # Errors

    @contextlib.contextmanager
    def assertRaisesWithPredicateMatch(self, exception_type: Any, expected_err_re_or_predicate: Any) -> Iterator[None]:
        """Assert that an exception is raised whose text matches an expression, or for which a predicate is true."""
        if callable(expected_err_re_or_predicate):
            holds: Callable[..., Any] = expected_err_re_or_predicate
        else:
            search = re.compile(expected_err_re_or_predicate).search
            holds = lambda error: search(_text_of(error))  # noqa: E731

        try:
            yield
        except Exception as error:
            if not isinstance(error, exception_type) or not holds(error):
                raise AssertionError(f"Exception of type {type(error)}: {error}") from error
            return
        self.fail(f"{getattr(exception_type, '__name__', exception_type)} not raised")

    def assertRaisesOpError(self, expected_err_re_or_predicate: Any) -> Any:
        """Assert that an OpError is raised. See assertRaisesWithPredicateMatch."""
        return self.assertRaisesWithPredicateMatch(OpError, expected_err_re_or_predicate)

    def assertRaisesIncompatibleShapesError(self, exception_type: Any = ValueError, *args: Any) -> Any:
        """Assert that an error about incompatible shapes is raised."""
        return self.assertRaisesRegex(exception_type, r"[Ii]ncompatible|[Dd]imensions|[Ss]hape")

    # Threads

    def checkedThread(self, target: Callable[..., Any], args: Any = None, kwargs: Any = None) -> CheckedThread:
        """A thread whose `join` raises what the thread raised."""
        return CheckedThread(self, target, args or (), kwargs or {})


def _placing(config: Any, force_gpu: bool) -> ConfigProto:
    """The config of a test's session: an operation that asks for a GPU may run on the CPU, unless force_gpu."""
    placing = ConfigProto()
    if config is None:
        placing.allow_soft_placement = not force_gpu
        return placing
    placing.CopyFrom(config)
    placing.allow_soft_placement = config.allow_soft_placement and not force_gpu
    return placing


def _text_of(error: BaseException) -> str:
    """The text of an error, with the names of its operation and of those from which that was derived."""
    if not isinstance(error, OpError):
        return str(error)
    text, op = error.message, error.op
    while op is not None:
        text += f"\nCaused by: {op.name}"
        op = op.graph.originals.get(op)
    return text


def _as_bytes(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


class Benchmark:
    """The base class of TensorFlow's benchmarks. Call the methods to run them; `report_benchmark` prints results."""

    def report_benchmark(
        self,
        iters: int | None = None,
        cpu_time: float | None = None,
        wall_time: float | None = None,
        throughput: float | None = None,
        extras: Any = None,
        name: str | None = None,
        metrics: Any = None,
    ) -> None:
        """Print a result.

        iters: how many iterations.   cpu_time, wall_time: seconds.   extras: further figures, by name.
        throughput, metrics: accepted as in TensorFlow, without effect.
        """
        print(
            f"{name or type(self).__name__}: iters {iters}, wall_time {wall_time}, cpu_time {cpu_time}, {extras or ''}"
        )


# Properties of the machine


def is_gpu_available(cuda_only: bool = False, min_cuda_compute_capability: Any = None) -> bool:
    """Whether sessions of this program see a GPU.

    cuda_only, min_cuda_compute_capability: accepted as in TensorFlow, without effect.
    """
    return bool(gpu_device_name())


def gpu_device_name() -> str:
    """The name of the first GPU that sessions see, or ""."""
    with Session(graph=Graph()) as session:
        names = [device.name for device in session.list_devices() if device.device_type == "GPU"]
    return names[0] if names else ""


def is_built_with_cuda() -> bool:
    """False: arrays on GPUs belong to CuPy, which brings its own CUDA."""
    return False


def main(argv: Any = None) -> None:
    """Run the program's tests, with the arguments of the command line or of `argv`."""
    unittest.main(argv=argv or sys.argv)


def test_src_dir_path(relative_path: str) -> str:
    """The path of a file, given as relative_path beside the program."""
    return os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), relative_path)


def assert_equal_graph_def(
    actual: Any, expected: Any, checkpoint_v2: bool = False, hash_table_shared_name: bool = False
):
    """Raise AssertionError unless two GraphDefs have the same nodes, in any order."""

    ours, theirs = ({node.name: node for node in graph.node} for graph in (actual, expected))
    if ours.keys() != theirs.keys():
        raise AssertionError(f"Nodes that only one graph has: {sorted(ours.keys() ^ theirs.keys())}")
    for name, node in ours.items():
        if node != theirs[name]:
            raise AssertionError(f"Node {name!r} differs:\n{node}\n{theirs[name]}")
