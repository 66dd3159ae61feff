"""What is said below the table of a fit."""

import numpy as np

from streamreg.families import family
from streamreg.results.estimates import Estimates
from streamreg.solve.conditioning import analyse
from streamreg.stats.provenance import lacking


def notes_of(fit: Estimates) -> list[str]:
    """Return what is to be said of a fit: rows left out, what is withheld and why, and what two of its words mean."""
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
        weighted = fit.provenance.get("weights") is not None
        notes.append(f"{_rows(unweighted)} {'with zero weight' if weighted else 'of another sample'} left out.")
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
    notes += _digits(fit)
    return [*notes, *_unsaid(fit, " ".join(notes)), *_footnotes(fit)]


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


def _unsaid(fit: Estimates, said: str) -> list[str]:
    """Say why numbers are dashes, where nothing has been said of them: each column of these has its reason."""
    if fit.method == "imported":
        return ["These coefficients came without rows, and what only rows tell is not given: compare them with a fit."]
    found, errors = [], np.append(fit.std_errors, fit.intercept_std_error if fit.has_intercept else np.nan)
    if fit.method == "mini-batch":
        found.append(
            "This line was trained: it has no standard errors, and sr.compare with a fit that was solved tells how far "
            "it is from the minimum."
        )
    elif np.isnan(errors).all() and "error" not in said.lower():
        found.append("Standard errors are withheld: this model gives none.")
    if np.isnan(fit.condition) and fit.method != "mini-batch":
        found.append("The condition number is not given, as cross-products of the columns are not kept with this line.")
    return found


def _footnotes(fit: Estimates) -> list[str]:
    """Say what two words of the table mean, which other programs do not have."""
    found = []
    if not np.isnan([*fit.digits, fit.digits_intercept]).all():
        found.append(
            "digits: how many of each estimate are right as arithmetic; what the noise of the rows leaves is in std "
            "error."
        )
    if not np.isnan(fit.condition):
        found.append("condition: how alike the columns are: 1 is not at all, and from about 30 on estimates suffer.")
    return found


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
