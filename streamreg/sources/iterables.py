"""Batches from an iterator, a list or a function: rows that somebody else makes."""

import itertools
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import ChangedError, DataError, OnePassError, UsageError
from streamreg.sources.arrays import TARGET, WEIGHT, given_roles
from streamreg.sources.base import BLOCK, Partition, Schema, Source
from streamreg.sources.checks import check_vector, column_names, native
from streamreg.sources.chunk import Chunk
from streamreg.sources.rows import array, is_frame, table

_NAMES = ("X", TARGET, WEIGHT)


class BatchSource(Source):
    """Batches ``(X, y)`` or ``(X, y, weight)``, one after the other, in one partition.

    Parameters
    ----------
    stream : BatchPartition
        Its first batch tells the schema.
    columns : sequence of str, optional
    """

    label = "iterable"

    def __init__(self, stream: "BatchPartition", columns: Sequence[str] | None = None) -> None:
        x, *vectors = stream.peek()
        stream.names = column_names(stream.found if columns is None else columns, x.shape[1], f"{self.label}: X")
        self._stream = stream
        self._token = uuid.uuid4().hex
        self.one_pass = stream.one_pass
        self.schema = Schema(
            (*stream.names, *_NAMES[1 : 1 + len(vectors)]),
            (*(x.dtype for _ in stream.names), *(v.dtype for v in vectors)),
            None,
        )
        self.roles = given_roles(1 + len(vectors))

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> list[Partition]:
        """Return the one partition."""
        return [self._stream]

    def fingerprint(self) -> str:
        """Return a token of this object: nothing tells whether another iterator would give the same rows."""
        return f"iterable {self._token}"


class BatchPartition(Partition):
    """All batches of `data`; can be pickled if that can."""

    def __init__(self, data: Iterable[Any] | Callable[[], Iterable[Any]]) -> None:
        self.start, self.stop = 0, None
        self.one_pass = isinstance(data, Iterator)
        self.names: tuple[str, ...] = ()
        self.found: tuple[str, ...] | None = None
        """Names of the columns of the first batch, if that is a data frame; those of others are matched with them."""
        self._data = data
        self._peeked: Iterable[Any] = ()
        self._count = 0
        self._used = False
        self._rows: int | None = None

    def peek(self) -> tuple[NDArray[Any], ...]:
        """Return the first batch with rows; a one-pass iterator keeps it for the pass.

        Raises
        ------
        DataError
            There is no such batch, or it is not ``(X, y)`` or ``(X, y, weight)``.
        """
        self._peeked = self._fresh()
        numbered = enumerate(self._peeked)
        for number, batch in numbered:
            arrays, found = _checked(number, batch)
            if len(arrays[0]):
                self.found, self._count = found, len(arrays)
                self._width = arrays[0].shape[1]
                if self.one_pass:
                    self._peeked = itertools.chain([(number, batch)], numbered)
                return arrays
        raise DataError("iterable: has no rows; it must yield at least one batch (X, y) that is not empty")

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield each batch as one chunk.

        Raises
        ------
        OnePassError
            The batches come from an iterator and were read before.
        ChangedError
            A second pass gave another number of rows than the first.
        """
        start = 0
        for number, batch in self._batches():
            (x, *vectors), found = _checked(number, batch, self.found)
            if not len(x):
                continue
            if (found is None) != (self.found is None):
                first, this = ("arrays", "a data frame") if self.found is None else ("data frames", "an array")
                raise DataError(f"iterable: batch {number} is {this} and the first batches are {first}; yield one kind")
            if x.shape[1] != self._width:
                raise DataError(
                    f"iterable: batch {number} has {x.shape[1]} columns and the first had {self._width}; "
                    "every batch must have the same columns"
                )
            if 1 + len(vectors) != self._count:
                raise DataError(
                    f"iterable: batch {number} has {1 + len(vectors)} arrays and the first had {self._count}; "
                    "yield (X, y) always or (X, y, weight) always"
                )
            yield Chunk(start, x, self.names, dict(zip(_NAMES[1:], vectors, strict=False)))
            start += len(x)
        if self._rows not in (None, start):
            raise ChangedError(
                f"iterable: gave {self._rows:,} rows in the first pass and {start:,} in this one; "
                "the function or list must give the same batches each time"
            )
        self._rows = start

    def _fresh(self) -> Iterable[Any]:
        batches = self._data if isinstance(self._data, Iterable) else self._data()
        if not isinstance(batches, Iterable):
            raise UsageError(
                f"iterable: the function returned a {type(batches).__name__}; it must return an iterator of (X, y)"
            )
        return batches

    def _batches(self) -> Iterable[tuple[int, Any]]:
        if self.one_pass:
            if self._used:
                raise OnePassError(
                    "iterable: its rows were read once and are gone, and a second pass is needed; "
                    "pass a list of batches, or a function that returns a fresh iterator"
                )
            self._used = True
            return self._peeked
        batches = self._fresh()
        if batches is self._peeked and isinstance(batches, Iterator):
            raise UsageError(
                "iterable: the function returned the same iterator twice, whose first rows are gone; "
                "it must return a fresh iterator at each call"
            )
        return enumerate(batches)


def open_batches(data: Any, columns: Sequence[str] | None = None) -> BatchSource:
    """Return a source over batches.

    Parameters
    ----------
    data : iterable or callable
        Batches ``(X, y)`` or ``(X, y, weight)`` with X of shape (m, p) and any m, or a function without arguments that
        returns a fresh iterator of them. An iterator can be read once; a list or a function as often as needed.
    columns : sequence of str, optional
        Names of the columns of X.

    Raises
    ------
    DataError
        There are no rows, or the first batch is not as it should be.
    """
    return BatchSource(BatchPartition(data), columns)


def _checked(
    number: int, batch: Any, expected: tuple[str, ...] | None = None
) -> tuple[tuple[NDArray[Any], ...], tuple[str, ...] | None]:
    """Return the arrays of a batch, in the machine's byte order, and the names of its columns if it has some."""
    if isinstance(batch, str | os.PathLike):
        raise DataError(
            f"iterable: batch {number} is a {type(batch).__name__}, and a list must hold batches (X, y); "
            "to read several files, scan each and merge the moments: sr.merge(*map(sr.scan, files))"
        )
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        kind = f"{len(batch)} things" if isinstance(batch, tuple | list) else f"a {type(batch).__name__}"
        raise DataError(f"iterable: batch {number} is {kind}; it must be a tuple (X, y) or (X, y, weight)")
    labels = [f"iterable: {name} of batch {number}" for name in _NAMES]
    x, names = table(batch[0], labels[0], expected if is_frame(batch[0]) else None)
    vectors = [array(a, label) for a, label in zip(batch[1:], labels[1:], strict=False)]
    for vector, name, label in zip(vectors, _NAMES[1:], labels[1:], strict=False):
        check_vector(label, name, vector.shape, vector.dtype, labels[0], len(x))
    return tuple(a.astype(native(a.dtype), copy=False) for a in (x, *(np.reshape(v, -1) for v in vectors))), names
