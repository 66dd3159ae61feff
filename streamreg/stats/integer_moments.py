"""The exact Gram matrix: second moments of the data themselves, without a single rounding."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design import Batch
from streamreg.errors import DataError, NotFound, nearest
from streamreg.kernels import bigint, slices
from streamreg.kernels import doubledouble as dd
from streamreg.kernels.bigint import BigMatrix
from streamreg.kernels.scratch import scratch
from streamreg.problem import ExactProblem
from streamreg.stats.base import Statistic
from streamreg.stats.moments import Moments

Float = NDArray[np.float64]

_HEADROOM = 2  # bits by which rows to come may exceed the first block before a slice more is needed
_LOG_UNIT = 2.0**-40  # logarithms of weights are summed as integers too
_RANGE = 2.0**400  # scaled numbers beyond this, or below its inverse, go row by row through Python integers


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
        return cls(_exponent(np.minimum(np.maximum(np.abs(total.low), np.abs(total.high)), usual)))

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
    lock: threading.Lock


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
    Cost: one pass; ``9 q**2`` multiplications a row and about three times the time of `Moments` for full float64
    columns, less for float32 or integers, about ten times as much with weights. ``96 q**2`` bytes.
    """

    def __init__(self, names: Sequence[str], grid: Grid | None = None, target: str | None = None) -> None:
        self.names, self.target = tuple(names), target
        # Few columns: long blocks, for they cost calls; many: as long as three slices of 23 bits stay exact.
        self.block_rows = 4096 if len(self.names) <= 16 else 512
        self._bits = slices.slice_bits(self.block_rows)
        self._shared = _Shared(grid, threading.Lock())
        self._start()

    def _start(self) -> None:
        q = len(self.names) + 1
        self._grid: Grid | None = None
        self._plain = slices.Sums(q, symmetric=True)
        self._weighted = slices.Sums(q, symmetric=False)
        self._settled = BigMatrix.zeros(q)
        self._extended = np.zeros(q - 1, dtype=bool)
        self._log_weight = 0

    def fresh(self) -> Self:
        """Return an empty statistic over the same columns, on the same grid."""
        new = type(self)(self.names, target=self.target)
        new._shared = self._shared
        return new

    # ------------------------------------------------------------------ rows

    def _absorb(self, batch: Batch) -> None:
        p, m = batch.x.shape[1], len(batch)
        high, low = scratch(m, len(self.names), "scaled"), None
        parts = [batch.x] if batch.y is None else [batch.x, batch.y[:, None]]
        if batch.low is not None or any(_is_long(part) for part in parts):
            high, low = _two_parts(parts, batch.low)
            if batch.low is not None:
                self._extended[:p] |= batch.low.any(axis=0)
        if batch.weight is not None:
            self._log_weight += int(np.rint(np.log(batch.weight) / _LOG_UNIT).sum())
        if self._grid is None:
            with self._shared.lock:
                if self._shared.grid is None:
                    self._shared.grid = Grid.around(np.column_stack(parts).astype(np.float64))
                self._grid = self._shared.grid
        scale = self._bits - 1 - self._grid.exponent
        try:
            with np.errstate(over="raise", under="raise"):
                if low is None:
                    _scale(batch.x, scale[:p], out=high[:, :p])
                    if batch.y is not None:
                        _scale(batch.y, scale[p], out=high[:, p])
                    rest = None
                else:
                    high, rest = np.ldexp(high, scale), np.ldexp(low, scale)
            if batch.weight is not None or rest is not None:
                tame = _tame(high) if rest is None else _tame(high) & _tame(rest)
                tame &= True if batch.weight is None else _heavy(batch.weight)[:, None]
                if not tame.all():
                    raise FloatingPointError
        except FloatingPointError:
            self._absorb_any_range(parts, low, batch, scale)
            return
        self._absorb_scaled(high, rest, batch.weight)

    def _absorb_any_range(
        self, parts: list[NDArray[Any]], low: Float | None, batch: Batch, scale: NDArray[np.int64]
    ) -> None:
        """Absorb a block in which some numbers, once scaled, leave the range of float64."""
        high = np.column_stack([part.astype(np.float64) for part in parts])
        if low is not None:
            high, low = _two_parts(parts, batch.low)
        with np.errstate(over="ignore", under="ignore"):
            scaled = np.ldexp(high, scale)
            rest = None if low is None else np.ldexp(low, scale)
        tame = _tame(scaled) & (scaled != 0) | (high == 0)
        if low is not None and rest is not None:
            tame &= _tame(rest) & (rest != 0) | (low == 0)
        fits = tame.all(axis=1)
        weight = batch.weight
        if weight is not None:
            fits &= _heavy(weight)
        stray = ~fits
        self._settled += bigint.cross_product(
            high[stray], None if low is None else low[stray], None if weight is None else weight[stray]
        )
        if fits.any():
            self._absorb_scaled(
                scaled[fits], None if rest is None else rest[fits], None if weight is None else weight[fits]
            )

    def _absorb_scaled(self, high: Float, low: Float | None, weight: Float | None) -> None:
        if weight is None and low is None:
            self._add(high, None)
            return
        # Two-part numbers may exceed a slice by one, so half the rows keep the sums exact.
        for start in range(0, len(high), step := max(self.block_rows // 2, 1)):
            part = slice(start, start + step)
            rest = None if low is None else low[part].copy()
            if weight is None:
                self._add(high[part].copy(), rest)
            else:
                self._add_weighted(high[part], rest, weight[part])

    def _add(self, high: Float, low: Float | None) -> None:
        """Add ``z' z``: one symmetric product of the dense slices side by side, and thin ones for the rest."""
        m, q = high.shape
        stack = scratch(m, 1 + slices.DENSE * q, "slices")
        stack[:, 0] = 1.0
        dense, sparse = slices.cut(high, low, self._bits, stack[:, 1:])
        whole = stack[:, : 1 + dense * q]
        product = np.matmul(whole.T, whole)
        spans = [slice(0, q + 1)] + [slice(1 + k * q, 1 + (k + 1) * q) for k in range(1, dense)]
        places = [slice(0, q + 1)] + [slice(1, q + 1)] * (dense - 1)
        for i in range(dense):
            for j in range(i, dense):
                self._plain.add((i, j), places[i], places[j], product[spans[i], spans[j]])
        for number, one in enumerate(sparse):
            here = one.columns + 1
            beside = one.values.T @ (whole if one.rows is None or len(one.rows) == m else whole[one.rows])
            for j in range(dense):
                self._plain.add((one.level, j), here, places[j], beside[:, spans[j]])
            for two in sparse[number:]:
                self._plain.add((one.level, two.level), here, two.columns + 1, slices.product(one, two))
        self._plain.tick()

    def _add_weighted(self, high: Float, low: Float | None, weight: Float) -> None:
        """Add ``(w z)' z``, the products ``w z`` being exact in double-double."""
        m, width = len(high), high.shape[1] + 1
        parts = [np.column_stack([np.ones(m), high])]
        if low is not None:
            parts.append(np.column_stack([np.zeros(m), low]))
        everything = np.arange(width)
        stack, left = np.empty((2, m, slices.DENSE * width))
        right, loose = slices.cut(parts[0].copy(), parts[1].copy() if low is not None else None, self._bits, stack)
        stack = stack[:, : right * width]
        level = -(-int(np.frexp(weight.max())[1]) // self._bits)
        weight = np.ldexp(weight, -self._bits * level)
        for part in parts:
            dense, sparse = slices.cut(*dd.two_prod(part, weight[:, None]), self._bits, left)
            whole = [
                slices.Slice(k, None, everything, left[:, k * width : (k + 1) * width].copy()) for k in range(dense)
            ]
            for one in (*whole, *sparse):
                beside = one.values.T @ (stack if one.rows is None else stack[one.rows])
                for j in range(right):
                    block = beside[:, j * width : (j + 1) * width]
                    self._weighted.add((one.level - level, j), one.columns, everything, block)
                for two in loose:
                    self._weighted.add(
                        (one.level - level, two.level), one.columns, two.columns, slices.product(one, two)
                    )
            self._weighted.tick()

    # ------------------------------------------------------------------ state

    def _join(self, other: Self) -> None:
        if other.names != self.names:
            raise DataError(f"moments of different columns do not merge: {self.names[:8]} and {other.names[:8]}")
        self._extended |= other._extended
        self._log_weight += other._log_weight
        if self._grid is None:
            self._grid = other._grid
        if other._grid is self._grid or (
            other._grid is not None
            and self._grid is not None
            and np.array_equal(other._grid.exponent, self._grid.exponent)
        ):
            self._plain.merge(other._plain)
            self._weighted.merge(other._weighted)
            self._settled += other._settled
        else:
            self._settled += other.total()

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
        if self._grid is None:
            return self._settled
        total = self._settled
        unit = np.concatenate([[0], self._grid.exponent - (self._bits - 1)])
        for sums in (self._plain, self._weighted):
            entries, level = sums.total(self._bits)
            # The level counts the unit of a product: an odd number of bits is shared out as 1 and 0.
            odd = (self._bits * level) % 2
            total = total + BigMatrix(entries << odd, unit - (self._bits * level + odd) // 2)
        return total

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
        """
        chosen = tuple(n for n in self.names if n != target) if features is None else tuple(features)
        for name in (target, *chosen):
            if name not in self.names:
                raise NotFound(f"no column {name!r} in these moments{nearest(name, self.names)}")
        index = np.array([self.names.index(n) for n in (*chosen, target)])
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
        grid = self._grid or self._shared.grid
        return {
            "meta": np.array(json.dumps(meta)),
            "sums": bigint.to_bytes(total.entries[np.tril_indices(len(total.entries))]),
            "exponent": total.exponent,
            "extended": self._extended,
            "grid": np.zeros(0, dtype=np.int64) if grid is None else grid.exponent,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state."""
        meta = json.loads(str(arrays["meta"]))
        self = cls(meta["names"], Grid(arrays["grid"]) if len(arrays["grid"]) else None, meta["target"])
        self.n, self.n_read, self.n_missing = meta["n"], meta["n_read"], meta["n_missing"]
        self._settled = BigMatrix.zeros(len(self.names) + 1)
        rows, columns = np.tril_indices(len(self.names) + 1)
        self._settled.exponent[:] = arrays["exponent"]
        self._settled.entries[rows, columns] = self._settled.entries[columns, rows] = bigint.from_bytes(arrays["sums"])
        self._extended = arrays["extended"].copy()
        self._log_weight = meta["log_weight"]
        return self


def _is_long(values: NDArray[Any]) -> bool:
    """Say whether a block holds integers that float64 does not."""
    if values.dtype.kind not in "iu" or values.dtype.itemsize < 8:
        return False
    return max(int(values.max(initial=0)), -int(values.min(initial=0))) > 2**53


def _two_parts(parts: list[NDArray[Any]], low: Float | None) -> tuple[Float, Float]:
    """Return all columns as exact sums of two float64."""
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


def _tame(values: Float) -> NDArray[np.bool_]:
    """Say which numbers are zero or far from the ends of float64's range."""
    size = np.abs(values)
    return np.asarray((size < _RANGE) & ((size > 1.0 / _RANGE) | (size == 0)))


def _heavy(weight: Float) -> NDArray[np.bool_]:
    """Say which weights are within reach of the greatest."""
    return np.asarray(weight >= weight.max() / _RANGE)
