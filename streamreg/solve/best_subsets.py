"""The best subset of every size: all are tried, or of many columns those that branch and bound does not rule out."""

from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError
from streamreg.solve.digits import EPS
from streamreg.solve.scaled import Scaled, floor, least_squares
from streamreg.solve.subsets import backward, forward, independent

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

_BATCH = 2048  # nodes of the search tree that are expanded together
LIMIT = 30
ENUMERATED = 12
"""Up to so many columns all subsets are tried."""

MOST = 18
"""Up to so many columns they are where the columns depend on each other, or nearly: some seconds."""

_STEEP = 1e6  # condition of the Gram matrix beyond which its inverse says little of small subsets
_MATTERS = 1e-6  # relative differences of residual sums below this are a tie


def best(scaled: Scaled, size: int, keep: Bool) -> tuple[Bool, Bool]:
    """Find, for every size, the subset of independent columns with the least residual sum.

    Up to `ENUMERATED` columns all subsets are tried, each by its own Gram matrix; so are up to `MOST` where columns
    depend on each other, or nearly. Beyond that by branch and bound, which works from the inverse of all columns: a
    node is a set of columns of which some may still be dropped; no subset has a smaller residual sum than a set that
    contains it, so a node whose own is no better than the best found for every size below it is left (Furnival &
    Wilson 1974, *Technometrics* 16, "leaps and bounds"). Columns whose loss would hurt most are dropped first, where
    most of the tree hangs (Gatu & Kontoghiorghes 2006, *Journal of Computational and Graphical Statistics* 15).

    Returns
    -------
    subsets : bool ndarray of shape (m, p)
        Of growing size.
    open_ : bool ndarray of shape (m,)
        Whether rounding leaves open which subset of that size is best.

    Raises
    ------
    UsageError
        More than `MOST` columns that depend on each other, or nearly.

    Notes
    -----
    Cost: ``2**p`` solves of half as many columns; branch and bound takes ``p**2`` operations a node, and their number
    depends on the data.
    """
    candidates = int((scaled.live & ~keep).sum())
    table, used = independent(scaled, keep)
    whole = bool(used.sum() == scaled.live.sum()) and _condition(scaled) < _STEEP
    if candidates > ENUMERATED and whole:
        found = _bounded(scaled, size, keep, table, used)
        return found, np.zeros(len(found), dtype=bool)
    if candidates > MOST:
        raise UsageError(
            f"best subset of {candidates} features that depend on each other, or nearly, takes a trial of each subset: "
            f"up to {MOST}; choose features first, or use method='forward' or sr.Penalised"
        )
    return _tried(scaled, size, keep)


def _condition(scaled: Scaled) -> float:
    """Return the condition number of the Gram matrix of the columns that vary."""
    values = np.linalg.eigvalsh(scaled.gram[np.ix_(scaled.live, scaled.live)])
    return float(values[-1] / max(values[0], np.finfo(float).tiny)) if len(values) else 1.0


def _tried(scaled: Scaled, size: int, keep: Bool) -> tuple[Bool, Bool]:
    """Try every subset, some thousands of one size at a time."""
    fixed, free = np.flatnonzero(keep & scaled.live), np.flatnonzero(scaled.live & ~keep)
    most = min(size, scaled.problem.n - scaled.problem.intercept)
    subsets: list[Bool] = []
    doubts: list[bool] = []
    for more in range(len(free) + 1):
        if len(fixed) + more > most:
            break
        found, unsure = _least(scaled, fixed, free, more)
        if found is None:
            if unsure and doubts:
                doubts[-1] = True
            break
        subsets.append(found[0])
        doubts.append(found[1] or unsure)
    if not subsets:  # what is to be kept depends on itself
        return independent(scaled, keep)[1][None] & keep, np.zeros(1, dtype=bool)
    return np.array(subsets), np.array(doubts)


def _least(
    scaled: Scaled, fixed: NDArray[np.intp], free: NDArray[np.intp], more: int
) -> tuple[tuple[Bool, bool] | None, bool]:
    """Return the best of all subsets with `more` columns besides the fixed ones, and whether rounding leaves it open.

    None if all of them are dependent; and, second, whether float64 cannot tell that of some.
    """
    low, high, chosen = np.inf, np.inf, np.zeros(0, dtype=np.intp)
    rivals, unsure = np.inf, False  # the least that the residual sum of another subset may be
    batches = combinations(free.tolist(), more)
    while part := list(islice(batches, _BATCH)):
        index = np.array([[*fixed, *columns] for columns in part], dtype=np.intp).reshape(len(part), -1)
        rss, error, untold = _residual_sums(scaled, index)
        unsure |= bool(untold.any())
        for k in np.argsort(rss + error)[:2]:
            if rss[k] + error[k] < high:
                rivals = min(rivals, low)
                low, high, chosen = rss[k] - error[k], rss[k] + error[k], index[k]
            else:
                rivals = min(rivals, rss[k] - error[k])
        others = np.delete(rss - error, np.flatnonzero((index == chosen).all(axis=1)) if len(chosen) else [])
        rivals = min(rivals, float(others.min(initial=np.inf)))
    if not np.isfinite(high):
        return None, unsure
    subset = np.zeros(len(scaled.rhs), dtype=bool)
    subset[chosen] = True
    # Subsets that span the same fitted values tie, whatever the rounding: only what matters is said to be open.
    return (subset, bool(rivals < high and high - min(rivals, low) > _MATTERS * high)), unsure


def _residual_sums(scaled: Scaled, index: NDArray[np.intp]) -> tuple[Float, Float, Bool]:
    """Return residual sums of subsets, shape (m, k), in units of the target's norm, and what rounding may add to them.

    Infinite for subsets whose columns depend on each other by the rank rule; third, of which float64 cannot tell that.
    """
    m, k = index.shape
    if not k:
        return np.ones(m), np.full(m, EPS), np.zeros(m, dtype=bool)
    gram = scaled.gram[index[:, :, None], index[:, None, :]]
    rhs = scaled.rhs[index]
    rss, error = np.full(m, np.inf), np.zeros(m)
    pivots = np.ones((m, k))
    alive, untold = np.ones(m, dtype=bool), np.zeros(m, dtype=bool)
    inverse = np.zeros_like(gram)  # of the factor
    for j in range(k):
        row = np.einsum("mij,mj->mi", inverse[:, :j, :j], gram[:, j, :j])
        pivots[:, j] = gram[:, j, j] - np.einsum("mi,mi->m", row, row)
        share = np.einsum("mij,mi->mj", inverse[:, :j, :j], row)
        nu = scaled.rounding[index]
        tolerance = 16.0 * (nu[:, j] ** 2 + np.einsum("mi,mi->m", share**2, nu[:, :j] ** 2))
        # Between what rounding leaves of nothing and what float64 calls independent, it cannot tell.
        untold |= alive & (pivots[:, j] <= floor(k)) & (pivots[:, j] > np.maximum(floor(k) / 8.0, tolerance))
        alive &= pivots[:, j] > np.maximum(floor(k), tolerance)
        root = np.sqrt(np.where(alive, pivots[:, j], 1.0))
        inverse[:, j, :j] = -share / root[:, None]
        inverse[:, j, j] = 1.0 / root
    half = np.einsum("mij,mj->mi", inverse, rhs)
    slopes = np.einsum("mij,mi->mj", inverse, half)
    rss[alive] = np.maximum(1.0 - np.einsum("mi,mi->m", half, half), 0.0)[alive]
    error[alive] = EPS * (1.0 + np.einsum("mi,mi->m", slopes, slopes))[alive]
    return rss, error, untold


def _bounded(scaled: Scaled, size: int, keep: Bool, table: Float, used: Bool) -> Bool:
    index, size = np.flatnonzero(used), min(size, int(used.sum()))
    least, subsets = int((used & keep).sum()), np.zeros((int(used.sum()) + 1, len(used)), dtype=bool)
    bound = np.full(len(subsets), np.inf)
    for subset in [*backward(scaled, keep), *forward(scaled, len(index), keep)]:
        _record(scaled, subset, bound, subsets, used)
    search = _Search(bound, size, least, len(index))
    if (~keep[index]).any():
        search.run(-table[np.ix_([*index, -1], [*index, -1])], ~keep[index])
    for k, found in search.found.items():
        subsets[k] = False
        subsets[k, index[found]] = True
    return subsets[least : size + 1]


def _record(scaled: Scaled, subset: Bool, bound: Float, subsets: Bool, used: Bool) -> None:
    if (subset & ~used).any():
        return
    index, k = np.flatnonzero(subset), int(subset.sum())
    slopes = least_squares(scaled.gram[np.ix_(index, index)], scaled.rhs[index])
    rss = 1.0 - float(slopes @ scaled.rhs[index])
    if rss < bound[k]:
        bound[k], subsets[k] = rss, subset


class _Search:
    """Branch and bound over subsets of q columns; `bound` holds the least residual sum found for each size."""

    def __init__(self, bound: Float, size: int, least: int, q: int) -> None:
        self.bound, self.size, self.least, self.q = bound, size, least, q
        self.found: dict[int, Bool] = {}

    def run(self, table: Float, free: Bool) -> None:
        """Search below the full set. `table` holds the inverse, minus the slopes, and minus the residual sum."""
        stack = [(table[None], np.ones((1, self.q), dtype=bool), free[None])]
        while stack:
            tables, members, droppable = stack.pop()
            for at in range(_BATCH, len(tables), _BATCH):
                stack.append((tables[at : at + _BATCH], members[at : at + _BATCH], droppable[at : at + _BATCH]))
            children = self._expand(tables[:_BATCH], members[:_BATCH], droppable[:_BATCH])
            if children is not None:
                stack.append(children)

    def _expand(self, tables: Float, members: Bool, droppable: Bool) -> tuple[Float, Bool, Bool] | None:
        q = self.q
        diagonal = np.einsum("nii->ni", tables)[:, :q]
        with np.errstate(divide="ignore", invalid="ignore"):
            loss = np.where(droppable, tables[:, :q, q] ** 2 / diagonal, np.nan)
        rss = -tables[:, q, q][:, None] + loss
        sizes = members.sum(axis=1) - 1
        self._note(rss, sizes, members)
        # Columns that hurt less stay droppable below a child; equal ones by their order.
        order = np.argsort(np.argsort(np.nan_to_num(loss, nan=np.inf), axis=1, kind="stable"), axis=1, kind="stable")
        below = np.where(droppable, order, 0)
        # Of the sizes below a child, the least has the greatest bound.
        wanted = np.where(np.arange(len(self.bound)) <= self.size, self.bound, -np.inf)
        worst = np.maximum.accumulate(wanted[::-1])[::-1]
        lowest = np.maximum(sizes[:, None] - below, self.least)
        with np.errstate(invalid="ignore"):
            alive = droppable & (below > 0) & (rss < worst[lowest])
        parent, dropped = np.nonzero(alive)
        if not len(parent):
            return None
        row = tables[parent, dropped]
        pivot = row[np.arange(len(parent)), dropped]
        children = tables[parent] - row[:, :, None] * (row / pivot[:, None])[:, None, :]
        kept = members[parent].copy()
        kept[np.arange(len(parent)), dropped] = False
        weaker = droppable[parent] & (order[parent] < order[parent, dropped][:, None])
        return children, kept, weaker

    def _note(self, rss: Float, sizes: NDArray[np.int64], members: Bool) -> None:
        """Remember the best subset of each size among those with one column less."""
        best = np.nanmin(np.where(np.isnan(rss), np.inf, rss), axis=1)
        for k in np.unique(sizes):
            here = np.flatnonzero(sizes == k)
            node = here[np.argmin(best[here])]
            if best[node] < self.bound[k] * (1.0 - 1e-12):
                self.bound[k] = best[node]
                subset = members[node].copy()
                subset[np.nanargmin(rss[node])] = False
                self.found[int(k)] = subset
