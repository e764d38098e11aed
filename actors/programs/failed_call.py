"""FailedCall: the call of a node that failed, kept so that it can be made again.

kept      its inputs, by reference where they lie: nothing is copied. Those that take more than KEPT bytes are not held
packed    a call that has come from another process, as bytes: they are read when somebody asks for what is in them
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weftwork.actors.programs.float_errors import quiet, spoken
from weftwork.actors.programs.sizes import size_of
from weftwork.graph.lending import all_lent
from weftwork.graph.seeded import Seeded
from weftwork.graph.user_function import UserFunction

KEPT = 64 << 20
"""Bytes of a node's inputs up to which an error keeps them."""
PICKLERS: list[tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = []
"""What makes bytes of a call's parts, and these of the bytes: put in by the module that has the library's pickler."""


class Lying:
    """An input that does not lie in this process: `fetch` brings it."""

    __slots__ = ("fetch", "size")

    def __init__(self, fetch: Callable[[], Any], size: int):
        self.fetch, self.size = fetch, size


class FailedCall:
    """kernel(*inputs, **attrs), of a node.

    where: the node, as errors print it.   why: why the inputs were not kept; "" where they were.
    """

    def __init__(
        self,
        kernel: Any,
        attrs: Mapping[str, Any],
        inputs: Sequence[Any] | None,
        where: str,
        users: bool,
        stops: bool = False,
        why: str = "",
    ):
        """users: the kernel is a user's function, or its wrapper.   stops: it takes a stop list first.
        inputs: None where they are not known, for the reason `why`.
        """
        self.where, self.why = where, why
        self._packed: bytes | None = None
        if inputs is None:
            self.why = why or "they were in a process that is gone"
            inputs = []
        else:
            size = sum([each.size if type(each) is Lying else size_of(each) for each in inputs])
            if size > KEPT:
                self.why = f"they take {size / 1e6:.0f} MB, and {KEPT / 1e6:.0f} MB are kept at most"
        self._parts = (kernel, dict(attrs), users, stops, [] if self.why else list(inputs))

    def __reduce__(self) -> tuple:
        if self.why or self._packed is not None:
            return _arrived, (self.where, self.why, self._packed)
        try:
            return _arrived, (self.where, "", self.packed())
        except Exception as error:
            return _arrived, (self.where, f"they, or its function, do not pickle ({error})", None)

    def packed(self) -> bytes:
        """All of it as bytes. Raises RuntimeError as `inputs`, and what pickling raises."""
        if self._packed is not None:
            return self._packed
        self.inputs()
        pack, _ = PICKLERS[0]
        return pack(self._parts)

    def _read(self) -> tuple:
        if self.why:
            raise RuntimeError(f"The inputs of {self.where} were not kept: {self.why}.")
        if self._packed is not None:
            _, unpack = PICKLERS[0]
            self._parts, self._packed = unpack(self._packed), None
        return self._parts

    def inputs(self) -> list:
        """The values that the node took. Raises RuntimeError where they were not kept, or are no longer there."""
        *_, inputs = self._read()
        for at, value in enumerate(inputs):
            if type(value) is Lying:
                try:
                    inputs[at] = value.fetch()
                except Exception as error:
                    raise RuntimeError(f"The inputs of {self.where} are no longer there: {error}") from error
        return list(inputs)

    def again(self) -> Any:
        """Make the call once more, on copies. Raises what the kernel raises, RuntimeError as `inputs`."""
        values = self.inputs()
        kernel, attrs, users, stops, _ = self._parts
        if users:
            values = all_lent(values, False)
        with spoken() if users else quiet():
            return _once(kernel)(*([[]] if stops else []), *values, **attrs)


def _arrived(where: str, why: str, packed: bytes | None) -> FailedCall:
    """A call that has come from another process."""
    made = FailedCall(None, {}, None if why else (), where, False, why=why)
    made._packed = packed
    return made


def _once(kernel: Any) -> Any:
    """A kernel that does not try again by itself."""
    if isinstance(kernel, UserFunction):
        return kernel.once()
    if isinstance(kernel, Seeded):
        return Seeded(kernel.kernel.once(), kernel.draws)
    return kernel
