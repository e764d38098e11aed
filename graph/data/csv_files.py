"""CSV files as batches of columns, whose names and types are inferred."""

from __future__ import annotations

import csv
import glob
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import constant
from weftwork.graph.data.dataset import Dataset
from weftwork.graph.data.description import AUTOTUNE
from weftwork.graph.data.sources import CsvDataset
from weftwork.graph.data.transformations import as_list
from weftwork.graph.files.system import GFile

_KINDS = [dtypes.int32, dtypes.int64, dtypes.float32, dtypes.float64, dtypes.string]
"""The types that a column may have, narrowest first."""


def make_csv_dataset(
    file_pattern: Any,
    batch_size: Any,
    column_names: Sequence[str] | None = None,
    column_defaults: Sequence[Any] | None = None,
    label_name: str | None = None,
    select_columns: Sequence[Any] | None = None,
    field_delim: str = ",",
    use_quote_delim: bool = True,
    na_value: str = "",
    header: bool = True,
    num_epochs: int | None = None,
    shuffle: bool = True,
    shuffle_buffer_size: int = 10000,
    shuffle_seed: int | None = None,
    prefetch_buffer_size: Any = None,
    num_parallel_reads: Any = None,
    sloppy: bool = False,
    num_rows_for_inference: int | None = 100,
    compression_type: Any = None,
) -> Dataset:
    """Batches of CSV files' columns: dicts; with `label_name` pairs of a dict and a label.

    file_pattern: one pattern or several, as for `glob`.   num_epochs: the number of repetitions; None means forever.
    column_names: by default those in the first line.   select_columns: the names or numbers of the columns to read.
    column_defaults: for each column that is read, its default, or its dtype if a value is required; by default 0 or ""
    of the narrowest type that holds the first num_rows_for_inference values.
    label_name: the column of labels.   header: whether the first line of each file has names.
    field_delim, use_quote_delim, na_value, compression_type: as for CsvDataset. To infer types, the files must not be
    compressed.   shuffle_buffer_size, shuffle_seed, prefetch_buffer_size: as of `shuffle` and `prefetch`.
    num_parallel_reads: the number of files read at a time.   sloppy: accepted as in TensorFlow.
    Raises ValueError if no file matches, if the files' column names differ, or if a column is unknown or named twice.
    """
    names = _matching(file_pattern)
    rows = _Rows(names, field_delim, use_quote_delim, header)
    column_names = rows.named(column_names)
    wanted = _numbers(select_columns, column_names)
    if column_defaults is None:
        column_defaults = rows.defaults(wanted, na_value, num_rows_for_inference)
    elif len(column_defaults) != len(wanted):
        raise ValueError(f"There are {len(wanted)} columns to read, but {len(column_defaults)} defaults.")
    chosen = _chosen(column_names, wanted, label_name)

    def records(name: Any) -> Dataset:
        return CsvDataset(
            name, column_defaults, compression_type, None, header, field_delim, use_quote_delim, na_value, wanted
        )

    def named(*columns: Any) -> Any:
        features = OrderedDict(zip(chosen, columns, strict=True))
        return features if label_name is None else (features, features.pop(label_name))

    files = Dataset.from_tensor_slices(names)
    files = files.shuffle(len(names), shuffle_seed) if shuffle else files
    read = files.interleave(records, num_parallel_reads or 1)
    if shuffle:
        read = read.shuffle(shuffle_buffer_size, shuffle_seed)
    batches = read.repeat(num_epochs).batch(batch_size, drop_remainder=num_epochs is None).map(named)
    return batches.prefetch(AUTOTUNE if prefetch_buffer_size is None else prefetch_buffer_size)


def _matching(pattern: Any) -> list[str]:
    """The files that match one pattern or several. Raises ValueError if there are none."""
    names = sorted([name for each in as_list(pattern) for name in glob.glob(str(each))])
    if not names:
        raise ValueError(f"No files matched: {pattern}")
    return names


def _chosen(names: Sequence[str], numbers: Sequence[int], label: str | None) -> list[str]:
    """The names of the columns to read. Raises ValueError if the label is not among them."""
    chosen = [names[number] for number in numbers]
    if label is not None and label not in chosen:
        raise ValueError("`label_name` provided must be one of the columns.")
    return chosen


def _numbers(select: Sequence[Any] | None, names: Sequence[str]) -> list[int]:
    """The numbers of the columns to read, in order."""
    if select is None:
        return list(range(len(names)))
    made = []
    for column in select:
        if isinstance(column, str):
            if column not in names:
                raise ValueError(f"Value '{column}' in select_columns is not the name of a column: {list(names)}")
            made.append(list(names).index(column))
        elif not 0 <= int(column) < len(names):
            raise ValueError(f"Column {column} in select_columns is not in [0, {len(names)})")
        else:
            made.append(int(column))
    if len(made) != len(set(made)):
        raise ValueError("Cannot have duplicate columns in select_columns.")
    return sorted(made)


class _Rows:
    """The rows of some files, read to infer their columns."""

    def __init__(self, files: list[str], delimiter: str, quoted: bool, header: bool):
        self._files, self._header = files, header
        self._format: dict[str, Any] = {"delimiter": delimiter}
        self._format["quoting"] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE

    def _of(self, name: str) -> Iterator[list[str]]:
        with GFile(name) as file:
            yield from csv.reader(iter(file.readline, ""), **self._format)

    def named(self, given: Sequence[str] | None) -> Sequence[str]:
        """The given names of the columns, or those in the files. Raises ValueError for names that are not there."""
        if given is None and not self._header:
            raise ValueError("Cannot infer column names without header line.")
        names = self.names() if given is None else given
        if len(names) != len(set(names)):
            raise ValueError("Cannot have duplicate column names.")
        return names

    def names(self) -> list[str]:
        """The first row of all files."""
        found = [next(self._of(name), []) for name in self._files]
        if any(names != found[0] for names in found):
            raise ValueError("Files have different column names in the header row.")
        return found[0]

    def defaults(self, columns: list[int], missing: str, most: int | None) -> list[Any]:
        """0 or "" of the narrowest type of each column."""
        kinds: list[int] = [0] * len(columns)
        seen = [False] * len(columns)
        for row in islice(self._rows(), most):
            for place, number in enumerate(columns):
                text = row[number]
                if text not in ("", missing):
                    kinds[place], seen[place] = max(kinds[place], _kind_of(text)), True
        types = [_KINDS[kind] if known else dtypes.string for kind, known in zip(kinds, seen, strict=True)]
        return [constant(["" if kind is dtypes.string else 0], kind) for kind in types]

    def _rows(self) -> Iterator[list[str]]:
        for name in self._files:
            yield from islice(self._of(name), int(self._header), None)


def _kind_of(text: str) -> int:
    """The index of the narrowest type that holds a string."""
    try:
        whole = int(text)
    except ValueError:
        pass
    else:
        for kind in (0, 1):
            limits = np.iinfo(_KINDS[kind].numpy)
            if limits.min <= whole <= limits.max:
                return kind
    try:
        size = abs(float(text))
    except ValueError:
        return 4
    return 3 if np.finfo(np.float32).max < size < np.inf else 2
