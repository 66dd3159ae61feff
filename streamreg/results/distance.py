"""How far apart two linear predictors are, measured on the loss surface that second moments define."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreg.families import family
from streamreg.inference.covariance import Geometry
from streamreg.results.base import FitResult
from streamreg.results.surface import MOMENTS, Surface, residual_doubt, residual_error, target_norm
from streamreg.solve.digits import EPS, FULL

Float = NDArray[np.float64]

_SHOWN, _ROUNDING = 4, 2.0**-51  # columns named in a direction
_ROUGH = 0.5  # relative error of the curvature in the flattest direction from which on each direction is in doubt


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
        The residuals of the reference cannot be told from zero by its digits (or there are no degrees of freedom), so
        errors mean nothing.
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
    apart : tuple of two floats
        Newton distance of each fit from the reference.
    resolution : float
        How far the digits of the reference leave open where the minimum is, in the same unit.
    least, most : float
        What the greatest distance (the fitted one, for a perfect fit) is at least and at most: the moments that it is
        measured by have digits of their own, and no more than what the digits of the fits support is sure.
    in_errors : float
        For a perfect fit whose residuals may yet be more than zero: the least that the distance is in standard errors.
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
    apart: tuple[float, float]
    resolution: float
    least: float
    most: float
    in_errors: float
    directions: tuple[Direction, ...]

    @classmethod
    def endless(cls, p: int) -> "Distance":
        """Return the distance of p coefficients of which some are NaN or infinite."""
        nan, inf = float("nan"), float("inf")
        return cls(
            unit=nan,
            perfect=False,
            each=np.full(p, nan),
            intercept=nan,
            mean=inf,
            wald=nan,
            excess=nan,
            fitted=nan,
            gradient=nan,
            newton=nan,
            farther=1,
            apart=(nan, nan),
            resolution=nan,
            least=inf,
            most=inf,
            in_errors=0.0,
            directions=(),
        )

    @property
    def greatest(self) -> float:
        """Return the largest distance among coefficients, intercept, fitted mean and directions."""
        candidates = [self.intercept, self.mean, *self.each.tolist(), *(d.distance for d in self.directions)]
        return max((float(c) for c in candidates if not np.isnan(c)), default=0.0)


def measure(reference: FitResult, geometry: Geometry, a: FitResult, b: FitResult) -> Distance:
    """Measure the way from `a` to `b`; all three have the same names in the same order.

    Distances are those of the numbers as they stand; a difference below the rounding of float64 is none. Where a number
    is NaN or infinite there is no distance; where it is too large for its square, the distance is infinite.
    """
    if not (finite(a, reference.identifiable) and finite(b, reference.identifiable)):
        return Distance.endless(len(reference.names))
    with np.errstate(over="ignore", invalid="ignore"):
        return _measured(reference, geometry, a, b)


def finite(fit: FitResult, which: NDArray[np.bool_]) -> bool:
    """Return whether the coefficients that the data determine, and the fitted mean, are numbers.

    The NaN of a column that a fit dropped, as its own data asked for, stands for 0.
    """
    dropped = np.isnan(fit.coef) & ~fit.identifiable
    return bool(np.isfinite(fit.coef[which & ~dropped]).all() and np.isfinite(fit.at_centre))


def _measured(reference: FitResult, geometry: Geometry, a: FitResult, b: FitResult) -> Distance:
    norms, weight, gaussian = geometry.norms(), geometry.weight, family(reference.family).least_squares
    sigma = residual_error(reference, geometry)
    df = max(reference.df_resid, 0.0)
    size = target_norm(reference, geometry, sigma)
    unexplained = (sigma / size) ** 2 * df
    doubt = residual_doubt(reference, geometry, size, unexplained)
    perfect = gaussian and (not df > 0 or unexplained <= doubt)
    unit = size if perfect else sigma

    errors = np.full(len(norms), np.nan)
    errors[geometry.kept] = unit * np.sqrt(np.maximum(np.diag(geometry.inverse), 0.0)) / norms[geometry.kept]
    errors[~reference.identifiable] = np.nan
    surface = Surface.of(geometry)
    change, moved = _difference(a, b, reference.centre, errors)
    mean = abs(moved) * np.sqrt(weight) / unit
    basic = surface.basic(change, unit)
    along = surface.along(basic)
    total = float(np.hypot(np.linalg.norm(along), mean))
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(change == 0, np.where(np.isnan(errors), np.nan, 0.0), np.abs(change) / errors)
    intercept, spread = _intercept_distance(reference, surface, a, b, unit)

    # What the digits of the two fits support.
    span = float(np.linalg.norm(basic))
    (rough, factor), (rough_b, factor_b) = (surface.errors(fit, size, unit) for fit in (a, b))
    rough, factor = rough + rough_b, factor + factor_b
    sure = [mean, *(np.abs(along) - rough), intercept - factor * spread if factor else intercept]
    reach = surface.reach() / np.sqrt(np.diag(geometry.inverse))
    sure += list(each[geometry.kept] - (factor * reach if factor else 0.0))
    far = np.array([mean, intercept, *np.abs(along), *each])
    least, most = float(np.nanmax(sure, initial=0.0)), float(np.nanmax(far, initial=0.0))
    if perfect:
        most = total
        least = max(total - float(np.linalg.norm(rough)), 0.0)
    # How far the reference itself may be from the minimum.
    doubtful = surface.rank_in_doubt(reference)
    resolution = float(surface.errors(reference, size, unit)[0].max(initial=0.0))
    # What the digits of the moments support: how steep the surface is, and whether it is level along the null space.
    gram = 0.0 if reference.method == "exact" else EPS
    flat = gram / surface.flattest
    null = np.linalg.norm(change * norms / unit - surface.spread(basic)) if geometry.null_space.shape[1] else 0.0
    if flat < _ROUGH:
        least, most = least * (1.0 - flat), float(np.hypot(most * (1.0 + flat), np.sqrt(gram) * null))
    else:
        hidden = np.sqrt(gram) * float(np.hypot(span, null))
        within = float(np.sqrt(max(total**2 - hidden**2, 0.0) / (len(along) + 1)))
        least, most = min(least, within), float(np.hypot(total, hidden))
    if doubtful:
        most = float("inf")
    in_errors = 0.0
    if perfect:
        least, most = least * unit / size, most * unit / size
        if df > 0 and reference.method in MOMENTS and doubt:
            in_errors = (total if doubtful else most) / float(np.sqrt((unexplained + doubt) / df))
    elif gaussian:
        share = doubt / unexplained
        least, most = least / float(np.sqrt(1.0 + share)), most / float(np.sqrt(1.0 - share))

    both = [_from(reference, fit, surface, unit, errors) for fit in (a, b)]
    farther = int(both[1][0] >= both[0][0])
    newton, gradient = both[farther]
    base = unexplained if perfect else df if gaussian else reference.deviance
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = float(np.float64(newton**2) / base) if newton else 0.0
    return Distance(
        unit=unit,
        perfect=bool(perfect),
        each=each,
        intercept=intercept,
        mean=float(mean),
        wald=total / float(np.sqrt(max(reference.rank + reference.has_intercept, 1))),
        excess=excess,
        fitted=total * unit / size,
        gradient=gradient,
        newton=newton,
        farther=farther,
        apart=(both[0][0], both[1][0]),
        resolution=resolution,
        least=least,
        most=most,
        in_errors=in_errors,
        directions=_directions(reference.names, surface, along, total),
    )


def _difference(a: FitResult, b: FitResult, centre: Float, errors: Float) -> tuple[Float, float]:
    """Return what separates two fits beyond the rounding of float64: of the slopes, and of the values at `centre`."""
    slopes = [np.nan_to_num(fit.coef) for fit in (a, b)]
    floors = [10.0**-FULL * np.maximum(np.abs(coef), 1e-3 * np.nan_to_num(errors)) for coef in slopes]
    change = slopes[1] - slopes[0]
    change[np.abs(change) <= np.maximum(floors[0], floors[1])] = 0.0
    # The means are known to the rounding of the centre, which matters where slopes differ by far more than values do.
    moved, noise = b.line.value(centre) - a.line.value(centre), _ROUNDING * float(np.abs(centre) @ np.abs(change))
    for fit, coef, floor in zip((a, b), slopes, floors, strict=True):
        away = np.abs(centre - fit.centre)
        noise += _ROUNDING * (abs(fit.at_centre) + float(away @ np.abs(coef))) + float(away @ floor)
    return change, moved if abs(moved) > noise else 0.0


def _from(reference: FitResult, fit: FitResult, surface: Surface, unit: float, errors: Float) -> tuple[float, float]:
    """Return Newton distance and gradient of a fit, seen from the reference."""
    change, moved = _difference(reference, fit, reference.centre, errors)
    along = surface.along(surface.basic(change, unit))
    mean = abs(moved) * np.sqrt(surface.geometry.weight) / unit
    gradient = max(float(np.abs(surface.score(along)).max(initial=0.0)), float(mean))
    return float(np.hypot(np.linalg.norm(along), mean)), gradient


def _intercept_distance(
    reference: FitResult, surface: Surface, a: FitResult, b: FitResult, unit: float
) -> tuple[float, float]:
    """Return the distance of the intercepts in standard errors, NaN if there is none or it is not identifiable.

    And by how much an error of one in ``X'y`` moves it.
    """
    nan, geometry = float("nan"), surface.geometry
    if not (reference.has_intercept and (a.has_intercept or b.has_intercept)):
        return nan, nan
    centre, null, kept = reference.centre, geometry.null_space, geometry.kept
    free = np.abs(centre @ null) > 1e-9 * (np.abs(centre) @ np.abs(null))
    if free.any():
        return nan, nan
    far = centre[kept] / geometry.norms()[kept]
    error = float(np.sqrt(1.0 / geometry.weight + max(float(far @ geometry.inverse @ far), 0.0)))
    floors = [10.0**-FULL * max(abs(fit.intercept), 1e-3 * error * unit) for fit in (a, b)]
    change = abs(b.intercept - a.intercept)
    distance = 0.0 if change <= max(floors) else change / (error * unit)
    return distance, float(np.linalg.norm(geometry.inverse @ far)) / error


def _directions(names: tuple[str, ...], surface: Surface, along: Float, total: float) -> tuple[Direction, ...]:
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
