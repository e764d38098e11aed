"""Annotations that contradict each other are refused when the graph is made; what could work is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any, ForwardRef, Literal, Optional, ParamSpec, Protocol, TypeVar, Union

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

import weftwork as tf

WORDS: dict[str, Any] = {
    "Any": Any,
    "Optional": Optional,
    "Union": Union,
    "Literal": Literal,
    "Annotated": Annotated,
    "Iterable": Iterable,
    "NDArray": NDArray,
    "np": np,
    "tf": tf,
}


def maker(annotation: str, **options):
    """An op that says that it returns such a value."""
    space = dict(WORDS)
    exec(f"def makes() -> {annotation}: ...", space)
    return tf.op(**options)(space["makes"])


def taker(annotation: str):
    """An op that says that it takes such a value."""
    space = dict(WORDS)
    exec(f"def takes(value: {annotation}, *more: {annotation}, key: {annotation} = None): ...", space)
    return tf.op(space["takes"])


REFUSED = [
    ("str", "int"),
    ("int", "str"),
    ("None", "int"),
    ("dict", "list"),
    ("list[int]", "float"),
    ("bytes", "str"),
    ("str | None", "int"),
    ("Union[int, float]", "Optional[str]"),
    ("tuple[int, str]", "int"),
    ("Literal['a']", "int"),
    ("Annotated[str, 'a name']", "complex"),
    ("tf.Tensor[str]", "int"),
    ("np.ndarray", "str"),
    ("NDArray[np.float64]", "NDArray[np.float32]"),
    ("NDArray[np.int32]", "dict"),
    ("set", "bool"),
]
ALLOWED = [
    ("int", "float"),
    ("float", "int"),
    ("bool", "complex"),
    ("np.float32", "float"),
    ("str", "str"),
    ("Any", "int"),
    ("int", "Any"),
    ("object", "int"),
    ("str | int", "int"),
    ("Optional[int]", "int"),
    ("list", "tuple"),
    ("list[int]", "list[str]"),
    ("str", "Iterable"),
    ("np.ndarray", "list"),
    ("np.ndarray", "float"),
    ("NDArray[np.float32]", "NDArray[np.floating]"),
    ("NDArray[np.float32]", "np.ndarray"),
    ("NDArray[Any]", "NDArray[np.int8]"),
    ("Unknown", "int"),
    ("type", "int"),
]


@pytest.mark.parametrize(("gives", "wants"), REFUSED)
def test_a_plain_contradiction_is_refused_with_both_lines(gives, wants, graph):
    value = maker(gives)()
    for call in (
        lambda: taker(wants)(value),
        lambda: taker(wants)(None, value),
        lambda: taker(wants)(None, key=value),
    ):
        with pytest.raises(TypeError, match=r"takes \(called at .*test_agreement\.py:\d+\) takes") as raised:
            call()
        assert "but makes (defined at " in str(raised.value)
    assert graph.get_operations() == [value.op]


@pytest.mark.parametrize(("gives", "wants"), ALLOWED)
def test_what_could_work_is_not_refused(gives, wants, graph):
    value = maker(gives)()
    assert isinstance(taker(wants)(value, value, key=value), tf.Tensor)


class Odd:
    """An object that raises whatever is asked of it."""

    def __hash__(self):
        raise ValueError("hash")

    def __eq__(self, other):
        raise ValueError("eq")

    def __getattr__(self, name):
        raise ValueError(name)


ODD = [
    *(Odd(), "list[", "Foo.bar", "not a name", "Gone | int", ForwardRef("Gone"), TypeVar("T"), TypeVar("B", bound=int)),
    *(3, (), [int], np.dtype("f4"), print, Callable[..., Any], ParamSpec("P"), ArrayLike, type[int], tf.float32),
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
def test_an_annotation_may_be_anything(odd, graph):
    def makes():
        return 1

    def takes(value, *more, key=None):
        return value

    makes.__annotations__ = {"return": odd}
    takes.__annotations__ = dict.fromkeys(["value", "more", "key"], odd)
    value = tf.op(makes)()
    assert isinstance(tf.op(takes)(value, value, key=value), tf.Tensor)
    for known in (maker("int")(), maker("str")()):
        tf.op(takes)(known, known, key=known)


def test_dtypes_of_nodes_say_what_they_give(graph):
    """For library nodes and ops with a dtype, and for each of several outputs."""
    numbers = tf.constant([1.0, 2.0])
    for wants in ("str", "dict", "bytes", "NDArray[np.int32]", "NDArray[np.float64]", "None"):
        with pytest.raises(TypeError, match="Const .*gives float32 values"):
            taker(wants)(numbers)
    for wants in ("list", "float", "np.ndarray", "NDArray[np.float32]", "object", "Iterable"):
        taker(wants)(numbers)
    with pytest.raises(TypeError, match="gives int32 values"):
        taker("str")(maker("Any", dtype=tf.int32)())
    name, count = maker("tuple[str, int]", outputs=2)()
    taker("str")(name)
    taker("int")(count)
    with pytest.raises(TypeError, match=r"takes str as 'value', but makes_\d \(defined .* gives int\."):
        taker("str")(count)


def test_coroutines_methods_and_partials_say_what_their_function_says(graph):
    class Reader:
        @tf.op
        async def read(self, name: str) -> bytes:
            return name.encode()

        @tf.op
        def size(self, data: bytes) -> int:
            return len(data)

    def power(base: int, exponent: int) -> int:
        return base**exponent

    reader = Reader()
    data = reader.read("name")
    size = reader.size(data)
    tf.op(partial(power, 2))(size)
    for call in (lambda: reader.size(size), lambda: reader.read(data), lambda: tf.op(partial(power, 2))(data)):
        with pytest.raises(TypeError, match="but"):
            call()


def test_classes_and_protocols_of_the_program_say_nothing(graph):
    class Sized(Protocol):
        def __len__(self) -> int: ...

    class Name(str):
        pass

    def makes() -> Name:
        return Name("x")

    def sized(value: Sized) -> int:
        return len(value)

    def number(value: int) -> int:
        return value

    tf.op(sized)(tf.op(makes)())
    tf.op(number)(tf.op(makes)())
