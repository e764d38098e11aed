"""The assertions that a TestCase has besides those for arrays: those of absl's TestCase, by the same names."""

from __future__ import annotations

import itertools
import math
import re
import unittest
from collections.abc import Iterable, Sequence
from typing import Any
from unittest import mock


class MoreAssertions(unittest.TestCase):
    """Comparisons of collections, strings and orders."""

    # Names that Python dropped or will drop, and programs of TensorFlow 1 use

    assert_ = unittest.TestCase.assertTrue
    assertEquals = unittest.TestCase.assertEqual
    assertNotEquals = unittest.TestCase.assertNotEqual
    assertAlmostEquals = unittest.TestCase.assertAlmostEqual
    assertRegexpMatches = unittest.TestCase.assertRegex
    assertNotRegexpMatches = unittest.TestCase.assertNotRegex
    assertRaisesRegexp = unittest.TestCase.assertRaisesRegex

    # Sizes and collections

    def assertItemsEqual(self, expected_seq: Any, actual_seq: Any, msg: Any = None) -> None:
        """Assert that two sequences have the same items, in any order."""
        self.assertCountEqual(expected_seq, actual_seq, msg)

    def assertEmpty(self, container: Any, msg: Any = None) -> None:
        """Assert that a container is empty."""
        self.assertEqual(len(container), 0, msg)

    def assertNotEmpty(self, container: Any, msg: Any = None) -> None:
        """Assert that a container is not empty."""
        self.assertGreater(len(container), 0, msg)

    def assertLen(self, container: Any, expected_len: int, msg: Any = None) -> None:
        """Assert the number of items in a container."""
        self.assertEqual(len(container), expected_len, msg)

    def assertSameElements(self, expected_seq: Iterable, actual_seq: Iterable, msg: Any = None) -> None:
        """Assert that two collections have the same distinct items."""
        expected, actual = list(expected_seq), list(actual_seq)
        self.assertEqual([x for x in expected if x not in actual], [], msg or "items are missing")
        self.assertEqual([x for x in actual if x not in expected], [], msg or "items are too many")

    def assertContainsSubset(self, expected_subset: Iterable, actual_set: Iterable, msg: Any = None) -> None:
        """Assert that all items of one collection are in the other."""
        missing = set(expected_subset) - set(actual_set)
        if missing:
            self.fail(f"Missing elements {missing}\nExpected: {expected_subset}\nActual: {actual_set}\n{msg or ''}")

    def assertNoCommonElements(self, expected_seq: Iterable, actual_seq: Iterable, msg: Any = None) -> None:
        """Assert that two collections have no item in common."""
        common = set(expected_seq) & set(actual_seq)
        if common:
            self.fail(f"Common elements {common}\nExpected: {expected_seq}\nActual: {actual_seq}\n{msg or ''}")

    def assertContainsSubsequence(self, container: Iterable, subsequence: Iterable, msg: Any = None) -> None:
        """Assert that the items of one sequence are in the other in this order, with others between them or not."""
        rest = iter(container)
        for item in subsequence:
            if not any(item == other for other in rest):
                self.fail(f"{subsequence} is not a subsequence of {container}: {item!r} is missing. {msg or ''}")

    def assertContainsExactSubsequence(self, container: Iterable, subsequence: Iterable, msg: Any = None) -> None:
        """Assert that the items of one sequence are in the other, one right after the other."""
        whole, part = list(container), list(subsequence)
        if not any(whole[i : i + len(part)] == part for i in range(len(whole) - len(part) + 1)):
            self.fail(f"{part} is not an exact subsequence of {whole}. {msg or ''}")

    def assertSequenceAlmostEqual(
        self, expected_seq: Sequence, actual_seq: Sequence, places: int | None = None, msg: Any = None,
        delta: float | None = None,
    ) -> None:  # fmt: skip
        """Assert that corresponding numbers of two sequences are almost equal."""
        self.assertEqual(len(expected_seq), len(actual_seq), msg)
        for one, two in zip(expected_seq, actual_seq, strict=True):
            self.assertAlmostEqual(one, two, places=places, msg=msg, delta=delta)  # type: ignore[call-overload]

    def assertSameStructure(self, a: Any, b: Any, aname: str = "a", bname: str = "b", msg: Any = None) -> None:
        """Assert that nested lists and dictionaries are equal."""
        self.assertEqual(a, b, f"{aname} and {bname} differ. {msg or ''}")

    # Numbers and orders

    def assertNear(self, f1: float, f2: float, err: float, msg: Any = None) -> None:
        """Assert that two numbers differ by at most `err`, or are equal."""
        self.assertTrue(f1 == f2 or math.fabs(f1 - f2) <= err, f"{f1!r} != {f2!r} +/- {err!r}. {msg or ''}")

    def assertArrayNear(self, farray1: Any, farray2: Any, err: float, msg: Any = None) -> None:
        """Assert that corresponding numbers differ by at most `err`."""
        self.assertEqual(len(farray1), len(farray2), msg)
        for one, two in zip(farray1, farray2, strict=True):
            self.assertNear(float(one), float(two), err, msg)

    def assertBetween(self, value: Any, minv: Any, maxv: Any, msg: Any = None) -> None:
        """Assert minv <= value <= maxv."""
        if not minv <= value <= maxv:
            self.fail(f"{value!r} unexpectedly not between {minv!r} and {maxv!r}. {msg or ''}")

    def assertTotallyOrdered(self, *groups: Sequence, **kwargs: Any) -> None:
        """Assert that items are ordered by their comparisons: those of a group are equal, and less than later ones."""
        for group in groups:
            for a, b in itertools.product(group, repeat=2):
                self.assertTrue(a == b and a <= b and a >= b and not (a < b or a > b or a != b), kwargs.get("msg"))
        for earlier, later in itertools.combinations(groups, 2):
            for a, b in itertools.product(earlier, later):
                self.assertTrue(a < b and a <= b and a != b and b > a and b >= a, kwargs.get("msg"))
                self.assertFalse(a > b or a >= b or a == b or b < a or b <= a, kwargs.get("msg"))

    # Texts

    def assertStartsWith(self, actual: str, expected_start: str, msg: Any = None) -> None:
        """Assert that a string starts with another."""
        if not actual.startswith(expected_start):
            self.fail(f"{actual!r} does not start with {expected_start!r}. {msg or ''}")

    def assertEndsWith(self, actual: str, expected_end: str, msg: Any = None) -> None:
        """Assert that a string ends with another."""
        if not actual.endswith(expected_end):
            self.fail(f"{actual!r} does not end with {expected_end!r}. {msg or ''}")

    def assertSequenceStartsWith(self, prefix: Any, whole: Sequence, msg: Any = None) -> None:
        """Assert that a sequence starts with some items, or with one."""
        start = list(prefix) if isinstance(prefix, (list, tuple, str)) else [prefix]
        self.assertEqual(start, list(whole)[: len(start)], msg)

    def assertRegexMatch(self, actual_str: Any, regexes: Iterable, message: Any = None) -> None:
        """Assert that one of several expressions matches somewhere in a string."""
        if not any(re.search(regex, actual_str) for regex in regexes):
            self.fail(f"{actual_str!r} does not match any of {regexes}. {message or ''}")

    def assertContainsInOrder(self, strings: Iterable[str], target: str, msg: Any = None) -> None:
        """Assert that strings occur in another one, one after the other."""
        start = 0
        for string in [strings] if isinstance(strings, str) else strings:
            found = target.find(string, start)
            if found < 0:
                self.fail(f"{string!r} is not in {target!r} after position {start}. {msg or ''}")
            start = found + len(string)

    def assertRaisesWithLiteralMatch(self, expected_exception: Any, expected_exception_message: str, *args: Any) -> Any:
        """Assert that an exception is raised whose whole text is this."""
        return self.assertRaisesRegex(expected_exception, f"^{re.escape(expected_exception_message)}$", *args)


class StubOutForTesting:
    """Replaces attributes while a test runs. As a context manager it puts them all back at the end."""

    def __init__(self) -> None:
        self._patches: list[Any] = []

    def Set(self, parent: Any, child_name: str, new_child: Any) -> None:
        """Replace the attribute `child_name` of `parent`, which must have it, by `new_child`."""
        patch = mock.patch.object(parent, child_name, new_child)
        patch.start()
        self._patches.append(patch)

    SmartSet = Set

    def UnsetAll(self) -> None:
        """Put everything back, the last change first."""
        while self._patches:
            self._patches.pop().stop()

    SmartUnsetAll = CleanUp = UnsetAll

    def __enter__(self) -> StubOutForTesting:
        return self

    def __exit__(self, *error: Any) -> None:
        self.UnsetAll()
