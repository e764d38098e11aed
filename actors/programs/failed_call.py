"""FailedCall: the call of a failed node, kept so that it can be repeated.

kept      its inputs, by reference and without copies. If they take more than KEPT bytes, they are not kept
packed    a call that came from another process, as bytes; they are unpickled when the contents are first used
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weftwork.actors.programs.float_errors import quiet, reported
from weftwork.actors.programs.sizes import size_of
from weftwork.graph.python.lending import all_lent
from weftwork.graph.python.seeded import Seeded
from weftwork.graph.user_function import UserFunction

KEPT = 64 << 20
"""Maximum size in bytes of the inputs that an error keeps."""
PICKLERS: list[tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = []
"""(dumps, loads) of the library's pickler. The module that has the pickler registers it here."""


class Stored:
    """An input in the object store, outside this process: `fetch()` loads it."""

    __slots__ = ("fetch", "size")

    def __init__(self, fetch: Callable[[], Any], size: int):
        self.fetch, self.size = fetch, size


class FailedCall:
    """kernel(*inputs, **attrs), of a node.

    where: the node, as errors print it.   why: the reason why the inputs were not kept, "" if they were.
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
        """users: the kernel is a user's function, or wraps one.   stops: it takes a stop list first.
        inputs: None if they are not known, for the reason `why`.
        """
        self.where, self.why = where, why
        self._packed: bytes | None = None
        if inputs is None:
            self.why = why or "they were in a process that is gone"
            inputs = []
        else:
            size = sum([each.size if type(each) is Stored else size_of(each) for each in inputs])
            if size > KEPT:
                self.why = f"they take {size / 1e6:.0f} MB, and {KEPT / 1e6:.0f} MB are kept at most"
        self._parts = (kernel, dict(attrs), users, stops, [] if self.why else list(inputs))

    def __reduce__(self) -> tuple:
        if self.why or self._packed is not None:
            return _from_packed, (self.where, self.why, self._packed)
        try:
            return _from_packed, (self.where, "", self.packed())
        except Exception as error:
            return _from_packed, (self.where, f"they, or its function, do not pickle ({error})", None)

    def packed(self) -> bytes:
        """The whole call as bytes. Raises RuntimeError like `inputs`, and what pickling raises."""
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
        """The values that the node took. Raises RuntimeError if they were not kept, or are gone."""
        *_, inputs = self._read()
        for at, value in enumerate(inputs):
            if type(value) is Stored:
                try:
                    inputs[at] = value.fetch()
                except Exception as error:
                    raise RuntimeError(f"The inputs of {self.where} are no longer there: {error}") from error
        return list(inputs)

    def again(self) -> Any:
        """Repeat the call, on copies. Raises what the kernel raises, and RuntimeError like `inputs`."""
        values = self.inputs()
        kernel, attrs, users, stops, _ = self._parts
        if users:
            values = all_lent(values, False)
        with reported() if users else quiet():
            return _without_retries(kernel)(*([[]] if stops else []), *values, **attrs)


def _from_packed(where: str, why: str, packed: bytes | None) -> FailedCall:
    """Rebuild a call that was sent from another process."""
    made = FailedCall(None, {}, None if why else (), where, False, why=why)
    made._packed = packed
    return made


def _without_retries(kernel: Any) -> Any:
    """The kernel without its retries."""
    if isinstance(kernel, UserFunction):
        return kernel.once()
    if isinstance(kernel, Seeded):
        return Seeded(kernel.kernel.once(), kernel.draws)
    return kernel
