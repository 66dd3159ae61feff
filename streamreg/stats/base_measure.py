"""The part of a log-likelihood that depends on targets, weights and dispersion, but not on the means."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.families import family
from streamreg.kernels import doubledouble as dd
from streamreg.stats.base import Statistic, block_rows
from streamreg.stats.response import Response
from streamreg.stats.tree import BlockTree, unchanged


class BaseMeasure(Statistic):
    """Sum of the `Family.base_measure` of the rows.

    Parameters
    ----------
    target : str
    family : str
    dispersion : float
    frequency : bool
        Whether a weight says how often a row occurred, rather than how precise it is.

    Notes
    -----
    Cost: one pass over the target and the weights.
    """

    def __init__(self, target: str, family: str, dispersion: float, frequency: bool) -> None:
        self.target, self.family, self.dispersion, self.frequency = target, family, dispersion, frequency
        self.block_rows = block_rows(2)
        self._tree: BlockTree[dd.DD] = BlockTree(dd.add, unchanged)

    @property
    def total(self) -> float:
        """The sum over all rows."""
        return float(self._tree.total()[0][0])

    def fresh(self) -> Self:
        """Return an empty statistic of the same family and dispersion."""
        return type(self)(self.target or "", self.family, self.dispersion, self.frequency)

    def _absorb(self, batch: Batch) -> None:
        facts = family(self.family)
        found = Response.of(batch, facts, self.target or "")
        one = np.ones_like(found.y)
        precision = (one if self.frequency else found.own) / self.dispersion
        each = facts.base_measure(found.y, precision) * (found.own if self.frequency else one)
        self._tree.push(batch.start // self.block_rows, dd.from_float(np.array([each.sum()])))

    def _join(self, other: Self) -> None:
        self._tree.join(other._tree.nodes)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays."""
        nodes = self._tree.nodes
        return {
            "about": np.array([self.target or "", self.family]),
            "numbers": np.array([self.dispersion, self.frequency, self.n, self.n_read, self.n_missing], np.float64),
            "place": np.array([place for *place, _ in nodes], dtype=np.int64).reshape(-1, 2),
            "sums": np.array([sums for *_, sums in nodes]).reshape(-1, 2, 1),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state."""
        target, name = (str(text) for text in arrays["about"])
        numbers = arrays["numbers"].tolist()
        self = cls(target, name, numbers[0], bool(numbers[1]))
        self.n, self.n_read, self.n_missing = (int(value) for value in numbers[2:])
        pairs = zip(arrays["place"].tolist(), arrays["sums"], strict=True)
        self._tree.join((level, index, (high, low)) for (level, index), (high, low) in pairs)
        return self
