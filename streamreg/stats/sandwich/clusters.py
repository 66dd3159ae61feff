"""Sums of scores by cluster, one way or two ways."""

import json
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.stats.base import Statistic, block_rows
from streamreg.stats.sandwich.group_sums import UNBOUNDED, KeyedSums, Store
from streamreg.stats.sandwich.scores import Scores

Float = NDArray[np.float64]


class Clusters(Statistic):
    """``sum over clusters of s s'``, s being the sum of a cluster's scores (Liang & Zeger 1986, *Biometrika* 73).

    Parameters
    ----------
    scores : Scores
    ways : tuple of tuple of int
        For each clustering, the key columns that name its clusters: ``((0,),)``; or ``((0,), (1,), (0, 1))`` for two
        clusterings and their intersection.
    store : Store
        Where sums go that do not fit in memory.

    Notes
    -----
    Cost: one pass, ``2 p k`` operations a row and the sorting of the keys; ``8 k`` bytes for each cluster, on disk
    beyond the bound of `store`. Sums within a cluster are added in an order that depends on how the storage is cut, so
    the last bits may too.
    """

    associative = False

    def __init__(self, scores: Scores, ways: tuple[tuple[int, ...], ...], store: Store) -> None:
        self._start(scores, ways, [KeyedSums(store, len(way)) for way in ways])

    def _start(self, scores: Scores, ways: tuple[tuple[int, ...], ...], sums: list[KeyedSums]) -> None:
        self.scores, self.ways, self.sums, self.rss = scores, ways, sums, 0.0
        self.block_rows = block_rows(max(scores.basis.shape[0], scores.width))

    def fresh(self) -> Self:
        """Return an empty statistic of the same line."""
        new = type(self).__new__(type(self))
        new._start(self.scores, self.ways, [sums.fresh() for sums in self.sums])
        return new

    def _absorb(self, batch: Batch) -> None:
        assert batch.keys is not None
        rows = self.scores.rows(batch)
        scores = rows.basis * rows.force[:, None]
        for way, sums in zip(self.ways, self.sums, strict=True):
            sums.add(batch.keys[:, list(way)], scores)
        self.rss += rows.rss

    def _join(self, other: Self) -> None:
        for mine, theirs in zip(self.sums, other.sums, strict=True):
            mine.merge(theirs)
        self.rss += other.rss

    def result(self) -> tuple[list[tuple[Float, int]], float]:
        """Return the sum, shape (k, k), and the number of clusters of each way; and the residual sum of squares."""
        return [sums.gram() for sums in self.sums], self.rss

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays: the line, and a table of keys and sums for each way.

        Raises
        ------
        UsageError
            Sums went to temporary files.
        """
        meta = {**self.counts(), "ways": self.ways, "rss": self.rss}
        arrays = self.scores.to_arrays() | {"meta": np.array(json.dumps(meta))}
        for k, sums in enumerate(self.sums):
            arrays[f"keys.{k}"], arrays[f"sums.{k}"] = sums.table(self.scores.width)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state, which stays in memory; merged into another, its sums go where those of the other go."""
        meta = json.loads(str(arrays["meta"]))
        self = cls(Scores.from_arrays(arrays), tuple(map(tuple, meta["ways"])), Store(UNBOUNDED))
        self.n, self.n_read, self.n_missing, self.rss = meta["n"], meta["n_read"], meta["n_missing"], meta["rss"]
        for k, sums in enumerate(self.sums):
            if len(arrays[f"keys.{k}"]):
                sums.add(arrays[f"keys.{k}"], arrays[f"sums.{k}"])
        return self
