"""Values and programs in Ray's object stores: putting, fetching, copying, locating."""

from __future__ import annotations

import random
import weakref
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import Any, NamedTuple

import numpy as np

from weftwork.actors.processes.code import name_of, pack_code
from weftwork.actors.processes.messages import unwrap, wrap
from weftwork.actors.programs.program import Program
from weftwork.actors.programs.sizes import size_of
from weftwork.graph.errors import text_of
from weftwork.scheduler.machines import backend, inventory, life, room

_INLINE_CODE = 64 * 1024
"""Programs up to this many bytes are part of the request."""
_KEPT_BY_OWNER = 101 * 1024
"""Values up to this many bytes, header included, are kept by Ray in the process that asked for them."""
_LOCATED_WITHIN = 2.0
"""Seconds after which a value without a known machine counts as lost."""
_ERROR_BYTES = 64 * 1024
"""Objects shorter than this many bytes are inspected if a large value is expected, because errors are short."""


class Block:
    """Large data that belongs to code: its key, and a reference to it in the object store.

    holder: a weak reference to the array that owns the data.
    """

    __slots__ = ("holder", "key", "reference")

    def __init__(self, key: str, reference: Any, holder: Any):
        self.key, self.reference, self.holder = key, reference, holder


class Code(NamedTuple):
    """A program as it is sent: its id, its pickled form (inline, or a reference if it is long), and its blocks."""

    name: str
    text: bytes | None
    reference: Any
    blocks: tuple[Block, ...] = ()

    @property
    def is_gone(self) -> bool:
        """True if part of it was lost with its Ray."""
        references = [self.reference, *[block.reference for block in self.blocks]]
        return any([reference is not None and reference.is_gone for reference in references])


_blocks: dict[tuple, Block] = {}
"""The last block sent for each living array, by the array's identity, address and size."""
life.FORGETTERS.append(_blocks.clear)


def code_of(program: Program) -> Code:
    """A program as tasks and actors are sent it. Cached in the program."""
    if program.shipped is None or program.shipped.is_gone:
        program.shipped = stored_code(program)
    return program.shipped


def stored_code(program: Any) -> Code:
    """Pickle a program, or a kernel. What is large of it is put into the store."""
    text, large = pack_code(program)
    blocks = tuple([_block(key, data) for key, data in large])
    name = name_of(text, [block.key for block in blocks])
    if len(text) <= _INLINE_CODE:
        return Code(name, text, None, blocks)
    return Code(name, None, put(np.frombuffer(text, np.uint8)), blocks)  # an array, which workers need not copy


def _block(key: str, data: memoryview) -> Block:
    """The block with a key. It is put into the object store once, as long as its array lives and does not change.

    Programs are often rebuilt for the same functions. Each holds the blocks that belong to it.
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
    except TypeError:  # it cannot be weakly referenced, so its end would go unnoticed
        return Block(key, put(np.frombuffer(data, np.uint8)), None)
    block = _blocks[name] = Block(key, put(np.frombuffer(data, np.uint8)), watched)
    return block


def fetch(reference: Any, lazily: bool = False) -> Any:
    """The value of a reference. Raises ValueLost if it is gone, backend.StoreFull if the store had no room for it.

    A value that does not unpickle here is lost, too: it raises backend.Unreadable.
    lazily: as for `messages.unwrap`.
    """
    errors = reference.life.module.exceptions
    try:
        stored = backend.get(reference.raw, reference.life)
    except errors.ObjectLostError as error:
        raise backend.ValueLost(str(error)) from error
    except (errors.ObjectStoreFullError, errors.OutOfDiskError) as error:
        raise backend.StoreFull(backend.first_line(error)) from error
    try:
        return unwrap(stored, lazily)
    except Exception as error:
        raise backend.Unreadable(f"a value could not be loaded: {type(error).__name__}: {text_of(error)}") from error


def check_made(reference: Any, size: int) -> None:
    """Raise StoreFull if a large output of `size` bytes found no room. Ray stores a short error in its place."""
    stored = _size(reference)
    if stored is not None and stored < min(size, _ERROR_BYTES):
        fetch(reference)


def size_in_store(reference: Any) -> int:
    """The size of an object in bytes, if this process knows it, else 0. Also 0 if its Ray is gone."""
    try:
        return _size(reference) or 0
    except Exception:  # Ray raises various errors for objects that are gone
        return 0


def _size(reference: Any) -> int | None:
    """The size of an object owned by this process, if known."""
    from ray.experimental import get_local_object_locations

    raw = reference.raw
    return backend.asked(reference.life, get_local_object_locations, [raw]).get(raw, {}).get("object_size")


def spilled(references: list) -> int:
    """Total size of those values that Ray has spilled to disk, as far as this process knows."""
    if not references:  # so a run without any loads no Ray
        return 0
    from ray.experimental import get_local_object_locations

    places = _places(get_local_object_locations, references)
    return sum([place.get("object_size") or 0 for place in places.values() if place.get("did_spill")])


def _places(locate: Callable, references: list) -> dict[Any, dict]:
    """What a function of Ray's says about values, by Ray's references; nothing about those whose Ray is gone."""
    places = {}
    for of in {reference.life for reference in references}:
        with suppress(backend.RayGone):
            places.update(backend.asked(of, locate, [each.raw for each in references if each.life is of]))
    return places


def is_lost(reference: Any) -> bool:
    """Whether a value is gone. Starts a task on its machine to find out."""
    if reference.is_gone:
        return True
    of, errors = reference.life, reference.life.module.exceptions
    try:
        task = backend.nothing_task().options(num_cpus=0)
        backend.get(backend.asked(of, task.remote, reference.raw), of)
    except backend.RayGone:
        return True
    except errors.RayTaskError as error:
        return isinstance(error.cause, errors.ObjectLostError)
    except errors.RayError:
        return False
    return False


def lie_on(references: list) -> set[str]:
    """The living machines on which at least one of the values lies."""
    from ray.experimental import get_object_locations

    places = _places(get_object_locations, references)
    return {machine for place in places.values() for machine in place["node_ids"]} & inventory.cluster()


def copies(reference: Any, count: int) -> list:
    """Copy a value to `count` machines where it does not lie, or to fewer if there are no more.

    Returns references once the copies exist. A value that Ray keeps in this process needs none. Raises ValueLost.
    """
    made, failed, of = [], set(), reference.life
    end = monotonic() + _LOCATED_WITHIN
    while not (lies_on := lie_on([reference])):  # the location of a new value is not known at once
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
        chosen = random.sample(others, min(len(others), count - len(made)))  # random, so that copies spread evenly
        copy = of.module.remote(num_cpus=0, num_returns=2, max_retries=0, enable_task_events=False)(copied)
        tasks = [(machine, copy.options(**backend.on_machine(machine))) for machine in chosen]
        started = [(machine, *backend.asked(of, task.remote, reference.raw)) for machine, task in tasks]
        for machine, result, done in started:
            copy_of = backend.Reference(result, of)
            if _is_copied(reference, copy_of, done):
                made.append(copy_of)
                lies_on.add(machine)
            else:
                failed.add(machine)
    return made


def _is_copied(reference: Any, copy: Any, done: Any) -> bool:
    """Wait for a copy. False if its machine has failed or has no room. Raises ValueLost if the original is gone."""
    module = reference.life.module
    try:
        backend.get(done, reference.life)
        check_made(copy, _size(reference) or 0)
        return True
    except module.exceptions.RayTaskError as error:
        if isinstance(error.cause, module.exceptions.ObjectLostError):
            raise backend.ValueLost(str(error.cause)) from error
        return False
    except (module.exceptions.RayError, backend.StoreFull):
        return False


def copied(value: Any) -> tuple[Any, bool]:
    """The task that makes a copy. A task's result is stored where the task ran."""
    return value, True


def put(value: Any) -> Any:
    """Put `value` into the object store, owned by this process. Raises StoreFull, RayGone, or what pickling raises."""
    of = life.life()
    module, raylet = of.module, of.raylet
    size = size_of(value)
    if raylet is not None and not room.has_room(raylet, size):
        raise backend.StoreFull(room.shortage(size))
    try:
        return backend.Reference(backend.asked(of, module.put, wrap(value)), of)
    except (module.exceptions.ObjectStoreFullError, module.exceptions.OutOfDiskError) as error:
        raise backend.StoreFull(backend.first_line(error)) from error


def is_reference(value: Any) -> bool:
    """Whether a value is a reference to Ray's store."""
    return type(value) is backend.Reference
