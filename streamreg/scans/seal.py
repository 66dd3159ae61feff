"""Checksums of rows, beside a file: what its format cannot see, later scans can.

A seal has a sum for each column of each stretch of rows: of the 64-bit patterns of the values, times a weight that
depends on the row number, modulo 2**64. One changed value is found for certain, more of them but for one chance in
2**64 or so. The sums do not depend on chunks, compression, threads or which columns are read. They are made against
damage: who forges rows can forge a seal.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.engines.base import Engine
from streamreg.errors import CorruptError, DataError, UsageError
from streamreg.persist import archive
from streamreg.sources.base import Partition, Source
from streamreg.sources.chunk import Chunk, Coded, Column
from streamreg.sources.filters.source import FilteredSource
from streamreg.sources.marked import MarkedSource

SUFFIX = ".seal"
STRETCH = 2**16
"""Rows of a stretch."""

_KIND = "seal"
_PERIOD = 61  # rows after which weights come again: a prime, so that no page of a file is a multiple of it
_WEIGHTS = np.random.default_rng(61).integers(0, 2**63, _PERIOD, dtype=np.uint64) * 2 + 1  # odd: no change is lost

U64 = NDArray[np.uint64]


@dataclass(slots=True)
class Sums:
    """Sums over some rows: of each stretch, the number of rows and the sum of each column.

    Attributes
    ----------
    most : int or None
        Rows from this one on are passed over: they came after the seal.
    names : tuple of str
    stretches : dict of int to (int, ndarray)
    """

    most: int | None = None
    names: tuple[str, ...] = ()
    stretches: dict[int, tuple[int, U64]] = field(default_factory=dict)

    def of(self, chunks: Iterator[Chunk], columns: Sequence[str] | None) -> Iterator[Chunk]:
        """Yield chunks, and add their rows; `columns` are those to sum."""
        for chunk in chunks:
            self.add(chunk, columns)
            yield chunk

    def add(self, chunk: Chunk, columns: Sequence[str] | None = None) -> None:
        """Add rows, but none that were not read."""
        if not chunk.read:
            return
        vectors = [name for name in chunk.vectors if columns is None or name in columns]
        self.names = (*chunk.names, *vectors)
        at, end = 0, len(chunk) if self.most is None else min(len(chunk), self.most - chunk.start)
        while at < end:
            row = chunk.start + at
            stop = min(end, at + STRETCH - row % STRETCH)
            parts = [_matrix(chunk.matrix[at:stop], row)]
            if chunk.low is not None:
                parts[0] += np.uint64(3) * _matrix(chunk.low[at:stop], row)
            parts += [_matrix(_plain(chunk.vectors[name][at:stop])[:, None], row) for name in vectors]
            self._put(row // STRETCH, stop - at, np.concatenate(parts))
            at = stop

    def merge(self, other: "Sums") -> None:
        """Add the sums of other rows of the same columns."""
        self.names = other.names or self.names
        for number, (rows, sums) in other.stretches.items():
            self._put(number, rows, sums)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the sums as plain arrays."""
        numbers = sorted(self.stretches)
        return {
            "numbers": np.array(numbers, np.int64),
            "rows": np.array([self.stretches[k][0] for k in numbers], np.int64),
            "sums": np.array([self.stretches[k][1] for k in numbers], np.uint64).reshape(len(numbers), -1),
            "names": np.array(json.dumps(self.names)),
        }

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Add the sums that `to_arrays` returned."""
        self.names = tuple(json.loads(str(arrays["names"])))
        for number, rows, sums in zip(arrays["numbers"].tolist(), arrays["rows"].tolist(), arrays["sums"], strict=True):
            self._put(number, rows, sums)

    def _put(self, number: int, rows: int, sums: U64) -> None:
        old = self.stretches.get(number)
        self.stretches[number] = (rows, sums) if old is None else (old[0] + rows, old[1] + sums)


def _plain(values: Column) -> NDArray[Any]:
    """Return text as hashes of it."""
    if not isinstance(values, Coded):
        return values
    levels = [int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") for text in values.levels]
    return np.array([*levels, 0], dtype=np.uint64)[values.codes]


def _matrix(values: NDArray[Any], row: int) -> U64:
    """Return the sums of columns whose first value has this row number, shape (q,)."""
    m, q = values.shape
    if not q:
        return np.zeros(0, np.uint64)
    patterns = np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")
    weights = np.roll(_WEIGHTS, -(row % _PERIOD))
    whole = m - m % _PERIOD
    # Rows of the same weight are added first: that is one addition for each value, and no product.
    same = patterns[:whole].reshape(-1, _PERIOD * q).sum(axis=0, dtype=np.uint64).reshape(_PERIOD, q)
    rest = patterns[whole:].astype(np.uint64)
    return np.asarray(weights @ same + weights[: m - whole] @ rest)


@dataclass(frozen=True, slots=True)
class Seal:
    """What a seal says.

    Attributes
    ----------
    path : Path
    table : str
        Which table of the file it is of.
    names : tuple of str
    rows : int
    sums : ndarray of shape (number of stretches, number of columns)
    """

    path: Path
    table: str
    names: tuple[str, ...]
    rows: int
    sums: U64

    def check(self, label: str, found: Sums) -> int:
        """Compare the sums of a scan, and return of how many rows they are.

        Stretches that were not read as a whole are passed over.

        Raises
        ------
        CorruptError
            Some differ; the message says which rows and columns.
        """
        here = [k for k, name in enumerate(found.names) if name in self.names]
        there = [self.names.index(found.names[k]) for k in here]
        proven = 0
        for number, (rows, sums) in sorted(found.stretches.items()):
            first = number * STRETCH
            last = min(first + STRETCH, self.rows)
            if rows != last - first:
                continue
            wrong = np.flatnonzero(sums[here] != self.sums[number, there])
            if len(wrong):
                names = ", ".join(repr(found.names[here[k]]) for k in wrong[:3])
                names += f" and {len(wrong) - 3} more" * (len(wrong) > 3)
                raise CorruptError(
                    f"{label}: rows {first:,} to {last - 1:,} are not those of its seal (column {names}): they are "
                    f"damaged, or were written anew; get a sound copy, or seal the file again ({self.path})"
                )
            proven += rows if here else 0
        return proven


def path_of(source: Source) -> Path | None:
    """Return where the seal of a source is, if it is of one file or folder; None of one in memory."""
    label = Path(source.label)
    return label.with_name(label.name + SUFFIX) if source.schema.n_rows is not None and label.exists() else None


def beside(source: Source) -> Seal | None:
    """Return the seal of a source, if there is one.

    Raises
    ------
    CorruptError
        The seal is damaged, or is of more rows than there are.
    """
    path = path_of(source)
    if path is None or not path.is_file():
        return None
    values, arrays = archive.load(path, _KIND)
    try:
        names, rows = tuple(values["names"]), int(values["rows"])
        sums = arrays["sums"]
        sound = sums.shape == (-(-rows // STRETCH), len(names)) and sums.dtype == np.uint64
        sound = sound and values["stretch"] == STRETCH
        seal = Seal(path, str(values["table"]), names, rows, sums)
    except Exception as error:  # whatever an edited file leads to
        raise CorruptError(f"{path}: damaged, or edited ({error!r}); seal the file again") from error
    if not sound:
        raise CorruptError(f"{path}: damaged, or edited: its sums are not of {rows:,} rows; seal the file again")
    if seal.table != source.table:
        return None
    if rows > (n := source.schema.n_rows or 0):
        raise CorruptError(
            f"{source.label}: has {n:,} rows, and its seal is of {rows:,}: rows are lost, or it was written anew; get "
            f"a sound copy, or seal the file again ({path})"
        )
    return seal


def write(source: Source, found: Sums) -> Path:
    """Write the seal of a source beside it, from sums over all of its rows.

    Raises
    ------
    UsageError
        It is not one file or folder.
    """
    path = path_of(source)
    if path is None:
        raise UsageError(f"{source.label}: a seal lies beside a file, and this is none; open a path")
    rows = sum(count for count, _ in found.stretches.values())
    sums = np.stack([found.stretches[k][1] for k in sorted(found.stretches)])
    values = {"table": source.table, "names": found.names, "rows": rows, "stretch": STRETCH}
    archive.write(path, _KIND, values, {"sums": sums})
    return path


def read(source: Source, engine: Engine, most: int | None = None) -> Sums:
    """Read all rows of all columns as they are stored, and return their sums; rows from `most` on are read alone.

    Raises
    ------
    ChangedError, CorruptError
        As for any scan.
    DataError
        The source has no rows.
    """
    while isinstance(source, FilteredSource | MarkedSource):
        source = source.inner
    total = Sums(most)
    for part in engine.map(partial(_of_partition, most=most), source.partitions()):
        total.merge(part)
    if not total.stretches:
        raise DataError(f"{source.label}: no rows")
    return total


def _of_partition(partition: Partition, most: int | None) -> Sums:
    found = Sums(most)
    for chunk in partition.chunks(1024):
        found.add(chunk)
    return found


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` found: all rows were read, and so many of them were compared with a seal."""

    label: str
    rows: int
    proven: int
    columns: int
    left: tuple[str, ...] = ()

    def __str__(self) -> str:
        every = f"{self.label}: {self.rows:,} rows x {self.columns:,} columns can be read."
        if self.proven:
            rest = self.rows - self.proven
            left = f" {rest:,} rows came later, and are not proven: seal the file again." if rest else ""
            if self.left:
                names = ", ".join(map(repr, self.left))
                left += f" Sealed columns were not read: {names}; name a dataset of its own with --target or --weights."
            return f"{every} {self.proven:,} rows are those that were sealed.{left}"
        return (
            f"{every} There is no seal: beyond what the checksums of its format show, changed values would not be "
            f"noticed. streamreg seal {self.label} makes one."
        )


def verify(source: Source, engine: Engine) -> Verified:
    """Read all rows without fitting, and compare them with the seal, if there is one.

    Raises
    ------
    CorruptError
        Rows cannot be read, or are not those of the seal.
    """
    held = beside(source)
    found = read(source, engine, None if held is None else held.rows)
    proven = 0 if held is None else held.check(source.label, found)
    left = () if held is None else tuple(name for name in held.names if name not in found.names)
    return Verified(source.label, source.schema.n_rows or 0, proven, len(found.names), left)
