"""Weak sets that other threads add to while one walks over them."""

from weakref import WeakSet

import pytest

from weftwork.graph.weak import members


class Member:
    """Something that a weak set can hold."""


class Growing(WeakSet):
    """A weak set to which a member is added during the first walk, as another thread may do."""

    late = None

    def __iter__(self):
        for member in super().__iter__():
            yield member
            if self.late is None:
                self.late = Member()
                self.add(self.late)


def test_the_members_are_found_while_another_one_is_added():
    kept = [Member() for _ in range(3)]
    with pytest.raises(RuntimeError, match="changed size"):
        list(Growing(kept))
    weak = Growing(kept)
    assert {*members(weak)} == {*kept, weak.late}
