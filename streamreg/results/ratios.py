"""Odds ratios and rate ratios: what one more of a column multiplies the odds, or the mean, by."""

import numpy as np

from streamreg.errors import UsageError
from streamreg.families import family
from streamreg.reporting.figures import number
from streamreg.reporting.table import Column, Table
from streamreg.results.estimates import Estimates

_NAMES = {"logit": "odds ratio", "log": "ratio of means", "cloglog": "hazard ratio"}


def of(fit: Estimates, level: float) -> Table:
    """Return the ratios of a fit; see `FitResult.ratios`."""
    link = family(fit.family).link
    if link not in _NAMES:
        raise UsageError(
            f"the {link} link has no ratios: its coefficients add to no logarithm; sr.effects(fit, data) tells by "
            "how much the mean changes"
        )
    name = _NAMES[link]
    with np.errstate(over="ignore"):
        low, high = np.exp(fit.conf_int(level)).T
        values = np.exp(fit.coef)
    percent = f"{100 * level:.6g}%"
    columns = [
        Column.of("term", fit.names, header=""),
        Column.of("ratio", values, number, name),
        Column.of("low", low, number, f"low {percent}"),
        Column.of("high", high, number, f"high {percent}"),
        Column.of("p", fit.pvalues, lambda v: f"{v:.3f}", "P>|z|" if np.isinf(fit.df_test) else "P>|t|"),
    ]
    notes = ["Per one more of the column, all others the same: exp of the coefficient and of the ends of its interval."]
    return Table(
        f"{name.capitalize()}s, {fit.source}", [("target", fit.target), ("errors", fit.errors)], columns, notes
    )
