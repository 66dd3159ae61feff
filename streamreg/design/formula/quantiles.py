"""Quantiles of an expression, from a sample of its values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula import expressions
from streamreg.errors import DataError
from streamreg.kernels.rowhash import uniform
from streamreg.sources.chunk import Column

Float = NDArray[np.float64]

_SAMPLE = 2**18  # values of which quantiles are taken, if there are more rows than that


@dataclass(slots=True)
class Quantiles:
    """A sample of an expression's values: all of them, or some 200,000 that a hash of the row number chooses.

    A quantile of the sample then lies within 0.4 % of the rows of the true one (four standard errors).

    Attributes
    ----------
    inner : str
    share : float
        Of the rows, which is halved when there are too many.
    values, hashes : list of ndarray
    low, high : float
        Least and greatest of all values.
    """

    inner: str
    share: float = 1.0
    values: list[Float] = field(default_factory=list)
    hashes: list[Float] = field(default_factory=list)
    low: float = math.inf
    high: float = -math.inf

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the expression."""
        return expressions.columns(self.inner)

    def fresh(self) -> Self:
        """Return one of no rows."""
        return type(self)(self.inner)

    def add(self, table: Mapping[str, Column], zones: Mapping[str, str], label: str, rows: slice) -> None:
        """Take values of a block."""
        x = expressions.value(self.inner, table, zones, label, rows.start)
        chance = uniform(rows.start, rows.stop - rows.start, use="quantiles")
        known = np.isfinite(x)
        if known.any():
            self.low, self.high = min(self.low, float(x[known].min())), max(self.high, float(x[known].max()))
        self._take(x[known], chance[known])

    def join(self, other: Self) -> None:
        """Take values of later rows."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.share = min(self.share, other.share)
        for x, chance in zip(other.values, other.hashes, strict=True):
            self._take(x, chance)

    def _take(self, x: Float, chance: Float) -> None:
        self.values.append(x)
        self.hashes.append(chance)
        if sum(map(len, self.values)) > _SAMPLE:
            x, chance = np.concatenate(self.values), np.concatenate(self.hashes)
            while (chance < self.share).sum() > _SAMPLE:
                self.share /= 2
            chosen = chance < self.share
            self.values, self.hashes = [x[chosen]], [chance[chosen]]

    def quantiles(self, shares: Float) -> tuple[float, ...]:
        """Return quantiles, linear between values, as `numpy.quantile` does; the ends are those of all values.

        Raises
        ------
        DataError
            There are no values.
        """
        x, chance = (np.concatenate([*parts, np.empty(0)]) for parts in (self.values, self.hashes))
        x = x[chance < self.share]
        if not len(x):
            raise DataError(f"{self.inner}: every value is missing")
        inner = np.quantile(np.sort(x), shares[1:-1])
        return (self.low, *map(float, inner), self.high)
