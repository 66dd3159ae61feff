"""Moments of indicators of levels, from sums by level: as if their columns had been written out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd
from streamreg.kernels.blas import one_thread
from streamreg.stats.chan import Centred
from streamreg.stats.levels.moments import AbsorbedMoments
from streamreg.stats.moments import Moments

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Indicators:
    """Columns that depend on the level of a factor alone.

    Attributes
    ----------
    at : slice
        Where they stand among all columns.
    count : int
        Levels, which are numbered from 0.
    kept : int ndarray of shape (c,) or None
        The levels whose indicators they are.
    table : ndarray of shape (count, c) or None
        Otherwise their value at each level.
    """

    at: slice
    count: int
    kept: NDArray[np.intp] | None = None
    table: Float | None = None

    def of_levels(self, rows: Float) -> Float:
        """Return what belongs to the columns, of what belongs to the levels: shape (c, ...) of shape (count, ...)."""
        if self.kept is not None:
            return np.asarray(rows[self.kept])
        assert self.table is not None
        return np.asarray(self.table.T @ rows)

    def sums(self, weight: Float) -> dd.DD:
        """Return the sums of the columns over the rows, given the weight of each level."""
        if self.kept is not None:
            return dd.from_float(weight[self.kept])
        assert self.table is not None
        return dd.sum_rows(dd.two_prod(self.table, weight[:, None]))


@dataclass(frozen=True, slots=True)
class _Factor:
    """Sums of the rows of each level: those that do not occur have zeros."""

    columns: Indicators
    found: NDArray[np.int64]
    weight: Float
    sums: Float

    @property
    def commonest(self) -> int:
        return int(np.argmax(self.weight))


def written(state: AbsorbedMoments, names: Sequence[str], factors: Sequence[Indicators]) -> Moments:
    """Return the moments of all columns.

    Parameters
    ----------
    state : AbsorbedMoments
        Of the other columns, in their order, by level of the factors; its sums by level are given up.
    names : sequence of str
        All columns.
    factors : sequence of Indicators

    Notes
    -----
    Indicators less their means add up to zero over the levels of a factor. So the cross-products of the commonest
    level are minus the sum of the others: those are of a size, and counts are not subtracted that nearly agree.
    """
    total, q = state.total(), len(names)
    others = np.setdiff1d(np.arange(q), np.concatenate([np.arange(q)[factor.at] for factor in factors]))
    cross, mean = np.zeros((q, q)), dd.zeros(q)
    exponent, low, high = np.zeros(q, np.int64), np.zeros(q), np.zeros(q)
    cross[np.ix_(others, others)] = total.cross
    for k in (0, 1):
        mean[k][others] = total.mean[k]
    exponent[others], low[others], high[others] = total.exponent, total.low, total.high
    with one_thread():
        held = [_held(state, f, factor) for f, factor in enumerate(factors)]
        for f, one in enumerate(held):
            here = one.columns.at
            cross[here, others] = one.columns.of_levels(one.sums)
            cross[others, here] = cross[here, others].T
            mean[0][here], mean[1][here] = dd.divide(one.columns.sums(one.weight), dd.from_float(total.weight))
            low[here], high[here] = _ends(one)
            _own(one, total.weight, cross[here, here])
            for g in range(f):
                there = held[g].columns.at
                # Of moments the lower triangle counts, and these columns come after those.
                cross[here, there] = _of_both(one, held[g], state.table(g, f).T, total.weight)
    moments = Moments.known(
        names, state.target, Centred(total.weight, total.log_weight, mean, cross, exponent, low, high), state.n
    )
    moments.n_read, moments.n_missing, moments.missing_in = state.n_read, state.n_missing, state.missing_in
    moments.record = state.record
    state.release()
    return moments


def _held(state: AbsorbedMoments, f: int, columns: Indicators) -> _Factor:
    found, _, own, rest = state.levels(f)
    weight, sums = np.zeros(columns.count), np.zeros((columns.count, rest.shape[1]))
    weight[found], sums[found] = own, rest
    return _Factor(columns, found, weight, sums)


def _ends(one: _Factor) -> tuple[Any, Any]:
    """Return the least and the greatest value of each column."""
    kept, table, occur = one.columns.kept, one.columns.table, one.weight > 0
    if kept is not None:
        return (occur[kept] & (occur.sum() == 1)).astype(float), occur[kept].astype(float)
    assert table is not None
    return table[occur].min(axis=0), table[occur].max(axis=0)


def _own(one: _Factor, total: float, out: Float) -> None:
    """Write the cross-products of the columns of a factor."""
    kept = one.columns.kept
    weight = one.weight if kept is None else one.weight[kept]
    both = out if kept is not None else np.empty((len(weight), len(weight)))
    np.multiply.outer(weight, weight / -total, out=both)
    np.fill_diagonal(both, weight * ((total - weight) / total))
    if kept is None:
        out[:] = one.columns.of_levels(one.columns.of_levels(both).T)


def _of_both(one: _Factor, other: _Factor, common: Float, total: float) -> Float:
    """Return the cross-products of the columns of two factors; `common` are the weights that levels share."""
    both = np.multiply.outer(one.weight, other.weight / -total)
    both[np.ix_(one.found, other.found)] += common
    both[:, other.commonest] = 0.0
    both[:, other.commonest] = -both.sum(axis=1)
    both[one.commonest] = 0.0
    both[one.commonest] = -both.sum(axis=0)
    return other.columns.of_levels(one.columns.of_levels(both).T).T
