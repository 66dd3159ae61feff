"""Deviances of many linear predictors on the same rows: the held-out error of a path."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.families import family
from streamreg.kernels import doubledouble as dd
from streamreg.line import Line
from streamreg.stats.base import Statistic, block_rows
from streamreg.stats.response import Response
from streamreg.stats.tree import BlockTree, unchanged


class Deviances(Statistic):
    """Sum of the deviances of each of m predictors, and of the weights.

    Parameters
    ----------
    names : sequence of str
        The p features, then the target.
    family : str
    lines : Line
        m of them about one point.

    Notes
    -----
    Cost: one pass, ``m p`` multiplications and m exponentials or logarithms a row.
    """

    def __init__(self, names: Sequence[str], family: str, lines: Line) -> None:
        self.names, self.family, self.lines = tuple(names), family, lines
        self.block_rows = block_rows(len(self.names))
        self._tree: BlockTree[dd.DD] = BlockTree(dd.add, unchanged)

    def fresh(self) -> Self:
        """Return an empty statistic of the same predictors."""
        return type(self)(self.names, self.family, self.lines)

    @property
    def deviances(self) -> NDArray[np.float64]:
        """Sums of weighted deviances, shape (m,)."""
        return self._tree.total()[0][1:]

    @property
    def weight(self) -> float:
        """Sum of the weights, times trials where there are such."""
        return float(self._tree.total()[0][0])

    def _absorb(self, batch: Batch) -> None:
        facts = family(self.family)
        found = Response.of(batch, facts, self.names[-1])
        eta = self.lines.values(batch.x, batch.low)
        if found.offset is not None:
            eta = eta + found.offset[:, None]
        sums = [found.prior.sum(), *(found.prior @ facts.deviance(found.y, column) for column in eta.T)]
        self._tree.push(batch.start // self.block_rows, dd.from_float(np.array(sums)))

    def _join(self, other: Self) -> None:
        self._tree.join(other._tree.nodes)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays."""
        meta = {"names": self.names, "family": self.family, **self.counts()}
        nodes = self._tree.nodes
        return {
            "meta": np.array(json.dumps(meta)),
            "centre": self.lines.centre,
            "coef": self.lines.coef,
            "at": np.asarray(self.lines.at),
            "place": np.array([place for *place, _ in nodes], dtype=np.int64).reshape(-1, 2),
            "sums": np.array([sums for *_, sums in nodes]).reshape(-1, 2, 1 + len(self.lines.coef)),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state."""
        meta = json.loads(str(arrays["meta"]))
        self = cls(meta["names"], meta["family"], Line(arrays["centre"], arrays["coef"], arrays["at"]))
        self.n, self.n_read, self.n_missing = meta["n"], meta["n_read"], meta["n_missing"]
        pairs = zip(arrays["place"].tolist(), arrays["sums"], strict=True)
        self._tree.join((level, index, (high, low)) for (level, index), (high, low) in pairs)
        return self
