"""Which columns to keep: forward, backward, and the best subset of every size, from second moments."""

import numpy as np
from numpy.typing import NDArray

from streamreg.solve.scaled import Scaled, floor, least_squares

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

_BATCH = 2048  # nodes of the search tree that are expanded together
LIMIT = 30


def refit(scaled: Scaled, included: Bool) -> Float:
    """Return the least-squares slopes of each subset, shape (m, p), in the units of the data."""
    found = np.zeros(included.shape)
    for k, subset in enumerate(included):
        index = np.flatnonzero(subset)
        found[k, index] = least_squares(scaled.gram[np.ix_(index, index)], scaled.rhs[index])
    return scaled.coefficients(found)


def sweep(table: Float, k: int) -> Float:
    """Sweep a symmetric table on row and column k (Goodnight 1979, *The American Statistician* 33, 149-158).

    After sweeping ``[[G, g], [g', 1]]`` on a set of columns, the last column holds their coefficients and, for the
    others, the inner product of what they leave unexplained with the residual; the last entry is the residual sum.
    """
    pivot = table[k, k]
    row = table[k] / pivot
    swept: Float = table - np.multiply.outer(table[:, k], row)
    swept[k], swept[:, k] = row, row
    swept[k, k] = -1.0 / pivot
    return swept


def _table(scaled: Scaled) -> Float:
    p = len(scaled.rhs)
    table = np.ones((p + 1, p + 1))
    table[:p, :p], table[:p, p], table[p, :p] = scaled.gram, scaled.rhs, scaled.rhs
    return table


def _dependent(scaled: Scaled, table: Float, used: Bool) -> Bool:
    """Return which columns the swept ones determine, to the rounding of the input and of float64 (the rank rule)."""
    p = len(used)
    share = table[:p, :p][:, used]
    tolerance = 16.0 * (scaled.rounding**2 + (share**2) @ scaled.rounding[used] ** 2)
    return ~scaled.live | (np.diag(table)[:p] <= np.maximum(floor(p), tolerance))


def forward(scaled: Scaled, size: int, keep: Bool) -> Bool:
    """Add, one by one, the column that lowers the residual sum most.

    Returns
    -------
    bool ndarray of shape (m, p)
        Subsets of growing size, first `keep`; fewer than asked for when the rest depends on them.

    Notes
    -----
    Cost: ``p**2`` operations a step.
    """
    table, used, subsets = _table(scaled), np.zeros(len(keep), dtype=bool), []
    for k in map(int, np.flatnonzero(keep)):
        if not _dependent(scaled, table, used)[k]:
            table, used[k] = sweep(table, k), True
    subsets.append(used.copy())
    while used.sum() < size:
        free = ~used & ~_dependent(scaled, table, used)
        if not free.any():
            break
        gain = np.zeros(len(used))
        gain[free] = table[:-1, -1][free] ** 2 / np.diag(table)[:-1][free]
        k = int(np.argmax(np.where(free, gain, -1.0)))
        table, used[k] = sweep(table, k), True
        subsets.append(used.copy())
    return np.array(subsets)


def independent(scaled: Scaled, keep: Bool) -> tuple[Float, Bool]:
    """Sweep on every column, in order, that those before it do not determine, columns to keep first."""
    table, used = _table(scaled), np.zeros(len(keep), dtype=bool)
    for k in map(int, [*np.flatnonzero(keep), *np.flatnonzero(~keep)]):
        if used.sum() < scaled.problem.n - scaled.problem.intercept and not _dependent(scaled, table, used)[k]:
            table, used[k] = sweep(table, k), True
    return table, used


def backward(scaled: Scaled, keep: Bool) -> Bool:
    """Drop, one by one, the column that raises the residual sum least, from all independent ones down to `keep`.

    Returns
    -------
    bool ndarray of shape (m, p)
        Subsets of growing size.

    Notes
    -----
    Cost: ``p**2`` operations a step, after ``p**3`` for the full set.
    """
    table, used = independent(scaled, keep)
    subsets = [used.copy()]
    while (used & ~keep).any():
        free = np.flatnonzero(used & ~keep)
        loss = table[free, -1] ** 2 / -np.diag(table)[free]
        k = int(free[np.argmin(loss)])
        # Sweeping twice undoes it, with the signs of row and column turned.
        table, used[k] = _unsweep(table, k), False
        subsets.append(used.copy())
    return np.array(subsets[::-1])


def _unsweep(table: Float, k: int) -> Float:
    pivot = table[k, k]
    row = -table[k] / pivot
    swept: Float = table - np.multiply.outer(table[:, k], table[k]) / pivot
    swept[k], swept[:, k] = row, row
    swept[k, k] = -1.0 / pivot
    return swept


def best(scaled: Scaled, size: int, keep: Bool) -> Bool:
    """Find, for every size, the subset with the least residual sum, by branch and bound.

    A node is a set of columns of which some may still be dropped; no subset has a smaller residual sum than a set that
    contains it, so a node whose own is no better than the best found for every size below it is left (Furnival &
    Wilson 1974, *Technometrics* 16, "leaps and bounds"). Columns whose loss would hurt most are dropped first, where
    most of the tree hangs (Gatu & Kontoghiorghes 2006, *Journal of Computational and Graphical Statistics* 15). Many
    nodes are expanded at once.

    Returns
    -------
    bool ndarray of shape (m, p)
        Subsets of growing size, of the independent columns.

    Notes
    -----
    Cost: ``p**2`` operations a node; the number of nodes depends on the data, ``2**p`` at the worst.
    """
    table, used = independent(scaled, keep)
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
