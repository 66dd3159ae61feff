"""The filling of sandwich covariances: sums of outer products of scores."""

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.errors import DataError
from streamreg.kernels.gram import cross_product
from streamreg.stats.base import Statistic, block_rows
from streamreg.stats.sandwich.scores import Rows, Scores
from streamreg.stats.tree import BlockTree

Float = NDArray[np.float64]
Node = TypeVar("Node")

_FULL = 1e-10  # a leverage this close to 1 is 1: the row alone determines a coefficient


class _Treed(Statistic, Generic[Node]):
    """A sum over blocks, merged along a tree, so that it has the same bits however the rows were cut."""

    def __init__(self, scores: Scores) -> None:
        self.scores = scores
        self.block_rows = block_rows(max(scores.basis.shape[0], scores.width))
        self._tree: BlockTree[Node] = BlockTree(self._merged, self._copied)

    def _absorb(self, batch: Batch) -> None:
        self._tree.push(batch.start // self.block_rows, self._node(batch, self.scores.rows(batch)))

    def _join(self, other: Self) -> None:
        self._tree.join(other._tree.nodes)

    def _total(self) -> Node:
        if not self._tree:
            raise DataError("no rows with a positive weight and without missing values; nothing to estimate from")
        return self._tree.total()

    def fresh(self) -> Self:
        """Return an empty statistic of the same line."""
        return type(self)(self.scores, **self._options())

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays: the line, and one item for each node of the tree."""
        nodes = self._tree.nodes
        return self.scores.to_arrays() | {
            "meta": np.array(json.dumps({**self.counts(), "options": self._options()})),
            "place": np.array([place for *place, _ in nodes], dtype=np.int64).reshape(-1, 2),
            **self._packed([node for *_, node in nodes]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state."""
        meta = json.loads(str(arrays["meta"]))
        self = cls(Scores.from_arrays(arrays), **meta["options"])
        self.n, self.n_read, self.n_missing = meta["n"], meta["n_read"], meta["n_missing"]
        pairs = zip(arrays["place"].tolist(), self._unpacked(arrays), strict=True)
        self._tree.join((level, index, node) for (level, index), node in pairs)
        return self

    @abstractmethod
    def _options(self) -> dict[str, Any]:
        """Return the options beside the line, as plain values."""

    @abstractmethod
    def _packed(self, nodes: list[Node]) -> dict[str, NDArray[Any]]: ...

    @abstractmethod
    def _unpacked(self, arrays: Mapping[str, NDArray[Any]]) -> Iterator[Node]: ...

    @abstractmethod
    def _node(self, batch: Batch, rows: Rows) -> Node: ...

    @abstractmethod
    def _merged(self, left: Node, right: Node) -> Node: ...

    @abstractmethod
    def _copied(self, node: Node) -> Node: ...


class Meat(_Treed[tuple[Float, float]]):
    """``sum e**2 t t'`` over rows, for errors that are independent, of any variance (White 1980, *Econometrica* 48).

    Parameters
    ----------
    scores : Scores
    kind : int
        0 for HC0 and HC1: plain residuals. 2, 3: residuals divided by ``sqrt(1 - h)`` and ``1 - h``, h being the
        leverage (MacKinnon & White 1985, *Journal of Econometrics* 29).
    frequency : bool
        Whether weights say how often a row occurred, rather than how precise it is.

    Notes
    -----
    Cost: one pass, ``2 p k + k**2`` operations a row; ``8 k**2`` bytes for each level of the tree.
    """

    def __init__(self, scores: Scores, kind: int = 0, frequency: bool = False) -> None:
        super().__init__(scores)
        self.kind, self.frequency = kind, frequency

    def _options(self) -> dict[str, Any]:
        return {"kind": self.kind, "frequency": self.frequency}

    def _packed(self, nodes: list[tuple[Float, float]]) -> dict[str, NDArray[Any]]:
        k = self.scores.width
        return {"sums": np.array([s for s, _ in nodes]).reshape(-1, k, k), "rss": np.array([r for _, r in nodes])}

    def _unpacked(self, arrays: Mapping[str, NDArray[Any]]) -> Iterator[tuple[Float, float]]:
        return zip(arrays["sums"], arrays["rss"].tolist(), strict=True)

    def _node(self, batch: Batch, rows: Rows) -> tuple[Float, float]:
        one = rows._replace(weight=None) if self.frequency else rows
        force = one.force
        if self.kind:
            room = 1.0 - one.leverage
            if room.min() < _FULL:
                i = int(np.argmin(room))
                row = batch.start + (i if batch.kept is None else int(batch.kept[i]))
                raise DataError(
                    f"row {row:,} (from 0) has leverage 1: it alone determines a coefficient, so HC{self.kind} is not "
                    "defined; use HC1, or leave out the column that only this row has"
                )
            force = force / (np.sqrt(room) if self.kind == 2 else room)
        if self.frequency and rows.weight is not None:
            force = force * np.sqrt(rows.weight)
        return cross_product(rows.basis * force[:, None]), rows.rss

    def _merged(self, left: tuple[Float, float], right: tuple[Float, float]) -> tuple[Float, float]:
        return np.add(left[0], right[0], out=left[0]), left[1] + right[1]

    def _copied(self, node: tuple[Float, float]) -> tuple[Float, float]:
        return node[0].copy(), node[1]

    def result(self) -> tuple[Float, float]:
        """Return the sum, shape (k, k), and the weighted sum of squared residuals."""
        return self._total()


@dataclass(slots=True)
class _Run:
    """Consecutive rows `start` to `stop`: a sum over windows within them, and the scores at their borders.

    Rows that were left out have score zero and keep their place.
    """

    start: int
    stop: int
    windows: Float
    head: Float
    tail: Float
    rss: float = 0.0


class Lagged(_Treed[_Run]):
    """``S_0 + sum over lags of (1 - lag / (lags + 1)) (S_lag + S_lag')`` with ``S_lag = sum u_i u_(i - lag)'``.

    The u are the scores. For errors that are correlated with those of nearby rows (Newey & West 1987, *Econometrica*
    55). Computed as ``sum v v' / (lags + 1)``, v being the sum of the scores in a window of ``lags + 1`` rows, over all
    places of the window: the same sum, never indefinite, at a cost that does not grow with the number of lags.

    Parameters
    ----------
    scores : Scores
    lags : int
        One or more.

    Notes
    -----
    Cost: one pass, ``2 p k + 2 k**2`` operations a row; ``8 k (k + 2 lags)`` bytes for each level of the tree.
    """

    def __init__(self, scores: Scores, lags: int) -> None:
        super().__init__(scores)
        self.lags = lags

    def _options(self) -> dict[str, Any]:
        return {"lags": self.lags}

    def _packed(self, nodes: list[_Run]) -> dict[str, NDArray[Any]]:
        k = self.scores.width
        borders = [border for run in nodes for border in (run.head, run.tail)]
        return {
            "rows": np.array([(run.start, run.stop) for run in nodes], dtype=np.int64).reshape(-1, 2),
            "windows": np.array([run.windows for run in nodes]).reshape(-1, k, k),
            "lengths": np.array([len(border) for border in borders], dtype=np.int64),
            "borders": np.concatenate([np.zeros((0, k)), *borders]),
            "rss": np.array([run.rss for run in nodes]),
        }

    def _unpacked(self, arrays: Mapping[str, NDArray[Any]]) -> Iterator[_Run]:
        borders = np.split(arrays["borders"], np.cumsum(arrays["lengths"])[:-1])
        each = zip(arrays["rows"].tolist(), arrays["windows"], arrays["rss"].tolist(), strict=True)
        for i, ((start, stop), windows, rss) in enumerate(each):
            yield _Run(start, stop, windows, borders[2 * i], borders[2 * i + 1], rss)

    def _node(self, batch: Batch, rows: Rows) -> _Run:
        scores = np.zeros((batch.read, self.scores.width))
        scores[slice(None) if batch.kept is None else batch.kept] = rows.basis * rows.force[:, None]
        head, tail = scores[: self.lags].copy(), scores[max(len(scores) - self.lags, 0) :].copy()
        return _Run(batch.start, batch.start + len(scores), self._windows(scores), head, tail, rows.rss)

    def _windows(self, scores: Float) -> Float:
        """Return ``sum v v'`` over the windows that lie within some rows."""
        if len(scores) <= self.lags:
            return np.zeros((scores.shape[1], scores.shape[1]))
        running = np.zeros((len(scores) + 1, scores.shape[1]))
        np.cumsum(scores, axis=0, out=running[1:])
        return cross_product(running[self.lags + 1 :] - running[: -self.lags - 1])

    def _nothing(self, start: int, stop: int) -> _Run:
        """Return rows without scores."""
        k = self.scores.width
        border = np.zeros((min(stop - start, self.lags), k))
        return _Run(start, stop, np.zeros((k, k)), border, border)

    def _merged(self, left: _Run, right: _Run) -> _Run:
        if left.stop < right.start:
            left = self._merged(left, self._nothing(left.stop, right.start))
        windows = left.windows
        windows += right.windows
        windows += self._windows(np.concatenate([left.tail, right.head]))
        head, tail = left.head, right.tail
        if len(head) < self.lags:
            head = np.concatenate([head, right.head])[: self.lags]
        if len(tail) < self.lags:
            tail = np.concatenate([left.tail, tail])[-self.lags :]
        return _Run(left.start, right.stop, windows, head, tail, left.rss + right.rss)

    def _copied(self, node: _Run) -> _Run:
        return replace(node, windows=node.windows.copy())

    def result(self) -> tuple[Float, float]:
        """Return the sum, shape (k, k), and the weighted sum of squared residuals."""
        total = self._total()
        before = self._nothing(total.start - self.lags, total.start)
        after = self._nothing(total.stop, total.stop + self.lags)
        total = self._merged(self._merged(before, total), after)
        return total.windows / (self.lags + 1), total.rss
