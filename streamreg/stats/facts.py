"""What a generalised linear model asks of the rows whatever its coefficients: means, and parts of the likelihood."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.families.base import Family
from streamreg.kernels import doubledouble as dd
from streamreg.stats.response import Response, row_of
from streamreg.stats.tree import BlockTree, unchanged


class Facts:
    """Sums over the rows of a target: part of the state of a scan.

    Parameters
    ----------
    frequency : bool
        Whether weights are counts of rows.

    Attributes
    ----------
    n : int
        Rows.
    broken : str
        Where the first count is that is not a whole number.
    """

    def __init__(self, frequency: bool) -> None:
        self.frequency, self.broken, self.n = frequency, "", 0
        self._tree: BlockTree[dd.DD] = BlockTree(dd.add, unchanged)

    def absorb(self, batch: Batch, facts: Family, found: Response, block: int) -> None:
        """Take up the rows of a block, given its number."""
        y, prior = found.y, found.prior
        fractions = np.zeros(len(y), bool)
        if facts.whole or found.trials is not None:
            counts = found.counts
            fractions = np.abs(counts - np.rint(counts)) > 1e-9 * np.maximum(counts, 1.0)
            if fractions.any() and not self.broken:
                self.broken = row_of(batch, int(np.argmax(fractions)))
        offset = 0.0 if found.offset is None else float(prior @ found.offset)
        own = found.choices(facts, self.frequency).sum()
        sums = np.array([prior.sum(), prior @ y, own, found.own.sum(), offset, fractions.sum()])
        self._tree.push(block, dd.from_float(sums))
        self.n += len(y)

    def join(self, other: Self) -> None:
        """Take up later rows."""
        self._tree.join(other._tree.nodes)
        self.broken = self.broken or other.broken
        self.n += other.n

    @property
    def target_mean(self) -> float:
        """Mean of the target, by the rows' own weights."""
        sums = self._tree.total()
        return float(dd.divide(dd.take(sums, 1), dd.take(sums, 0))[0])

    @property
    def choices(self) -> float:
        """Sum of the rows' `Family.choices`; NaN if any of them is."""
        return float(self._tree.total()[0][2])

    @property
    def own_weight(self) -> float:
        """Sum of the rows' own weights, trials not counted."""
        return float(self._tree.total()[0][3])

    @property
    def offset_mean(self) -> float:
        """Mean of the offsets, by the rows' own weights."""
        sums = self._tree.total()[0]
        return float(sums[4] / sums[0])

    @property
    def fractions(self) -> int:
        """How many counts are not whole numbers; the first of them is in the row that `broken` says."""
        return int(self._tree.total()[0][5])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return one row of sums for each node of the tree."""
        nodes = self._tree.nodes
        return {
            "facts.frequency": np.array(self.frequency),
            "facts.n": np.array(self.n),
            "facts.broken": np.array(self.broken),
            "facts.place": np.array([place for *place, _ in nodes], dtype=np.int64).reshape(-1, 2),
            "facts.sums": np.array([sums for *_, sums in nodes]).reshape(-1, 2, 6),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the sums."""
        self = cls(bool(arrays["facts.frequency"]))
        pairs = zip(arrays["facts.place"].tolist(), arrays["facts.sums"], strict=True)
        self._tree.join((level, index, (high, low)) for (level, index), (high, low) in pairs)
        self.n, self.broken = int(arrays["facts.n"]), str(arrays["facts.broken"])
        return self
