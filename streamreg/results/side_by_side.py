"""Several fits beside each other, as papers show them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from streamreg.errors import NotFound, UsageError, nearest, require, typed
from streamreg.families import family
from streamreg.reporting import markup
from streamreg.reporting.figures import fixed, number
from streamreg.reporting.frames import frame
from streamreg.results.base import FitResult
from streamreg.results.estimates import Estimates
from streamreg.results.summary import estimates

Format = Literal["text", "md", "html", "tex", "typst"]

STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
"""Greatest p-values, and what marks them."""

_INTERCEPT = "(intercept)"


class SideBySide(str):
    """Fits beside each other: a text of the format that was asked for, which notebooks show as a table."""

    grid: markup.Grid

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return markup.html(self.grid)

    def to_frame(self) -> Any:
        """Return the cells as a data frame of pandas, or of polars where pandas is not installed.

        Raises
        ------
        MissingExtra
            Neither is installed.
        """
        head, *more = self.grid.head
        rows = [*more, *(row for block in self.grid.blocks for row in block)]
        return frame({name or "term": [row[k] for row in rows] for k, name in enumerate(head)})


@typed
def table(
    fits: Any,
    format: Format = "text",
    *,
    keep: Iterable[str] | None = None,
    stars: bool = False,
    digits: int | None = None,
) -> SideBySide:
    """Show several fits beside each other: estimates, with standard errors in brackets below, and what they explain.

    Parameters
    ----------
    fits : FitResult, or sequence or mapping of these
        Keys of a mapping are the heads of the columns; they are numbered without.
    format : {"text", "md", "html", "tex", "typst"}
        Plain text, Markdown, HTML, a ``tabular`` of LaTeX (with booktabs), or a table of Typst.
    keep : iterable of str, optional
        Terms to show; default: all.
    stars : bool
        Mark p-values below 0.05 (*), 0.01 (**) and 0.001 (***).
    digits : int, optional
        Decimals of estimates and errors. Default: as many as each standard error supports, and its digits.

    Returns
    -------
    SideBySide
        A text; ``to_frame()`` gives its cells.

    Raises
    ------
    UsageError
        These are no fits with coefficients; or no such format.
    NotFound
        No fit has a term of this name.
    """
    if format not in markup.FORMATS:
        raise UsageError(f"no format {format!r}{nearest(format, markup.FORMATS)}")
    if digits is not None and not 0 <= digits <= 15:
        raise UsageError(f"digits is {digits}; it is a number of decimals from 0 to 15")
    named = _named(fits)
    held = list(named.values())
    blocks = [_estimates(held, keep, stars, digits), *([rows] if (rows := _absorbed(held)) else []), _facts(held)]
    grid = markup.Grid([["", *named], ["", *(fit.target or "-" for fit in held)]], blocks, _notes(held, stars))
    shown = SideBySide(markup.FORMATS[format](grid))
    shown.grid = grid
    return shown


def _named(fits: Any) -> dict[str, FitResult]:
    if isinstance(fits, FitResult):
        fits = [fits]
    if not isinstance(fits, Mapping):
        if not isinstance(fits, list | tuple):
            raise UsageError(
                f"sr.table takes a list of fits, or a mapping of names to fits, not a {type(fits).__name__}"
            )
        fits = {f"({k})": fit for k, fit in enumerate(fits, 1)}
    if not fits:
        raise UsageError("there is no fit to show; pass some")
    for name, fit in fits.items():
        require(fit, FitResult, f"sr.table shows fits with coefficients (of a path or of groups one of them): {name}")
    return {str(name): fit for name, fit in fits.items()}


def _estimates(fits: list[FitResult], keep: Iterable[str] | None, stars: bool, digits: int | None) -> list[list[str]]:
    """Return two lines for each term: estimates, and their standard errors."""
    cells = [_cells(fit, stars, digits) for fit in fits]
    terms = list(dict.fromkeys(term for one in cells for term in one))
    if keep is not None:
        wanted = [keep] if isinstance(keep, str) else list(keep)
        for name in wanted:
            if name not in terms:
                raise NotFound(f"no fit has a term {name!r}{nearest(name, terms)}")
        terms = wanted
    rows = []
    for term in terms:
        rows.append([term, *(one.get(term, ("", ""))[0] for one in cells)])
        rows.append(["", *(one.get(term, ("", ""))[1] for one in cells)])
    return rows


def _cells(fit: FitResult, stars: bool, digits: int | None) -> dict[str, tuple[str, str]]:
    """Return what is shown of each term: the estimate, and its error in brackets."""
    shown = estimates(fit)
    numbers = dict(zip(fit.names, zip(fit.coef, fit.std_errors, fit.pvalues, strict=True), strict=True))
    numbers[_INTERCEPT] = (fit.intercept, fit.intercept_std_error, fit.intercept_pvalue)
    out = {}
    for term, (estimate, error) in shown.items():
        value, spread, p = numbers[term]
        if digits is not None:
            estimate, error = (
                fixed(v, digits) if np.isfinite(v) else t for v, t in ((value, estimate), (spread, error))
            )
        mark = next((mark for most, mark in STARS if p < most), "") if stars else ""
        out[term] = (estimate + mark, "" if error == "-" else f"({error})")
    return out


def _absorbed(fits: list[FitResult]) -> list[list[str]]:
    """Return a line for each absorbed factor."""
    held = [() if fit.absorbed is None else tuple(fit.absorbed.names.tolist()) for fit in fits]
    names = dict.fromkeys(name for one in held for name in one)
    return [[f"effects of {name}", *("yes" if name in one else "-" for one in held)] for name in names]


def _facts(fits: list[FitResult]) -> list[list[str]]:
    """Return what was fitted to how many rows, and how well; lines of which no fit has anything are left out."""

    def squares(fit: Estimates) -> bool:
        return family(fit.family).least_squares

    def each(value: Any) -> list[str]:
        return [value(fit) for fit in fits]

    facts = {
        "model": each(lambda f: "least squares" if squares(f) else _rounded(f.family)),
        "std errors": each(lambda f: f.errors if np.isfinite(f.std_errors).any() else "-"),
        "N": each(lambda f: f"{f.n:,}"),
        "R2": each(lambda f: _share(f.rsquared) if squares(f) else "-"),
        "adjusted R2": each(lambda f: _share(f.rsquared_adj) if squares(f) else "-"),
        "R2 within": each(lambda f: "-" if f.absorbed is None else _share(f.rsquared_within)),
        "deviance explained": each(lambda f: "-" if squares(f) else _share(f.rsquared)),
        "log-likelihood": each(lambda f: _decimal(f.log_likelihood)),
        "AIC": each(lambda f: _decimal(f.aic)),
        "BIC": each(lambda f: _decimal(f.bic)),
    }
    if all(squares(fit) for fit in fits):
        facts.pop("model")
    return [[name, *cells] for name, cells in facts.items() if any(cell != "-" for cell in cells)]


def _rounded(spelling: str) -> str:
    """Return how a family is spelt, with few digits of a parameter that was estimated."""
    return re.sub(r"\d+\.\d{4,}", lambda found: f"{float(found[0]):.4g}", spelling)


def _share(value: float) -> str:
    return fixed(value, 4)


def _decimal(value: float) -> str:
    return f"{value:,.1f}" if np.isfinite(value) else number(value)


def _notes(fits: list[FitResult], stars: bool) -> list[str]:
    notes = ["Standard errors in brackets."]
    if any(np.isnan(fit.std_errors).all() for fit in fits):
        notes[0] += " Where none is given, it is withheld: the summary of the fit says why."
    if stars:
        notes.append(f"{', '.join(f'{mark} p < {most:g}' for most, mark in reversed(STARS))}.")
    unfinished = [f"({k}) {fit.status}" for k, fit in enumerate(fits, 1) if fit.status not in ("ok", "dependent")]
    return [*notes, *unfinished]
