"""Exact elimination: inverse Cholesky of large integers, by panels of columns whose work is matrix products."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd
from streamreg.kernels.residues import Moduli, Triangle
from streamreg.solve import rank as ranks

Float = NDArray[np.float64]
Integers = NDArray[Any]

# Fixed-point bits. Pivots as small as 2**-106 times the diagonal are decided on and divided by; their inverses cost
# twice as many bits, and more than 100 are to be left.
BITS = 384

_PANEL = 16
# Bits of coefficients before the point: the rank rule keeps no column whose coefficients on others are as great as the
# inverse of the rounding of these, which is 2**106 for numbers of two parts.
_ROOM = 128


class Elimination:
    """Inverse Cholesky in fixed point: rows of the inverse of the unit lower factor, and pivots.

    Row j of that inverse is ``(-a, 1)`` with a the coefficients of column j on the columns kept before it, which is
    what the rank rule asks for.

    Parameters
    ----------
    gram : object ndarray of Python integers, shape (p + m, p + m)
        Inner products of p columns and m targets, near 1, times ``2**BITS``.
    rounding : ndarray of shape (p,)
        What each column carries already, relative to its norm.
    live : bool ndarray of shape (p,)
        Columns that may be kept.
    most : int
        How many of them.

    Attributes
    ----------
    kept : list of int
    pivots : list of int
        Squared distance of each kept column to those before it.
    shares : dict of int to ndarray
        Coefficients of what was not kept, targets too, on the columns kept before it.
    distances : dict of int to int
        Squared distances of targets to all columns kept.

    Notes
    -----
    Cost: ``2 p**3 / 3`` operations of float64 for each of 41 moduli, and ``5 p**2`` microseconds of Python
    integers.
    """

    def __init__(self, gram: Integers, rounding: Float, live: NDArray[np.bool_], most: int) -> None:
        self.gram, self.rounding, self.live, self.most = gram, rounding, live, most
        self.kept: list[int] = []
        self.pivots: list[int] = []
        self.shares: dict[int, Integers] = {}
        self.distances: dict[int, int] = {}
        self._norm = np.sqrt(floats(np.diag(gram)[: len(live)]))
        self._half = np.zeros((len(live), len(live)))
        self._largest = 0

    @cached_property
    def _rows(self) -> Triangle:
        return Triangle(Moduli(2 * BITS + _ROOM, len(self.live)))

    def run(self) -> None:
        """Keep each live column that is independent of those before it; project the targets on them."""
        q = len(self.gram)
        width = _PANEL if q > 2 * _PANEL else q
        for start in range(0, q, width):
            self._panel(np.arange(start, min(start + width, q)))

    def _panel(self, panel: NDArray[np.intp]) -> None:
        before, p = len(self.kept), len(self.live)
        outer, gram = self._project(panel)
        rows = np.zeros((len(panel), before + len(panel)), dtype=object)
        own: list[int] = []  # which of the panel are kept
        for k, j in enumerate(panel.tolist()):
            if j < p and not self.live[j]:
                self.shares[j] = np.zeros(0, dtype=object)
                continue
            r = before + len(own)
            inner, distance = _projected(rows[: len(own), before:r], self.pivots[before:], gram[own, k], gram[k, k])
            share = np.concatenate([outer[:, k] - (outer[:, own].dot(inner) >> BITS), inner])
            if j >= p or r >= self.most or self._dependent(j, share, distance):
                self.shares[j], self.distances[j] = share, distance
                continue
            rows[len(own), :r], rows[len(own), r] = -share, 1 << BITS
            own.append(k)
            self.kept.append(j)
            self.pivots.append(distance)
        self._largest = max(self._largest, int(np.abs(outer[:, own]).max(initial=0)))
        self._append(rows[: len(own), : len(self.kept)], more=int(panel[-1]) + 1 < len(self.gram))

    def _dependent(self, j: int, share: Integers, distance: int) -> bool:
        relative = floats(share) * self._norm[self.kept] / self._norm[j]
        tolerance = ranks.pivot_tolerance(self.rounding[j], self.rounding[self.kept], relative)
        return distance <= 0 or distance / 2.0**BITS <= tolerance * self._norm[j] ** 2

    def _project(self, panel: NDArray[np.intp]) -> tuple[Integers, Integers]:
        """Return coefficients on the columns kept so far, and inner products of what these leave."""
        gram = self.gram[np.ix_(panel, panel)]
        if not self.kept:
            return np.zeros((0, len(panel)), dtype=object), gram
        moduli = self._rows.moduli
        products = self.gram[np.ix_(np.array(self.kept), panel)]
        part = moduli.join(self._rows.times(moduli.split(products)), BITS)
        share = moduli.split((part << BITS) // np.array(self.pivots, dtype=object)[:, None])
        taken = moduli.join(np.matmul(moduli.split(part).swapaxes(1, 2), share), BITS)
        return moduli.join(self._rows.transposed_times(share), BITS), gram - taken

    def _append(self, rows: Integers, more: bool) -> None:
        m, r = rows.shape
        if not m:
            return
        root = np.sqrt(floats(np.array(self.pivots[-m:], dtype=object)))
        self._half[r - m : r, :r] = floats(rows) / root[:, None]
        self._largest = max(self._largest, int(np.abs(rows).max()))
        if more:
            self._rows.append(rows)

    def root(self) -> Float:
        """Return the inverse of the lower Cholesky factor of the kept columns' Gram matrix, shape (r, r)."""
        r = len(self.kept)
        return self._half[:r, :r]

    def inverse(self) -> Float:
        """Return the inverse of the Gram matrix of the kept columns, shape (r, r)."""
        r = len(self.kept)
        half = self._half[:r, :r]
        inverse: Float = half.T @ half
        np.fill_diagonal(inverse, dd.sum_rows(dd.two_prod(half, half))[0])
        return inverse

    def noise(self, target: int) -> int:
        """Return a bound of what the rounding of the fixed point does to the coefficients of a target."""
        r = len(self.kept)
        if not r:
            return 0
        # The rounding of the inner products, through their inverse, times what it is multiplied by.
        size = max(int(np.abs(self.shares[target]).max()), 1 << BITS)
        return (1024 * r * r * self._largest * self._largest * size // min(self.pivots)) >> 2 * BITS


def _projected(rows: Integers, pivots: list[int], products: Integers, square: int) -> tuple[Integers, int]:
    """Return the coefficients on the columns whose rows and pivots are given, and the squared distance to them."""
    if not pivots:
        return products, square
    part = rows.dot(products) >> BITS
    share = (part << BITS) // np.array(pivots, dtype=object)
    return share.dot(rows) >> BITS, square - (int(part.dot(share)) >> BITS)


def floats(values: Integers) -> Float:
    """Return fixed-point numbers rounded to float64."""
    return np.asarray(values.astype(np.float64) * 2.0**-BITS)
