"""A fit as the table that statisticians know."""

import numpy as np

from streamreg.families import family
from streamreg.reporting.figures import believed, decimals, fixed, number, probability, ratio
from streamreg.reporting.table import Column, Table
from streamreg.results.estimates import Estimates
from streamreg.results.notes import notes_of


def table(fit: Estimates, rows: int | None = None, level: float = 0.95) -> Table:
    """Return the estimates of `fit` as a table; `rows` limits how many coefficients are shown."""
    facts = [
        ("target", fit.target),
        ("rows", f"{fit.n:,}" + (f" of {fit.n_read:,}" if fit.n_read != fit.n else "")),
        ("rank", f"{fit.rank} of {len(fit.names)}"),
        ("residual df", "-" if np.isnan(fit.df_resid) else f"{fit.df_resid:,.10g}"),
        ("method", f"{fit.method}, {fit.passes} pass{'' if fit.passes == 1 else 'es'}"),
        ("condition", number(fit.condition, 3)),
        ("seconds", number(fit.seconds, 3)),
        *([] if fit.sandwich is None else [("std errors", f"{fit.errors}, {_tests(fit)}")]),
        *([] if fit.absorbed is None else fit.absorbed.facts(fit.rss)),
        *_explained(fit),
        ("log-likelihood", number(fit.log_likelihood, 8)),
        ("AIC", number(fit.aic, 8)),
        ("BIC", number(fit.bic, 8)),
    ]
    notes = notes_of(fit)
    if rows is not None and rows < len(fit.names):
        notes.insert(0, f"... and {len(fit.names) - rows} more coefficients")
    return Table(f"{fit.model.get('kind', 'linear')} fit of {fit.source}", facts, _columns(fit, rows, level), notes)


def _columns(fit: Estimates, rows: int | None, level: float) -> list[Column]:
    """Return a line for the intercept, if there is one, and for each coefficient."""
    slopes = (fit.coef, fit.std_errors, fit.tvalues, fit.pvalues, *fit.conf_int(level).T, fit.digits)
    names, numbers = list(fit.names[:rows]), [values[:rows] for values in slopes]
    if fit.has_intercept:
        first = (fit.intercept, fit.intercept_std_error, fit.intercept_tvalue, fit.intercept_pvalue)
        first = (*first, *fit.intercept_conf_int(level), fit.digits_intercept)
        names, numbers = (
            ["(intercept)", *names],
            [np.append(one, rest) for one, rest in zip(first, numbers, strict=True)],
        )
    estimate, error, t, p, low, high, digits = numbers
    letter = "z" if np.isinf(fit.df_test) else "t"
    after = [decimals(*three) for three in zip(estimate, error, digits, strict=True)]
    shown = [
        "0" if noise else fixed(v, k) if e > 0 else believed(v, d, 8)
        for v, e, d, k, noise in zip(estimate, error, digits, after, _noise(fit, rows), strict=True)
    ]
    ends = [
        [fixed(v, k) if e > 0 else number(v) for v, e, k in zip(end, error, after, strict=True)] for end in (low, high)
    ]
    tail = (1.0 - level) / 2.0
    return [
        Column("term", "", names, names),
        Column("estimate", "estimate", estimate, shown),
        Column.of("std_error", error, lambda v: fixed(v, decimals(v, v, fit.digits_se)), "std error"),
        Column.of("t", t, ratio, letter),
        Column.of("p", p, lambda v: "-" if np.isnan(v) else f"{v:.3f}", f"P>|{letter}|"),
        Column("low", f"[{tail:.6g}", low, ends[0]),
        Column("high", f"{1.0 - tail:.6g}]", high, ends[1]),
        Column.of("digits", digits, lambda v: "-" if np.isnan(v) else f"{v:.0f}"),
    ]


def estimates(fit: Estimates) -> dict[str, tuple[str, str]]:
    """Return each coefficient and its standard error as they are shown, by term."""
    term, estimate, error, *_ = _columns(fit, None, 0.95)
    return dict(zip(term.cells, zip(estimate.cells, error.cells, strict=True), strict=True))


def _noise(fit: Estimates, rows: int | None) -> list[bool]:
    """Return which estimates are what rounding leaves of zero, beside the numbers that they are the difference of."""
    coef, epsilon = np.nan_to_num(fit.coef), 16 * np.finfo(np.float64).eps
    size = np.abs(coef) if fit.geometry is None else np.abs(coef) * fit.geometry.norms()
    doubted = ~(fit.digits >= 1.0) & (size <= epsilon * size.max(initial=0.0))
    found: list[bool] = (doubted & (coef != 0)).tolist()[:rows]
    if not fit.has_intercept:
        return found
    level = epsilon * (abs(fit.at_centre) + np.abs(coef * fit.centre).sum())
    return [not fit.digits_intercept >= 1.0 and abs(fit.intercept) <= level, *found]


def _explained(fit: Estimates) -> list[tuple[str, str]]:
    if family(fit.family).least_squares:
        about = "" if fit.about_mean else " about zero"
        return [
            ("R2" + about, number(fit.rsquared)),
            ("adjusted R2" + about, number(fit.rsquared_adj)),
            ("F", "-" if np.isnan(fit.fvalue) else f"{number(fit.fvalue, 5)} (p {probability(fit.f_pvalue)})"),
            ("residual std error", number(fit.sigma)),
        ]
    return [
        ("family", f"{_name(fit)}, {family(fit.family).link} link"),
        ("deviance", number(fit.deviance, 8)),
        ("null deviance", number(fit.null_deviance, 8)),
        ("deviance explained", number(fit.rsquared)),
        *_dispersion(fit),
    ]


def _name(fit: Estimates) -> str:
    """Return the name of a family; a parameter that was estimated has a line of its own."""
    name = family(fit.family).name
    return name.partition("(")[0] if "estimated" in fit.likelihood else name


def _dispersion(fit: Estimates) -> list[tuple[str, str]]:
    if not fit.likelihood:
        return []
    by, df = fit.likelihood["dispersion_by"], fit.df_resid
    pearson = fit.likelihood["pearson"] / df if df > 0 else np.nan
    facts = [("Pearson / df", number(pearson)), ("dispersion", f"{number(fit.sigma**2)} ({by})")]
    if name := fit.likelihood.get("estimated"):
        error = fit.likelihood[f"{name}_std_error"]
        facts.append((name, f"{number(fit.likelihood[name])} (estimated, std error {number(error, 3)})"))
    return facts


def _tests(fit: Estimates) -> str:
    return "normal tests" if np.isinf(fit.df_test) else f"{fit.df_test:,.10g} df"
