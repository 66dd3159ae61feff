"""Analysis of variance and of deviance: what each term, or each larger model, adds. No row is read."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula.encoder import FormulaEncoder
from streamreg.errors import UsageError, typed
from streamreg.families import family
from streamreg.inference.distributions import f_tail
from streamreg.reporting.result import Final
from streamreg.reporting.table import Column, Table
from streamreg.results.estimates import Estimates
from streamreg.results.intervals import require_errors
from streamreg.results.restricted import test_of
from streamreg.solve.digits import FULL
from streamreg.solve.restrictions import Restrictions

Float = NDArray[np.float64]
Sums = Literal["sequential", "partial"]
"""What a term adds to those before it (type I), or to all others (type III)."""

_SAID = {
    "sequential": "Each term after those above it (type I): the order matters.",
    "partial": "Each term after all others (type III): the coding of categories matters.",
    "nested": "Each model against the one above it.",
}
_FEW = 6  # digits below which they are shown


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Anova(Final):
    """Outcome of `streamreg.anova` and of `FitResult.anova`.

    Attributes
    ----------
    kind : {"sequential", "partial", "nested"}
        Terms, each after those before it, or after all others; or models, each against the one before it.
    labels : tuple of str
        Terms, or models.
    df : ndarray of shape (q,)
        Parameters that each adds; NaN for the first model.
    sums : ndarray of shape (q,)
        Sum of squares, or deviance, that it explains; NaN where there are Wald tests only.
    statistics, pvalues : ndarrays of shape (q,)
    test : {"F", "chi2"}
        F, or Wald's or the likelihood ratio's chi2, where the dispersion is known.
    df_resid, residual : ndarrays of shape (q,)
        Residual degrees of freedom, and sum of squares or deviance, of the model so far.
    scale : float
        The dispersion that F is relative to: that of the largest model.
    digits : ndarray of shape (q,)
        Decimal digits of the sums to trust.
    target, source, family : str
    provenance : dict
        Of the largest model.
    """

    KIND: ClassVar[str] = "analysis of variance"

    kind: str
    labels: tuple[str, ...]
    df: Float
    sums: Float
    statistics: Float
    pvalues: Float
    test: str
    df_resid: Float
    residual: Float
    scale: float
    digits: Float
    target: str
    source: str
    family: str
    provenance: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Anova of {self.target}: {len(self.labels)} {'models' if self.kind == 'nested' else 'terms'}>"

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return a line for each of the first terms or models."""
        what = "sum of squares" if family(self.family).least_squares else "deviance"
        shown = slice(rows)
        columns = [
            Column.of("label", self.labels[shown], header=""),
            Column.of("df", self.df[shown], lambda v: _blank(v, f"{v:.0f}")),
            Column.of("sum", self.sums[shown], lambda v: _blank(v, f"{v:.6g}"), what),
            Column.of("statistic", self.statistics[shown], lambda v: _blank(v, f"{v:.4g}"), self.test),
            Column.of("p", self.pvalues[shown], lambda v: _blank(v, f"{v:.4g}"), f"P > {self.test}"),
            Column.of("df_resid", self.df_resid[shown], lambda v: _blank(v, f"{v:.10g}"), "residual df"),
            Column.of("residual", self.residual[shown], lambda v: _blank(v, f"{v:.6g}"), f"residual {what}"),
        ]
        if np.nanmin(self.digits, initial=FULL) < _FEW:
            columns.append(Column.of("digits", self.digits[shown], lambda v: _blank(v, f"{v:.0f}")))
        if self.kind == "partial":
            columns = [c for c in columns if c.name not in ("df_resid", "residual")]
        if np.isnan(self.sums).all():
            columns = [c for c in columns if c.name != "sum"]
        notes = [_SAID[self.kind]]
        if self.test == "F":
            notes.append(f"F is relative to a dispersion of {self.scale:.6g}, that of the largest model.")
        facts = [("target", self.target), ("family", self.family)]
        return Table(
            f"Analysis of {'variance' if self.test == 'F' else 'deviance'}, {self.source}", facts, columns, notes
        )

    def _sense(self) -> None:
        if self.kind not in _SAID:
            raise ValueError(f"no kind {self.kind!r}")
        family(self.family)
        numbers = (self.df, self.sums, self.statistics, self.pvalues, self.df_resid, self.residual, self.digits)
        if any(column.shape != (len(self.labels),) for column in numbers):
            raise ValueError("numbers and labels are not of one length")


def _blank(value: float, text: str) -> str:
    return "" if np.isnan(value) else text


def of_terms(fit: Estimates, sums: Sums) -> Anova:
    """Return what each term of a fit adds; see `FitResult.anova`."""
    if sums not in get_args(Sums):
        raise UsageError(f"sums is {sums!r}; it can be 'sequential' or 'partial'")
    require_errors(fit, "analysis of variance")
    groups = _terms(fit)
    if not groups:
        raise UsageError("the fit has no terms beside the intercept; there is nothing to analyse")
    line = family(fit.family).least_squares
    labels = tuple(groups)
    if sums == "partial":
        return _partial(fit, groups)
    if not line or fit.sandwich is not None:
        why = "robust errors" if line else f"the family {fit.family}"
        raise UsageError(
            f"sums of squares of terms in turn are of least squares with classical errors, and this fit has {why}; "
            "ask for sums='partial', or compare fits: sr.anova(smaller, larger)"
        )
    geometry = fit.geometry
    assert geometry is not None
    along = geometry.orthonormal(fit.coef)
    place = {int(column): k for k, column in enumerate(geometry.kept)}
    held = [np.array([place[j] for j in columns if j in place], dtype=np.intp) for columns in groups.values()]
    found = np.array([float(along[k] @ along[k]) for k in held])
    df = np.array([float(len(k)) for k in held])
    after = np.cumsum(found[::-1])[::-1]
    wrong = 10.0 ** -least(fit) * float(np.linalg.norm(along))
    off = np.array([2.0 * wrong * np.linalg.norm(along[k]) + wrong**2 for k in held])
    statistics, pvalues = tests_of(found, df, fit.sigma**2, fit.df_resid)
    return Anova(
        kind="sequential",
        labels=labels,
        df=df,
        sums=found,
        statistics=statistics,
        pvalues=pvalues,
        test="F",
        df_resid=fit.df_resid + df.sum() - np.cumsum(df),
        residual=fit.rss + np.append(after[1:], 0.0),
        scale=fit.sigma**2,
        digits=digits_of(found, off),
        target=fit.target,
        source=fit.source,
        family=fit.family,
        provenance=fit.provenance,
    )


def _partial(fit: Estimates, groups: dict[str, list[int]]) -> Anova:
    """Return Wald's test that all coefficients of a term are zero; of a line that is the F test without the term."""
    line = family(fit.family).least_squares and fit.sandwich is None
    tests = []
    for columns in groups.values():
        some = [j for j in columns if fit.identifiable[j]]
        matrix = np.zeros((len(some), 1 + len(fit.names)))
        matrix[np.arange(len(some)), [1 + j for j in some]] = 1.0
        texts = tuple(f"{fit.names[j]} = 0" for j in some)
        tests.append(test_of(fit, Restrictions(matrix, np.zeros(len(some)), texts)) if some else None)
    known = np.isinf(fit.df_test)
    df = np.array([float(test.df_num) if test else 0.0 for test in tests])
    f = np.array([test.fvalue if test else np.nan for test in tests])
    count = len(tests)
    return Anova(
        kind="partial",
        labels=tuple(groups),
        df=df,
        sums=f * df * fit.sigma**2 if line else np.full(count, np.nan),
        statistics=f * df if known else f,
        pvalues=np.array([test.pvalue if test else np.nan for test in tests]),
        test="chi2" if known else "F",
        df_resid=np.full(count, fit.df_resid),
        residual=np.full(count, np.nan),
        scale=fit.sigma**2,
        digits=np.array([test.digits if test else np.nan for test in tests]),
        target=fit.target,
        source=fit.source,
        family=fit.family,
        provenance=fit.provenance,
    )


def _terms(fit: Estimates) -> dict[str, list[int]]:
    """Return the columns of each term, in order: of a formula those of a product of factors together."""
    if "formula" not in fit.encoder:
        return {name: [k] for k, name in enumerate(fit.names)}
    encoder, found = FormulaEncoder.from_dict(fit.encoder), dict[str, list[int]]()
    place = {name: k for k, name in enumerate(fit.names)}
    for product in encoder.products:
        text = ":".join(encoder.coders[k].factor.text for k, _ in product.factors)
        found.setdefault(text, []).extend(place[name] for name in encoder.named(product))
    return found


def tests_of(sums: Float, df: Float, scale: float, df_denom: float) -> tuple[Float, Float]:
    """Return F and its p-values; chi2 where the dispersion is known. NaN where no parameter was added."""
    with np.errstate(divide="ignore", invalid="ignore"):
        f = np.where(df > 0, sums / df / scale, np.nan)
    p = [float(f_tail(v, d, df_denom)) if np.isfinite(v) else np.nan for v, d in zip(f, df, strict=True)]
    return (f * df if np.isinf(df_denom) else f), np.array(p)


def digits_of(values: Float, off: Float) -> Float:
    """Return the decimal digits that errors of this size leave."""
    with np.errstate(divide="ignore"):
        return np.clip(-np.log10(np.maximum(off / np.maximum(values, 1e-300), 1e-16)), 0.0, FULL)


def least(fit: Estimates) -> float:
    """Return the fewest digits of a coefficient."""
    return float(np.nanmin(fit.digits[fit.identifiable], initial=FULL))
