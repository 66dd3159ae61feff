"""The test of linear restrictions on coefficients, by the covariance of their estimates."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError, typed
from streamreg.inference import statistics
from streamreg.inference.covariance import Geometry, solve_lower
from streamreg.inference.distributions import f_tail
from streamreg.reporting.result import Final
from streamreg.reporting.table import Column, Table
from streamreg.results.estimates import Estimates
from streamreg.solve import restrictions as rules
from streamreg.solve.digits import FULL
from streamreg.solve.rank import UNIT

Float = NDArray[np.float64]

_FEW = 6  # digits of F that are fewer are said
_NULL = 1e-9  # a direction that moves a restriction by less than this, relative to its terms, leaves it alone


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class RestrictionTest(Final):
    """Outcome of `wald_test`.

    Attributes
    ----------
    restrictions : tuple of str
        The q restrictions that are tested jointly.
    estimate : ndarray of shape (q,)
        Left side minus right side, at the estimates.
    std_errors : ndarray of shape (q,)
    fvalue : float
        ``chi2 / q``; for the usual covariance it is the F test that compares the residual sums of squares of the fits
        with and without the restrictions.
    df_num, df_denom : float
        Degrees of freedom of `fvalue`; `df_denom` is infinite where the dispersion is known.
    pvalue : float
    chi2, chi2_pvalue : float
        Wald's statistic, and its p-value for large samples.
    digits : float
        Decimal digits of `fvalue` to trust; of a value below 1, those after the point.
    provenance : dict
        Of the fit.
    """

    KIND: ClassVar[str] = "test of restrictions"

    restrictions: tuple[str, ...]
    estimate: Float
    std_errors: Float
    fvalue: float
    df_num: int
    df_denom: float
    pvalue: float
    chi2: float
    chi2_pvalue: float
    digits: float = FULL
    provenance: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<RestrictionTest of {len(self.restrictions)} restrictions: p {self.pvalue:.3g}>"

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return the test as a table, with a line for each of the first `rows` restrictions."""
        facts = [
            ("F", f"{self.fvalue:.6g} on {self.df_num} and {self.df_denom:.10g} df"),
            ("P > F", f"{self.pvalue:.4g}"),
            ("Wald chi2", f"{self.chi2:.6g} on {self.df_num} df"),
            ("P > chi2", f"{self.chi2_pvalue:.4g}"),
            *([("digits of F", f"{self.digits:.0f}")] if self.digits < _FEW else []),
        ]
        t = statistics.t_statistics(self.estimate, self.std_errors)
        columns = [
            Column.of("restriction", self.restrictions[:rows], header=""),
            Column.of("estimate", self.estimate[:rows], lambda v: f"{v:.6g}", "left - right"),
            Column.of("std_error", self.std_errors[:rows], lambda v: f"{v:.4g}", "std error"),
            Column.of("t", t[:rows], lambda v: f"{v:.4g}"),
            Column.of("p", statistics.t_pvalues(t, self.df_denom)[:rows], lambda v: f"{v:.3f}", "P>|t|"),
        ]
        more = 0 if rows is None else len(self.restrictions) - rows
        notes = [f"... and {more} more restrictions, tested with these"] if more > 0 else []
        return Table("Test of linear restrictions", facts, columns, notes)


def test_of(fit: Estimates, parsed: rules.Restrictions) -> RestrictionTest:
    """Test restrictions as `wald_test` does."""
    geometry = fit.geometry
    if geometry is None:
        raise UsageError("this fit has no covariance to test with; fit sr.Linear")
    constant = parsed.matrix[:, 0]
    if constant.any() and not fit.has_intercept:
        raise UsageError("this fit has no intercept to restrict")
    if not np.isfinite(fit.tss) or (fit.tss == 0 and np.any(fit.coef)):
        raise UsageError("the sum of squares of the target is beyond the range of float64; rescale the target")
    known = fit.std_errors[fit.identifiable]
    if not fit.sigma >= 0 or (np.isnan(known).any() if fit.sandwich is None else fit.sandwich.rank < 1):
        raise UsageError(
            "this fit has no standard errors (ridge, or no degrees of freedom); fit sr.Linear without ridge"
        )
    # b0 = at_centre - centre'b, and the fitted value at the centre is uncorrelated with the slopes.
    slopes = parsed.matrix[:, 1:] - np.multiply.outer(constant, fit.centre)
    _estimable(parsed, slopes, geometry.null_space)
    rules.independent(parsed, np.concatenate([[1.0], geometry.norms()]))
    coef = np.nan_to_num(fit.coef)
    estimate = constant * fit.intercept + parsed.matrix[:, 1:] @ coef - parsed.value
    along = np.column_stack([constant / np.sqrt(geometry.weight), geometry.along(slopes)])
    rounding = np.column_stack([np.abs(along[:, :1]), _reach(geometry, slopes)])
    off = np.abs(constant * fit.intercept) + np.abs(parsed.matrix[:, 1:]) @ np.abs(coef) + np.abs(parsed.value)
    return _outcome(parsed.texts, estimate, along, UNIT * off, UNIT * rounding, fit)


def _reach(geometry: Geometry, slopes: Float) -> Float:
    """Return what `Geometry.along` adds up, in absolute values: its rounding errors are relative to that."""
    kept = geometry.kept
    return np.asarray(np.abs(slopes[:, kept] / geometry.norms()[kept]) @ np.abs(geometry.root).T)


def _estimable(parsed: rules.Restrictions, slopes: Float, null_space: Float) -> None:
    moved = np.abs(slopes @ null_space) > _NULL * (np.abs(slopes) @ np.abs(null_space))
    if moved.any():
        text = parsed.texts[int(np.argmax(moved.any(axis=1)))]
        raise UsageError(f"the data do not determine what restriction {text!r} restricts: columns are dependent")


def _outcome(
    texts: tuple[str, ...], estimate: Float, along: Float, off: Float, rounding: Float, fit: Estimates
) -> RestrictionTest:
    """Return the test.

    `along` are the restrictions in coordinates in which the coefficients are uncorrelated, with variance sigma**2
    unless there is a sandwich; `off` and `rounding` are what estimates and coordinates may be off by.
    """
    q, df = len(texts), float(fit.df_test)
    # Of their greatest part first: squares of units of 1e200 would not fit.
    unit = np.where(along.any(axis=1), np.abs(along).max(axis=1), 1.0)
    unit = unit * np.linalg.norm(along / unit[:, None], axis=1)
    # QR of the coordinates, not of their products: restrictions that are nearly the same keep their digits.
    turned, upper = np.linalg.qr((along / unit[:, None]).T)
    whitened = solve_lower(upper.T, estimate / unit / fit.sigma)
    spread = np.eye(q) if fit.sandwich is None else turned.T @ (fit.sandwich.meat / fit.sigma**2) @ turned
    if fit.sandwich is not None and (rank := min(statistics.rank_of(spread), fit.sandwich.rank)) < q:
        raise UsageError(
            f"the {fit.errors} covariance of these {q} restrictions has rank {rank}"
            f"{f' ({fit.sandwich.reason})' if fit.sandwich.reason else ''}; test fewer of them together"
        )
    errors = fit.sigma * unit * np.sqrt(((upper.T @ spread) * upper.T).sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        chi2 = float(whitened @ np.linalg.solve(spread, whitened))
    return RestrictionTest(
        restrictions=texts,
        estimate=estimate,
        std_errors=np.asarray(errors),
        fvalue=chi2 / q,
        df_num=q,
        df_denom=df,
        pvalue=float(f_tail(chi2 / q, q, df)),
        chi2=chi2,
        chi2_pvalue=float(f_tail(chi2 / q, q, np.inf)),
        provenance=fit.provenance,
        digits=_digits(whitened, upper, off / unit / fit.sigma, np.linalg.norm(rounding / unit[:, None], axis=1), fit),
    )


def _digits(whitened: Float, upper: Float, off: Float, rounding: Float, fit: Estimates) -> float:
    """Return the digits of F to trust; of an F below 1 those after the point."""
    inverse = np.abs(np.linalg.inv(upper.T))
    if fit.method != "exact":
        # Float64 moments move the estimates along nearly dependent columns, by as much as the digits say.
        known = fit.digits[fit.identifiable]
        off = off + np.linalg.norm(whitened) * 10.0 ** -np.nanmin(known, initial=FULL)
    error = np.linalg.norm(inverse @ off) / max(float(np.linalg.norm(whitened)), 1.0)
    relative = 16.0 * (error + float(np.linalg.norm(inverse @ rounding))) + 10.0**-fit.digits_se
    return float(np.clip(-np.log10(max(relative, 1e-16)), 0.0, FULL))
