"""The cache that keeps what was used last."""

from __future__ import annotations

from weftwork.actors.programs.lru import Lru


def test_what_was_not_used_for_the_longest_time_is_dropped():
    cache: Lru[str, int] = Lru(2)
    cache.keep("a", 1)
    cache.keep("b", 2)
    assert cache.find("a") == 1
    assert cache.keep("c", 3) == 3
    assert [cache.find(key) for key in "abc"] == [1, None, 3]
    assert len(cache) == 2


def test_a_value_that_is_kept_again_under_its_key_is_the_new_one():
    cache: Lru[str, int] = Lru(2)
    cache.keep("a", 1)
    cache.keep("a", 2)
    assert cache.find("a") == 2
    assert len(cache) == 1
