"""A fit of classes as the table that statisticians know."""

from typing import Any

import numpy as np

from streamreg.reporting.figures import number, probability
from streamreg.reporting.table import Column, Table


def table(fit: Any, rows: int | None, level: float) -> Table:
    """Return the estimates of a fit of classes as a table; `rows` limits how many coefficients are shown."""
    shown = ", ".join(f"{name} ({count:,})" for name, count in zip(fit.classes[:8], fit.counts[:8], strict=True))
    more = len(fit.classes) - 8
    facts = [
        ("target", fit.target),
        ("rows", f"{fit.n:,}" + (f" of {fit.n_read:,}" if fit.n_read != fit.n else "")),
        ("classes (rows)", shown + (f" and {more} more" if more > 0 else "")),
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
    figures = [values[:rows] for values in (fit.coef, fit.std_errors, fit.tvalues, fit.pvalues, low, high)]
    columns = [
        Column("term", "", names, names),
        Column.of("estimate", figures[0], lambda v: number(v, 8)),
        Column.of("std_error", figures[1], lambda v: number(v, 4), "std error"),
        Column.of("z", figures[2], lambda v: number(v, 4)),
        Column.of("p", figures[3], lambda v: "-" if np.isnan(v) else f"{v:.3f}", "P>|z|"),
        Column.of("low", figures[4], lambda v: number(v, 5), f"[{tail:.6g}"),
        Column.of("high", figures[5], lambda v: number(v, 5), f"{1.0 - tail:.6g}]"),
        Column.of("digits", fit.digits[:rows], lambda v: "-" if np.isnan(v) else f"{v:.0f}"),
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
    what = "ordered" if fit.ordered else "multinomial"
    return Table(f"{what} fit of {fit.source}", facts, columns, notes)
