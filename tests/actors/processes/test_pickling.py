"""Values that cross between processes keep their identity and contents."""

from __future__ import annotations

import base64
import collections
import copyreg
import datetime
import decimal
import functools
import operator
import re
import threading
import zoneinfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import scipy.spatial
import scipy.stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.utils import Bunch

from tests.programs import Program
from weftwork.actors.processes import pickling
from weftwork.graph.python.ownership import copied


class Attributes(dict):
    """A dict whose items are attributes."""

    def __getattr__(self, name):
        return self[name]


class Proxy:
    """An object that forwards attribute accesses."""

    def __init__(self, **held):
        self.__dict__["held"] = held

    def __getattr__(self, name):
        return self.__dict__["held"][name]


class Slotted:
    """A proxy with slots and without a dict."""

    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class Careful(Proxy):
    """A proxy that plain pickle takes too."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return super().__getattr__(name)


class Registered(Careful):
    """A proxy with a registered reducer; it holds something that cannot be pickled."""

    def __init__(self, **held):
        super().__init__(**held)
        self.__dict__["lock"] = threading.Lock()


def registered(held):
    """A Registered that holds these."""
    return Registered(**held)


copyreg.pickle(Registered, lambda value: (registered, (value.__dict__["held"],)))


class Remade(Careful):
    """A proxy that is rebuilt from arguments."""

    def __new__(cls, **held):
        made = object.__new__(cls)
        made.__dict__["held"] = held
        return made

    def __getnewargs_ex__(self):
        return (), self.__dict__["held"]


POINTS = np.random.default_rng(0).random((20, 3))
VALUES = [
    datetime.datetime(2026, 1, 2, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
    decimal.Decimal("1.50"),
    re.compile("a+"),
    collections.Counter("aab"),
    collections.deque([1], 3),
    functools.partial(operator.add, 1),
    operator.itemgetter(1),
    np.random.default_rng(3),
    np.zeros(2, [("a", "i4"), ("b", "f8")])[0],
    np.ma.masked_array([1, 2], [0, 1], dtype=np.int8),
    np.add,
    pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=pd.MultiIndex.from_tuples([(1, 2), (3, 4)])),
    pd.Series(pd.date_range("2026", periods=3)),
    pd.array([1, None], dtype="Int64"),
    pd.Timestamp("2026-01-01", tz="UTC"),
    pd.NaT,
    pa.table({"a": [1], "b": ["x"]}),
    scipy.sparse.eye(3, format="lil"),
    scipy.stats.norm(0, 1),
    scipy.spatial.KDTree(POINTS),
    RandomForestClassifier(2).fit(POINTS, POINTS[:, 0] > 0.5),
    Bunch(data=np.zeros(3)),
    OSError(2, "none", "f"),
    list[int],
    len,
]
LOADS = Program(
    script="""
import base64, sys
from weftwork.actors.processes import pickling
for text in sys.stdin.read().split():
    value = pickling.loads(base64.b64decode(text))
    print(type(value).__name__)
""",
    given="\n".join(base64.b64encode(pickling.dumps(value)).decode() for value in VALUES),
)


def test_what_plain_pickle_takes_is_taken_and_loads_in_a_new_process():
    child = LOADS.done()
    assert child.returncode == 0, child.stderr
    assert child.stdout.split() == [type(value).__name__ for value in VALUES]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_objects_come_back_with_the_class_that_they_left_with(value):
    assert type(pickling.loads(pickling.dumps(value))) is type(value)


@pytest.mark.parametrize("make", [Attributes, Proxy, Slotted, Registered, Remade, Bunch])
def test_objects_whose_items_are_attributes_are_copied_and_packed_whole(make):
    value = make(x=[1], y=np.zeros(2))
    for other in (copied(value), pickling.loads(pickling.dumps(value))):
        assert type(other) is make
        assert other.x == [1]
        assert other.x is not value.x
        assert other.y is not value.y
