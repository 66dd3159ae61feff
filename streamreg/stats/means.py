"""Means of columns over the rows where they have a value: exact sums, and so the same for any order and any cut."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.design.formula.profile import exactly_summed
from streamreg.kernels import doubledouble as dd
from streamreg.sources.chunk import missing
from streamreg.stats.base import Statistic


class Means(Statistic):
    """Sums of some columns of the batches, and of the weights of their rows.

    Parameters
    ----------
    places : sequence of int
        Which columns.

    Attributes
    ----------
    absent : list of int
        Rows in which each has no value.
    """

    block_rows = 4096

    def __init__(self, places: Sequence[int]) -> None:
        self._places = tuple(places)
        self.absent = [0] * len(self._places)
        self._sums, self._weights = [0] * len(self._places), [0] * len(self._places)

    def fresh(self) -> Self:
        """Return one that has seen no row."""
        return type(self)(self._places)

    def _absorb(self, batch: Batch) -> None:
        for k, place in enumerate(self._places):
            values = batch.x[:, place]
            here = ~missing(values)
            found = values[here].astype(np.float64)
            self.absent[k] += len(values) - len(found)
            weight = np.ones(len(found)) if batch.weight is None else batch.weight[here]
            none = np.zeros(len(found))
            high, low = dd.multiply((found, none), (weight, none))
            self._sums[k] += exactly_summed(high) + exactly_summed(low)
            self._weights[k] += exactly_summed(weight)

    def _join(self, other: Self) -> None:
        for mine, others in (
            (self.absent, other.absent),
            (self._sums, other._sums),
            (self._weights, other._weights),
        ):
            mine[:] = [a + b for a, b in zip(mine, others, strict=True)]

    def mean(self, k: int) -> float | None:
        """Return the weighted mean of a column; None if it has no value."""
        return float(Fraction(self._sums[k], self._weights[k])) if self._weights[k] else None

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Not saved: means are kept with the columns."""
        raise NotImplementedError("means are kept with the columns")

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Not saved."""
        raise NotImplementedError("means are kept with the columns")
