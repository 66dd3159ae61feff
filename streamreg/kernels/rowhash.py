"""Which rows are held out, and which fold a row is in: a hash of the row number, which needs no memory of the choice.

The same rows are chosen whatever the storage, the chunks, the threads or the order of reading.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0x9E3779B97F4A7C15
_DEEPER = 0xD1B54A32D192ED03  # a seed of its own for a part of a part


# What is added to the seed for each use, so that the same seed in two uses makes independent choices: a fold of what a
# split left would else be one half of it, or none.
USES = {
    "hash": 0,  # of folds in files of earlier versions
    "folds": 0x6A09E667F3BCC909,
    "split": 0xBB67AE8584CAA73B,
    "validation": 0x3C6EF372FE94F82B,
    "quantiles": 0xA54FF53A5F1D36F1,
}


def uniform(start: int, count: int, seed: int = 0, use: str = "hash") -> NDArray[np.float64]:
    """Return a number in [0, 1) for each of the rows `start` to ``start + count - 1``, shape (count,).

    `use` is one of `USES`; the numbers of two uses are independent of each other.

    The numbers of SplitMix64 (Steele, Lea & Flood 2014, *Fast splittable pseudorandom number generators*, section 4),
    which can be made in any order.
    """
    first = mixed(np.array([(seed + USES[use]) % 2**64], dtype=np.uint64))
    rows = np.arange(start + 1, start + count + 1, dtype=np.uint64)
    high = mixed(first + rows * np.uint64(_GOLDEN)) >> np.uint64(11)
    return np.asarray(high.astype(np.float64) * 2.0**-53)


def fold_numbers(start: int, count: int, folds: int, seed: int = 0, use: str = "folds") -> NDArray[np.int64]:
    """Return which of `folds` folds, from 0, each row is in; shape (count,)."""
    return np.asarray((uniform(start, count, seed, use) * folds).astype(np.int64))


@dataclass(frozen=True, slots=True)
class Sample:
    """A part of the rows: those held out, or all others.

    Attributes
    ----------
    fraction : float
        Share of rows that are held out.
    seed : int
        Another seed holds out other rows.
    held_out : bool
        Whether this is the part that is held out, or the rest, to train on.
    within : Sample or None
        The part that this is a part of; the two choices are independent, also with the same seed.
    use : {"split", "validation"}
        What the rows are held out for; choices for two uses are independent, also with the same seed.
    """

    fraction: float
    seed: int = 0
    held_out: bool = True
    within: "Sample | None" = None
    use: str = "split"

    @property
    def depth(self) -> int:
        """Number of parts around this one."""
        return 0 if self.within is None else 1 + self.within.depth

    def mask(self, start: int, count: int) -> NDArray[np.bool_]:
        """Return which of the rows from `start` on are in this part, shape (count,)."""
        own = (uniform(start, count, self.seed + self.depth * _DEEPER, self.use) < self.fraction) == self.held_out
        return np.asarray(own if self.within is None else own & self.within.mask(start, count))


def mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return 64 mixed bits for each number: the finaliser of SplitMix64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
