"""Values and programs in Ray's object stores: put there, fetched, copied, looked for."""

from __future__ import annotations

import hashlib
import random
import weakref
from time import monotonic, sleep
from typing import Any, NamedTuple

import numpy as np

from weftwork.actors.processes.code import pack_code
from weftwork.actors.processes.messages import unwrap, wrap
from weftwork.actors.programs.program import Program
from weftwork.scheduler.machines import backend, inventory, life

_INLINE_CODE = 64 * 1024
"""Bytes of a program up to which it goes with the request."""
_KEPT_BY_OWNER = 101 * 1024
"""Bytes, with its header, up to which Ray keeps a value in the process that asked for it."""
_KNOWN_WITHIN = 2.0
"""Seconds after which a value of which no machine is known counts as lost."""
_SHORT = 64 * 1024
"""Bytes below which an object is looked at that should be a large value: errors are that short."""


class Block:
    """Large data that belongs to code: its key, and a reference to it in the object store.

    holder: the array that has the data, weakly.
    """

    __slots__ = ("holder", "key", "reference")

    def __init__(self, key: str, reference: Any, holder: Any):
        self.key, self.reference, self.holder = key, reference, holder


class Code(NamedTuple):
    """A program as it is sent: its id, its pickled form, inline or as a reference where it is long, and its blocks."""

    name: str
    text: bytes | None
    reference: Any
    blocks: tuple[Block, ...] = ()

    @property
    def is_gone(self) -> bool:
        """True when some of it went down with its Ray."""
        references = [self.reference, *[block.reference for block in self.blocks]]
        return any([reference is not None and reference.is_gone for reference in references])


_blocks: dict[tuple, Block] = {}
"""The last block of each array that was sent with code, by the array's identity, place and size, while it lives."""
life.FORGETTERS.append(_blocks.clear)


def code_of(program: Program) -> Code:
    """A program as it is sent, kept with the program."""
    shipped = program.shipped
    if shipped is None or shipped.is_gone:
        text, large = pack_code(program)
        blocks = tuple([_block(key, data) for key, data in large])
        whole = hashlib.sha1(text, usedforsecurity=False)
        whole.update(" ".join([block.key for block in blocks]).encode())
        if len(text) <= _INLINE_CODE:
            shipped = Code(whole.hexdigest(), text, None, blocks)
        else:  # an array: workers that have the program already do not even copy it
            shipped = Code(whole.hexdigest(), None, put(np.frombuffer(text, np.uint8)), blocks)
        program.shipped = shipped
    return shipped


def _block(key: str, data: memoryview) -> Block:
    """The block of this key, which is put into the object store once as long as its array is there and stays the same.

    Programs are made again and again, for the same functions; each holds the blocks that belong to it.
    """
    holder: Any = data.obj
    while isinstance(getattr(holder, "base", None), np.ndarray):
        holder = holder.base
    name = (id(holder), *key.split("-")[1:3])
    block = _blocks.get(name)
    if block is not None and block.key == key:
        return block
    try:
        watched = weakref.ref(holder, lambda _: _blocks.pop(name, None))
    except TypeError:  # nobody would tell of its end
        return Block(key, put(np.frombuffer(data, np.uint8)), None)
    block = _blocks[name] = Block(key, put(np.frombuffer(data, np.uint8)), watched)
    return block


def fetch(reference: Any) -> Any:
    """The value of a reference. Raises ValueLost when it is gone, backend.StoreFull when it was never there."""
    raw, errors = reference.raw, backend.ray().exceptions
    try:
        return unwrap(backend.get(raw))
    except errors.ObjectLostError as error:
        raise backend.ValueLost(str(error)) from error
    except (errors.ObjectStoreFullError, errors.OutOfDiskError) as error:
        raise backend.StoreFull(backend.first_line(error)) from error


def check_made(reference: Any, size: int) -> None:
    """Raise StoreFull when a large output of `size` bytes has found no room: Ray keeps a short error in its place."""
    stored = _size(reference)
    if stored is not None and stored < min(size, _SHORT):
        fetch(reference)


def size_in_store(reference: Any) -> int:
    """The bytes of an object, as far as this process knows: else 0, also where its Ray is gone."""
    try:
        return _size(reference) or 0
    except Exception:  # whatever Ray says when it is not there
        return 0


def _size(reference: Any) -> int | None:
    """The bytes of an object of this process, as far as it knows."""
    from ray.experimental import get_local_object_locations

    return get_local_object_locations([reference.raw]).get(reference.raw, {}).get("object_size")


def spilled(references: list) -> int:
    """The bytes of those of some values that Ray has put on disk for want of memory, as far as this process knows."""
    alive = [reference.raw for reference in references if not reference.is_gone]
    if not alive:  # so a run without any loads no Ray
        return 0
    from ray.experimental import get_local_object_locations

    places = get_local_object_locations(alive)
    return sum([place.get("object_size") or 0 for place in places.values() if place.get("did_spill")])


def is_lost(reference: Any) -> bool:
    """True for a reference whose value is gone: a task is asked to look at it where it lies."""
    if reference.is_gone:
        return True
    try:
        backend.get(backend.nothing_task().options(num_cpus=0).remote(reference.raw))
    except backend.ray().exceptions.RayTaskError as error:
        return isinstance(error.cause, backend.ray().exceptions.ObjectLostError)
    except backend.ray().exceptions.RayError:
        return False
    return False


def lie_on(references: list) -> set[str]:
    """The machines, of those that are alive, on which one of these values lies or more."""
    from ray.experimental import get_object_locations

    alive = [reference.raw for reference in references if not reference.is_gone]
    places = get_object_locations(alive) if alive else {}
    return {machine for place in places.values() for machine in place["node_ids"]} & inventory.cluster()


def copies(reference: Any, count: int) -> list:
    """References to copies of a value on `count` machines where it does not lie, or on fewer where there are no more.

    They are there when this returns. A value that Ray keeps in this process needs none. Raises ValueLost.
    """
    made, failed = [], set()
    end = monotonic() + _KNOWN_WITHIN
    while not (lies_on := lie_on([reference])):  # what was made just now lies nowhere yet, for all that is known here
        if (size := _size(reference)) is not None and size <= _KEPT_BY_OWNER:
            fetch(reference)
            return []
        if monotonic() > end:
            raise backend.ValueLost("no machine has it")
        sleep(0.001)
    while len(made) < count:
        others = sorted(inventory.cluster() - lies_on - failed)
        if not others:
            break
        chosen = random.sample(others, min(len(others), count - len(made)))  # so that no machine gets all copies
        copy = backend.ray().remote(num_cpus=0, num_returns=2, max_retries=0, enable_task_events=False)(copied)
        started = [(machine, *copy.options(**backend.on_machine(machine)).remote(reference.raw)) for machine in chosen]
        for machine, result, done in started:
            copy_of = backend.Reference(result)
            if _is_copied(reference, copy_of, done):
                made.append(copy_of)
                lies_on.add(machine)
            else:
                failed.add(machine)
    return made


def _is_copied(reference: Any, copy: Any, done: Any) -> bool:
    """Wait for a copy; False when its machine has failed or has no room. Raises ValueLost: there is nothing to copy."""
    module = backend.ray()
    try:
        backend.get(done)
        check_made(copy, _size(reference) or 0)
        return True
    except module.exceptions.RayTaskError as error:
        if isinstance(error.cause, module.exceptions.ObjectLostError):
            raise backend.ValueLost(str(error.cause)) from error
        return False
    except (module.exceptions.RayError, backend.StoreFull):
        return False


def copied(value: Any) -> tuple[Any, bool]:
    """The task that makes a copy: what a task returns is a value of its own, where the task ran."""
    return value, True


def put(value: Any) -> Any:
    """`value` in the object store, owned by this process. Raises StoreFull, or what pickling it raises."""
    module = backend.ray()
    try:
        return backend.Reference(module.put(wrap(value)))
    except (module.exceptions.ObjectStoreFullError, module.exceptions.OutOfDiskError) as error:
        raise backend.StoreFull(backend.first_line(error)) from error


def is_reference(value: Any) -> bool:
    """True for a reference that Ray keeps."""
    return type(value) is backend.Reference
