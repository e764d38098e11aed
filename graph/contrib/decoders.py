"""Decoding: step by step, until all sequences of a batch are finished. A helper provides the inputs of each step.

helper    provides the initial inputs, samples from a step's outputs (`sample`), and provides the next step's inputs
decoder   performs a step with a cell and a helper
finished  [batch], booleans: optionally, outputs and states of a finished sequence no longer change
"""

from __future__ import annotations

import functools
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import as_tensor, convert_to_tensor
from weftwork.graph.nn.ops import embedding_lookup
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.loops import while_loop
from weftwork.graph.ops.random_ops import multinomial, random_uniform
from weftwork.graph.ops.selecting import where
from weftwork.graph.ops.tensor_array import TensorArray
from weftwork.graph.recurrent.cells import RNNCell
from weftwork.graph.scopes import name_scope
from weftwork.graph.structures import flatten, map_structure, pack_sequence_as
from weftwork.graph.variables.scoping import variable_scope

BasicDecoderOutput = namedtuple("BasicDecoderOutput", ["rnn_output", "sample_id"])


# Helpers


class Helper:
    """The base class of helpers for a decoder. A subclass has batch_size, initialize, sample and next_inputs.

    sample_ids_shape, sample_ids_dtype: of the result of `sample`, without the batch axis.
    """

    batch_size: Any = None
    sample_ids_shape = shapes.TensorShape([])
    sample_ids_dtype = dtypes.int32

    def initialize(self, name: str | None = None) -> tuple:
        """(finished, inputs of the first step)."""
        raise NotImplementedError

    def sample(self, time: Any, outputs: Any, state: Any, name: str | None = None) -> Tensor:
        """Sample ids from a step's outputs."""
        raise NotImplementedError

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any, name: str | None = None) -> tuple:
        """(finished, inputs of the next step, state)."""
        raise NotImplementedError


class CustomHelper(Helper):
    """A helper made from three functions."""

    def __init__(
        self,
        initialize_fn: Callable[..., Any],
        sample_fn: Callable[..., Any],
        next_inputs_fn: Callable[..., Any],
        sample_ids_shape: Any = None,
        sample_ids_dtype: Any = None,
    ):
        self._functions = initialize_fn, sample_fn, next_inputs_fn
        self.sample_ids_shape = shapes.TensorShape(sample_ids_shape or [])
        self.sample_ids_dtype = dtypes.as_dtype(sample_ids_dtype or dtypes.int32)

    def initialize(self, name: str | None = None) -> tuple:
        finished, inputs = self._functions[0]()
        self.batch_size = array_ops.size(finished)
        return finished, inputs

    def sample(self, time: Any, outputs: Any, state: Any, name: str | None = None) -> Tensor:
        return self._functions[1](time=time, outputs=outputs, state=state)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any, name: str | None = None) -> tuple:
        return self._functions[2](time=time, outputs=outputs, state=state, sample_ids=sample_ids)


class TrainingHelper(Helper):
    """Provides the steps of known inputs [batch, time, ...] (or time-major); samples by argmax."""

    def __init__(self, inputs: Any, sequence_length: Any, time_major: bool = False, name: str | None = None):
        with name_scope(name, "TrainingHelper"):
            given = map_structure(convert_to_tensor, inputs)
            self._lengths = convert_to_tensor(sequence_length, name="sequence_length")
            if self._lengths.raw_shape is not None and len(self._lengths.raw_shape) != 1:
                raise ValueError(f"Expected sequence_length to be a vector, but received shape: {self._lengths.shape}")
            self.inputs = given if time_major else map_structure(_time_major, given)
            self._zeros = map_structure(lambda steps: array_ops.zeros_like(steps[0]), self.inputs)
            self.batch_size = array_ops.size(self._lengths)

    @property
    def sequence_length(self) -> Tensor:
        """The lengths of the sequences."""
        return self._lengths

    def initialize(self, name: str | None = None) -> tuple:
        finished = math_ops.equal(0, self._lengths)
        return finished, self._inputs_at(0, math_ops.reduce_all(finished))

    def sample(self, time: Any, outputs: Any, state: Any, name: str | None = None) -> Tensor:
        return math_ops.cast(math_ops.argmax(outputs, axis=-1), dtypes.int32)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any, name: str | None = None) -> tuple:
        next_time = time + 1
        finished = math_ops.greater_equal(next_time, self._lengths)
        return finished, self._inputs_at(next_time, math_ops.reduce_all(finished)), state

    def _inputs_at(self, time: Any, over: Tensor) -> Any:
        at = where(over, 0, time)
        steps = [array_ops.gather(whole, at) for whole in flatten(self.inputs)]
        inputs = [where(over, blank, step) for blank, step in zip(flatten(self._zeros), steps, strict=True)]
        return pack_sequence_as(self.inputs, inputs)


class ScheduledEmbeddingTrainingHelper(TrainingHelper):
    """A TrainingHelper that uses, with `sampling_probability`, an embedded sample from the previous outputs instead."""

    def __init__(
        self, inputs: Any, sequence_length: Any, embedding: Any, sampling_probability: Any, time_major: bool = False,
        seed: int | None = None, scheduling_seed: int | None = None, name: str | None = None,
    ):  # fmt: skip
        self._embed = embedder(embedding)
        self._probability, self._seeds = convert_to_tensor(sampling_probability), (seed, scheduling_seed)
        super().__init__(inputs, sequence_length, time_major, name)

    def sample(self, time: Any, outputs: Any, state: Any, name: str | None = None) -> Tensor:
        chosen = math_ops.cast(_drawn(outputs, self._seeds[0]), dtypes.int32)
        use_sample = random_uniform(array_ops.shape(chosen), seed=self._seeds[1]) < self._probability
        return where(use_sample, chosen, array_ops.zeros_like(chosen) - 1)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any, name: str | None = None) -> tuple:
        finished, inputs, state = super().next_inputs(time, outputs, state, sample_ids)
        return finished, where(sample_ids >= 0, self._embed(math_ops.maximum(sample_ids, 0)), inputs), state


class ScheduledOutputTrainingHelper(TrainingHelper):
    """A TrainingHelper that uses, with `sampling_probability`, `next_inputs_fn` of the previous outputs instead."""

    sample_ids_dtype = dtypes.bool

    def __init__(
        self, inputs: Any, sequence_length: Any, sampling_probability: Any, time_major: bool = False,
        seed: int | None = None, next_inputs_fn: Callable[..., Any] | None = None, auxiliary_inputs: Any = None,
        name: str | None = None,
    ):  # fmt: skip
        if auxiliary_inputs is not None:
            raise NotImplementedError("auxiliary_inputs are not supported: join them in next_inputs_fn.")
        self._probability, self._seed = convert_to_tensor(sampling_probability), seed
        self._next = next_inputs_fn or (lambda outputs: outputs)
        super().__init__(inputs, sequence_length, time_major, name)

    def sample(self, time: Any, outputs: Any, state: Any, name: str | None = None) -> Tensor:
        return random_uniform([self.batch_size], seed=self._seed) < self._probability

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any, name: str | None = None) -> tuple:
        finished, inputs, state = super().next_inputs(time, outputs, state, sample_ids)
        return finished, where(sample_ids, self._next(outputs), inputs), state


class GreedyEmbeddingHelper(Helper):
    """Provides the embedded most likely ids, from `start_tokens` [batch] until `end_token`.

    embedding: a table, or a function of ids.   Raises ValueError for tokens of other shapes.
    """

    def __init__(self, embedding: Any, start_tokens: Any, end_token: Any):
        self._embed = embedder(embedding)
        self._start, self._end = start_and_end(start_tokens, end_token)
        self.batch_size = array_ops.size(self._start)

    def initialize(self, name: str | None = None) -> tuple:
        return array_ops.tile([False], array_ops.reshape(self.batch_size, [1])), self._embed(self._start)

    def sample(self, time: Any, outputs: Any, state: Any, name: str | None = None) -> Tensor:
        return math_ops.cast(math_ops.argmax(outputs, axis=-1), dtypes.int32)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any, name: str | None = None) -> tuple:
        return math_ops.equal(sample_ids, self._end), self._embed(sample_ids), state


class SampleEmbeddingHelper(GreedyEmbeddingHelper):
    """As GreedyEmbeddingHelper, but samples with the outputs as logits, divided by `softmax_temperature`."""

    def __init__(
        self, embedding: Any, start_tokens: Any, end_token: Any, softmax_temperature: Any = None,
        seed: int | None = None,
    ):  # fmt: skip
        super().__init__(embedding, start_tokens, end_token)
        self._temperature, self._seed = softmax_temperature, seed

    def sample(self, time: Any, outputs: Any, state: Any, name: str | None = None) -> Tensor:
        logits = outputs if self._temperature is None else outputs / self._temperature
        return math_ops.cast(_drawn(logits, self._seed), dtypes.int32)


class InferenceHelper(Helper):
    """Provides `next_inputs_fn` of the results of `sample_fn`, until `end_fn` of them is true."""

    def __init__(
        self,
        sample_fn: Callable[..., Any],
        sample_shape: Any,
        sample_dtype: Any,
        start_inputs: Any,
        end_fn: Callable[..., Any],
        next_inputs_fn: Callable[..., Any] | None = None,
    ):
        self._sample, self._end, self._next = sample_fn, end_fn, next_inputs_fn or (lambda x: x)
        self.sample_ids_shape = shapes.TensorShape(sample_shape)
        self.sample_ids_dtype = dtypes.as_dtype(sample_dtype)
        self._start = convert_to_tensor(start_inputs)
        self.batch_size = array_ops.shape(self._start)[0]

    def initialize(self, name: str | None = None) -> tuple:
        return array_ops.tile([False], array_ops.reshape(self.batch_size, [1])), self._start

    def sample(self, time: Any, outputs: Any, state: Any, name: str | None = None) -> Tensor:
        return self._sample(outputs)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any, name: str | None = None) -> tuple:
        return self._end(sample_ids), self._next(sample_ids), state


def embedder(embedding: Any) -> Callable[[Any], Any]:
    """The function that embeds ids: `embedding` itself if callable, else lookups in a table."""
    return embedding if callable(embedding) else functools.partial(embedding_lookup, embedding)


def start_and_end(start_tokens: Any, end_token: Any) -> tuple[Tensor, Tensor]:
    """Tokens [batch] and a single token, int32. Raises ValueError for other shapes."""
    start = convert_to_tensor(start_tokens, dtypes.int32, name="start_tokens")
    end = convert_to_tensor(end_token, dtypes.int32, name="end_token")
    if start.raw_shape is not None and len(start.raw_shape) != 1:
        raise ValueError("start_tokens must be a vector")
    if end.raw_shape not in (None, ()):
        raise ValueError("end_token must be a scalar")
    return start, end


def _drawn(logits: Any, seed: int | None) -> Tensor:
    """A class for each row, drawn by logits [batch, classes]."""
    return array_ops.squeeze(multinomial(logits, 1, seed=seed), [1])


def _time_major(tensor: Tensor) -> Tensor:
    """[batch, time, ...] as [time, batch, ...]."""
    rank = len(tensor.shape.as_list())
    return array_ops.transpose(tensor, [1, 0, *range(2, rank)])


# Decoders


class Decoder:
    """The base class for `dynamic_decode`. A subclass has batch_size, output_size, output_dtype, initialize and step.

    tracks_own_finished: `step` reports finished for all sequences, including those that already were.
    """

    tracks_own_finished = False

    def initialize(self, name: str | None = None) -> tuple:
        """(finished, initial inputs, initial state)."""
        raise NotImplementedError

    def step(self, time: Any, inputs: Any, state: Any, name: str | None = None) -> tuple:
        """(outputs, next state, next inputs, finished)."""
        raise NotImplementedError

    def finalize(self, outputs: Any, final_state: Any, sequence_lengths: Any) -> tuple:
        """(outputs, state) as a whole, from those of all steps. Raises NotImplementedError by default."""
        raise NotImplementedError


class BasicDecoder(Decoder):
    """A decoder with a cell and a helper; `output_layer` is applied to the cell's outputs before sampling."""

    def __init__(self, cell: RNNCell, helper: Any, initial_state: Any, output_layer: Any = None):
        if not isinstance(helper, Helper):
            raise TypeError(f"helper must be a Helper, received: {type(helper)}")
        self._cell, self._helper, self._initial_state, self._output_layer = cell, helper, initial_state, output_layer

    @property
    def batch_size(self) -> Any:
        """The number of sequences."""
        return self._helper.batch_size

    def initialize(self, name: str | None = None) -> tuple:
        return (*self._helper.initialize(), self._initial_state)

    def step(self, time: Any, inputs: Any, state: Any, name: str | None = None) -> tuple:
        with name_scope(name, "BasicDecoderStep"):
            outputs, state = self._cell(inputs, state)
            if self._output_layer is not None:
                outputs = self._output_layer(outputs)
            chosen = self._helper.sample(time=time, outputs=outputs, state=state)
            finished, following, state = self._helper.next_inputs(
                time=time, outputs=outputs, state=state, sample_ids=chosen
            )
        return BasicDecoderOutput(outputs, chosen), state, following, finished


def dynamic_decode(
    decoder: Decoder,
    output_time_major: bool = False,
    impute_finished: bool = False,
    maximum_iterations: Any = None,
    parallel_iterations: int = 32,
    swap_memory: bool = False,
    scope: Any = None,
) -> tuple[Any, Any, Tensor]:
    """Decode until all sequences are finished: (outputs, final state, lengths of the sequences).

    The outputs are [batch, time, ...], or time-major.   impute_finished: finished sequences output zeros, and keep
    their states.   maximum_iterations: the largest number of steps.
    Raises TypeError unless it is a Decoder.
    """
    if not isinstance(decoder, Decoder):
        raise TypeError(f"Expected decoder to be type Decoder, but saw: {type(decoder)}")
    with variable_scope(scope, "decoder"):
        limit = None if maximum_iterations is None else convert_to_tensor(maximum_iterations, dtypes.int32)
        finished, inputs, state = decoder.initialize()
        state = map_structure(_tensor, state)
        if limit is not None:
            finished = math_ops.logical_or(finished, limit <= 0)
        blank = _outputs_of(decoder, inputs, state)
        arrays = [TensorArray(t.dtype.base_dtype, 0, dynamic_size=True, element_shape=t.shape) for t in flatten(blank)]
        lengths = array_ops.zeros_like(finished, dtype=dtypes.int32)

        def body(time, arrays, state, inputs, finished, lengths):
            outputs, following, next_inputs, ended = decoder.step(time, inputs, state)
            now_finished = ended if decoder.tracks_own_finished else math_ops.logical_or(ended, finished)
            counted = array_ops.fill(array_ops.shape(lengths), time + 1)
            lengths = where(math_ops.logical_not(finished), counted, lengths)
            if impute_finished:
                outputs = _chosen(finished, map_structure(array_ops.zeros_like, outputs), outputs)
                following = _chosen(finished, state, following)
            if limit is not None:
                now_finished = math_ops.logical_or(now_finished, time + 1 >= limit)
            following, next_inputs = _as_before(state, following), _as_before(inputs, next_inputs)
            written = [array.write(time, t) for array, t in zip(arrays, flatten(outputs), strict=True)]
            return time + 1, written, following, next_inputs, _as_before(finished, now_finished), lengths

        carried = (convert_to_tensor(np.int32(0)), arrays, state, inputs, finished, lengths)
        _, arrays, state, _, _, lengths = while_loop(
            lambda time, arrays, state, inputs, finished, lengths: math_ops.logical_not(math_ops.reduce_all(finished)),
            body,
            carried,
            shape_invariants=_open(carried),
            parallel_iterations=parallel_iterations,
            swap_memory=swap_memory,
        )
        outputs = pack_sequence_as(blank, [array.stack() for array in arrays])
        try:
            outputs, state = decoder.finalize(outputs, state, lengths)
        except NotImplementedError:
            pass
        return (outputs if output_time_major else map_structure(_time_major, outputs)), state, lengths


def _tensor(item: Any) -> Any:
    return item if isinstance(item, TensorArray) or as_tensor(item) is not None else convert_to_tensor(item)


def _outputs_of(decoder: Decoder, inputs: Any, state: Any) -> Any:
    """The outputs of one step, for their dtypes and shapes. This also creates the cell's variables outside the loop."""
    with name_scope("shapes", None):
        outputs, *_ = decoder.step(convert_to_tensor(np.int32(0)), inputs, state)
    return outputs


def _chosen(condition: Tensor, one: Any, other: Any) -> Any:
    """For each pair of tensors with a batch, select by the condition; TensorArrays and scalars are always new."""

    def choose(old: Any, new: Any) -> Any:
        if isinstance(new, TensorArray) or new.raw_shape == ():
            return new
        chosen = where(condition, old, new)
        chosen.set_shape(new.shape)
        return chosen

    pairs = zip(flatten(one), flatten(other), strict=True)
    return pack_sequence_as(other, [choose(old, new) for old, new in pairs])


def _as_before(old: Any, new: Any) -> Any:
    """The next tensors, with the static shapes of the previous ones."""
    for before, after in zip(flatten(old), flatten(new), strict=True):
        if not isinstance(after, TensorArray) and as_tensor(after) is not None:
            after.set_shape(before.shape)
    return new


def _open(carried: tuple) -> Any:
    """The shape invariants of the loop variables: batches may have any size."""
    return map_structure(lambda item: None if isinstance(item, TensorArray) else item.shape, carried)
