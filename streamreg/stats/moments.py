"""First and second moments of every column: all that least squares ever asks of the rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.errors import DataError, NotFound, nearest
from streamreg.kernels import doubledouble as dd
from streamreg.kernels import gram
from streamreg.kernels.scratch import scratch
from streamreg.problem import Problem
from streamreg.stats import chan, sense
from streamreg.stats.base import Statistic, block_rows, columns
from streamreg.stats.tree import BlockTree

if TYPE_CHECKING:
    from streamreg.stats.device_buffer import Stage


class Moments(Statistic):
    """Count, weight, means and centred cross-products of q columns, in float64.

    Blocks are merged along a binary tree over block numbers, so that the result has the same bits however the rows
    were cut into chunks and partitions, and errors grow with the logarithm of the number of rows (pairwise summation,
    Higham 2002, *Accuracy and Stability of Numerical Algorithms*, section 4.2).

    Parameters
    ----------
    names : sequence of str
        The q columns, in the order in which batches hold them: features, then the target if there is one.
    target : str, optional
        The column to explain unless another one is asked for.
    block : int, optional
        Rows of a block; default: what fits a level-2 cache.
    device : str, optional
        "gpu", "gpu:1", ...: where the products are taken, through the library that Keras runs on. Then blocks are
        gathered partition by partition: the result has the same bits for any number of threads, and for other cuts of
        the rows it differs by rounding.

    Notes
    -----
    Cost: ``8 q**2`` bytes for each level of the tree, ``q**2`` multiplications a row (on one triangle), one pass.
    """

    def __init__(
        self,
        names: Sequence[str],
        target: str | None = None,
        block: int | None = None,
        device: str | None = None,
    ) -> None:
        self.names, self.target, self._device = tuple(names), target, device
        self.block_rows = block or block_rows(len(self.names))
        self._stage = None if device is None else _stage(device, len(self.names))
        self._tree = BlockTree(chan.merge, chan.copy)

    @classmethod
    def known(cls, names: Sequence[str], target: str | None, total: chan.Centred, n: int) -> Self:
        """Return known moments of n rows as a state."""
        self = cls(names, target)
        self.n = self.n_read = n
        self._tree.push(0, total)
        return self

    @property
    def on_device(self) -> bool:
        """Whether products are taken on a device."""
        return self._device is not None

    def fresh(self) -> Self:
        """Return an empty statistic over the same columns."""
        return type(self)(self.names, self.target, self.block_rows, self._device)

    def lengthened(self, factor: int) -> Self:
        """Return an empty statistic over the same columns, with blocks `factor` times as long."""
        return type(self)(self.names, self.target, self.block_rows * factor, self._device)

    def _absorb(self, batch: Batch) -> None:
        if self._stage is not None and self._stage.takes(batch):
            if not self._stage.has_room(batch):
                self.settle()
            self._stage.add(batch)
            return
        self.settle()
        q = len(self.names)
        buffer = scratch(gram.room(len(batch), q), q, "moments")
        parts = [batch.x] if batch.y is None else [batch.x, batch.y[:, None]]
        try:
            block = chan.of_block(parts, batch.weight, buffer, batch.low)
        except DataError as error:
            raise DataError(f"rows {batch.start:,} to {batch.start + batch.read - 1:,}: {error}") from None
        self._tree.push(batch.start // self.block_rows, block)

    def settle(self) -> None:
        """Take the products of the rows that are gathered for a device."""
        if self._stage is not None and self._stage.count:
            start, stop = self._stage.start, self._stage.stop
            try:
                block = self._stage.moments()
            except DataError as error:
                raise DataError(f"rows {start:,} to {stop - 1:,}: {error}") from None
            self._tree.push(start // self.block_rows, block)

    def _join(self, other: Self) -> None:
        self.settle()
        other.settle()
        if other.names != self.names:
            raise DataError(f"moments of different columns do not merge: {self.names[:8]} and {other.names[:8]}")
        self._tree.join(other._tree.nodes)

    def total(self) -> chan.Centred:
        """Return the moments of all rows.

        Raises
        ------
        DataError
            No row was absorbed.
        """
        self.settle()
        if not self._tree:
            raise DataError("no rows with a positive weight and without missing values; nothing to estimate from")
        return chan.whole(self._tree.total())

    @property
    def log_weight(self) -> float:
        """Sum of the logarithms of the weights."""
        self.settle()
        # Summed from the right, as the merge of the nodes does, whose cross-products are not needed here.
        return sum((node.log_weight for *_, node in reversed(self._tree.nodes)), 0.0)

    @property
    def nbytes(self) -> int:
        """Memory that the state takes up, roughly."""
        q = len(self.names)
        return 2000 + len(self._tree.nodes) * (8 * q * (q + 6) + 1200)

    def compact(self) -> Self:
        """Return the same moments, without the tree that holds the sums of parts of the rows."""
        self.settle()
        out = self.fresh()
        out.n, out.n_read, out.n_missing, out.record = self.n, self.n_read, self.n_missing, self.record
        if self._tree:
            out._tree.push(0, self._tree.total())
        return out

    def only(self, names: Sequence[str]) -> "Moments":
        """Return the moments of some of the columns. No rows are read.

        Raises
        ------
        NotFound
            A column is not among `names`.
        """
        for name in names:
            if name not in self.names:
                raise NotFound(f"no column {name!r} in these moments{nearest(name, self.names)}")
        index = np.array([self.names.index(name) for name in names], dtype=np.intp)
        total = self.total()
        part = replace(
            total,
            mean=dd.take(total.mean, index),
            cross=total.cross[np.ix_(index, index)],
            exponent=total.exponent[index],
            low=total.low[index],
            high=total.high[index],
        )
        out = Moments.known(names, self.target if self.target in names else None, part, self.n)
        out.n_read, out.n_missing, out.record = self.n_read, self.n_missing, self.record
        return out

    def problem(self, target: str, features: Sequence[str] | None = None, intercept: bool = True) -> Problem:
        """Pose the least-squares problem of one column on others. No rows are read.

        Parameters
        ----------
        target : str
        features : sequence of str, optional
            Default: every column but the target.
        intercept : bool
            Whether the line may have a constant; if not, second moments about zero are used.

        Raises
        ------
        NotFound
            A column is not among `names`.
        UsageError
            A column is named twice, or is the target and a feature.
        """
        chosen, index = columns(self.names, target, features)
        total = self.total()
        cross, exponent = total.cross[np.ix_(index, index)], total.exponent[index]
        mean = dd.take(total.mean, index)
        about_mean = float("nan")
        if not intercept:
            exponent = chan.exponents_about_zero(cross, exponent, mean[0])
            cross = chan._rescale(cross, total.exponent[index] - exponent)
            scaled = np.ldexp(mean[0], -exponent)
            about_mean = float(cross[-1, -1])
            cross = cross + total.weight * np.multiply.outer(scaled, scaled)
        return Problem(
            chosen, target, cross, exponent, mean, self.n, total.weight, intercept, square_about_mean=about_mean
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays: one entry along the first axis for each node of the tree.

        Of the symmetric matrices only the lower triangle is returned.
        """
        self.settle()
        meta: dict[str, Any] = {"names": self.names, "target": self.target, **self.counts()}
        nodes = [node for _, _, node in self._tree.nodes]
        q = len(self.names)
        lower = np.tril_indices(q)
        return {
            "meta": np.array(json.dumps(meta)),
            "place": np.array([place for *place, _ in self._tree.nodes], dtype=np.int64).reshape(-1, 2),
            "weight": np.array([(node.weight, node.log_weight) for node in nodes]).reshape(-1, 2),
            "mean": np.array([node.mean for node in nodes]).reshape(-1, 2, q),
            "cross": np.array([node.cross[lower] for node in nodes]).reshape(-1, len(lower[0])),
            "exponent": np.array([node.exponent for node in nodes], dtype=np.int64).reshape(-1, q),
            "range": np.array([(node.low, node.high) for node in nodes]).reshape(-1, 2, q),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state.

        Raises
        ------
        ValueError
            These cannot be moments of rows; see `streamreg.stats.sense`.
        """
        meta = json.loads(str(arrays["meta"]))
        self = cls(sense.names(meta), meta["target"])
        self.n, self.n_read, self.n_missing = sense.counts(meta)
        q, k = len(self.names), len(arrays["place"])
        place = sense.array(arrays, "place", (k, 2), "i")
        sense.places(place)
        sense.require(bool(k) == bool(self.n), f"{self.n} rows used, and {k} sums of them")
        weights, means = sense.array(arrays, "weight", (k, 2), "f"), sense.array(arrays, "mean", (k, 2, q), "f")
        crosses = sense.array(arrays, "cross", (k, q * (q + 1) // 2), "f")
        exponents, ends = sense.array(arrays, "exponent", (k, q), "i"), sense.array(arrays, "range", (k, 2, q), "f")
        nodes = []
        for (level, index), (weight, logs), mean, lower, exponent, between in zip(
            place.tolist(), weights, means, crosses, exponents, ends, strict=True
        ):
            cross = _symmetric(lower, q)
            sense.centred(np.array([weight, logs]), mean, cross, exponent, between)
            node = chan.Centred(float(weight), float(logs), (mean[0], mean[1]), cross, exponent, *between)
            nodes.append((level, index, node))
        self._tree.join(nodes)
        return self


def _stage(device: str, columns: int) -> "Stage":
    from streamreg.stats.device_buffer import Stage

    return Stage(device, columns)


def _symmetric(lower: NDArray[np.float64], q: int) -> NDArray[np.float64]:
    """Return the symmetric matrix with this lower triangle."""
    matrix = np.empty((q, q))
    rows, columns = np.tril_indices(q)
    matrix[rows, columns] = lower
    matrix[columns, rows] = lower
    return matrix
