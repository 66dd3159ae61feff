"""From the algebra's `Solution` to the result that a user reads."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreg.design.terms import Terms
from streamreg.errors import DataError
from streamreg.inference.covariance import Geometry
from streamreg.kernels import doubledouble as dd
from streamreg.problem import ExactProblem, Problem, Solution
from streamreg.results.base import FitResult
from streamreg.results.estimates import NAN
from streamreg.solve.products import inner
from streamreg.solve.rank import moves_intercept

Float = NDArray[np.float64]

_LOST = (
    "The residuals are lost in the rounding of float64 moments, so errors, F and likelihood are not given: fit the "
    "rows, or moments scanned with precision='exact'."
)
_LEAST = -1075 * float(np.log10(2.0))  # half the distance between the least numbers of float64


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a solution came from.

    Attributes
    ----------
    target, label : str
    passes : int
    method : str
    n, n_read, n_missing : int
    log_weight : float
        Sum of the logarithms of the weights.
    columns : tuple of str
        Empty if the terms are columns.
    powers : dict of str to int
    encoder : dict
        Terms of a formula, and what was learned for them.
    provenance : dict
        Sources and an account of their rows.
    seconds : float
    note : str
        What to tell the user about the numbers, if anything.
    """

    target: str
    label: str
    passes: int
    method: str
    n: int
    n_read: int
    n_missing: int
    log_weight: float
    columns: tuple[str, ...] = ()
    powers: dict[str, int] | None = None
    encoder: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    seconds: float = NAN
    note: str = ""

    @classmethod
    def of(cls, state: Any, target: str, label: str, passes: int, method: str, terms: Terms | None = None) -> Self:
        """Read the counts off a state of a scan."""
        record = state.record
        return cls(
            target,
            label,
            passes,
            method,
            state.n,
            state.n_read,
            state.n_missing,
            state.log_weight,
            () if terms is None else terms.columns,
            {} if terms is None else {c: d for c, d in zip(terms.columns, terms.degrees, strict=True) if d > 1},
            {} if record is None else record.encoder,
            {} if record is None else record.account(),
        )


def result(
    model: Any, problem: Problem | ExactProblem, found: Solution, origin: Origin, sigma: float | None = None
) -> FitResult:
    """Return the estimates of `model` with errors, in the units of the data.

    `sigma` is the residual standard deviation where it is known, in the scaled units of the solution.
    """
    p = len(problem.names)
    beyond = np.flatnonzero(np.isinf(found.basic))
    if len(beyond):
        name = problem.names[beyond[0]]
        what = f"the coefficient of {name!r} is beyond 1e308; rescale that column or the target"
        raise DataError(f"{origin.label}: {what}")
    nobs = problem.weight if model.weight_kind == "frequency" else float(origin.n)
    slopes = found.rank - penalty_share(problem, found)
    df = nobs - slopes - model.intercept - (problem.absorbed if isinstance(problem, Problem) else 0)
    with np.errstate(over="ignore"):
        total = found.square_about_mean if found.constant else found.tss
        rss, tss = (float(np.ldexp(v, 2 * found.target_exponent)) for v in (found.rss, total))
    # Nothing is left of the residual sum but rounding: it may be zero, or not.
    lost = bool(found.rss == 0 and found.tss > 0 and found.digits_rss < 1)
    if sigma is None:
        sigma = float(np.sqrt(found.rss / df)) if df > 0 and not model.ridge and not lost else NAN
    errors = np.full(p, np.nan)
    # Divided first and scaled last: with units of 1e200 the squares would not fit.
    relative = sigma * np.sqrt(np.maximum(np.diag(found.inverse), 0.0)) / found.scale[found.kept]
    errors[found.kept] = np.ldexp(relative, found.target_exponent - found.exponent[found.kept])
    coef, intercept = found.coef, found.intercept
    digits = found.digits.copy()
    if model.singular == "drop":
        coef, intercept = found.basic, found.basic_intercept
        digits[np.isnan(coef)] = np.nan
    else:
        errors[~found.identifiable] = np.nan
    intercept_error = float(np.ldexp(sigma * np.sqrt(found.mean_leverage), found.target_exponent))
    if moves_intercept(problem.mean[0][:p], found.null_space) and model.singular != "drop":
        intercept_error = NAN
    centre, (at_centre, at_offset) = centred_line(problem, np.nan_to_num(coef))
    return FitResult(
        names=problem.names,
        target=origin.target,
        coef=coef,
        intercept=intercept,
        has_intercept=model.intercept,
        std_errors=errors,
        intercept_std_error=intercept_error,
        rss=rss,
        tss=tss,
        n=origin.n,
        n_read=origin.n_read,
        n_missing=origin.n_missing,
        nobs=nobs,
        df_resid=df,
        rank=found.rank,
        identifiable=found.identifiable,
        dependencies=tuple(map(str, found.dependencies)),
        passes=origin.passes,
        method=origin.method,
        condition=found.condition,
        digits=np.minimum(digits, _held(coef)),
        digits_intercept=float(np.minimum(found.digits_intercept, _held(intercept))),
        digits_se=float(np.fmin(found.digits_se, np.fmin.reduce(_held(errors), initial=_held(intercept_error)))),
        centre=centre,
        at_centre=at_centre,
        status=origin.note or ("dependent" if found.dependencies else "ok"),
        seconds=origin.seconds,
        model=model.to_dict(),
        source=origin.label,
        log_weight=0.0 if model.weight_kind == "frequency" else origin.log_weight,
        columns=origin.columns,
        powers=origin.powers or {},
        encoder=origin.encoder,
        provenance=origin.provenance,
        geometry=Geometry(
            found.gram,
            found.inverse,
            found.kept,
            found.scale,
            found.exponent,
            found.null_space,
            problem.weight,
            problem.mean[1][:p].copy() if problem.intercept else np.zeros(0),
            found.root,
            at_offset,
        ),
        constant=found.constant,
        df_slopes=slopes if problem.ridge else NAN,
        no_likelihood=_LOST if lost else "",
    )


def penalty_share(problem: Problem | ExactProblem, found: Solution) -> float:
    """Return the degrees of freedom that a penalty takes from the slopes.

    What is left is the trace of the hat matrix: of the inverse times the cross-products without the penalty.
    """
    if not problem.ridge:
        return 0.0
    share = np.ldexp(problem.ridge, -2 * found.exponent[found.kept]) / found.scale[found.kept] ** 2
    return float(share @ np.diag(found.inverse))


def _held(values: ArrayLike) -> Float:
    """Return the digits that numbers have room for: fewer where they are close to the least of float64."""
    size = np.abs(np.asarray(values, dtype=np.float64))
    return np.asarray(np.where(size == 0, np.inf, np.log10(np.where(size == 0, 1.0, size)) - _LEAST))


def centred_line(problem: Problem | ExactProblem, coef: Float) -> tuple[Float, tuple[float, float]]:
    """Return a point near the means, and the fitted value there, in double-double."""
    p = len(coef)
    if not problem.intercept:
        return np.zeros(p), (0.0, 0.0)
    centre = problem.mean[0][:p].copy()
    offset = dd.add_float(dd.take(problem.mean, slice(p)), -centre)
    at = dd.subtract(dd.take(problem.mean, p), inner(offset, dd.from_float(coef)))
    return centre, (float(at[0]), float(at[1]))
