"""The fit whose errors are the measure in a comparison."""

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np

from streamreg.errors import UsageError
from streamreg.families import family
from streamreg.models.base import as_source
from streamreg.models.glm import Glm
from streamreg.models.linear import Linear
from streamreg.results.base import FitResult
from streamreg.scans.formulas import as_fitted
from streamreg.scans.run import Run
from streamreg.stats.base import Statistic

Precision = Literal["auto", "exact"]


def solved(fit: FitResult) -> bool:
    """Return whether a fit is at the minimum of the loss, as far as its digits or its tolerance go.

    It is not where a penalty or restrictions hold it off, or it stopped early.
    """
    held = fit.model.get("ridge") or fit.model.get("l2") or fit.model.get("kind") == "constrained"
    return not (held or fit.method == "imported" or fit.status.startswith("not converged"))


def reference_of(fits: Sequence[FitResult], data: Any, run: Run) -> FitResult:
    """Return the fit whose errors are the measure: solved before trained, with an intercept if any has one.

    Of several the one with the most digits; the order in which they are given does not matter.

    Parameters
    ----------
    fits : sequence of FitResult
        Of the same columns, target and family.
    data : Source, Moments, or anything that `streamreg.open` takes, or None
        Where none of them will do, one is solved from these rows.

    Raises
    ------
    UsageError
        There is nothing to measure by.
    """
    needed = any(fit.has_intercept for fit in fits)
    candidates = [
        fit for fit in fits if fit.geometry is not None and not fit.model.get("ridge") and fit.has_intercept >= needed
    ]
    best = max(candidates, key=_fitness, default=None)
    if best is not None and (data is None or (solved(best) and best.method != "mini-batch")):
        return best
    if data is None:
        raise UsageError(
            "none of these fits keeps second moments to measure by; give the data, which are scanned for them"
        )
    return resolved(fits, data, run)


def resolved(fits: Sequence[FitResult], data: Any, run: Run, precision: Precision = "auto") -> FitResult:
    """Return a fit of the same model to `data`, to measure by.

    Raises
    ------
    UsageError
        It has no errors to measure by, as where labels can be separated.
    """
    like = next((fit for fit in fits if fit.method != "imported"), fits[0])
    found = _solved(like, fits, any(fit.has_intercept for fit in fits), data, run, precision)
    if found.geometry is None:
        raise UsageError(f"there is nothing to compare with: {found.status}")
    return found


class Measure:
    """What some fits are measured by: one of them, or one that is solved from the data.

    Attributes
    ----------
    reference : FitResult
    passes : int
        Times that the rows were read for it.
    """

    def __init__(self, fits: Sequence[FitResult], data: Any, run: Run) -> None:
        self.fits, self.data, self.run = fits, data, run
        self.reference = reference_of(fits, data, run)
        self._given = any(fit is self.reference for fit in fits)
        self.passes = 0 if self._given else self.reference.passes

    @cached_property
    def exact(self) -> FitResult | None:
        """A fit by the exact Gram matrix of the data, where the reference is none and they have not been read."""
        rows = self.data is not None and not isinstance(self.data, Statistic)
        if (
            not (self._given and rows)
            or not family(self.reference.family).least_squares
            or self.reference.method == "exact"
        ):
            return None
        found = resolved(self.fits, self.data, self.run, "exact")
        self.passes += found.passes
        return found


def least_digits(fit: FitResult) -> float:
    """Return the fewest digits among the coefficients that the data determine; NaN where none are known."""
    digits = fit.digits[fit.identifiable & ~np.isnan(fit.digits)]
    return float(digits.min()) if len(digits) else float("nan")


def _fitness(fit: FitResult) -> tuple[Any, ...]:
    """Return what fits are ordered by as measures; the last of it settles ties by what is in them."""
    converged = not fit.status.startswith("not converged")
    digits, errors = (float(np.nan_to_num(value)) for value in (least_digits(fit), fit.digits_se))
    coef = np.nan_to_num(fit.coef)
    with np.errstate(over="ignore"):
        size = float(np.abs(coef).sum())
    tie = fit.n, -fit.rss, -size, sorted(zip(fit.names, coef.tolist(), strict=True))
    return solved(fit), converged, fit.method != "mini-batch", fit.method == "exact", digits, errors, *tie


def _solved(
    like: FitResult, fits: Sequence[FitResult], intercept: bool, data: Any, run: Run, precision: Precision
) -> FitResult:
    """Fit the same model to the rows."""
    shared: dict[str, Any] = {"intercept": intercept, "features": like.terms_of, "powers": like.powers}
    shared["missing"] = like.model.get("missing", "error")
    shared["target"] = next((fit.target for fit in fits if fit.target), None)
    if like.encoder and not isinstance(data, Statistic):
        data = as_fitted(as_source(data), like.encoder)
    if family(like.family).least_squares:
        if isinstance(data, Statistic):
            shared |= {"features": like.names, "powers": {}}
            precision = "auto"
        return Linear(**shared, precision=precision).fit(data, engine=run)
    shared |= {
        role: like.model.get(role) for role in ("offset", "exposure", "trials", "dispersion") if like.model.get(role)
    }
    return Glm(**shared | {"family": like.family}).fit(data, engine=run)


def aligned(fit: FitResult, names: tuple[str, ...]) -> FitResult:
    """Return `fit` with its columns in the order of `names`."""
    if fit.names == names:
        return fit
    to = [fit.names.index(name) for name in names]
    back = np.argsort(to)
    geometry = fit.geometry
    if geometry is not None:
        geometry = dataclasses.replace(
            geometry,
            gram=geometry.gram[np.ix_(to, to)],
            kept=back[geometry.kept],
            scale=geometry.scale[to],
            exponent=geometry.exponent[to],
            null_space=geometry.null_space[to],
            offset=geometry.offset[to] if geometry.offset.size else geometry.offset,
        )
    columns = {f: getattr(fit, f)[to] for f in ("coef", "std_errors", "identifiable", "digits", "centre")}
    return dataclasses.replace(fit, names=names, geometry=geometry, **columns)
