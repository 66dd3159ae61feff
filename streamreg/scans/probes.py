"""Which rows a scan has read: probes of them, and the rows that came after.

A scan of a source leaves `Part.probes`: hashes of a few rows at the beginning of up to sixteen partitions and of the
last rows. They cost no extra reading. Before rows are appended, the same places of the grown source are read again and
must hash alike. So a source that was replaced, sorted, shifted or changed at one of these places is noticed; a change
of old rows elsewhere is not.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import ChangedError, UsageError
from streamreg.sources.base import BLOCK, Partition, Source
from streamreg.sources.chunk import Chunk, Coded
from streamreg.stats.provenance import Part

PROBE = 64
"""Rows of a probe."""

_PLACES = 16

Probes = dict[int, tuple[int, str]]
"""Row number to number of rows, and their hash."""


_BY_COLUMN = "columns "
"""What hashes of columns begin with; those of earlier versions were of the matrix as a whole."""


def hash_of(chunk: Chunk, columns: Iterable[str], part: slice = slice(None)) -> str:
    """Return a hash of some rows of some columns, as stored, in whatever order the columns lie; of those that pass."""
    chunk = chunk.cut(*part.indices(len(chunk))[:2]).passing()
    place = {name: k for k, name in enumerate(chunk.names)}
    total = hashlib.sha256()
    for name in sorted(set(columns)):
        values = chunk.vectors[name] if name in chunk.vectors else chunk.matrix[:, place[name]]
        if isinstance(values, Coded):
            total.update(f"{name!r} {values.texts()}".encode())
            continue
        total.update(f"{name!r} {values.dtype.str}".encode())
        total.update(values.tobytes())
    return _BY_COLUMN + total.hexdigest()[:24]


def _hash_of_all(chunk: Chunk) -> str:
    """Return the hash of all columns that earlier versions left."""
    total = hashlib.sha256(f"{chunk.names} {chunk.matrix.dtype.str}".encode())
    total.update(chunk.matrix.tobytes())
    for name, values in sorted(chunk.vectors.items()):
        assert not isinstance(values, Coded), "earlier versions read no text"
        total.update(f"{name} {values.dtype.str}".encode())
        total.update(values.tobytes())
    return total.hexdigest()[:24]


def places(partitions: int) -> tuple[list[bool], list[bool]]:
    """Return of each partition whether its first rows are marked, and whether its last ones are."""
    chosen = set(np.linspace(0, partitions - 1, min(partitions, _PLACES)).round().astype(int).tolist())
    return [k in chosen for k in range(partitions)], [k == partitions - 1 for k in range(partitions)]


def probing(
    chunks: Iterator[Chunk], columns: Sequence[str], first: bool, last: bool, probes: Probes
) -> Iterator[Chunk]:
    """Yield the chunks of a partition, and note hashes of its first or last rows in `probes`."""
    end = None
    for chunk in chunks:
        here = (0, len(chunk)) if chunk.passed is None else _passing(chunk.passed)
        if first and here[1]:
            stop = min(here[0] + PROBE, len(chunk))
            probes[chunk.start + here[0]] = (stop - here[0], hash_of(chunk, columns, slice(here[0], stop)))
            first = False
        if last and here[1]:
            at = max(here[1] - PROBE, 0)
            end = (chunk.start + at, (here[1] - at, hash_of(chunk, columns, slice(at, here[1]))))
        yield chunk
    if end is not None:
        probes.setdefault(*end)


def _passing(passed: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first row that passes, and the one after the last; (0, 0): none does."""
    rows = np.flatnonzero(passed)
    return (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)


def listed(probes: Probes) -> tuple[tuple[int, int, str], ...]:
    """Return (row, number of rows, hash), in row order."""
    return tuple((row, *rest) for row, rest in sorted(probes.items()))


class Later(Source):
    """The rows of a source from a certain one on, under their old numbers.

    Only the partition that holds the border is read from its beginning (about 32 MB at most).
    """

    def __init__(self, inner: Source, first: int) -> None:
        self.inner, self.schema, self.label, self.roles = inner, inner.schema, inner.label, inner.roles
        self.one_pass = inner.one_pass
        self.first = first

    @property
    def table(self) -> str:
        """The inner source's."""
        return self.inner.table

    @property
    def where(self) -> str:
        """The inner source's."""
        return self.inner.where

    def recipe(self) -> dict[str, Any]:
        """Return the inner source's."""
        return self.inner.recipe()

    def partitions(self, block: int = BLOCK, columns: Sequence[str] | None = None) -> Sequence[Partition]:
        """Return the partitions with such rows."""
        return [
            p if p.start >= self.first else _LaterPartition(p, self.first)
            for p in self.inner.partitions(block, columns)
            if p.stop is None or p.stop > self.first
        ]

    def fingerprint(self) -> str:
        """Return the inner source's."""
        return self.inner.fingerprint()


@dataclass
class _LaterPartition(Partition):
    inner: Partition
    start: int
    stop: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.stop = self.inner.stop

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield the rows from `start` on."""
        for chunk in self.inner.chunks(rows):
            at = max(self.start - chunk.start, 0)
            if at < len(chunk):
                yield chunk.cut(at, len(chunk)) if at else chunk


def new_rows(source: Source, part: Part, columns: Sequence[str]) -> Source | None:
    """Return the rows of a grown source that came after those of `part`, or None if there are none.

    `columns` are those that were scanned.

    Raises
    ------
    ChangedError
        There are fewer rows than there were, or some of the old ones changed.
    UsageError
        The source cannot say how many rows it has.
    """
    n = source.schema.n_rows
    if n is None or source.one_pass:
        raise UsageError(
            f"{source.label}: rows are appended from files and arrays, which can be read from the middle on"
        )
    if n < part.rows:
        raise ChangedError(
            f"{source.label}: has {n:,} rows, and {part.rows:,} were scanned; it was replaced or cut, so scan all of it"
        )
    for row, count, expected in part.probes:
        if _hash_at(source, row, count, columns if expected.startswith(_BY_COLUMN) else None) != expected:
            raise ChangedError(
                f"{source.label}: rows from {row:,} on are not those that were scanned; scan all of it again"
            )
    return Later(source, part.rows) if n > part.rows else None


def _hash_at(source: Source, row: int, count: int, columns: Sequence[str] | None) -> str:
    """Hash as many rows from `row` on; without `columns`, as earlier versions did."""
    pieces = []
    for partition in source.partitions(columns=columns):
        if partition.stop is not None and partition.stop <= row:
            continue
        for chunk in partition.chunks(PROBE):
            if chunk.start + len(chunk) <= row:
                continue
            here = max(row - chunk.start, 0), min(row + count - chunk.start, len(chunk))
            pieces.append(chunk.cut(*here).owned())
            if chunk.start + len(chunk) >= row + count:
                found = Chunk.joined(pieces)
                return _hash_of_all(found) if columns is None else hash_of(found, columns)
    return ""
