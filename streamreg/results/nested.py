"""Tests between nested models of the same rows."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from streamreg.errors import UsageError, require, typed
from streamreg.families import family
from streamreg.results.anova import Anova, digits_of, least, tests_of
from streamreg.results.base import FitResult

_SAME = 1e-9  # relative difference of total sums of squares of the same rows


@typed
def anova(*fits: FitResult, nested: bool = False) -> Anova:
    """Compare models of the same rows, each of which has all terms of the one before it.

    Parameters
    ----------
    *fits : FitResult
        Two or more, in any order; they are put in order of their parameters. Of `sr.Linear`, or of one family of
        generalised linear models.
    nested : bool
        The columns of smaller models are combinations of those of larger ones, although their names differ.

    Returns
    -------
    Anova
        F tests of sums of squares for lines, as in ``anova`` of R and ``anova_lm`` of statsmodels. Of other families
        the difference of deviances: likelihood-ratio tests by chi2 where the dispersion is known, else F tests, both
        relative to the dispersion of the largest model (McCullagh & Nelder 1989, *Generalized Linear Models*, 2.3).

    Raises
    ------
    UsageError
        Fewer than two fits; they are not of the same rows, target, weights and family, or not nested; or one has a
        penalty, robust errors, or did not converge.
    """
    if len(fits) < 2:
        raise UsageError("anova compares two fits or more; fit.anova() gives the terms of one")
    for fit in fits:
        require(fit, FitResult, "anova compares fits that sr.Linear(...).fit(data) or sr.Glm returns")
        _require_plain(fit)
    ordered = sorted(fits, key=lambda fit: fit.parameters)
    for less, more in pairwise(ordered):
        _require_same(less, more)
        _require_nested(less, more, nested)
    last, count = ordered[-1], len(ordered)
    line = family(last.family).least_squares
    residual = np.array([fit.rss if line else fit.deviance for fit in ordered])
    df_resid = np.array([fit.df_resid for fit in ordered])
    sums, df = np.full(count, np.nan), np.full(count, np.nan)
    sums[1:], df[1:] = np.maximum(residual[:-1] - residual[1:], 0.0), df_resid[:-1] - df_resid[1:]
    known = np.isinf(last.df_test)
    scale = 1.0 if known and family(last.family).dispersion_known else last.sigma**2
    statistics, pvalues = tests_of(sums, df, scale, np.inf if known else last.df_resid)
    digits = np.full(count, np.nan)
    off = residual * 10.0 ** -np.array([min(2.0 * least(fit), 15.0) for fit in ordered])
    digits[1:] = digits_of(sums[1:], off[1:] + off[:-1])
    return Anova(
        kind="nested",
        labels=tuple(_named(fit, k) for k, fit in enumerate(ordered)),
        df=df,
        sums=sums,
        statistics=statistics,
        pvalues=pvalues,
        test="chi2" if known else "F",
        df_resid=df_resid,
        residual=residual,
        scale=scale,
        digits=digits,
        target=last.target,
        source=last.source,
        family=last.family,
        provenance=last.provenance,
    )


def _named(fit: FitResult, k: int) -> str:
    if "formula" in fit.encoder:
        return f"{k + 1}: {fit.encoder['formula']['text']}"
    names = [*(["1"] if fit.has_intercept else []), *fit.names]
    return f"{k + 1}: {' + '.join(names[:4])}" + (f" + {len(names) - 4} more" if len(names) > 4 else "")


def _require_plain(fit: FitResult) -> None:
    label = fit.source or "fit"
    if fit.sandwich is not None:
        raise UsageError(f"{label}: sums of squares hold for classical errors, and this fit has {fit.errors} ones; "
                         "sr.wald_test(larger, 'x3 = 0, x4 = 0') allows for them")  # fmt: skip
    if not fit.status.startswith(("ok", "dependent")):
        raise UsageError(f"{label}: its status is {fit.status!r}, and tests are of final fits")
    if fit.geometry is None or fit.model.get("ridge") or not np.isnan(fit.df_slopes) or fit.method == "mini-batch":
        raise UsageError(f"{label}: the tests are of fits without a penalty or training; fit sr.Linear or sr.Glm")
    if not family(fit.family).least_squares and not np.isfinite(fit.deviance):
        raise UsageError(f"{label}: has no deviance")


def _require_same(a: FitResult, b: FitResult) -> None:
    for what, one, other in (
        ("target", a.target, b.target),
        ("family", a.family, b.family),
        ("rows", (a.n, a.nobs), (b.n, b.nobs)),
        ("weights", a.model.get("weight_kind"), b.model.get("weight_kind")),
    ):
        if one != other:
            raise UsageError(f"the fits are not of the same {what} ({one} and {other}); fit both to the same rows")
    line = family(a.family).least_squares
    if line and a.about_mean != b.about_mean:
        return  # total sums about the mean and about zero
    one, other = (a.tss, b.tss) if line else (a.null_deviance, b.null_deviance)
    if a.likelihood.get("beside") == b.likelihood.get("beside") and abs(one - other) > _SAME * max(one, other):
        raise UsageError(f"the fits are not of the same rows: total sums are {one:.10g} and {other:.10g}")


def _require_nested(less: FitResult, more: FitResult, nested: bool) -> None:
    if less.likelihood.get("beside") != more.likelihood.get("beside"):
        raise UsageError("the fits have different offsets, so neither is a part of the other")
    absorbed = [set() if fit.absorbed is None else set(fit.absorbed.names.tolist()) for fit in (less, more)]
    missing: Sequence[str] = [name for name in less.names if name not in more.names]
    if less.has_intercept > (more.has_intercept or more.constant or more.absorbed is not None):
        missing = ["the intercept", *missing]
    missing = [*missing, *sorted(absorbed[0] - absorbed[1])]
    if less.df_resid <= more.df_resid:
        raise UsageError("the fits have as many parameters as each other; one must be a part of the other")
    if missing and not nested:
        raise UsageError(
            f"the larger fit lacks {', '.join(missing[:3])}{' and more' * (len(missing) > 3)} of the smaller one, so "
            "they are not nested; if their columns are combinations of each other, pass nested=True"
        )
