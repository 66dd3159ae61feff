"""Checksums of rows: sums over stretches of them, one for each column; see `streamreg.scans.seal`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.sources.chunk import Chunk, Coded, Column

STRETCH = 2**16
"""Rows of a stretch."""

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
