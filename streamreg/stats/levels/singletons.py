"""Rows that are alone in a level of a factor, and those that are so once such rows are left out."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]
Places = NDArray[np.int32]


def alone(rows: Sequence[Int], met: Mapping[tuple[int, int], tuple[Places, Places, Int]]) -> list[NDArray[np.bool_]]:
    """Return which levels of each factor lose all their rows.

    Parameters
    ----------
    rows : sequence of int64 ndarrays of shape (L,)
        How many rows have each level, for each factor.
    met : mapping of (int, int) to arrays
        For factors f < g: levels that meet, and in how many rows.

    Notes
    -----
    Every level knows the sum of the levels of each other factor over its rows. Where one row is left that sum is the
    level of that row, so rows are found without being looked at, and their going is subtracted. The set that stays does
    not depend on the order in which they go: it is the largest in which no row is alone (Correia 2015, *Singletons,
    cluster-robust standard errors and fixed effects*).

    Cost: ``8 F`` bytes for each level of F factors, and a number of operations in proportion to pairs of levels.
    """
    count, left = len(rows), [own.copy() for own in rows]
    partner = [[np.zeros(len(own), dtype=np.int64) for _ in range(count)] for own in rows]
    for (f, g), (a, b, common) in met.items():
        np.add.at(partner[f][g], a, common * b)
        np.add.at(partner[g][f], b, common * a)
    for f, own in enumerate(partner):
        own[f] = np.arange(len(rows[f])) * rows[f]
    single = [np.flatnonzero(own == 1) for own in left]
    while any(map(len, single)):
        going = np.concatenate([np.stack([own[levels] for own in partner[f]], 1) for f, levels in enumerate(single)])
        going = np.unique(going, axis=0)  # a row may be alone in two ways
        for f in range(count):
            np.subtract.at(left[f], going[:, f], 1)
            for g in range(count):
                np.subtract.at(partner[f][g], going[:, f], going[:, g])
        single = [touched[left[f][touched] == 1] for f, touched in enumerate(np.unique(column) for column in going.T)]
    return [own == 0 for own in left]
