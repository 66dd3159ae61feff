"""A table whose rows come as record batches of Arrow."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError
from streamreg.sources.arrow.fields import Fields
from streamreg.sources.arrow.lane import Lane, Stream
from streamreg.sources.base import BLOCK, Partition, Source
from streamreg.sources.chunk import Chunk, Coded, Column
from streamreg.sources.columns import Levels, column

PART_BYTES = 2**23
"""About how much a worker takes at a time, and a reader decodes at a time."""

_MOST_ROWS = 2**16
_MOST_PARTS = 2**16

Span = tuple[Lane, int, int]


@dataclass(slots=True)
class ArrowPartition(Partition):
    """Rows `start` to `stop`: ranges of one lane or of several, and the types of their columns."""

    start: int
    stop: int
    spans: tuple[Span, ...]
    dtypes: dict[str, np.dtype[Any]]

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows in order, as they were decoded."""
        at = self.start
        for lane, start, stop in self.spans:
            constants, levels = lane.stream.constants, {name: Levels() for name in self.dtypes}
            label = lane.stream.label
            for batch in lane.take(start, stop):
                place = {name: k for k, name in enumerate(batch.schema.names)}
                m = len(batch)
                vectors = {
                    name: constant(constants[name], m, dtype)
                    if name in constants
                    else column(batch.column(place[name]), f"{label}: column {name!r}", dtype, levels[name])
                    for name, dtype in self.dtypes.items()
                }
                yield Chunk(at, np.empty((m, 0)), (), vectors)
                at += m


class ArrowSource(Source):
    """Streams, one below the other.

    Partitions are equal runs of rows, of about 8 MB, wherever the storage has its borders: those that lie in one stream
    share its reader (`Lane`), so that a row group is decoded once, however large it is, and is not held as a whole.

    Parameters
    ----------
    label : str
    streams : sequence of Stream
    fields : Fields
    seen : callable
        Returns the fingerprint.
    in_memory : bool
    """

    def __init__(
        self, label: str, streams: Sequence[Stream], fields: Fields, seen: Callable[[], str], in_memory: bool = False
    ) -> None:
        self.label, self._streams, self._fields, self._seen, self.in_memory = label, streams, fields, seen, in_memory
        self._stops = list(accumulate(stream.rows for stream in streams))
        self.schema = fields.schema(self._stops[-1] if streams else 0)
        if not self.schema.n_rows:
            raise DataError(f"{label}: has no rows; there is nothing to fit, check how it was written")
        if not self.schema.names:
            raise DataError(f"{label}: has no columns; there is nothing to fit, check how it was written")

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> list[Partition]:
        """Return the partitions, which begin at multiples of `block`.

        Raises
        ------
        DataError
            A column is not in all files, or not of one kind in all of them.
        """
        held = self.schema
        usable = [name for name, dtype in zip(held.names, held.dtypes, strict=True) if dtype.kind != "O"]
        wanted = usable if columns is None else [name for name in held.names if name in set(columns)]
        self._fields.require(wanted, self.label)
        dtypes = {name: held.dtype(name) for name in wanted}
        row_bytes = sum(8 if dtype.kind == "T" else dtype.itemsize for dtype in dtypes.values())
        rows = held.n_rows or 0
        step = min(max(PART_BYTES, rows * row_bytes // _MOST_PARTS) // max(1, row_bytes), max(_MOST_ROWS, rows // _MOST_PARTS))
        step = block * max(1, step // block)
        lanes = [self._lane(stream, wanted, step) for stream in self._streams]
        return [
            ArrowPartition(a, min(a + step, rows), self._spans(lanes, a, min(a + step, rows)), dtypes)
            for a in range(0, rows, step)
        ]

    def _lane(self, stream: Stream, columns: Sequence[str], rows: int) -> Lane:
        return Lane(stream, [name for name in columns if name not in stream.constants], rows)

    def _spans(self, lanes: Sequence[Lane], start: int, stop: int) -> tuple[Span, ...]:
        """Return where rows `start` to `stop` lie."""
        spans = []
        k = bisect_right(self._stops, start)
        while start < stop:
            first = self._stops[k] - self._streams[k].rows
            end = min(stop, self._stops[k])
            if end > start:
                spans.append(lanes[k].part(start - first, end - first))
            start, k = end, k + 1
        return tuple(spans)

    def fingerprint(self) -> str:
        """Return a short text that changes when the data change."""
        return self._seen()


def constant(value: Any, rows: int, dtype: np.dtype[Any]) -> Column:
    """Return a column that holds one value: text, an integer, or None."""
    if dtype.kind == "T":
        levels = () if value is None else (str(value),)
        return Coded(np.full(rows, -1 if value is None else 0, np.int32), levels)
    missing = math.nan if dtype.kind == "f" else np.iinfo(np.int64).min
    found: NDArray[Any] = np.full(rows, missing if value is None else value, dtype)
    return found
