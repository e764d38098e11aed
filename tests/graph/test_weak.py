"""Weak sets that other threads add to while one walks over them."""

import threading
from weakref import WeakSet

from weftwork.graph.weak import members


class Member:
    """Something that a weak set can hold."""


def test_the_members_are_found_while_others_are_added():
    weak, kept, over = WeakSet(), [Member() for _ in range(200)], threading.Event()
    weak.update(kept)

    def add():
        while not over.is_set():
            more = [Member() for _ in range(50)]
            weak.update(more)

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            assert {*kept} <= {*members(weak)}
    finally:
        over.set()
        for thread in threads:
            thread.join()
