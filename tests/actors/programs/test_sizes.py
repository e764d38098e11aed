"""Sizes of values in bytes."""

from __future__ import annotations

import array
import dataclasses
import importlib
import io
import pickle
import sys
from collections import deque
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from scipy.spatial import cKDTree
from sklearn.neighbors import KDTree
from sklearn.tree import DecisionTreeRegressor

from weftwork.actors.programs.sizes import register_size, size_of

MIB = 1 << 20


class Slotted:
    """An object without a dict."""

    __slots__ = ("data", "unset")

    def __init__(self, data):
        self.data = data


@dataclasses.dataclass
class Sample:
    """An object with fields."""

    image: np.ndarray
    label: int


class Named(dict):
    """A dict with attributes, as some of scipy's sparse matrices are."""

    def __init__(self, **items):
        super().__init__(items)
        self.more = NUMBERS[: MIB // 16]


def of_objects(items):
    """An array of Python objects."""
    array = np.empty(len(items), object)
    array[:] = items
    return array


NUMBERS = np.zeros(MIB // 8)


@pytest.mark.parametrize(
    "value",
    [
        NUMBERS,
        [NUMBERS[: MIB // 16], {"rest": NUMBERS[MIB // 16 :]}],
        Sample(NUMBERS, 3),
        Slotted(NUMBERS),
        SimpleNamespace(a=SimpleNamespace(b=[NUMBERS])),
        scipy.sparse.csr_matrix((np.ones(MIB // 12), (np.zeros(MIB // 12, int), np.arange(MIB // 12)))),
        pd.DataFrame({"x": NUMBERS}),
        pd.Series(NUMBERS),
        pd.DataFrame({"text": ["x" * 100] * (MIB // 100)}).astype(object),
        pa.table({"x": NUMBERS}),
        pa.array(NUMBERS),
        array.array("d", NUMBERS),
        memoryview(bytes(MIB)),
        [b"x" * 1000] * (MIB // 1000),
        frozenset([b"x" * MIB]),
        deque([NUMBERS]),
        ValueError("text", NUMBERS),
        of_objects([NUMBERS[: MIB // 16], NUMBERS[MIB // 16 :]]),
        pd.DataFrame({"arrays": [NUMBERS[: MIB // 16], NUMBERS[MIB // 16 :]]}),
        pd.Categorical.from_codes(np.zeros(MIB, np.int8), ["x", "y"]),
        pd.Index(NUMBERS),
        pd.DataFrame({"x": NUMBERS[: MIB // 16], "y": pd.array(np.ones(MIB // 16), dtype="Float64")}),
        Named(x=NUMBERS[: MIB // 16]),
        [NUMBERS] * 50,
        {"x": Sample(NUMBERS, 3), "y": (NUMBERS, [NUMBERS])},
        pd.MultiIndex.from_arrays([np.arange(MIB // 24), np.arange(MIB // 24)]),
        io.BytesIO(bytes(MIB)),
        list(np.zeros(MIB // 64)),
        NUMBERS.sum,
        {"x": NUMBERS}.values(),
        zip([NUMBERS], [1], strict=True),
        pd.DataFrame({"x": NUMBERS}).iloc,
        (lambda held: lambda: held)(NUMBERS),
        pickle.PickleBuffer(NUMBERS),
        cKDTree(NUMBERS[: MIB // 16, None], leafsize=1 << 20),
        KDTree(NUMBERS[: MIB // 16, None], leaf_size=1 << 20),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_size_of_a_value_is_that_of_what_it_holds(value):
    assert 0.9 * MIB < size_of(value) < 1.3 * MIB


def test_a_tree_of_a_forest_is_as_large_as_its_pickle():
    points = np.arange(4000.0)[:, None]
    model = DecisionTreeRegressor().fit(points, points[:, 0])
    assert 0.7 < size_of(model) / len(pickle.dumps(model)) < 1.4


def test_a_value_that_holds_itself_or_is_very_deep_is_of_some_size():
    loop: list = [1]
    loop.append(loop)

    def calls_itself():
        return calls_itself

    deep: list = []
    for _ in range(5 * sys.getrecursionlimit()):
        deep = [deep]
    wide = [[[[0] * 100] * 100] * 100] * 100
    for value in (loop, deep, wide, calls_itself):
        assert size_of(value) > 0


def test_nothing_of_an_object_is_called():
    class Answers:
        def __getattribute__(self, name):
            raise AssertionError(name)

    class Odd(list):
        def __iter__(self):
            raise AssertionError

        def __len__(self):
            raise AssertionError

    assert size_of(Answers()) == 64
    assert size_of(Odd([b"abcd"])) == 68
    assert size_of(MagicMock(nbytes="many")) < MIB


def test_the_size_of_a_class_can_be_registered_and_an_error_of_it_ends_nothing():
    class Handle:
        size = 5 * MIB

    class Broken(Handle):
        pass

    register_size(Handle, lambda value: value.size)
    assert size_of(Handle()) == size_of([Broken()]) - 64 == 5 * MIB
    register_size(Named, lambda value: 7)
    assert size_of(Named()) == 7
    register_size(Broken, lambda value: 1 // 0)
    assert size_of(Broken()) == 64
    with pytest.raises(TypeError, match="a class and a function"):
        register_size(Handle(), len)


@pytest.mark.parametrize("kind", [list, deque, set, dict, SimpleNamespace])
def test_a_container_that_changes_meanwhile_has_a_size(kind):
    """Another thread may change it at any moment. Here the sizer of a part does."""

    class Part:
        pass

    def add(part):
        if kind in (dict, SimpleNamespace):
            (whole if kind is dict else vars(whole))[str(len(added))] = part
        else:
            (whole.add if kind is set else whole.append)(part)

    def size(part):
        added.append(1)
        if len(added) < 5:  # or a list never ends
            add(Part())
        return MIB

    whole, added = kind(), []
    add(Part())
    register_size(Part, size)
    assert size_of(whole) >= 64


def test_what_packages_register_with_dask_counts(tmp_path, monkeypatch):
    (tmp_path / "tanks.py").write_text(
        "class Tank:\n    pass\n\ndef register(sizeof):\n    sizeof.register(Tank)(lambda value: 4321)\n"
    )
    info = tmp_path / "tanks-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tanks\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[dask.sizeof]\ntanks = tanks:register\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("weftwork.actors.programs.sizes._registered", None)
    tanks = importlib.import_module("tanks")

    assert size_of(tanks.Tank()) == 4321
