"""Rows that stay out because of the group they are in."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Leaving:
    """Groups whose rows are left out.

    Attributes
    ----------
    groups : tuple of int64 ndarrays
        For each of the first keys of a design, in increasing order.
    """

    groups: tuple[Int, ...]

    def __repr__(self) -> str:
        total = hashlib.sha256()
        for groups in self.groups:
            total.update(groups.tobytes() + b"|")
        return f"<without {sum(map(len, self.groups)):,} groups, {total.hexdigest()[:16]}>"

    def stay(self, keys: Int) -> NDArray[np.bool_]:
        """Return which rows stay, shape (m,), given their keys, shape (m, k)."""
        stay = np.ones(len(keys), dtype=bool)
        for k, groups in enumerate(self.groups):
            if len(groups):
                own = keys[:, k]
                at = np.minimum(np.searchsorted(groups, own), len(groups) - 1)
                stay &= groups[at] != own
        return stay
