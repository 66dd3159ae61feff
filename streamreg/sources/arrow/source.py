"""A table whose rows come as record batches of Arrow."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError
from streamreg.sources.arrow.columns import Levels, column
from streamreg.sources.arrow.fields import Fields
from streamreg.sources.arrow.lane import Lane, Stream
from streamreg.sources.base import BLOCK, Partition, Schema, Source
from streamreg.sources.chunk import Chunk, Coded, Column
from streamreg.sources.ranges import Known

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
            levels = {name: Levels() for name, dtype in self.dtypes.items() if dtype.kind == "T"}
            for batch in lane.take(start, stop):
                yield chunk_of(batch, at, self.dtypes, lane.stream.label, lane.stream.constants, levels)
                at += len(batch)

    def cut(self, start: int, stop: int) -> Partition:
        """Return some of the rows."""
        spans, at = list[Span](), self.start
        for lane, first, last in self.spans:
            a, b = (min(max(row - at, 0), last - first) + first for row in (start, stop))
            if a < b:
                spans.append((lane, a, b))
            at += last - first
        return replace(self, start=start, stop=stop, spans=tuple(spans))


def chunk_of(
    batch: Any,
    start: int,
    dtypes: Mapping[str, np.dtype[Any]],
    label: str,
    constants: Mapping[str, Any] | None = None,
    levels: Mapping[str, Levels] | None = None,
) -> Chunk:
    """Return a record batch as a chunk.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
    start : int
        Number of its first row.
    dtypes : mapping of str to dtype
        Of the columns wanted.
    label : str
        What errors call the rows.
    constants : mapping of str to value, optional
        Columns that hold one value.
    levels : mapping of str to Levels, optional
        What is known of texts.
    """
    place, m, held = {name: k for k, name in enumerate(batch.schema.names)}, len(batch), constants or {}
    vectors: dict[str, Column] = {}
    for name, dtype in dtypes.items():
        if name in held:
            vectors[name] = constant(held[name], m, dtype)
        else:
            values = batch.column(place[name])
            vectors[name] = column(values, f"{label}: column {name!r}", dtype, (levels or {}).get(name))
    return Chunk(start, np.empty((m, 0)), (), vectors)


def usable(schema: Schema, columns: Sequence[str] | None) -> dict[str, np.dtype[Any]]:
    """Return the types of the columns wanted; by default all that can be used."""
    wanted = None if columns is None else set(columns)
    pairs = zip(schema.names, schema.dtypes, strict=True)
    return {name: dtype for name, dtype in pairs if (dtype.kind != "O" if wanted is None else name in wanted)}


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
        dtypes, step = self._cut(block, columns)
        rows = self.schema.n_rows or 0
        lanes = [Lane(stream, list(dtypes), step) for stream in self._streams]
        borders = [(a, min(a + step, rows)) for a in range(0, rows, step)]
        return [ArrowPartition(a, b, self._spans(lanes, a, b), dtypes) for a, b in borders]

    def runs(self, columns: Sequence[str] | None = None) -> list[list[Partition]]:
        """Return partitions by what is decoded together, a row group or some; each run has a reader of its own."""
        dtypes, step = self._cut(BLOCK, columns)
        out: list[list[Partition]] = []
        at = 0
        for piece in (piece for stream in self._streams for piece in stream.pieces(step)):
            lane = Lane(piece, list(dtypes), step)
            cuts = [(a, min(a + step, piece.rows)) for a in range(0, piece.rows, step)]
            parts: list[Partition] = [ArrowPartition(at + a, at + b, (lane.span(a, b),), dtypes) for a, b in cuts]
            alone = piece.part(0, 1) is not None
            out += [[part] for part in parts] if alone else [parts] * bool(parts)
            at += piece.rows
        return out

    def _cut(self, block: int, columns: Sequence[str] | None) -> tuple[dict[str, np.dtype[Any]], int]:
        """Return the types of columns, and the rows of a partition."""
        dtypes = usable(self.schema, columns)
        self._fields.require(dtypes, self.label)
        rows = self.schema.n_rows or 0
        row_bytes = sum(8 if dtype.kind == "T" else dtype.itemsize for dtype in dtypes.values())
        step = max(min(PART_BYTES // max(1, row_bytes), _MOST_ROWS), rows // _MOST_PARTS)
        # where row groups have powers of two, borders coincide
        return dtypes, block << max(0, (step // block).bit_length() - 1)

    def _spans(self, lanes: Sequence[Lane], start: int, stop: int) -> tuple[Span, ...]:
        """Return where rows `start` to `stop` lie."""
        spans = []
        k = bisect_right(self._stops, start)
        while start < stop:
            first = self._stops[k] - self._streams[k].rows
            end = min(stop, self._stops[k])
            if end > start:
                spans.append(lanes[k].span(start - first, end - first))
            start, k = end, k + 1
        return tuple(spans)

    def ranges(self, columns: Sequence[str]) -> Iterator[Known]:
        """Yield what files say of columns, in runs of rows."""
        texts = {name for name in columns if self.schema.dtype(name).kind == "T"}
        for stream, stop in zip(self._streams, self._stops, strict=True):
            first = stop - stream.rows
            for a, b, known in stream.ranges(columns):
                yield first + a, first + b, {n: r.texts() if n in texts else r for n, r in known.items()}

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
