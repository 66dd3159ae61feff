"""Rows less their effects: what a pass after the first one sees where factors are absorbed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.errors import ChangedError
from streamreg.kernels import levels as kernel
from streamreg.kernels.gram import subtract
from streamreg.stats.base import Statistic
from streamreg.stats.levels.codes import Codes

Float = NDArray[np.float64]
Int = NDArray[np.int64]
S = TypeVar("S", bound=Statistic)


@dataclass(frozen=True, slots=True)
class Lookup:
    """The effects of one factor on each column.

    Attributes
    ----------
    name : str
    levels : int64 ndarray of shape (L,)
    effects : ndarray of shape (L, q)
    codes : Codes
        Places among the levels.
    """

    name: str
    levels: Int
    effects: Float
    codes: Codes

    @classmethod
    def of(cls, name: str, levels: Int, effects: Float) -> Self:
        """Prepare a factor."""
        codes = Codes()
        codes.of(levels)
        return cls(name, levels, effects, codes)

    def places(self, keys: Int) -> kernel.Codes:
        """Return the place of each key among the levels.

        Raises
        ------
        ChangedError
            A key is none of the levels.
        """
        places = self.codes.known(keys)
        if places is None:
            new = keys[~np.isin(keys, self.levels)][0]
            raise ChangedError(f"column {self.name!r} has {new}, which was not there in the first pass")
        return places


@dataclass(frozen=True, slots=True)
class Within:
    """What is taken from rows.

    Attributes
    ----------
    centre : ndarray of shape (q,)
        A point near the means.
    factors : tuple of Lookup
        In the order of the first keys of a batch.
    """

    centre: Float
    factors: tuple[Lookup, ...]

    def batch(self, batch: Batch) -> tuple[Batch, list[kernel.Codes]]:
        """Return rows less the centre and their effects, and the places of their levels."""
        assert batch.keys is not None
        assert batch.y is not None
        m, p = batch.x.shape
        z = np.empty((m, p + 1))
        subtract(batch.x, self.centre[:p], z[:, :p])
        subtract(batch.y[:, None], self.centre[p:], z[:, p:])
        if batch.low is not None:
            z[:, :p] += batch.low
        places = [factor.places(batch.keys[:, f]) for f, factor in enumerate(self.factors)]
        for factor, place in zip(self.factors, places, strict=True):
            z -= factor.effects[place]
        left = Batch(
            z[:, :p], z[:, p], batch.weight, batch.start, batch.read, batch.missing, None, batch.keys, batch.kept
        )
        return left, places


class WithinLevels(Statistic, Generic[S]):
    """Another statistic of rows less their effects; and which factors are nested in clusters.

    Parameters
    ----------
    inner : S
        An empty statistic.
    within : Within
    clusters : sequence of int
        Keys that name clusters.

    Notes
    -----
    Cost: that of `inner`, and a look-up and ``p`` subtractions for each factor and row.
    """

    def __init__(self, inner: S, within: Within, clusters: Sequence[int] = ()) -> None:
        self.inner, self.within, self.clusters = inner, within, tuple(clusters)
        self.block_rows = inner.block_rows
        self.associative = inner.associative  # type: ignore[misc]
        least, most = np.iinfo(np.int64).min, np.iinfo(np.int64).max
        sizes = [len(factor.levels) for factor in within.factors] if clusters else []
        self._low = [[np.full(size, most) for size in sizes] for _ in clusters]
        self._high = [[np.full(size, least) for size in sizes] for _ in clusters]

    def fresh(self) -> Self:
        """Return an empty statistic with the same effects."""
        return type(self)(self.inner.fresh(), self.within, self.clusters)

    def shared(self) -> Self:
        """Return an empty statistic whose inner one is shared."""
        return type(self)(self.inner.shared(), self.within, self.clusters)

    def gather(self) -> None:
        """Gather the inner statistic."""
        self.inner.gather()

    def settle(self) -> None:
        """Settle the inner statistic."""
        self.inner.settle()

    def _absorb(self, batch: Batch) -> None:
        left, places = self.within.batch(batch)
        assert batch.keys is not None
        for way, key in enumerate(self.clusters):
            for f, place in enumerate(places):
                np.minimum.at(self._low[way][f], place, batch.keys[:, key])
                np.maximum.at(self._high[way][f], place, batch.keys[:, key])
        self.inner.update(left)

    def _join(self, other: Self) -> None:
        self.inner.merge(other.inner)
        for mine, theirs, better in ((self._low, other._low, np.minimum), (self._high, other._high, np.maximum)):
            for way, parts in enumerate(theirs):
                for f, part in enumerate(parts):
                    better(mine[way][f], part, out=mine[way][f])

    def nested(self) -> tuple[int, ...]:
        """Return the factors each level of which lies in one cluster, of any way."""
        ways = [
            {f for f, (low, high) in enumerate(zip(*both, strict=True)) if (low >= high).all()}
            for both in zip(self._low, self._high, strict=True)
        ]
        return tuple(sorted(set().union(*ways)))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state of the inner statistic as plain arrays."""
        return self.inner.to_arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Not possible: the effects are not in the state."""
        raise NotImplementedError("rows less their effects are not kept")
