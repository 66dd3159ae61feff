"""Which columns depend on which, and what that means for the coefficients. Shared by every solver."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamreg.problem import Dependency

Float = NDArray[np.float64]

UNIT = 2.0**-53

# A column whose values are constant but for the rounding of the input: its rounding relative to its deviation.
CONSTANT = 0.25

# A coefficient below this, on columns of unit norm, or a constant this much below its terms, is rounding of the inputs.
_NEGLIGIBLE = 1e-9

_LAST = np.iinfo(np.int32).max


def input_rounding(size: Float, deviation: Float) -> Float:
    """Return nu, the rounding already in each column relative to its standard deviation: ``u rms(x) / std(x)``.

    Each value carries an error of at most u times itself, so ``nu**2 ||x - mean||**2`` bounds the squared norm of the
    error of a column (the root mean square is the tight bound; the greatest value would let the verdict drift with n).
    """
    return np.divide(UNIT * size, deviation, out=np.full_like(size, np.inf), where=deviation > 0)


def pivot_tolerance(nu: float, others: Float, coefficients: Float) -> float:
    """Return the squared distance, relative to its squared norm, at which a column counts as dependent on others.

    Rounding of the inputs alone could produce such a distance: ``16 (nu_j**2 + sum a_i**2 nu_i**2)`` with the column's
    coefficients a on the others, all columns scaled to unit norm.
    """
    # An exactly constant column has nu = inf and never is among the others.
    return 16.0 * float(nu**2 + np.sum((coefficients * others) ** 2))


def null_space(combination: Float, kept: NDArray[np.int64], unit: Float) -> tuple[Float, NDArray[np.bool_]]:
    """Return the directions that change no fitted value, and which coefficients they leave alone.

    Parameters
    ----------
    combination : ndarray of shape (r, p - r)
        Each dependent column's coefficients on the kept ones, all scaled to unit norm.
    kept : int ndarray of shape (r,)
    unit : ndarray of shape (p,)
        Norms in the units of the data; 1 for constant columns.

    Returns
    -------
    directions : ndarray of shape (p, p - r)
        In the units of the data, each with greatest entry 1.
    identifiable : bool ndarray of shape (p,)
    """
    p = len(unit)
    dropped = np.delete(np.arange(p), kept)
    scaled = np.zeros((p, len(dropped)))
    scaled[kept] = -combination
    scaled[np.abs(scaled) < _NEGLIGIBLE] = 0.0
    scaled[dropped, np.arange(len(dropped))] = 1.0
    # Powers of two on their own: a quotient could leave the range of float64 before it is divided by the greatest.
    fraction, power = np.frexp(unit)
    least = np.where(scaled != 0, power[:, None], _LAST).min(axis=0, initial=_LAST)
    directions = np.ldexp(scaled / fraction[:, None], least - power[:, None])
    if len(dropped):
        directions /= np.abs(directions).max(axis=0)
    return directions, np.asarray(~scaled.any(axis=1))


def moves_intercept(mean: Float, directions: Float) -> bool:
    """Say whether the intercept changes along the null space, so that it is not identifiable either."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool((np.abs(mean @ directions) > _NEGLIGIBLE * (np.abs(mean) @ np.abs(directions))).any())


def describe(
    names: Sequence[str], combination: Float, kept: NDArray[np.int64], unit: Float, mean: Float, intercept: bool
) -> tuple[Dependency, ...]:
    """Write each dependent column as a combination of kept ones, in the units of the data."""
    found = []
    dropped: list[int] = np.delete(np.arange(len(unit)), kept).tolist()
    for column, j in enumerate(dropped):
        share = combination[:, column]
        live = np.abs(share) >= _NEGLIGIBLE
        constant = 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            index, slopes = kept[live], share[live] * unit[j] / unit[kept[live]]
            if intercept:
                parts = slopes * mean[index]
                constant = float(mean[j] - parts.sum())
                if not abs(constant) > _NEGLIGIBLE * (abs(mean[j]) + np.abs(parts).sum()):
                    constant = 0.0
        terms = tuple((names[i], float(a)) for i, a in zip(index, slopes, strict=True))
        found.append(Dependency(names[j], terms, constant))
    return tuple(found)


def minimum_norm(coef: Float, directions: Float) -> Float:
    """Move a solution along the null space to its shortest member, the convention of scikit-learn and LAPACK gelsd."""
    if not directions.size:
        return coef
    basis = np.linalg.qr(directions)[0]
    shortest = coef - basis @ (basis.T @ coef)
    # A second projection removes what the rounding of the first left along the null space.
    return np.asarray(shortest - basis @ (basis.T @ shortest))
