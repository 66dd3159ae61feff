"""Which fits have robust errors, and what a pass for them asks of the rows."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import ChangedError, UsageError
from streamreg.families import family
from streamreg.models.covariance import Plan
from streamreg.models.robust_digits import SAFE, rounding
from streamreg.results.base import FitResult
from streamreg.stats.sandwich.scores import Scores

Float = NDArray[np.float64]


def require_errors(fit: FitResult, label: str, plan: Plan) -> None:
    """Raise `UsageError` unless a fit can have such errors; the message says why."""
    kind = fit.model.get("kind")
    if kind in ("glm", "logistic") and not fit.status.startswith(("ok", "dependent", "incomplete")):
        raise UsageError(f"robust errors are about a final fit, and this one is {fit.status!r}")
    if fit.geometry is None or kind not in ("linear", "glm", "logistic") or fit.model.get("ridge"):
        raise UsageError(
            f"robust errors are for sr.Linear and sr.Glm without a penalty, and this is a {kind} fit of {fit.source}"
        )
    if not fit.df_resid > 0:
        raise UsageError(f"{label}: as many coefficients as rows leave no residuals to estimate errors from")
    if fit.absorbed is not None and plan.kind in ("HC2", "HC3"):
        raise UsageError(f"{plan.kind} takes leverages, which are not known where factors are absorbed; choose HC1")
    if fit.model.get("weight_kind") == "frequency" and fit.model.get("trials"):
        raise UsageError("robust errors of trials take weights as analytic; write a row for each that occurred often")
    if plan.kind == "Newey-West" and fit.model.get("weight_kind") == "frequency":
        raise UsageError("Newey-West errors need rows in order of time, and a row that occurred often has no one place")


def beside(fit: FitResult) -> dict[str, str]:
    """Return the columns beside the features that a likelihood reads, by role."""
    held = fit.columns[len(fit.terms_of) :]
    found = dict(zip(fit.likelihood.get("beside", ()), held, strict=True))
    trials = fit.model.get("trials")
    return found | ({"trials": trials} if trials else {})


def scores_of(fit: FitResult) -> Scores:
    """Return what turns rows into scores at the estimates."""
    assert fit.geometry is not None
    geometry, p = fit.geometry, len(fit.names)
    kept = geometry.kept
    basis = np.zeros((p, len(kept)))
    basis[kept] = geometry.root.T / geometry.norms()[kept][:, None]
    unit = int(np.frexp(fit.sigma)[1]) if np.isfinite(fit.sigma) and fit.sigma > 0 else 0
    offset = geometry.offset if geometry.offset.size else np.zeros(p)
    level = 1.0 / np.sqrt(geometry.weight) if fit.has_intercept else 0.0
    line = dataclasses.replace(fit.line, at_low=geometry.at_offset)
    if not family(fit.family).least_squares:
        return Scores(line, offset, basis, float(level), 0, fit.family)
    return Scores(line, offset, basis, float(level), unit)


def require_same_rows(fit: FitResult, label: str, n: int, rss: float) -> None:
    """Raise `ChangedError` unless rows have the sum of squared residuals of the fit, or Pearson's statistic."""
    if n != fit.n:
        raise ChangedError(
            f"{label}: {n:,} rows can be used, and the fit used {fit.n:,}; pass the rows that were fitted (none "
            "without a cluster; or fit sr.Linear(errors=...), which leaves those out of both passes)"
        )
    # Estimates of few digits leave another sum than the one that was predicted, and so do great coefficients of
    # opposite sign, whose products are rounded.
    few = 10.0 ** -float(np.fmin(fit.digits_se, 6.0)) + 4.0 * SAFE * rounding(fit)
    if not family(fit.family).least_squares:
        held = float(fit.likelihood["pearson"])
        if abs(rss - held) > few * held:
            raise ChangedError(
                f"{label}: Pearson's statistic is {rss:.6g} here, and was {held:.6g} in the fit; pass the rows that "
                "were fitted, with the same weights"
            )
        return
    if abs(rss - fit.rss) > few * fit.rss + 1e-9 * fit.tss:
        raise ChangedError(
            f"{label}: the residual sum of squares is {rss:.6g} here, and was {fit.rss:.6g} in the fit; pass the rows "
            "that were fitted, with the same weights"
        )
