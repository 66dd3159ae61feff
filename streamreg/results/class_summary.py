"""A fit of classes as the table that statisticians know."""

from typing import Any

import numpy as np

from streamreg.reporting.figures import decimals, fixed, number, probability, ratio
from streamreg.reporting.table import Column, Table


def table(fit: Any, rows: int | None, level: float) -> Table:
    """Return the estimates of a fit of classes as a table; `rows` limits how many coefficients are shown."""
    listed = ", ".join(f"{name} ({count:,})" for name, count in zip(fit.classes[:8], fit.counts[:8], strict=True))
    more = len(fit.classes) - 8
    facts = [
        ("target", fit.target),
        ("rows", f"{fit.n:,}" + (f" of {fit.n_read:,}" if fit.n_read != fit.n else "")),
        ("classes (rows)", listed + (f" and {more} more" if more > 0 else "")),
        *([] if fit.ordered else [("base", fit.base)]),
        ("link", fit.link),
        ("residual df", f"{fit.df_resid:,.10g}"),
        ("passes", str(fit.passes)),
        ("seconds", number(fit.seconds, 3)),
        ("log-likelihood", number(fit.log_likelihood, 8)),
        ("null log-likelihood", number(fit.null_log_likelihood, 8)),
        ("pseudo R2", number(fit.pseudo_rsquared)),
        ("LR chi2", f"{number(fit.lr_statistic)} on {fit.lr_df} df (p {probability(fit.lr_pvalue)})"),
        ("AIC", number(fit.aic, 8)),
        ("BIC", number(fit.bic, 8)),
    ]
    low, high = fit.conf_int(level).T
    tail = (1.0 - level) / 2.0
    names = list(fit.names[:rows])
    shown = [values[:rows] for values in (fit.coef, fit.std_errors, fit.tvalues, fit.pvalues, low, high, fit.digits)]
    estimate, error, z, p, low, high, digits = shown
    after = [decimals(*three) for three in zip(estimate, error, digits, strict=True)]
    cells = [
        [fixed(v, k) if e > 0 else number(v, 8) for v, e, k in zip(values, error, after, strict=True)]
        for values in (estimate, low, high)
    ]
    columns = [
        Column("term", "", names, names),
        Column("estimate", "estimate", estimate, cells[0]),
        Column.of("std_error", error, lambda v: fixed(v, decimals(v, v, np.nan)), "std error"),
        Column.of("z", z, ratio),
        Column.of("p", p, lambda v: "-" if np.isnan(v) else f"{v:.3f}", "P>|z|"),
        Column("low", f"[{tail:.6g}", low, cells[1]),
        Column("high", f"{1.0 - tail:.6g}]", high, cells[2]),
        Column.of("digits", digits, lambda v: "-" if np.isnan(v) else f"{v:.0f}"),
    ]
    notes = []
    if rows is not None and rows < len(fit.names):
        notes.append(f"... and {len(fit.names) - rows} more coefficients")
    if fit.n_missing:
        notes.append(f"{fit.n_missing:,} row{'s' * (fit.n_missing != 1)} with missing values left out.")
    if fit.dependencies:
        notes.append("Dependent columns, left out:")
        notes += [f"  {text}" for text in fit.dependencies]
    if fit.status not in ("ok", "dependent"):
        notes.append(fit.status)
        if np.isnan(fit.std_errors).all():
            notes.append("Standard errors are withheld: these are not the estimates of a maximum.")
    what = "ordered" if fit.ordered else "multinomial"
    return Table(f"{what} fit of {fit.source}", facts, columns, notes)
