"""The other hot loop: linear predictors of a block of rows, and weighted sums over them, while the block is in cache.

Where `streamreg.kernels.gram` has a compiled kernel and the rows are float64 or float32, one after the other, each is
one reading of the block. Of other rows a centred copy is made. Bits do not depend on how rows are stored.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import gram
from streamreg.kernels.scratch import scratch

Float = NDArray[np.float64]

if gram._NAMES:
    from streamreg.kernels import _gram


class Rows:
    """Rows about a centre: ``z = x - centre``.

    Parameters
    ----------
    x : ndarray of shape (m, p)
        Any type of number.
    centre : ndarray of shape (p,)
    low : ndarray of shape (m, p), optional
        What `x` lacks to the exact values.
    """

    def __init__(self, x: NDArray[Any], centre: Float, low: Float | None = None) -> None:
        self.x, self.low, self.centre = x, low, np.ascontiguousarray(centre, np.float64)
        self._kernel = gram.number()
        self._copy: Float | None = None

    def lines(self, coef: Float, scale: Float) -> Float:
        """Return ``z @ coef.T`` for one or two vectors, and below them the squared norms of ``z * scale``.

        Parameters
        ----------
        coef : ndarray of shape (k, p)
        scale : ndarray of shape (p,)

        Returns
        -------
        ndarray of shape (k + 1, m)

        Notes
        -----
        Cost: ``(k + 1) p`` multiplications a row.
        """
        count, out = len(coef), np.empty((len(coef) + 1, len(self.x)))
        coef, scale = np.ascontiguousarray(coef, np.float64), np.ascontiguousarray(scale, np.float64)
        if self._kernel is not None:
            if not self._direct() or not _gram.lines(self._kernel, self.x, self.centre, coef, count, scale, out):
                _gram.lines(self._kernel, self.centred(), np.zeros_like(scale), coef, count, scale, out)
        else:
            z = self.centred()
            for j in range(count):
                out[j] = z @ coef[j]
            out[count] = (z**2) @ scale**2
        return out

    def sums(self, signed: Float, sized: Float) -> Float:
        """Return ``signed @ z`` and ``sized @ abs(z)``, shape (2, p).

        Notes
        -----
        Cost: ``2 p`` multiplications a row.
        """
        out = np.empty((2, self.x.shape[1]))
        signed, sized = np.ascontiguousarray(signed, np.float64), np.ascontiguousarray(sized, np.float64)
        if self._kernel is not None:
            if not self._direct() or not _gram.sums(self._kernel, self.x, self.centre, signed, sized, out):
                _gram.sums(self._kernel, self.centred(), np.zeros_like(self.centre), signed, sized, out)
        else:
            z = self.centred()
            out[0], out[1] = signed @ z, sized @ np.abs(z)
        return out

    def _direct(self) -> bool:
        """Return whether the kernel may look at the rows; else it works on the centred copy, to the same bits."""
        return self.low is None and self._copy is None

    def centred(self) -> Float:
        """Return z as float64, shape (m, p), in memory that this thread uses again."""
        if self._copy is None:
            self._copy = scratch(len(self.x), self.x.shape[1], "rows")
            gram.subtract(self.x, self.centre, self._copy)
            if self.low is not None:
                self._copy += self.low
        return self._copy
