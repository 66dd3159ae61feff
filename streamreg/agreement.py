"""How far apart two linear predictors are, measured on the loss surface that second moments define."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreg.geometry import Geometry
from streamreg.result import FitResult

Float = NDArray[np.float64]

# Below this unexplained share the errors are rounding, and fitted values are compared instead of standard errors.
_PERFECT = 1e-12
_FLAT = 1e-8  # below this, eigenvalues of the scaled Gram matrix are taken from its inverse, which knows them better
_SHOWN = 4  # columns named in a direction
_ROUNDING = 2.0**-51
_FULL = 15.3  # digits of a float64 of which nothing else is known


@dataclass(frozen=True, slots=True)
class Direction:
    """One eigen-direction of the scaled Gram matrix, and how far apart the fits are along it.

    Attributes
    ----------
    distance : float
        In standard errors of that direction; for a perfect fit, relative to the norm of the target.
    share : float
        Part of the whole squared distance.
    eigenvalue : float
        Of the Gram matrix scaled to unit diagonal; small means that the data are nearly flat here.
    columns : tuple of (name, weight)
        The columns that it joins, largest first.
    """

    distance: float
    share: float
    eigenvalue: float
    columns: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        text = ""
        for name, weight in self.columns:
            sign = (" - " if weight < 0 else " + ") if text else ("-" if weight < 0 else "")
            text += sign + name
        return text


@dataclass(frozen=True, slots=True)
class Distance:
    """Distances between two sets of estimates, in the geometry of a reference fit.

    Attributes
    ----------
    unit : float
        What counts as one: the residual standard error, or the norm of the target for a perfect fit.
    perfect : bool
        The reference leaves no residual to speak of (or has no degrees of freedom), so errors mean nothing.
    each : ndarray of shape (p,)
        Per coefficient, in standard errors; NaN where it is not identifiable.
    intercept, mean : float
        Distance of the intercepts, and of the fitted means, likewise.
    wald, excess, fitted : float
        As in `Comparison`.
    gradient, newton : float
        Of the fit that is farther from the reference; as in `Comparison`.
    farther : {0, 1}
        Which of the two that is.
    directions : tuple of Direction
        The directions that carry most of the difference, the farthest first.
    """

    unit: float
    perfect: bool
    each: Float
    intercept: float
    mean: float
    wald: float
    excess: float
    fitted: float
    gradient: float
    newton: float
    farther: int
    directions: tuple[Direction, ...]

    @classmethod
    def endless(cls, p: int) -> "Distance":
        """Return the distance of p coefficients from what are no numbers."""
        nan, none = float("nan"), np.full(p, np.nan)
        return cls(nan, False, none, nan, float("inf"), nan, nan, nan, nan, nan, farther=1, directions=())

    @property
    def greatest(self) -> float:
        """Return the largest distance among coefficients, intercept, fitted mean and directions."""
        candidates = [self.intercept, self.mean, *self.each.tolist(), *(d.distance for d in self.directions)]
        return max((float(c) for c in candidates if not np.isnan(c)), default=0.0)


def measure(reference: FitResult, geometry: Geometry, a: FitResult, b: FitResult) -> Distance:
    """Measure the way from `a` to `b`; all three have the same names in the same order.

    Differences that the digits of `a` and `b` do not support count as none. Where one of them is not a number, there is
    no distance; where it is too large for its square, the distance is infinite.
    """
    if not (finite(a, reference.identifiable) and finite(b, reference.identifiable)):
        return Distance.endless(len(reference.names))
    with np.errstate(over="ignore", invalid="ignore"):
        return _measured(reference, geometry, a, b)


def finite(fit: FitResult, which: NDArray[np.bool_]) -> bool:
    """Return whether the coefficients that the data determine, and the fitted mean, are numbers."""
    return bool(np.isfinite(fit.coef[which]).all() and np.isfinite(fit.at_centre))


def _measured(reference: FitResult, geometry: Geometry, a: FitResult, b: FitResult) -> Distance:
    norms, weight = geometry.norms(), geometry.weight
    sigma = _sigma(reference, geometry)
    df = max(reference.df_resid, 0.0)
    size = _size(reference, geometry, sigma)
    unexplained = (sigma / size) ** 2 * df
    perfect = reference.family == "gaussian" and (not df > 0 or unexplained < _PERFECT)
    unit = size if perfect else sigma

    errors = np.full(len(norms), np.nan)
    errors[geometry.kept] = unit * np.sqrt(np.maximum(np.diag(geometry.inverse), 0.0)) / norms[geometry.kept]
    errors[~reference.identifiable] = np.nan
    surface = _Surface.of(geometry)
    change, moved = _difference(a, b, reference.centre, errors)
    mean = abs(moved) * np.sqrt(weight) / unit
    along = surface.along(change, unit)
    total = float(np.hypot(np.linalg.norm(along), mean))
    both = [_from(reference, fit, surface, unit, errors) for fit in (a, b)]
    farther = int(both[1][0] >= both[0][0])
    newton, gradient = both[farther]
    base = unexplained if perfect else df if reference.family == "gaussian" else reference.deviance
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(change == 0, np.where(np.isnan(errors), np.nan, 0.0), np.abs(change) / errors)
        excess = float(np.float64(newton**2) / base) if newton else 0.0
    return Distance(
        unit=unit,
        perfect=bool(perfect),
        each=each,
        intercept=_intercept_distance(reference, geometry, a, b, unit),
        mean=float(mean),
        wald=total / float(np.sqrt(max(reference.rank + reference.has_intercept, 1))),
        excess=excess,
        fitted=total * unit / size,
        gradient=gradient,
        newton=newton,
        farther=farther,
        directions=_directions(reference.names, surface, along, total),
    )


def at(fit: FitResult, point: Float) -> float:
    """Return the linear predictor of `fit` at one point, without the cancellation of ``intercept + x'b``."""
    return float(fit.at_centre + (point - fit.centre) @ np.nan_to_num(fit.coef))


@dataclass(frozen=True, slots=True)
class _Surface:
    """The loss surface over the kept columns: directions of unit length and how steep it is along them.

    Changes of dependent columns are first moved to the kept ones along the null space, which changes no fitted value.
    """

    geometry: Geometry
    values: Float
    vectors: Float

    @classmethod
    def of(cls, geometry: Geometry) -> "_Surface":
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

    def along(self, change: Float, unit: float) -> Float:
        """Return the move along each direction, in units; its square is the loss it adds."""
        kept, null = self.geometry.kept, self.geometry.null_space
        if null.shape[1]:
            rest = np.setdiff1d(np.arange(len(change)), kept)
            change = change - null @ np.linalg.solve(null[rest], change[rest])
        return np.asarray(np.sqrt(self.values) * (self.vectors.T @ (change * self.geometry.norms() / unit)[kept]))

    def score(self, along: Float) -> Float:
        """Return the score of each kept column after such a move, in its standard deviations."""
        return np.asarray(self.vectors @ (np.sqrt(self.values) * along))


def _difference(a: FitResult, b: FitResult, centre: Float, errors: Float) -> tuple[Float, float]:
    """Return what separates two fits, as far as their digits go: of the slopes, and of the values at `centre`."""
    slopes = [np.nan_to_num(fit.coef) for fit in (a, b)]
    floors = [
        10.0 ** -np.nan_to_num(fit.digits, nan=_FULL) * np.maximum(np.abs(coef), 1e-3 * np.nan_to_num(errors))
        for fit, coef in zip((a, b), slopes, strict=True)
    ]
    change = slopes[1] - slopes[0]
    change[np.abs(change) <= np.maximum(floors[0], floors[1])] = 0.0
    moved, noise = at(b, centre) - at(a, centre), 0.0
    for fit, coef, floor in zip((a, b), slopes, floors, strict=True):
        away = np.abs(centre - fit.centre)
        noise += _ROUNDING * (abs(fit.at_centre) + float(away @ np.abs(coef))) + float(away @ floor)
    return change, moved if abs(moved) > noise else 0.0


def _from(reference: FitResult, fit: FitResult, surface: _Surface, unit: float, errors: Float) -> tuple[float, float]:
    """Return Newton distance and gradient of a fit, seen from the reference."""
    change, moved = _difference(reference, fit, reference.centre, errors)
    along = surface.along(change, unit)
    mean = abs(moved) * np.sqrt(surface.geometry.weight) / unit
    gradient = max(float(np.abs(surface.score(along)).max(initial=0.0)), float(mean))
    return float(np.hypot(np.linalg.norm(along), mean)), gradient


def _sigma(reference: FitResult, geometry: Geometry) -> float:
    """Return the residual standard error; from a coefficient's error where its square is beyond float64."""
    if reference.family != "gaussian" or 1e-290 < reference.rss < np.inf:
        return reference.sigma if reference.df_resid > 0 or reference.family != "gaussian" else 0.0
    kept = geometry.kept
    with np.errstate(invalid="ignore", divide="ignore"):
        found = reference.std_errors[kept] * geometry.norms()[kept] / np.sqrt(np.diag(geometry.inverse))
    found = np.append(found, reference.intercept_std_error * np.sqrt(geometry.weight) if not len(kept) else np.nan)
    found = found[np.isfinite(found)]
    return float(found[0]) if len(found) else 0.0


def _size(reference: FitResult, geometry: Geometry, sigma: float) -> float:
    """Return the norm of the target about its mean (of the working response, in other families than gaussian)."""
    if reference.family == "gaussian" and 1e-290 < reference.tss < np.inf:
        return float(np.sqrt(reference.tss))
    scaled = np.nan_to_num(reference.coef) * geometry.norms()
    most = float(np.abs(scaled).max(initial=0.0))
    relative = scaled / (most or 1.0)
    explained = most * float(np.sqrt(max(float(relative @ geometry.gram @ relative), 0.0)))
    size = float(np.hypot(explained, sigma * np.sqrt(max(reference.df_resid, 0.0))))
    # A constant target is measured by itself.
    return size or (abs(reference.at_centre) or 1.0) * float(np.sqrt(geometry.weight))


def _intercept_distance(reference: FitResult, geometry: Geometry, a: FitResult, b: FitResult, unit: float) -> float:
    """Return the distance of the intercepts in standard errors; NaN if there is none, or it is not identifiable."""
    if not (reference.has_intercept and (a.has_intercept or b.has_intercept)):
        return float("nan")
    centre, null, kept = reference.centre, geometry.null_space, geometry.kept
    free = np.abs(centre @ null) > 1e-9 * (np.abs(centre) @ np.abs(null))
    if free.any():
        return float("nan")
    far = centre[kept] / geometry.norms()[kept]
    error = unit * float(np.sqrt(1.0 / geometry.weight + max(float(far @ geometry.inverse @ far), 0.0)))
    floors = [
        10.0 ** -np.nan_to_num(fit.digits_intercept, nan=_FULL) * max(abs(fit.intercept), 1e-3 * error)
        for fit in (a, b)
    ]
    change = abs(b.intercept - a.intercept)
    return 0.0 if change <= max(floors) else change / error


def _directions(names: tuple[str, ...], surface: _Surface, along: Float, total: float) -> tuple[Direction, ...]:
    found = []
    for k in np.argsort(-np.abs(along), kind="stable")[:5]:
        if not along[k]:
            break
        vector = surface.vectors[:, k]
        vector = vector * (1.0 if vector[np.argmax(np.abs(vector))] > 0 else -1.0)
        order = np.argsort(-np.abs(vector), kind="stable")[:_SHOWN]
        joined = tuple((names[surface.geometry.kept[i]], float(vector[i])) for i in order if abs(vector[i]) >= 0.2)
        share = float((along[k] / total) ** 2)
        found.append(Direction(float(abs(along[k])), share, float(surface.values[k]), joined))
    return tuple(found)
