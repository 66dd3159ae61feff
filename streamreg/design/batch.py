"""Rows of a design as numbers: what statistics absorb."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels.scratch import scratch
from streamreg.sources.chunk import Column, below


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows ready to accumulate. Never written to: the arrays may be views of storage.

    Attributes
    ----------
    x : ndarray of shape (m, p)
        Features, in the storage's type; all values finite.
    y : ndarray of shape (m,) or None
        Target, in the storage's type; all values finite.
    weight : float64 ndarray of shape (m,) or None
        Positive weights.
    start : int
        Row number, in the source, of the first row read.
    read : int
        Rows read; those that a filter or a sample leaves out, with zero weight or with missing values are not in `x`.
    missing : int
        Rows left out for a missing value.
    missing_in : dict of str to int
        In how many of them each column has no value.
    low : float64 ndarray of shape (m, p) or None
        What `x` lacks to the exact values, where they are known to twice float64's digits.
    keys : int64 ndarray of shape (m, k) or None
        What groups the rows belong to.
    labels : tuple of dict of int to str
        For each key, the names of those of its groups that have a name: texts and dates.
    columns : dict of str to Column
        Columns as they are stored, for what learns of them; then `x` has none.
    beside : dict of str to float64 ndarray of shape (m,)
        Numbers of the rows that are neither features, nor target, nor weights, by their role: "offset" and the like.
    kept : int ndarray of shape (m,) or None
        Where the rows of `x` stand among the rows read; None: all of them are there.
    """

    x: NDArray[Any]
    y: NDArray[Any] | None
    weight: NDArray[np.float64] | None
    start: int
    read: int
    missing: int = 0
    low: NDArray[np.float64] | None = None
    keys: NDArray[np.int64] | None = None
    kept: NDArray[np.int64] | None = None
    labels: tuple[dict[int, str], ...] = ()
    columns: dict[str, Column] = field(default_factory=dict)
    beside: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    missing_in: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def joined(cls, parts: "Sequence[Batch]") -> "Batch":
        """Return batches of one block as one; the rows between them count as read, and are left out.

        They are at least two, of the same design.
        """
        first, last = parts[0], parts[-1]
        kept = [(np.arange(len(b)) if b.kept is None else b.kept) + (b.start - first.start) for b in parts]
        low = [np.zeros(b.x.shape) if b.low is None else b.low for b in parts]
        labels: tuple[dict[int, str], ...] = tuple({} for _ in first.labels)
        for part in parts:
            for known, found in zip(labels, part.labels, strict=True):
                known |= found
        return cls(
            np.concatenate([b.x for b in parts]),
            _below([b.y for b in parts]),
            _below([b.weight for b in parts]),
            first.start,
            last.start + last.read - first.start,
            sum(b.missing for b in parts),
            None if all(b.low is None for b in parts) else np.concatenate(low),
            _below([b.keys for b in parts]),
            np.concatenate(kept),
            labels,
            {name: below([b.columns[name] for b in parts]) for name in first.columns},
            {role: np.concatenate([b.beside[role] for b in parts]) for role in first.beside},
        )

    def ordered(self, order: NDArray[np.int64]) -> "Batch":
        """Return the rows in another order, as a batch that was read alone; its `x` is overwritten by the next one.

        Large arrays that come and go cost pages of the system each time, twice as much as what is done with them where
        memory is given back at once, as on workers of a cluster.
        """
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        m, p = self.x.shape
        memory = scratch(-(-m * self.x.itemsize // 8), p, "ordered").reshape(-1)
        x = memory.view(self.x.dtype)[: m * p].reshape(m, p)
        x[place] = self.x
        rest = replace(self, x=self.x[:, :0]).take(order)
        return replace(rest, x=x)

    def take(self, rows: NDArray[np.int64] | slice) -> "Batch":
        """Return some of the rows, as a batch that was read alone."""
        x, weight, low = self.x[rows], self.weight, self.low
        return Batch(
            x,
            None if self.y is None else self.y[rows],
            None if weight is None else weight[rows],
            self.start,
            len(x),
            low=None if low is None else low[rows],
            beside={role: values[rows] for role, values in self.beside.items()},
        )


def _below(parts: Sequence[NDArray[Any] | None]) -> Any:
    """Return arrays one below the other; None if there are none."""
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None
