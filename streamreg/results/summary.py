"""A fit as the table that statisticians know."""

import numpy as np

from streamreg.families import family
from streamreg.reporting.table import Column, Table
from streamreg.results.estimates import Estimates
from streamreg.solve.conditioning import analyse
from streamreg.stats.provenance import lacking


def number(value: float, digits: int = 6) -> str:
    """Return a number for a table; a dash for NaN."""
    return "-" if np.isnan(value) else f"{value:.{digits}g}"


def believed(value: float, trusted: float, digits: int) -> str:
    """Return a number for a table with no more than the digits that can be trusted."""
    return number(value, digits if np.isnan(trusted) else int(max(1.0, min(float(digits), trusted))))


def probability(value: float) -> str:
    """Return a p-value for a table: one below what a float64 can hold is not zero."""
    return "< 1e-300" if value < 1e-300 else number(value, 3)


def table(fit: Estimates, rows: int | None = None, level: float = 0.95) -> Table:
    """Return the estimates of `fit` as a table; `rows` limits how many coefficients are shown."""
    facts = [
        ("target", fit.target),
        ("rows", f"{fit.n:,}" + (f" of {fit.n_read:,}" if fit.n_read != fit.n else "")),
        ("rank", f"{fit.rank} of {len(fit.names)} columns" + (" + intercept" if fit.has_intercept else "")),
        ("residual df", f"{fit.df_resid:,.10g}"),
        ("method", f"{fit.method}, {fit.passes} pass{'' if fit.passes == 1 else 'es'}"),
        ("condition", number(fit.condition, 3)),
        ("seconds", number(fit.seconds, 3)),
        *([] if fit.sandwich is None else [("std errors", f"{fit.errors}, {fit.df_test:,.10g} df")]),
        *([] if fit.absorbed is None else fit.absorbed.facts(fit.rss)),
        *_explained(fit),
        ("log-likelihood", number(fit.log_likelihood, 8)),
        ("AIC", number(fit.aic, 8)),
        ("BIC", number(fit.bic, 8)),
    ]
    notes = list(_notes(fit))
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
    letter = "z" if fit.sandwich is None and np.isinf(fit.df_test) else "t"
    shown = [believed(value, known, 8) for value, known in zip(estimate, digits, strict=True)]
    tail = (1.0 - level) / 2.0
    return [
        Column("term", "", names, names),
        Column("estimate", "estimate", estimate, shown),
        Column.of("std_error", error, lambda v: believed(v, fit.digits_se, 4), "std error"),
        Column.of("t", t, lambda v: number(v, 4), letter),
        Column.of("p", p, lambda v: "-" if np.isnan(v) else f"{v:.3f}", f"P>|{letter}|"),
        Column.of("low", low, lambda v: number(v, 5), f"[{tail:.6g}"),
        Column.of("high", high, lambda v: number(v, 5), f"{1.0 - tail:.6g}]"),
        Column.of("digits", digits, lambda v: "-" if np.isnan(v) else f"{v:.0f}"),
    ]


def _explained(fit: Estimates) -> list[tuple[str, str]]:
    if family(fit.family).least_squares:
        about = "" if fit.about_mean else " about zero"
        return [
            ("R2" + about, number(fit.rsquared)),
            ("adjusted R2" + about, number(fit.rsquared_adj)),
            ("F", "-" if np.isnan(fit.fvalue) else f"{number(fit.fvalue)} (p {probability(fit.f_pvalue)})"),
            ("residual std error", number(fit.sigma)),
        ]
    return [
        ("family", f"{family(fit.family).name}, {family(fit.family).link} link"),
        ("deviance", number(fit.deviance, 8)),
        ("null deviance", number(fit.null_deviance, 8)),
        ("deviance explained", number(fit.rsquared)),
        *_dispersion(fit),
    ]


def _dispersion(fit: Estimates) -> list[tuple[str, str]]:
    if not fit.likelihood:
        return []
    by, df = fit.likelihood["dispersion_by"], fit.df_resid
    pearson = fit.likelihood["pearson"] / df if df > 0 else np.nan
    return [("Pearson / df", number(pearson)), ("dispersion", f"{number(fit.sigma**2)} ({by})")]


def _overdispersed(fit: Estimates) -> list[str]:
    """Say that a dispersion which is taken as known is too small for these rows, and errors with it."""
    if fit.likelihood.get("dispersion_by") != "known" or not fit.df_resid > 0 or not np.isfinite(fit.deviance):
        return []
    # About 1, with an error of sqrt(2 / df): far beyond it, rows vary more than the family lets them.
    excess = fit.likelihood["pearson"] / fit.df_resid / fit.sigma**2
    if not excess > 1.2 + 4.0 * np.sqrt(2.0 / fit.df_resid) or np.isnan(fit.std_errors).all():
        return []
    return [
        f"Pearson's statistic is {excess:.3g} times what {family(fit.family).name} rows have: standard errors are "
        f"about {np.sqrt(excess):.2g} times too small. dispersion='pearson' estimates it."
    ]


def _notes(fit: Estimates) -> list[str]:
    notes = []
    if fit.n_missing:
        notes.append(f"{_rows(fit.n_missing)} with missing values left out{_by_column(fit)}.")
    alone = 0 if fit.absorbed is None else fit.absorbed.dropped
    unweighted = fit.n_read - fit.n_missing - fit.n - lacking(fit.provenance) - alone
    filtered = sum(part.get("filtered", 0) for part in fit.provenance.get("sources", ()))
    if 0 < filtered <= unweighted:  # a level of lines by level counts its own rows only
        notes.append(f"{_rows(filtered)} left out by where: {fit.provenance.get('where', '')}")
        unweighted -= filtered
    if unweighted:
        notes.append(f"{_rows(unweighted)} with zero weight left out.")
    if family(fit.family).least_squares and fit.tss == 0:
        notes.append("The target is constant: there is nothing to explain, and t, F and R2 are not defined.")
    if fit.df_resid == 0:
        notes.append("As many coefficients as rows: the line goes through all of them, and errors take more rows.")
    if fit.dependencies:
        if fit.model.get("singular") == "drop":
            left_out = int(np.isnan(fit.coef).sum())
            notes.append(f"Dependent columns, of which {left_out} left out; the estimates are those without them:")
        else:
            free = int((~fit.identifiable).sum())
            notes.append(
                f"Dependent columns, so {free} coefficients are not determined by the data (no error is given):"
            )
        notes += [f"  {text}" for text in fit.dependencies]
    if family(fit.family).least_squares and fit.no_f and not fit.no_likelihood:
        notes.append(f"{fit.no_f}.")
    elif fit.model.get("ridge") and not family(fit.family).least_squares:
        notes.append("Standard errors are withheld: a penalty biases the estimates.")
    if fit.absorbed is not None:
        notes += fit.absorbed.notes()
    if fit.geometry is not None:
        near = analyse(fit.names, fit.geometry.root, fit.geometry.kept, fit.identifiable).near
        notes += [f"Nearly dependent, {text}" for text in near[:3]]
    if fit.status not in ("ok", "dependent"):
        notes.append(fit.status)
    notes += _overdispersed(fit)
    if fit.no_likelihood:
        notes.append(fit.no_likelihood)
    if fit.log_lik_note:
        notes.append(f"The {fit.log_lik_note}.")
    return [*notes, *_digits(fit)]


def _digits(fit: Estimates) -> list[str]:
    """Say what few digits mean: that no more were needed, or that there are no more."""
    least = float(np.fmin(np.nanmin(fit.digits, initial=16.0), fit.digits_intercept))
    asked = fit.model.get("digits", 0) if fit.model.get("precision") == "auto" and fit.passes else 0
    if fit.status in ("ok", "dependent") and fit.method in ("float64", "residuals") and least < asked:
        error = f"{10.0 ** (2 - asked):.0e}"
        return [f"Where fewer than {asked} digits are shown, the error is below {error} standard errors."]
    if least >= 6:
        return []
    more = "; precision='exact' gives more" if "precision" in fit.model and fit.method != "exact" else ""
    return [f"Some coefficients have few digits to trust: see the last column{more}."]


def _by_column(fit: Estimates) -> str:
    """Say in which columns values are missing."""
    total: dict[str, int] = {}
    for part in fit.provenance.get("sources", ()):
        for name, count in part.get("missing_in", {}).items():
            total[name] = total.get(name, 0) + count
    shown = [f"{name}: {count:,}" for name, count in list(total.items())[:8]] + ["..."] * (len(total) > 8)
    return f" ({', '.join(shown)})" if len(total) > 1 or fit.n_missing in total.values() else ""


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
