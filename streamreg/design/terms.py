"""Terms of a design that are not columns: powers, expanded in double-double.

A power rounded to float64 moves the estimates: on NIST's Filip set, of degree 10, that alone leaves 7.6 digits. So each
power is handed on as a pair (high, low).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.columns import lacking
from streamreg.errors import UsageError, nearest
from streamreg.kernels import doubledouble as dd


@dataclass(frozen=True, slots=True)
class Terms:
    """Columns, and the degree up to which each is raised.

    Attributes
    ----------
    columns : tuple of str
        The columns read.
    degrees : tuple of int
        One for each column; 1 is the column alone.
    """

    columns: tuple[str, ...]
    degrees: tuple[int, ...]

    @classmethod
    def of(cls, columns: tuple[str, ...], powers: Mapping[str, int]) -> Self:
        """Read ``powers={"x": 3}``: x, x^2 and x^3.

        Raises
        ------
        UsageError
            A power of something that is not among the columns, or a degree below 1.
        """
        for name in powers:
            if name not in columns:
                raise UsageError(f"powers of {name!r}, which is not a feature{nearest(name, columns)}")
            if not 1 <= powers[name] <= 1000:
                raise UsageError(
                    f"powers of {name!r} up to {powers[name]}; the degree is a whole number from 1 on, up to 1000"
                )
        return cls(columns, tuple(powers.get(name, 1) for name in columns))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms: ``x``, ``x^2``, ..."""
        return tuple(
            name if k == 1 else f"{name}^{k}"
            for name, degree in zip(self.columns, self.degrees, strict=True)
            for k in range(1, degree + 1)
        )

    @property
    def plain(self) -> bool:
        """Whether every term is a column."""
        return max(self.degrees, default=1) == 1

    def expand(self, x: NDArray[Any], rest: NDArray[np.float64] | None = None) -> dd.DD:
        """Return all terms of some rows.

        Parameters
        ----------
        x : ndarray of shape (m, number of columns)
        rest : ndarray of the same shape, optional
            What `x` lacks to the exact values.

        Returns
        -------
        high, low : float64 ndarrays of shape (m, number of terms)
        """
        high, low = (np.empty((len(x), sum(self.degrees))) for _ in range(2))
        at = 0
        for j, degree in enumerate(self.degrees):
            base = _exactly(x[:, j]) if rest is None else (x[:, j], rest[:, j])
            term = base
            for k in range(degree):
                with np.errstate(over="ignore", invalid="ignore"):  # the caller looks for what is not finite
                    term = dd.multiply(term, base) if k else base
                high[:, at], low[:, at] = term
                at += 1
        return high, low


def _exactly(column: NDArray[Any]) -> dd.DD:
    """Return a column as a double-double, exact for 64-bit integers too."""
    high = column.astype(np.float64)
    if column.dtype.kind not in "iu" or column.dtype.itemsize < 8:
        return high, np.zeros_like(high)
    return high, lacking(column, high)
