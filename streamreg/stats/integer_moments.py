"""The exact Gram matrix: second moments of the data themselves, without a single rounding."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.errors import DataError
from streamreg.kernels import bigint
from streamreg.kernels import doubledouble as dd
from streamreg.kernels.bigint import BigMatrix
from streamreg.kernels.scratch import scratch
from streamreg.problem import ExactProblem
from streamreg.stats import sense
from streamreg.stats.base import Statistic, columns
from streamreg.stats.integer_sums import IntegerSums
from streamreg.stats.moments import Moments

Float = NDArray[np.float64]

_HEADROOM = 2  # bits by which rows to come may exceed the first block before a slice more is needed
_LOG_UNIT = 2.0**-40  # logarithms of weights are summed as integers too


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the slices of each column begin: values are mostly below ``2**exponent``.

    A hint for speed. No result depends on it.
    """

    exponent: NDArray[np.int64]

    @classmethod
    def of(cls, moments: Moments) -> Self:
        """Fit a grid to what a first pass has seen; stray values are left to stick out of it."""
        total = moments.total()
        spread = np.sqrt(np.maximum(np.diag(total.cross), 0.0) / total.weight)
        with np.errstate(over="ignore"):
            usual = np.abs(total.mean[0]) + 6.0 * np.ldexp(spread, total.exponent)
        size = np.minimum(np.maximum(np.abs(total.low), np.abs(total.high)), usual)
        return cls(_exponent(size * (1.0 + 2.0**-6)))  # a first digit is at most 127 / 128

    @classmethod
    def around(cls, block: Float) -> Self:
        """Fit a grid to the first rows of a stream."""
        return cls(_exponent(np.abs(block).max(axis=0)) + _HEADROOM)


def _exponent(size: Float) -> NDArray[np.int64]:
    return np.where(size > 0, np.frexp(size)[1], 0).astype(np.int64)


@dataclass(slots=True)
class _Shared:
    """The grid that all states of one scan agree on once the first of them has seen rows."""

    grid: Grid | None
    lock: Any = field(default_factory=threading.Lock, init=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.grid,)  # another process has a lock of its own


class IntegerMoments(Statistic):
    """Exact sums ``sum w [1, z]' [1, z]`` over q columns, as integers.

    The state is a mathematical function of the set of rows: chunking, row order, threads, merge order and grid leave no
    trace in it. Nothing is centred on the way; integers do not cancel.

    Parameters
    ----------
    names : sequence of str
        The q columns: features, then the target if there is one.
    grid : Grid, optional
        Default: one that suits the first block.
    target : str, optional
        The column to explain unless another one is asked for.

    Notes
    -----
    Cost: one pass; with the compiled kernel about twice the time of `Moments` on processors with AMX and four times on
    others, and with weights two or three times that; for float32 half as much, for small integers less. With BLAS, and
    for numbers that stick far out of the grid, ten times as much or more. Some ``300 q**2`` bytes.
    """

    def __init__(self, names: Sequence[str], grid: Grid | None = None, target: str | None = None) -> None:
        self.names, self.target = tuple(names), target
        # Few columns: long blocks, for they cost calls; many: as long as three slices of 23 bits stay exact.
        self.block_rows = 4096 if len(self.names) <= 16 else 512
        self._shared = _Shared(grid)
        self._sums: IntegerSums | None = None
        self._settled = BigMatrix.zeros(len(self.names) + 1)
        self._extended = np.zeros(len(self.names), dtype=bool)
        self._log_weight = 0

    def fresh(self) -> Self:
        """Return an empty statistic over the same columns, on the same grid."""
        new = type(self)(self.names, target=self.target)
        new._shared = self._shared
        return new

    def _absorb(self, batch: Batch) -> None:
        if batch.weight is not None:
            self._log_weight += int(np.rint(np.log(batch.weight) / _LOG_UNIT).sum())
        if batch.low is not None:
            self._extended[: batch.x.shape[1]] |= batch.low.any(axis=0)
        elif batch.x.dtype.kind in "iub":
            self._extended[: batch.x.shape[1]] = True  # integers carry no rounding, however large
        parts = [batch.x] if batch.y is None else [batch.x, batch.y[:, None]]
        sums = self._sums_for(parts)
        weight = batch.weight
        if batch.low is None and not any(_is_long(part) for part in parts):
            done = sums.add_stored(parts, weight)
            if done == len(batch):
                return
            parts, weight = [part[done:] for part in parts], None if weight is None else weight[done:]
            if weight is None and self._add_scaled(sums, parts):
                return
        sums.add(*_two_parts(parts, batch.low), weight)

    def _add_scaled(self, sums: IntegerSums, parts: list[NDArray[Any]]) -> bool:
        """Add rows in units of the grid, unless one leaves the range of float64 there."""
        scaled = scratch(len(parts[0]), len(self.names), "scaled")
        try:
            with np.errstate(over="raise", under="raise"):
                at = 0
                for part in parts:
                    columns = slice(at, at := at + part.shape[1])
                    _scale(part, sums.scale[columns], out=scaled[:, columns])
        except FloatingPointError:
            return False
        sums.add_scaled(scaled, None)
        return True

    def _sums_for(self, parts: list[NDArray[Any]]) -> IntegerSums:
        if self._sums is None:
            with self._shared.lock:
                if self._shared.grid is None:
                    self._shared.grid = Grid.around(np.column_stack(parts).astype(np.float64))
                self._sums = IntegerSums(self._shared.grid.exponent, self.block_rows)
        return self._sums

    def _join(self, other: Self) -> None:
        if other.names != self.names:
            raise DataError(f"moments of different columns do not merge: {self.names[:8]} and {other.names[:8]}")
        self._extended |= other._extended
        self._log_weight += other._log_weight
        self._settled += other._settled
        if other._sums is not None:
            if self._sums is None:
                self._sums = IntegerSums(other._sums.exponent, self.block_rows)
            self._sums.merge(other._sums)

    @property
    def nbytes(self) -> int:
        """Memory that the state takes up, roughly."""
        return 5000 + 40 * len(self.names) ** 2 + (0 if self._sums is None else self._sums.nbytes)

    @property
    def log_weight(self) -> float:
        """Sum of the logarithms of the weights."""
        return self._log_weight * _LOG_UNIT

    def total(self) -> BigMatrix:
        """Return the sums over all rows: a constant 1 first, then the columns.

        Raises
        ------
        DataError
            No row was absorbed.
        """
        if not self.n:
            raise DataError("no rows with a positive weight and without missing values; nothing to estimate from")
        return self._settled if self._sums is None else self._settled + self._sums.total()

    def problem(self, target: str, features: Sequence[str] | None = None, intercept: bool = True) -> ExactProblem:
        """Pose the least-squares problem of one column on others. No rows are read.

        Parameters
        ----------
        target : str
        features : sequence of str, optional
            Default: every column but the target.
        intercept : bool

        Raises
        ------
        NotFound
            A column is not among `names`.
        UsageError
            A column is named twice, or is the target and a feature.
        """
        chosen, index = columns(self.names, target, features)
        sums = self.total().take(np.concatenate([[0], index + 1]))
        weight = bigint.to_dd(sums.entries[0, :1], 2 * int(sums.exponent[0]))
        first = bigint.to_dd(sums.entries[0, 1:], sums.exponent[0] + sums.exponent[1:])
        return ExactProblem(
            names=chosen,
            target=target,
            sums=sums.entries,
            exponent=sums.exponent,
            extended=self._extended[index[:-1]],
            mean=dd.divide(first, weight),
            n=self.n,
            weight=float(weight[0][0]),
            intercept=intercept,
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays: the lower triangle's integers as fixed-width little-endian bytes."""
        meta: dict[str, Any] = {"names": self.names, "target": self.target, **self.counts()}
        meta["log_weight"] = self._log_weight
        total = self.total() if self.n else self._settled
        grid = self._shared.grid
        return {
            "meta": np.array(json.dumps(meta)),
            "sums": bigint.to_bytes(total.entries[np.tril_indices(len(total.entries))]),
            "exponent": total.exponent,
            "extended": self._extended,
            "grid": np.zeros(0, dtype=np.int64) if grid is None else grid.exponent,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state.

        Raises
        ------
        ValueError
            These cannot be sums over rows; see `streamreg.stats.sense`.
        """
        meta = json.loads(str(arrays["meta"]))
        names = sense.names(meta)
        q = len(names)
        grid = sense.array(arrays, "grid", (q,) if len(arrays["grid"]) else (0,), "i")
        self = cls(names, Grid(grid) if len(grid) else None, meta["target"])
        self.n, self.n_read, self.n_missing = sense.counts(meta)
        self._settled = BigMatrix.zeros(q + 1)
        rows, columns = np.tril_indices(q + 1)
        exponent, sums = sense.array(arrays, "exponent", (q + 1,), "i"), arrays["sums"]
        for powers in (exponent, grid):
            sense.exponents(powers)
        sums = sense.array(arrays, "sums", (len(rows), *sums.shape[1:2]), "u")
        self._settled.exponent[:] = exponent
        self._settled.entries[rows, columns] = self._settled.entries[columns, rows] = bigint.from_bytes(sums)
        sense.integers(self._settled.entries, self.n)
        self._extended = sense.array(arrays, "extended", (q,), "b").copy()
        self._log_weight = int(meta["log_weight"])
        return self


def _is_long(values: NDArray[Any]) -> bool:
    """Say whether a block holds integers that float64 does not."""
    if values.dtype.kind not in "iu" or values.dtype.itemsize < 8:
        return False
    return max(int(values.max(initial=0)), -int(values.min(initial=0))) > 2**53


def _two_parts(parts: list[NDArray[Any]], low: Float | None) -> tuple[Float, Float | None]:
    """Return all columns as exact sums of two float64; None where one is enough."""
    if low is None and not any(_is_long(part) for part in parts):
        return np.column_stack([part.astype(np.float64) for part in parts]), None
    table = []
    for part in parts:
        if _is_long(part):
            upper, lower = part >> np.array(32, part.dtype), part & np.array(0xFFFFFFFF, part.dtype)
            table.append(dd.two_sum(upper.astype(np.float64) * 2.0**32, lower))
        else:
            table.append(dd.from_float(part))
    high, rest = (np.column_stack([pair[k] for pair in table]) for k in (0, 1))
    if low is not None:
        p = low.shape[1]
        high[:, :p], rest[:, :p] = dd.two_sum(high[:, :p], low + rest[:, :p])
    return high, rest


def _scale(values: NDArray[Any], powers: NDArray[np.int64], out: Float) -> None:
    if np.abs(powers).max(initial=0) < 1000:
        np.multiply(values, np.ldexp(1.0, powers), out=out)
    else:
        np.ldexp(values.astype(np.float64), powers, out=out)
