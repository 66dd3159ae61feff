"""Which columns to keep: forward selection and backward elimination, from second moments."""

import numpy as np
from numpy.typing import NDArray

from streamreg.solve.scaled import Scaled, floor, least_squares

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


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
