"""Counts and sums by level of several factors, and how often their levels meet: integers, in any order of the rows."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.errors import DataError
from streamreg.kernels import levels as kernel
from streamreg.kernels.doubledouble import DD
from streamreg.kernels.levels import DIGITS
from streamreg.kernels.scratch import scratch
from streamreg.stats.levels import windows
from streamreg.stats.levels.codes import Codes, Numbered, Pairs, grown

Float = NDArray[np.float64]
Int = NDArray[np.int64]

MOST = 2**31 - 1
"""Rows whose digits an int64 has room for."""

_EXACT = 2.0**53
_CHUNK = 2**16  # levels that are worked on at a time


class LevelSums:
    """Sums of q columns by level of each factor.

    Parameters
    ----------
    columns : int
        q.
    factors : int
    weighted : bool
        Whether sums are of weighted columns, and of the weights.
    sizes : sequence of int
        For factors whose levels are numbers from 0: below what. 0, or nothing: levels are any numbers.

    Notes
    -----
    Memory: ``24 (q + 2) + 40`` bytes for each level, and more for pairs; see `Pairs`. Values below ``2**-64`` of the
    largest of their column are left out, and bits of others below that.
    """

    def __init__(self, columns: int, factors: int, weighted: bool, sizes: Sequence[int] = ()) -> None:
        self.columns, self.factors, self.weighted = columns, factors, weighted
        self.rows = 0
        self.names: list[dict[int, str]] = [{} for _ in range(factors)]
        self._named: list[dict[int, str] | None] = [None] * factors  # what was taken last
        self.width = columns + weighted
        self._top = np.full(self.width, windows.LOWEST, dtype=np.int64)
        self._limit, self._scale = windows.limits(self._top), windows.scales(self._top)
        self._codes = [Numbered(size) if size else Codes() for size in sizes or [0] * factors]
        self._sums = [np.zeros((0, DIGITS * self.width), dtype=np.int64) for _ in range(factors)]
        self._counts = [np.zeros(0, dtype=np.int64) for _ in range(factors)]
        self._pairs = {pair: Pairs(weighted) for pair in combinations(range(factors), 2)}
        self._fit()

    @property
    def nbytes(self) -> int:
        """Memory taken up."""
        arrays = sum(array.nbytes for array in (*self._sums, *self._counts))
        return arrays + sum(c.nbytes for c in self._codes) + sum(p.nbytes for p in self._pairs.values())

    def add(self, batch: Batch) -> None:
        """Add rows, whose first keys are those of the factors."""
        assert batch.keys is not None
        z, low = _table(batch, self.columns)
        weight = batch.weight if self.weighted else None
        sizes = kernel.largest(z, weight)
        if weight is not None:
            sizes = np.append(sizes, weight.max())
        if not (sizes < self._limit).all():
            self._raise(np.maximum(self._top, windows.tops(sizes)))
        self._count(len(batch))
        for f, found in enumerate(batch.labels[: self.factors]):
            if found is not self._named[f]:
                self.names[f] |= found
                self._named[f] = found
        codes = [held.of(batch.keys[:, f]) for f, held in enumerate(self._codes)]
        self._fit()
        kernel.add(z, low, weight, self._scale, codes, self._sums, self._counts)
        for (f, g), pairs in self._pairs.items():
            pairs.add(codes[f], codes[g], weight, float(self._scale[-1]) if self.weighted else 1.0, self._levels(f, g))

    def merge(self, other: "LevelSums") -> None:
        """Add the sums of other rows."""
        self._count(other.rows)
        self._raise(np.maximum(self._top, other._top))
        by = self._top - other._top
        new = [held.of(theirs.keys) for held, theirs in zip(self._codes, other._codes, strict=True)]
        self._fit()
        for names, found in zip(self.names, other.names, strict=True):
            names |= found
        for f, code in enumerate(new):
            for start in range(0, len(code), _CHUNK):
                here, to = slice(start, min(start + _CHUNK, len(code))), code[start : start + _CHUNK]
                self._sums[f][to] += self._moved(other._sums[f][here], by)
                self._counts[f][to] += other._counts[f][here]
        for (f, g), pairs in self._pairs.items():
            theirs = other._pairs[f, g]
            if self.weighted and by[-1]:
                theirs = theirs.moved(int(by[-1]))
            both = (new[f], new[g])
            pairs.join(theirs, lambda side, codes, both=both: both[side][codes], self._levels(f, g))  # type: ignore[misc]

    def _count(self, rows: int) -> None:
        self.rows += rows
        if self.rows > MOST:
            raise DataError(
                f"effects can be absorbed of {MOST:,} rows at most, as sums by level are of 64-bit integers"
            )

    def _levels(self, f: int, g: int) -> tuple[int, int]:
        return len(self._codes[f]), len(self._codes[g])

    def _fit(self) -> None:
        for f, codes in enumerate(self._codes):
            self._sums[f] = grown(self._sums[f], len(codes))  # type: ignore[assignment]
            self._counts[f] = grown(self._counts[f], len(codes))  # type: ignore[assignment]

    def _raise(self, top: Int) -> None:
        """Move the windows up."""
        by = top - self._top
        if not by.any():
            return
        if self.rows:
            self._sums = [self._moved(sums, by) for sums in self._sums]
            if self.weighted:
                self._pairs = {pair: pairs.moved(int(by[-1])) for pair, pairs in self._pairs.items()}
        self._top = top
        self._limit, self._scale = windows.limits(top), windows.scales(top)

    def _moved(self, sums: Int, by: Int) -> Int:
        if not by.any():
            return sums
        return windows.shifted(sums.reshape(-1, DIGITS, self.width), by).reshape(len(sums), DIGITS * self.width)

    def order(self, f: int) -> tuple[Int, kernel.Codes, kernel.Codes]:
        """Return the keys of a factor in order, the codes that stand for them, and the place of each code there."""
        keys = self._codes[f].keys
        codes = np.argsort(keys, kind="stable").astype(np.int32)
        places = np.empty_like(codes)
        places[codes] = np.arange(len(codes), dtype=np.int32)
        return keys[codes], codes, places

    def counts(self, f: int, codes: kernel.Codes) -> Int:
        """Return the rows of some levels."""
        return self._counts[f][codes]

    def about(self, f: int, codes: kernel.Codes, mean: DD, exponent: Int) -> tuple[Float, Float]:
        """Return the weights of some levels, shape (m,), and their sums about the means, shape (m, q).

        The latter are multiplied by ``2**-exponent``.
        """
        return kernel.about(self._sums[f], codes, self._counts[f], self._top, mean, exponent)

    def pairs(self, f: int, g: int) -> tuple[kernel.Codes, kernel.Codes, Float]:
        """Return the codes of levels of two factors that meet, in any order, and the weights of their common rows."""
        a, b, counts, digits = self._pairs[f, g].entries()
        if not self.weighted:
            return a, b, counts.astype(np.float64)
        weight = kernel.values(kernel.carried(digits[:, :, None]), self._top[-1:])
        return a, b, weight[0][:, 0] + weight[1][:, 0]

    def met(self, f: int, g: int) -> tuple[kernel.Codes, kernel.Codes, Int]:
        """Return the codes of levels of two factors that meet, in any order, and their common rows."""
        return self._pairs[f, g].entries()[:3]

    def table(self, f: int, g: int) -> Float:
        """Return the weights of the common rows of all levels of two factors, by their codes."""
        if not self.weighted and (counts := self._pairs[f, g].full(self._levels(f, g))) is not None:
            return counts.astype(np.float64)
        out = np.zeros(self._levels(f, g))
        a, b, weight = self.pairs(f, g)
        out[a, b] = weight
        return out

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays, levels and pairs in order."""
        arrays: dict[str, NDArray[Any]] = {"top": self._top, "rows": np.array(self.rows)}
        places = []
        for f in range(self.factors):
            arrays[f"levels.{f}"], codes, place = self.order(f)
            digits = kernel.carried(self._sums[f][codes].reshape(-1, DIGITS, self.width))
            arrays[f"sums.{f}"], arrays[f"counts.{f}"] = digits, self._counts[f][codes]
            names = self.names[f]  # some may be of levels that were in the storage and not in the rows
            named = [(key, names[key]) for key in arrays[f"levels.{f}"].tolist() if key in names]
            arrays[f"named.{f}"] = np.array([key for key, _ in named], dtype=np.int64)
            arrays[f"names.{f}"] = np.array([name for _, name in named], dtype=np.str_)
            places.append(place)
        for (f, g), pairs in self._pairs.items():
            a, b, counts, digits = pairs.entries()
            a, b = places[f][a], places[g][b]
            order = np.lexsort((b, a))
            own = kernel.carried(digits[order][:, :, None])[:, :, 0] if self.weighted else digits[order]
            found: dict[str, NDArray[Any]] = {"a": a[order], "b": b[order], "counts": counts[order], "weights": own}
            arrays |= {f"pairs.{f}.{g}.{name}": array for name, array in found.items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], columns: int, factors: int, weighted: bool) -> "LevelSums":
        """Rebuild the state."""
        self = cls(columns, factors, weighted)
        self.rows = int(arrays["rows"])
        self._top = arrays["top"]
        self._limit, self._scale = windows.limits(self._top), windows.scales(self._top)
        for f, codes in enumerate(self._codes):
            codes.of(arrays[f"levels.{f}"])
            named = zip(arrays[f"named.{f}"].tolist(), arrays[f"names.{f}"].tolist(), strict=True)
            self.names[f] = dict(named)
            self._sums[f], self._counts[f] = (
                arrays[f"sums.{f}"].reshape(len(codes), DIGITS * self.width),
                arrays[f"counts.{f}"],
            )
        for (f, g), pairs in self._pairs.items():
            a, b, counts, own = (arrays[f"pairs.{f}.{g}.{name}"] for name in ("a", "b", "counts", "weights"))
            pairs.put(a, b, counts, own, self._levels(f, g))
        return self


def _table(batch: Batch, columns: int) -> tuple[Float, Float | None]:
    """Return features and target side by side, and what that lacks to the exact values."""
    m, p = batch.x.shape
    z = scratch(m, columns, "levels")
    z[:, :p] = batch.x
    if batch.y is not None:
        z[:, p] = batch.y
    low = None
    if batch.low is not None:
        low = np.zeros((m, columns))
        low[:, :p] = batch.low
    for part, here in ((batch.x, slice(0, p)), *(() if batch.y is None else ((batch.y[:, None], slice(p, p + 1)),))):
        if part.dtype.kind in "iu" and part.dtype.itemsize == 8 and (np.abs(z[:, here]) > _EXACT).any():
            # Whole numbers that float64 does not hold: the rest of each is a number of its own.
            z[:, here] = np.minimum(z[:, here], np.nextafter(float(np.iinfo(part.dtype).max), 0.0))
            low = np.zeros((m, columns)) if low is None else low
            low[:, here] += (part - z[:, here].astype(part.dtype)).view(np.int64)
    return z, low
