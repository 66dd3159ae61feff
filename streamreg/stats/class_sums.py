"""What a regression of classes asks of the rows: which classes there are, and score and information at parameters."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.errors import DataError
from streamreg.families.classes import ClassLikelihood, from_dict, to_dict
from streamreg.kernels import doubledouble as dd
from streamreg.kernels.gram import subtract
from streamreg.kernels.scratch import scratch
from streamreg.stats.base import Statistic, block_rows
from streamreg.stats.moments import Moments
from streamreg.stats.response import row_of
from streamreg.stats.tree import BlockTree, unchanged

Float = NDArray[np.float64]

MOST_CLASSES = 1000


class ClassOpening(Statistic):
    """The classes of the rows, and moments of the columns.

    Parameters
    ----------
    names : sequence of str
        The p columns, then the target, which is the first key of the batches.

    Attributes
    ----------
    of_class : dict of int to int
        Rows of each class, by its key.
    named : dict of int to str
        Names of keys that have one: texts.
    first : dict of int to str
        The first row of each class, in words.
    moments : Moments
        Of the columns; its target is empty.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.moments = Moments(self.names)
        self.block_rows = self.moments.block_rows
        self.of_class: dict[int, int] = {}
        self.named: dict[int, str] = {}
        self.first: dict[int, str] = {}

    def fresh(self) -> Self:
        """Return one that has seen no row."""
        return type(self)(self.names)

    def settle(self) -> None:
        """Finish the moments."""
        self.moments.settle()

    def _absorb(self, batch: Batch) -> None:
        assert batch.keys is not None
        keys, first, counts = np.unique(batch.keys[:, 0], return_index=True, return_counts=True)
        if len(self.of_class) + len(keys) > 2 * MOST_CLASSES:
            raise DataError(
                f"column {self.names[-1]!r}: has more than {MOST_CLASSES:,} classes by {row_of(batch, 0)} (from 0); "
                "regress numbers by sr.Linear or sr.Glm, or join rare classes"
            )
        for key, row, count in zip(keys.tolist(), first.tolist(), counts.tolist(), strict=True):
            self.of_class[key] = self.of_class.get(key, 0) + count
            self.first.setdefault(key, row_of(batch, row))
            if key in batch.labels[0]:
                self.named[key] = batch.labels[0][key]
        empty = np.zeros(len(batch))
        self.moments.update(Batch(batch.x, empty, batch.weight, batch.start, batch.read, batch.missing, batch.low))

    def _join(self, other: Self) -> None:
        self.moments.merge(other.moments)
        for key, count in other.of_class.items():
            self.of_class[key] = self.of_class.get(key, 0) + count
        self.named |= other.named
        self.first = other.first | self.first

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the moments, and a row for each class."""
        keys = sorted(self.of_class)
        return {
            **{f"moments.{name}": array for name, array in self.moments.to_arrays().items()},
            "names": np.array(self.names),
            "rows": np.array(json.dumps(self.counts())),
            "keys": np.array(keys, np.int64),
            "counts": np.array([self.of_class[key] for key in keys], np.int64),
            "named": np.array([self.named.get(key, "") for key in keys], np.str_),
            "first": np.array([self.first[key] for key in keys], np.str_),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state."""
        self = cls(arrays["names"].tolist())
        self.n, self.n_read, self.n_missing = json.loads(str(arrays["rows"])).values()
        inner = {name.removeprefix("moments."): a for name, a in arrays.items() if name.startswith("moments.")}
        self.moments = Moments.from_arrays(inner)
        keys = arrays["keys"].tolist()
        self.of_class = dict(zip(keys, arrays["counts"].tolist(), strict=True))
        self.named = {key: text for key, text in zip(keys, arrays["named"].tolist(), strict=True) if text}
        self.first = dict(zip(keys, arrays["first"].tolist(), strict=True))
        return self


class ClassSums(Statistic):
    """Log-likelihood, score and information of a regression of classes at its parameters.

    Parameters
    ----------
    likelihood : ClassLikelihood
    at : ndarray of shape (q,)
    keys : int64 ndarray of shape (K,)
        Of the classes, in their order.
    centre, scale : ndarray of shape (p,)
        Columns are taken as ``(x - centre) * scale``.
    kept : int ndarray
        Which of these are used.
    constant : bool
        Whether a column of ones comes before them.
    move : ndarray of shape (q,), optional
        The step that led here.

    Notes
    -----
    Cost: one pass, ``K (K - 1) / 2 p**2`` multiplications a row for unordered classes and ``p**2 + K p`` for ordered
    ones; ``8 q**2`` bytes for each level of the tree.
    """

    def __init__(
        self,
        likelihood: ClassLikelihood,
        at: Float,
        keys: NDArray[np.int64],
        centre: Float,
        scale: Float,
        kept: NDArray[np.intp],
        constant: bool,
        move: Float | None = None,
    ) -> None:
        self.likelihood, self.at, self.keys, self.move = likelihood, at, np.asarray(keys, np.int64), move
        self.centre, self.scale, self.kept, self.constant = centre, scale, np.asarray(kept, np.intp), constant
        self.block_rows = block_rows(len(centre) + 1)
        self._order = np.argsort(self.keys)
        self._tree: BlockTree[dd.DD] = BlockTree(dd.add, unchanged)
        self._squares: BlockTree[Float] = BlockTree(np.add, unchanged)
        self._most = np.array([-np.inf, 0.0, -np.inf, 0.0])
        self.strangers = 0

    def fresh(self) -> Self:
        """Return one at the same parameters that has seen no row."""
        options = (self.centre, self.scale, self.kept, self.constant, self.move)
        return type(self)(self.likelihood, self.at, self.keys, *options)

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood of the rows."""
        return float(self._tree.total()[0][0])

    @property
    def weights(self) -> Float:
        """Sum of the weights of each class, shape (K,)."""
        return self._tree.total()[0][1 : 1 + len(self.keys)]

    @property
    def of_class(self) -> Float:
        """Rows of each class, shape (K,)."""
        k = len(self.keys)
        return self._tree.total()[0][1 + k : 1 + 2 * k]

    @property
    def log_weight(self) -> float:
        """Not asked for: a likelihood of classes has no scale."""
        return 0.0

    @property
    def score(self) -> Float:
        """First derivatives, shape (q,)."""
        return self._tree.total()[0][1 + 2 * len(self.keys) :]

    @property
    def information(self) -> Float:
        """Minus the second derivatives, shape (q, q)."""
        return self._squares.total()

    opposed = property(lambda self: float(self._most[0]), doc="The most that a row opposes the last move.")
    moved = property(lambda self: float(self._most[1]), doc="The most that a row moved.")
    misfit = property(lambda self: float(self._most[2]), doc="The most that a row opposes the parameters themselves.")
    norm = property(lambda self: float(self._most[3]), doc="The greatest norm of a scaled row.")

    def _absorb(self, batch: Batch) -> None:
        assert batch.keys is not None
        own = batch.keys[:, 0]
        code = self._order[np.minimum(np.searchsorted(self.keys[self._order], own), len(self.keys) - 1)]
        if (strange := self.keys[code] != own).any():
            self.strangers += int(strange.sum())  # the pass counts for nothing then
            return
        z = self._rows(batch)
        weight = np.ones(len(batch)) if batch.weight is None else batch.weight
        found, score, information = self.likelihood.rows(self.at, z, code, weight)
        k = len(self.keys)
        sums = [np.array([weight @ found]), np.bincount(code, weight, k), np.bincount(code, minlength=k), score]
        block = batch.start // self.block_rows
        self._tree.push(block, dd.from_float(np.concatenate(sums)))
        self._squares.push(block, information)
        misfit, _ = self.likelihood.opposed(self.at, z, code)
        most = [-np.inf, 0.0, misfit.max(), float(np.sqrt((z**2).sum(axis=1).max()))]
        if self.move is not None:
            most[:2] = (part.max() for part in self.likelihood.opposed(self.move, z, code))
        self._most = np.maximum(self._most, most)

    def _rows(self, batch: Batch) -> Float:
        """Return the columns in use, scaled, shape (m, width)."""
        z = scratch(len(batch), batch.x.shape[1], "rows")
        subtract(batch.x, self.centre, z)
        if batch.low is not None:
            z += batch.low
        ones = int(self.constant)
        out = np.empty((len(z), ones + len(self.kept)))
        out[:, :ones] = 1.0
        np.multiply(z[:, self.kept], self.scale[self.kept], out=out[:, ones:])
        return out

    def _join(self, other: Self) -> None:
        self._tree.join(other._tree.nodes)
        self._squares.join(other._squares.nodes)
        self._most = np.maximum(self._most, other._most)
        self.strangers += other.strangers

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return one row of sums for each node of the trees."""
        nodes, squares, q = self._tree.nodes, self._squares.nodes, len(self.at)
        likelihood = {"likelihood": to_dict(self.likelihood), "constant": self.constant}
        meta = {**likelihood, "strangers": self.strangers, **self.counts()}
        return {
            "at": self.at,
            "move": np.zeros(0) if self.move is None else self.move,
            "place": np.array([place for *place, _ in nodes], dtype=np.int64).reshape(-1, 2),
            "sums": np.array([sums for *_, sums in nodes]).reshape(-1, 2, 1 + 2 * len(self.keys) + q),
            "squares": np.array([square for *_, square in squares]).reshape(-1, q, q),
            "most": self._most,
            "keys": self.keys,
            "columns": np.array([self.centre, self.scale]),
            "kept": self.kept,
            "meta": np.array(json.dumps(meta)),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state."""
        meta = json.loads(str(arrays["meta"]))
        move = arrays["move"] if len(arrays["move"]) else None
        columns = arrays["columns"]
        options = (columns[0], columns[1], arrays["kept"], meta["constant"], move)
        self = cls(from_dict(meta["likelihood"]), arrays["at"], arrays["keys"], *options)
        self.n, self.n_read, self.n_missing = meta["n"], meta["n_read"], meta["n_missing"]
        self.strangers = meta["strangers"]
        places = arrays["place"].tolist()
        pairs = zip(places, arrays["sums"], arrays["squares"], strict=True)
        for (level, index), (high, low), square in pairs:
            self._tree.join([(level, index, (high, low))])
            self._squares.join([(level, index, square)])
        self._most = arrays["most"].copy()
        return self
