"""Inner products of means and coefficients, whatever the units."""

import numpy as np

from streamreg.kernels import doubledouble as dd

_LARGE = 2.0**960


def inner(values: dd.DD, coef: dd.DD) -> dd.DD:
    """Return ``values'coef`` in double-double, of factors up to the greatest numbers of float64.

    Double-double products cut their factors in halves, and what is beyond 2**996 would overflow there: some powers of
    two move to the other factor.
    """
    by = np.where(np.abs(coef[0]) > _LARGE, 64, 0) - np.where(np.abs(values[0]) > _LARGE, 64, 0)
    moved = np.ldexp(values[0], by), np.ldexp(values[1], by)
    return dd.dot(moved, (np.ldexp(coef[0], -by), np.ldexp(coef[1], -by)))
