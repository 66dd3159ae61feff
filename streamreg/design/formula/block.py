"""Columns of a factor or a term, in double-double, and their products."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Block:
    """Columns of a factor or term.

    Attributes
    ----------
    high : float64 ndarray of shape (m, k)
        NaN where a value is missing.
    low : float64 ndarray of shape (m, k) or None
        What `high` lacks; None: nothing.
    small : bool
        Whether all numbers are -1, 0 or 1, so that products with them are exact.
    """

    high: Float
    low: Float | None = None
    small: bool = False

    @classmethod
    def of(cls, high: Float, low: Float) -> "Block":
        """Return a block of double-doubles, of shape (m,) or (m, k)."""
        if high.ndim == 1:
            high, low = high[:, None], low[:, None]
        return cls(high, low if low.any() else None)

    def times(self, other: "Block") -> "Block":
        """Return all products of a column of this and a column of the other; those of this vary fastest."""
        left, right = self.high[:, None, :], other.high[:, :, None]
        first = None if self.low is None else self.low[:, None, :]
        second = None if other.low is None else other.low[:, :, None]
        low: Float | None
        if self.small or other.small:
            high = left * right
            low = left * second if second is not None else None if first is None else first * right
        else:
            none = np.zeros(())
            high, low = dd.multiply(
                (left, none if first is None else first), (right, none if second is None else second)
            )
        shape = (len(self.high), -1)
        small = self.small and other.small
        return Block(high.reshape(shape), None if low is None else low.reshape(shape), small)

    def scaled(self, scale: float) -> "Block":
        """Return the columns times a number."""
        if scale == 1.0:
            return self
        return self.times(Block(np.full((len(self.high), 1), scale)))


def beside(blocks: Sequence[Block], m: int) -> tuple[Float, Float | None]:
    """Return blocks side by side, in memory column by column."""
    width = sum(block.high.shape[1] for block in blocks)
    high, at = np.empty((width, m)), 0
    low = np.zeros((width, m)) if any(block.low is not None for block in blocks) else None
    for block in blocks:
        end = at + block.high.shape[1]
        high[at:end] = block.high.T
        if low is not None and block.low is not None:
            low[at:end] = np.where(np.isfinite(block.low), block.low, 0.0).T
        at = end
    return high.T, None if low is None else low.T
