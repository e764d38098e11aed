"""The tree of errors."""

import pickle

import pytest

from weftwork.graph import errors

CLASSES = {
    1: "CancelledError",
    2: "UnknownError",
    3: "InvalidArgumentError",
    4: "DeadlineExceededError",
    5: "NotFoundError",
    6: "AlreadyExistsError",
    7: "PermissionDeniedError",
    8: "ResourceExhaustedError",
    9: "FailedPreconditionError",
    10: "AbortedError",
    11: "OutOfRangeError",
    12: "UnimplementedError",
    13: "InternalError",
    14: "UnavailableError",
    15: "DataLossError",
    16: "UnauthenticatedError",
}


class Op:
    """Stands for an operation: what errors use of one."""

    name = "w"
    defined_at = "w (defined at train.py:3)"

    def __reduce__(self):
        raise AssertionError("an operation must not travel with its error")


@pytest.mark.parametrize(("code", "name"), CLASSES.items())
def test_each_code_has_its_class(code, name):
    cls = getattr(errors, name)
    assert errors.exception_type_from_error_code(code) is cls
    assert errors.error_code_from_exception_type(cls) == code
    assert cls(None, None, "text").error_code == code
    constant = "".join(f"_{c}" if c.isupper() else c for c in name.removesuffix("Error")).upper()[1:]
    assert getattr(errors, constant) == code
    assert name in errors.__doc__


def test_an_unknown_code_has_no_class():
    with pytest.raises(KeyError):
        errors.exception_type_from_error_code(99)


def test_an_error_tells_its_node_and_where_that_was_created():
    op = Op()
    error = errors.InvalidArgumentError({"name": "w"}, op, "bad shape")
    assert error.op is op
    assert error.node_def == {"name": "w"}
    assert error.message == "bad shape"
    assert str(error) == "bad shape\n\t [[node w (defined at train.py:3) ]]"


def test_the_creation_line_is_not_told_twice():
    text = "bad shape [[node v (defined at a.py:1) ]]"
    assert str(errors.InternalError(None, Op(), text)) == text


def test_an_error_of_no_node_is_its_message():
    assert str(errors.AbortedError(None, None, "lost")) == "lost"


@pytest.mark.parametrize("name", CLASSES.values())
def test_an_error_crosses_processes_without_its_graph(name):
    error = getattr(errors, name)({"name": "w", "op": "PyFunc"}, Op(), "bad shape")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert (back.message, back.error_code) == (error.message, error.error_code)
    assert back.op.name == "w"
    assert (back.node_def["name"], back.node_def["op"]) == ("w", "PyFunc")
    assert str(pickle.loads(pickle.dumps(back))) == str(error)


def test_a_base_error_keeps_its_own_code_across_processes():
    assert pickle.loads(pickle.dumps(errors.OpError(None, None, "text", 9))).error_code == 9


def test_the_cause_crosses_processes():
    error = errors.UnknownError(None, None, "KeyError: 'a'")
    error.__cause__ = KeyError("a")
    back = pickle.loads(pickle.dumps(error))
    assert type(back.__cause__) is KeyError
    assert back.__cause__.args == ("a",)
    assert pickle.loads(pickle.dumps(errors.UnknownError(None, None, "text"))).__cause__ is None


def test_a_cause_that_does_not_pickle_is_told_by_its_text():
    class Local(Exception):
        pass

    error = errors.UnknownError(None, None, "text")
    error.__cause__ = Local("the reason")
    back = pickle.loads(pickle.dumps(error))
    assert isinstance(back.__cause__, errors.RemoteTraceback)
    assert "the reason" in str(back.__cause__)


@pytest.mark.parametrize(
    ("raised", "becomes"),
    [
        (ValueError(), errors.InvalidArgumentError),
        (UnicodeError(), errors.InvalidArgumentError),
        (TypeError(), errors.InvalidArgumentError),
        (StopIteration(), errors.OutOfRangeError),
        (MemoryError(), errors.ResourceExhaustedError),
        (NotImplementedError(), errors.UnimplementedError),
        (RuntimeError(), errors.UnknownError),
        (KeyError("k"), errors.UnknownError),
        (errors.DataLossError(None, None, "text"), errors.DataLossError),
    ],
)
def test_a_functions_exception_becomes_the_class_that_py_func_gives_it(raised, becomes):
    assert errors.from_exception(raised) is becomes


def test_a_remote_traceback_shows_its_text_and_pickles():
    back = pickle.loads(pickle.dumps(errors.RemoteTraceback("File x, line 1")))
    assert "File x, line 1" in str(back)


def test_the_inside_of_a_construct_is_a_value_error():
    assert issubclass(errors.InaccessibleTensorError, ValueError)
    assert not issubclass(errors.InaccessibleTensorError, errors.OpError)
