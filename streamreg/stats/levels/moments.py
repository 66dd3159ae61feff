"""Moments of columns, and their sums by level of factors: all that absorbing their effects asks of the rows."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from threading import get_ident
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.errors import DataError
from streamreg.stats import chan
from streamreg.stats.base import Statistic
from streamreg.stats.levels.singletons import alone
from streamreg.stats.levels.sums import LevelSums
from streamreg.stats.moments import Moments

Float = NDArray[np.float64]
Int = NDArray[np.int64]


_BLOCKS = 4
"""Blocks of moments in one of sums by level, which cost calls."""


class Pool:
    """Sums of the threads of a scan: each adds to its own."""

    def __init__(self) -> None:
        self._own: dict[int, LevelSums] = {}

    def of_thread(self, make: Callable[[], LevelSums]) -> LevelSums:
        """Return the sums of this thread."""
        found = self._own.get(get_ident())
        if found is None:
            found = self._own[get_ident()] = make()
        return found

    def total(self) -> LevelSums | None:
        """Return the sums of all threads."""
        parts = sorted(self._own.values(), key=lambda sums: sums.nbytes)
        self._own.clear()
        total = parts.pop() if parts else None
        while parts and total is not None:
            total.merge(parts.pop())
        return total


class AbsorbedMoments(Statistic):
    """Moments of q columns, and sums of them by level of factors, which are the first keys of a design.

    Parameters
    ----------
    names : sequence of str
        The q columns, in the order in which batches hold them: features, then the target.
    factors : sequence of str
    target : str, optional
    weighted : bool
        Whether rows have weights.
    sizes : sequence of int
        For factors whose levels are numbers from 0: below what. 0, or nothing: levels are any numbers.

    Notes
    -----
    Cost: one pass. Memory: that of `Moments` and of `LevelSums`, the latter once for each thread; and once
    for each task on a cluster, where those of tasks are merged as they come.
    """

    def __init__(
        self,
        names: Sequence[str],
        factors: Sequence[str],
        target: str | None = None,
        weighted: bool = False,
        sizes: Sequence[int] = (),
    ) -> None:
        self.names, self.factors, self.target, self.weighted = tuple(names), tuple(factors), target, weighted
        self.sizes = tuple(sizes)
        self.moments = Moments(self.names, target)
        self.block_rows = _BLOCKS * self.moments.block_rows
        self._sums: LevelSums | None = None
        self._pool: Pool | None = None
        self._orders: dict[int, tuple[Int, NDArray[np.int32], NDArray[np.int32]]] = {}

    def fresh(self) -> Self:
        """Return an empty statistic of the same columns; it shares sums by level with this one if that is `shared`."""
        new = type(self)(self.names, self.factors, self.target, self.weighted, self.sizes)
        new._pool = self._pool
        return new

    def shared(self) -> Self:
        """Return an empty statistic that keeps sums by level in one place, together with all that are `fresh` of it."""
        new = self.fresh()
        new._pool = Pool()
        return new

    def gather(self) -> None:
        """Take the sums by level of all statistics that share a place with this one."""
        if self._pool is not None:
            self._sums, self._pool = self._pool.total(), None

    def _absorb(self, batch: Batch) -> None:
        for block in _cut(batch, self.moments.block_rows):
            self.moments.update(block)
        self._orders.clear()
        if self._pool is not None:
            sums = self._pool.of_thread(self._empty)
        else:
            sums = self._sums = self._sums or self._empty()
        try:
            sums.add(batch)
        except DataError as error:
            raise DataError(f"rows {batch.start:,} to {batch.start + batch.read - 1:,}: {error}") from None

    def _empty(self) -> LevelSums:
        return LevelSums(len(self.names), len(self.factors), self.weighted, self.sizes)

    def settle(self) -> None:
        """Finish what the moments have under way."""
        self.moments.settle()

    def _join(self, other: Self) -> None:
        if other.factors != self.factors or other.weighted != self.weighted:
            raise DataError(f"sums by {self.factors} and by {other.factors} do not merge")
        self.moments.merge(other.moments)
        if other._sums is None:
            return
        if self._pool is not None:
            raise DataError("sums that are kept apart do not merge into those of a scan under way")
        self._sums = self._sums or self._empty()
        self._orders.clear()
        self._sums.merge(other._sums)

    @property
    def nbytes(self) -> int:
        """Memory that the state takes up, roughly."""
        return self.moments.nbytes + (0 if self._sums is None else self._sums.nbytes)

    @property
    def log_weight(self) -> float:
        """Sum of the logarithms of the weights."""
        return self.moments.log_weight

    def total(self) -> chan.Centred:
        """Return the moments of all rows.

        Raises
        ------
        DataError
            No row was absorbed.
        """
        return self.moments.total()

    def levels(self, f: int) -> tuple[Int, Int, Float, Float]:
        """Return the levels of a factor in order, their rows, their weights, and their sums about the means.

        Sums have shape (L, q), in the units of the cross-products of `total`.
        """
        assert self._sums is not None
        total = self.total()
        keys, codes, _ = self._order(f)
        weights, sums = self._sums.about(f, codes, total.mean, total.exponent)
        return keys, self._sums.counts(f, codes), weights, sums

    def pairs(self, f: int, g: int) -> tuple[NDArray[np.int32], NDArray[np.int32], Float]:
        """Return the places, among the levels in order, of levels of two factors that meet, and the weights they share.

        The pairs are in any order.
        """
        assert self._sums is not None
        a, b, weight = self._sums.pairs(f, g)
        return self._order(f)[2][a], self._order(g)[2][b], weight

    def singletons(self) -> tuple[Int, ...]:
        """Return the levels of each factor that lose all their rows if rows are left out that are alone in a level.

        Rows that are alone once those are gone go too.
        """
        assert self._sums is not None
        order = [self._order(f) for f in range(len(self.factors))]
        rows = [self._sums.counts(f, codes) for f, (_, codes, _) in enumerate(order)]
        met = {(f, g): self._sums.met(f, g) for g in range(len(order)) for f in range(g)}
        placed = {(f, g): (order[f][2][a], order[g][2][b], common) for (f, g), (a, b, common) in met.items()}
        return tuple(own[0][gone] for own, gone in zip(order, alone(rows, placed), strict=True))

    def table(self, f: int, g: int) -> Float:
        """Return the weights that levels of two factors f < g share, in order: shape (levels of f, levels of g)."""
        assert self._sums is not None
        out = self._sums.table(f, g)
        return out if all(self.sizes[k] for k in (f, g)) else out[np.ix_(self._order(f)[1], self._order(g)[1])]

    def _order(self, f: int) -> tuple[Int, NDArray[np.int32], NDArray[np.int32]]:
        assert self._sums is not None
        if f not in self._orders:
            self._orders[f] = self._sums.order(f)
        return self._orders[f]

    def texts(self, f: int) -> list[str]:
        """Return the names of the levels of a factor in order; empty for numbers, which name themselves."""
        assert self._sums is not None
        names = self._sums.names[f]
        return [names.get(key, "") for key in self._order(f)[0].tolist()] if names else [""] * len(self._order(f)[0])

    def release(self) -> None:
        """Give up the sums by level."""
        self._sums = None
        self._orders.clear()

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays: those of the moments, and those of the sums by level."""
        meta: dict[str, Any] = {"names": self.names, "factors": self.factors, "target": self.target}
        meta |= {"weighted": self.weighted, "sizes": self.sizes}
        arrays = {f"moments.{name}": array for name, array in self.moments.to_arrays().items()}
        sums = self._sums or self._empty()
        arrays |= {f"sums.{name}": array for name, array in sums.to_arrays().items()}
        return arrays | {"meta": np.array(json.dumps(meta | self.counts()))}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state."""
        meta = json.loads(str(arrays["meta"]))
        self = cls(meta["names"], meta["factors"], meta["target"], meta["weighted"], meta["sizes"])
        self.n, self.n_read, self.n_missing = meta["n"], meta["n_read"], meta["n_missing"]
        parts: dict[str, dict[str, NDArray[Any]]] = {"moments": {}, "sums": {}}
        for name, array in arrays.items():
            kind, _, rest = name.partition(".")
            if rest:
                parts[kind][rest] = array
        self.moments = Moments.from_arrays(parts["moments"])
        self._sums = LevelSums.from_arrays(parts["sums"], len(self.names), len(self.factors), self.weighted)
        return self


def _cut(batch: Batch, size: int) -> Iterator[Batch]:
    """Yield the rows of each block of so many rows read."""
    for at in range(0, batch.read, size):
        ends = np.array([at, min(at + size, batch.read)])
        start, stop = ends if batch.kept is None else np.searchsorted(batch.kept, ends)
        if start < stop:
            yield replace(batch.take(slice(start, stop)), start=batch.start + at)
