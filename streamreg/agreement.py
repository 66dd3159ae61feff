"""How far apart two linear predictors are, measured on the loss surface that second moments define."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreg.result import FitResult, Geometry

Float = NDArray[np.float64]

# Below this unexplained share the errors are rounding, and fitted values are compared instead of standard errors.
_PERFECT = 1e-12
_NULL = 1e-12  # eigenvalues of the scaled Gram matrix below this, relative to the greatest, are its null space
_SHOWN = 4  # columns named in a direction


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
    directions: tuple[Direction, ...]

    @property
    def greatest(self) -> float:
        """Return the largest distance among coefficients, intercept, fitted mean and directions."""
        candidates = [self.intercept, self.mean, *self.each.tolist(), *(d.distance for d in self.directions)]
        return float(np.nanmax(candidates))


def measure(reference: FitResult, geometry: Geometry, a: FitResult, b: FitResult) -> Distance:
    """Measure the way from `a` to `b`; all three have the same names in the same order."""
    p, norms = len(reference.names), geometry.norms()
    change = b.coef - a.coef
    # A difference that the reference's own digits do not support is none.
    known = np.nan_to_num(reference.digits, nan=15.3)
    change[np.abs(change) <= 10.0**-known * np.abs(reference.coef)] = 0.0
    if reference is not a and reference is not b:
        change = b.coef - a.coef
    scaled = change * norms

    unexplained = reference.rss / reference.tss if reference.tss > 0 else 0.0
    perfect = not reference.df_resid > 0 or unexplained < _PERFECT
    size = (
        np.sqrt(reference.tss) if reference.tss > 0 else max(abs(reference.at_centre), 1.0) * np.sqrt(geometry.weight)
    )
    unit = float(size) if perfect else reference.sigma

    errors = np.full(p, np.nan)
    errors[geometry.kept] = np.sqrt(np.maximum(np.diag(geometry.inverse), 0.0)) / norms[geometry.kept]
    errors[~reference.identifiable] = np.nan
    moved = at(b, reference.centre) - at(a, reference.centre)
    mean = abs(moved) * np.sqrt(geometry.weight) / unit if moved else 0.0

    values, vectors = np.linalg.eigh(geometry.gram) if p else (np.ones(0), np.ones((0, 0)))
    live = values > _NULL * values.max(initial=0.0)
    along = np.where(live, np.sqrt(np.maximum(values, 0.0)) * (vectors.T @ scaled), 0.0)
    total = float(along @ along) + (moved**2 * geometry.weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = float(np.float64(_loss_above(reference, a, b, geometry, norms)) / reference.rss)
    return Distance(
        unit=unit,
        perfect=bool(perfect),
        each=np.where(change == 0, np.where(np.isnan(errors), np.nan, 0.0), np.abs(change) / (errors * unit)),
        intercept=_intercept_distance(reference, a, b, unit),
        mean=float(mean),
        wald=float(np.sqrt(total / max(reference.rank + reference.has_intercept, 1)) / unit),
        excess=excess,
        fitted=float(np.sqrt(total) / size),
        directions=_directions(reference.names, values, vectors, along, unit, total),
    )


def at(fit: FitResult, point: Float) -> float:
    """Return the fitted value of `fit` at one point, without the cancellation of ``intercept + x'b``."""
    return float(fit.at_centre + (point - fit.centre) @ fit.coef)


def _loss_above(reference: FitResult, a: FitResult, b: FitResult, geometry: Geometry, norms: Float) -> float:
    """Return how much more squared error the farther of the two fits makes than the reference."""
    losses = []
    for fit in (a, b):
        change = (fit.coef - reference.coef) * norms
        moved = at(fit, reference.centre) - reference.at_centre
        losses.append(float(change @ geometry.gram @ change) + moved**2 * geometry.weight)
    return max(losses)


def _intercept_distance(reference: FitResult, a: FitResult, b: FitResult, unit: float) -> float:
    if not (a.has_intercept or b.has_intercept):
        return float("nan")
    change = abs(b.intercept - a.intercept)
    if change <= 10.0 ** -np.nan_to_num(reference.digits_intercept, nan=15.3) * abs(reference.intercept):
        return 0.0
    if reference.df_resid > 0 and reference.sigma > 0:
        return change / reference.intercept_std_error * reference.sigma / unit
    return float("nan")


def _directions(
    names: tuple[str, ...], values: Float, vectors: Float, along: Float, unit: float, total: float
) -> tuple[Direction, ...]:
    found = []
    for k in np.argsort(-np.abs(along), kind="stable")[:5]:
        if not along[k]:
            break
        vector = vectors[:, k] * (1.0 if vectors[np.argmax(np.abs(vectors[:, k])), k] > 0 else -1.0)
        order = np.argsort(-np.abs(vector), kind="stable")[:_SHOWN]
        joined = tuple((names[i], float(vector[i])) for i in order if abs(vector[i]) >= 0.2)
        found.append(Direction(float(abs(along[k]) / unit), float(along[k] ** 2 / total), float(values[k]), joined))
    return tuple(found)
