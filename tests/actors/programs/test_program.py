"""Programs do the same when interpreted, measured and compiled; they name failed steps, and can be stopped."""

from __future__ import annotations

import operator
import pickle
import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weftwork.actors.programs.program import Program, Step, StepFailed, Stopped, quiet
from weftwork.actors.programs.sizes import size_of


def add(a, b, *, plus=0):
    """A kernel with an attribute."""
    return a + b + plus


def split(a):
    """A kernel of two outputs."""
    return a // 2, a - a // 2


def single(a):
    """A kernel whose one output comes in a tuple."""
    return (a,)


def with_type(a):
    """A kernel that tells 1 from True."""
    return a, type(a)


def nothing(a):
    """A kernel without outputs."""
    return ()


def fail(a):
    """A kernel that raises."""
    raise LookupError(f"no {a}")


def step(kernel, inputs, outputs, attrs=None, dead=(), settle=None):
    """Make a step; rarely used arguments come last."""
    return Step(kernel, attrs or {}, inputs, outputs, dead, settle)


def ways(program):
    """The ways to run a program: interpreted, measured, compiled, compiled in parts."""
    compiled = pickle.loads(pickle.dumps(program))
    assert compiled.compile()
    assert compiled.compiled
    assert not program.compiled
    return [program, lambda values, stop: program.measure(values, stop)[0], compiled, in_parts(program)]


def in_parts(program):
    """A copy of a program, compiled as if three steps were many."""
    made = pickle.loads(pickle.dumps(program))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("weftwork.actors.programs.program.LONGEST_FUNCTION", 3)
        for _ in program.steps:
            made.compile()
    assert made.compile()
    return made


PROGRAM = Program(
    inputs=(0, 1),
    outputs=(4, 2, 0),
    steps=[
        step(operator.add, (0, 1), 2),
        step(add, (2, 5), 3, {"plus": 100}),
        step(split, (3,), (3, 4)),
        step(operator.mul, (4, 3), 4, dead=(3,)),
    ],
    size=6,
    constants=((5, 10),),
)


def test_all_ways_give_the_same_values():
    for run in ways(PROGRAM):
        assert run([1, 2], []) == [56 * 57, 3, 1]
        assert run([5, 2], []) == [58 * 59, 7, 5]


def test_outputs_may_be_one_of_a_tuple_or_none():
    program = Program((0,), (1, 0), [step(single, (0,), (1,)), step(nothing, (0,), ())], 2)
    for run in ways(program):
        assert run([7], []) == [7, 7]


def test_a_program_without_steps_hands_its_inputs_on():
    program = Program((0, 1), (1, 0, 2, 1), [], 3, ((2, "constant"),))
    for run in ways(program):
        assert run([1, 2], []) == [2, 1, "constant", 2]


def test_attributes_may_be_any_word():
    def words(*args, **attrs):
        return attrs

    attrs = {"class": 1, "lambda": 2, "two words": 3, "v0": 4, "stop": 5, "é": 6, "k0": 7}
    program = Program((0,), (1,), [step(words, (0,), 1, attrs)], 2)
    compiled = Program((0,), (1,), program.steps, 2)
    compiled.compile()
    for run in (program, compiled):
        assert run([0], []) == [attrs]


def test_the_same_kernel_may_have_different_attributes_in_different_steps():
    steps = [step(add, (0, 0), 1, {"plus": 1}), step(add, (1, 0), 1, {"plus": 10}), step(add, (1, 1), 1)]
    for run in ways(Program((0,), (1,), steps, 2)):
        assert run([1], []) == [28]


def test_infix_operators_are_those_of_python():
    kernels = [operator.sub, operator.truediv, operator.floordiv, operator.mod, operator.pow, operator.lt, operator.ge]
    program = Program((0, 1), tuple(range(2, 9)), [step(k, (0, 1), at) for at, k in enumerate(kernels, 2)], 9)
    for run in ways(program):
        assert run([7, 2], []) == [5, 3.5, 3, 1, 49, False, True]


def test_what_an_array_must_go_through_is_applied_to_arrays_only():
    def settled(box):
        return box[0] + 1

    steps = [step(single, (0,), (1,)), step(operator.add, (1, 1), 2, settle=settled)]
    program = Program((0,), (2,), steps, 3)
    compiled = Program((0,), (2,), steps, 3)
    compiled.compile()
    for run in (program, compiled):
        assert list(run([np.array([1, 2])], [])[0]) == [3, 5]
        assert run([4], []) == [8]


# Failures


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_the_step_that_failed_is_named(at):
    steps = [step(fail if number == at else operator.neg, (number,), number + 1) for number in range(4)]
    for run in ways(Program((0,), (4,), steps, 5)):
        with pytest.raises(StepFailed) as caught:
            run([7], [])
        assert caught.value.step == at
        assert isinstance(caught.value.__cause__, LookupError)


def test_the_failing_step_is_named_when_the_kernel_calls_a_program_itself():
    inner = Program((0,), (1,), [step(operator.neg, (0,), 1), step(fail, (1,), 1)], 2)
    inner.compile()
    outer = Program((0,), (1,), [step(lambda x: inner([x], [])[0], (0,), 1)], 2)
    compiled = Program((0,), (1,), outer.steps, 2)
    compiled.compile()
    for run in (outer, compiled):
        with pytest.raises(StepFailed) as caught:
            run([1], [])
        assert caught.value.step == 0
        assert caught.value.__cause__.step == 1


def test_a_wrong_number_of_results_fails_that_step():
    program = Program((0,), (1,), [step(operator.neg, (0,), 1), step(split, (1,), (1, 2, 3))], 4)
    for run in ways(program):
        with pytest.raises(StepFailed) as caught:
            run([7], [])
        assert caught.value.step == 1
        assert isinstance(caught.value.__cause__, ValueError)


def test_an_infix_operator_that_fails_is_named_too():
    steps = [step(operator.neg, (0,), 1), step(operator.truediv, (0, 1), 2)]
    for run in ways(Program((0,), (2,), steps, 3)):
        with pytest.raises(StepFailed) as caught:
            run([0], [])
        assert caught.value.step == 1


@pytest.mark.parametrize("raised", [SystemExit, GeneratorExit, StopIteration, BaseException])
def test_whatever_a_kernel_raises_is_its_failure(raised):
    def leave(a):
        raise raised("out")

    program = Program((0,), (1,), [step(leave, (0,), 1)], 2)
    compiled = Program((0,), (1,), program.steps, 2)
    compiled.compile()
    for run in (program, compiled, program.measure):
        with pytest.raises(StepFailed) as caught:
            run([1], [])
        assert type(caught.value.__cause__) is raised


@pytest.mark.parametrize("raised", [KeyboardInterrupt, Stopped])
def test_what_comes_from_outside_is_not_the_kernels_failure(raised):
    def interrupted(a):
        if raised is Stopped:
            raise Stopped
        signal.raise_signal(signal.SIGINT)  # raised by hand it is the kernel's

    program = Program((0,), (1,), [step(interrupted, (0,), 1)], 2)
    compiled = Program((0,), (1,), program.steps, 2)
    compiled.compile()
    for run in (program, compiled, program.measure):
        with pytest.raises(raised):
            run([1], [])


# Stopping


def test_a_program_that_is_told_to_stop_ends_before_its_next_step():
    stop, seen = [], []

    def work(x):
        seen.append(x)
        if x == 3:
            stop.append("now")
        return x + 1

    program = Program((0,), (0,), [step(work, (0,), 0) for _ in range(10)], 1)
    compiled = Program((0,), (0,), program.steps, 1)
    compiled.compile()
    for run in (program, program.measure, compiled):
        stop.clear()
        seen.clear()
        with pytest.raises(Stopped):
            run([0], stop)
        assert seen == [0, 1, 2, 3]


def test_a_long_program_of_operators_looks_now_and_then_whether_to_stop():
    program = Program((0,), (0,), [step(operator.add, (0, 0), 0) for _ in range(200)], 1)
    for run in ways(program):
        with pytest.raises(Stopped):
            run([1], ["now"])


def test_a_program_of_short_steps_looks_now_and_then_whether_to_stop():
    seen = []
    program = Program((0,), (0,), [step(seen.append, (0,), 0) for _ in range(20)], 1, unwatched=8)
    with pytest.raises(Stopped):
        program([0], StopsAfter(seen, 3))
    assert len(seen) == 3  # interpreted, it looks before each step
    seen.clear()
    program.compile()
    with pytest.raises(Stopped):
        program([0], StopsAfter(seen, 3))
    assert len(seen) == 9  # compiled, after steps 0, 8 and 16


class StopsAfter(list):
    """A stop list that fills up after a number of steps."""

    def __init__(self, seen, count):
        self.seen, self.count = seen, count

    def __bool__(self):
        return len(self.seen) >= self.count


# Slots and values


def test_values_that_nobody_reads_any_more_are_let_go():
    class Value:
        alive = 0

        def __init__(self, *_):
            Value.alive += 1

        def __del__(self):
            Value.alive -= 1

    counts = []
    steps = [step(Value, (0,), 1), step(Value, (1,), 2, dead=(1,)), step(lambda x: counts.append(Value.alive), (2,), 3)]
    program = Program((0,), (2,), steps, 4)
    compiled = Program((0,), (2,), steps, 4)
    compiled.compile()
    for run in (program, compiled):
        run([0], [])
    assert counts == [1, 1]


def test_constants_survive_being_called_dead():
    steps = [step(operator.add, (0, 1), 0, dead=(1,))]
    program = Program((0,), (0,), steps, 2, ((1, 5),))
    for run in ways(program):
        assert run([1], []) == [6]
        assert run([2], []) == [7]


@pytest.mark.parametrize("number", [0, -7, 12, True, 1 << 61, -(1 << 70), 2.5, -0.0, np.int64(3), None, "two"])
def test_constants_are_what_they_were(number):
    program = Program((), (1,), [step(with_type, (0,), 1)], 2, ((0, number),))
    for run in ways(program):
        (made,) = run([], [])
        assert str(made) == str((number, type(number)))


def test_infix_operators_of_numbers_keep_their_meaning():
    steps = [step(operator.pow, (0, 1), 3), step(operator.sub, (3, 2), 3), step(operator.mod, (3, 1), 3)]
    program = Program((), (3,), steps, 4, ((0, -3), (1, 2), (2, -4)))
    for run in ways(program):
        assert run([], []) == [((-3) ** 2 + 4) % 2]


def test_a_program_pickles_without_its_compiled_form():
    program = pickle.loads(pickle.dumps(PROGRAM))
    program.compile()
    again = pickle.loads(pickle.dumps(program))
    assert not again.compiled
    assert again == PROGRAM
    assert again([1, 2], []) == PROGRAM([1, 2], [])


def test_a_very_long_program_is_compiled_a_part_at_a_time(monkeypatch):
    monkeypatch.setattr("weftwork.actors.programs.program.LONGEST_FUNCTION", 1000)
    program = Program((0,), (0,), [step(operator.neg, (0,), 0)] * 1001, 1)
    done = []
    while not done or not done[-1]:
        done.append(program.compile())
        assert program([3], []) == [-3]
    assert done == [False, False, True]
    assert not pickle.loads(pickle.dumps(program)).compiled


def test_a_step_that_fails_in_a_part_has_its_number():
    steps = [step(operator.neg, (0,), 0)] * 7 + [step(fail, (0,), 0)] + [step(operator.neg, (0,), 0)] * 2
    with pytest.raises(StepFailed) as failure:
        in_parts(Program((0,), (0,), steps, 1))([3], [])
    assert failure.value.step == 7
    assert isinstance(failure.value.__cause__, LookupError)


def test_compiling_twice_changes_nothing():
    program = Program((0,), (0,), [step(operator.neg, (0,), 0)], 1)
    program.compile()
    program.compile()
    assert program([3], []) == [-3]


def test_measuring_gives_each_steps_seconds_and_bytes():
    steps = [step(operator.add, (0, 0), 1), step(split, (1,), (2, 3))]
    outputs, starts, seconds, taken, made = Program((0,), (3,), steps, 4).measure([np.zeros(10)], [])
    assert outputs[0].shape == (10,)
    assert len(seconds) == 2
    assert min(seconds) >= 0
    assert taken == [160, 80]
    assert made == [80, 160]


@pytest.mark.parametrize(
    ("value", "size"),
    [(np.zeros(3), 24), (np.float32(1), 4), (b"abc", 3), ("ab", 2), ([b"abc", b"d"], 68), ({"a": b"xy"}, 66), (7, 64)],
)
def test_the_size_of_a_value_is_told_where_it_is_cheap(value, size):
    assert size_of(value) == size


def test_the_size_of_an_odd_object_is_a_guess():
    class Odd:
        nbytes = "many"

    assert size_of(Odd()) == 64


def test_quiet_gives_inf_and_nan_without_a_warning():
    with quiet():
        assert np.isinf(np.float64(1) / np.float64(0))


KERNELS = [(operator.add, 2, {}), (operator.mul, 2, {}), (operator.sub, 2, {}), (add, 2, {"plus": 3}), (split, 1, {})]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_program_gives_the_same_in_all_ways(data):
    """Steps that use slots again and again."""
    size = data.draw(st.integers(2, 5))
    slot = st.integers(0, size - 1)
    steps = []
    for _ in range(data.draw(st.integers(0, 12))):
        kernel, count, attrs = data.draw(st.sampled_from(KERNELS))
        inputs = tuple(data.draw(slot) for _ in range(count))
        outputs = tuple(data.draw(st.permutations(range(size)))[:2]) if kernel is split else data.draw(slot)
        steps.append(step(kernel, inputs, outputs, attrs))
    outputs = tuple(data.draw(st.lists(slot, max_size=4)))
    program = Program(tuple(range(size)), outputs, steps, size)
    values = data.draw(st.lists(st.integers(-9, 9), min_size=size, max_size=size))
    results = [run(list(values), []) for run in ways(program)]
    assert results[0] == results[1] == results[2]
