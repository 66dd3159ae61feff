"""The loss surface that second moments define, and what the digits of a fit leave open on it.

Everything is in scaled units: columns of unit norm, G their Gram matrix, C its inverse.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamreg.families import family
from streamreg.inference.covariance import Geometry
from streamreg.results.base import FitResult
from streamreg.solve.digits import EPS

Float = NDArray[np.float64]

MOMENTS = ("float64", "mini-batch")  # levels whose residual sum of squares comes from float64 moments
_FLAT = 1e-8  # below this, eigenvalues of the scaled Gram matrix are taken from its inverse, which knows them better
_KNOWN = 15.0  # digits from which on a coefficient is as good as float64 can write it


@dataclass(frozen=True, slots=True)
class Surface:
    """The loss surface over the kept columns: directions of unit length and how steep it is along them.

    Changes of dependent columns are first moved to the kept ones along the null space, which changes no fitted value.
    """

    geometry: Geometry
    values: Float
    vectors: Float

    @classmethod
    def of(cls, geometry: Geometry) -> Self:
        """Return the surface in its eigen-directions."""
        kept = geometry.kept
        if not len(kept):
            return cls(geometry, np.zeros(0), np.zeros((0, 0)))
        values, vectors = np.linalg.eigh(geometry.gram[np.ix_(kept, kept)])
        flat = values < _FLAT * values[-1]
        if flat.any():
            spread, turned = np.linalg.eigh(vectors[:, flat].T @ geometry.inverse @ vectors[:, flat])
            vectors = np.column_stack([vectors[:, flat] @ turned, vectors[:, ~flat]])
            values = np.concatenate([1.0 / np.maximum(spread, 1.0), values[~flat]])
        return cls(geometry, values, vectors)

    @property
    def flattest(self) -> float:
        """Return the least eigenvalue; 1 without columns."""
        return float(self.values.min(initial=1.0))

    def basic(self, change: Float, unit: float) -> Float:
        """Return a change of the slopes as one of the kept ones alone, in units of their norms, shape (r,)."""
        kept, null = self.geometry.kept, self.geometry.null_space
        if null.shape[1]:
            rest = np.setdiff1d(np.arange(len(change)), kept)
            change = change - null @ np.linalg.solve(null[rest], change[rest])
        return np.asarray((change * self.geometry.norms() / unit)[kept])

    def spread(self, basic: Float) -> Float:
        """Return a change of the kept slopes as one of all of them, shape (p,), 0 for the others."""
        out = np.zeros(len(self.geometry.scale))
        out[self.geometry.kept] = basic
        return out

    def along(self, basic: Float) -> Float:
        """Return the move along each direction, in units; its square is the loss it adds."""
        return np.asarray(np.sqrt(self.values) * (self.vectors.T @ basic))

    def score(self, along: Float) -> Float:
        """Return the score of each kept column after such a move, in its standard deviations."""
        return np.asarray(self.vectors @ (np.sqrt(self.values) * along))

    def reach(self) -> Float:
        """Return the norm of each row of C, shape (r,)."""
        return np.asarray(np.linalg.norm(self.geometry.inverse, axis=1))

    def rank_in_doubt(self, fit: FitResult) -> bool:
        """Return whether float64 moments did not tell which columns depend on others."""
        kept = self.geometry.kept
        few = fit.rank < len(kept) or not (fit.digits[kept] > 0).any()
        return bool(fit.method == "float64" and fit.dependencies and few)

    def errors(self, fit: FitResult, size: float, unit: float) -> tuple[Float, float]:
        """Return how far the digits of a fit leave open where it is along each direction, and a factor for slopes.

        An error of one in ``X'y`` moves a slope by its row of C, times that factor. Slopes that were solved for are off
        by C times such an error, so their errors hang together: fitted values are far better known than single slopes
        of nearly dependent columns. Where C itself is in doubt, so is everything. `size` is the norm of the target.
        """
        if self.rank_in_doubt(fit):
            return np.full(len(self.values), np.inf), float("inf")
        error = self._rounding(fit, size) / unit
        if not error:
            return np.zeros(len(self.values)), 0.0
        sure = np.ones(len(self.values)) if fit.method != "float64" else np.maximum(1.0 - EPS / self.values, 0.0)
        with np.errstate(divide="ignore"):
            return error / np.sqrt(self.values) / sure, float(error / np.float64(sure.min(initial=1.0)))

    def _rounding(self, fit: FitResult, size: float) -> float:
        """Return a bound of the error in ``X'y`` that accounts for the digits of a fit."""
        kept = self.geometry.kept
        slopes, digits = np.abs(np.nan_to_num(fit.coef) * self.geometry.norms())[kept], fit.digits[kept]
        told = digits > 0
        some = told & (digits < _KNOWN)
        reach = np.maximum(self.reach(), 1.0)
        if some.any():
            return float((10.0 ** -digits[some] * slopes[some] / reach[some]).max())
        if told.any() or np.isnan(digits).all():
            return 0.0
        if family(fit.family).least_squares:
            return float(EPS * np.hypot(size, np.linalg.norm(slopes)))
        return float((slopes / reach).max())


def residual_error(reference: FitResult, geometry: Geometry) -> float:
    """Return the residual standard error; from a coefficient's error where its square is beyond float64."""
    if not family(reference.family).least_squares or 1e-290 < reference.rss < np.inf:
        return reference.sigma if reference.df_resid > 0 or not family(reference.family).least_squares else 0.0
    kept = geometry.kept
    with np.errstate(invalid="ignore", divide="ignore"):
        found = reference.std_errors[kept] * geometry.norms()[kept] / np.sqrt(np.diag(geometry.inverse))
    found = np.append(found, reference.intercept_std_error * np.sqrt(geometry.weight) if not len(kept) else np.nan)
    found = found[np.isfinite(found)]
    return float(found[0]) if len(found) else 0.0


def target_norm(reference: FitResult, geometry: Geometry, sigma: float) -> float:
    """Return the norm of the target about its mean (of the working response, in other families than gaussian)."""
    if family(reference.family).least_squares and 1e-290 < reference.tss < np.inf:
        return float(np.sqrt(reference.tss))
    scaled = np.nan_to_num(reference.coef) * geometry.norms()
    most = float(np.abs(scaled).max(initial=0.0))
    relative = scaled / (most or 1.0)
    explained = most * float(np.sqrt(max(float(relative @ geometry.gram @ relative), 0.0)))
    size = float(np.hypot(explained, sigma * np.sqrt(max(reference.df_resid, 0.0))))
    # A constant target is measured by itself.
    return size or (abs(reference.at_centre) or 1.0) * float(np.sqrt(geometry.weight))


def residual_doubt(reference: FitResult, geometry: Geometry, size: float, unexplained: float) -> float:
    """Return the error of the residual sum of squares, relative to the squared norm of the target.

    From float64 moments it is a difference of large numbers, from a residual pass a sum of squared differences of such,
    and from exact moments it is right until residuals are the rounding of the values that they are the differences of.
    `unexplained` is the sum itself, in the same unit.
    """
    slopes = np.abs(np.nan_to_num(reference.coef) * geometry.norms() / size)[geometry.kept]
    if reference.method in MOMENTS:
        return float(EPS * (1.0 + slopes @ slopes))
    rounding = float(EPS * (1.0 + slopes.sum()))
    return rounding * (float(np.sqrt(unexplained)) if reference.method == "residuals" else rounding)
