"""Residuals of a first solution: what one more pass over the rows needs to correct it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.errors import DataError
from streamreg.kernels import doubledouble as dd
from streamreg.kernels.gram import subtract
from streamreg.kernels.scratch import scratch
from streamreg.problem import Problem, Solution
from streamreg.stats.base import Statistic, block_rows
from streamreg.stats.tree import BlockTree, unchanged

Float = NDArray[np.float64]


class Residuals(Statistic):
    """Sums of ``r``, ``r**2`` and ``r z`` over the rows, z and r being columns and residuals about a given line.

    In units of 2**exponent for each column: ``r = y - at - (x - centre)'coef``. Sums of a block are float64; those of
    blocks are kept in double-double, on a tree over block numbers.

    Parameters
    ----------
    names : sequence of str
        The p features, then the target.
    centre : pair of ndarrays of shape (p + 1,)
        Double-double: the point that the line goes through.
    coef : ndarray of shape (p,)
        Slopes in the scaled units.
    exponent : int ndarray of shape (p + 1,)

    Notes
    -----
    Cost: one pass, ``4 p`` operations a row: bound by reading. ``16 p`` bytes for each level of the tree.
    """

    def __init__(self, names: Sequence[str], centre: dd.DD, coef: Float, exponent: NDArray[np.int64]) -> None:
        self.names = tuple(names)
        self.centre, self.coef, self.exponent = centre, coef, exponent
        self.block_rows = block_rows(len(self.names))
        # Rows are centred on the high part, which is exact for near data; what that leaves is the same for all rows.
        rest = np.ldexp(centre[1], -exponent)
        self._constant = float(rest[-1] - rest[:-1] @ coef)
        self._tree: BlockTree[dd.DD] = BlockTree(dd.add, unchanged)

    @classmethod
    def of(cls, problem: Problem, solution: Solution) -> Self:
        """Prepare the pass that follows a solution from float64 moments."""
        p = len(problem.names)
        scale = np.concatenate([solution.exponent + np.frexp(solution.scale)[1], [0]])
        scale[-1] = solution.target_exponent + np.frexp(np.sqrt(solution.tss))[1]
        coef = np.ldexp(solution.coef, scale[:p] - scale[p])
        centre = problem.mean if problem.intercept else dd.zeros(p + 1)
        return cls((*problem.names, problem.target), centre, coef, scale.astype(np.int64))

    def fresh(self) -> Self:
        """Return an empty statistic about the same line."""
        return type(self)(self.names, self.centre, self.coef, self.exponent)

    @property
    def sums(self) -> dd.DD:
        """``(sum w r, sum w r**2, sum w r z)``, shape (p + 2,), in the scaled units.

        Raises
        ------
        DataError
            No row was absorbed.
        """
        if not self._tree:
            raise DataError("no rows with a positive weight and without missing values; nothing to estimate from")
        return self._tree.total()

    def _absorb(self, batch: Batch) -> None:
        p, m = batch.x.shape[1], len(batch)
        z = scratch(m, p + 1, "residuals")
        assert batch.y is not None
        subtract(batch.x, self.centre[0][:p], z[:, :p])
        subtract(batch.y[:, None], self.centre[0][p:], z[:, p:])
        if batch.low is not None:
            z[:, :p] += batch.low
        if np.abs(self.exponent).max() < 1000:
            z *= np.ldexp(1.0, -self.exponent)
        else:
            np.ldexp(z, -self.exponent, out=z)
        residual = z[:, p] - z[:, :p] @ self.coef - self._constant
        weighted = residual if batch.weight is None else residual * batch.weight
        sums = np.empty(p + 2)
        sums[0], sums[1] = weighted.sum(), weighted @ residual
        sums[2:] = weighted @ z[:, :p]
        self._tree.push(batch.start // self.block_rows, dd.from_float(sums))

    def _join(self, other: Self) -> None:
        if other.names != self.names or not np.array_equal(other.coef, self.coef):
            raise DataError("residuals about different lines do not merge")
        self._tree.join(other._tree.nodes)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays: one row of `sums` for each node of the tree."""
        meta = {"names": self.names, "n": self.n, "n_read": self.n_read, "n_missing": self.n_missing}
        nodes = self._tree.nodes
        return {
            "meta": np.array(json.dumps(meta)),
            "centre": np.array(self.centre),
            "coef": self.coef,
            "exponent": self.exponent,
            "place": np.array([place for *place, _ in nodes], dtype=np.int64).reshape(-1, 2),
            "sums": np.array([sums for *_, sums in nodes]).reshape(-1, 2, len(self.names) + 1),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state."""
        meta = json.loads(str(arrays["meta"]))
        high, low = arrays["centre"]
        self = cls(meta["names"], (high, low), arrays["coef"], arrays["exponent"])
        self.n, self.n_read, self.n_missing = meta["n"], meta["n_read"], meta["n_missing"]
        places = zip(arrays["place"], arrays["sums"], strict=True)
        self._tree.join((int(level), int(index), (high, low)) for (level, index), (high, low) in places)
        return self
